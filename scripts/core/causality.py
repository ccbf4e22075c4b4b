"""Tell whether a model looks ahead: only one that does not can predict the next token."""

import copy
import inspect

import torch
from torch import Tensor, nn

from scripts.core.batches import logits_of
from vsc_dataset.vocabulary import BYTES

_FIRST_PLAIN_ID = 33
"""From here on no id is a mask, padding or separator, in bytes and in tokens."""

_NOISE = 0.02
"""Added to the weights: a layer whose output begins at zero would hide that it looks ahead."""

_TOLERANCE = 1e-5
"""The share of the largest logit that rounding may move."""

_NEAR, _SPREAD = 16, 16
"""Tokens that are changed: the first ones, and some spread over the rest of a long row."""


@torch.no_grad()
def looks_ahead(
    model: nn.Module, vocab_size: int = BYTES, length: int = 16, seed: int = 0
) -> int | None:
    """Find the first position whose logits change with a token after it.

    A copy of the model is tried, in evaluation mode and float32, one token after the other
    changed, in a row of `length` tokens, as long as those that it is trained on; the model itself
    and torch's random state stay as they are. Positions count from 0; None means a causal model.

    Raises:
      ValueError: the same row has other logits each time.
    """
    probe = copy.deepcopy(model).float().eval()
    device = next(probe.parameters()).device
    bits = torch.Generator().manual_seed(seed)
    for weight in probe.parameters():
        weight.add_(torch.randn(weight.shape, generator=bits).to(weight), alpha=_NOISE)
    ids_L = torch.randint(_FIRST_PLAIN_ID, vocab_size, (length,), generator=bits).to(device)
    logits_LxV = _logits(probe, ids_L, vocab_size)
    allowed = _TOLERANCE * logits_LxV.abs().max()
    if (_logits(probe, ids_L, vocab_size) - logits_LxV).abs().max() > allowed:
        raise ValueError(
            "the model gives other logits each time for the same row: let forward keep no state "
            "between two calls, and draw no random numbers in evaluation mode"
        )
    first = length
    near, spread = range(1, min(length, _NEAR)), range(length - 1, 0, -max(1, length // _SPREAD))
    for position in sorted({*near, *spread}):
        changed_L = ids_L.clone()
        changed_L[position] = _FIRST_PLAIN_ID + (ids_L[position] == _FIRST_PLAIN_ID).long()
        moved_L = (_logits(probe, changed_L, vocab_size) - logits_LxV).abs().amax(1) > allowed
        first = min([first, *moved_L[:position].nonzero().flatten().tolist()])
    return first if first < length else None


def _logits(model: nn.Module, ids_L: Tensor, vocab_size: int) -> Tensor:
    """Run a row without padding alone: rows that a model mixes are another fault."""
    parameters = inspect.signature(model.forward).parameters
    inputs = {"input_ids": ids_L[None]}
    if "attention_mask" in parameters:
        inputs["attention_mask"] = torch.ones_like(ids_L)[None]
    others = {"use_cache": False} if "use_cache" in parameters else {}
    return logits_of(model, {**inputs, **others}, vocab_size)[0].float()
