"""reproduce.toml -> tables and their rows: a recipe each, its budget and its trials."""

import csv
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from scripts.training.recipes import Recipe, check_keys, merge, read_recipes
from vsc_dataset.checking import nearest
from vsc_dataset.configs import make_config

SPECS = Path(__file__).parent.parent / "reproduce.toml"
ARTICLE = Path(__file__).parents[2] / "hub_cards" / "article" / "seed_tables.csv"
ARTICLE_COLUMNS = (
    "parameters",
    "samples",
    "solved",
    "sample",
    "mask",
    "loss",
    "train_speed",
    "article",
)
ROW_KEYS = ("recipe", "num_samples", "trials")
BEST_OF_KEYS = ("recipe", "best_of", "trials")


@dataclass(frozen=True)
class Row:
    """A row of a table.

    Attributes:
      recipe: trained; its name is that of the results, its num_samples the budget.
      trials: how many, each of `best_of` trainings, with seeds from 0 on.
      full: training questions of the recipe that the row comes from.
      grid: the grid that it is asked, None for none.
      test_questions: that it is asked at the end; 0 for no more than the split has.
      article: its line in the article's tables, empty if it has none.
      best_of: trainings of a trial, seed after seed; the lowest validation loss is kept.
    """

    recipe: Recipe
    trials: int
    full: int
    grid: str | None
    test_questions: int
    article: Mapping[str, str]
    best_of: int = 1

    @property
    def name(self) -> str:
        """What the table calls it."""
        found = self.recipe.name
        return found if self.best_of == 1 else f"{found}-best-of-{self.best_of}"

    @property
    def seeds(self) -> range:
        """Of all trainings."""
        return range(self.trials * self.best_of)


@dataclass(frozen=True)
class Table:
    """A table of reproduce.toml; every field but the name is a key of it.

    Without `num_samples` each recipe is trained on its own number. So many `test_questions` are
    asked at the end; the first are those of the test split, and 0 asks no more. With
    `learning_rates` there is a row for each, called RECIPE-lrRATE where it is not the recipe's
    own; `recipes` may be called so too. With another `loss` a row is called RECIPE-LOSS.
    """

    name: str
    title: str
    trials: int
    num_samples: int | None = None
    test_questions: int = 0
    article: bool = False
    recipes: Sequence[str] = ()
    data: Sequence[str] = ()
    learning_rates: Sequence[float] = ()
    loss: str = ""
    grids: bool = False
    columns: Sequence[str] = ARTICLE_COLUMNS
    against: str | None = None


def read_tables(path: Path = SPECS) -> dict[str, Table]:
    """All tables by name; `like` as in recipes.

    Raises:
      ValueError: as `inherit`.
    """
    known = [field.name for field in fields(Table) if field.name != "name"]
    found: dict[str, dict[str, Any]] = {}
    for name, table in _read(path)["tables"].items():
        check_keys(f"table {name!r}", table, ["like", *known])
        found[name] = merge(found.get(table.pop("like", ""), {}), table)
    return {name: Table(name=name, **given) for name, given in found.items()}


def read_rows(table: Table, path: Path = SPECS) -> list[Row]:
    """The rows of a table, the article's first.

    Raises:
      ValueError: an unknown recipe, key or configuration, or a change that a recipe cannot take.
    """
    spec, recipes = _read(path), read_recipes()
    lines = {line["id"]: line for line in read_article() if line["table"] == table.name}
    names = [*lines] if table.article else []
    rows = [_row(table, spec, recipes, name, None, lines) for name in names]
    datas: list[str | None] = [*table.data] or [None]
    known = [*recipes, *spec["rows"]]
    for data in datas:
        for called in table.recipes:
            pattern, rate = _split_rate(called)
            found = dict.fromkeys(name for name in known if fnmatchcase(name, pattern))
            if not found:
                raise ValueError(f"recipe {pattern!r} is unknown: {nearest(pattern, known)}")
            made = [_row(table, spec, recipes, name, data, {}) for name in found]
            rows += [_at_rate(row, rate) for row in made] if rate else made
    if table.learning_rates:
        rows = [_at_rate(row, rate) for row in rows for rate in table.learning_rates]
    return [_with_loss(row, table.loss) for row in rows]


