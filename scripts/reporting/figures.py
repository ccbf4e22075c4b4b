"""Validation points and answers -> pictures: error curves; worst and best answers."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from scripts.core.io import replace_file

SAMPLE_COLOUR, MASK_COLOUR, LOSS_COLOUR, TRAIN_COLOUR = "#b0413e", "#2f5d8a", "#222222", "#999999"
RIGHT_GROUND, WRONG_GROUND = "#c8e6c9", "#c62828"  # also differ in lightness, for colour-blind eyes
RIGHT_INK, WRONG_INK, PALE_INK = "#1b3d1d", "#ffffff", "#777777"
MONOSPACE = "DejaVu Sans Mono"
FONT_SIZE = 12
CELL_WIDTH, LINE_HEIGHT = 0.6 * FONT_SIZE / 72, 1.75 * FONT_SIZE / 72  # inches
FIELD_STRETCH = 1.5
"""How much wider than a character the cells of the answer field are."""

LONGEST_QUESTION = 100
"""Characters; a longer one is shown without its middle."""

CAPTION = "question : model's answer (true answer); red is wrong, a dot is filling"
DPI = 110


class AnswerRow(NamedTuple):
    """A question, what the model wrote and what is true; `wrong` says it for each character."""

    question: str
    prediction: str
    answer: str
    wrong: Sequence[bool]


def error_curves(
    trials: Sequence[Sequence[Mapping[str, Any]]],
    path: Path,
    floors: Mapping[str, float] | None = None,
    title: str = "",
) -> None:
    """Draw errors and losses against training questions, a thin line for each trial.

    Args:
      trials: for each the validation points, with samples, sample_error_pct, mask_error_pct
        (percent), val_loss and train_loss (nats).
      path: a PNG file, replaced whole.
      floors: {name: mask error in percent}, drawn as lines.
      title: stands above both panels.
    """
    figure = Figure(figsize=(11, 4.6), dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    errors, losses = figure.subplots(1, 2)
    _lines(errors, trials, "sample_error_pct", "sample error", SAMPLE_COLOUR)
    _lines(errors, trials, "mask_error_pct", "mask error", MASK_COLOUR)
    for name, level in (floors or {}).items():
        errors.axhline(level, color=MASK_COLOUR, linewidth=0.8, linestyle=":")
        errors.annotate(
            f"{name}: {level:.1f} % mask error", (1, level), xycoords=("axes fraction", "data"),
            xytext=(-4, 2), textcoords="offset points", ha="right", fontsize=8, color=MASK_COLOUR,
        )  # fmt: skip
    errors.set(ylim=(0, 102), ylabel="% of validation answers and characters", xlim=(0, None))
    _lines(losses, trials, "train_loss", "training", TRAIN_COLOUR)
    _lines(losses, trials, "val_loss", "validation", LOSS_COLOUR)
    losses.set(yscale="log", ylabel="loss (nats)", xlim=(0, None))
    for axes in (errors, losses):
        axes.set_xlabel("training questions")
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
        axes.tick_params(axis="x", labelsize=8)
        axes.grid(alpha=0.25)
        axes.legend(loc="lower left", fontsize=9)
        axes.spines[["top", "right"]].set_visible(False)
    figure.suptitle(title)
    save_figure(figure, path)


def _lines(
    axes: Axes, trials: Sequence[Sequence[Mapping[str, Any]]], name: str, label: str, colour: str
) -> None:
    """One measure of all trials; only the first line is named."""
    for number, points in enumerate(trials):
        samples, values = [p["samples"] for p in points], [p[name] for p in points]
        axes.plot(
            samples, values, color=colour, linewidth=1.1, alpha=0.9 if len(trials) == 1 else 0.6,
            marker="." if len(points) < 30 else "", markersize=4,
            label="_" if number else label,
        )  # fmt: skip


def distinct(blocks: Mapping[str, list[AnswerRow]]) -> dict[str, list[AnswerRow]]:
    """The blocks without those whose rows stand in a later one: where all is right, worst is best.

    >>> distinct({"worst": [], "best": []})
    {'best': []}
    """
    later = list(blocks.values())
    return {
        title: rows for n, (title, rows) in enumerate(blocks.items()) if rows not in later[n + 1 :]
    }


def answers_picture(blocks: Mapping[str, Sequence[AnswerRow]], path: Path) -> None:
    """Draw `question : model's answer (true answer)`, a cell for each character of the field.

    A right character has a pale green ground, a wrong one a dark red ground; filling is a dot.

    Args:
      blocks: {title: rows}, at least one row in all; a row's `wrong` has its own W values.
      path: a PNG file, replaced whole.
    Raises:
      ValueError: no rows.
    """
    rows = [row for block in blocks.values() for row in block]
    if not rows:
        raise ValueError("0 rows: at least 1 question is needed for a picture")
    longest = max(len(_shortened(row.question)) for row in rows)
    answer_width = max(len(row.wrong) for row in rows)
    texts = longest + (1 + FIELD_STRETCH) * answer_width + len(" :  ()  00 of 00 wrong")
    columns = max(texts, *map(len, (CAPTION, *blocks))) + 2
    lines = len(rows) + 2 * len(blocks) + 1
    width, height = columns * CELL_WIDTH, (lines + 0.5) * LINE_HEIGHT
    figure = Figure(figsize=(width, height), dpi=DPI)
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(-1, columns - 1), ylim=(lines, -0.5))
    axes.set_axis_off()
    line = 0.0
    for title, block in blocks.items():
        _write(axes, 0, line + 0.5, title, "#000000", weight="bold")
        for row in block:
            line += 1
            _draw_row(axes, row, line + 0.5, longest)
        line += 2
    _write(axes, 0, line + 0.5, CAPTION, PALE_INK)
    save_figure(figure, path)


def _draw_row(axes: Axes, row: AnswerRow, y: float, longest: int) -> None:
    """One question; a character is one unit wide, a line one unit high."""
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
        inset = (FIELD_STRETCH - 1) / 2
        _write(axes, x + inset, y, character, ink, weight="bold" if wrong else "normal")
    count = sum(row.wrong)
    end = longest + 3 + width * FIELD_STRETCH
    _write(axes, end + 1, y, f"({_field(row.answer, width)})", PALE_INK)
    verdict = f"{count} of {width} wrong" if count else "right"
    _write(axes, end + width + 5, y, verdict, WRONG_GROUND if count else PALE_INK)


def _shortened(question: str) -> str:
    """A question of at most LONGEST_QUESTION characters."""
    if len(question) <= LONGEST_QUESTION:
        return question
    half = LONGEST_QUESTION // 2 - 2
    return f"{question[:half]} … {question[-half:]}"


def _field(text: str, width: int) -> str:
    """The answer field as it is shown: filling as dots, what cannot be printed as boxes."""
    shown = text[:width].ljust(width).replace(" ", "·")
    return "".join(c if c.isprintable() and ord(c) < 256 else "□" for c in shown)


def _write(axes: Axes, x: float, y: float, text: str, colour: str, weight: str = "normal") -> None:
    """Put a text at a cell, a character to each."""
    axes.text(
        x, y, text, color=colour, weight=weight, family=MONOSPACE, fontsize=FONT_SIZE,
        va="center_baseline", parse_math=False,
    )  # fmt: skip


def save_figure(figure: Figure, path: Path) -> None:
    """Write the PNG, whole or not at all."""
    with replace_file(path) as tmp_path:
        figure.savefig(tmp_path, format="png")
