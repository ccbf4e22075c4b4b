"""Check a model before it is trained: its gradients, its rows, its numbers, and what it reads."""

import copy
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from scripts.core.batches import logits_of, loss_of, model_inputs
from scripts.core.causality import (
    add_noise,
    find_lookahead,
    find_lookahead_of_logits,
    find_lookahead_of_model,
    rounding,
)
from scripts.training.model_factory import build_model, describe, list_arguments
from scripts.training.recipes import Recipe
from scripts.training.signals import Stopped
from vsc_dataset import sample
from vsc_models.import_utils import WIDTHS, format_error, is_file, is_installed
from vsc_models.modeling_mixer import saved_tensors

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
    """Build the model, and compute loss, gradients and logits of a copy on two samples.

    `report` is told how a model or a layer that is not ours reads.

    Returns:
      The model as it was built; random numbers go on as if the copy had not been.
    Raises:
      ValueError: as `build_model`, its logits have another shape or are not finite, rows of a batch
        mix, it looks ahead and must not, it cannot be trained in several processes, its `forward`
        raises, or a checkpoint would not hold all of it.
    """
    model = build_model(recipe, trust_remote_code)
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        try:
            probe = copy.deepcopy(model)
        except Exception:  # a custom layer may hold what cannot be copied
            probe = build_model(recipe, trust_remote_code)
        with explain_model_errors(recipe, probe):
            _compute_gradients(recipe, probe.to(device).train(), device)
        _check_gradients(recipe, probe, num_processes, report)
        not_finite = _find_gradient_not_finite(probe)
        if recipe.mixer or not recipe.model.startswith("vsc_"):
            arguments = recipe.mixer_args if recipe.mixer else recipe.model_args
            report(f"{describe(recipe)}: {list_arguments(arguments)}")
            with explain_model_errors(recipe, probe):
                for line in _check_custom(recipe, probe, device):
                    report(line)
        if not_finite:
            raise ValueError(
                f"{describe(recipe)}: the gradient of {not_finite} has NaN or infinity at the "
                "first step: look at divisions, roots and logarithms that can meet zero"
            )
        if recipe.mixer or is_file(recipe.model):
            _check_saved(recipe, model, probe, device)
    _check_direction(recipe, probe)
    return model


@contextmanager
def explain_model_errors(recipe: Recipe, model: nn.Module) -> Iterator[None]:
    """Make one line of what a model raises, with the line of the user's code that it is of."""
    try:
        yield
    except Stopped:
        raise
    except SystemExit as error:
        raise ValueError(f"{describe(recipe)} ends the process: {format_error(error)}") from None
    except Exception as error:
        frames = traceback.extract_tb(error.__traceback__)
        theirs = [one for one in frames if not _is_known(one.filename)]
        if isinstance(error, ValueError) and not theirs:
            raise  # ours
        words = f"{describe(recipe)} cannot be run: {format_error(error)}"
        if theirs:
            words += f" (in {theirs[-1].filename}, line {theirs[-1].lineno}: {theirs[-1].line})"
        words += _likely_cause(recipe, getattr(model, "config", None), error)
        raise ValueError(words) from error


def _likely_cause(recipe: Recipe, config: Any, error: Exception) -> str:
    """Name the field of a configuration that does not fit the others or the rows; "" for none."""
    width, size = _row_width(recipe), recipe.config.vocabulary.size
    heads, groups, positions = (
        getattr(config, name, None)
        for name in ("num_attention_heads", "num_key_value_heads", "max_position_embeddings")
    )
    if isinstance(heads, int) and isinstance(groups, int) and (groups < 1 or heads % groups):
        return (
            f": num_key_value_heads is {groups}, which does not divide num_attention_heads, {heads}"
        )
    if isinstance(positions, int) and positions < width + 2:  # some keep two for padding
        return f": rows have up to {width} ids, max_position_embeddings is {positions}"
    widths = [value for name, value in recipe.mixer_args.items() if name in WIDTHS]
    if recipe.mixer and any(value != config.hidden_size for value in widths):
        return f": the scaffold's width is {config.hidden_size}, set by --model-args hidden_size"
    if recipe.mixer and isinstance(error, TypeError):
        return ": a layer is called with (batch, length, width) alone, its padding last and zeroed"
    if recipe.mixer and isinstance(error, AssertionError):
        return f": rows have up to {width} ids here, and other data other ones: pad in the layer"
    if isinstance(error, IndexError):
        return (
            f": rows have up to {width} ids, all below {size}, and it reads fewer: give it a "
            "longer table of positions or a larger vocab_size"
        )
    return ""


def _is_known(file: str) -> bool:
    """Tell whether a file is of this tree or of an installed package, not of the user's code."""
    if file.startswith("<"):  # code that a library made
        return True
    ours = (Path(__file__).parents[2] / folder for folder in ("scripts", "vsc_models"))
    return is_installed(Path(file)) or any(Path(file).is_relative_to(folder) for folder in ours)


def _compute_gradients(recipe: Recipe, model: nn.Module, device: torch.device) -> None:
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


def _check_gradients(
    recipe: Recipe, model: nn.Module, num_processes: int, report: Callable[[str], None]
) -> None:
    """Tell which parameters have no gradient; a ValueError where several processes need it."""
    # Once it is copied, a scripted layer's parameters keep no gradient.
    learned = [(n, p) for n, p in model.named_parameters() if p.requires_grad and p.is_leaf]
    idle = [name for name, parameter in learned if parameter.grad is None]
    if idle and num_processes > 1:
        raise ValueError(
            f"{describe(recipe)}: parameter {idle[0]} gets no gradient, and {num_processes} "
            "processes would wait for it: set its requires_grad to False, or use one process"
        )
    if idle:
        others = f" and {len(idle) - 1} others" if len(idle) > 1 else ""
        report(f"{describe(recipe)}: no gradient reaches {idle[0]}{others}, which cannot learn")


