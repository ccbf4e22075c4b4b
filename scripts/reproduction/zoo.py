"""Train recipes of one budget and compare them, every run done once."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from scripts.core.io import read_json, write_lines
from scripts.core.model_loading import find_device, open_model
from scripts.evaluation.grid import horizon
from scripts.reporting.tables import leaderboard
from scripts.training.distributed import make_accelerator
from scripts.training.loop import SeededModel, check_recipe
from scripts.training.recipes import Recipe, find_recipe, read_recipes
from scripts.training.run_report import finish_run
from scripts.training.runs import RUN_FILE, open_run, run_trials
from vsc_models.import_utils import format_error

RESULTS_FILE = "results.json"
HORIZON_FILE = "horizon.json"
BUDGET = ("data", "num_samples", "batch_size")
"""What the recipes of a comparison have in common."""


def choose(names: Sequence[str], max_samples: int | None = None) -> list[Recipe]:
    """Choose the recipes of these names, all of one budget.

    Args:
      names: none takes all `zoo-…` recipes.
      max_samples: training samples, in place of the recipes' number.
    Raises:
      ValueError: an unknown name, or different budgets.
    """
    recipes = [find_recipe(name) for name in names]
    if not names:
        recipes = [one for name, one in read_recipes().items() if name.startswith("zoo-")]
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


def run_zoo(
    recipes: Sequence[Recipe], folder: Path, seeds: Sequence[int], jobs: int = 1
) -> Iterator[str]:
    """Train every recipe with every seed, in a folder for each, and compare them.

    Args:
      recipes: see `choose`.
      folder: holds a run for each of them; what it has already is kept.
      seeds: of the trials.
      jobs: trials side by side.
    Yields:
      The leaderboard so far, after each recipe; it is also leaderboard.md and leaderboard.json.
    Raises:
      ValueError: the folder holds runs of other settings. A recipe that cannot start, or fails,
        is a line instead.
      OSError: the folder cannot be written.
    """
    rows: list[dict[str, Any]] = []
    for recipe in recipes:
        rows.append(_attempt(recipe, folder / recipe.name, seeds, jobs))
        levels: dict[str, Any] = next((row["floors"] for row in rows if "floors" in row), {})
        baselines = {name: rates for name, rates in levels.items() if not name.startswith("last")}
        write_lines(folder / "leaderboard.json", [json.dumps(rows, indent=2)])
        write_lines(folder / "leaderboard.md", [leaderboard(rows, baselines, markdown=True)])
        yield leaderboard(rows, baselines)


def _attempt(recipe: Recipe, folder: Path, seeds: Sequence[int], jobs: int) -> dict[str, Any]:
    """Make a recipe's row, or say what failed: one recipe's model may raise whatever it is."""
    accelerator = make_accelerator(recipe.mixed_precision)
    try:
        built = check_recipe(recipe, seeds[0], accelerator)
    except Exception as error:
        return _failed(recipe, error)
    folder, all_seeds = open_run(recipe, folder, seeds, (folder / RUN_FILE).exists(), accelerator)
    try:
        return _row(recipe, folder, all_seeds, accelerator, jobs, built)
    except OSError:  # the others have no room either
        raise
    except Exception as error:
        return _failed(recipe, error)


def _failed(recipe: Recipe, error: Exception) -> dict[str, Any]:
    words = str(error) if isinstance(error, ValueError) else format_error(error)
    return {"recipe": recipe.name, "failed": words}


def _row(
    recipe: Recipe,
    folder: Path,
    seeds: list[int],
    accelerator: Any,
    jobs: int,
    built: SeededModel | None,
) -> dict[str, Any]:
    """Make a recipe's row: its results.json and the horizon of its median trial."""
    records = run_trials(recipe, folder, seeds, accelerator, jobs, None, built)
    if _read(folder / RESULTS_FILE).get("seeds") != seeds:
        finish_run(recipe, folder, records)
    results = _read(folder / RESULTS_FILE)
    shown = {"seed": results["shown_seed"], "samples": results["samples"]}
    stored = _read(folder / HORIZON_FILE)
    if {name: stored.get(name) for name in shown} != shown:
        # As evaluate.py evaluates it: the folder's checkpoint is the median trial's, in the layout
        # that it was trained on; this run has written its code.
        loaded = open_model(str(folder), find_device(None), trust_remote_code=True)
        stored = {**shown, "horizon": str(horizon(loaded))}
        write_lines(folder / HORIZON_FILE, [json.dumps(stored)])
    return {**results, "horizon": stored["horizon"]}


def _read(path: Path) -> dict[str, Any]:
    """Read a JSON object; empty where there is no file."""
    return dict(read_json(path)) if path.exists() else {}
