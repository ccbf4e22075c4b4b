"""Errors against the number of operations -> pictures: curves, heat maps, first wrong steps."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure

from scripts.core.trial_store import SOLVED_PCT
from scripts.reporting.figures import DPI, save_figure

COLOURS = ("#b0413e", "#2f5d8a", "#3b7d4f", "#8a5a9e", "#c98a1b", "#4aa3a2", "#6b6b6b", "#d46a9f")
FLOOR_COLOUR, HORIZON_COLOUR = "#999999", "#18a058"
MEASURES = {"sample_error": "sample error %", "mask_error": "mask error %"}
GAMMA = 0.4
"""Of the heat map's colours: one percent of error must look unlike none."""


class ErrorLine(NamedTuple):
    """A name and rows with nops, both errors in percent, their intervals and floors."""

    name: str
    rows: Sequence[Mapping[str, Any]]


class ErrorMap(NamedTuple):
    """A title, and the rows of each length of letters, with nops and both errors in percent."""

    title: str
    by_length: Mapping[int, Sequence[Mapping[str, Any]]]


def error_by_nops(lines: Sequence[ErrorLine], path: Path, title: str = "") -> None:
    """Draw both errors against the number of operations, a line for each model.

    Args:
      lines: models that were asked the same; an interval is a band. Floors are drawn where they
        are the same for all: of answer fields of several widths they are not.
      path: a PNG file, replaced whole.
      title: stands above both panels.
    """
    figure = Figure(figsize=(12, 4.8), dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    for axes, (measure, label) in zip(figure.subplots(1, 2), MEASURES.items(), strict=True):
        for number, line in enumerate(lines):
            colour, nops = COLOURS[number % len(COLOURS)], [row["nops"] for row in line.rows]
            low, high = zip(*(row[f"{measure}_interval"] for row in line.rows), strict=True)
            axes.fill_between(nops, low, high, color=colour, alpha=0.2, linewidth=0)
            axes.plot(
                nops, [row[f"{measure}_pct"] for row in line.rows], color=colour, linewidth=1.4,
                marker=".", label=line.name, zorder=3,
            )  # fmt: skip
        if all(line.rows[0]["floors"] == lines[0].rows[0]["floors"] for line in lines):
            _draw_floors(axes, max((line.rows for line in lines), key=len), measure)
        _name_nops(axes, sorted({row["nops"] for line in lines for row in line.rows}))
        axes.set(ylim=(-2, 102), xlabel="operations", ylabel=label)
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
    figure.legend(
        *axes.get_legend_handles_labels(), loc="outside lower center", fontsize=9, ncols=2
    )
    figure.suptitle(title)
    save_figure(figure, path)


def _draw_floors(axes: Axes, rows: Sequence[Mapping[str, Any]], measure: str) -> None:
    """A dotted line for each floor, named at its end or where it leaves zero."""
    for name in rows[0]["floors"]:
        levels = [(row["nops"], row["floors"][name][f"{measure}_pct"]) for row in rows]
        axes.plot(
            *zip(*levels, strict=True), color=FLOOR_COLOUR, linewidth=0.9, linestyle=":",
            label="copy, and the first 1 to 4 operations alone" if name == "copy" else None,
        )  # fmt: skip


def _name_nops(axes: Axes, nops: Sequence[int]) -> None:
    """A logarithmic axis with its own numbers, as many as there is room for from the last down."""
    axes.set_xscale("log")
    shown: list[int] = []
    for n in reversed(nops):
        if not shown or n * 1.25 <= shown[-1]:
            shown.append(n)
    axes.set_xticks(shown, [str(n) for n in shown], fontsize=8, rotation=60)
    axes.minorticks_off()


def error_maps(maps: Sequence[ErrorMap], path: Path, title: str = "") -> None:
    """Draw sample error and mask error as heat maps, length against number of operations.

    Where sample error first passes 1 % stands a line: the horizon of that length.

    Args:
      maps: one for each model; a number that was not asked is left white.
      path: a PNG file, replaced whole.
      title: stands above all.
    """
    nops = sorted(
        {row["nops"] for found in maps for rows in found.by_length.values() for row in rows}
    )
    lengths = max(len(found.by_length) for found in maps)
    size = (2.2 + 0.46 * len(nops), 0.8 + 2 * len(maps) * (0.95 + 0.4 * lengths))
    figure = Figure(figsize=size, dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(2 * len(maps), 1, squeeze=False)[:, 0]
    pairs = [(found, measure) for found in maps for measure in MEASURES]
    for axes, (found, measure) in zip(panels, pairs, strict=True):
        image = _draw_map(axes, found.by_length, f"{measure}_pct", nops)
        axes.set_title(f"{found.title}: {MEASURES[measure]}", fontsize=10, loc="left")
        axes.set_ylabel("letters", fontsize=9)
    panels[-1].set_xlabel("operations", fontsize=9)
    figure.colorbar(image, ax=list(panels), fraction=0.02, pad=0.01, label="%")
    figure.suptitle(title)
    save_figure(figure, path)


def _draw_map(
    axes: Axes, by_length: Mapping[int, Sequence[Mapping[str, Any]]], key: str, nops: Sequence[int]
) -> Any:
    """One heat map with its numbers; the lengths rise from top to bottom."""
    cells = [
        [{row["nops"]: row[key] for row in rows}.get(n, float("nan")) for n in nops]
        for rows in by_length.values()
    ]
    image = axes.imshow(cells, cmap="magma_r", norm=PowerNorm(GAMMA, 0, 100), aspect="auto")
    axes.set_xticks(range(len(nops)), [str(n) for n in nops], fontsize=8)
    axes.set_yticks(range(len(cells)), [str(length) for length in by_length], fontsize=8)
    for y, errors in enumerate(cells):
        beyond = [x for x, error in enumerate(errors) if error > SOLVED_PCT]
        if key.startswith("sample") and beyond:
            edge = min(beyond) - 0.5
            axes.plot(
                [edge, edge], [y - 0.5, y + 0.5], color=HORIZON_COLOUR, linewidth=3, clip_on=False
            )
        for x, error in enumerate(errors):
            if error == error:
                text, ink = _percent(error), "#ffffff" if error > 12 else "#000000"
                axes.text(x, y, text, ha="center", va="center", fontsize=6.5, color=ink)
    return image


def _percent(error: float) -> str:
    """At most three figures; a rate that is not 0 never looks like 0.

    >>> [_percent(error) for error in (0.0, 0.02, 0.3, 12.34, 99.96, 100.0)]
    ['0', '<.1', '0.3', '12', '>99', '100']
    """
    if error in (0, 100):
        return f"{error:.0f}"
    if error < 0.1:
        return "<.1"
    return f"{error:.1f}" if error < 9.95 else ">99" if error > 99 else f"{error:.0f}"


def first_wrong_bars(counts: Mapping[str, Mapping[str, int]], path: Path, title: str = "") -> None:
    """Draw the share of wrong answers by first wrong step, bars side by side for each model.

    Args:
      counts: {model: {step or "none": wrong answers}}; a model without wrong answers has no bars.
      path: a PNG file, replaced whole.
      title: stands above.
    """
    figure = Figure(figsize=(8, 4.4), dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    numbers = sorted({int(k) for found in counts.values() for k in found if k != "none"})
    names = [*map(str, numbers), "none"]
    width = 0.8 / len(counts)
    for number, (model, found) in enumerate(counts.items()):
        wrong = sum(found.values())
        shares = [100 * found.get(name, 0) / max(wrong, 1) for name in names]
        places = [i + (number - (len(counts) - 1) / 2) * width for i in range(len(names))]
        axes.bar(
            places, shares, width, color=COLOURS[number % len(COLOURS)],
            label=f"{model}: {wrong:,} wrong answers",
        )  # fmt: skip
    axes.set_xticks(range(len(names)), [*names[:-1], "at none\nof them"])
    axes.set(xlabel="first wrong step", ylabel="% of wrong answers", ylim=(0, 102))
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside lower center", fontsize=9)
    figure.suptitle(title)
    save_figure(figure, path)
