"""Kept trials of a row -> a line for each budget; lines of a table -> their order and ranks."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from scripts.core.trial_store import Trial, summarize

CHANCE = ("copy", "guess")
"""Floors that execute no operation; those that execute the first k solve short programs."""


class Line(NamedTuple):
    """A row at one budget.

    Attributes:
      row: its name.
      data: what it is trained and asked on.
      full: training questions of its recipe, in all trainings of a trial.
      article: its line in the article's tables, or empty.
      trials: of one budget; none where the row was not run.
      best_of: trainings of each.
    """

    row: str
    data: str
    full: int
    article: Mapping[str, str]
    trials: Sequence[Trial]
    best_of: int = 1

    @property
    def results(self) -> dict[str, Any]:
        """The figures over trials, see `summarize`."""
        return summarize([trial.record for trial in self.trials])

    @property
    def budget(self) -> int:
        """Training questions of each trial."""
        return self.trials[0].budget if self.trials else 0

    @property
    def horizons(self) -> list[int | str]:
        """Those of the trials that were asked a grid, rising; a text is beyond the grid's end."""
        found = [one.details["grid"]["horizon"] for one in self.trials if "grid" in one.details]
        return sorted(found, key=lambda horizon: (isinstance(horizon, str), horizon))

    @property
    def horizon(self) -> int | str | None:
        """The middle trial's, the lower one of two; None where no trial was asked a grid."""
        return self.horizons[(len(self.horizons) - 1) // 2] if self.horizons else None

    def at_chance(self, floors: Mapping[str, Mapping[str, Any]]) -> bool:
        """Whether the median trial is no better than the best answers that read no operation.

        Args:
          floors: see `floors_of`; without those of its data a line is not at chance.
        """
        if self.data not in floors or not self.trials:
            return False
        return bool(self.results["mask_error_pct"]["median"] >= chance(floors[self.data]))


def chance(floors: Mapping[str, Any]) -> float:
    """The mask error, in percent, of the better of copying the letters and guessing.

    Args:
      floors: of one data, see `floors_of`.
    """
    return float(min(floors[name]["mask_error_pct"] for name in CHANCE))


def floors_of(lines: Sequence[Line]) -> dict[str, Mapping[str, Any]]:
    """By data, what answers without a model reach there; any trial that was asked knows it."""
    return {
        line.data: trial.details["floors"]
        for line in lines
        for trial in line.trials if "floors" in trial.details
    }  # fmt: skip


def best_of(trainings: Sequence[Trial], count: int) -> list[Trial]:
    """Trials of several trainings each, of which the lowest validation loss is kept.

    Args:
      trainings: of one row.
      count: of a trial: those of seeds 0 to count - 1 are the first. One of fewer is left out.
    Returns:
      The kept ones, with the questions and the seconds of all; which one is kept is known when
      all are through, so none is solved earlier. Their curves are still those of one training.
    """
    if count == 1:
        return [*trainings]
    groups: dict[tuple[int, int], list[Trial]] = {}
    for training in trainings:
        groups.setdefault((training.budget, training.record.seed // count), []).append(training)
    return [_lowest_loss(group) for group in groups.values() if len(group) == count]


def _lowest_loss(trainings: Sequence[Trial]) -> Trial:
    best = min(trainings, key=lambda training: training.record.val_loss)
    records = [training.record for training in trainings]
    samples, seconds = sum(r.samples for r in records), sum(r.seconds for r in records)
    record = replace(
        best.record,
        samples=samples,
        planned_samples=sum(training.budget for training in trainings),
        samples_to_1pct=None if best.record.samples_to_1pct is None else samples,
        seconds=seconds,
        samples_per_second=samples / seconds,
        validation_seconds=sum(r.validation_seconds or 0.0 for r in records),
    )
    return Trial(record, best.details)


def split_budgets(
    row: str,
    data: str,
    full: int,
    article: Mapping[str, str],
    trainings: Sequence[Trial],
    count: int = 1,
) -> list[Line]:
    """A line for each budget of a row, the largest first; one without trials if it has none.

    Args:
      row, data, full, article: see `Line`; full is of one training.
      trainings, count: see `best_of`.
    """
    trials = best_of(trainings, count)
    budgets = sorted({trial.budget for trial in trials}, reverse=True)
    own = [[trial for trial in trials if trial.budget == budget] for budget in budgets]
    return [Line(row, data, full * count, article, found, count) for found in own or [[]]]


def ranked(lines: Sequence[Line]) -> list[tuple[str, Line]]:
    """Lines in the table's order, each with its rank, "at chance" or "not run".

    Ranks count among lines of the same data and budget: most trials solved, then the smallest
    median error as the table shows it, then the longest horizon, then fewest parameters.
    """
    run, floors = [line for line in lines if line.trials], floors_of(lines)
    groups = list(dict.fromkeys(line.data for line in lines))
    keys = sorted(
        {(line.data, line.budget) for line in run}, key=lambda k: (groups.index(k[0]), -k[1])
    )
    found: list[tuple[str, Line]] = []
    for key in keys:
        group = [line for line in run if (line.data, line.budget) == key]
        learned = sorted((line for line in group if not line.at_chance(floors)), key=_order)
        found += [(str(number), line) for number, line in enumerate(learned, 1)]
        found += [("at chance", line) for line in group if line.at_chance(floors)]
    return found + [("not run", line) for line in lines if not line.trials]


def _order(line: Line) -> tuple[float, ...]:
    errors, mask = line.results["sample_error_pct"], line.results["mask_error_pct"]
    horizon = math.inf if isinstance(line.horizon, str) else line.horizon or 0
    return (
        -errors["solved"] / errors["n"], round(errors["median"], 2), -horizon, mask["median"],
        line.results["parameters"],
    )  # fmt: skip
