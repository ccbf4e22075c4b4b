"""Measure which operations a training step of `swap-delta` spends its time in."""

import torch
from torch.profiler import ProfilerActivity, profile

from scripts.training.distributed import make_accelerator
from scripts.training.loop import make_model, make_scheduler, make_stream, train_step
from scripts.training.recipes import find_recipe

STEPS, LISTED = 50, 10


def measure() -> list[dict[str, str | float]]:
    """Measure the calls a step and the share of the time of each operation, on one thread."""
    torch.set_num_threads(1)
    recipe, accelerator = find_recipe("swap-delta"), make_accelerator()
    model, optimizer = make_model(recipe, 0, accelerator)
    shared = recipe, accelerator, optimizer, make_scheduler(recipe, optimizer, 0)
    stream = make_stream(recipe, 0, accelerator, 0)
    train_step(model, next(stream), *shared)  # sets up memory
    with profile(activities=[ProfilerActivity.CPU]) as profiled:
        for _ in range(STEPS):
            train_step(model, next(stream), *shared)
    events = sorted(profiled.key_averages(), key=lambda event: -event.self_cpu_time_total)
    total = sum(event.self_cpu_time_total for event in events)
    parts = {event.key: (event.count, event.self_cpu_time_total) for event in events[:LISTED]}
    rest = [(event.count, event.self_cpu_time_total) for event in events[LISTED:]]
    parts[f"{len(rest)} others"] = tuple(map(sum, zip(*rest, strict=True)))  # type: ignore[assignment]
    return [
        {
            "operation": name.removeprefix("aten::"),
            "calls a step": round(count / STEPS),
            "time, %": round(100 * time / total, 1),
        }
        for name, (count, time) in parts.items()
    ]
