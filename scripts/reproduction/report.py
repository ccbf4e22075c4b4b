"""Make a table's Markdown and pictures from the folder of results alone."""

from pathlib import Path

from filelock import FileLock

from scripts.core.io import explain_damage, write_lines
from scripts.core.trial_store import LOCK_FILE, read_trials
from scripts.reporting.ranking import Line, split_budgets
from scripts.reporting.tables import results_table
from scripts.reproduction.experiments import TABLES, Row, Table


def tables_with(row: Row) -> list[Table]:
    """Find the tables that show what a row trains: their lines change with it.

    >>> row = next(row for row in TABLES["zoo"].rows if row.name == "zoo-lstm")
    >>> [table.name for table in tables_with(row)]
    ['zoo', 'zoo_longer', 'fair_search']
    """
    name = row.recipe.name
    return [table for table in TABLES.values() if name in {r.recipe.name for r in table.rows}]


def table_lines(table: Table, results: Path) -> list[Line]:
    """Read a line for each row and budget up to its own: longer trials are another table's."""
    lines = []
    for row in table.rows:
        trials = [trial for trial in read_trials(results, row.recipe.name) if row.matches(trial)]
        head = (row.name, row.recipe.data, row.full_samples, row.article)
        lines += split_budgets(*head, trials)
    return lines


def write_table(table: Table, hub_cards: Path) -> str:
    """Write tables/TABLE.md and pictures into figures/, from what results/ holds.

    Returns:
      The table, to be printed.
    """
    from scripts.reporting.figures import draw_figures  # matplotlib takes a second

    for name in ("results", "tables", "figures"):
        (hub_cards / name).mkdir(parents=True, exist_ok=True)
    with FileLock(hub_cards / "results" / LOCK_FILE):
        lines = table_lines(table, hub_cards / "results")
        with explain_damage(hub_cards / "results", f"restore the trials of the table {table.name}"):
            text = results_table(table.title, lines, table.columns.split(), table.against)
            figures = draw_figures(table.name, table.title, lines, hub_cards / "figures")
        pictures = [f"![{table.title}](../figures/{name})" for name in figures]
        page = [text, *(f"{picture}\n" for picture in pictures)]
        write_lines(hub_cards / "tables" / f"{table.name}.md", "\n".join(page).splitlines())
    return "\n".join([text, *(f"{hub_cards / 'figures' / name}" for name in figures)])
