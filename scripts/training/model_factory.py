"""Build a recipe's model, initialized from torch's global seed, and check it before training."""

import copy
import re
from collections.abc import Callable, Mapping
from dataclasses import fields
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch
from huggingface_hub.errors import StrictDataclassError
from torch import nn
from transformers import AutoConfig
from transformers.models.auto.configuration_auto import CONFIG_MAPPING
from transformers.models.auto.modeling_auto import (
    MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
    MODEL_FOR_MASKED_LM_MAPPING_NAMES,
)

import vsc_models  # noqa: F401  registers our model types
from scripts.core.batches import logits_of, loss_of, model_inputs
from scripts.core.causality import looks_ahead
from scripts.core.model_loading import head_of, load_model, make_file_model, set_format
from scripts.training.model_checks import bounded, check_custom
from scripts.training.recipes import Recipe
from vsc_dataset import sample
from vsc_dataset.checking import nearest
from vsc_dataset.language import TOKENS
from vsc_dataset.vocabulary import MASK
from vsc_models import VscDeltaConfig, VscMixerConfig
from vsc_models.import_utils import find_source, format_error, is_file

TOKEN_IDS = {
    "mask_token_id": 0,
    "pad_token_id": 1,
    "bos_token_id": 2,
    "cls_token_id": 2,
    "eos_token_id": 3,
    "sep_token_id": 3,
}
"""Bytes that no question holds: the embedding of padding is frozen at zero. In the layout of tokens
all ids are in use, and only the mask is never predicted."""

HEADS = {*MODEL_FOR_MASKED_LM_MAPPING_NAMES, *MODEL_FOR_CAUSAL_LM_MAPPING_NAMES}
USUAL_TYPES = "use a type that transformers knows, such as 'llama' or 'vsc_delta'"

ELSEWHERE = {"answer_width": "data", "layout": "data", "objective": "objective"}
OF_MIXER = {"mixer": "mixer", "mixer_args": "mixer_args", "direction": "direction"}
"""Fields of our configurations, and the field of a recipe that they follow from."""

MAX_LAYERS = 10_000
COUNTS = re.compile(r"layers?$|blocks?$|depth")
"""Fields that say how many layers there are."""

SCAFFOLDS = ("vsc_delta", "vsc_mixer")
"""Models that a mixer goes into; it takes their sizes, and those of the delta layer go."""


def build_model(recipe: Recipe, trust_remote_code: bool = False, sized: bool = False) -> nn.Module:
    """Build the recipe's model; it knows how the rows of its data are written.

    Args:
      recipe: `model` is a model type, trained from scratch; FILE.py:FUNCTION, called with
        model_args; or a checkpoint's folder or hub id, trained on. A `mixer` takes the delta
        layer's place.
      trust_remote_code: run the code that a checkpoint brings.
      sized: its size was checked before, without memory.
    Raises:
      ValueError: one line: there is no such model, a setting of it is unknown or cannot work, a
        package is missing, or it has more than max_parameters.
    """
    if not recipe.mixer and _is_checkpoint(recipe):
        model = load_model(
            recipe.model, trust_remote_code, lambda size: _check_size(recipe, size)
        ).train()
        model.float()  # stored in 16 bits, small steps of the optimizer would be rounded away
    else:
        make = _maker(recipe)
        if not sized:
            _check_size(recipe, _size_without_memory(recipe, make))
        with bounded(_called(recipe), recipe.max_parameters):
            model = make()
    _check_size(recipe, sum(p.numel() for p in model.parameters()))
    set_format(model, recipe.config, recipe.objective)
    return model


