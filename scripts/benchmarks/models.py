"""Measure milliseconds of a training step of our models and of transformers' Mamba, side by side.

A step is forward, backward and AdamW on random bytes, every model in turn, on one thread and on
two: small models spend their time in many small operations, which a second thread hardly helps.
One thread is measured in CPU time, two in wall time, which other work on the machine lengthens.
"""

import time
from collections.abc import Callable

import torch
from torch import nn
from transformers import MambaConfig, MambaForCausalLM

from scripts.benchmarks import best_seconds
from vsc_models.registration import MODELS

LENGTH = 31
SETTINGS = [(threads, batch) for threads in (1, 2) for batch in (64, 256)]
ROUNDS = 8


def make_models() -> dict[str, nn.Module]:
    """Make every model, ours of the default size; transformers' Mamba has the size of ours."""
    shape = MambaConfig(vocab_size=256, hidden_size=32, num_hidden_layers=6, use_cache=False)
    ours = {config.model_type: model(config()) for config, model in MODELS.items()}
    return {**ours, "MambaForCausalLM": MambaForCausalLM(shape)}


def make_step(model: nn.Module, batch: int) -> Callable[[], None]:
    """Make a function of one training step."""
    optimizer = torch.optim.AdamW(model.parameters(), fused=True)  # as training does
    labels = torch.randint(33, 256, (batch, LENGTH))
    ids = labels.clone()
    ids[:, -5:] = 0  # the answer field

    def step() -> None:
        optimizer.zero_grad()
        model(input_ids=ids, labels=labels).loss.backward()
        optimizer.step()

    return step


def _measure(threads: int, batch: int) -> dict[str, float]:
    """Time a step of every model."""
    torch.set_num_threads(threads)
    functions = {name: make_step(model, batch) for name, model in make_models().items()}
    best_seconds(functions, 1)  # the first call sets up memory and threads
    return best_seconds(functions, ROUNDS, time.process_time if threads == 1 else time.perf_counter)


def measure() -> list[dict[str, str | float]]:
    """Measure every model in every setting."""
    measured = {
        f"{threads} thread{'s'[: threads - 1]}, batch {batch}": _measure(threads, batch)
        for threads, batch in SETTINGS
    }
    lines: list[dict[str, str | float]] = [
        {"ms a step": name, **{key: round(1e3 * one[name], 1) for key, one in measured.items()}}
        for name in make_models()
    ]
    ratios = {
        key: round(one["MambaForCausalLM"] / one["vsc_mamba"], 1) for key, one in measured.items()
    }
    return [*lines, {"ms a step": "MambaForCausalLM / vsc_mamba, times", **ratios}]
