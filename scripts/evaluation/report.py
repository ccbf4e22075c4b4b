"""Write the results of an evaluation: tables, evaluation.json, evaluation.md and pictures."""

import json
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

from scripts.core.io import replace_file
from scripts.reporting.figures import (
    ErrorLine,
    ErrorMap,
    answers_picture,
    error_by_nops,
    error_maps,
    first_wrong_bars,
)
from scripts.reporting.report import Answered, worst_and_best
from scripts.reporting.tables import floor_cell, nops_table, rate_cells, table

Result = Mapping[str, Any]
PICTURES = ("answers-*.png", "first_wrong_step.png", "grid.png", "grid-all.png")
RATES = ("samples", "sample err %", "95 %", "mask err %")


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
    with replace_file(folder / "evaluation.json") as tmp_path:
        tmp_path.write_text(json.dumps(kept, indent=2, allow_nan=False) + "\n", "utf-8")


def write_report(folder: Path, results: Sequence[Result]) -> None:
    """Write evaluation.md and its pictures; each file is replaced whole.

    Args:
      folder: exists; pictures of an older report that this one has not are removed.
      results: as `evaluate` yields them, at least one.
    """
    draw = _draw_grids if "grids" in results[0] else _draw_answers
    pictures = draw(folder, results)
    shown = "".join(f"\n![{name}]({name})\n" for name in pictures)
    with replace_file(folder / "evaluation.md") as tmp_path:
        tmp_path.write_text(f"{describe(results, markdown=True)}\n{shown}", "utf-8")
    for path in (path for pattern in PICTURES for path in folder.glob(pattern)):
        if path.name not in pictures:
            path.unlink()


def describe(results: Sequence[Result], markdown: bool = False) -> str:
    """All tables.

    Args:
      results: as `evaluate` yields them, at least one, all evaluated alike.
      markdown: see `table`; headings too.
    """
    parts = _grid_parts(results, markdown) if "grids" in results[0] else []
    parts = parts or _answer_parts(results, markdown)
    head = "### " if markdown else ""
    return "\n\n".join(f"{head}{title}\n\n{text}" for title, text in parts)


def _labels(results: Sequence[Result]) -> list[str]:
    """Return the checkpoints' names, numbered where there are several."""
    if len(results) == 1:
        return [results[0]["checkpoint"]]
    return [f"{i}: {result['checkpoint']}" for i, result in enumerate(results, 1)]


def _grid_parts(results: Sequence[Result], markdown: bool) -> list[tuple[str, str]]:
    """Make titles and tables: the horizons, then each grid."""
    rows = [
        [
            label, grid["grid"], str(grid["horizon"]), f"{result['parameters']:,}",
            f"{grid['questions_per_second']:,.0f}", result["device"], str(result["batch_size"]),
        ]
        for label, result in zip(_labels(results), results, strict=True)
        for grid in result["grids"]
    ]  # fmt: skip
    header = ["checkpoint", "grid", "horizon", "parameters", "samples/s", "device", "batch"]
    questions = results[0]["grids"][0]["questions"]
    title = (
        "Horizon: the number of operations up to which the sample error is at most 1%, "
        f"{questions:,} samples of each number"
    )
    parts = [(title, table(header, rows, markdown))]
    for i, grid in enumerate(results[0]["grids"]):
        same = [result["grids"][i] for result in results]
        title = f"{grid['grid']}, next to the trivial baselines (sample/mask error %)"
        parts.append((title, _grid_table(same, markdown)))
    return parts


def _grid_table(grids: Sequence[Mapping[str, Any]], markdown: bool) -> str:
    """Make a line for each number of operations; columns for each model, then the baselines."""
    numbers = [f"{i}: " for i in range(1, len(grids) + 1)] if len(grids) > 1 else [""]
    # A model that stopped early has a prefix of the longest one's rows.
    longest = max((grid["rows"] for grid in grids), key=len)
    # A wider answer field is easier: its padding counts.
    by_width: dict[int, Sequence[Mapping[str, Any]]] = {}
    for grid in sorted(grids, key=lambda grid: -len(grid["rows"])):
        by_width.setdefault(grid["answer_width"], grid["rows"])
    fields = [(rows, name) for rows in by_width.values() for name in rows[0]["floors"]]
    names = [
        f"{name}{_field(width, by_width)}"
        for width, rows in by_width.items()
        for name in rows[0]["floors"]
    ]
    header = ["nops", *(number + name for number in numbers for name in RATES[1:]), *names]
    lines = []
    for i, row in enumerate(longest):
        measured = [grid["rows"][i] if i < len(grid["rows"]) else None for grid in grids]
        cells = [cell for r in measured for cell in (rate_cells(r)[1:] if r else ["-"] * 3)]
        levels = [
            floor_cell(rows[i]["floors"][name]) if i < len(rows) else "-" for rows, name in fields
        ]
        lines.append([str(row["nops"]), *cells, *levels])
    return table(header, lines, markdown)