def _split_rate(called: str) -> tuple[str, float]:
    """A name or pattern and the learning rate behind it, 0 where there is none.

    >>> _split_rate("zoo-*-lr0.0005"), _split_rate("zoo-lstm")
    (('zoo-*', 0.0005), ('zoo-lstm', 0.0))
    """
    pattern, _, rate = called.partition("-lr")
    try:
        return pattern, float(rate or 0)
    except ValueError:
        raise ValueError(f"recipe {called!r}: {rate!r} is no learning rate") from None


def _at_rate(row: Row, rate: float) -> Row:
    """The row at another learning rate."""
    if rate == row.recipe.learning_rate:
        return row
    name = f"{row.recipe.name}-lr{rate:g}"
    return replace(row, recipe=replace(row.recipe, name=name, learning_rate=rate))


def _with_loss(row: Row, loss: str) -> Row:
    """The row over another loss; without one as it is."""
    if loss in ("", row.recipe.loss):
        return row
    return replace(row, recipe=replace(row.recipe, name=f"{row.recipe.name}-{loss}", loss=loss))


def read_article() -> list[dict[str, str]]:
    """The rows of the article's tables."""
    return [*csv.DictReader(ARTICLE.read_text("utf-8").splitlines())]


def _row(
    table: Table,
    spec: Mapping[str, Any],
    recipes: Mapping[str, Recipe],
    name: str,
    data: str | None,
    lines: Mapping[str, Mapping[str, str]],
) -> Row:
    """A row by its recipe's name, with what [rows] says of it."""
    own = dict(spec["rows"].get(name, {}))
    if "best_of" in own:
        return _best_of(_row(table, spec, recipes, own["recipe"], data, lines), name, own)
    base = recipes[own.pop("recipe", name)]
    if data not in (None, base.data):
        name = f"{name}-{data}"
        own |= spec["rows"].get(name, {})
    check_keys(f"row {name!r}", own, [*ROW_KEYS, *(field.name for field in fields(Recipe))])
    trials = own.pop("trials", table.trials)
    samples = own.pop("num_samples", table.num_samples or base.num_samples)
    if "model_args" in own:
        own["model_args"] = {**base.model_args, **own["model_args"]}
    data = data or base.data
    recipe = replace(base, name=name, data=data, num_samples=samples, **own)
    grid = spec["grids"].get(data) if table.grids else None
    if grid is not None:
        make_config(grid)
    asked = table.test_questions
    return Row(recipe, trials, base.num_samples, grid, asked, lines.get(name, {}))


def _best_of(row: Row, name: str, own: Mapping[str, Any]) -> Row:
    """The row with several of its trainings in a trial; it trains nothing that the row does not."""
    check_keys(f"row {name!r}", own, BEST_OF_KEYS)
    found = replace(row, best_of=own["best_of"], trials=own.get("trials", row.trials))
    if found.best_of < 2 or found.name != name:
        raise ValueError(
            f"row {name!r}: call it {row.name}-best-of-N, where N is best_of, 2 or more"
        )
    return found


def check_names(names: Sequence[str], rows: Sequence[Row]) -> None:
    """Raise a ValueError for a name or pattern that is none of the rows'."""
    known = [row.name for row in rows]
    for name in names:
        if not any(fnmatchcase(row, name) for row in known):
            raise ValueError(f"--rows {name!r}: there is no such row, {nearest(name, known)}")


def choose(
    rows: Sequence[Row], names: Sequence[str], max_samples: int | None, trials: int | None
) -> list[Row]:
    """The rows of these names or patterns, all if there are none, with flags' values in them.

    Raises:
      ValueError: a number cannot work.
    """
    if trials is not None and trials < 1:
        raise ValueError(f"--trials {trials} must be 1 or more")
    chosen = [
        row for row in rows if not names or any(fnmatchcase(row.name, name) for name in names)
    ]
    if max_samples is not None:
        chosen = [
            replace(row, recipe=replace(row.recipe, num_samples=max_samples)) for row in chosen
        ]
    return [replace(row, trials=trials or row.trials) for row in chosen]


def _read(path: Path) -> dict[str, Any]:
    return tomllib.loads(path.read_text("utf-8"))
