"""Models -> milliseconds of a training step, side by side in one run, and their ratios.

A step is forward, backward and AdamW on random bytes, every model taken in turn.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, gelu
from transformers import MambaConfig, MambaForCausalLM

from scripts.benchmarks.timing import best_seconds
from scripts.reporting.tables import table
from vsc_models import (
    VscConvConfig,
    VscConvForMaskedLM,
    VscDeltaConfig,
    VscDeltaForMaskedLM,
    VscLstmConfig,
    VscLstmForMaskedLM,
    VscMambaConfig,
    VscMambaForMaskedLM,
)

LENGTH = 31
BATCHES = (64, 256)
ANSWER = 5
THREADS = 2
ROUNDS = 12

RATIOS = [
    ("MambaForCausalLM", "vsc_mamba", "at least 10"),
    ("vsc_mamba", "vsc_conv, 6 layers", "at most 2"),
    ("plain nn.Conv1d stack", "vsc_conv, 6 layers", "at least 2, where possible"),
    ("vsc_delta, byte by byte", "vsc_delta", "at least 3"),
    ("vsc_delta", "vsc_conv, 6 layers", "at most 0.25, at batch 64"),
]
"""Above, below, and what their ratio is to be."""


class PlainConvolutions(nn.Module):
    """What one writes first: the same network, no padding hidden, in plain torch."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(256, 64)
        self.layers = nn.ModuleList(
            nn.Conv1d(64, 64, 9, padding="same", dilation=dilation)
            for dilation in VscConvConfig().dilation
        )

    def forward(self, ids: Tensor) -> Tensor:
        """(B, L) -> logits (B, L, 256)."""
        x = self.embedding(ids).mT
        for layer in self.layers:
            x = x + gelu(layer(x))
        return x.mT @ self.embedding.weight.T


def byte_by_byte(
    queries: Tensor, keys: Tensor, values: Tensor, betas: Tensor, *, positions: Tensor, **_: Any
) -> Tensor:
    """vsc_models.delta_rule.delta_rule for one step per token, as the recurrence it is."""
    memory, behind = torch.zeros(*keys.shape[:2], values.shape[-1], keys.shape[-1]), []
    for k, v, b in zip(keys.unbind(2), values.unbind(2), betas.unbind(2), strict=True):
        held = (memory @ k.unsqueeze(-1)).squeeze(-1)
        memory = memory + ((v - held) * b.unsqueeze(-1)).unsqueeze(-1) * k.unsqueeze(-2)
        behind.append(memory)
    index = positions[:, None, :, None, None].expand(-1, keys.shape[1], -1, *memory.shape[2:])
    return (torch.stack(behind, 2).gather(2, index) @ queries.unsqueeze(-1)).squeeze(-1)


def _stepper(model: nn.Module, loss: Callable[[], Tensor]) -> Callable[[], None]:
    """One training step of a model, as a function without arguments."""
    optimizer = torch.optim.AdamW(model.parameters())

    def step() -> None:
        optimizer.zero_grad()
        loss().backward()
        optimizer.step()

    return step


def _slow_delta(step: Callable[[], None]) -> None:
    """A step of a delta model with the recurrence in place of the chunks."""
    with patch("vsc_models.modeling_delta.delta_rule", byte_by_byte):
        step()


def steps(batch: int) -> Mapping[str, Callable[[], None]]:
    """A training step of every model at this batch size."""
    torch.manual_seed(0)
    ids = torch.randint(33, 256, (batch, LENGTH))
    ids[:, -ANSWER:] = 0
    labels = torch.randint(33, 256, (batch, LENGTH))
    keep = torch.arange(LENGTH - ANSWER, LENGTH).expand(batch, -1)
    plain, delta = PlainConvolutions(), VscDeltaForMaskedLM(VscDeltaConfig())
    shape = MambaConfig(vocab_size=256, hidden_size=32, num_hidden_layers=6, use_cache=False)
    theirs = MambaForCausalLM(shape)

    def ours(model: nn.Module, **inputs: Tensor) -> Callable[[], None]:
        return _stepper(model, lambda: model(input_ids=ids, labels=labels, **inputs).loss)

    def others(model: nn.Module, logits: Callable[[], Tensor]) -> Callable[[], None]:
        return _stepper(model, lambda: cross_entropy(logits().flatten(0, 1), labels.flatten()))

    delta_step = ours(delta, logits_to_keep=keep)
    return {
        "plain nn.Conv1d stack": others(plain, lambda: plain(ids)),
        "vsc_conv, 6 layers": ours(VscConvForMaskedLM(VscConvConfig())),
        "vsc_lstm": ours(VscLstmForMaskedLM(VscLstmConfig())),
        "vsc_mamba": ours(VscMambaForMaskedLM(VscMambaConfig())),
        "MambaForCausalLM": others(theirs, lambda: theirs(input_ids=ids).logits),
        "vsc_delta": delta_step,
        "vsc_delta, byte by byte": partial(_slow_delta, delta_step),
    }


def _product_limit() -> float:
    """Seconds of this machine's matrix products for the sums of vsc_conv's step, a row."""
    x, weight = torch.randn(LENGTH * 64, 64 * 9), torch.randn(64 * 9, 64)
    forward = best_seconds({"product": lambda: x @ weight}, 50)["product"]
    return 3 * 6 * forward / 64


def report() -> str:
    """Both tables: milliseconds, and ratios beside their goals."""
    threads = torch.get_num_threads()
    torch.set_num_threads(THREADS)
    try:
        seconds = {}
        for batch in BATCHES:
            functions = steps(batch)
            best_seconds(functions, 1)  # the first call sets up memory and threads
            seconds[batch] = best_seconds(functions, ROUNDS)
        limit = _product_limit()
    finally:
        torch.set_num_threads(threads)
    names = list(seconds[BATCHES[0]])
    times = [[name, *(f"{1e3 * seconds[b][name]:.1f}" for b in BATCHES)] for name in names]
    share = [f"{limit * b / seconds[b]['vsc_conv, 6 layers']:.2f}" for b in BATCHES]
    ratios = [
        [f"{a} / {b}", *(f"{s[a] / s[b]:.2f}" for s in seconds.values()), goal]
        for a, b, goal in RATIOS
    ]
    ratios.append(["the convolutions' sums as bare matrix products / vsc_conv", *share, ""])
    heads = [f"batch {batch}" for batch in BATCHES]
    return "\n\n".join(
        [
            table([f"ms a training step, {THREADS} threads", *heads], times, markdown=True),
            table(["ratio", *heads, "goal"], ratios, markdown=True),
        ]
    )
