"""Lay out error rates, spreads over trials and ranked lines as tables, as text or Markdown."""

from collections.abc import Mapping, Sequence
from typing import Any

from scripts.core.statistics import format_share, most_wrong
from scripts.reporting.columns import BEYOND, COLUMNS, cells_of
from scripts.reporting.ranking import Line, baselines_by_task, rank_lines
from vsc_dataset.configs import CONFIGS
from vsc_dataset.metrics.vsc_error.error_rates import ERRORS
from vsc_dataset.splits import HELD_OUT_MIN_OPS

Rates = Mapping[str, Any]
"""As `error_rates` gives them."""

MEASURES = {
    "sample_error_pct": ("sample error %", 2),
    "mask_error_pct": ("mask error %", 2),
    "test_sample_error_pct": ("test sample error %", 2),
    "test_mask_error_pct": ("test mask error %", 2),
    "scratchpad_error_pct": ("scratchpad error %", 2),
    "samples_to_1pct": ("samples to 1%", 0),
    "seconds": ("seconds", 1),
    "samples_per_second": ("samples/s", 0),
}
"""The rows of the table over trials: keys of results.json, how they are called, and digits."""


def define_horizon(count: int = 1000) -> str:
    """Define the horizon, by the number of samples of each number of operations.

    >>> define_horizon(300)[-44:]
    'most 1%: of 300 samples at most 0 are wrong.'
    """
    return (
        "Horizon: the largest number of operations such that at it and at every smaller one the "
        "upper end of the one-sided 95% interval of the sample error is at most 1%: of "
        f"{count:,} samples at most {most_wrong(count)} are wrong."
    )


RATES = ("samples", "sample err %", "95%", "mask err %")
"""Headers of `rate_cells`."""

STATISTICS = ("mean", "median", "std", "min", "max")


def table(header: Sequence[str], rows: Sequence[Sequence[str]], markdown: bool = False) -> str:
    """Lay out C cells a row: the first column to the left, all others to the right.

    >>> print(table(["name", "n"], [["a", "10"], ["b", "9"]]))
    name   n
    a     10
    b      9
    >>> print(table(["name", "n"], [["a", "10"]], markdown=True))
    | name |  n |
    |:-----|---:|
    | a    | 10 |
    """
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    cells = [
        [row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])] for row in (header, *rows)
    ]
    if not markdown:
        return "\n".join("  ".join(line).rstrip() for line in cells)
    lines = [f"| {' | '.join(line)} |" for line in cells]
    rule = [":" + "-" * (widths[0] + 1), *("-" * (width + 1) + ":" for width in widths[1:])]
    return "\n".join([lines[0], f"|{'|'.join(rule)}|", *lines[1:]])


def nops_table(by_nops: Mapping[int, Rates], markdown: bool = False) -> str:
    """Lay out the rates by number of operations, next to the trivial baselines on the same samples.

    Each is as `with_baselines` gives it; "last k" is left out. A baseline's cell is sample/mask
    error in whole percent, rounded away from 0 and 100.

    >>> rates = {"questions": 900, "sample_error_pct": 2.5, "sample_error_interval": [1.7, 3.7],
    ...          "mask_error_pct": 0.6}
    >>> copy = {"sample_error_pct": 100.0, "mask_error_pct": 77.5}
    >>> print(nops_table({5: {**rates, "floors": {"copy": copy}}}))
    nops  samples  sample err %        95%  mask err %    copy
    5         900          2.50  1.70-3.70        0.60  100/78
    """
    first = next(iter(by_nops.values()))
    names = [name for name in first["floors"] if not name.startswith("last")]
    rows = [
        [str(nops), *rate_cells(rates), *(baseline_cell(rates["floors"][name]) for name in names)]
        for nops, rates in by_nops.items()
    ]
    return table(["nops", *RATES, *names], rows, markdown)


def with_baselines(rates: Rates, baselines: Mapping[str, Rates], key: str) -> dict[int, Rates]:
    """Add to each group, by_nops or by_length, both errors of the trivial baselines on it."""
    groups: dict[int, Rates] = {}
    for value, group in rates[key].items():
        levels = {name: both_errors(level[key][value]) for name, level in baselines.items()}
        groups[value] = {**group, "floors": levels}
    return groups


