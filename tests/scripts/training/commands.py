"""The command `train.py`, in this process and as processes of its own."""

import json
import signal
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
import torch

from scripts.training.runs import LOCKS
from scripts.training.signals import SIGNALS, STOP
from tests.commands import Result, run_command, script, start_python, wait_for

SHORT = ("--recipe", "swap-delta", "--max-samples", "3200", "--final-samples", "200")
LAUNCH = ["-m", "accelerate.commands.launch", "--quiet"]
TWO = ["--multi_gpu", "--num_processes", "2", "--main_process_port", "0"]


def train(*flags: str | Path, cwd: Path, command: str = "train") -> Result:
    """Run a command that trains in this process, on one thread, and leave nothing of it after."""
    threads, before = torch.get_num_threads(), {one: signal.getsignal(one) for one in SIGNALS}
    torch.set_num_threads(1)
    try:
        return run_command(command, *flags, cwd=cwd)
    finally:
        torch.set_num_threads(threads)
        STOP.number = 0
        while LOCKS:
            LOCKS.popitem()[1].release()
        for one, handler in before.items():
            signal.signal(one, handler)


def start(*flags: str | Path, cwd: Path, launch: Sequence[str] = ()) -> subprocess.Popen[str]:
    """Start the command, with a launcher if there is one."""
    more = {"ACCELERATE_USE_CPU": "true"} if launch else {}
    words = (*launch, script("train"), *flags)
    return start_python(*words, cwd=cwd, TQDM_MININTERVAL="60", **more)  # the pipes stay empty


def points(path: Path) -> list[dict]:
    """The lines of a log.jsonl or the points of a curve.json, without their clocks."""
    text = path.read_text()
    found = json.loads(text) if path.suffix == ".json" else map(json.loads, text.splitlines())
    return [{k: v for k, v in point.items() if k != "seconds"} for point in found]


def curve(folder: Path) -> list[dict]:
    """The curve of seed 0."""
    return points(folder / "seed-0" / "model" / "curve.json")


def log(folder: Path, seed: int = 0) -> list[dict]:
    """The log of a trial."""
    return points(folder / f"seed-{seed}" / "log.jsonl")


def weights(folder: Path) -> bytes:
    """The bytes of a model's weights."""
    return (folder / "model.safetensors").read_bytes()


def whole_run(flags: Sequence[str], factory: pytest.TempPathFactory) -> Path:
    """Make a run that is left alone."""
    folder = factory.mktemp("whole") / "run"
    done = train(*flags, "--output-dir", folder, cwd=folder.parent)
    assert done.exit_code == 0, done.stderr
    return folder


def check_resumes(folder: Path, whole: Path, flags: Sequence[str]) -> None:
    """Resume, and compare every bit that is not a clock."""
    done = train(*flags, "--output-dir", folder, "--resume", cwd=folder.parent)
    assert done.exit_code == 0, done.stderr
    assert "left out" not in done.stderr
    assert weights(folder) == weights(whole)
    assert log(folder) == log(whole)
    assert curve(folder) == curve(whole)
    assert not [*folder.rglob("*.partial"), *folder.rglob("checkpoint-*")]


def children_of(process: int) -> list[psutil.Process]:
    """A process's children, theirs included."""
    with suppress(psutil.NoSuchProcess):
        return psutil.Process(process).children(recursive=True)
    return []


def wait_for_end(processes: list[psutil.Process]) -> None:
    """Wait until processes have ended that may be nobody's children."""
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            wait_for(lambda one=process: one.status() == psutil.STATUS_ZOMBIE)
