"""Make the tensors of one forward call from samples, and a loss from its logits, for any model."""

import inspect
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from scripts.core.evaluation_format import format_of, unwrap
from vsc_dataset import Samples
from vsc_dataset.vocabulary import BYTES, IGNORED, MASK


def model_inputs(
    model: nn.Module, samples: Samples, loss: str, device: torch.device
) -> tuple[dict[str, Any], Tensor]:
    """Build the arguments of `model` for these samples, and the labels of its logits.

    Args:
      model: maps input_ids, by that name or as its first argument, to logits. Where its forward
        takes them it is also given attention_mask (0 on padding) and use_cache=False, and ours,
        for a loss over the answer field, the only positions that are to be computed.
      samples: N of them.
      loss: "answer" (of a scratchpad the states too), "all" (and the question; row padding never
        counts) or "targets" (see `dense_labels`).
    Returns:
      The arguments, tensors int64 (N, L), and the labels, shaped as the logits will be: (N, L),
      IGNORED where the loss does not count, or (N, W) for the answer field alone. A model that
      fills the field predicts id i at position i; others read the whole row and predict id i + 1
      there, of a scratchpad the row with its states.
    """
    objective = format_of(model).objective
    fills, has_states = objective == "fill", objective == "scratchpad"
    if has_states:
        samples = samples.with_scratchpads()
    mask = samples.attention_mask
    if loss == "targets":
        labels = torch.from_numpy(dense_labels(samples))
    else:
        counted = mask if loss == "all" else samples.completion_mask
        labels = torch.from_numpy(np.where(counted, samples.labels, np.int64(IGNORED)))
    if not fills:
        labels = torch.nn.functional.pad(labels[:, 1:], (0, 1), value=IGNORED)
    ids = samples.input_ids if fills else samples.labels
    ids_NxL, mask_NxL = (torch.from_numpy(x.astype(np.int64)) for x in (ids, mask))
    inputs = call_arguments(model, ids_NxL, mask_NxL)
    # Of scratchpads, rows have different numbers of positions.
    if takes_answer_positions(model) and loss == "answer" and not has_states:
        inputs["answer_positions"] = predicting_positions(model, samples)
        labels = labels.gather(1, inputs["answer_positions"])
    return _move(inputs, device), labels.to(device, non_blocking=True)


def _move(inputs: Mapping[str, Any], device: torch.device) -> dict[str, Any]:
    """Move what is a tensor."""
    return {
        name: value.to(device, non_blocking=True) if isinstance(value, Tensor) else value
        for name, value in inputs.items()
    }


def call_arguments(
    model: nn.Module, ids_NxL: Tensor, mask_NxL: Tensor | None = None
) -> dict[str, Any]:
    """Build the arguments of `model` for rows of ids; without a mask, no id is padding."""
    inputs: dict[str, Any] = {"input_ids": ids_NxL}
    if "attention_mask" in _arguments(model):
        inputs["attention_mask"] = torch.ones_like(ids_NxL) if mask_NxL is None else mask_NxL
    if "use_cache" in _arguments(model):
        inputs["use_cache"] = False
    return inputs


def logits_of(model: nn.Module, inputs: Mapping[str, Any], vocab_size: int = BYTES) -> Tensor:
    """Run the model: logits (N, L or W, vocab_size), alone, under "logits" or first in a tuple.

    Raises:
      ValueError: it gives no logits, or logits of another shape; the message gives both shapes.
    """
    others = dict(inputs)
    # A user's module may call it x.
    ids = () if "input_ids" in _arguments(model) else (others.pop("input_ids"),)
    outputs = model(*ids, **others)
    logits = outputs
    if isinstance(outputs, Mapping):
        logits = outputs.get("logits")
    elif isinstance(outputs, tuple | list) and outputs:
        logits = outputs[0]
    elif not isinstance(outputs, Tensor):
        logits = getattr(outputs, "logits", None)
    if not isinstance(logits, Tensor):
        is_dict = isinstance(outputs, Mapping)
        got = f"dict of {sorted(outputs)}" if is_dict else type(outputs).__name__
        raise ValueError(
            f"the model's forward returns no logits but a {got}: return a tensor, a tuple that "
            "begins with it, or a dict with 'logits'"
        )
    wanted = (*inputs.get("answer_positions", inputs["input_ids"]).shape, vocab_size)
    if logits.shape != wanted:
        words = f"the model's logits have shape {tuple(logits.shape)}, not {wanted}"
        if logits.shape[:-1] == wanted[:-1]:
            words += f": the data has {vocab_size} ids, so vocab_size must be {vocab_size}"
        raise ValueError(words)
    return logits


def loss_of(logits: Tensor, labels: Tensor, label_smoothing: float = 0.0) -> Tensor:
    """Compute the mean cross entropy in nats, in float32, over the labels that are not IGNORED.

    Args:
      logits: (N, L or W, V).
      labels: int64, of the same positions.
      label_smoothing: the share of each label that is spread over the vocabulary, as in torch.
    """
    return cross_entropy(
        logits.flatten(0, 1).float(),
        labels.flatten(),
        ignore_index=IGNORED,
        label_smoothing=label_smoothing,
    )


def answer_positions(samples: Samples) -> Tensor:
    """Return the positions of the answer field, int64 (N, W)."""
    return torch.from_numpy(samples.answer_start)[:, None] + torch.arange(samples.answer_width)


def predicting_positions(model: nn.Module, samples: Samples) -> Tensor:
    """Return the positions whose logits are the answer's, int64 (N, W), see `model_inputs`."""
    return answer_positions(samples) - int(format_of(model).objective != "fill")


def dense_labels(samples: Samples) -> NDArray[np.int64]:
    """Label the answer field, and at each operation the letters that it moves (dense targets).

    `Samples` says which letter stands where. Nothing is added to a row or to a model, and the
    answer is evaluated as ever.

    Args:
      samples: N of them, best made with targets=True: else their texts are parsed, which is slow.
    Returns:
      (N, L), IGNORED at all other positions.

    >>> from vsc_dataset import sample
    >>> swaps = sample("swap-nops2", "train", [0], targets=True)
    >>> swaps.questions(), swaps.answers()
    (['FJTOW:3>1 2>1'], ['JTFOW'])
    >>> "".join(chr(byte) if byte > 0 else "." for byte in dense_labels(swaps)[0])
    '........TF..JTJTFOW'
    """
    targets = samples.dense_targets().astype(np.int64)
    labels = np.where(samples.answer_mask, samples.labels, targets)
    labels[labels == MASK] = IGNORED
    return labels


def takes_answer_positions(model: nn.Module) -> bool:
    """Return whether the model can compute some positions of each row alone, as ours do."""
    return "answer_positions" in _arguments(model)


def _arguments(model: nn.Module) -> Any:
    """Return the parameters of the model's forward by name."""
    return inspect.signature(unwrap(model).forward).parameters
