"""A table and the folder of results -> its Markdown and its pictures, from those lines alone."""

from pathlib import Path

from scripts.core.io import replace_file
from scripts.core.trial_store import Trial, lock_folder, read_trials
from scripts.reporting.ranking import Line, split_budgets
from scripts.reporting.tables import results_table
from scripts.reproduction.experiments import TABLES, Row, Table
from scripts.training.recipes import Recipe


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
        trials = read_trials(results, row.recipe.name)
        within = [trial for trial in trials if _belongs(trial, row)]
        head = (row.name, row.recipe.data, row.full_samples, row.article)
        lines += split_budgets(*head, within, row.best_of)
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
    return results_table(
        table.title, table_lines(table, results), table.columns.split(), table.against
    )


def write_table(table: Table, hub_cards: Path) -> str:
    """Write tables/TABLE.md and pictures into figures/, from what results/ holds.

    Returns:
      The table, to be printed.
    """
    from scripts.reporting.figures import draw_figures  # matplotlib takes a second

    for name in ("results", "tables", "figures"):
        (hub_cards / name).mkdir(parents=True, exist_ok=True)
    with lock_folder(hub_cards / "results"):
        lines = table_lines(table, hub_cards / "results")
        text = results_table(table.title, lines, table.columns.split(), table.against)
        figures = draw_figures(table.name, table.title, lines, hub_cards / "figures")
        with replace_file(hub_cards / "tables" / f"{table.name}.md") as tmp_path:
            tmp_path.write_text(text, "utf-8")
    return "\n".join([text, *(f"{hub_cards / 'figures' / name}" for name in figures)])
