"""Write the results of an evaluation: tables, evaluation.json, evaluation.md and pictures."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from scripts.core.io import write_lines
from scripts.core.statistics import HORIZON_SAMPLES
from scripts.evaluation.grid import ENDS
from scripts.reporting.answers import Answered, worst_and_best
from scripts.reporting.figures import answers_picture, error_by_nops, survival_curves
from scripts.reporting.tables import (
    RATES,
    define_horizon,
    nops_table,
    rate_cells,
    table,
    with_baselines,
)

Result = Mapping[str, Any]


def save_results(folder: Path, results: Sequence[Result]) -> None:
    """Write evaluation.json, whole: the results without the texts of the answers."""
    kept = [dict(result) for result in results]
    for result in kept:
        if "data" in result:
            result["data"] = {k: v for k, v in result["data"].items() if k != "texts"}
    write_lines(folder / "evaluation.json", [json.dumps(kept, indent=2, allow_nan=False)])


def write_report(folder: Path, results: Sequence[Result]) -> None:
    """Write evaluation.md and its pictures from what `evaluate` yields, at least one result."""
    draw = _draw_grids if "grids" in results[0] else _draw_answers
    images = [f"\n![{name}]({name})" for name in draw(folder, results)]
    write_lines(folder / "evaluation.md", [describe(results, markdown=True), *images])


def describe(results: Sequence[Result], markdown: bool = False) -> str:
    """Lay out all tables of what `evaluate` yields, each under its title."""
    parts = (_grid_parts if "grids" in results[0] else _answer_parts)(results, markdown)
    head = "### " if markdown else ""
    return "\n\n".join(f"{head}{title}\n\n{text}" for title, text in parts)


def _labeled(results: Sequence[Result]) -> dict[str, Result]:
    """Put the results under their checkpoints' names, numbered where there are several."""
    if len(results) == 1:
        return {results[0]["checkpoint"]: results[0]}
    return {f"{i}: {result['checkpoint']}": result for i, result in enumerate(results, 1)}


def _grid_parts(results: Sequence[Result], markdown: bool) -> Iterator[tuple[str, str]]:
    """Make titles and tables: the horizons, then each model on each grid."""
    rows, ends, tables = [], [], {}
    for label, result in _labeled(results).items():
        for grid in result["grids"]:
            speed = f"{grid['questions_per_second']:,.0f}"
            about = f"{result['parameters']:,}", result["device"], speed
            rows.append([label, grid["grid"], horizon_cell(grid), *about])
            if grid["ended"]:
                last = grid["rows"][-1]["nops"]
                ends.append(f"{label}, {grid['grid']}: ends at {last}, {ENDS[grid['ended']]}.")
            by_nops = {row["nops"]: row for row in grid["rows"]}
            tables[f"{label}, {grid['grid']}"] = nops_table(by_nops, markdown)
    header = ["checkpoint", "grid", "horizon", "parameters", "device", "samples/s"]
    count = results[0]["grids"][0]["questions"]
    words = define_horizon(count) if count >= HORIZON_SAMPLES else "Too few samples for a horizon."
    text = "\n\n".join([table(header, rows, markdown), words, *ends])
    yield f"Horizon, {count:,} samples of each number of operations", text
    for title, text in tables.items():
        yield f"{title} (trivial baselines: sample/mask error %)", text


def horizon_cell(grid: Mapping[str, Any]) -> str:
    """Write a horizon; "-" where there were too few samples for one."""
    return "-" if grid["horizon"] is None else str(grid["horizon"])


def _answer_parts(results: Sequence[Result], markdown: bool) -> Iterator[tuple[str, str]]:
    """Make titles and tables: the overview, then each model by operations, then first errors."""
    rows, tables, curves = [], {}, {}
    for label, result in _labeled(results).items():
        data = result["data"]
        speed = f"{data['questions_per_second']:,.0f}"
        about = f"{result['parameters']:,}", speed, result["device"]
        rows.append([label, data["config"], data["split"], *rate_cells(data), *about])
        by_nops = with_baselines(data, data["floors"], "by_nops")
        tables[label] = nops_table(by_nops, markdown)
        if data["survival"]:
            curves[label] = data["survival"]
    header = ["checkpoint", "data", "split", *RATES, "parameters", "samples/s", "device"]
    yield "Error on the answer field", table(header, rows, markdown)
    for label, text in tables.items():
        yield f"{label} by number of operations (trivial baselines: sample/mask error %)", text
    if curves:
        steps = sorted({step for curve in curves.values() for step in curve})
        rows = [
            [label, *(f"{curve[step]:.1f}" if step in curve else "-" for step in steps)]
            for label, curve in curves.items()
        ]
        title = "Samples still right after each number of operations, %"
        yield title, table(["checkpoint", *map(str, steps)], rows, markdown)


def _draw_answers(folder: Path, results: Sequence[Result]) -> Iterator[str]:
    """Draw the worst and best answers of each model, and the samples still right."""
    data_of = {label: result["data"] for label, result in _labeled(results).items()}
    for i, data in enumerate(data_of.values(), 1):
        blocks = worst_and_best(Answered(**data["texts"]), data["answer_width"])
        answers_picture(blocks, folder / f"answers-{i}.png")
        yield f"answers-{i}.png"
    curves = {label: data["survival"] for label, data in data_of.items() if data["survival"]}
    if curves:
        survival_curves(curves, folder / "survival.png")
        yield "survival.png"


def _draw_grids(folder: Path, results: Sequence[Result]) -> Iterator[str]:
    """Draw the errors on each grid, a line for each model."""
    lines: dict[str, dict[str, Any]] = {}
    for label, result in _labeled(results).items():
        for grid in result["grids"]:
            name = f"{label}: horizon {horizon_cell(grid)}"
            lines.setdefault(grid["grid"], {})[name] = grid["rows"]
    for grid_name, rows in lines.items():
        error_by_nops(rows, folder / f"{grid_name}.png", grid_name)
        yield f"{grid_name}.png"
