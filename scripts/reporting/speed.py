"""The kept lines of `scripts/benchmark.py`, a file for each of its parts, and their tables."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from scripts.core.io import HUB_CARDS, read_jsonl, write_lines
from scripts.reporting.figures import speed_curves
from scripts.reporting.tables import table

SpeedLine = Mapping[str, Any]
"""What was measured of one thing, by the head of its column; the first names the thing."""


def speed_table(lines: Sequence[SpeedLine]) -> str:
    """Lay out the lines of a part.

    >>> print(speed_table([{"step": "ours", "ms": 1.5}, {"step": "theirs", "ms": 12_000}]))
    | step   |     ms |
    |:-------|-------:|
    | ours   |   1.50 |
    | theirs | 12,000 |
    """
    rows = [[_cell(value) for value in line.values()] for line in lines]
    return table([*lines[0]], rows, markdown=True)


def _cell(value: str | float) -> str:
    if isinstance(value, str):
        return value
    return f"{value:,}" if isinstance(value, int) else f"{value:,.2f}"


def read_speed(part: str, hub_cards: Path = HUB_CARDS) -> list[SpeedLine]:
    """Read the kept lines of a part; a ValueError says that there is none."""
    path = hub_cards / "results" / "speed" / f"{part}.jsonl"
    lines: list[SpeedLine] = read_jsonl(path, dict)
    if not lines:
        raise ValueError(f"{path} has no line: run scripts/benchmark.py {part} --keep")
    return lines


def keep_speed(part: str, lines: Sequence[SpeedLine], hub_cards: Path = HUB_CARDS) -> None:
    """Write the lines of a part in place of those that are kept, and the figure of evaluation."""
    path = hub_cards / "results" / "speed" / f"{part}.jsonl"
    figure = hub_cards / "figures" / "evaluation_speed.png"
    for folder in (path.parent, figure.parent):
        folder.mkdir(parents=True, exist_ok=True)
    write_lines(path, [json.dumps(line) for line in lines])
    if part == "evaluation":
        speed_curves(lines, figure)
