"""Folders of runs: the newest is resumed, nothing torn counts, nothing blocks a second try."""

import json
import os
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from scripts.reporting.records import REQUIRED, TrialRecord, read_records, summarise
from scripts.training import jobs, runs
from scripts.training.jobs import Outcome, Task
from scripts.training.recipes import find_recipe
from scripts.training.runs import open_run, run_trials
from scripts.training.trials import Paused, Settings

RECIPE = find_recipe("swap-delta")
ROOT = Path(__file__).parents[3]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_runs_are_numbered_past_999_and_the_newest_is_resumed(folder):
    for number in ("001", "999", "1000"):
        (folder / "runs" / f"{number}-swap-delta").mkdir(parents=True)
    assert open_run(RECIPE, None, [0], False)[0].name == "1001-swap-delta"
    assert open_run(RECIPE, None, [0], False)[0].name == "1002-swap-delta"
    assert open_run(RECIPE, None, None, True)[0].name == "1002-swap-delta"


def test_a_resumed_run_keeps_its_seeds_and_takes_more(folder):
    assert open_run(RECIPE, folder / "a", [3, 4], False)[1] == [3, 4]
    assert open_run(RECIPE, folder / "a", None, True)[1] == [3, 4]
    assert open_run(RECIPE, folder / "a", [4, 5], True)[1] == [3, 4, 5]
    assert open_run(RECIPE, folder / "a", None, True)[1] == [3, 4, 5]


def test_a_kill_while_the_run_is_opened_blocks_nothing(folder):
    (folder / "a").mkdir()
    (folder / "a" / "run.json.partial").write_text('{"rec')
    assert open_run(RECIPE, folder / "a", None, False)[1] == [0]


def test_a_torn_run_file_is_named(folder):
    (folder / "a").mkdir()
    (folder / "a" / "run.json").write_text('{"rec')
    with pytest.raises(ValueError, match=r"run\.json is no JSON"):
        open_run(RECIPE, folder / "a", None, True)


def test_a_folder_that_cannot_be_written_is_named(folder):
    (folder / "file").write_text("")
    with pytest.raises(ValueError, match=r"file/a cannot be written \(Not a directory\): choose"):
        open_run(RECIPE, folder / "file" / "a", [0], False)


def test_a_run_that_is_older_than_a_field_is_resumed(folder):
    open_run(RECIPE, folder / "a", [3], False)
    path = folder / "a" / "run.json"
    run = json.loads(path.read_text())
    del run["recipe"]["mixed_precision"], run["recipe"]["mixer_args"]
    path.write_text(json.dumps(run))
    assert open_run(RECIPE, folder / "a", None, True)[1] == [3]
    other = replace(RECIPE, mixed_precision="bf16")
    with pytest.raises(ValueError, match="holds a run with mixed_precision 'no', not 'bf16'"):
        open_run(other, folder / "a", None, True)


def test_lines_that_are_older_than_a_field_are_read_and_summarised():
    records = read_records(ROOT / "hub_cards" / "results" / "swap-delta.jsonl")
    old = [replace(line, planned_samples=None, validation_seconds=None) for line in records]
    lines = [{k: v for k, v in asdict(line).items() if v is not None} for line in old]
    path = Path("trials.jsonl")
    path.write_text("".join(json.dumps({"samples_to_1pct": None} | line) + "\n" for line in lines))
    assert read_records(path) == old
    assert summarise(old)["samples"] == 80_000
    stopped = replace(old[1], samples=6400, planned_samples=80_000)
    assert summarise([old[0], stopped])["samples"] == 80_000


def record(seed: int) -> TrialRecord:
    """A finished trial."""
    words = {"recipe": "x", "seed": seed, "split": "validation", "versions": {}, "device": "cpu"}
    return TrialRecord(**{name: 0 for name in REQUIRED if name not in words}, **words)


@pytest.mark.parametrize("error", [ValueError("the loss is nan"), OSError("full"), Paused("x")])
def test_a_trial_that_fails_is_named_and_the_others_are_kept(folder, monkeypatch, error):
    found = {0: record(0), 1: error, 2: record(2)}
    asked = []

    def attempt(recipe, task, settings):
        asked.append(task.seed)
        return Outcome(task.seed, found[task.seed])

    monkeypatch.setattr(runs, "attempt", attempt)
    words = "seed 1: the loss is nan" if isinstance(error, ValueError) else str(error)
    with pytest.raises(type(error), match=words):
        run_trials(RECIPE, folder, [0, 1, 2])
    # No room and no time end the run; what is wrong with one trial does not.
    kept = [0, 2] if isinstance(error, ValueError) else [0]
    assert [record.seed for record in read_records(folder / "trials.jsonl")] == kept
    found[1] = record(1)
    asked.clear()
    assert [found.seed for found in run_trials(RECIPE, folder, [0, 1, 2])] == [0, 1, 2]
    assert asked == [seed for seed in (0, 1, 2) if seed not in kept]


def test_a_job_that_dies_is_named(folder, monkeypatch):
    monkeypatch.setattr(jobs, "_work", die)
    (outcome,) = jobs.run_jobs(RECIPE, [Task(3, folder, "x")], 2, Settings())
    assert outcome.seed == 3
    assert "its process died with exit code 7: go on with --resume" in str(outcome.found)


def die(*_) -> None:
    """What a process does that the kernel ends for its memory."""
    os._exit(7)
