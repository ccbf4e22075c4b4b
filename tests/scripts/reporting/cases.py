"""Shared cases: made-up trials, answers to real questions, and cells of a written table."""

from dataclasses import replace

from scripts.core.trial_store import Trial, TrialRecord
from scripts.reporting.answers import Answered
from vsc_dataset import sample
from vsc_dataset.metrics.vsc_error.trivial_baselines import baseline_predictions


def record(seed=0, **changes):
    """A trial with 4.5 % sample error, or what `changes` say."""
    fields = {
        "recipe": "swap-delta",
        "seed": seed,
        "parameters": 26_530,
        "samples": 64_000,
        "samples_to_1pct": None,
        "seconds": 8.5,
        "samples_per_second": 7529.4,
        "split": "validation",
        "questions": 10_000,
        "sample_error_pct": 4.5,
        "mask_error_pct": 1.25,
        "val_loss": 0.03,
        "test_questions": 10_000,
        "test_sample_error_pct": 4.25,
        "test_mask_error_pct": 1.125,
        "versions": {"python": "3.11.9", "torch": "2.11.0"},
        "device": "cpu, 1 threads",
        "planned_samples": changes.get("samples", 64_000),
        "validation_seconds": 1.5,
        "data": "swap-nops1-5",
    }
    return TrialRecord(**{**fields, **changes})


def curve(scale=1.0):
    """Validation points whose errors fall."""
    return [
        {
            "samples": 1000 * i,
            "seconds": i / 7,
            "train_loss": scale / i,
            "val_loss": 1.1 * scale / i,
            "sample_error_pct": 100 / i,
            "mask_error_pct": 78 / i,
        }
        for i in range(1, 21)
    ]


def answered(config, count, baseline="first 4", split="validation"):
    """Questions as a trivial baseline answers them."""
    examples = sample(config, split, range(count))
    questions = examples.questions()
    return Answered(questions, examples.answers(), baseline_predictions(questions)[baseline])


COPY = {"copy": {"mask_error_pct": 77.5}, "guess": {"mask_error_pct": 80.0}}


def kept(seed, sample_error, mask_error=50.0, planned=128, speed=10.0, **details):
    """A trial as it is kept, with what is kept next to it."""
    made = replace(
        record(), recipe="row", seed=seed, sample_error_pct=sample_error, mask_error_pct=mask_error,
        planned_samples=planned, samples=planned, samples_per_second=speed,
    )  # fmt: skip
    return Trial(made, {"floors": COPY, **details})


def training(seed, val_loss, planned=128, to_1pct=64):
    """A trial that did not use all of its questions."""
    made = replace(
        kept(seed, 0.5, planned=planned).record, val_loss=val_loss, seconds=10.0 + seed,
        samples=planned - 28, samples_to_1pct=to_1pct,
    )  # fmt: skip
    return Trial(made, {"from": seed})


def cells(text, row):
    """The cells of a row of a Markdown table, by header."""
    lines = [[c.strip() for c in ln.strip("|").split("|")] for ln in text.splitlines() if "|" in ln]
    (found,) = [line for line in lines if line[0] == row]
    return dict(zip(lines[0], found, strict=True))
