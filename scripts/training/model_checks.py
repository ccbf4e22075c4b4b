"""Check a model before it is trained: that it learns, its rows, its numbers, and what it reads."""

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from scripts.core.batches import logits_of, loss_of, model_inputs
from scripts.core.causality import add_noise, first_ahead, first_logits_ahead, looks_ahead
from scripts.training.model_factory import build_model, describe, list_arguments
from scripts.training.recipes import Recipe
from vsc_dataset import sample
from vsc_models.import_utils import format_error, is_file

ROWS = 8
TOLERANCE = 1e-3
"""Of the largest output: rounding differs with the size of a batch, mixed rows differ by more."""

Compute = Callable[[Tensor], Tensor]


def check_model(
    recipe: Recipe,
    device: torch.device,
    num_processes: int = 1,
    trust_remote_code: bool = False,
    report: Callable[[str], None] = lambda line: None,
) -> nn.Module:
    """Build the model, and let a copy of it learn from two samples and predict them.

    `report` is told how a model or a layer that is not ours reads.

    Returns:
      The model as it was built; random numbers go on as if the copy had not been.
    Raises:
      ValueError: as `build_model`, its logits have another shape or are not finite, rows of a batch
        mix, it looks ahead and must not, or it cannot be trained in several processes; what the
        user's own code raises in `forward` is passed on as it is.
    """
    model = build_model(recipe, trust_remote_code)
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        try:
            probe = copy.deepcopy(model)
        except Exception:  # a custom layer may hold what cannot be copied
            probe = build_model(recipe, trust_remote_code)
        try:
            _try_step(recipe, probe.to(device).train(), device)
            if recipe.mixer or not recipe.model.startswith("vsc_"):
                arguments = recipe.mixer_args if recipe.mixer else recipe.model_args
                report(f"{describe(recipe)}: {list_arguments(arguments)}")
                for line in _check_custom(recipe, probe, device):
                    report(line)
        except ValueError:
            raise
        except SystemExit as error:
            raise ValueError(
                f"{describe(recipe)} ends the process: {format_error(error)}"
            ) from None
        except Exception as error:
            if recipe.mixer or is_file(recipe.model):
                raise
            raise _cannot_run(recipe, error) from error
    _check_probe(recipe, probe, num_processes)
    return model


def _try_step(recipe: Recipe, model: nn.Module, device: torch.device) -> None:
    """Compute loss, gradients and, in evaluation mode, logits of two samples."""
    has_states = recipe.objective == "scratchpad"
    samples = sample(recipe.config, "validation", range(2), scratchpad=has_states)
    inputs, labels = model_inputs(model, samples, recipe.loss, device)
    mixed = recipe.mixed_precision != "no"
    with torch.autocast(device.type, torch.bfloat16, enabled=mixed):
        logits = logits_of(model, inputs, samples.vocab_size)
    loss_of(logits, labels, recipe.label_smoothing).backward()  # type: ignore[no-untyped-call]
    with torch.no_grad():  # as it will be measured: without mixed precision
        logits_of(model.eval(), inputs, samples.vocab_size)


def _check_probe(recipe: Recipe, model: nn.Module, num_processes: int) -> None:
    """Raise a ValueError where a model looks ahead and must not, or a gradient is missing."""
    if recipe.objective != "fill":
        position = looks_ahead(model, recipe.config.vocabulary.size, _row_width(recipe))
        if position is not None:
            raise ValueError(
                f"--objective {recipe.objective} needs a model that reads from left to right: "
                f"{describe(recipe)} looks ahead at position {position}; take a causal one (of "
                "ours --model-args causal=True), or --objective fill"
            )
    idle = [n for n, p in model.named_parameters() if p.requires_grad and p.grad is None]
    if idle and num_processes > 1:
        raise ValueError(
            f"{describe(recipe)}: parameter {idle[0]} gets no gradient, and {num_processes} "
            "processes would wait for it: set its requires_grad to False, or use one process"
        )


def _cannot_run(recipe: Recipe, error: Exception) -> ValueError:
    """Make one line of what a library's model raises; an index beyond a table is explained."""
    words = f"{describe(recipe)} cannot be run: {format_error(error)}"
    if isinstance(error, IndexError):
        width, size = _row_width(recipe), recipe.config.vocabulary.size
        words += f": rows have up to {width} ids, all below {size}, and it reads fewer: give it a "
        words += "longer table of positions or a larger vocab_size"
    return ValueError(words)


def _row_width(recipe: Recipe) -> int:
    """Count the ids of the longest row that is trained."""
    return recipe.config.padded_width(None, recipe.objective == "scratchpad")


@torch.no_grad()
def _check_custom(recipe: Recipe, model: Any, device: torch.device) -> list[str]:
    """Return lines that tell how a model or a layer that is not ours reads rows of the data.

    A ValueError says that rows of a batch mix, or that an output is not finite. The model's weights
    are moved, see `add_noise`.
    """
    called, samples = describe(recipe), sample(recipe.config, "validation", range(ROWS))
    inputs, _ = model_inputs(model, samples, "all", device)
    rows = inputs["input_ids"]

    def logits(ids: Tensor) -> Tensor:
        others = {k: x[-len(ids) :] if isinstance(x, Tensor) else x for k, x in inputs.items()}
        return logits_of(model, {**others, "input_ids": ids}, samples.vocab_size)

    if not torch.isfinite(logits(rows)).all():
        raise ValueError(
            f"{called} gives NaN or infinity before it is trained: see its first weights"
        )
    bits = torch.Generator().manual_seed(0)
    add_noise(model, bits)
    if not torch.isfinite(logits(rows)).all():
        return [f"{called}: gives NaN or infinity with weights moved a little; it was not checked"]
    same = _check_rows(called, logits, rows)
    if recipe.mixer:  # the scaffold's convolutions may look ahead where the layer does not
        states = torch.randn(*rows.shape, model.config.hidden_size, generator=bits).to(device)

        def mix(x: Tensor) -> Tensor:
            out: Tensor = model.model.mix(x, x, None, None)
            return out

        same = same and _check_rows(called, mix, states)
    if not same:
        return [f"{called}: gives other numbers each time, in evaluation too; it was not checked"]
    if recipe.mixer:
        ahead = first_ahead(mix, states[0], states[1])
    else:
        ahead = first_logits_ahead(model, samples.vocab_size, rows.shape[1], bits)
    reads = "reads from left to right (causal)"
    if ahead is not None:
        reads = f"looks ahead (bidirectional): position {ahead} depends on later ones"
    return [f"{called}: rows of a batch do not mix, all numbers are finite", f"{called}: {reads}"]


def _check_rows(called: str, compute: Compute, rows: Tensor) -> bool:
    """Compare the last row alone with the same row in its batch; False where it is never the same.

    A ValueError says that rows mix.
    """
    together = compute(rows)
    limit = TOLERANCE * max(1.0, together.abs().max().item())
    if (together - compute(rows)).abs().max() > limit:
        return False
    difference = (together[-1:] - compute(rows[-1:])).abs().max().item()
    if difference > limit:
        raise ValueError(
            f"{called} mixes the rows of a batch: row {ROWS - 1} alone and in a batch of {ROWS} "
            f"differ by {difference:.2g}; read (batch, length, width), as torch's own layers do "
            "with batch_first=True"
        )
    return True
