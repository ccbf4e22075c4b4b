"""The command `train.py`, as a process: what a run leaves, jobs, and clear words."""

import json
import resource
import shutil
from importlib.util import find_spec
from pathlib import Path

import pytest
from transformers import AutoModelForMaskedLM

import vsc_models  # noqa: F401  registers the model types
from scripts.core.trial_store import read_records
from scripts.train import push
from scripts.training import loop
from tests.commands import end_of, fork, wait_for
from tests.scripts.training.commands import (
    LAUNCH,
    SHORT,
    TWO,
    children_of,
    curve,
    log,
    start,
    train,
    wait_for_end,
    weights,
)
from tests.vsc_models import own_layers


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    """A finished short run in the default folder, in which nothing is learned yet."""
    folder = tmp_path_factory.mktemp("runs")
    done = train(*SHORT, cwd=folder)
    assert done.exit_code == 0, done.stderr
    assert "by number of operations" in done.stdout
    assert "--warmup-steps 100 is beyond the run's 50 steps" in done.stdout
    return folder / "runs" / "001-swap-delta"


def test_a_run_leaves_what_it_promises(run):
    results = json.loads((run / "results.json").read_text())
    assert list(results)[:5] == ["recipe", "parameters", "split", "questions", "sample_error_pct"]
    assert (results["parameters"], results["questions"]) == (26_642, 200)
    assert set(results["sample_error_pct"]) == {
        "mean", "median", "std", "min", "max", "n", "solved",
    }  # fmt: skip
    (record,) = read_records(run / "trials.jsonl")
    assert (record.samples, record.seed, record.samples_to_1pct) == (3200, 0, None)
    for picture in ("curves.png", "answers.png"):
        assert (run / picture).read_bytes().startswith(b"\x89PNG")
    assert AutoModelForMaskedLM.from_pretrained(run).config.answer_width == 5
    assert not list(run.rglob("*.partial"))
    assert len(curve(run)) == 20


def test_the_log_has_every_point_and_validation_is_told_apart(run):
    lines = log(run)
    assert [line["samples"] for line in lines if "val_loss" in line] == [
        point["samples"] for point in curve(run)
    ]
    assert {line["step"] for line in lines} >= {20, 40, 50}
    assert lines[-1]["learning_rate"] == pytest.approx(50 / 100 * 8e-3)
    (record,) = read_records(run / "trials.jsonl")
    assert record.validation_seconds > 0
    assert record.seconds > 0


def test_a_second_run_takes_the_next_number_and_gives_the_same_bits(run):
    told = ("--report-to", "tensorboard") if find_spec("tensorboard") else ()
    done = train(*SHORT, *told, cwd=run.parents[1])
    assert done.exit_code == 0, done.stderr
    second = run.with_name("002-swap-delta")
    assert weights(run) == weights(second)
    assert curve(run) == curve(second)
    if told:
        (events,) = (second / "seed-0").rglob("events.out.tfevents.*.0")
        assert b"sample_error_pct" in events.read_bytes()


def test_jobs_end_with_their_parent_and_resume_to_the_same_bits(run, tmp_path):
    folder, processes = tmp_path / "jobs", []
    flags = (*SHORT, "--trials", "2", "--jobs", "2", "--output-dir", folder)

    def one_trains() -> bool:
        """The other may still begin: one that trains would end before a slow one has begun."""
        processes[:] = children_of(process.pid)
        return len(processes) >= 2 and any(folder.glob("seed-*/log.jsonl"))

    with fork(lambda: train(*flags, cwd=tmp_path)) as process:
        wait_for(lambda: one_trains() or not process.is_alive())
    wait_for_end(processes)
    assert any(folder.glob("seed-*/checkpoint-*"))
    assert not (folder / "trials.jsonl").exists()
    done = train(*flags, "--jobs", "1", "--resume", cwd=tmp_path)  # in this process: cheaper
    assert done.exit_code == 0, done.stderr
    assert f"{folder}: swap-delta, seeds 0, 1" in done.stdout
    assert sorted(record.seed for record in read_records(folder / "trials.jsonl")) == [0, 1]
    assert weights(folder / "seed-0" / "model") == weights(run)
    assert log(folder) == log(run)
    assert weights(folder / "seed-1" / "model") != weights(run)
    assert json.loads((folder / "results.json").read_text())["sample_error_pct"]["n"] == 2


