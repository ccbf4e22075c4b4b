"""Write the results of an evaluation: tables, evaluation.json, evaluation.md and pictures."""

import json
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

from scripts.core.io import write_lines
from scripts.evaluation.grid import ENDS
from scripts.reporting.figures import (
    ErrorLine,
    ErrorMap,
    answers_picture,
    error_by_nops,
    error_maps,
    survival_curves,
)
from scripts.reporting.report import Answered, worst_and_best
from scripts.reporting.tables import HORIZON, baseline_cell, nops_table, rate_cells, table

Result = Mapping[str, Any]
PICTURES = ("answers-*.png", "first_wrong_step.png", "first_error.png", "grid.png", "grid-all.png")
RATES = ("samples", "sample err %", "95%", "mask err %")


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


def _labels(results: Sequence[Result]) -> list[str]:
    """Return the checkpoints' names, numbered where there are several."""
    if len(results) == 1:
        return [results[0]["checkpoint"]]
    return [f"{i}: {result['checkpoint']}" for i, result in enumerate(results, 1)]


def _grid_parts(results: Sequence[Result], markdown: bool) -> list[tuple[str, str]]:
    """Make titles and tables: the horizons, then each grid."""
    rows, ends = [], []
    for label, result in zip(_labels(results), results, strict=True):
        speed = f"{result['parameters']:,}", result["device"], str(result["batch_size"])
        for grid in result["grids"]:
            throughput = f"{grid['questions_per_second']:,.0f}"
            rows.append([label, grid["grid"], horizon_cell(grid), *speed, throughput])
            if grid["ended"]:
                last = grid["rows"][-1]["nops"]
                ends.append(f"{label}, {grid['grid']}: ends at {last}, {ENDS[grid['ended']]}.")
    header = ["checkpoint", "grid", "horizon", "parameters", "device", "batch", "samples/s"]
    title = f"Horizon, {results[0]['grids'][0]['questions']:,} samples of each number of operations"
    parts = [(title, "\n\n".join([table(header, rows, markdown), HORIZON, *ends]))]
    for same in zip(*(result["grids"] for result in results), strict=True):
        title = f"{same[0]['grid']}, next to the trivial baselines (sample/mask error %)"
        parts.append((title, _grid_table(same, markdown)))
    return parts


def horizon_cell(grid: Mapping[str, Any]) -> str:
    """Write a horizon; "-" where there were too few samples for one."""
    return "-" if grid["horizon"] is None else str(grid["horizon"])


def _grid_table(grids: Sequence[Mapping[str, Any]], markdown: bool) -> str:
    """Make a line for each number of operations; columns for each model, then the baselines."""
    numbers = [f"{i}: " for i in range(1, len(grids) + 1)] if len(grids) > 1 else [""]
    # A model that stopped early has a prefix of the longest one's rows.
    longest_first = sorted((grid["rows"] for grid in grids), key=len, reverse=True)
    # A wider answer field is easier: its padding counts.
    by_width: dict[int, Sequence[Mapping[str, Any]]] = {}
    for grid in sorted(grids, key=lambda grid: -len(grid["rows"])):
        by_width.setdefault(grid["answer_width"], grid["rows"])
    fields = [(width, name) for width, rows in by_width.items() for name in rows[0]["floors"]]
    names = [f"{name}{_field(width, by_width)}" for width, name in fields]
    header = ["nops", *(number + name for number in numbers for name in RATES[1:]), *names]
    lines = []
    for i, row in enumerate(longest_first[0]):
        measured = [grid["rows"][i] if i < len(grid["rows"]) else None for grid in grids]
        cells = [cell for r in measured for cell in (rate_cells(r)[1:] if r else ["-"] * 3)]
        for width, name in fields:
            rows = by_width[width]
            cells.append(baseline_cell(rows[i]["floors"][name]) if i < len(rows) else "-")
        lines.append([str(row["nops"]), *cells])
    return table(header, lines, markdown)