def both_errors(rates: Rates) -> dict[str, float]:
    """Keep sample error and mask error in percent alone."""
    return {key: rates[key] for key in ERRORS}


def rate_cells(rates: Rates) -> list[str]:
    """Write the cells of `error_rates`: samples, sample error, its interval, mask error."""
    low, high = rates["sample_error_interval"]
    sample, mask = (f"{rates[name]:.2f}" for name in ERRORS)
    return [f"{rates['questions']:,}", sample, f"{low:.2f}-{high:.2f}", mask]


def baseline_cell(rates: Rates) -> str:
    """Write sample error/mask error in whole percent, 0 and 100 only where they are exact."""
    errors = both_errors(rates).values()
    return "/".join(str(round(e) if e in (0, 100) else min(99, max(1, round(e)))) for e in errors)


def trials_table(results: Mapping[str, Any], markdown: bool = False) -> str:
    """Say how many trials of a `summarize` are solved, and lay out the spread of MEASURES."""
    rows = []
    for name, (called, digits) in MEASURES.items():
        if name not in results:
            continue
        values = [results[name][statistic] for statistic in STATISTICS]
        cells = ["-" if value is None else f"{value:,.{digits}f}" for value in values]
        rows.append([called, *cells, str(results[name]["n"])])
    error = results["sample_error_pct"]
    return (
        f"solved {format_share(error['solved'], error['n'])}: "
        f"sample error at most 1% on {results['split']}\n\n"
        + table(["over trials", *STATISTICS, "n"], rows, markdown)
    )


def results_table(
    title: str, lines: Sequence[Line], columns: Sequence[str], against: str | None = None
) -> str:
    """Make the table of a table's lines as Markdown, with what its words mean below it.

    `columns` are names of COLUMNS, and those that no row fills are left out; speeds are compared
    with the row `against` on the same device.
    """
    header = ["row", "rank", *(head for name in columns for head in COLUMNS[name][0])]
    ranked = rank_lines(lines)
    base = next((line for _, line in ranked if line.row == against and line.trials), None)
    rows = [
        [line.row, rank, *(cell for name in columns for cell in cells_of(name, line, base))]
        for rank, line in ranked
    ]
    told = [k for k in range(len(header)) if any(row[k] != "-" for row in rows)]
    header, *rows = ([cells[k] for k in told] for cells in (header, *rows))
    return f"# {title}\n\n{table(header, rows, markdown=True)}\n\n{_notes(lines)}\n"


def _notes(lines: Sequence[Line]) -> str:
    """Say what the table's words mean, and which answers need no model."""
    trials = [trial for line in lines for trial in line.trials]
    baselines = baselines_by_task(lines)
    notes = [
        "Values are medians over trials where nothing else is said, on validation samples; "
        "solved: at most 1% sample error on held-out programs where they were evaluated, with the "
        "exact 95% interval of the share. Rows are ranked among those of the same data and number "
        "of training samples. At chance: mask error not below the better of copying the letters "
        "and guessing.",
    ]
    if any("grid" in trial.details for trial in trials):
        notes.append(
            f"{define_horizon()} Of two in the middle the lower one. {BEYOND}: not evaluated, "
            "because the sample error was that high at two smaller numbers of operations."
        )
    tested = {line.data for line in lines if line.details("programs")}
    if mixed := sorted(d for d in tested if CONFIGS[d].eval_nops[0] < HELD_OUT_MIN_OPS):
        notes.append(
            f"Held-out programs have {HELD_OUT_MIN_OPS} or more operations; validation and test "
            f"samples of {', '.join(mixed)} have fewer, too, and are easier."
        )
    for task, levels in baselines.items():
        masks = ", ".join(f"{name} {rates['mask_error_pct']:.2f}" for name, rates in levels.items())
        notes.append(f"Mask error % of the trivial baselines on {task}: {masks}.")
    devices = sorted({trial.record.device for trial in trials})
    if devices:
        notes.append(f"Trained on: {'; '.join(devices)}.")
    return "\n\n".join(notes)
