"""Train the cells of examples/word_problem.py that the results lack, and write their table."""

import json
import platform
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock

from examples.word_problem import CELLS, LENGTHS, report, train
from scripts.core.io import check_shape, read_jsonl, read_lines, replace_file, write_lines
from scripts.core.statistics import format_share
from scripts.core.trial_store import LOCK_FILE
from scripts.reproduction.experiments import matching

NAME = "word_problem"
TITLE = "The word problem: groups that a layer can follow"
LEGEND = (
    "Of 500 sequences the share with every position right up to a length, and of their tokens up "
    "to 256, the trained lengths among them, each the median over seeds, the lower one of two; "
    "solved: more than nine of ten right at 32. Trained at lengths that double to 32, on as many "
    "tokens a step. deltaN-betaM: one delta-rule layer with N reflections a token and betas up to "
    "M. Sets of generators: swaps and the identity, three (at most three elements moved), all. "
    "Steps, rate and first length: examples/word_problem.csv; first-settings: the rate and first "
    "length of all other groups."
)
TRIALS = 3
SETTINGS = ("steps", "rate", "first")
"""Of a cell, in examples/word_problem.csv; `first` is the length that its training begins with."""

CELL = {"cell": str, "seed": int, "steps": int, "sequences": {str: float}, "tokens_to_256": float}


def cells_path(hub_cards: Path) -> Path:
    """Return where the results lie: in a folder of their own, for they are not of our data."""
    return hub_cards / "results" / NAME / "cells.jsonl"


def read_cells(hub_cards: Path) -> list[dict[str, Any]]:
    """Read the kept lines; a ValueError names file and line, or the seed that has two."""
    results = read_jsonl(cells_path(hub_cards), _parse_cell)
    keys = [(result["cell"], result["seed"]) for result in results]
    if twice := [key for key in keys if keys.count(key) > 1]:
        cell, seed = twice[0]
        raise ValueError(f"{cells_path(hub_cards)}: {cell}, seed {seed}, stands there twice")
    return results


def _parse_cell(line: dict[str, Any]) -> dict[str, Any]:
    """Check what the table reads of a line."""
    check_shape(line, CELL, "cell")
    if line["cell"] not in CELLS:
        raise ValueError(f"cell {line['cell']!r} is none of examples/word_problem.csv")
    for name, value in {"rate": 0.003, "first": 4, **line}.items():  # of lines that lack them
        if name in SETTINGS and value != float(CELLS[line["cell"]][name]):
            raise ValueError(f"{name} was {value:g}, which is not that of the cell")
    if [*line["sequences"]] != [*map(str, LENGTHS)]:
        raise ValueError(f"sequences has the lengths {[*line['sequences']]}, not {[*LENGTHS]}")
    if max(line["tokens_to_256"], *line["sequences"].values()) > 1:
        raise ValueError("a share is above one")
    return line


def missing_cells(
    hub_cards: Path, patterns: Sequence[str], trials: int | None
) -> list[tuple[str, int]]:
    """List cells and seeds without a line: all cells of seed 0 first, the cheapest before others.

    Raises:
      ValueError: a pattern is that of no cell.
    """
    cells = matching(CELLS, patterns)
    done = {(row["cell"], row["seed"]) for row in read_cells(hub_cards)}
    wanted = [(cell, seed) for seed in range(trials or TRIALS) for cell in cells]
    return [one for one in wanted if one not in done]


def train_cells(hub_cards: Path, cells: Sequence[tuple[str, int]]) -> Iterator[dict[str, Any]]:
    """Train cells one after the other, and keep a line of each as it ends."""
    path = cells_path(hub_cards)
    path.parent.mkdir(parents=True, exist_ok=True)
    versions = {name: version(name) for name in ("torch", "transformers")}
    about = {
        "versions": {"python": platform.python_version(), **versions},
        "device": f"cpu, {torch.get_num_threads()} threads",
    }
    lock = FileLock(path.parent / LOCK_FILE)
    for cell, seed in cells:
        with lock:
            write_lines(path, read_lines(path))  # what cannot be written is not trained
        result = {**train(cell, seed), **about}
        with lock:
            if (cell, seed) not in {(one["cell"], one["seed"]) for one in read_cells(hub_cards)}:
                write_lines(path, [*read_lines(path), json.dumps(result)])
        yield result


def _describe_shares(results: Sequence[dict[str, Any]]) -> str:
    """Write the exact interval of each share of seeds that the table has."""
    solved: dict[str, list[bool]] = {}
    for result in results:
        solved.setdefault(result["cell"], []).append(result["sequences"]["32"] > 0.9)
    shares = sorted({(len(seeds), sum(seeds)) for seeds in solved.values()}, reverse=True)
    return f"Exact 95% intervals: {', '.join(format_share(k, n) for n, k in shares)}."


def write_report(hub_cards: Path) -> str:
    """Write the table and the figure from the kept lines, and return the table.

    Raises:
      ValueError: there is no line.
    """
    order = [*CELLS]
    results = read_cells(hub_cards)
    if not results:
        raise ValueError(f"{cells_path(hub_cards)} has no line: train a cell first")
    results.sort(key=lambda result: (order.index(result["cell"]), result["seed"]))
    for name in ("tables", "figures"):
        (hub_cards / name).mkdir(parents=True, exist_ok=True)
    with replace_file(hub_cards / "figures" / f"{NAME}.png") as picture:
        table = report(results, picture)
    text = f"# {TITLE}\n\n{table}\n\n{LEGEND} {_describe_shares(results)}\n"
    if missing := [cell for cell in order if all(result["cell"] != cell for result in results)]:
        text += f"\nNot run yet: {', '.join(missing)}.\n"
    write_lines(hub_cards / "tables" / f"{NAME}.md", text.splitlines())
    return text
