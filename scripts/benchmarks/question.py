"""Speeds of the networks of the article's open question, taken in turns."""

from dataclasses import replace
from functools import partial

import torch

from scripts.benchmarks.timing import best_seconds
from scripts.benchmarks.training import bare_steps
from scripts.core.inference import predict
from scripts.reporting.tables import table
from scripts.training.loop import LOG_EVERY
from scripts.training.model_factory import build_model
from scripts.training.recipes import find_recipe
from vsc_dataset import sample

AGAINST = "mixed-l12"
ASKED = 2_000
ROUNDS = 12
SPEEDS = (AGAINST, "mixed-l6", "attn-00440", "swap-delta")


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
