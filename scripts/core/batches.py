"""Examples -> the tensors of one forward call, and its logits -> a loss: for any model."""

import inspect
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.nn.parallel import DataParallel, DistributedDataParallel

from scripts.core.trace_labels import trace_labels
from vsc_dataset import Examples

IGNORED = -100
"""The label that no loss counts."""

VOCABULARY = 256


def model_inputs(
    model: nn.Module, examples: Examples, loss: str, device: torch.device
) -> tuple[dict[str, Any], Tensor]:
    """Arguments of `model` for these questions, and the labels of its logits.

    Args:
      model: maps input_ids, by that name or as its first argument, to logits. Where its forward
        takes them it is also given attention_mask (0 on padding) and use_cache=False; ours find
        padding themselves and, for a loss over the answer field, compute no other position.
      examples: N questions.
      loss: "answer", "all" (question and answer field; padding never counts) or "trace" (see
        `trace_labels`).
    Returns:
      The arguments, tensors int64 (N, L), and the labels, shaped as the logits will be: (N, L),
      IGNORED where the loss does not count, or (N, W) for the answer field alone. No shift.
    """
    real = np.flip(np.logical_or.accumulate(np.flip(examples.answer_mask, 1), axis=1), 1)
    if loss == "trace":
        labels = torch.from_numpy(trace_labels(examples, IGNORED))
    else:
        counted = real if loss == "all" else examples.answer_mask
        labels = torch.from_numpy(np.where(counted, examples.labels, np.int64(IGNORED)))
    inputs: dict[str, Any] = {"input_ids": torch.from_numpy(examples.input_ids.astype(np.int64))}
    if keeps_logits(model):
        if loss == "answer":
            inputs["logits_to_keep"] = answer_positions(examples)
            labels = labels.gather(1, inputs["logits_to_keep"])
    elif "attention_mask" in _arguments(model):
        inputs["attention_mask"] = torch.from_numpy(real.astype(np.int64))
    inputs = {name: tensor.to(device, non_blocking=True) for name, tensor in inputs.items()}
    if not keeps_logits(model) and "use_cache" in _arguments(model):
        inputs["use_cache"] = False
    return inputs, labels.to(device, non_blocking=True)


def logits_of(model: nn.Module, inputs: dict[str, Any]) -> Tensor:
    """The model's logits, (N, L or W, 256).

    Raises:
      ValueError: they have another shape; the message gives both.
    """
    others = dict(inputs)
    # A module of the user's may call it x.
    ids = () if "input_ids" in _arguments(model) else (others.pop("input_ids"),)
    outputs = model(*ids, **others)
    logits: Tensor = outputs if isinstance(outputs, Tensor) else outputs.logits
    wanted = (*inputs.get("logits_to_keep", inputs["input_ids"]).shape, VOCABULARY)
    if logits.shape != wanted:
        raise ValueError(f"the model's logits have shape {tuple(logits.shape)}, not {wanted}")
    return logits


def loss_of(logits: Tensor, labels: Tensor, label_smoothing: float = 0.0) -> Tensor:
    """The mean cross entropy in nats, in float32, over the labels that are not IGNORED.

    Args:
      logits: (N, L or W, 256).
      labels: int64, of the same places.
      label_smoothing: the share of each label that is spread over all bytes, as in torch.
    """
    return cross_entropy(
        logits.flatten(0, 1).float(),
        labels.flatten(),
        ignore_index=IGNORED,
        label_smoothing=label_smoothing,
    )


def answer_positions(examples: Examples) -> Tensor:
    """The places of the answer field, int64 (N, W)."""
    first = torch.from_numpy(examples.answer_mask.argmax(axis=1))
    width = int(examples.answer_mask[0].sum())
    return first[:, None] + torch.arange(width)


def keeps_logits(model: nn.Module) -> bool:
    """Whether the model computes wanted positions of each row alone, as ours do."""
    config = getattr(_inner(model), "config", None)
    return str(getattr(config, "model_type", "")).startswith("vsc_")


def _arguments(model: nn.Module) -> Any:
    """The names that the model's forward takes."""
    return inspect.signature(_inner(model).forward).parameters


def _inner(model: nn.Module) -> Any:
    """The model itself: torch.compile and DistributedDataParallel hide signature and config."""
    while True:
        if isinstance(model, DistributedDataParallel | DataParallel):
            model = model.module
        elif (compiled := model._modules.get("_orig_mod")) is not None:
            model = compiled
        else:
            return model
