"""The networks of the article's open question -> their speeds in turns, and their time to 1 %."""

import json
import time
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from scripts.benchmarks.timing import best_seconds
from scripts.benchmarks.training import bare_steps
from scripts.core.inference import predict
from scripts.core.trial_store import samples_to_solved
from scripts.reporting.tables import table
from scripts.training.logs import LOG_FILE
from scripts.training.loop import LOG_EVERY
from scripts.training.model_factory import build_model
from scripts.training.recipes import find_recipe
from scripts.training.trials import Paused, Settings, run_trial
from vsc_dataset import sample

AGAINST = "mixed-l12"
ASKED = 2_000
ROUNDS = 12
SPEEDS = (AGAINST, "mixed-l6", "attn-00440", "swap-delta")
SOLVED = {"swap-delta": 40, "attn-00440": 400}
"""Who is timed to 1 % sample error at five swaps, and how often each is validated."""


def report() -> str:
    """Questions a second in training and in asking, one thread, all networks on the same data."""
    torch.set_num_threads(1)
    recipes = {name: replace(find_recipe(name), data="swap-nops2-5") for name in SPEEDS}
    questions = sample("swap-nops2-5", "validation", range(ASKED))
    training = {name: bare_steps(recipe) for name, recipe in recipes.items()}
    asking = {
        name: partial(predict, build_model(recipe), questions, recipe.loss)
        for name, recipe in recipes.items()
    }
    speeds = []
    for functions, count in ((training, LOG_EVERY * recipes[AGAINST].batch_size), (asking, ASKED)):
        best_seconds(functions, 1)
        seconds = best_seconds(functions, ROUNDS)
        speeds.append({name: count / seconds[name] for name in SPEEDS})
    rows = [
        [name, *(f"{speed[name]:,.0f} ({speed[name] / speed[AGAINST]:.1f})" for speed in speeds)]
        for name in SPEEDS
    ]
    heads = ["network", "trained/s", "asked/s"]
    return f"One thread, in brackets times {AGAINST}:\n\n{table(heads, rows, markdown=True)}"


def solve_table(minutes: float, folder: Path = Path("runs/solve")) -> str:
    """Seconds of training, one thread, until the sample error at five swaps is and stays at 1 %.

    Args:
      minutes: for each of them; a later call goes on where this one stopped.
      folder: keeps both on their way.
    """
    torch.set_num_threads(1)
    rows = []
    for name, validations in SOLVED.items():
        recipe = replace(
            find_recipe(name),
            num_validations=validations,
            validation_questions=1_000,
            early_stop_pct=1.0,
        )
        deadline = time.time() + 60 * minutes
        with suppress(Paused):
            run_trial(recipe, 0, folder / name, name, Settings(deadline=deadline))
        lines = (folder / name / LOG_FILE).read_text("utf-8").splitlines()
        points = [point for point in map(json.loads, lines) if "sample_error_pct" in point]
        rows.append([name, *_standing(json.loads(lines[-1]), points)])
    heads = ["recipe", "trained s", "questions", "sample error %", "s to 1 %", "questions to 1 %"]
    return table(heads, rows, markdown=True)


def _standing(last: dict[str, Any], points: list[dict[str, Any]]) -> list[str]:
    """A trial so far, and when it was at 1 %."""
    error = f"{points[-1]['sample_error_pct']:.2f}" if points else "-"
    so_far = [f"{last['seconds']:.0f}", f"{last['samples']:,}", error]
    samples = samples_to_solved(points)
    if samples is None:
        return [*so_far, "not yet", "not yet"]
    (seconds,) = (point["seconds"] for point in points if point["samples"] == samples)
    return [*so_far, f"{seconds:.1f}", f"{samples:,}"]
