"""Lines of a table -> pictures: error curves of all its trials, errors by nops, answers."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib import colormaps
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, LogLocator, NullFormatter

from scripts.core.trial_store import Trial, median_trial
from scripts.reporting.error_figures import MEASURES, ErrorLine, error_by_nops
from scripts.reporting.figures import DPI, AnswerRow, answers_picture, distinct, save_figure
from scripts.reporting.ranking import Line, rank_lines

ANSWERS = 6
"""Rows of each block of the picture of answers."""


def draw_figures(name: str, title: str, lines: Sequence[Line], folder: Path) -> list[str]:
    """Write NAME-curves.png, -answers.png and, for each grid that was asked, NAME-GRID.png.

    Args:
      name, title: of the table.
      lines: of the table; those without details have no picture.
      folder: exists; each file is replaced whole.
    Returns:
      The names of the files.
    """
    order = [(rank, line) for rank, line in rank_lines(lines) if line.trials]
    shown = [(rank, line) for rank, line in order if _shown(line)]
    if not shown:
        return []
    curves, answers = f"{name}-curves.png", f"{name}-answers.png"
    table_curves([line for _, line in shown if line.best_of == 1], folder / curves, title)
    learned = [line for rank, line in shown if rank.isdigit()] or [shown[0][1]]
    blocks: dict[str, list[AnswerRow]] = {}
    for line in dict.fromkeys((learned[0].row, learned[-1].row)):
        blocks |= _answers(next(one for one in learned if one.row == line))
    answers_picture(blocks, folder / answers)
    medians = [(line, _median(line).details.get("grid")) for _, line in shown]
    files = [curves, answers]
    for grid in dict.fromkeys(found["name"] for _, found in medians if found):
        asked = [
            ErrorLine(f"{line.row} ({line.budget:,}): horizon {found['horizon']}", found["rows"])
            for line, found in medians if found and found["name"] == grid
        ]  # fmt: skip
        files.append(f"{name}-{grid}.png")
        error_by_nops(asked, folder / files[-1], f"{title}: {grid}")
    return files


def table_curves(lines: Sequence[Line], path: Path, title: str) -> None:
    """Draw both errors against training questions: a colour for each line of the table."""
    figure = Figure(figsize=(14, 5.2), dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    colours = colormaps["tab20"]
    for axes, (measure, label) in zip(figure.subplots(1, 2), MEASURES.items(), strict=True):
        for number, line in enumerate(lines):
            for first, trial in enumerate(line.trials):
                points: Sequence[Any] = trial.details.get("curve", ())
                axes.plot(
                    [point["samples"] for point in points],
                    [point[f"{measure}_pct"] for point in points],
                    color=colours(number % 20), linestyle="-" if number < 20 else "--",
                    linewidth=1.2, label="_" if first else f"{line.row} ({line.budget:,})",
                )  # fmt: skip
        axes.set(ylim=(-2, 102), xscale="log", xlabel="training questions", ylabel=label)
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_major_formatter(EngFormatter(sep=""))
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
    figure.legend(*axes.get_legend_handles_labels(), loc="outside right upper", fontsize=8)
    figure.suptitle(title)
    save_figure(figure, path)


def _shown(line: Line) -> bool:
    """Whether the median trial has details."""
    return "curve" in _median(line).details


def _median(line: Line) -> Trial:
    """The trial in the middle."""
    found = median_trial([trial.record for trial in line.trials])
    return next(trial for trial in line.trials if trial.record is found)


def _answers(line: Line) -> dict[str, list[AnswerRow]]:
    """Worst and best answers of the median trial."""
    blocks = {
        f"{line.row}, {title}": [
            AnswerRow(question, prediction, answer, [bool(w) for w in wrong])
            for question, prediction, answer, wrong in block[:ANSWERS]
        ]
        for title, block in _median(line).details["answers"].items()
    }
    return distinct(blocks)
