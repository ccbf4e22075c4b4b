"""Write the results of an evaluation: tables, evaluation.json, evaluation.md and pictures."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

from scripts.core.io import write_lines
from scripts.evaluation.grid import ENDS
from scripts.reporting.figures import answers_picture, error_by_nops, survival_curves
from scripts.reporting.report import Answered, worst_and_best
from scripts.reporting.tables import (
    HORIZON,
    RATES,
    baseline_cell,
    nops_table,
    rate_cells,
    table,
    with_baselines,
)

Result = Mapping[str, Any]
PICTURES = ("answers-*.png", "survival.png", "grid-*.png")


def prepare_folder(folder: Path) -> None:
    """Make the folder of a report.

    Raises:
      ValueError: it cannot be made or written into.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise ValueError(f"--output-dir {folder} cannot be written ({error.strerror})") from None


def save_results(folder: Path, results: Sequence[Result]) -> None:
    """Write evaluation.json, whole: the results without the texts of the answers."""
    kept = [
        {**result, "data": {k: v for k, v in result["data"].items() if k != "texts"}}
        if "data" in result
        else result
        for result in results
    ]
    write_lines(folder / "evaluation.json", [json.dumps(kept, indent=2, allow_nan=False)])


def write_report(folder: Path, results: Sequence[Result]) -> None:
    """Write evaluation.md and its pictures; each file is replaced whole.

    Args:
      folder: exists; pictures of an older report that this one has not are removed.
      results: as `evaluate` yields them, at least one.
    """
    draw = _draw_grids if "grids" in results[0] else _draw_answers
    pictures = draw(folder, results)
    images = [f"\n![{name}]({name})" for name in pictures]
    write_lines(folder / "evaluation.md", [describe(results, markdown=True), *images])
    for path in (path for pattern in PICTURES for path in folder.glob(pattern)):
        if path.name not in pictures:
            path.unlink()


def describe(results: Sequence[Result], markdown: bool = False) -> str:
    """Lay out all tables, each under its title.

    Args:
      results: as `evaluate` yields them, at least one, all evaluated alike.
      markdown: see `table`; headings too.
    """
    parts = (_grid_parts if "grids" in results[0] else _answer_parts)(results, markdown)
    head = "### " if markdown else ""
    return "\n\n".join(f"{head}{title}\n\n{text}" for title, text in parts)


def _labeled(results: Sequence[Result]) -> dict[str, Result]:
    """Put the results under their checkpoints' names, numbered where there are several."""
    if len(results) == 1:
        return {results[0]["checkpoint"]: results[0]}
    return {f"{i}: {result['checkpoint']}": result for i, result in enumerate(results, 1)}


def _by_grid(results: Sequence[Result]) -> dict[str, dict[str, Mapping[str, Any]]]:
    """Put the models' results on each grid together."""
    grids: dict[str, dict[str, Mapping[str, Any]]] = {}
    for label, result in _labeled(results).items():
        for grid in result["grids"]:
            grids.setdefault(grid["grid"], {})[label] = grid
    return grids


def _grid_parts(results: Sequence[Result], markdown: bool) -> Iterator[tuple[str, str]]:
    """Make titles and tables: the horizons, then each grid."""
    rows, ends = [], []
    for label, result in _labeled(results).items():
        for grid in result["grids"]:
            speed = f"{grid['questions_per_second']:,.0f}"
            about = f"{result['parameters']:,}", result["device"], speed
            rows.append([label, grid["grid"], horizon_cell(grid), *about])
            if grid["ended"]:
                last = grid["rows"][-1]["nops"]
                ends.append(f"{label}, {grid['grid']}: ends at {last}, {ENDS[grid['ended']]}.")
    header = ["checkpoint", "grid", "horizon", "parameters", "device", "samples/s"]
    count = results[0]["grids"][0]["questions"]
    text = "\n\n".join([table(header, rows, markdown), HORIZON, *ends])
    yield f"Horizon, {count:,} samples of each number of operations", text
    for name, grids in _by_grid(results).items():
        for width in sorted({grid["answer_width"] for grid in grids.values()}):
            # A wider answer field is easier, for its padding counts.
            same = {label: grid for label, grid in grids.items() if grid["answer_width"] == width}
            title = f"{name}, answer fields of {width}, next to the trivial baselines"
            yield f"{title} (sample/mask error %)", _grid_table(same, markdown)


