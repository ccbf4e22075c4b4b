"""Folders of runs: the newest is resumed, nothing torn counts, nothing blocks a second try."""

import json
import multiprocessing
import os
import signal
from dataclasses import replace
from pathlib import Path, PosixPath

import pytest
from tqdm import tqdm

from scripts.core.trial_store import TrialRecord, read_records
from scripts.training import jobs, runs
from scripts.training.distributed import make_accelerator
from scripts.training.recipes import find_recipe
from scripts.training.signals import STOP
from scripts.training.train_state import Job, Paused, RunOptions
from tests.commands import LIMIT, fork, join, wait_for
from tests.scripts.reporting.cases import record as made

RECIPE = find_recipe("swap-delta")
ACCELERATOR = make_accelerator()
ROOT = Path(__file__).parents[3]


def open_run(recipe, folder, seeds, resume):
    return runs.open_run(recipe, folder, seeds, resume, ACCELERATOR)


def run_trials(recipe, folder, seeds, jobs=1):
    return [*runs.each_trial(recipe, folder, seeds, ACCELERATOR, jobs)]


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
    (folder / "a").mkdir()
    (folder / "a" / "run.json.partial").write_text('{"rec')  # a kill blocks nothing
    assert open_run(RECIPE, folder / "a", [3, 4], False)[1] == [3, 4]
    assert open_run(RECIPE, folder / "a", None, True)[1] == [3, 4]
    assert open_run(RECIPE, folder / "a", [4, 5], True)[1] == [3, 4, 5]
    assert open_run(RECIPE, folder / "a", None, True)[1] == [3, 4, 5]


def test_a_folder_that_cannot_be_written_is_named(folder):
    (folder / "file").write_text("")
    for path, reason in (("file/a", "Not a directory"), ("file", "File exists")):
        with pytest.raises(ValueError, match=rf"{path} cannot be written \({reason}\): choose"):
            open_run(RECIPE, folder / path, [0], False)


def test_a_run_that_is_older_than_a_field_is_resumed(folder):
    open_run(RECIPE, folder / "a", [3], False)
    path = folder / "a" / "run.json"
    run = json.loads(path.read_text())
    del run["recipe"]["mixed_precision"], run["recipe"]["mixer_args"]
    path.write_text(json.dumps(run))
    new = replace(RECIPE, description="of the same run")
    assert open_run(new, folder / "a", None, True)[1] == [3]
    other = replace(RECIPE, mixed_precision="bf16")
    with pytest.raises(ValueError, match="holds a run with --mixed-precision 'no', not 'bf16'"):
        open_run(other, folder / "a", None, True)


def record(seed: int) -> TrialRecord:
    """A finished trial."""
    return made(seed, questions=RECIPE.config.num_validation)


@pytest.mark.parametrize("error", [ValueError("the loss is nan"), OSError("full"), Paused("x")])
def test_a_trial_that_fails_is_named_and_the_others_are_kept(folder, monkeypatch, error):
    found = {0: record(0), 1: error, 2: record(2)}
    trained = []

    def run_trial(job, *_):
        trained.append(job.seed)
        if isinstance(found[job.seed], Exception):
            raise found[job.seed]
        return found[job.seed]

    monkeypatch.setattr(jobs, "run_trial", run_trial)
    words = str(error) if isinstance(error, Paused) else f"seed 1: {error}"
    with pytest.raises(type(error), match=words):
        run_trials(RECIPE, folder, [0, 1, 2])
    # No room and no time end the run; what is wrong with one trial does not.
    kept = [0, 2] if isinstance(error, ValueError) else [0]
    assert [record.seed for record in read_records(folder / "trials.jsonl")] == kept
    found[1] = record(1)
    trained.clear()
    assert {found.seed for found in run_trials(RECIPE, folder, [0, 1, 2])} == {0, 1, 2}
    assert trained == [seed for seed in (0, 1, 2) if seed not in kept]


@pytest.fixture
def forks(monkeypatch):
    """Let jobs be forks, which see what a test has replaced; fresh processes import for long."""
    monkeypatch.setattr(jobs, "get_context", lambda _: multiprocessing.get_context("fork"))


def test_a_job_that_dies_is_a_failed_trial_and_the_others_are_kept(folder, monkeypatch, forks):
    def run_trial(job, *_):
        assert tqdm.get_lock().acquire(timeout=5)
        return os._exit(7) if job.seed == 1 else record(job.seed)  # as for its memory

    monkeypatch.setattr(jobs, "run_trial", run_trial)
    with pytest.raises(
        ValueError, match=r"^seed 1: its process died with exit code 7: resumed, it"
    ):
        run_trials(RECIPE, folder, [0, 1, 2, 3], jobs=2)
    kept = read_records(folder / "trials.jsonl")
    assert sorted(found.seed for found in kept) == [0, 2, 3]


def test_a_signal_ends_all_jobs_after_their_checkpoints(folder, monkeypatch, forks):
    def run_trial(job, *_):
        with STOP.training():
            (folder / f"{job.seed} begun").touch()
            wait_for(STOP.requested)
            (folder / f"{job.seed} checkpoint").touch()
        raise Paused("paused")

    def run_two():
        STOP.listen()
        [*jobs.run_in_processes([Job(RECIPE, seed, folder) for seed in (0, 1)], 2, RunOptions())]

    monkeypatch.setattr(jobs, "run_trial", run_trial)
    with fork(run_two) as process:
        wait_for(lambda: len([*folder.glob("* begun")]) == 2)
        process.terminate()
        process.join(LIMIT)
        assert process.exitcode == 128 + signal.SIGTERM
    assert len([*folder.glob("* checkpoint")]) == 2


