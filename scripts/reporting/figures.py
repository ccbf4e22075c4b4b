"""Draw pictures: curves of errors, errors by number of operations, answers, tables of trials."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import EngFormatter, LogLocator, NullFormatter

from scripts.core.io import replace_file
from scripts.reporting.ranking import Line, kept_horizon, rank_lines

SAMPLE_COLOR, MASK_COLOR, LOSS_COLOR, TRAIN_COLOR = "#b0413e", "#2f5d8a", "#222222", "#999999"
COLORS = ("#b0413e", "#2f5d8a", "#3b7d4f", "#8a5a9e", "#c98a1b", "#4aa3a2", "#6b6b6b", "#d46a9f")
BASELINE_COLOR, REST_COLOR = "#999999", "#d0c8bd"
MEASURES = {"sample_error": "sample error %", "mask_error": "mask error %"}

DPI = 110
RIGHT_GROUND, WRONG_GROUND = "#c8e6c9", "#c62828"  # also differ in lightness, for color-blind eyes
RIGHT_INK, WRONG_INK, PALE_INK = "#1b3d1d", "#ffffff", "#777777"
FONT_SIZE = 12
CELL_WIDTH, LINE_HEIGHT = 0.6 * FONT_SIZE / 72, 1.75 * FONT_SIZE / 72  # inches
FIELD_STRETCH = 1.5
"""How much wider than a character the cells of the answer field are."""

LONGEST_QUESTION = 100
"""Characters; a longer one is shown without its middle."""

CAPTION = "question : model's answer (true answer); red is wrong, a dot is padding"
ANSWERS = 6
"""Rows of each block of a table's picture of answers."""

Points = Sequence[Mapping[str, Any]]
"""Validations of a trial, or numbers of operations of a grid."""


class AnswerRow(NamedTuple):
    """A question, what the model wrote and what is true; `wrong` says it for each character."""

    question: str
    prediction: str
    answer: str
    wrong: Sequence[bool]


def save_figure(figure: Figure, path: Path, title: str = "") -> None:
    """Write the PNG, whole or not at all."""
    if title:
        figure.suptitle(title)
    with replace_file(path) as tmp_path:
        figure.savefig(tmp_path, format="png")


def _panels(count: int, width: float, height: float) -> tuple[Figure, list[Axes]]:
    """Make a figure of panels side by side, without matplotlib's global state."""
    figure = Figure(figsize=(width, height), dpi=DPI, layout="constrained")
    panels = [*figure.subplots(1, count, squeeze=False)[0]]
    for axes in panels:
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
    return figure, panels


def _draw_lines(
    axes: Axes, lines: Sequence[Points], x: str, y: str, label: str, **style: Any
) -> None:
    """Draw a line for each list of points; only the first one is named."""
    for number, points in enumerate(lines):
        values = [point[x] for point in points], [point[y] for point in points]
        axes.plot(*values, label="_" if number else label, **style)


def error_curves(
    trials: Sequence[Points],
    path: Path,
    baselines: Mapping[str, float] | None = None,
    title: str = "",
    label_smoothing: float = 0.0,
) -> None:
    """Draw errors and losses against training samples, a thin line for each trial.

    Args:
      trials: for each the validations, with samples, sample_error_pct, mask_error_pct (percent),
        val_loss and train_loss (nats).
      path: a PNG file, replaced whole.
      baselines: {name: mask error in percent}, drawn as lines.
      title: stands above both panels.
      label_smoothing: of the training loss, which then does not fall to zero.
    """
    figure, (errors, losses) = _panels(2, 11, 4.6)
    training = f"training, label smoothing {label_smoothing:g}" if label_smoothing else "training"
    for axes, key, label, color in (
        (errors, "sample_error_pct", "sample error", SAMPLE_COLOR),
        (errors, "mask_error_pct", "mask error", MASK_COLOR),
        (losses, "train_loss", training, TRAIN_COLOR),
        (losses, "val_loss", "validation", LOSS_COLOR),
    ):
        style = {"color": color, "linewidth": 1.1, "alpha": 0.7, "marker": ".", "markersize": 3}
        _draw_lines(axes, trials, "samples", key, label, **style)
    for name, level in (baselines or {}).items():
        errors.axhline(level, color=MASK_COLOR, linewidth=0.8, linestyle=":")
        errors.text(
            1, level, f"{name}: {level:.1f}% mask error", color=MASK_COLOR, fontsize=8,
            ha="right", va="bottom", transform=errors.get_yaxis_transform(),
        )  # fmt: skip
    errors.set(ylim=(0, 102), ylabel="error % on validation samples")
    losses.set(yscale="log", ylabel="loss (nats)")
    for axes in (errors, losses):
        axes.set(xlabel="training samples", xlim=(0, None))
        axes.xaxis.set_major_formatter(EngFormatter(sep=""))
        axes.legend(loc="lower left", fontsize=9)
    save_figure(figure, path, title)


