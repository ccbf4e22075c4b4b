"""Measure milliseconds of a training step of models side by side.

A step is forward, backward and AdamW on random bytes, every model in turn, on one thread and on
two: small models spend their time in many small operations, which a second thread hardly helps.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, gelu
from transformers import MambaConfig, MambaForCausalLM

import vsc_models
from scripts.benchmarks import best_seconds
from scripts.reporting.tables import table

LENGTH, ANSWER = 31, 5
SETTINGS = [(threads, batch) for threads in (1, 2) for batch in (64, 256)]
ROUNDS = 8


class PlainConvolutions(nn.Module):
    """What one writes first: the same network without a padding mask, in plain torch."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(256, 64)
        self.layers = nn.ModuleList(
            nn.Conv1d(64, 64, 9, padding="same", dilation=dilation)
            for dilation in vsc_models.VscConvConfig().dilation
        )

    def forward(self, ids: Tensor) -> Tensor:
        """(B, L) -> logits (B, L, 256)."""
        x = self.embedding(ids).mT
        for layer in self.layers:
            x = x + gelu(layer(x))
        return x.mT @ self.embedding.weight.T


def make_step(model: nn.Module, loss: Callable[[], Tensor]) -> Callable[[], None]:
    """Make a function of one training step."""
    optimizer = torch.optim.AdamW(model.parameters(), fused=True)  # as training does

    def step() -> None:
        optimizer.zero_grad()
        loss().backward()
        optimizer.step()

    return step


def make_steps(batch: int) -> dict[str, Callable[[], None]]:
    """Make a training step of every model at this batch size."""
    torch.manual_seed(0)
    ids = torch.randint(33, 256, (batch, LENGTH))
    ids[:, -ANSWER:] = 0
    labels = torch.randint(33, 256, (batch, LENGTH))
    positions = torch.arange(LENGTH - ANSWER, LENGTH).expand(batch, -1)

    def ours(name: str, **inputs: Tensor) -> Callable[[], None]:
        config = getattr(vsc_models, f"{name}Config")()
        model = getattr(vsc_models, f"{name}ForMaskedLM")(config)
        return make_step(model, lambda: model(input_ids=ids, labels=labels, **inputs).loss)

    def others(model: nn.Module, logits: Callable[[], Tensor]) -> Callable[[], None]:
        return make_step(model, lambda: cross_entropy(logits().flatten(0, 1), labels.flatten()))

    plain = PlainConvolutions()
    shape = MambaConfig(vocab_size=256, hidden_size=32, num_hidden_layers=6, use_cache=False)
    theirs = MambaForCausalLM(shape)
    return {
        "plain nn.Conv1d stack": others(plain, lambda: plain(ids)),
        "vsc_conv, 6 layers": ours("VscConv"),
        "vsc_lstm": ours("VscLstm"),
        "vsc_mamba": ours("VscMamba"),
        "MambaForCausalLM": others(theirs, lambda: theirs(input_ids=ids).logits),
        "vsc_delta": ours("VscDelta", answer_positions=positions),
    }


def measure(threads: int, batch: int) -> dict[str, float]:
    """Time a step of every model."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        functions = make_steps(batch)
        best_seconds(functions, 1)  # the first call sets up memory and threads
        return best_seconds(functions, ROUNDS)
    finally:
        torch.set_num_threads(before)


def report() -> str:
    """Make the table of milliseconds."""
    measured = [measure(*setting) for setting in SETTINGS]
    times = [[name, *(f"{1e3 * one[name]:.1f}" for one in measured)] for name in measured[0]]
    heads = [f"{threads} thread{'s'[: threads - 1]}, batch {batch}" for threads, batch in SETTINGS]
    return table(["ms a step", *heads], times, markdown=True)
