"""Read the kept trials and pictures, and summarize the trials of each setting."""

import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SOLVED_PCT = 1.0
"""A trial with at most this sample error, in percent, counts as solved."""


@dataclass(frozen=True)
class Row:
    """A setting over its trials; errors in percent, on `test`.

    Attributes:
      recipe, parameters, samples, questions: what was trained, how large, on how many samples
        (the longest trial), and on how many evaluated.
      trials, solved: how many, and how many of them with at most 1% sample error.
      mean, median, lowest, highest: of the sample error.
      mask_error: the mean of the mask error.
      seconds: the mean of the time of training.
    """

    recipe: str
    parameters: int
    samples: int
    questions: int
    trials: int
    solved: int
    mean: float
    median: float
    lowest: float
    highest: float
    mask_error: float
    seconds: float


def read_trials(folder: Path) -> list[dict[str, Any]]:
    """All lines of all *.jsonl of a folder, as scripts/train.py wrote them."""
    paths = sorted(folder.glob("*.jsonl"))
    return [json.loads(line) for path in paths for line in path.read_text("utf-8").splitlines()]


def pictures(folder: Path) -> list[Path]:
    """All pictures of a folder: grids, which show the horizon, then curves, answers, others."""
    kinds = ("-grid-", "-curves", "-answers")

    def order(path: Path) -> tuple[int, str]:
        return next((i for i, kind in enumerate(kinds) if kind in path.name), len(kinds)), path.name

    return sorted(folder.glob("*.png"), key=order)


def leaderboards(trials: Sequence[Mapping[str, Any]]) -> dict[str, list[Row]]:
    """A leaderboard for each configuration that was trained on: their errors do not compare."""
    names = sorted({trial.get("data", "") for trial in trials})
    by_data = {name: [t for t in trials if t.get("data", "") == name] for name in names}
    most_first = sorted(names, key=lambda name: -len(by_data[name]))
    return {name: leaderboard(by_data[name]) for name in most_first}


def leaderboard(trials: Sequence[Mapping[str, Any]]) -> list[Row]:
    """Rank the settings as the tables do: on validation, most trials solved first.

    Then the smallest median sample error, to two digits, and mask error, and fewest parameters.
    """
    settings: dict[tuple[Any, ...], list[Mapping[str, Any]]] = {}
    for trial in trials:
        # A trial that stopped early still belongs to the others.
        planned = trial.get("planned_samples") or trial["samples"]
        named = trial["recipe"], trial.get("data", ""), trial["parameters"]
        setting = (*named, planned, trial["test_questions"])
        settings.setdefault(setting, []).append(trial)
    return [_row(trials) for trials in sorted(settings.values(), key=_rank_key)]


def _rank_key(trials: Sequence[Mapping[str, Any]]) -> tuple[float, ...]:
    """Make the key of `scripts.reporting.ranking.rank_key`, which the page does not have."""
    errors = [trial["sample_error_pct"] for trial in trials]
    return (
        -sum(error <= SOLVED_PCT for error in errors) / len(errors),
        round(statistics.median(errors), 2),
        statistics.median(trial["mask_error_pct"] for trial in trials),
        trials[0]["parameters"],
    )


def _row(trials: Sequence[Mapping[str, Any]]) -> Row:
    """The row of the trials of one setting."""
    first = trials[0]
    errors = [trial["test_sample_error_pct"] for trial in trials]
    return Row(
        recipe=first["recipe"],
        parameters=first["parameters"],
        samples=max(trial["samples"] for trial in trials),
        questions=first["test_questions"],
        trials=len(trials),
        solved=sum(error <= SOLVED_PCT for error in errors),
        mean=statistics.fmean(errors),
        median=statistics.median(errors),
        lowest=min(errors),
        highest=max(errors),
        mask_error=statistics.fmean(trial["test_mask_error_pct"] for trial in trials),
        seconds=statistics.fmean(trial["seconds"] for trial in trials),
    )
