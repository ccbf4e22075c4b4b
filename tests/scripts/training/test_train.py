"""The command `train.py`, as a process: what a run leaves, resuming, and clear words."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file
from transformers import AutoModelForMaskedLM

import vsc_models  # noqa: F401  registers the model types
from scripts.reporting.records import read_records

ROOT = Path(__file__).parents[3]
SHORT = ("--recipe", "swap-delta", "--max-samples", "3200")


def command(*flags: str) -> list[str]:
    """`train.py` as `accelerate launch` starts it for one process."""
    return [sys.executable, str(ROOT / "scripts" / "train.py"), *map(str, flags)]


def train(*flags: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run the command to its end."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(command(*flags), cwd=cwd, env=environment, capture_output=True, text=True)


def curve(folder: Path) -> list[dict]:
    """The curve of seed 0 without its clock."""
    points = json.loads((folder / "seed-0" / "model" / "curve.json").read_text())
    return [{k: v for k, v in point.items() if k != "seconds"} for point in points]


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    """A finished short run in the default folder, in which nothing is learned yet."""
    folder = tmp_path_factory.mktemp("runs")
    done = train(*SHORT, cwd=folder)
    assert done.returncode == 0, done.stderr
    assert "by number of operations" in done.stdout
    return folder


def test_a_run_leaves_what_it_promises(run):
    folder = run / "runs" / "001-swap-delta"
    results = json.loads((folder / "results.json").read_text())
    assert list(results)[:5] == ["recipe", "parameters", "split", "questions", "sample_error_pct"]
    assert (results["parameters"], results["questions"]) == (26_114, 10_000)
    assert set(results["sample_error_pct"]) == {
        "mean", "median", "std", "min", "max", "n", "solved",
    }  # fmt: skip
    (record,) = read_records(folder / "trials.jsonl")
    assert (record.samples, record.seed, record.samples_to_1pct) == (3200, 0, None)
    for picture in ("curves.png", "answers.png"):
        assert (folder / picture).read_bytes().startswith(b"\x89PNG")
    assert AutoModelForMaskedLM.from_pretrained(folder).config.answer_width == 5
    assert not list(folder.rglob("*.partial"))
    assert len(curve(folder)) == 20


def test_a_second_run_takes_the_next_number_and_gives_the_same_bits(run):
    assert train(*SHORT, cwd=run).returncode == 0
    first, second = (run / "runs" / f"{n:03d}-swap-delta" for n in (1, 2))
    assert (first / "model.safetensors").read_bytes() == (second / "model.safetensors").read_bytes()
    assert curve(first) == curve(second)


def test_a_killed_run_resumes_to_the_same_bits(run, tmp_path):
    folder = tmp_path / "killed"
    process = subprocess.Popen(
        command(*SHORT, "--output-dir", folder),
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    # The bar shows an error only after the first validation, behind which a checkpoint follows.
    seen = b""
    while b"sample error" not in seen:
        chunk = process.stderr.read1(4096)
        assert chunk, seen
        seen += chunk
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stderr.close()
    assert not (folder / "trials.jsonl").exists()
    assert list((folder / "seed-0").glob("checkpoint-*"))
    done = train(*SHORT, "--output-dir", folder, "--resume", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    whole = run / "runs" / "001-swap-delta"
    assert (whole / "model.safetensors").read_bytes() == (folder / "model.safetensors").read_bytes()
    assert curve(whole) == curve(folder)


def test_two_processes_learn_as_one(run, tmp_path):
    folder = tmp_path / "two"
    launch = [sys.executable, "-m", "accelerate.commands.launch", "--quiet", "--multi_gpu"]
    ranks = ["--num_processes", "2", "--main_process_port", "0"]
    done = subprocess.run(
        [*launch, *ranks, *command(*SHORT, "--output-dir", folder)[1:]],
        cwd=tmp_path,
        env={**os.environ, "OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("by number of operations") == 1
    one, two = curve(run / "runs" / "001-swap-delta"), curve(folder)
    assert [point["samples"] for point in one] == [point["samples"] for point in two]
    for a, b in zip(one, two, strict=True):
        assert a["val_loss"] == pytest.approx(b["val_loss"], rel=1e-3)
    weights = [
        load_file(path / "model.safetensors") for path in (run / "runs" / "001-swap-delta", folder)
    ]
    for name, weight in weights[0].items():
        np.testing.assert_allclose(weights[1][name], weight, atol=2e-3)


def test_seeds_differ_in_weights_and_share_the_questions(run, tmp_path):
    folder = tmp_path / "two"
    short = ("--recipe", "swap-delta", "--max-samples", "640", "--trials", "2", "--seed", "3")
    assert train(*short, "--output-dir", folder, cwd=tmp_path).returncode == 0
    assert [record.seed for record in read_records(folder / "trials.jsonl")] == [3, 4]
    a, b = (load_file(folder / f"seed-{seed}" / "model" / "model.safetensors") for seed in (3, 4))
    assert any((a[name] != b[name]).any() for name in a)
    short = short[:4]
    assert train(*short, "--output-dir", folder, "--resume", cwd=tmp_path).returncode == 0
    assert [record.seed for record in read_records(folder / "trials.jsonl")] == [3, 4]
    assert json.loads((folder / "results.json").read_text())["sample_error_pct"]["n"] == 2


def test_a_trial_whose_model_is_gone_is_named(run, tmp_path):
    folder = tmp_path / "gone"
    shutil.copytree(run / "runs" / "001-swap-delta", folder)
    shutil.rmtree(folder / "seed-0")
    done = train(*SHORT, "--output-dir", folder, "--resume", cwd=tmp_path)
    assert "is missing though trials.jsonl lists seed 0" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "flags, words",
    [
        (("--recipe", "swap-dleta"), "recipe 'swap-dleta' is unknown: did you mean 'swap-delta'?"),
        ((*SHORT, "--data", "swap-nop5"), "did you mean 'swap-nops5'?"),
        ((*SHORT, "--trials", "0"), "--trials 0 must be 1 or more"),
        ((*SHORT, "--resume"), "holds no run of 'swap-delta' to resume"),
        (("--recipe", "swap-delta", "--max-samples", "10"), "one step needs batch_size 64"),
        ((*SHORT, "--bogus", "1"), "--bogus"),
        ((*SHORT, "--data", "grid-len5"), "split 'train' does not exist here"),
    ],
)
def test_a_mistake_is_one_clear_line(tmp_path, flags, words):
    done = train(*flags, cwd=tmp_path)
    assert done.returncode != 0
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "runs").exists()


def test_a_run_is_never_overwritten(run):
    folder = run / "runs" / "001-swap-delta"
    before = (folder / "results.json").read_bytes()
    done = train(*SHORT, "--output-dir", folder, cwd=run)
    assert "holds a run: add --resume or choose another --output-dir" in done.stderr
    other = train("--recipe", "swap-delta", "--output-dir", folder, "--resume", cwd=run)
    assert "holds a run with num_samples 3200, not 80000" in other.stderr
    assert (folder / "results.json").read_bytes() == before


def test_several_processes_that_do_not_know_each_other_are_refused(tmp_path):
    environment = {**os.environ, "WORLD_SIZE": "2"}
    done = subprocess.run(
        command(*SHORT), cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert done.returncode != 0
    assert "2 processes were launched but accelerate sees 1" in done.stderr