def test_jobs_that_run_at_the_deadline_reach_their_own_checkpoint(folder, monkeypatch, forks):
    def run_trial(job, *_):
        if job.seed == 1:  # has the longer way to its checkpoint
            assert go.wait(LIMIT)
        raise Paused(f"{job.seed} paused")

    monkeypatch.setattr(jobs, "run_trial", run_trial)
    go = multiprocessing.get_context("fork").Event()
    todo = [Job(RECIPE, seed, folder) for seed in (0, 1, 2)]
    outcomes = jobs.run_in_processes(todo, 2, RunOptions())
    first, result = next(outcomes)
    assert (first.seed, str(result)) == (0, "0 paused")
    go.set()
    assert [(job.seed, str(result)) for job, result in outcomes] == [(1, "1 paused")]


def test_what_ends_after_a_pause_is_kept(folder, monkeypatch):
    results = [Paused("one"), record(1), Paused("two")]
    found = [(Job(RECIPE, seed, folder), one) for seed, one in enumerate(results)]
    monkeypatch.setattr(runs, "run_jobs", lambda *_: iter(found))
    with pytest.raises(Paused, match=r"^one; two$"):
        run_trials(RECIPE, folder, [0, 1, 2], jobs=2)
    assert [found.seed for found in read_records(folder / "trials.jsonl")] == [1]


def test_checkpoints_that_a_kill_after_the_record_left_are_removed(folder, monkeypatch):
    monkeypatch.setattr(jobs, "run_trial", lambda job, *_: record(job.seed))
    run_trials(RECIPE, folder, [0, 1])
    for seed in (0, 1):
        (folder / f"seed-{seed}" / "checkpoint-00000020").mkdir(parents=True)
    run_trials(RECIPE, folder, [0, 1])
    assert not list(folder.glob("*/checkpoint-*"))


def test_a_layer_file_that_has_changed_is_named(folder):
    file = folder / "layer.py"
    file.write_text("one")
    for kind, recipe in (
        ("mixer", replace(RECIPE, mixer=f"{file}:Layer")),
        ("model", replace(RECIPE, model=f"{file}:make", model_args={})),
    ):
        file.write_text("one")
        open_run(recipe, folder / kind, [0], False)
        assert open_run(recipe, folder / kind, None, True)[1] == [0]
        file.write_text("two")
        with pytest.raises(ValueError, match=r"layer\.py: the layer's file has changed since"):
            open_run(recipe, folder / kind, None, True)


def test_a_number_that_another_run_has_just_taken_is_left_to_it(folder, monkeypatch):
    (folder / "runs" / "001-swap-delta").mkdir(parents=True)

    class Unlisted(PosixPath):
        def glob(self, pattern):
            return iter(())

    monkeypatch.setattr(runs, "RUNS", Unlisted("runs"))
    assert open_run(RECIPE, None, [0], False)[0].name == "002-swap-delta"


DAMAGED_RUNS = [
    "{}", "[]", '{"recipe": {}}', '{"rec', "null", "\0", '{"recipe": "x", "seeds": [0]}',
    '{"recipe": {}, "seeds": [0]}', '{"recipe": RECIPE, "seeds": "12"}',
    '{"recipe": RECIPE, "seeds": [1.5]}', '{"recipe": RECIPE, "seeds": [0], "code": 1}',
    "[" * 100_000,
]  # fmt: skip


@pytest.mark.parametrize("content", DAMAGED_RUNS, ids=range(len(DAMAGED_RUNS)))
def test_a_damaged_run_file_is_named(folder, content):
    (folder / "a").mkdir()
    content = content.replace("RECIPE", json.dumps(RECIPE.to_json()))
    (folder / "a" / "run.json").write_text(content)
    with pytest.raises(ValueError, match=r"run\.json: .*: choose another --output-dir$"):
        open_run(RECIPE, folder / "a", None, True)


DAMAGED_CURVES = ["", "{", "null", "[7]", "[{}]", '{"a": 1}', '[{"samples": "x"}]', "[" * 100_000]


@pytest.mark.parametrize("content", DAMAGED_CURVES, ids=range(len(DAMAGED_CURVES)))
def test_a_damaged_curve_is_named(folder, content):
    (folder / "seed-3" / "model").mkdir(parents=True)
    (folder / "seed-3" / "model" / "curve.json").write_text(content)
    with pytest.raises(ValueError, match=r"curve\.json is not as it was .*: delete the line of"):
        runs.read_curve(folder, 3)


def test_a_run_is_trained_by_one_process_at_a_time(folder):
    ours, theirs = multiprocessing.Pipe()

    def open_and_wait():
        open_run(RECIPE, folder / "a", [0], False)
        theirs.send("open")
        theirs.recv()

    with fork(open_and_wait) as other:
        assert ours.poll(LIMIT), "it has not begun"
        with pytest.raises(ValueError, match="a is being trained by another process: wait for"):
            open_run(RECIPE, folder / "a", None, True)
        ours.send("end")
        join(other)
    assert open_run(RECIPE, folder / "a", None, True)[1] == [0]
