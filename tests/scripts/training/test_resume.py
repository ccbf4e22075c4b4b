"""Killed at any moment, `--resume` ends with the bits of a run that was left alone."""

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.commands import kill_fork_when
from tests.scripts.training.commands import check_resumes, log, train, whole_run

LONG = ("--recipe", "swap-delta", "--max-samples", "5120", "--num-validations", "3")
LONG = (*LONG, "--samples-per-validation", "4000")  # so that a validation takes a while
LONG = (*LONG, "--final-samples", "200", "--curriculum", "0:1", "0.4:1-5")


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    """A run that was left alone."""
    return whole_run(LONG, tmp_path_factory)


def lines(folder: Path) -> int:
    """Lines in the log as it is now."""
    path = folder / "seed-0" / "log.jsonl"
    return path.read_bytes().count(b"\n") if path.exists() else 0


def kill_when(folder: Path, moment: Callable[[], bool], *flags: str) -> None:
    """Begin a run and kill it at the first look at which the moment has come."""
    command = (*LONG, "--output-dir", folder, *flags)
    kill_fork_when(moment, lambda: train(*command, cwd=folder.parent))


def checkpoints(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("seed-0/checkpoint-*"))


def test_a_run_in_pieces_and_killed_three_times_ends_with_the_same_bits(whole, tmp_path):
    folder, looks = tmp_path / "killed", []
    first = train(*LONG, "--output-dir", folder, "--max-minutes", "0.001", cwd=tmp_path)
    assert first.exit_code == 0, first.stderr
    assert f"--output-dir {folder} --resume goes on" in first.stdout
    assert lines(folder) == 1
    assert checkpoints(folder) == ["checkpoint-00000020"]

    begun = (folder / "seed-0" / "log.jsonl").stat().st_ino

    def validating() -> bool:
        """Seven steps after the resumed log are long past, and their point is not there."""
        if (folder / "seed-0" / "log.jsonl").stat().st_ino != begun:
            looks.append(None)
        return len(looks) > 300

    def saving() -> bool:
        return bool(list(folder.glob("seed-0/checkpoint-*.partial")))

    def training() -> bool:
        return lines(folder) == 4

    for moment in (validating, saving, training):
        kill_when(folder, moment, "--resume")
        assert not (folder / "trials.jsonl").exists()
    check_resumes(folder, whole, LONG)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(20))
def test_any_kill_resumes_to_the_same_bits(whole, tmp_path, seed):
    generator = random.Random(seed)
    wanted, extra = generator.randrange(len(log(whole)) + 1), generator.randrange(400)
    folder, looks = tmp_path / "killed", []

    def moment() -> bool:
        if lines(folder) >= wanted:
            looks.append(None)
        return len(looks) > extra or (folder / "results.json").exists()

    kill_when(folder, moment)
    if not (folder / "run.json").exists():  # killed before there was anything to go on with
        train(*LONG, "--output-dir", folder, cwd=tmp_path)
    check_resumes(folder, whole, LONG)
