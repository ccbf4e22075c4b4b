"""Recipes of one budget and a folder -> the leaderboard, every run in it done once."""

import importlib.util
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from scripts.core.io import replacing
from scripts.core.model_loading import find_device, open_model
from scripts.evaluation.grid import horizon
from scripts.reporting.leaderboard import leaderboard
from scripts.training.recipes import Recipe, find_recipe, read_recipes
from scripts.training.run_report import finish_run
from scripts.training.runs import RUN_FILE, open_run, run_trials
from scripts.training.trials import check
from vsc_models.import_utils import format_error, is_file, split

RESULTS_FILE = "results.json"
HORIZON_FILE = "horizon.json"
BUDGET = ("data", "num_samples", "batch_size")
"""What the recipes of a leaderboard have in common."""


def choose(names: Sequence[str], max_samples: int | None = None) -> list[Recipe]:
    """The recipes of these names, all of one budget.

    Args:
      names: none takes all `zoo-…` recipes whose mixer's package is installed.
      max_samples: training questions, in place of the recipes' number.
    Raises:
      ValueError: an unknown name, or different budgets.
    """
    zoo = {name: recipe for name, recipe in read_recipes().items() if name.startswith("zoo-")}
    recipes = [find_recipe(name) for name in names] or [r for r in zoo.values() if installed(r)]
    if max_samples is not None:
        recipes = [replace(recipe, num_samples=max_samples) for recipe in recipes]
    for recipe in recipes:
        for name in BUDGET:
            here, first = getattr(recipe, name), getattr(recipes[0], name)
            if here != first:
                raise ValueError(
                    f"{recipe.name!r} has {name} {here}, {recipes[0].name!r} has {first}: "
                    "a leaderboard has one budget"
                )
    return recipes


def installed(recipe: Recipe) -> bool:
    """Whether the package of the recipe's mixer is there; True without one."""
    if not recipe.mixer or is_file(recipe.mixer):
        return True
    return importlib.util.find_spec(split(recipe.mixer)[0].partition(".")[0]) is not None


def run_zoo(
    recipes: Sequence[Recipe], folder: Path, seeds: Sequence[int], jobs: int = 1
) -> Iterator[str]:
    """Train every recipe with every seed, in a folder of its own, and compare them.

    Args:
      recipes: see `choose`.
      folder: holds a run for each of them; what it has already is kept.
      seeds: of the trials.
      jobs: trials side by side.
    Yields:
      The leaderboard so far, behind each recipe; it is also leaderboard.md and leaderboard.json.
    Raises:
      ValueError: the folder holds runs of other settings. A recipe that cannot start, or fails,
        is a line instead.
      OSError: the folder cannot be written.
    """
    rows: list[dict[str, Any]] = []
    for recipe in recipes:
        rows.append(_attempt(recipe, folder / recipe.name, seeds, jobs))
        levels: dict[str, Any] = next((row["floors"] for row in rows if "floors" in row), {})
        floors = {name: level for name, level in levels.items() if not name.startswith("last")}
        for name, text in (
            ("leaderboard.json", json.dumps(rows, indent=2) + "\n"),
            ("leaderboard.md", leaderboard(rows, floors, markdown=True) + "\n"),
        ):
            with replacing(folder / name) as beside:
                beside.write_text(text, "utf-8")
        yield leaderboard(rows, floors)


def _attempt(recipe: Recipe, folder: Path, seeds: Sequence[int], jobs: int) -> dict[str, Any]:
    """A recipe's row, or what failed of it: one recipe's model may raise whatever it is."""
    try:
        check(recipe)
    except Exception as error:
        return _failed(recipe, error)
    folder, all_seeds = open_run(recipe, folder, seeds, resume=(folder / RUN_FILE).exists())
    try:
        return _row(recipe, folder, all_seeds, jobs)
    except OSError:  # the others have no room either
        raise
    except Exception as error:
        return _failed(recipe, error)


def _failed(recipe: Recipe, error: Exception) -> dict[str, Any]:
    words = str(error) if isinstance(error, ValueError) else format_error(error)
    return {"recipe": recipe.name, "failed": words}


def _row(recipe: Recipe, folder: Path, seeds: list[int], jobs: int) -> dict[str, Any]:
    """A recipe's results.json and the horizon of its median trial; what is there is read."""
    records = run_trials(recipe, folder, seeds, jobs)
    if _read(folder / RESULTS_FILE).get("seeds") != seeds:
        finish_run(recipe, folder, records)
    results = _read(folder / RESULTS_FILE)
    shown = {"seed": results["shown_seed"], "samples": results["samples"]}
    known = _read(folder / HORIZON_FILE)
    if {name: known.get(name) for name in shown} != shown:
        # As evaluate.py asks it: the folder's checkpoint is the median trial's, in the layout that
        # it was trained on; this run has written its code.
        candidate = open_model(str(folder), find_device(None), trust_remote_code=True)
        known = {**shown, "horizon": str(horizon(candidate))}
        with replacing(folder / HORIZON_FILE) as beside:
            beside.write_text(json.dumps(known) + "\n", "utf-8")
    return {**results, "horizon": known["horizon"]}


def _read(path: Path) -> Mapping[str, Any]:
    """A JSON object; nothing where there is no file."""
    found: Mapping[str, Any] = json.loads(path.read_text("utf-8")) if path.exists() else {}
    return found
