"""Rank results: one order for tables, figures and cards."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from typing import Any

from scripts.core.statistics import find_horizon, grid_nops, horizon_order
from scripts.core.trial_store import Trial
from scripts.core.trial_summary import SOLVED_PCT, median_trial, summarize
from vsc_dataset.configs import make_config

CHANCE = ("copy", "guess")
"""Trivial baselines that execute no operation; those that execute some solve short programs."""


def rank_key(results: Mapping[str, Any], horizon: int | str | None = None) -> tuple[float, ...]:
    """Make the key by which results of one data and budget are sorted, the best first.

    Most trials solved, then the smallest median sample error as tables show it, the longest
    horizon (">N" is beyond all), the smallest median mask error, the fewest parameters.
    """
    error, mask_error = results["sample_error_pct"], results["mask_error_pct"]
    return (
        -error["solved"] / error["n"],
        round(error["median"], 2),
        -horizon_order(horizon),
        mask_error["median"],
        results["parameters"],
    )


@dataclass(frozen=True)
class Line:
    """A row at one budget, without trials where it was not run.

    `full_samples` are those of its recipe; `article` is its line in the article's tables, or empty.
    """

    row: str
    data: str
    full_samples: int
    article: Mapping[str, str]
    trials: Sequence[Trial]

    @cached_property
    def results(self) -> dict[str, Any]:
        """The aggregate over trials, see `summarize`; solved is what `is_solved` says."""
        results = summarize([trial.record for trial in self.trials])
        results["sample_error_pct"]["solved"] = sum(map(is_solved, self.trials))
        return results

    @property
    def task(self) -> str:
        """The data with its arguments, on which lines are compared; a layout changes no program."""
        changed = (settings.get("data_args", {}) for settings in self.details("settings"))
        args: Mapping[str, Any] = next(changed, {})
        return ", ".join([self.data, *(f"{k} {v}" for k, v in args.items() if k != "layout")])

    @property
    def budget(self) -> int:
        """Training samples of each trial."""
        return self.trials[0].record.planned_samples if self.trials else 0

    @property
    def median(self) -> Mapping[str, Any]:
        """The details of the trial in the middle."""
        record = median_trial([trial.record for trial in self.trials])
        return next(trial.details for trial in self.trials if trial.record is record)

    def details(self, name: str) -> list[Any]:
        """What is kept next to the records of the trials, of those that have it."""
        return [trial.details[name] for trial in self.trials if name in trial.details]

    @cached_property
    def horizons(self) -> list[int | str]:
        """Those of the trials that were evaluated on a grid, rising; a text is beyond its end."""
        horizons = map(kept_horizon, self.details("grid"))
        numbers = [horizon for horizon in horizons if horizon is not None]
        return sorted(numbers, key=horizon_order)

    @property
    def horizon(self) -> int | str | None:
        """The middle trial's, the lower one of two; None where no trial has one."""
        return self.horizons[(len(self.horizons) - 1) // 2] if self.horizons else None


def is_solved(trial: Trial) -> bool:
    """Return whether a trial is solved: on held-out programs where they were evaluated."""
    programs = trial.details.get("programs", {})
    error = programs.get("sample_error_pct", trial.record.sample_error_pct)
    return bool(error <= SOLVED_PCT)


def kept_horizon(grid: Mapping[str, Any]) -> int | str | None:
    """Find the horizon in a kept grid: its own is that of an older definition."""
    return find_horizon(grid["rows"], grid_nops(grid["name"]))


def chance_error(
    baselines: Mapping[str, Any], details: Sequence[Mapping[str, Any]] = (), data: str = ""
) -> float:
    """Compute the mask error, in percent, of the better of copying the letters and guessing.

    Copying that makes no mistake is the task itself: then only guessing counts. A model of next
    tokens reads the true letters before each place, so that guessing has only those that are left:
    the last one is sure.

    >>> baselines = {"copy": {"mask_error_pct": 77.5}, "guess": {"mask_error_pct": 80.0}}
    >>> next_token = [{"settings": {"objective": "next-token"}}]
    >>> chance_error(baselines), round(chance_error(baselines, next_token, "swap-nops5"), 2)
    (77.5, 54.33)

    Args:
      baselines: both errors of answers that need no model, by name.
      details: of the trials; those without settings filled the answer in.
      data: the configuration's name.
    """
    errors = [float(baselines[name]["mask_error_pct"]) for name in CHANCE]
    chance = min(error for error in errors if error > 0)
    if any(one.get("settings", {}).get("objective") == "next-token" for one in details):
        letters = make_config(data).answer_width
        right = sum(1 / left for left in range(1, letters + 1)) / letters
        chance = min(chance, 100 * (1 - right))
    return chance


def baselines_by_task(lines: Sequence[Line]) -> dict[str, Mapping[str, Any]]:
    """Find, by `Line.task`, what answers without a model reach there: any trial has them."""
    return {line.task: levels for line in lines for levels in line.details("floors")}


def split_budgets(
    row: str,
    data: str,
    full_samples: int,
    article: Mapping[str, str],
    trials: Sequence[Trial],
) -> list[Line]:
    """Make a line for each budget of a row, the largest first; one without trials if it has none.

    The other arguments are those of `Line`.
    """
    budgets: dict[int, list[Trial]] = {}
    for trial in trials:
        budgets.setdefault(trial.record.planned_samples, []).append(trial)
    groups = [budgets[budget] for budget in sorted(budgets, reverse=True)] or [[]]
    return [Line(row, data, full_samples, article, group) for group in groups]


def rank_lines(lines: Sequence[Line]) -> list[tuple[str, Line]]:
    """Order lines, each with its rank among those of the same data and budget.

    Those that are not better than chance, or were not run, have these words in place of a rank.
    """
    baselines, tasks = baselines_by_task(lines), [line.task for line in lines]

    def sort_key(line: Line) -> tuple[int, int]:
        return tasks.index(line.task), -line.budget

    def is_at_chance(line: Line) -> bool:
        median = line.results["mask_error_pct"]["median"]
        if line.task not in baselines:
            return False
        details = [trial.details for trial in line.trials]
        return bool(median >= chance_error(baselines[line.task], details, line.data))

    ranked: list[tuple[str, Line]] = []
    done = sorted((line for line in lines if line.trials), key=sort_key)
    for _, group in groupby(done, key=sort_key):
        same = list(group)
        at_chance = [line for line in same if is_at_chance(line)]
        others = [line for line in same if not is_at_chance(line)]
        others.sort(key=lambda line: rank_key(line.results, line.horizon))
        ranked += [(str(number), line) for number, line in enumerate(others, 1)]
        ranked += [("at chance", line) for line in at_chance]
    return ranked + [("not run", line) for line in lines if not line.trials]
