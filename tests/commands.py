"""Run a command of this project: in this process, or as a process of its own."""

import contextlib
import io
import multiprocessing
import os
import runpy
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

ROOT = Path(__file__).parents[1]


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


def start_python(*words: object, cwd: Path, **environment: str) -> subprocess.Popen[str]:
    """Start Python with these words, as a file and its flags; what it prints goes to pipes."""
    return subprocess.Popen(
        [sys.executable, *map(str, words)],
        cwd=cwd,
        env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run_python(*words: object, cwd: Path, **environment: str) -> Result:
    """Run Python with these words to its end."""
    process = start_python(*words, cwd=cwd, **environment)
    out, error = process.communicate()
    return Result(process.returncode, out, error)


def kill_fork_when(moment: Callable[[], bool], run: Callable[[], object]) -> None:
    """Run a function in a fork of this process, and kill it at the first look at a moment.

    A fork has imported everything: a fresh process would take most of its time for that.
    """
    process = multiprocessing.get_context("fork").Process(target=run)
    process.start()
    try:
        while not moment():
            process.join(0.001)
            assert process.is_alive() or moment(), "it ended before it was killed"
    finally:
        process.kill()
        process.join()
