"""Draw pictures: curves of errors, errors by number of operations, answers, tables of trials.

matplotlib is imported where something is drawn: most commands draw at their end, or nothing.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from scripts.core.io import replace_file
from scripts.reporting.ranking import Line, kept_horizon, rank_key, rank_lines

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLORS = ("#b0413e", "#2f5d8a", "#3b7d4f", "#8a5a9e", "#c98a1b", "#4aa3a2", "#6b6b6b", "#d46a9f")
BASELINE_COLOR, REST_COLOR = "#999999", "#d0c8bd"
ERROR_LABELS = {"sample_error_pct": "sample error %", "mask_error_pct": "mask error %"}

DPI = 110
RIGHT_COLOR, WRONG_COLOR = "#d6efd8", "#f08a80"  # also differ in lightness, for color-blind eyes
FONT_SIZE = 12
CELL_WIDTH, LINE_HEIGHT = 0.602 * FONT_SIZE / 72, 1.75 * FONT_SIZE / 72  # inches
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


def save_figure(figure: "Figure", path: Path, title: str = "") -> None:
    """Write the PNG, whole or not at all."""
    if title:
        figure.suptitle(title)
    with replace_file(path) as tmp_path:
        figure.savefig(tmp_path, format="png")


def _panels(count: int, width: float, height: float) -> "tuple[Figure, list[Axes]]":
    """Make a figure of panels side by side, without matplotlib's global state."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=DPI, layout="constrained")
    panels = [*figure.subplots(1, count, squeeze=False)[0]]
    for axes in panels:
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
    return figure, panels


def _draw_lines(
    axes: "Axes",
    lines: Mapping[str, Sequence[Points]],
    x: str,
    y: str,
    colors: Sequence[Any],
    **style: Any,
) -> None:
    """Draw a line for each list of points; the first names have a color, the rest is pale."""
    for number, (name, lists) in enumerate(lines.items()):
        named = number < len(colors)
        style |= {"color": colors[number] if named else REST_COLOR, "zorder": 3 if named else 2}
        rest = f"{len(lines) - number} more" if number == len(colors) else "_"
        for i, points in enumerate(lists):
            values = [point[x] for point in points], [point[y] for point in points]
            label = "_" if i else name if named else rest
            axes.plot(*values, label=label, linewidth=1.2, **style)


def training_curves(
    lines: Mapping[str, Sequence[Points]],
    path: Path,
    title: str = "",
    baselines: Mapping[str, float] | None = None,
    with_loss: bool = False,
) -> None:
    """Draw errors, and the loss on request, against training samples.

    `lines` has for each name its trials, and of each its validations. `baselines` are mask errors
    in percent.
    """
    from matplotlib import colormaps
    from matplotlib.ticker import EngFormatter, LogLocator, NullFormatter

    measures = {**ERROR_LABELS, "val_loss": "validation loss (nats)"} if with_loss else ERROR_LABELS
    figure, panels = _panels(len(measures), 14, 5.2)
    tab20 = colormaps["tab20"].colors  # type: ignore[attr-defined]
    for axes, (key, label) in zip(panels, measures.items(), strict=True):
        _draw_lines(axes, lines, "samples", key, tab20, marker="." if with_loss else "")
        scale = {"yscale": "log"} if key == "val_loss" else {"ylim": (-2, 102)}
        axes.set(xscale="log", xlabel="training samples", ylabel=label, **scale)
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_major_formatter(EngFormatter(sep=""))
        axes.xaxis.set_minor_formatter(NullFormatter())
    for name, level in (baselines or {}).items():
        panels[1].axhline(level, color=BASELINE_COLOR, linewidth=0.9, linestyle=":")
        panels[1].text(
            1, level, f"{name}: {level:.1f}%", color=BASELINE_COLOR, fontsize=8,
            ha="right", va="bottom", transform=panels[1].get_yaxis_transform(),
        )  # fmt: skip
    figure.legend(*axes.get_legend_handles_labels(), loc="outside right upper", fontsize=8)
    save_figure(figure, path, title)


def answers_picture(blocks: Mapping[str, Sequence[AnswerRow]], path: Path) -> None:
    """Draw `question : model's answer (true answer)`, right and wrong characters on a color each.

    Padding is a dot. Where all is right, worst is best: a block whose rows stand in a later one is
    left out. There is at least one row in all.
    """
    later = list(blocks.values())
    blocks = {t: rows for n, (t, rows) in enumerate(blocks.items()) if rows not in later[n + 1 :]}
    longest = max(len(_shortened(row.question)) for rows in blocks.values() for row in rows)
    lines: list[tuple[str, Sequence[bool]]] = []
    for title, rows in blocks.items():
        answers = [(_answer_line(row, longest), row.wrong) for row in rows]
        lines += [(title, ()), *answers, ("", ())]
    lines.append((CAPTION, ()))
    width, height = 2 + max(len(text) for text, _ in lines), len(lines) + 1
    from matplotlib.figure import Figure
    from matplotlib.patches import Rectangle

    figure = Figure((width * CELL_WIDTH, height * LINE_HEIGHT), dpi=DPI)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(-1, width - 1), ylim=(height - 0.5, -0.5))
    axes.set_axis_off()
    for y, (text, wrong) in enumerate(lines):
        for x, is_wrong in enumerate(wrong, longest + 3):
            color = WRONG_COLOR if is_wrong else RIGHT_COLOR
            axes.add_patch(Rectangle((x, y - 0.1), 1, 0.88, facecolor=color, edgecolor="white"))
        axes.text(
            0, y + 0.34, text, family="DejaVu Sans Mono", fontsize=FONT_SIZE,
            va="center_baseline", parse_math=False,
        )  # fmt: skip
    save_figure(figure, path)


