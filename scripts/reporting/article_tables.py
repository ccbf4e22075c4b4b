"""Kept trials of a table's rows -> the table: ours beside the article's, ranked, with spread."""

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from scripts.reporting.kept_trials import Trial
from scripts.reporting.records import summarise
from scripts.reporting.tables import table
from vsc_dataset.configs import make_config

SHOWN_NOPS = (10, 20, 50, 100, 1024)
"""Numbers of operations whose error has a column of its own."""

CHANCE = ("copy", "guess")
"""Floors that execute no operation; those that execute the first k solve short programs."""


class Line(NamedTuple):
    """A row at one budget.

    Attributes:
      row: its name.
      data: what it is trained and asked on.
      full: training questions of its recipe.
      article: its line in the article's tables, or empty.
      trials: of one budget; none where the row was not run.
    """

    row: str
    data: str
    full: int
    article: Mapping[str, str]
    trials: Sequence[Trial]

    @property
    def results(self) -> dict[str, Any]:
        """The figures over trials, see `summarise`."""
        return summarise([trial.record for trial in self.trials])

    @property
    def budget(self) -> int:
        """Training questions of each trial."""
        return self.trials[0].budget if self.trials else 0

    @property
    def at_chance(self) -> bool:
        """Whether the median trial is no better than the best answers that read no operation."""
        found = [trial.details["floors"] for trial in self.trials if "floors" in trial.details]
        if not found:
            return False
        chance = min(found[0][name]["mask_error_pct"] for name in CHANCE)
        return bool(self.results["mask_error_pct"]["median"] >= chance)


def split_budgets(
    row: str, data: str, full: int, article: Mapping[str, str], trials: Sequence[Trial]
) -> list[Line]:
    """A line for each budget of a row, the largest first; one without trials if it has none."""
    budgets = sorted({trial.budget for trial in trials}, reverse=True)
    own = [[trial for trial in trials if trial.budget == budget] for budget in budgets]
    return [Line(row, data, full, article, found) for found in own or [[]]]


def ranked(lines: Sequence[Line]) -> list[tuple[str, Line]]:
    """Lines in the table's order, each with its rank, "at chance" or "not run".

    Ranks count among lines of the same data and budget: most trials solved, then the smallest
    median error, then fewest parameters.
    """
    run = [line for line in lines if line.trials]
    groups = list(dict.fromkeys(line.data for line in lines))
    keys = sorted(
        {(line.data, line.budget) for line in run}, key=lambda k: (groups.index(k[0]), -k[1])
    )
    found: list[tuple[str, Line]] = []
    for key in keys:
        group = [line for line in run if (line.data, line.budget) == key]
        learned = sorted((line for line in group if not line.at_chance), key=_order)
        found += [(str(number), line) for number, line in enumerate(learned, 1)]
        found += [("at chance", line) for line in group if line.at_chance]
    return found + [("not run", line) for line in lines if not line.trials]


def _order(line: Line) -> tuple[float, ...]:
    errors, mask = line.results["sample_error_pct"], line.results["mask_error_pct"]
    return (
        -errors["solved"] / errors["n"], errors["median"], mask["median"],
        line.results["parameters"],
    )  # fmt: skip


def article_table(
    title: str, lines: Sequence[Line], columns: Sequence[str], against: str | None = None
) -> str:
    """The table as Markdown, with what its words mean below it.

    Args:
      title: its heading.
      lines: one for each row and budget.
      columns: names of COLUMNS.
      against: the row whose speed others are compared with, where its device is theirs.
    """
    parts = [COLUMNS[name] for name in columns]
    header = ["row", "rank", *(head for heads, _ in parts for head in heads)]
    order = ranked(lines)
    base = next((line for _, line in order if line.row == against and line.trials), None)
    rows = []
    for rank, line in order:
        cells = [cell for heads, cells in parts for cell in cells(line, base, len(heads))]
        rows.append([line.row, rank, *cells])
    return f"# {title}\n\n{table(header, rows, markdown=True)}\n\n{_notes(lines)}\n"


def _spread(key: str) -> Callable[[Line, Line | None, int], list[str]]:
    """Cells of a spread; "-" where there is none."""

    def cells(line: Line, _: Line | None, count: int) -> list[str]:
        names = ("mean", "median", "std", "min", "max") if count == 5 else ("median",)
        found = line.results[key] if line.trials else {}
        return [_percent(found.get(name)) for name in names]

    return cells


def _percent(value: float | None) -> str:
    """Two digits, or as many as a small rate needs to be no zero.

    >>> [_percent(value) for value in (None, 0.0, 12.345, 0.0199)]
    ['-', '0.00', '12.35', '0.020']
    """
    if value is None:
        return "-"
    return f"{value:.2f}" if value == 0 or value >= 0.1 else f"{value:.2g}".ljust(5, "0")


def _parameters(line: Line, *_: Any) -> list[str]:
    ours = line.results["parameters"] if line.trials else None
    return ["-" if ours is None else f"{ours:,}"]


def _samples(line: Line, *_: Any) -> list[str]:
    if not line.trials:
        return ["-"]
    # A whole number of batches may be a little less than the recipe says.
    whole = line.budget >= line.full - 1024
    return [f"{line.budget:,}" if whole else f"{line.budget:,} of {line.full:,}"]


def _solved(line: Line, *_: Any) -> list[str]:
    found = line.results["sample_error_pct"] if line.trials else None
    return ["not run" if found is None else f"{found['solved']} of {found['n']}"]


def _to_1pct(line: Line, *_: Any) -> list[str]:
    return [_range(line.results["samples_to_1pct"], "{:,.0f}") if line.trials else "-"]