def _answer_parts(results: Sequence[Result], markdown: bool) -> list[tuple[str, str]]:
    """Make titles and tables: the overview, then each model by operations, then first errors."""
    parts = [("Error on the answer field", _overview(results, markdown))]
    labels = _labels(results)
    for label, result in zip(labels, results, strict=True):
        data = result["data"]
        if len(data["by_nops"]) > 1:
            title = f"{label} by number of operations (trivial baselines: sample/mask error %)"
            parts.append((title, nops_table(data["by_nops"], data["floors"], markdown)))
    by_label = zip(labels, (result["data"]["first_wrong_step"] for result in results), strict=True)
    first = [(label, one) for label, one in by_label if one and one["wrong"]]
    if first:
        steps = sorted({k for _, one in first for k in one["counts"]}, key=_step_order)
        rows = [
            [label, f"{one['wrong']:,}", *(_share(one["counts"], step) for step in steps)]
            for label, one in first
        ]
        title = "First wrong step: % of wrong answers by the first operation at which it errs"
        parts.append((title, table(["checkpoint", "wrong", *steps], rows, markdown)))
    return parts


def _overview(results: Sequence[Result], markdown: bool) -> str:
    """Make a line for each model, then one for each trivial baseline of its data."""
    header = ["checkpoint", "data", "split", *RATES, "95%", "parameters", "samples/s", "device"]
    lines = []
    baselines: dict[tuple[str, ...], Mapping[str, Any]] = {}
    widths = {result["data"]["answer_width"] for result in results}
    for label, result in zip(_labels(results), results, strict=True):
        data = result["data"]
        data_cells = [f"{data['config']}{_field(data['answer_width'], widths)}", data["split"]]
        speed = f"{data['questions_per_second']:,.0f}"
        device = f"{result['device']}, batch {result['batch_size']}"
        lines.append([label, *data_cells, *_both(data), f"{result['parameters']:,}", speed, device])
        for name, level in data["floors"].items():
            if not name.startswith("last"):
                baselines.setdefault((f"baseline: {name}", *data_cells), level)
    lines += [[*key, *_both(level), "-", "-", "-"] for key, level in baselines.items()]
    return table(header, lines, markdown)


def _field(width: int, widths: Collection[int]) -> str:
    """Say how wide an answer field is, where not all are the same."""
    return f", {width} bytes" if len(widths) > 1 else ""


def _both(rates: Mapping[str, Any]) -> list[str]:
    """Return samples, both errors and both intervals."""
    low, high = rates["mask_error_interval"]
    return [*rate_cells(rates), f"{low:.2f}-{high:.2f}"]


def _step_order(step: str) -> int:
    """Order steps, "none" last."""
    return 10**6 if step == "none" else int(step)


def _share(counts: Mapping[str, int], step: str) -> str:
    """Return the percent of the wrong answers; "-" for a step outside the trained range."""
    return f"{100 * counts[step] / sum(counts.values()):.1f}" if step in counts else "-"


def _draw_answers(folder: Path, results: Sequence[Result]) -> list[str]:
    """Draw the worst and best answers of each model, and the samples still right."""
    pictures, curves = [], {}
    for i, (label, result) in enumerate(zip(_labels(results), results, strict=True), 1):
        texts, width = result["data"]["texts"], result["data"]["answer_width"]
        pictures.append(f"answers-{i}.png")
        answers_picture(worst_and_best(Answered(**texts), width), folder / pictures[-1])
        first = result["data"]["first_wrong_step"]
        if first and first["survival"]:
            curves[label] = {int(k): share for k, share in first["survival"].items()}
    if curves:
        pictures.append("first_error.png")
        survival_curves(curves, folder / pictures[-1])
    return pictures


def _draw_grids(folder: Path, results: Sequence[Result]) -> list[str]:
    """Draw curves of a kind of grid at one length, heat maps of several."""
    pictures = []
    for kind, title in (("grid", "swaps"), ("grid-all", "all operations")):
        named = [
            (label, [grid for grid in r["grids"] if grid["grid"].startswith(f"{kind}-len")])
            for label, r in zip(_labels(results), results, strict=True)
        ]
        if not named[0][1]:
            continue
        pictures.append(f"{kind}.png")
        path = folder / pictures[-1]
        if len(named[0][1]) == 1:
            lines = [
                ErrorLine(f"{label}: horizon {horizon_cell(grid)}", grid["rows"])
                for label, (grid,) in named
            ]
            error_by_nops(lines, path, f"{named[0][1][0]['length']} letters, {title}")
        else:
            maps = [ErrorMap(label, {g["length"]: g["rows"] for g in gs}) for label, gs in named]
            error_maps(maps, path, title)
    return pictures
