"""Signals: a trial ends with a checkpoint, goes on to the same bits, and leaves no process."""

import os
import random
import signal
from pathlib import Path

import pytest

from scripts.training import loop, trial_result
from tests.commands import end_of, wait_for
from tests.scripts.training.commands import (
    LAUNCH,
    SHORT,
    TWO,
    check_resumes,
    children_of,
    log,
    start,
    train,
    wait_for_end,
    whole_run,
)

DROPOUT = """
import torch
def make():
    return torch.nn.Sequential(
        torch.nn.Embedding(256, 8), torch.nn.Dropout(0.5), torch.nn.Linear(8, 256)
    )
"""
SIZES = ("--max-samples", "3200", "--num-validations", "2", "--samples-per-validation", "100")


@pytest.fixture(scope="module")
def flags(tmp_path_factory) -> tuple[str, ...]:
    """A model that draws random numbers as it trains."""
    path = tmp_path_factory.mktemp("model") / "model.py"
    path.write_text(DROPOUT)
    return ("--recipe", "swap-delta", "--model", f"{path}:make", *SIZES, "--final-samples", "50")


@pytest.fixture(scope="module")
def whole(tmp_path_factory, flags) -> Path:
    """A run that was left alone."""
    return whole_run(flags, tmp_path_factory)


def at_call(monkeypatch, module, name: str, count: int, number: int) -> None:
    """Send this process a signal at a call of a function."""
    original, calls = getattr(module, name), []

    def signalled(*arguments):
        calls.append(None)
        if len(calls) == count:
            os.kill(os.getpid(), number)
        return original(*arguments)

    monkeypatch.setattr(module, name, signalled)


@pytest.mark.parametrize(
    "command",
    [
        "reproduce ladder --rows swap-delta-level-1 --max-samples 640 --trials 1 "
        "--hub-cards hub --output-dir runs",
        "scorecard --recipe swap-delta --quick --output-dir runs",
    ],
)
def test_a_signal_ends_the_other_commands_that_train_with_a_checkpoint(
    tmp_path, monkeypatch, command
):
    at_call(monkeypatch, loop, "train_step", 4, signal.SIGTERM)
    name, *flags = command.split()
    done = train(*flags, cwd=tmp_path, command=name)
    assert done.exit_code == 128 + signal.SIGTERM, done.stderr
    assert "paused after step 4" in done.stdout
    assert [*(tmp_path / "runs").rglob("checkpoint-00000004/progress.txt")]


@pytest.mark.parametrize(
    "module, name, count, number, checkpoint",
    [
        (loop, "train_step", 7, signal.SIGTERM, 7),  # between two lines of the log
        (loop, "train_step", 40, signal.SIGUSR1, 40),  # at one
        (loop, "validate", 1, signal.SIGTERM, 25),
        (trial_result, "measure_shared", 1, signal.SIGTERM, 50),  # trained: nothing to save
    ],
)
def test_a_signal_ends_with_a_checkpoint_and_resumes_to_the_same_bits(
    whole, flags, tmp_path, monkeypatch, module, name, count, number, checkpoint
):
    folder = tmp_path / "run"
    with monkeypatch.context() as patch:
        at_call(patch, module, name, count, number)
        done = train(*flags, "--output-dir", folder, cwd=tmp_path)
    assert done.exit_code == 128 + number, done.stderr
    assert done.stdout.endswith(f"the same command with --output-dir {folder} --resume goes on\n")
    assert (folder / "seed-0" / f"checkpoint-{checkpoint:08d}").exists()
    check_resumes(folder, whole, flags)


@pytest.mark.parametrize(
    "launch",
    [
        pytest.param(LAUNCH, id="one"),
        pytest.param([*LAUNCH, *TWO], id="two", marks=pytest.mark.soak),
    ],
)
def test_training_ends_with_its_launcher(tmp_path, launch):
    folder = tmp_path / "run"
    long = (*SHORT, "--max-samples", "640000", "--output-dir", folder)  # minutes
    launcher = start(*long, cwd=tmp_path, launch=launch)
    wait_for(lambda: (folder / "seed-0" / "log.jsonl").exists() or launcher.poll() is not None)
    children = children_of(launcher.pid)
    launcher.kill()
    wait_for_end(children)
    done = end_of(launcher)
    assert "--resume goes on\n" in done.stdout, done.stderr
    newest = max(folder.glob("seed-0/checkpoint-*"))
    assert int(newest.name[-8:]) >= log(folder)[-1]["step"]


@pytest.fixture(scope="module")
def longer(tmp_path_factory, flags) -> tuple[Path, tuple[str, ...]]:
    """A run of a thousand steps that was left alone, and its flags."""
    more = (*flags, "--max-samples", "64000")
    return whole_run(more, tmp_path_factory), more


@pytest.mark.soak
@pytest.mark.parametrize("launch", [(), LAUNCH], ids=["alone", "launched"])
@pytest.mark.parametrize("seed", range(10))
def test_any_signal_resumes_to_the_same_bits(tmp_path, longer, launch, seed):
    whole, flags = longer
    generator = random.Random(seed)
    lines, extra, looks = generator.randrange(len(log(whole))), generator.randrange(50), []
    folder = tmp_path / "run"
    path = folder / "seed-0" / "log.jsonl"
    process = start(*flags, "--output-dir", folder, cwd=tmp_path, launch=launch)

    def moment() -> bool:
        if path.exists() and path.read_bytes().count(b"\n") >= lines:
            looks.append(None)
        return len(looks) > extra or process.poll() is not None

    wait_for(moment)
    children = children_of(process.pid)
    process.terminate()
    done = end_of(process)
    wait_for_end(children)
    newest = max((int(one.name[-8:]) for one in folder.glob("seed-0/checkpoint-*")), default=0)
    print(f"told after line {lines}, checkpoint at step {newest}, code {done.exit_code}")
    if not (folder / "results.json").exists():  # it came before the end
        assert "--resume goes on\n" in done.stdout, done.stderr
        assert newest >= log(folder)[-1]["step"]
    check_resumes(folder, whole, flags)
