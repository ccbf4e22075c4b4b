"""Measure steps of train.py where freed memory goes back to the system, and where it is kept."""

from functools import partial

import torch

from scripts.benchmarks import best_seconds
from scripts.core.cli import keep_freed_memory
from scripts.training.distributed import make_accelerator
from scripts.training.loop import make_model, make_scheduler, make_stream, train_step
from scripts.training.recipes import find_recipe
from scripts.training.train_state import DEFAULTS

SETTINGS = [("swap-delta", 64), ("swap-delta", 256), ("default-delta", 64)]
ROUNDS, STEPS = 6, 10
GIVEN_BACK, KEPT = 2**22, 2**30
"""Bytes that may stay free; by itself glibc settles at twice its largest block."""


def measure() -> list[dict[str, str | float]]:
    """Compare samples a CPU second on one thread, of the fastest steps."""
    torch.set_num_threads(1)
    lines: list[dict[str, str | float]] = []
    for name, batch in SETTINGS:
        recipe, accelerator = find_recipe(name).changed(batch_size=batch), make_accelerator()
        model, optimizer = make_model(recipe, 0, accelerator, DEFAULTS)
        scheduler = make_scheduler(recipe, optimizer, 0)
        batches = make_stream(recipe, 0, accelerator, 0)
        shared = recipe, accelerator, optimizer, scheduler
        best = {GIVEN_BACK: float("inf"), KEPT: float("inf")}
        for kept_bytes in [*best] * ROUNDS:
            keep_freed_memory(kept_bytes)
            train_step(model, next(batches), *shared)  # fetches what is then kept
            step = partial(train_step, model, next(batches), *shared)
            best[kept_bytes] = min(best[kept_bytes], best_seconds({"": step}, STEPS)[""])
        lines.append(
            {
                "recipe": name,
                "batch": batch,
                "given back, samples/s": round(batch / best[GIVEN_BACK]),
                "kept, samples/s": round(batch / best[KEPT]),
                "times": round(best[GIVEN_BACK] / best[KEPT], 2),
            }
        )
    return lines
