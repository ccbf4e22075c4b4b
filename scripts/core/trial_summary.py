"""Aggregate the trials of a setting: the median one, spreads over all, samples to an error."""

import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from scripts.core.trial_store import SETTING, TrialRecord

SOLVED_PCT = 1.0
"""A trial with at most this sample error, in percent, counts as solved."""

SPREAD = (
    "sample_error_pct", "mask_error_pct", "samples_to_1pct", "seconds", "samples_per_second",
    "val_loss",
)  # fmt: skip
"""What is spread over trials, in the order of results.json."""

Point = Mapping[str, Any]
"""A validation during training."""


def median_trial(records: Sequence[TrialRecord]) -> TrialRecord:
    """Choose the trial in the middle; of two the better one.

    Many trials have no error on validation samples; their losses differ.
    """
    by_error = sorted(
        records, key=lambda r: (r.sample_error_pct, r.mask_error_pct, r.val_loss, r.seed)
    )
    return by_error[(len(by_error) - 1) // 2]


def summarize(records: Sequence[TrialRecord]) -> dict[str, Any]:
    """Aggregate the trials of one setting: how results.json begins.

    Returns:
      recipe, parameters, split, questions, then a `spread` of each of SPREAD (of samples_to_1pct
      over the trials that have one), samples (of the longest trial, for some may have stopped
      early), test_questions, a `spread` of both test errors (solved: on the test split), seeds,
      versions and devices (different ones, in order).
    Raises:
      ValueError: records of different settings.
    """
    for name in SETTING:
        values = sorted({getattr(record, name) for record in records})
        if len(values) > 1:
            raise ValueError(f"trials have {name} {values}: summarize each setting alone")

    def spreads(names: Sequence[str], error: str) -> dict[str, Any]:
        solved = sum(getattr(record, error) <= SOLVED_PCT for record in records)
        return {name: spread([getattr(r, name) for r in records], solved) for name in names}

    first, tests = records[0], ("test_sample_error_pct", "test_mask_error_pct")
    has_states = first.scratchpad_error_pct is not None
    return {
        **{name: getattr(first, name) for name in ("recipe", "parameters", "split", "questions")},
        **spreads(SPREAD, "sample_error_pct"),
        "samples": max(record.samples for record in records),
        "test_questions": first.test_questions,
        **spreads(tests, "test_sample_error_pct"),
        **(spreads(["scratchpad_error_pct"], "scratchpad_error_pct") if has_states else {}),
        "seeds": [record.seed for record in records],
        "versions": _distinct([dict(record.versions) for record in records]),
        "devices": _distinct([record.device for record in records]),
    }


def samples_to(points: Sequence[Point], holds: Callable[[Point], bool]) -> int | None:
    """Find the samples of the first validation from which on all hold; None if the last does not.

    >>> curve = [{"samples": i, "error": error} for i, error in enumerate((9, 1, 0))]
    >>> samples_to(curve, lambda point: point["error"] <= 1)
    1
    >>> samples_to([*curve, {"samples": 3, "error": 2}], lambda point: point["error"] <= 1)
    """
    samples = None
    for point in reversed(points):
        if not holds(point):
            break
        samples = point["samples"]
    return samples


def samples_to_solved(points: Sequence[Point]) -> int | None:
    """Find the samples of the first validation from which on all are solved.

    >>> errors = {64: 1.1, 128: 0.9, 192: 1.1, 256: 1.0, 320: 0.0}
    >>> samples_to_solved([{"samples": n, "sample_error_pct": pct} for n, pct in errors.items()])
    256
    """
    return samples_to(points, lambda point: point["sample_error_pct"] <= SOLVED_PCT)


def spread(values: Sequence[float | None], solved: int = 0) -> dict[str, float | int | None]:
    """Compute mean, median, sample standard deviation (n - 1), minimum and maximum.

    None does not count: n is the number of values; without any the first five are None, and std is
    None for a single one. `solved`, a number of trials, is passed on.

    >>> spread([1.0, None, 1.0], 2)
    {'mean': 1.0, 'median': 1.0, 'std': 0.0, 'min': 1.0, 'max': 1.0, 'n': 2, 'solved': 2}
    """
    numbers = [value for value in values if value is not None]
    return {
        "mean": statistics.fmean(numbers) if numbers else None,
        "median": statistics.median(numbers) if numbers else None,
        "std": statistics.stdev(numbers) if len(numbers) > 1 else None,
        "min": min(numbers, default=None),
        "max": max(numbers, default=None),
        "n": len(numbers),
        "solved": solved,
    }


def _distinct(values: Sequence[Any]) -> list[Any]:
    """List the values in order, each once."""
    return [value for i, value in enumerate(values) if value not in values[:i]]