def check_model(
    recipe: Recipe,
    device: torch.device,
    num_processes: int = 1,
    trust_remote_code: bool = False,
    report: Callable[[str], None] = lambda line: None,
) -> nn.Module:
    """Build the model, and let a copy of it learn from two samples and predict them.

    Args:
      recipe, trust_remote_code: as `build_model`.
      device: where it will be trained.
      num_processes: that train it together.
      report: gets the lines of `check_custom`, of a model or a layer that is not ours.
    Returns:
      The model as it was built; random numbers go on as if the copy had not been.
    Raises:
      ValueError: as `build_model` and `check_custom`, its logits have another shape, it looks ahead
        and must not, or it cannot be trained in several processes; what the user's own code raises
        in `forward` is passed on as it is.
    """
    model = build_model(recipe, trust_remote_code)
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        try:
            probe = copy.deepcopy(model)
        except Exception:  # a custom layer may hold what cannot be copied
            probe = build_model(recipe, trust_remote_code, sized=True)
        try:
            _try_step(recipe, probe.to(device).train(), device)
            if recipe.mixer or not recipe.model.startswith("vsc_"):
                arguments = recipe.mixer_args if recipe.mixer else recipe.model_args
                report(f"{_called(recipe)}: {_listed(arguments)}")
                for line in check_custom(_called(recipe), probe, recipe.config, device):
                    report(line)
        except ValueError:
            raise
        except Exception as error:
            if recipe.mixer or is_file(recipe.model):
                raise
            words = format_error(error)
            if isinstance(error, IndexError):
                size = recipe.config.vocabulary.size
                words += (
                    f": rows have up to {_row_width(recipe)} ids, all below {size}, and it reads "
                )
                words += "fewer: give it a longer table of positions or a larger vocab_size"
            raise ValueError(f"{_called(recipe)} cannot be run: {words}") from error
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
                f"{_called(recipe)} looks ahead at position {position}; take a causal one (of ours "
                "--model-args causal=True), or --objective fill"
            )
    idle = [n for n, p in model.named_parameters() if p.requires_grad and p.grad is None]
    if idle and num_processes > 1:
        raise ValueError(
            f"{_called(recipe)}: parameter {idle[0]} gets no gradient, and {num_processes} "
            "processes would wait for it: set its requires_grad to False, or use one process"
        )


def _row_width(recipe: Recipe) -> int:
    """Count the ids of the longest row that is trained."""
    return recipe.config.padded_width(None, recipe.objective == "scratchpad")


def code_of(recipe: Recipe) -> dict[str, str]:
    """Return the SHA-256 of the files that hold the code of `mixer` and `model`, where they do.

    Raises:
      OSError: a file is not there.
    """
    codes = {"mixer": find_source(recipe.mixer), "model": find_source(recipe.model)}
    return {kind: sha256(code).hexdigest() for kind, code in codes.items() if code is not None}


def _is_checkpoint(recipe: Recipe) -> bool:
    """Return whether the model is a folder or hub id; ValueError for what is not a type either."""
    model = recipe.model
    if model in CONFIG_MAPPING or is_file(model):
        return False
    if not (Path(model).is_dir() or "/" in model):
        raise ValueError(
            f"model {model!r} is not a model type, a FILE.py:FUNCTION or a checkpoint: "
            + _nearest_type(model)
        )
    if recipe.model_args:
        raise ValueError(
            f"model_args {dict(recipe.model_args)} for the checkpoint {model}: its sizes are "
            "fixed, leave them out"
        )
    return True


def _nearest_type(model: str) -> str:
    """Suggest a type that has a head which can be trained; all of them are hundreds."""
    ours = [name for name in CONFIG_MAPPING if name.startswith("vsc_")]
    words = nearest(model, sorted({*ours, *HEADS}))
    return words if words.startswith("did") else USUAL_TYPES


def _maker(recipe: Recipe) -> Callable[[], nn.Module]:
    """Make the function that builds the model from scratch; what needs no building is checked."""
    _check_counts(recipe)
    if recipe.mixer:
        return _from_type(recipe, "vsc_mixer", _mixer_settings(recipe))
    if is_file(recipe.model):
        return lambda: make_file_model(recipe.model, recipe.model_args)
    return _from_type(recipe, recipe.model, recipe.model_args)


def _mixer_settings(recipe: Recipe) -> dict[str, Any]:
    """Return the fields of the mixer's configuration; the scaffold has the recipe's sizes."""
    if recipe.model not in SCAFFOLDS:
        raise ValueError(
            f"mixer {recipe.mixer} goes into the scaffold of {SCAFFOLDS[0]!r}, not into "
            f"{recipe.model!r}: leave one of them out"
        )
    kept, dropped = (
        {one.name for one in fields(one_class)} for one_class in (VscMixerConfig, VscDeltaConfig)
    )
    _check_names(recipe, recipe.model_args, kept | dropped)
    _check_elsewhere(recipe, OF_MIXER)
    return {
        **{name: value for name, value in recipe.model_args.items() if name in kept},
        "mixer": recipe.mixer,
        "mixer_args": dict(recipe.mixer_args),
        "direction": recipe.direction,
    }