def answers_picture(blocks: Mapping[str, Sequence[AnswerRow]], path: Path) -> None:
    """Draw `question : model's answer (true answer)`, a cell for each character of the field.

    A right character has a pale green ground, a wrong one a dark red ground; padding is a dot.
    Where all is right, worst is best: a block whose rows stand in a later one is left out.

    Args:
      blocks: {title: rows}, at least one row in all; a row's `wrong` has its own W values.
      path: a PNG file, replaced whole.
    """
    later = list(blocks.values())
    blocks = {
        t: block for n, (t, block) in enumerate(blocks.items()) if block not in later[n + 1 :]
    }
    rows = [row for block in blocks.values() for row in block]
    longest = max(len(_shortened(row.question)) for row in rows)
    answer_width = max(len(row.wrong) for row in rows)
    texts = longest + (1 + FIELD_STRETCH) * answer_width + len(" :  ()  00 of 00 wrong")
    columns = max(texts, *map(len, (CAPTION, *blocks))) + 2
    lines = len(rows) + 2 * len(blocks) + 1
    figure = Figure((columns * CELL_WIDTH, (lines + 0.5) * LINE_HEIGHT), dpi=DPI)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(-1, columns - 1), ylim=(lines, -0.5))
    axes.set_axis_off()
    line = 0.5
    for title, block in blocks.items():
        _write(axes, 0, line, title, "#000000", weight="bold")
        for number, row in enumerate(block, 1):
            _draw_answer(axes, row, line + number, longest)
        line += len(block) + 2
    _write(axes, 0, line, CAPTION, PALE_INK)
    save_figure(figure, path)


def _draw_answer(axes: Axes, row: AnswerRow, y: float, longest: int) -> None:
    """Draw one sample; a character is one unit wide, a line one unit high."""
    width, question = len(row.wrong), _shortened(row.question)
    _write(axes, longest - len(question), y, question, "#000000")
    _write(axes, longest + 1, y, ":", PALE_INK)
    for i, (character, wrong) in enumerate(
        zip(_field(row.prediction, width), row.wrong, strict=True)
    ):
        ground, ink = (WRONG_GROUND, WRONG_INK) if wrong else (RIGHT_GROUND, RIGHT_INK)
        x = longest + 3 + i * FIELD_STRETCH
        axes.add_patch(
            Rectangle((x, y - 0.44), FIELD_STRETCH, 0.88, facecolor=ground, edgecolor="white")
        )
        x += (FIELD_STRETCH - 1) / 2
        _write(axes, x, y, character, ink, weight="bold" if wrong else "normal")
    count, end = sum(row.wrong), longest + 3 + width * FIELD_STRETCH
    _write(axes, end + 1, y, f"({_field(row.answer, width)})", PALE_INK)
    verdict = f"{count} of {width} wrong" if count else "right"
    _write(axes, end + width + 5, y, verdict, WRONG_GROUND if count else PALE_INK)


def _shortened(question: str) -> str:
    """Shorten a question to at most LONGEST_QUESTION characters."""
    if len(question) <= LONGEST_QUESTION:
        return question
    half = LONGEST_QUESTION // 2 - 2
    return f"{question[:half]} … {question[-half:]}"


def _field(text: str, width: int) -> str:
    """Write the answer field as it is shown: padding as dots, what cannot be printed as boxes."""
    field = text[:width].ljust(width).replace(" ", "·")
    return "".join(c if c.isprintable() and ord(c) < 256 else "□" for c in field)


def _write(axes: Axes, x: float, y: float, text: str, color: str, weight: str = "normal") -> None:
    """Write a text at a cell, a character to each."""
    axes.text(
        x, y, text, color=color, weight=weight, family="DejaVu Sans Mono", fontsize=FONT_SIZE,
        va="center_baseline", parse_math=False,
    )  # fmt: skip


def error_by_nops(lines: Mapping[str, Points], path: Path, title: str = "") -> None:
    """Draw both errors against the number of operations, a line for each model.

    Args:
      lines: {name: rows}; the first have a color, the rest is pale and has no name. Each row has
        nops, both errors in percent, their intervals, drawn as bands, and trivial baselines, drawn
        where they are the same for all.
      path: a PNG file, replaced whole.
      title: stands above both panels.
    """
    figure, panels = _panels(2, 12, 4.8)
    longest = max(lines.values(), key=len)
    for axes, (measure, ylabel) in zip(panels, MEASURES.items(), strict=True):
        for number, (name, rows) in enumerate(lines.items()):
            named, nops = number < len(COLORS), [row["nops"] for row in rows]
            color = COLORS[number] if named else REST_COLOR
            low, high = zip(*(row[f"{measure}_interval"] for row in rows), strict=True)
            axes.fill_between(nops, low, high, color=color, alpha=0.2, linewidth=0)
            style = {"color": color, "linewidth": 1.4, "marker": ".", "zorder": 3 if named else 2}
            rest = f"{len(lines) - number} more" if number == len(COLORS) else "_"
            label = name if named else rest
            _draw_lines(axes, [rows], "nops", f"{measure}_pct", label, **style)
        if all(rows[0]["floors"] == longest[0]["floors"] for rows in lines.values()):
            _draw_baselines(axes, longest, measure)
        _name_nops(axes, sorted({row["nops"] for rows in lines.values() for row in rows}))
        axes.set(ylim=(-2, 102), xlabel="operations", ylabel=ylabel)
    figure.legend(
        *axes.get_legend_handles_labels(), loc="outside lower center", fontsize=9, ncols=2
    )
    save_figure(figure, path, title)


