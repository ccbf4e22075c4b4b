"""Measure milliseconds of a training step of models side by side, and their ratios.

A step is forward, backward and AdamW on random bytes, every model in turn, on one thread and on
two: small models spend their time in many small operations, which a second thread hardly helps.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, gelu, normalize
from transformers import MambaConfig, MambaForCausalLM

from scripts.benchmarks import best_seconds
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
from vsc_models.delta_rule import delta_rule

LENGTH = 31
BATCHES = (64, 256)
ANSWER = 5
SETTINGS = [(threads, batch) for threads in (1, 2) for batch in BATCHES]
ROUNDS = 8

RATIOS = [
    ("MambaForCausalLM", "vsc_mamba", "at least 10"),
    ("vsc_mamba", "vsc_conv, 6 layers", "at most 2"),
    ("plain nn.Conv1d stack", "vsc_conv, 6 layers", "at least 2, where possible"),
    ("vsc_delta, byte by byte", "vsc_delta", "at least 3"),
    ("delta rule alone, byte by byte", "delta rule alone", "at least 3"),
    ("vsc_delta", "vsc_conv, 6 layers", "at most 0.25, at batch 64"),
]
"""Numerator, denominator, and the goal of their ratio."""


class PlainConvolutions(nn.Module):
    """What one writes first: the same network without a padding mask, in plain torch."""

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
    queries: Tensor,
    keys: Tensor,
    values: Tensor,
    betas: Tensor,
    *,
    positions: Tensor | None = None,
    **_: Any,
) -> Tensor:
    """vsc_models.delta_rule.delta_rule for one step per token, as the recurrence it is.

    One token after the other, all rows and heads at once, with torch's own derivative. The memory
    is read at `positions` only, as delta_rule does; None reads it after every token.
    """
    memory, after = torch.zeros(*keys.shape[:2], values.shape[-1], keys.shape[-1]), []
    for k, v, b in zip(keys.unbind(2), values.unbind(2), betas.unbind(2), strict=True):
        stored = (memory @ k.unsqueeze(-1)).squeeze(-1)
        memory = memory + ((v - stored) * b.unsqueeze(-1)).unsqueeze(-1) * k.unsqueeze(-2)
        after.append(memory)
    if positions is None:
        reads = zip(after, queries.unbind(2), strict=True)
        return torch.stack([(m @ q.unsqueeze(-1)).squeeze(-1) for m, q in reads], 2)
    index = positions[:, None, :, None, None].expand(-1, keys.shape[1], -1, *memory.shape[2:])
    return (torch.stack(after, 2).gather(2, index) @ queries.unsqueeze(-1)).squeeze(-1)


def _alone(rule: Callable[..., Tensor], batch: int) -> Callable[[], object]:
    """Forward and backward of a delta rule of vsc_delta's sizes, read after every byte."""
    sizes = VscDeltaConfig()
    q, k, v = (
        torch.randn(batch, sizes.num_heads, LENGTH, size)
        for size in (sizes.key_dim, sizes.key_dim, sizes.value_dim)
    )
    b = 2 * torch.rand(batch, sizes.num_heads, LENGTH)
    tensors = [x.requires_grad_() for x in (q, normalize(k, dim=-1), v, b)]
    return lambda: torch.autograd.grad(rule(*tensors).sum(), tensors)


def _stepper(model: nn.Module, loss: Callable[[], Tensor]) -> Callable[[], None]:
    """One training step of a model, as a function without arguments."""
    optimizer = torch.optim.AdamW(model.parameters(), fused=True)  # as training does

    def step() -> None:
        optimizer.zero_grad()
        loss().backward()
        optimizer.step()

    return step


def _slow_delta(step: Callable[[], None]) -> None:
    """A step of a delta model with the recurrence in place of the chunks."""
    with patch("vsc_models.modeling_delta.delta_rule", byte_by_byte):
        step()


def steps(batch: int) -> Mapping[str, Callable[[], object]]:
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

    delta_step = ours(delta, answer_positions=keep)
    return {
        "plain nn.Conv1d stack": others(plain, lambda: plain(ids)),
        "vsc_conv, 6 layers": ours(VscConvForMaskedLM(VscConvConfig())),
        "vsc_lstm": ours(VscLstmForMaskedLM(VscLstmConfig())),
        "vsc_mamba": ours(VscMambaForMaskedLM(VscMambaConfig())),
        "MambaForCausalLM": others(theirs, lambda: theirs(input_ids=ids).logits),
        "vsc_delta": delta_step,
        "vsc_delta, byte by byte": partial(_slow_delta, delta_step),
        "delta rule alone": _alone(delta_rule, batch),
        "delta rule alone, byte by byte": _alone(byte_by_byte, batch),
    }


def _product_limit() -> float:
    """Seconds of this machine's matrix products for the sums of vsc_conv's step, a row."""
    x, weight = torch.randn(LENGTH * 64, 64 * 9), torch.randn(64 * 9, 64)
    forward = best_seconds({"product": lambda: x @ weight}, 50)["product"]
    return 3 * 6 * forward / 64


def _measure(threads: int, batch: int) -> tuple[dict[str, float], float]:
    """Seconds of every model's step, and the bare products' share of vsc_conv's."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        functions = steps(batch)
        best_seconds(functions, 1)  # the first call sets up memory and threads
        seconds = best_seconds(functions, ROUNDS)
        return seconds, _product_limit() * batch / seconds["vsc_conv, 6 layers"]
    finally:
        torch.set_num_threads(before)


def report() -> str:
    """Make both tables: milliseconds, and ratios next to their goals."""
    measured = [_measure(*setting) for setting in SETTINGS]
    names = list(measured[0][0])
    times = [[name, *(f"{1e3 * seconds[name]:.1f}" for seconds, _ in measured)] for name in names]
    ratios = [
        [f"{a} / {b}", *(f"{seconds[a] / seconds[b]:.2f}" for seconds, _ in measured), goal]
        for a, b, goal in RATIOS
    ]
    share = [f"{share:.2f}" for _, share in measured]
    ratios.append(["the convolutions' sums as bare matrix products / vsc_conv", *share, ""])
    heads = [f"{threads} thread{'s'[: threads - 1]}, batch {batch}" for threads, batch in SETTINGS]
    return "\n\n".join(
        [
            table(["ms a step", *heads], times, markdown=True),
            table(["ratio", *heads, "goal on two threads"], ratios, markdown=True),
        ]
    )
