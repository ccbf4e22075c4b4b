"""Examples -> the tensors of one forward call."""

import inspect

import numpy as np
import torch
from torch import Tensor, nn

from vsc_dataset import Examples

IGNORED = -100
"""The label that no loss counts."""


def model_inputs(
    model: nn.Module, examples: Examples, loss: str, device: torch.device
) -> dict[str, Tensor]:
    """Arguments of `model` for these questions.

    Args:
      model: takes input_ids and labels; where it also takes logits_to_keep, a loss over the answer
        field computes no other position.
      examples: N questions.
      loss: "answer" or "all" (question and answer field; padding never counts).
    Returns:
      input_ids, labels: int64 (N, L). With logits_to_keep, int64 (N, W): the answer field.
    """
    counted = examples.answer_mask
    if loss == "all":
        counted = np.flip(np.logical_or.accumulate(np.flip(counted, 1), axis=1), 1)
    labels = np.where(counted, examples.labels, np.int64(IGNORED))
    inputs = {
        "input_ids": torch.from_numpy(examples.input_ids.astype(np.int64)),
        "labels": torch.from_numpy(labels),
    }
    if loss == "answer" and keeps_logits(model):
        inputs["logits_to_keep"] = answer_positions(examples)
    return {name: tensor.to(device, non_blocking=True) for name, tensor in inputs.items()}


def answer_positions(examples: Examples) -> Tensor:
    """The places of the answer field, int64 (N, W)."""
    first = torch.from_numpy(examples.answer_mask.argmax(axis=1))
    width = int(examples.answer_mask[0].sum())
    return first[:, None] + torch.arange(width)


def keeps_logits(model: nn.Module) -> bool:
    """Whether the model can compute wanted positions alone."""
    inner = getattr(model, "module", model)  # DistributedDataParallel hides the signature
    return "logits_to_keep" in inspect.signature(inner.forward).parameters