def _draw_baselines(axes: Axes, rows: Points, measure: str) -> None:
    """Draw a dotted line for each trivial baseline."""
    for name in rows[0]["floors"]:
        levels = [(row["nops"], row["floors"][name][f"{measure}_pct"]) for row in rows]
        axes.plot(
            *zip(*levels, strict=True), color=BASELINE_COLOR, linewidth=0.9, linestyle=":",
            label="copy, and the first 1 to 4 operations alone" if name == "copy" else None,
        )  # fmt: skip


def _name_nops(axes: Axes, nops: Sequence[int]) -> None:
    """Number a logarithmic axis, with as many numbers as there is room for from the last down."""
    axes.set_xscale("log")
    ticks: list[int] = []
    for n in reversed(nops):
        if not ticks or n * 1.25 <= ticks[-1]:
            ticks.append(n)
    axes.set_xticks(ticks, [str(n) for n in ticks], fontsize=8, rotation=60)
    axes.minorticks_off()


def survival_curves(curves: Mapping[str, Mapping[int, float]], path: Path) -> None:
    """Draw how many samples are still right after each operation: {model: {operations: percent}}.

    The same questions are cut after each operation; a sample is right until the first error.
    """
    figure, (axes,) = _panels(1, 8, 4.4)
    for model, shares in curves.items():
        axes.plot(list(shares), list(shares.values()), marker=".", label=model)
    axes.set_xticks(sorted({k for shares in curves.values() for k in shares}))
    axes.set(xlabel="operations", ylabel="% of samples without an error so far", ylim=(-2, 102))
    figure.legend(loc="outside lower center", fontsize=9)
    save_figure(figure, path, "Samples still right after each operation")


def draw_figures(name: str, title: str, lines: Sequence[Line], folder: Path) -> list[str]:
    """Write NAME-curves.png, -answers.png and, for each grid that was evaluated, NAME-GRID.png.

    Args:
      name, title: of the table.
      lines: of the table; those whose median trial has no details have no picture.
      folder: exists; each file is replaced whole.
    Returns:
      The names of the files.
    """
    ranked = [
        (rank, line) for rank, line in rank_lines(lines) if line.trials and "curve" in line.median
    ]
    if not ranked:
        return []
    files = [f"{name}-curves.png", f"{name}-answers.png"]
    table_curves([line for _, line in ranked if line.best_of == 1], folder / files[0], title)
    learned = [line for rank, line in ranked if rank.isdigit()] or [ranked[0][1]]
    best = learned[0]
    worst = [line for line in learned if line.budget == best.budget][-1]
    answers_picture({**_answers(best), **_answers(worst)}, folder / files[1])
    grids = [(line, line.median["grid"]) for _, line in ranked if "grid" in line.median]
    for grid in dict.fromkeys(kept["name"] for _, kept in grids):
        evaluated = {
            f"{line.row} ({line.budget:,}): horizon {kept_horizon(kept)}": kept["rows"]
            for line, kept in grids
            if kept["name"] == grid
        }
        files.append(f"{name}-{grid}.png")
        error_by_nops(evaluated, folder / files[-1], f"{title}: {grid}")
    return files


def table_curves(lines: Sequence[Line], path: Path, title: str) -> None:
    """Draw both errors against training samples: a color for each line of the table."""
    figure, panels = _panels(2, 14, 5.2)
    colors = colormaps["tab20"]
    for axes, (measure, label) in zip(panels, MEASURES.items(), strict=True):
        for number, line in enumerate(lines):
            curves = [trial.details.get("curve", ()) for trial in line.trials]
            style = {"color": colors(number % 20), "linestyle": "-" if number < 20 else "--"}
            name = f"{line.row} ({line.budget:,})"
            _draw_lines(axes, curves, "samples", f"{measure}_pct", name, linewidth=1.2, **style)
        axes.set(ylim=(-2, 102), xscale="log", xlabel="training samples", ylabel=label)
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_major_formatter(EngFormatter(sep=""))
        axes.xaxis.set_minor_formatter(NullFormatter())
    figure.legend(*axes.get_legend_handles_labels(), loc="outside right upper", fontsize=8)
    save_figure(figure, path, title)


def _answers(line: Line) -> dict[str, list[AnswerRow]]:
    """Choose worst and best answers of the median trial."""
    return {
        f"{line.row}, {title}": [AnswerRow(*answer) for answer in block[:ANSWERS]]
        for title, block in line.median["answers"].items()
    }
