"""Draw pictures: curves of errors, errors by number of operations, answers, tables of trials."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import EngFormatter, LogLocator, NullFormatter

from scripts.core.io import replace_file
from scripts.core.statistics import is_within_horizon
from scripts.reporting.ranking import Line, kept_horizon, rank_lines

SAMPLE_COLOR, MASK_COLOR, LOSS_COLOR, TRAIN_COLOR = "#b0413e", "#2f5d8a", "#222222", "#999999"
COLORS = ("#b0413e", "#2f5d8a", "#3b7d4f", "#8a5a9e", "#c98a1b", "#4aa3a2", "#6b6b6b", "#d46a9f")
BASELINE_COLOR, HORIZON_COLOR = "#999999", "#18a058"
MEASURES = {"sample_error": "sample error %", "mask_error": "mask error %"}
GAMMA = 0.4
"""Of the heat map's colors: one percent of error must look unlike none."""

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


class ErrorLine(NamedTuple):
    """A name and rows with nops, both errors in percent, their intervals and trivial baselines."""

    name: str
    rows: Points


class ErrorMap(NamedTuple):
    """A title, and the rows of each length of letters, with nops and both errors in percent."""

    title: str
    by_length: Mapping[int, Points]


def save_figure(figure: Figure, path: Path, title: str = "") -> None:
    """Write the PNG, whole or not at all."""
    if title:
        figure.suptitle(title)
    with replace_file(path) as tmp_path:
        figure.savefig(tmp_path, format="png")


def _new_figure(width: float, height: float, layout: Any = "constrained") -> Figure:
    """Make a figure without matplotlib's global state."""
    figure = Figure(figsize=(width, height), dpi=DPI, layout=layout)
    FigureCanvasAgg(figure)
    return figure


def _open_box(axes: Axes) -> None:
    """Draw a pale grid, and no box around it."""
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)


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
    figure = _new_figure(11, 4.6)
    errors, losses = figure.subplots(1, 2)
    _draw_trials(errors, trials, "sample_error_pct", "sample error", SAMPLE_COLOR)
    _draw_trials(errors, trials, "mask_error_pct", "mask error", MASK_COLOR)
    for name, level in (baselines or {}).items():
        errors.axhline(level, color=MASK_COLOR, linewidth=0.8, linestyle=":")
        errors.annotate(
            f"{name}: {level:.1f}% mask error", (1, level), xycoords=("axes fraction", "data"),
            xytext=(-4, 2), textcoords="offset points", ha="right", fontsize=8, color=MASK_COLOR,
        )  # fmt: skip
    errors.set(ylim=(0, 102), ylabel="error % on validation samples")
    training = f"training, label smoothing {label_smoothing:g}" if label_smoothing else "training"
    _draw_trials(losses, trials, "train_loss", training, TRAIN_COLOR)
    _draw_trials(losses, trials, "val_loss", "validation", LOSS_COLOR)
    losses.set(yscale="log", ylabel="loss (nats)")
    for axes in (errors, losses):
        axes.set(xlabel="training samples", xlim=(0, None))
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
        axes.tick_params(axis="x", labelsize=8)
        axes.legend(loc="lower left", fontsize=9)
        _open_box(axes)
    save_figure(figure, path, title)


def _draw_trials(axes: Axes, trials: Sequence[Points], name: str, label: str, color: str) -> None:
    """Draw one measure of all trials; only the first line is named."""
    for number, points in enumerate(trials):
        axes.plot(
            [point["samples"] for point in points], [point[name] for point in points], color=color,
            linewidth=1.1, alpha=0.9 if len(trials) == 1 else 0.6,
            marker="." if len(points) < 30 else "", markersize=4, label="_" if number else label,
        )  # fmt: skip


def distinct(blocks: Mapping[str, list[AnswerRow]]) -> dict[str, list[AnswerRow]]:
    """Leave out blocks whose rows stand in a later one: where all is right, worst is best.

    >>> distinct({"worst": [], "best": []})
    {'best': []}
    """
    later = list(blocks.values())
    return {
        title: rows for n, (title, rows) in enumerate(blocks.items()) if rows not in later[n + 1 :]
    }