def _answer_parts(results: Sequence[Result], markdown: bool) -> list[tuple[str, str]]:
    """Make titles and tables: the overview, then each model by operations, then first errors."""
    parts = [("Error on the answer field", _overview(results, markdown))]
    for label, result in zip(_labels(results), results, strict=True):
        data = result["data"]
        if len(data["by_nops"]) > 1:
            title = f"{label} by number of operations (trivial baselines: sample/mask error %)"
            parts.append((title, nops_table(data["by_nops"], data["floors"], markdown)))
    counted = _counted(results)
    if counted:
        steps = sorted({k for counts in counted.values() for k in counts}, key=_step_order)
        rows = [
            [label, f"{sum(counts.values()):,}", *(_share(counts, step) for step in steps)]
            for label, counts in counted.items()
        ]
        title = "First wrong step: % of wrong answers by the first operation at which it errs"
        parts.append((title, table(["checkpoint", "wrong", *steps], rows, markdown)))
    return parts


def _overview(results: Sequence[Result], markdown: bool) -> str:
    """Make a line for each model, then one for each trivial baseline of its data."""
    header = ["checkpoint", "data", "split", *RATES, "95 %", "parameters", "samples/s", "device"]
    lines = []
    floors: dict[tuple[str, ...], Mapping[str, Any]] = {}
    widths = {result["data"]["answer_width"] for result in results}
    for label, result in zip(_labels(results), results, strict=True):
        data = result["data"]
        data_cells = [f"{data['config']}{_field(data['answer_width'], widths)}", data["split"]]
        speed = f"{data['questions_per_second']:,.0f}"
        device = f"{result['device']}, batch {result['batch_size']}"
        lines.append([label, *data_cells, *_both(data), f"{result['parameters']:,}", speed, device])
        for name, level in data["floors"].items():
            if not name.startswith("last"):
                floors.setdefault((f"baseline: {name}", *data_cells), level)
    lines += [[*key, *_both(level), "-", "-", "-"] for key, level in floors.items()]
    return table(header, lines, markdown)


def _field(width: int, widths: Collection[int]) -> str:
    """Say how wide an answer field is, where not all are the same."""
    return f", {width} bytes" if len(widths) > 1 else ""


def _both(rates: Mapping[str, Any]) -> list[str]:
    """Return samples, both errors and both intervals."""
    low, high = rates["mask_error_interval"]
    return [*rate_cells(rates), f"{low:.2f}-{high:.2f}"]


def _counted(results: Sequence[Result]) -> dict[str, Mapping[str, int]]:
    """Return the first wrong steps of models that have wrong answers and a trained range."""
    found = zip(_labels(results), (r["data"]["first_wrong_step"] for r in results), strict=True)
    return {label: steps["counts"] for label, steps in found if steps and steps["wrong"]}


def _step_order(step: str) -> int:
    """Order steps, "none" last."""
    return 10**6 if step == "none" else int(step)


def _share(counts: Mapping[str, int], step: str) -> str:
    """Return the percent of the wrong answers; "-" for a step outside the trained range."""
    return f"{100 * counts[step] / sum(counts.values()):.1f}" if step in counts else "-"


def _draw_answers(folder: Path, results: Sequence[Result]) -> list[str]:
    """Draw the worst and best answers of each model, and the first wrong steps."""
    pictures = []
    for i, result in enumerate(results, 1):
        texts, width = result["data"]["texts"], result["data"]["answer_width"]
        pictures.append(f"answers-{i}.png")
        answers_picture(worst_and_best(Answered(**texts), width), folder / pictures[-1])
    if counted := _counted(results):
        pictures.append("first_wrong_step.png")
        first_wrong_bars(counted, folder / pictures[-1], "First wrong step of wrong answers")
    return pictures


def _draw_grids(folder: Path, results: Sequence[Result]) -> list[str]:
    """Draw curves of a kind of grid at one length, heat maps of several."""
    pictures = []
    for kind in ("grid", "grid-all"):
        own = [[g for g in r["grids"] if g["grid"].startswith(f"{kind}-len")] for r in results]
        if not own[0]:
            continue
        pictures.append(f"{kind}.png")
        path, title = folder / pictures[-1], "all operations" if kind == "grid-all" else "swaps"
        named = list(zip(_labels(results), own, strict=True))
        if len(own[0]) == 1:
            lines = [
                ErrorLine(f"{label}: horizon {g[0]['horizon']}", g[0]["rows"]) for label, g in named
            ]
            error_by_nops(lines, path, f"{own[0][0]['length']} letters, {title}")
        else:
            maps = [ErrorMap(label, {g["length"]: g["rows"] for g in gs}) for label, gs in named]
            error_maps(maps, path, title)
    return pictures