def horizon_cell(grid: Mapping[str, Any]) -> str:
    """Write a horizon; "-" where there were too few samples for one."""
    return "-" if grid["horizon"] is None else str(grid["horizon"])


def _grid_table(grids: Mapping[str, Mapping[str, Any]], markdown: bool) -> str:
    """Make a line for each number of operations; columns for each model, then the baselines."""
    numbers = [f"{label.partition(' ')[0]} " if len(grids) > 1 else "" for label in grids]
    # A model that stopped early has a prefix of the longest one's rows.
    longest = max((grid["rows"] for grid in grids.values()), key=len)
    names = list(longest[0]["floors"])
    header = ["nops", *(number + name for number in numbers for name in RATES[1:]), *names]
    lines = []
    for i, row in enumerate(longest):
        measured = [grid["rows"][i] if i < len(grid["rows"]) else None for grid in grids.values()]
        cells = [cell for r in measured for cell in (rate_cells(r)[1:] if r else ["-"] * 3)]
        baselines = [baseline_cell(row["floors"][name]) for name in names]
        lines.append([str(row["nops"]), *cells, *baselines])
    return table(header, lines, markdown)


def _answer_parts(results: Sequence[Result], markdown: bool) -> Iterator[tuple[str, str]]:
    """Make titles and tables: the overview, then each model by operations, then first errors."""
    yield "Error on the answer field", _overview(results, markdown)
    data_of = {label: result["data"] for label, result in _labeled(results).items()}
    for label, data in data_of.items():
        if len(data["by_nops"]) > 1:
            title = f"{label} by number of operations (trivial baselines: sample/mask error %)"
            by_nops = with_baselines(data, data["floors"], "by_nops")
            yield title, nops_table(by_nops, markdown)
    curves = {label: data["survival"] for label, data in data_of.items() if data["survival"]}
    if curves:
        steps = sorted({step for curve in curves.values() for step in curve})
        rows = [
            [label, *(f"{curve[step]:.1f}" if step in curve else "-" for step in steps)]
            for label, curve in curves.items()
        ]
        title = "Samples still right after each number of operations, %"
        yield title, table(["checkpoint", *map(str, steps)], rows, markdown)


def _overview(results: Sequence[Result], markdown: bool) -> str:
    """Make a line for each model, then one for each trivial baseline of its data."""
    header = ["checkpoint", "data", "split", "width", *RATES, "parameters", "samples/s", "device"]
    lines = []
    baselines: dict[tuple[str, ...], Mapping[str, Any]] = {}
    for label, result in _labeled(results).items():
        data = result["data"]
        part = (data["config"], data["split"], str(data["answer_width"]))
        speed = f"{data['questions_per_second']:,.0f}"
        about = f"{result['parameters']:,}", speed, result["device"]
        lines.append([label, *part, *rate_cells(data), *about])
        for name, rates in data["floors"].items():
            if not name.startswith("last"):
                baselines.setdefault((f"baseline: {name}", *part), rates)
    lines += [[*key, *rate_cells(rates), "-", "-", "-"] for key, rates in baselines.items()]
    return table(header, lines, markdown)


def _draw_answers(folder: Path, results: Sequence[Result]) -> list[str]:
    """Draw the worst and best answers of each model, and the samples still right."""
    pictures, curves = [], {}
    for i, (label, result) in enumerate(_labeled(results).items(), 1):
        data = result["data"]
        pictures.append(f"answers-{i}.png")
        blocks = worst_and_best(Answered(**data["texts"]), data["answer_width"])
        answers_picture(blocks, folder / pictures[-1])
        if data["survival"]:
            curves[label] = data["survival"]
    if curves:
        pictures.append("survival.png")
        survival_curves(curves, folder / pictures[-1])
    return pictures


def _draw_grids(folder: Path, results: Sequence[Result]) -> list[str]:
    """Draw the errors on each grid, a line for each model."""
    pictures = []
    for name, grids in _by_grid(results).items():
        lines = {f"{label}: horizon {horizon_cell(g)}": g["rows"] for label, g in grids.items()}
        pictures.append(f"{name}.png")
        error_by_nops(lines, folder / pictures[-1], name)
    return pictures
