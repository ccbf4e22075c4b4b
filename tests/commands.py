"""Run a command of this project: in this process, or as a process of its own."""

import contextlib
import io
import multiprocessing
import os
import runpy
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any
from unittest import mock

ROOT = Path(__file__).parents[1]
SITE = sysconfig.get_path("purelib")
"""Where the libraries of this environment lie."""

LIMIT = 300
"""Seconds after which what a test waits for is not waited for any more, and the test fails."""


@dataclass(frozen=True)
class Result:
    """How a command ended, and what it printed."""

    exit_code: int
    stdout: str
    stderr: str


def script(name: str) -> str:
    """The path of a command."""
    return str(ROOT / "scripts" / f"{name}.py")


def run_command(name: str, *flags: object, cwd: Path | None = None) -> Result:
    """Run one of `scripts/` in this process: a fresh one spends its time on imports."""
    return run_script(script(name), *flags, cwd=cwd)


def run_script(path: str | Path, *flags: object, cwd: Path | None = None) -> Result:
    """Run a file in this process, as `python FILE FLAGS` does.

    An error that it does not turn into one line fails the test with its traceback.
    """
    out, error, code = io.StringIO(), io.StringIO(), None
    with (
        mock.patch.object(sys, "argv", [str(path), *map(str, flags)]),
        mock.patch.object(sys, "path", [str(Path(path).parent), *sys.path]),
        contextlib.chdir(cwd or Path.cwd()),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(error),
    ):
        try:
            runpy.run_path(str(path), run_name="__main__")
        except SystemExit as stop:
            code = stop.code
    if isinstance(code, str):  # as the interpreter does with `sys.exit("a message")`
        return Result(1, out.getvalue(), f"{error.getvalue()}{code}\n")
    return Result(code or 0, out.getvalue(), error.getvalue())


def start_python(
    *words: object,
    cwd: Path,
    python: str | Path = sys.executable,
    inherited: Mapping[str, str] = os.environ,
    **environment: str,
) -> subprocess.Popen[str]:
    """Start Python with these words, as a file and its flags; what it prints goes to pipes."""
    return subprocess.Popen(
        [str(python), *map(str, words)],
        cwd=cwd,
        env={**inherited, "OMP_NUM_THREADS": "1", **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run_python(*words: object, cwd: Path, **settings: Any) -> Result:
    """Run Python with these words to its end."""
    return end_of(start_python(*words, cwd=cwd, **settings))


def run_alone(
    code: str, *words: object, cwd: Path, path: Sequence[str | Path] = (SITE,), **settings: Any
) -> Result:
    """Run code that sees the packages in `path` alone: no .pth file, so no clone, no network."""
    seen = {"PYTHONPATH": os.pathsep.join(map(str, path)), "HF_HUB_OFFLINE": "1", "HOME": str(cwd)}
    seen |= {"HF_HOME": str(Path(cwd, "hf"))}
    return run_python("-S", "-c", code, *words, cwd=cwd, **{**seen, **settings})


def end_of(process: subprocess.Popen[str]) -> Result:
    """Wait until a process has ended and nothing that it started writes any more."""
    try:
        out, error = process.communicate(timeout=LIMIT)
    except subprocess.TimeoutExpired as late:
        process.kill()
        text = f"no end in {LIMIT} s; it wrote {late.stdout!r} and {late.stderr!r}"
        raise AssertionError(text) from None
    return Result(process.returncode, out, error)


def wait_for(moment: Callable[[], object]) -> None:
    """Look every millisecond whether a moment has come."""
    end = time.monotonic() + LIMIT
    while not moment():
        assert time.monotonic() < end, f"it has not come in {LIMIT} s"
        time.sleep(0.001)


@contextlib.contextmanager
def fork(run: Callable[..., object], *arguments: object) -> Iterator[BaseProcess]:
    """Run a function in a fork of this process, which is killed at the end of the block.

    A fork has imported everything: a fresh process would take most of its time for that.
    """
    process = multiprocessing.get_context("fork").Process(target=run, args=arguments)
    process.start()
    try:
        yield process
    finally:
        process.kill()
        process.join()


def join(process: BaseProcess) -> None:
    """Wait until a fork has ended well."""
    process.join(LIMIT)
    assert process.exitcode == 0, "it failed" if process.exitcode else f"no end in {LIMIT} s"


def kill_fork_when(moment: Callable[[], bool], run: Callable[[], object]) -> None:
    """Run a function in a fork, and kill it at the first look at a moment."""
    with fork(run) as process:
        wait_for(lambda: moment() or not process.is_alive())
        assert process.is_alive() or moment(), "it ended before it was killed"
