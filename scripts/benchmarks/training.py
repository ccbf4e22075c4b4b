"""Measure what the training loop costs over bare steps, and networks' throughput."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import torch

from scripts.benchmarks import best_seconds
from scripts.core.batches import logits_of, loss_of, model_inputs
from scripts.core.inference import predict
from scripts.reporting.tables import table
from scripts.training.distributed import make_accelerator
from scripts.training.loop import LOG_EVERY, make_model, make_scheduler, mean_loss, train_step
from scripts.training.model_factory import build_model
from scripts.training.recipes import Recipe, find_recipe
from scripts.training.train_state import RunOptions
from vsc_dataset import TrainingStream, sample

THREADS = 2
ROUNDS = 12
CASES = [
    ("mixed-l6", 256, "at most 5%"),
    ("mixed-l6", 64, "at most 10%"),
    ("swap-delta", 64, ""),
]
AGAINST = "mixed-l12"
NETWORKS = (AGAINST, "mixed-l6", "attn-00440", "swap-delta")
"""Those of the article's open question."""

EVALUATED = 2_000


def report() -> str:
    """Make both tables."""
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(THREADS)
        loop = f"A training step, {THREADS} threads:\n\n{loop_table()}"
        torch.set_num_threads(1)
        throughput = f"One thread, in brackets times {AGAINST}:\n\n{throughput_table()}"
    finally:
        torch.set_num_threads(threads)
    return f"{loop}\n\n{throughput}"


def loop_table() -> str:
    """Compare milliseconds of a step in the loop and bare."""
    rows = []
    for name, batch_size, goal in CASES:
        recipe = replace(find_recipe(name), batch_size=batch_size, num_validations=1)
        functions = {"bare": bare_steps(recipe), "loop": loop_steps(recipe)}
        best_seconds(functions, 1)
        seconds = best_seconds(functions, ROUNDS)
        times = [f"{1e3 * seconds[kind] / LOG_EVERY:.2f}" for kind in functions]
        cost = 100 * (seconds["loop"] / seconds["bare"] - 1)
        rows.append([name, str(batch_size), *times, f"{cost:.1f}%", goal])
    heads = ["recipe", "batch", "bare ms", "loop ms", "overhead", "goal"]
    return table(heads, rows, markdown=True)


def loop_steps(recipe: Recipe) -> Callable[[], Any]:
    """Make a function of LOG_EVERY steps of the loop, data and the reading of the loss included."""
    accelerator = make_accelerator()
    model, optimizer = make_model(recipe, 0, accelerator, RunOptions())
    scheduler = make_scheduler(recipe, optimizer, 0)
    stream = TrainingStream(recipe.config, recipe.batch_size)
    others = (recipe, accelerator, optimizer, scheduler)

    def steps() -> float:
        losses = [train_step(model, next(stream), *others) for _ in range(LOG_EVERY)]
        return mean_loss(losses, accelerator)

    return steps


def bare_steps(recipe: Recipe) -> Callable[[], None]:
    """Make a function of as many steps in plain torch, on ready batches."""
    model, stream = build_model(recipe), TrainingStream(recipe.config, recipe.batch_size)
    device = torch.device("cpu")
    ready = [model_inputs(model, next(stream), recipe.loss, device) for _ in range(LOG_EVERY)]
    optimizer = torch.optim.AdamW(model.parameters(), weight_decay=0.01, fused=True)

    def steps() -> None:
        for inputs, labels in ready:
            loss_of(logits_of(model, inputs), labels, recipe.label_smoothing).backward()
            if recipe.max_grad_norm:
                torch.nn.utils.clip_grad_norm_(model.parameters(), recipe.max_grad_norm)
            optimizer.step()
            optimizer.zero_grad()

    return steps


def throughput_table() -> str:
    """Compare training and evaluation throughput of networks on the same data."""
    recipes = {name: replace(find_recipe(name), data="swap-nops2-5") for name in NETWORKS}
    samples = sample("swap-nops2-5", "validation", range(EVALUATED))
    training = {name: bare_steps(recipe) for name, recipe in recipes.items()}
    evaluation = {
        name: partial(predict, build_model(recipe), samples, recipe.loss)
        for name, recipe in recipes.items()
    }
    throughputs = []
    trained = LOG_EVERY * recipes[AGAINST].batch_size
    for functions, count in ((training, trained), (evaluation, EVALUATED)):
        best_seconds(functions, 1)
        seconds = best_seconds(functions, ROUNDS)
        throughputs.append({name: count / seconds[name] for name in NETWORKS})
    rows = [
        [name, *(f"{one[name]:,.0f} ({one[name] / one[AGAINST]:.1f})" for one in throughputs)]
        for name in NETWORKS
    ]
    heads = ["network", "training samples/s", "evaluation samples/s"]
    return table(heads, rows, markdown=True)