def _find_gradient_not_finite(model: nn.Module) -> str | None:
    """Find a parameter whose gradient has NaN or infinity."""
    learned = ((name, p.grad) for name, p in model.named_parameters() if p.grad is not None)
    return next((name for name, grad in learned if not torch.isfinite(grad).all()), None)


def _check_direction(recipe: Recipe, model: nn.Module) -> None:
    """Raise a ValueError where a model looks ahead and must not."""
    if recipe.objective == "fill":
        return
    position = find_lookahead_of_model(
        model, recipe.config.vocabulary.size, length=_row_width(recipe)
    )
    if position is not None:
        who, hint = describe(recipe), "take a causal one (of ours --model-args causal=True)"
        if recipe.mixer and not recipe.model_args.get("causal"):
            who, hint = "the scaffold around the layer", "add --model-args causal=True"
        raise ValueError(
            f"--objective {recipe.objective} needs a model that reads from left to right: "
            f"{who} looks ahead at position {position}; {hint}, or --objective fill"
        )


@torch.no_grad()
def _check_saved(recipe: Recipe, model: nn.Module, probe: nn.Module, device: torch.device) -> None:
    """Raise a ValueError where a checkpoint of the probe would be another model.

    Args:
      recipe: of both.
      model: as it is built, before it was called.
      probe: the same model after it was called.
      device: of the probe.
    """
    built, called = saved_tensors(model), saved_tensors(probe)
    kind = "mixer" if recipe.mixer else "model"
    for name in {**built, **called}:
        shapes = [tensors[name].shape for tensors in (built, called) if name in tensors]
        if len(shapes) < 2 or shapes[0] != shapes[1]:
            change = "changes its shape" if len(shapes) == 2 else "is made or taken away"
            raise ValueError(
                f"{describe(recipe)}: tensor {name} {change} when the {kind} is called, so that no "
                "checkpoint of it can be read: make it in __init__, or register it as a buffer "
                "with persistent=False"
            )
    # Of other first weights: what is in no checkpoint stays as it is drawn here.
    fresh = build_model(recipe).to(device).eval()
    for name, tensor in saved_tensors(fresh).items():
        tensor.copy_(called[name])
    samples = sample(recipe.config, "validation", range(ROWS))
    inputs, _ = model_inputs(probe, samples, "all", device)
    once, again, read = (
        logits_of(one.eval(), inputs, samples.vocab_size) for one in (probe, probe, fresh)
    )
    limit = TOLERANCE * max(1.0, once.abs().max().item())
    if (once - again).abs().max() <= limit < (once - read).abs().max():
        raise ValueError(
            f"{describe(recipe)}: its checkpoint would give other answers: the {kind} holds "
            "numbers that are neither parameters nor buffers, such as layers in a plain list (use "
            "nn.ModuleList, nn.ParameterList, register_buffer) or a state kept between two calls"
        )


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
    generator = torch.Generator().manual_seed(0)
    add_noise(model, generator)
    if not torch.isfinite(logits(rows)).all():
        return [f"{called}: gives NaN or infinity with weights moved a little; it was not checked"]
    tolerance = rounding(model, TOLERANCE)
    checked: list[tuple[Compute, Tensor]] = [(logits, rows)]
    if recipe.mixer:
        states = torch.randn(*rows.shape, model.config.hidden_size, generator=generator).to(device)
        checked.append((_layer_alone(called, model), states))
    if not all(_check_rows(called, compute, x, tolerance) for compute, x in checked):
        return [
            f"{called}: gives other numbers each time, in evaluation too, so it was not checked: "
            "let forward keep no state between two calls, and draw no random numbers in evaluation"
        ]
    if recipe.mixer:  # the scaffold's convolutions may look ahead where the layer does not
        ahead = find_lookahead(checked[1][0], states[0], states[1], rounding(model))
    else:
        ahead = find_lookahead_of_logits(model, samples.vocab_size, rows.shape[1], generator)
    reads = "reads from left to right (causal)"
    if ahead is not None:
        reads = f"looks ahead (bidirectional): position {ahead} depends on later ones"
    lines = [f"{called}: rows of a batch do not mix, all numbers are finite", f"{called}: {reads}"]
    short = [name for name, one in model.named_parameters() if one.dtype.itemsize < 4]
    if short:
        lines.append(f"{called}: {short[0]} has 16 bits, which round small steps of training away")
    return lines


def _layer_alone(called: str, model: Any) -> Compute:
    """Return what runs a scaffold's layer, and raises a ValueError where it changes its input."""

    def mix(x: Tensor) -> Tensor:
        copied = x.clone()
        out: Tensor = model.model.mix(copied, x, None, None)
        if not torch.equal(copied, x):
            raise ValueError(f"{called} changes its input in place: let it make a new tensor")
        return out

    return mix


def _check_rows(called: str, compute: Compute, rows: Tensor, tolerance: float) -> bool:
    """Compare the last row alone with the same row in its batch; False where it is never the same.

    A ValueError says that rows mix.
    """
    together = compute(rows)
    limit = tolerance * max(1.0, together.abs().max().item())
    if (together - compute(rows)).abs().max() > limit:
        return False
    difference = (together[-1:] - compute(rows[-1:])).abs().max().item()
    if difference > limit:
        raise ValueError(
            f"{called} mixes the rows of a batch: row {ROWS - 1} alone and in a batch of {ROWS} "
            f"differ by {difference:.2g}; read (batch, length, width), as torch's own layers do "
            "with batch_first=True, and keep no state between two calls"
        )
    return True
