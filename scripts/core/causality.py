"""Tell whether a model looks ahead: only one that does not can predict the next token."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from scripts.core.batches import call_arguments, logits_of
from vsc_dataset.vocabulary import BYTES

_FIRST_PLAIN_ID = 33
"""From here on no id is a mask, padding or separator, in bytes and in tokens."""

_NOISE = 0.02
"""Added to first weights: a layer whose output begins at zero would hide what it reads."""

_ROUNDING = 1e-5
"""The share of the largest output that rounding may move among the rows of one batch."""

_NEAR, _SPREAD = 16, 16
"""Tokens that are changed: the first ones, and some spread over the rest of a long row."""


@torch.no_grad()
def find_lookahead_of_model(
    model: nn.Module,
    vocab_size: int = BYTES,
    *,
    length: int,
    trained: bool = False,
) -> int | None:
    """Find the first position whose logits change with a token after it.

    Args:
      model: it is brought to evaluation mode, and where it is not `trained` its weights are moved a
        little: give one that is not used afterwards.
      vocab_size: of its logits.
      length: of the row that is tried, as long as those that it is trained on.
      trained: whether its weights stay as they are.
    Returns:
      The position, from 0, or None for a causal model.
    Raises:
      ValueError: see `find_lookahead`.
    """
    model, generator = model.eval(), torch.Generator().manual_seed(0)
    if not trained:
        add_noise(model, generator)
    return find_lookahead_of_logits(model, vocab_size, length, generator)


@torch.no_grad()
def add_noise(model: nn.Module, generator: torch.Generator) -> None:
    """Move every weight a little."""
    for weight in model.parameters():
        weight.add_(torch.randn(weight.shape, generator=generator).to(weight), alpha=_NOISE)


def find_lookahead_of_logits(
    model: nn.Module, vocab_size: int, length: int, generator: torch.Generator
) -> int | None:
    """Apply `find_lookahead` to a model's logits, on a row of `length` tokens."""
    ids_L = torch.randint(_FIRST_PLAIN_ID, vocab_size, (length,), generator=generator)
    ids_L = ids_L.to(next(model.parameters()).device)
    others_L = _FIRST_PLAIN_ID + (ids_L == _FIRST_PLAIN_ID).long()

    def logits(ids_BxL: Tensor) -> Tensor:
        return logits_of(model, call_arguments(model, ids_BxL), vocab_size)

    return find_lookahead(logits, ids_L, others_L, rounding(model))


def rounding(model: nn.Module, share: float = _ROUNDING) -> float:
    """Return the share of the largest output that rounding may move; more for weights of 16 bits.

    >>> rounding(nn.Linear(2, 2)), rounding(nn.Linear(2, 2).bfloat16())
    (1e-05, 0.03125)
    """
    return max([share, *(4 * torch.finfo(weight.dtype).eps for weight in model.parameters())])


@torch.no_grad()
def find_lookahead(
    compute: Callable[[Tensor], Tensor], row_L: Tensor, others_L: Tensor, tolerance: float
) -> int | None:
    """Find the first position, from 0, whose output changes with what comes after it.

    Args:
      compute: maps (B, L, ...) to (B, L, D), each row for itself.
      row_L: (L, ...), without padding.
      others_L: what takes the place of one position or another, of the same shape.
      tolerance: the share of the largest output that rounding may move.
    Returns:
      None where there is no such position: the row is read from left to right.
    Raises:
      ValueError: the same row has another output each time, or one that is not finite.
    """
    length = len(row_L)
    near, spread = range(1, min(length, _NEAR)), range(length - 1, 0, -max(1, length // _SPREAD))
    positions = torch.tensor(sorted({*near, *spread}), device=row_L.device)
    changed_PxL = row_L.repeat(len(positions) + 1, *[1] * row_L.ndim)  # the last is as it was
    changed_PxL[range(len(positions)), positions] = others_L[positions]
    out_PxLxD = compute(changed_PxL).float()
    if not torch.isfinite(out_PxLxD).all():  # no comparison would find anything
        raise ValueError("the model gives NaN or infinity")
    allowed = tolerance * out_PxLxD[-1].abs().max()
    if (compute(changed_PxL) - out_PxLxD).abs().max() > allowed:
        raise ValueError(
            "the model gives other logits each time for the same row: let forward keep no state "
            "between two calls, and draw no random numbers in evaluation mode"
        )
    moved_PxL = (out_PxLxD[:-1] - out_PxLxD[-1]).abs().amax(2) > allowed
    before_PxL = torch.arange(length, device=row_L.device) < positions[:, None]
    ahead = (moved_PxL & before_PxL).any(0).nonzero().flatten().tolist()
    return ahead[0] if ahead else None