def _answer_line(row: AnswerRow, longest: int) -> str:
    """Write one sample, its answer field from the character `longest` + 3 on."""
    width, count = len(row.wrong), sum(row.wrong)
    verdict = f"{count} of {width} wrong" if count else "right"
    fields = f"{_field(row.prediction, width)}  ({_field(row.answer, width)})"
    return f"{_shortened(row.question):>{longest}} : {fields}  {verdict}"


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


def error_by_nops(lines: Mapping[str, Points], path: Path, title: str = "") -> None:
    """Draw both errors against the number of operations, a line for each model.

    Intervals are bands; trivial baselines are drawn where they are the same for all.
    """
    figure, panels = _panels(2, 12, 4.8)
    longest = max(lines.values(), key=len)
    same = all(rows[0]["floors"] == longest[0]["floors"] for rows in lines.values())
    for axes, (key, label) in zip(panels, ERROR_LABELS.items(), strict=True):
        _draw_lines(
            axes, {name: [rows] for name, rows in lines.items()}, "nops", key, COLORS, marker="."
        )
        for line, rows in zip(axes.get_lines(), lines.values(), strict=True):
            low, high = zip(*(row[key.replace("_pct", "_interval")] for row in rows), strict=True)
            nops = [row["nops"] for row in rows]
            axes.fill_between(nops, low, high, color=line.get_color(), alpha=0.2, linewidth=0)
        for name in longest[0]["floors"] if same else ():
            levels = [(row["nops"], row["floors"][name][key]) for row in longest]
            label_of_all = "copy, and the first 1 to 4 operations alone" if name == "copy" else "_"
            (line,) = axes.plot(*zip(*levels, strict=True), ":", label=label_of_all)
            line.set(color=BASELINE_COLOR, linewidth=0.9)
        axes.set(xscale="log", ylim=(-2, 102), xlabel="operations", ylabel=label)
        axes.xaxis.set_major_formatter("{x:g}")
    figure.legend(
        *axes.get_legend_handles_labels(), loc="outside lower center", fontsize=9, ncols=2
    )
    save_figure(figure, path, title)


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


def speed_curves(lines: Points, path: Path) -> None:
    """Draw time and memory a sample by length, and what would grow with the length itself."""
    figure, panels = _panels(2, 12, 4.8)
    measures = {"ms_per_sample": "CPU milliseconds a sample", "mb_per_sample": "peak MB a sample"}
    for axes, (key, label) in zip(panels, measures.items(), strict=True):
        for color, name in zip(COLORS, dict.fromkeys(x["model"] for x in lines), strict=False):
            curve = [(x["length"], x[key]) for x in lines if x["model"] == name]
            axes.plot(*zip(*curve, strict=True), marker="o", color=color, label=name)
        shortest, longest = (end(x["length"] for x in lines) for end in (min, max))
        low = min(x[key] for x in lines if x["length"] == shortest)
        slope = low, low * longest / shortest
        axes.plot((shortest, longest), slope, ":", color=BASELINE_COLOR, label="as the length")
        axes.set(xscale="log", yscale="log", xlabel="bytes of a row", ylabel=label)
    panels[0].legend(fontsize=9)
    save_figure(figure, path, "Evaluation of rows of 8 to 1,024 operations, one thread")


def draw_figures(name: str, title: str, lines: Sequence[Line], folder: Path) -> list[str]:
    """Write NAME-curves.png, -answers.png and, for each grid that was evaluated, NAME-GRID.png.

    Lines whose median trial has no details have no picture. The names of the files are returned.
    """
    ranked = [
        (rank, line) for rank, line in rank_lines(lines) if line.trials and "curve" in line.median
    ]
    if not ranked:
        return []
    files = [f"{name}-curves.png", f"{name}-answers.png"]
    curves = {
        f"{line.row} ({line.budget:,})": [trial.details.get("curve", ()) for trial in line.trials]
        for _, line in ranked
    }
    training_curves(curves, folder / files[0], title)
    learned = [line for rank, line in ranked if rank.isdigit()] or [ranked[0][1]]
    best = learned[0]
    worst = [line for line in learned if line.budget == best.budget][-1]
    answers_picture({**_answers(best), **_answers(worst)}, folder / files[1])
    longest = {line.row: line for _, line in reversed(ranked) if line.details("grid")}.values()
    grids = [(line, _middle_grid(line)) for line in longest]
    grids.sort(key=lambda pair: rank_key(pair[0].results, pair[0].horizon))
    for grid in dict.fromkeys(kept["name"] for _, kept in grids):
        evaluated = {
            f"{line.row}, {line.budget:,} samples: horizon {line.horizon}": kept["rows"]
            for line, kept in grids
            if kept["name"] == grid
        }
        files.append(f"{name}-{grid}.png")
        error_by_nops(evaluated, folder / files[-1], f"{title} ({grid})")
    return files


def _middle_grid(line: Line) -> Mapping[str, Any]:
    """Choose the kept grid of a trial that has the line's horizon."""
    grids = line.details("grid")
    return next(grid for grid in grids if kept_horizon(grid) == line.horizon)


def _answers(line: Line) -> dict[str, list[AnswerRow]]:
    """Choose worst and best answers of the median trial."""
    return {
        f"{line.row}, {title}": [AnswerRow(*answer) for answer in block[:ANSWERS]]
        for title, block in line.median["answers"].items()
    }
