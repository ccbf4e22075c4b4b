"""Kept trials of a table's rows -> the table: ours beside the article's, ranked, with spread."""

from collections.abc import Sequence

from scripts.reporting.table_columns import COLUMNS
from scripts.reporting.table_lines import Line, floors_of, ranked
from scripts.reporting.tables import table


def article_table(
    title: str, lines: Sequence[Line], columns: Sequence[str], against: str | None = None
) -> str:
    """The table as Markdown, with what its words mean below it.

    Args:
      title: its heading.
      lines: one for each row and budget.
      columns: names of COLUMNS.
      against: the row whose speed others are compared with, where its device is theirs.
    """
    parts = [COLUMNS[name] for name in columns]
    header = ["row", "rank", *(head for heads, _ in parts for head in heads)]
    order = ranked(lines)
    base = next((line for _, line in order if line.row == against and line.trials), None)
    rows = []
    for rank, line in order:
        cells = [cell for heads, cells in parts for cell in cells(line, base, len(heads))]
        rows.append([line.row, rank, *cells])
    return f"# {title}\n\n{table(header, rows, markdown=True)}\n\n{_notes(lines)}\n"


def _notes(lines: Sequence[Line]) -> str:
    """What the table's words mean, and which answers need no model."""
    trials = [(line, trial) for line in lines for trial in line.trials]
    floors = floors_of(lines)
    notes = [
        "Figures are medians over trials where nothing else is said, on validation questions; "
        "solved: at most 1 % sample error. Rows are ranked among those of the same data and as "
        "many training questions. At chance: mask error no lower than the better of copying the "
        "letters and guessing.",
    ]
    if any("grid" in trial.details for _, trial in trials):
        notes.append(
            "Horizon: the largest number of operations up to which every number has at most 1 % "
            "sample error; of two in the middle the lower one. Lost: not asked, for of two smaller "
            "numbers it had 99 % wrong."
        )
    if any(line.best_of > 1 for line in lines):
        notes.append(
            "Best of N: a trial is N trainings of the row so called, the next N seeds, of which "
            "that of the lowest validation loss is kept. Questions and seconds are those of all N."
        )
    for data, levels in floors.items():
        shown = ", ".join(f"{name} {rates['mask_error_pct']:.2f}" for name, rates in levels.items())
        notes.append(f"Mask error % without a model on {data}: {shown}.")
    devices = sorted({trial.record.device for _, trial in trials})
    if devices:
        notes.append(f"Trained on: {'; '.join(devices)}.")
    return "\n\n".join(notes)
