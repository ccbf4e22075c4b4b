"""Error rates and spreads over trials -> tables as text or Markdown."""

from collections.abc import Mapping, Sequence
from typing import Any

MEASURES = {
    "sample_error_pct": "sample error %",
    "mask_error_pct": "mask error %",
    "test_sample_error_pct": "test sample error %",
    "test_mask_error_pct": "test mask error %",
    "samples_to_1pct": "questions to 1 %",
    "seconds": "seconds",
    "samples_per_second": "questions/s",
}
"""The rows of the table over trials: keys of results.json and how they are called."""

STATISTICS = ("mean", "median", "std", "min", "max", "n")


def table(header: Sequence[str], rows: Sequence[Sequence[str]], markdown: bool = False) -> str:
    """Lay out cells: the first column to the left, all others to the right.

    Args:
      header: C texts.
      rows: C texts each.
      markdown: with pipes, in place of two spaces between columns.

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


def nops_table(
    by_nops: Mapping[int, Mapping[str, Any]],
    floors: Mapping[str, Mapping[str, Any]],
    markdown: bool = False,
) -> str:
    """The rates by number of operations beside the floors on the same questions.

    Args:
      by_nops: {number of operations: rates}, as `error_rates` gives them.
      floors: {name: rates with by_nops}, as `floors` gives them; "last k" is left out.
      markdown: see `table`.
    Returns:
      A line for each number of operations, at most 110 columns wide with 4 operations alone.
      A floor's cell is sample/mask error in whole percent, rounded away from 0 and 100.

    >>> rates = {"questions": 900, "sample_error_pct": 2.5, "sample_error_interval": [1.7, 3.7],
    ...          "mask_error_pct": 0.6}
    >>> copy = {"by_nops": {5: {"sample_error_pct": 100.0, "mask_error_pct": 77.5}}}
    >>> print(nops_table({5: rates}, {"copy": copy}))
    nops  questions  sample err %       95 %  mask err %    copy
    5           900          2.50  1.70-3.70        0.60  100/78
    """
    shown = [name for name in floors if not name.startswith("last")]
    header = ["nops", "questions", "sample err %", "95 %", "mask err %", *shown]
    return table(
        header,
        [
            [
                str(nops),
                *rate_cells(rates),
                *(floor_cell(floors[name]["by_nops"][nops]) for name in shown),
            ]
            for nops, rates in by_nops.items()
        ],
        markdown,
    )


def rate_cells(rates: Mapping[str, Any]) -> list[str]:
    """The cells of `error_rates`: questions, sample error, its interval, mask error."""
    low, high = rates["sample_error_interval"]
    sample, mask = (f"{rates[name]:.2f}" for name in ("sample_error_pct", "mask_error_pct"))
    return [f"{rates['questions']:,}", sample, f"{low:.2f}-{high:.2f}", mask]


def floor_cell(rates: Mapping[str, Any]) -> str:
    """Sample error/mask error in whole percent."""
    return f"{_whole(rates['sample_error_pct'])}/{_whole(rates['mask_error_pct'])}"


def _whole(percent: float) -> int:
    """The nearest whole percent; 0 and 100 only where they are exact."""
    return round(percent) if percent in (0, 100) else min(99, max(1, round(percent)))


def trials_table(results: Mapping[str, Any], markdown: bool = False) -> str:
    """How many trials are solved, and the spread of each measure over them.

    Args:
      results: as `summarize` gives it.
      markdown: see `table`.
    Returns:
      A sentence, an empty line, a table with a line for each of MEASURES.
    """
    rows = [
        [called, *(_number(results[name][statistic], name, statistic) for statistic in STATISTICS)]
        for name, called in MEASURES.items()
    ]
    sample_error = results["sample_error_pct"]
    return (
        f"solved {sample_error['solved']} of {sample_error['n']} "
        f"(sample error at most 1 % on {results['split']})\n\n"
        + table(["over trials", *STATISTICS], rows, markdown)
    )


def _number(value: float | None, measure: str, statistic: str) -> str:
    """Percent with two digits, seconds with one, all else whole; "-" where there is none."""
    if value is None:
        return "-"
    digits = 2 if measure.endswith("_pct") else 1 if measure == "seconds" else 0
    return f"{value:,.{0 if statistic == 'n' else digits}f}"