def test_a_full_disk_is_one_line_and_costs_nothing(run, tmp_path):
    folder, limit = tmp_path / "full", resource.RLIMIT_FSIZE
    before = resource.getrlimit(limit)
    resource.setrlimit(limit, (150_000, before[1]))  # the optimizer needs more
    try:
        done = train(*SHORT, "--output-dir", folder, cwd=tmp_path)
    finally:
        resource.setrlimit(limit, before)
    assert done.exit_code == 1
    assert "cannot be written" in done.stderr
    assert done.stderr.endswith("free space or allow writing, then resume\n")
    assert not list(folder.rglob("*.partial"))
    done = train(*SHORT, "--output-dir", folder, "--resume", cwd=tmp_path)
    assert done.exit_code == 0, done.stderr
    assert weights(folder) == weights(run)


def test_two_processes_learn_as_one(run, tmp_path):
    folder = tmp_path / "two"
    process = start(*SHORT, "--output-dir", folder, cwd=tmp_path, launch=[*LAUNCH, *TWO])
    done = end_of(process)
    assert done.exit_code == 0, done.stderr
    assert done.stdout.count("by number of operations") == 1
    one, two = curve(run), curve(folder)
    assert [point["samples"] for point in one] == [point["samples"] for point in two]
    for a, b in zip(one, two, strict=True):
        assert a["val_loss"] == pytest.approx(b["val_loss"], rel=1e-3)


def test_a_trial_whose_model_is_gone_is_named(run, tmp_path):
    folder = tmp_path / "gone"
    shutil.copytree(run, folder)
    shutil.rmtree(folder / "seed-0")
    done = train(*SHORT, "--output-dir", folder, "--resume", cwd=tmp_path)
    assert "is missing though trials.jsonl lists seed 0" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "line, words",
    [
        ("--recipe swap-dleta", "recipe 'swap-dleta' is unknown: did you mean 'swap-delta'?"),
        ("--max-samples 10", "num_samples (--max-samples) is 10: one step needs batch_size 64"),
        ("--resume", "holds no run of 'swap-delta' to resume"),
        ("--data grid-len5", "split 'train' does not exist here"),
        ("--model llama", "parameters, max_parameters is"),
        (f"--mixer {own_layers.__file__}:Shrinks", "Shrinks gives shape (2, 31, 16) for (2, 31, 3"),
    ],
)
def test_a_mistake_is_one_clear_line_before_anything_is_written(tmp_path, line, words):
    done = train(*SHORT, *line.split(), cwd=tmp_path)
    assert done.exit_code == 1
    assert words in done.stderr
    assert done.stderr.count("\n") == 1
    assert not [*tmp_path.iterdir()]


def test_a_run_is_never_overwritten(run):
    before = (run / "results.json").read_bytes()
    done = train(*SHORT, "--output-dir", run, cwd=run)
    assert "holds a run: add --resume or choose another --output-dir" in done.stderr
    other = train("--recipe", "swap-delta", "--output-dir", run, "--resume", cwd=run)
    assert "holds a run with --max-samples 3200, not 100000" in other.stderr
    assert (run / "results.json").read_bytes() == before


def test_a_push_that_fails_says_that_the_run_is_whole(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("scripts.publishing.hub.push_model", lambda *given: f"pushed {given}")
    push(tmp_path, "a/b", True)
    assert capsys.readouterr().out == f"pushed {(tmp_path, 'a/b', True)}\n"
    monkeypatch.setattr("scripts.publishing.hub.push_model", lambda *_: int("no\nnetwork"))
    with pytest.raises(ValueError, match=r"is whole, but was not pushed to a/b: invalid .*network"):
        push(tmp_path, "a/b", False)


def test_ctrl_c_is_one_line_that_names_the_run(tmp_path, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(loop, "train_step", interrupt)
    done = train(*SHORT, cwd=tmp_path)
    assert done.exit_code == 1
    again = "the same command with --output-dir runs/001-swap-delta --resume goes on"
    assert done.stderr.splitlines()[-1] == f"train: interrupted: {again}"


def test_the_final_evaluation_has_the_size_that_is_named(run, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(run, folder)
    (record,) = read_records(folder / "trials.jsonl")
    assert (record.questions, record.test_questions) == (200, 200)
    more = (*SHORT[:-1], "100", "--trials", "2", "--output-dir", folder, "--resume")
    done = train(*more, cwd=tmp_path)
    assert "has trials evaluated on 200 samples, not 100: give --final-samples 200" in done.stderr
