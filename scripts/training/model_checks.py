"""Check a model before it is trained: its size, its rows, its numbers, and what it reads."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.module import (
    register_module_module_registration_hook,
    register_module_parameter_registration_hook,
)
from torch.nn.parameter import is_lazy

from scripts.core.batches import logits_of, model_inputs
from vsc_dataset import sample
from vsc_dataset.configs import TaskConfig

MAX_PARTS = 20_000
"""Parameters and modules that a constructor registers: more would take minutes."""

ROWS = 8
TOLERANCE = 1e-3
"""Of the largest output: rounding differs with the size of a batch, mixed rows differ by more."""

Compute = Callable[[Mapping[str, Any]], Tensor]


class _TooLargeError(BaseException):
    """Goes through code that catches every Exception; `bounded` makes a ValueError of it."""


@contextmanager
def bounded(called: str, max_parameters: int) -> Iterator[None]:
    """Stop a constructor that would not end in time: count what it registers.

    Raises:
      ValueError: far more parameters than max_parameters (some are replaced when weights are
        tied), or more parts than any model here has.
    """
    parts = parameters = 0

    def count(module: nn.Module, name: str, part: Any) -> None:
        nonlocal parts, parameters
        parts += 1
        if isinstance(part, nn.Parameter) and not is_lazy(part):
            parameters += part.numel()
        if parts > MAX_PARTS or parameters > 4 * max_parameters:
            raise _TooLargeError

    hooks = (
        register_module_parameter_registration_hook(count),
        register_module_module_registration_hook(count),
    )
    try:
        yield
    except _TooLargeError:
        words = f"has {parameters:,} parameters or more, max_parameters is {max_parameters:,}"
        if parts > MAX_PARTS:
            words = f"is made of more than {MAX_PARTS:,} parts"
        raise ValueError(f"{called} {words}: give smaller sizes") from None
    finally:
        for hook in hooks:
            hook.remove()


@torch.no_grad()
def check_custom(
    called: str, model: nn.Module, config: TaskConfig, device: torch.device
) -> list[str]:
    """Check a model that is not ours, or the custom layers in one that is.

    Args:
      called: the model in words.
      model: in evaluation mode, on the device; its random numbers are the caller's matter.
      config: of the data, whose rows it reads.
    Returns:
      Lines that tell what was found.
    Raises:
      ValueError: rows of a batch mix, or an output is not finite.
    """
    inputs, _ = model_inputs(model, sample(config, "validation", range(ROWS)), "all", device)
    size = config.vocabulary.size
    lines = [_check_rows(called, lambda batch: logits_of(model, batch, size), inputs)]
    layers = getattr(getattr(model, "model", None), "mixer", None)
    if not isinstance(layers, nn.ModuleList):
        return [
            *lines,
            _reading(called, lambda batch: logits_of(model, batch, size), inputs, "input_ids"),
        ]
    states = {"x": torch.randn(*inputs["input_ids"].shape, model.config.hidden_size, device=device)}  # type: ignore[union-attr, arg-type]
    _check_rows(called, lambda batch: _first(layers[0](batch["x"])), states)
    return [*lines, _reading(called, lambda batch: _first(layers[0](batch["x"])), states, "x")]


def _first(outputs: Any) -> Tensor:
    """Return the first of several outputs, which is the layer's."""
    output: Tensor = outputs[0] if isinstance(outputs, tuple | list) else outputs
    return output


def _check_rows(called: str, compute: Compute, inputs: Mapping[str, Any]) -> str:
    """Compare the last row alone with the same row in its batch."""
    together = compute(inputs)
    if not torch.isfinite(together).all():
        raise ValueError(
            f"{called} gives NaN or infinity before it is trained: see its first weights"
        )
    limit = TOLERANCE * max(1.0, together.abs().max().item())
    if (together - compute(inputs)).abs().max() > limit:
        return f"{called}: gives other numbers each time, in evaluation too; rows were not compared"
    alone = compute({k: x[-1:] if isinstance(x, Tensor) else x for k, x in inputs.items()})
    difference = (together[-1:] - alone).abs().max().item()
    if difference > limit:
        raise ValueError(
            f"{called} mixes the rows of a batch: row {ROWS - 1} alone and in a batch of {ROWS} "
            f"differ by {difference:.2g}; read (batch, length, width), as torch's own layers do "
            "with batch_first=True"
        )
    return f"{called}: rows of a batch do not mix, all numbers are finite"


def _reading(called: str, compute: Compute, inputs: Mapping[str, Any], name: str) -> str:
    """Say whether an output depends on what comes after it: the second half of each row changes."""
    half = inputs[name].shape[1] // 2
    changed = inputs[name].clone()
    changed[:, half:] = changed[:, half:].roll(1, 0)  # of the row before
    before, after = (compute(batch)[:, :half] for batch in (inputs, {**inputs, name: changed}))
    limit = 1e-2 * TOLERANCE * max(1.0, before.abs().max().item())
    ahead = ((before - after).abs().amax((0, 2)) > limit).nonzero().flatten().tolist()
    if not ahead:
        return f"{called}: reads from left to right (causal)"
    return f"{called}: looks ahead (bidirectional): position {ahead[0]} depends on {half} or later"