def answers_picture(blocks: Mapping[str, Sequence[AnswerRow]], path: Path) -> None:
    """Draw `question : model's answer (true answer)`, a cell for each character of the field.

    A right character has a pale green ground, a wrong one a dark red ground; padding is a dot.

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
    figure = _new_figure(columns * CELL_WIDTH, (lines + 0.5) * LINE_HEIGHT, layout=None)
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


def error_by_nops(lines: Sequence[ErrorLine], path: Path, title: str = "") -> None:
    """Draw both errors against the number of operations, a line for each model.

    Args:
      lines: models that were evaluated on the same; an interval is a band. Baselines are drawn
        where they are the same for all: of answer fields of several widths they are not.
      path: a PNG file, replaced whole.
      title: stands above both panels.
    """
    figure = _new_figure(12, 4.8)
    longest = max((line.rows for line in lines), key=len)
    for axes, (measure, label) in zip(figure.subplots(1, 2), MEASURES.items(), strict=True):
        for number, line in enumerate(lines):
            color, nops = COLORS[number % len(COLORS)], [row["nops"] for row in line.rows]
            low, high = zip(*(row[f"{measure}_interval"] for row in line.rows), strict=True)
            axes.fill_between(nops, low, high, color=color, alpha=0.2, linewidth=0)
            axes.plot(
                nops, [row[f"{measure}_pct"] for row in line.rows], color=color, linewidth=1.4,
                marker=".", label=line.name, zorder=3,
            )  # fmt: skip
        if all(line.rows[0]["floors"] == lines[0].rows[0]["floors"] for line in lines):
            _draw_baselines(axes, longest, measure)
        _name_nops(axes, sorted({row["nops"] for line in lines for row in line.rows}))
        axes.set(ylim=(-2, 102), xlabel="operations", ylabel=label)
        _open_box(axes)
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


def error_maps(maps: Sequence[ErrorMap], path: Path, title: str = "") -> None:
    """Draw sample error and mask error as heat maps, length against number of operations.

    A line stands at the horizon of each length.

    Args:
      maps: one for each model; a number that was not evaluated is left white.
      path: a PNG file, replaced whole.
      title: stands above all.
    """
    nops = sorted({row["nops"] for one in maps for rows in one.by_length.values() for row in rows})
    lengths = max(len(one.by_length) for one in maps)
    figure = _new_figure(2.2 + 0.46 * len(nops), 0.8 + 2 * len(maps) * (0.95 + 0.4 * lengths))
    panels = figure.subplots(2 * len(maps), 1, squeeze=False)[:, 0]
    pairs = [(one, measure) for one in maps for measure in MEASURES]
    for axes, (one, measure) in zip(panels, pairs, strict=True):
        image = _draw_map(axes, one.by_length, f"{measure}_pct", nops)
        axes.set_title(f"{one.title}: {MEASURES[measure]}", fontsize=10, loc="left")
        axes.set_ylabel("letters", fontsize=9)
    panels[-1].set_xlabel("operations", fontsize=9)
    figure.colorbar(image, ax=list(panels), fraction=0.02, pad=0.01, label="%")
    save_figure(figure, path, title)


def _draw_map(axes: Axes, by_length: Mapping[int, Points], key: str, nops: Sequence[int]) -> Any:
    """Draw one heat map with its numbers; the lengths rise from top to bottom."""
    cells = [
        [{row["nops"]: row[key] for row in rows}.get(n, float("nan")) for n in nops]
        for rows in by_length.values()
    ]
    image = axes.imshow(cells, cmap="magma_r", norm=PowerNorm(GAMMA, 0, 100), aspect="auto")
    axes.set_xticks(range(len(nops)), [str(n) for n in nops], fontsize=8)
    axes.set_yticks(range(len(cells)), [str(length) for length in by_length], fontsize=8)
    for y, (rows, errors) in enumerate(zip(by_length.values(), cells, strict=True)):
        beyond = [nops.index(row["nops"]) for row in rows if not is_within_horizon(row)]
        if key.startswith("sample") and beyond:
            edge, ends = min(beyond) - 0.5, [y - 0.5, y + 0.5]
            axes.plot([edge, edge], ends, color=HORIZON_COLOR, linewidth=3, clip_on=False)
        for x, error in enumerate(errors):
            if error == error:
                text, ink = _percent(error), "#ffffff" if error > 12 else "#000000"
                axes.text(x, y, text, ha="center", va="center", fontsize=6.5, color=ink)
    return image


def _percent(error: float) -> str:
    """Write at most three digits; a rate that is not 0 never looks like 0.

    >>> [_percent(error) for error in (0.0, 0.02, 0.3, 12.34, 99.96, 100.0)]
    ['0', '<.1', '0.3', '12', '>99', '100']
    """
    if error in (0, 100):
        return f"{error:.0f}"
    if error < 0.1:
        return "<.1"
    return f"{error:.1f}" if error < 9.95 else ">99" if error > 99 else f"{error:.0f}"


def survival_curves(curves: Mapping[str, Mapping[int, float]], path: Path) -> None:
    """Draw how many samples are still right after each operation: {model: {operations: percent}}.

    The same questions are cut after each operation; a sample is right until the first error.
    """
    figure = _new_figure(8, 4.4)
    axes = figure.subplots()
    for number, (model, shares) in enumerate(curves.items()):
        color = COLORS[number % len(COLORS)]
        axes.plot(list(shares), list(shares.values()), color=color, marker=".", label=model)
    axes.set_xticks(sorted({k for shares in curves.values() for k in shares}))
    axes.set(xlabel="operations", ylabel="% of samples without an error so far", ylim=(-2, 102))
    _open_box(axes)
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
    best, worst = learned[0], next(line for line in learned if line.row == learned[-1].row)
    answers_picture({**_answers(best), **_answers(worst)}, folder / files[1])
    grids = [(line, line.median["grid"]) for _, line in ranked if "grid" in line.median]
    for grid in dict.fromkeys(kept["name"] for _, kept in grids):
        evaluated = [
            ErrorLine(f"{line.row} ({line.budget:,}): horizon {kept_horizon(kept)}", kept["rows"])
            for line, kept in grids if kept["name"] == grid
        ]  # fmt: skip
        files.append(f"{name}-{grid}.png")
        error_by_nops(evaluated, folder / files[-1], f"{title}: {grid}")
    return files


def table_curves(lines: Sequence[Line], path: Path, title: str) -> None:
    """Draw both errors against training samples: a color for each line of the table."""
    figure = _new_figure(14, 5.2)
    colors = colormaps["tab20"]
    for axes, (measure, label) in zip(figure.subplots(1, 2), MEASURES.items(), strict=True):
        for number, line in enumerate(lines):
            for first, trial in enumerate(line.trials):
                points: Points = trial.details.get("curve", ())
                axes.plot(
                    [point["samples"] for point in points],
                    [point[f"{measure}_pct"] for point in points],
                    color=colors(number % 20), linestyle="-" if number < 20 else "--",
                    linewidth=1.2, label="_" if first else f"{line.row} ({line.budget:,})",
                )  # fmt: skip
        axes.set(ylim=(-2, 102), xscale="log", xlabel="training samples", ylabel=label)
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_major_formatter(EngFormatter(sep=""))
        axes.xaxis.set_minor_formatter(NullFormatter())
        _open_box(axes)
    figure.legend(*axes.get_legend_handles_labels(), loc="outside right upper", fontsize=8)
    save_figure(figure, path, title)


def _answers(line: Line) -> dict[str, list[AnswerRow]]:
    """Choose worst and best answers of the median trial."""
    blocks = {
        f"{line.row}, {title}": [
            AnswerRow(question, prediction, answer, [bool(w) for w in wrong])
            for question, prediction, answer, wrong in block[:ANSWERS]
        ]
        for title, block in line.median["answers"].items()
    }
    return distinct(blocks)
