"""Results of several recipes -> one table of them, the best first."""

from collections.abc import Mapping, Sequence
from typing import Any

from scripts.reporting.tables import table

HEADER = (
    "recipe",
    "parameters",
    "solved",
    "sample error %",
    "mask error %",
    "horizon",
    "samples/s",
)


def leaderboard(
    rows: Sequence[Mapping[str, Any]],
    floors: Mapping[str, Mapping[str, float]],
    markdown: bool = False,
) -> str:
    """Lay out a line for each recipe: most trials solved first, then the smallest median error.

    Args:
      rows: results.json of each recipe with its `horizon` as a text; or, for a recipe that did
        not come to its end, `recipe` and `failed`, the reason.
      floors: {name: rates} of answers that need no model, on the same questions.
      markdown: see `table`.
    Returns:
      Table, floors in its last lines; below it the reasons.

    >>> spread = {"median": 2.0, "solved": 1, "n": 3}
    >>> row = {"recipe": "a", "parameters": 1234, "sample_error_pct": spread, "horizon": "5",
    ...        "mask_error_pct": spread, "samples_per_second": spread}
    >>> copy = {"sample_error_pct": 100.0, "mask_error_pct": 77.5}
    >>> print(leaderboard([row, {"recipe": "b", "failed": "why"}], {"copy": copy}))
    recipe  parameters  solved  sample error %  mask error %  horizon  samples/s
    a            1,234  1 of 3            2.00          2.00        5          2
    b                -  failed               -             -        -          -
    copy             -       -          100.00         77.50        -          -
    <BLANKLINE>
    b failed: why
    """
    failed = [row for row in rows if "failed" in row]
    finished = sorted((row for row in rows if "failed" not in row), key=_rank)
    lines = [*map(_line, finished)]
    lines += [[row["recipe"], "-", "failed", "-", "-", "-", "-"] for row in failed]
    lines += [[name, "-", "-", *_errors(rates), "-", "-"] for name, rates in floors.items()]
    reasons = [f"{row['recipe']} failed: {row['failed']}" for row in failed]
    return "\n\n".join([table(HEADER, lines, markdown), *reasons])


def _rank(row: Mapping[str, Any]) -> tuple[float, ...]:
    """What the lines are sorted by."""
    errors = row["sample_error_pct"]
    return (-errors["solved"] / errors["n"], errors["median"], row["mask_error_pct"]["median"])


def _line(row: Mapping[str, Any]) -> list[str]:
    """The cells of a recipe; medians over its trials."""
    errors, mask = row["sample_error_pct"], row["mask_error_pct"]
    return [
        row["recipe"],
        f"{row['parameters']:,}",
        f"{errors['solved']} of {errors['n']}",
        f"{errors['median']:.2f}",
        f"{mask['median']:.2f}",
        row["horizon"],
        f"{row['samples_per_second']['median']:,.0f}",
    ]


def _errors(rates: Mapping[str, float]) -> list[str]:
    """Both errors of a floor."""
    return [f"{rates[name]:.2f}" for name in ("sample_error_pct", "mask_error_pct")]
