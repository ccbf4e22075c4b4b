"""A table and the folder of results -> its Markdown and its pictures, from those lines alone."""

from collections.abc import Iterable
from pathlib import Path

from scripts.core.io import replacing
from scripts.core.trial_store import Trial, locked, read_trials
from scripts.reporting.article_tables import article_table
from scripts.reporting.table_lines import Line, split_budgets
from scripts.reproduction.rows import Row, Table, read_rows
from scripts.training.recipes import Recipe


def showing(row: Row, tables: Iterable[Table]) -> list[Table]:
    """The tables that show what a row trains: their lines change with it.

    >>> from scripts.reproduction.rows import read_tables
    >>> tables = read_tables()
    >>> row = next(row for row in read_rows(tables["zoo"]) if row.name == "zoo-lstm")
    >>> [table.name for table in showing(row, tables.values())]
    ['zoo', 'zoo_longer', 'fair_search']
    """
    name = row.recipe.name
    return [table for table in tables if name in {one.recipe.name for one in read_rows(table)}]


def table_lines(table: Table, results: Path) -> list[Line]:
    """A line for each row and budget up to its own: longer trials are another table's."""
    lines = []
    for row in read_rows(table):
        trials = read_trials(results, row.recipe.name)
        within = [trial for trial in trials if _belongs(trial, row)]
        given = (row.name, row.recipe.data, row.full, row.article, within, row.best_of)
        lines += split_budgets(*given)
    return lines


def _belongs(trial: Trial, row: Row) -> bool:
    """Whether a trial is the row's, at its budget or a smaller one.

    One of other settings is another row; of those before settings were kept, the name must do.
    """
    kept = trial.details.get("settings")
    budget = row.recipe.num_samples
    same = not kept or row.recipe.same_training(
        Recipe.from_dict({"name": "", **kept, "num_samples": budget})
    )
    return same and trial.budget <= budget


def render(table: Table, results: Path) -> str:
    """The table's Markdown."""
    return article_table(table.title, table_lines(table, results), table.columns, table.against)


def write_table(table: Table, hub_cards: Path) -> str:
    """Write tables/TABLE.md and pictures into figures/, from what results/ holds.

    Returns:
      The table, to be printed.
    """
    from scripts.reporting.table_figures import draw_figures  # matplotlib takes a second

    for name in ("results", "tables", "figures"):
        (hub_cards / name).mkdir(parents=True, exist_ok=True)
    with locked(hub_cards / "results"):
        lines = table_lines(table, hub_cards / "results")
        text = article_table(table.title, lines, table.columns, table.against)
        figures = draw_figures(table.name, table.title, lines, hub_cards / "figures")
        with replacing(hub_cards / "tables" / f"{table.name}.md") as beside:
            beside.write_text(text, "utf-8")
    return "\n".join([text, *(f"{hub_cards / 'figures' / name}" for name in figures)])
