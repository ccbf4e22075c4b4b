"""Shared cases: records of made-up trials and answers to real questions."""

from scripts.reporting.records import TrialRecord
from scripts.reporting.report import Answered
from vsc_dataset import sample
from vsc_dataset.metrics.vsc_error.floors import floor_predictions


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


def answered(config, count, floor="first 4"):
    """Validation questions as a floor answers them."""
    examples = sample(config, "validation", range(count))
    questions = examples.questions()
    return Answered(questions, examples.answers(), floor_predictions(questions)[floor])