def _range(found: Mapping[str, Any], form: str) -> str:
    """Median, and in brackets minimum and maximum where they differ."""
    if not found["n"]:
        return "-"
    median, low, high = (form.format(found[name]) for name in ("median", "min", "max"))
    return median if low == high else f"{median} ({low} to {high})"


def _train_speed(line: Line, base: Line | None, _: int) -> list[str]:
    if not line.trials:
        return ["-"]
    return [_speed(line, base, lambda t: t.record.samples_per_second, lambda t: t.record.device)]


def _ask_speed(line: Line, base: Line | None, _: int) -> list[str]:
    known = [trial for trial in line.trials if "questions_per_second" in trial.details]
    if not known or len(known) < len(line.trials):
        return ["-"]
    return [
        _speed(
            line, base, lambda t: t.details["questions_per_second"], lambda t: t.details["device"]
        )
    ]


def _speed(
    line: Line, base: Line | None, speed: Callable[[Trial], float], device: Callable[[Trial], str]
) -> str:
    """The median speed, and how many times the base's it is on the same device."""
    own = statistics.median(map(speed, line.trials))
    if base is None or {*map(device, base.trials)} != {*map(device, line.trials)}:
        return f"{own:,.0f}"
    return f"{own:,.0f} (x {own / statistics.median(map(speed, base.trials)):.2f})"


def _horizon(line: Line, *_: Any) -> list[str]:
    """The middle trial's, the lower one of two, and those of the worst and the best."""
    found = [trial.details["grid"]["horizon"] for trial in line.trials if "grid" in trial.details]
    if not found:
        return ["-"]
    found.sort(key=lambda h: (isinstance(h, str), h))
    low, median, high = found[0], found[(len(found) - 1) // 2], found[-1]
    return [f"{median}" if low == high else f"{median} ({low} to {high})"]


def _by_nops(line: Line, *_: Any) -> list[str]:
    grids = [trial.details["grid"] for trial in line.trials if "grid" in trial.details]
    return [_at(grids, nops) for nops in SHOWN_NOPS]


def _at(grids: Sequence[Mapping[str, Any]], nops: int) -> str:
    """The median sample error of some trials; "lost" where the middle one was not asked so far."""
    if not grids or f"nops{nops}" not in make_config(grids[0]["name"]).splits:
        return "-"
    found: list[float] = []
    for grid in grids:
        errors = {row["nops"]: row["sample_error_pct"] for row in grid["rows"]}
        if nops not in errors and not grid["lost"]:
            return "-"
        found.append(errors.get(nops, math.inf))
    median = statistics.median(found)
    return _percent(median) if math.isfinite(median) else "lost"


def _programs(line: Line, *_: Any) -> list[str]:
    found = [trial.details.get("programs") for trial in line.trials]
    errors = [rates["sample_error_pct"] for rates in found if rates]
    return [_percent(statistics.median(errors) if errors else None)]


def _loss(line: Line, *_: Any) -> list[str]:
    return [f"{line.results['val_loss']['median']:.3g}" if line.trials else "-"]


ARTICLE = ("sample_error_pct", "mask_error_pct", "val_loss", "params", "throughput_per_s")
"""What is shown of the article's line, as it stands there."""


def _article(line: Line, *_: Any) -> list[str]:
    cells = [line.article.get(name, "-") for name in ARTICLE]
    return [f"{int(cell):,}" if cell.isdigit() else cell for cell in cells]


Cells = Callable[[Line, Line | None, int], list[str]]
COLUMNS: dict[str, tuple[Sequence[str], Cells]] = {
    "parameters": (["parameters"], _parameters),
    "samples": (["training questions"], _samples),
    "solved": (["solved"], _solved),
    "horizon": (["horizon"], _horizon),
    "to_1pct": (["questions to 1 %"], _to_1pct),
    "sample": (
        ["sample error %: mean", "median", "std", "min", "max"],
        _spread("sample_error_pct"),
    ),
    "mask": (["mask error %"], _spread("mask_error_pct")),
    "test": (["test sample error %"], _spread("test_sample_error_pct")),
    "programs": (["unseen programs, sample error %"], _programs),
    "by_nops": ([f"% wrong at {nops:,}" for nops in SHOWN_NOPS], _by_nops),
    "loss": (["loss"], _loss),
    "train_speed": (["trained/s"], _train_speed),
    "ask_speed": (["asked/s"], _ask_speed),
    "article": (
        [
            f"article: {name}"
            for name in ("sample error %", "mask error %", "loss", "parameters", "trained/s")
        ],
        _article,
    ),
}
"""Names of columns in reproduce.toml: their headers, and what gives a line's cells."""


def _notes(lines: Sequence[Line]) -> str:
    """What the table's words mean, and which answers need no model."""
    trials = [(line, trial) for line in lines for trial in line.trials]
    floors = {
        line.data: trial.details["floors"] for line, trial in trials if "floors" in trial.details
    }
    notes = [
        "Figures are medians over trials where nothing else is said, on validation questions; "
        "solved: at most 1 % sample error. Rows are ranked among those of the same data and as "
        "many training questions. At chance: mask error no lower than the better of copying the "
        "letters and guessing.",
    ]
    if any("grid" in trial.details for _, trial in trials):
        notes.append(
            "Horizon: the largest number of operations up to which every number has at most 1 % "
            "sample error. Lost: not asked, for of two smaller numbers it had 99 % wrong."
        )
    for data, levels in floors.items():
        shown = ", ".join(f"{name} {rates['mask_error_pct']:.2f}" for name, rates in levels.items())
        notes.append(f"Mask error % without a model on {data}: {shown}.")
    devices = sorted({trial.record.device for _, trial in trials})
    if devices:
        notes.append(f"Trained on: {'; '.join(devices)}.")
    return "\n\n".join(notes)