def _from_type(
    recipe: Recipe, model_type: str, settings: Mapping[str, Any]
) -> Callable[[], nn.Module]:
    """Make the function that builds a model of this type; the rest is as its configuration says."""
    config_class = CONFIG_MAPPING[model_type]
    names = {field.name for field in fields(config_class)}
    _check_names(recipe, settings, names | set(config_class.attribute_map))
    if "vocab_size" not in names:
        text = f"{model_type}_text"  # as many call the part that reads
        raise ValueError(
            f"{_called(recipe)} has no vocab_size, so it reads no text or is made of several "
            + (f"models: did you mean {text!r}?" if text in HEADS else f"models: {USUAL_TYPES}")
        )
    vocabulary = recipe.config.vocabulary
    usual: dict[str, Any] = {"vocab_size": vocabulary.size}
    if model_type.startswith("vsc_"):
        _check_elsewhere(recipe, ELSEWHERE)
        usual |= {"answer_width": recipe.config.answer_width, "layout": recipe.config.layout}
        usual |= {"pad_token_id": vocabulary.pad}
    else:
        ids = TOKEN_IDS if recipe.config.layout != TOKENS else dict.fromkeys(TOKEN_IDS, MASK)
        usual |= {name: token for name, token in ids.items() if name in names}
        usual |= {"use_cache": False} if "use_cache" in names else {}
    config = _one_line(recipe, lambda: AutoConfig.for_model(model_type, **{**usual, **settings}))
    return lambda: _one_line(recipe, lambda: head_of(config).from_config(config))


def _one_line(recipe: Recipe, make: Callable[[], Any]) -> Any:
    """Return what `make` gives; what a library raises becomes one line that names the model."""
    try:
        return make()
    except ImportError as error:
        needed = f"the package {_missing(error)!r}" if _missing(error) else format_error(error)
        raise ValueError(f"{_called(recipe)} needs what is not installed here: {needed}") from error
    except StrictDataclassError as error:  # is not a ValueError
        raise ValueError(f"{_called(recipe)}: {' '.join(str(error).split())}") from None
    except Exception as error:
        if isinstance(error, ValueError) and recipe.mixer:
            raise
        arguments = _listed(recipe.model_args)
        raise ValueError(f"{_called(recipe)} with {arguments}: {format_error(error)}") from error


def _listed(arguments: Mapping[str, Any]) -> str:
    """Write arguments as they arrive."""
    return ", ".join(f"{name}={value!r}" for name, value in arguments.items()) or "no args"


def _missing(error: BaseException | None) -> str | None:
    """Find the module that an import missed; transformers says it in the cause of its error."""
    while error is not None and getattr(error, "name", None) is None:
        error = error.__cause__
    return getattr(error, "name", None)


def _check_names(recipe: Recipe, arguments: Mapping[str, Any], names: set[str]) -> None:
    """Raise a ValueError for a field that a configuration would silently ignore."""
    for name in arguments:
        if name not in names:
            raise ValueError(f"{_called(recipe)} has no field {name!r}: {nearest(name, names)}")


def _check_elsewhere(recipe: Recipe, fields_of: Mapping[str, str]) -> None:
    """Raise a ValueError for model_args that a recipe says in another field."""
    for name in recipe.model_args:
        if name in fields_of:
            raise ValueError(
                f"{_called(recipe)}: {name} is not one of model_args: it follows from the recipe's "
                f"{fields_of[name]} (--{fields_of[name].replace('_', '-')}), give that"
            )


def _size_without_memory(recipe: Recipe, make: Callable[[], nn.Module]) -> int:
    """Count the parameters where tensors take no memory; 0 if the user's code cannot do that."""
    with (
        bounded(_called(recipe), recipe.max_parameters),
        torch.random.fork_rng(devices=[]),
        torch.device("meta"),
    ):
        try:
            return sum(p.numel() for p in make().parameters())
        except Exception:
            if recipe.mixer or is_file(recipe.model):
                return 0  # it may look at its weights; what is wrong shows when it takes memory
            raise


def _check_counts(recipe: Recipe) -> None:
    """Raise a ValueError for more layers than a configuration can be built of in time."""
    for name, value in {**recipe.model_args, **recipe.mixer_args}.items():
        if COUNTS.search(name) and isinstance(value, int) and value > MAX_LAYERS:
            raise ValueError(f"{_called(recipe)}: {name} is {value}: give at most {MAX_LAYERS:,}")


def _check_size(recipe: Recipe, parameters: int) -> None:
    """Raise a ValueError for a model that is too large."""
    if parameters > recipe.max_parameters:
        raise ValueError(
            f"{_called(recipe)} has {parameters:,} parameters, max_parameters is "
            f"{recipe.max_parameters:,}: give smaller sizes or a higher limit"
        )


def _called(recipe: Recipe) -> str:
    """Name the model in words."""
    if recipe.mixer:
        return f"recipe {recipe.name!r}: mixer {recipe.mixer}"
    return f"recipe {recipe.name!r}: model {recipe.model!r}"
