"""Build a recipe's model, initialized from torch's global seed; one line says what cannot be."""

import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import fields
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import AutoConfig
from transformers.models.auto.configuration_auto import CONFIG_MAPPING
from transformers.models.auto.modeling_auto import (
    MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
    MODEL_FOR_MASKED_LM_MAPPING_NAMES,
)

import vsc_models  # noqa: F401  registers our model types
from scripts.core.evaluation_format import set_format
from scripts.core.model_loading import count_parameters, head_of, load_model, make_file_model
from scripts.training.recipes import Recipe, recipe_flag
from vsc_dataset.checking import nearest
from vsc_dataset.language import TOKENS
from vsc_dataset.vocabulary import MASK
from vsc_models.configuration_vsc import MAX_LAYERS
from vsc_models.import_utils import find, find_edited_source, find_source, format_error, is_file

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

ELSEWHERE = {"answer_width": "data", "layout": "data"}
ELSEWHERE |= {name: name for name in ("objective", "mixer", "mixer_args", "direction")}
"""Fields of our configurations, and the field of a recipe that they follow from."""

COUNTS = re.compile(r"layers?$|blocks?$|depth")
"""Fields that say how many layers there are."""


def build_model(recipe: Recipe, trust_remote_code: bool = False) -> nn.Module:
    """Build the recipe's model; it knows how the rows of its data are written.

    Args:
      recipe: `model` is a model type, trained from scratch; FILE.py:FUNCTION, called with
        model_args; or a checkpoint's folder or hub id, trained on. A `mixer` takes the delta
        layer's place.
      trust_remote_code: run the code that a checkpoint brings.
    Raises:
      ValueError: one line: there is no such model, a setting of it is unknown or cannot work, a
        package is missing, or it has more than max_parameters.
    """
    if not recipe.mixer and _is_checkpoint(recipe):
        model = load_model(recipe.model, trust_remote_code, partial(_check_size, recipe))
        model.train().float()  # in 16 bits small steps of the optimizer would be rounded away
    else:
        make = _maker(recipe)
        _check_size(recipe, _size_without_memory(recipe, make))
        model = make()
    _check_size(recipe, count_parameters(model))
    set_format(model, recipe.config, recipe.objective)
    return model


def code_of(recipe: Recipe) -> dict[str, str]:
    """Return the SHA-256 of the files that hold the code of `mixer` and `model`, where they do.

    Of an installed package they do not, see `find_edited_source`.
    """
    mixer = find_edited_source(recipe.mixer) if recipe.mixer else None
    codes = {"mixer": mixer, "model": find_source(recipe.model)}
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
    words = nearest(model, sorted({*HEADS, *(x for x in CONFIG_MAPPING if x.startswith("vsc_"))}))
    return words if words.startswith("did") else USUAL_TYPES


def _maker(recipe: Recipe) -> Callable[[], nn.Module]:
    """Make the function that builds the model from scratch; what needs no building is checked."""
    for name, value in {**recipe.model_args, **recipe.mixer_args}.items():
        if COUNTS.search(name) and isinstance(value, int) and value > MAX_LAYERS:
            raise ValueError(f"{describe(recipe)}: {name} is {value}: give at most {MAX_LAYERS:,}")
    if not recipe.mixer and is_file(recipe.model):
        defaults = {"vocab_size": recipe.config.vocabulary.size}
        taken = inspect.signature(find(recipe.model)).parameters
        # Passed where the function takes it.
        arguments = {name: value for name, value in defaults.items() if name in taken}
        return lambda: make_file_model(recipe.model, {**arguments, **recipe.model_args})
    if recipe.mixer and recipe.model not in ("vsc_delta", "vsc_mixer"):
        raise ValueError(
            f"mixer {recipe.mixer} goes into the scaffold of 'vsc_delta', not into "
            f"{recipe.model!r}: leave one of them out"
        )
    _check_names(recipe)
    model_type = "vsc_mixer" if recipe.mixer else recipe.model
    names = _names_of(model_type)
    settings = {name: value for name, value in recipe.model_args.items() if name in names}
    if recipe.mixer:
        settings |= {"mixer": recipe.mixer, "mixer_args": dict(recipe.mixer_args)}
        settings |= {"direction": recipe.direction}
    settings = {**_usual_settings(recipe, model_type), **settings}
    config = _explain_build_errors(recipe, lambda: AutoConfig.for_model(model_type, **settings))
    return lambda: _explain_build_errors(recipe, lambda: head_of(config).from_config(config))


def _names_of(model_type: str) -> set[str]:
    """Return the fields of a type's configuration, and their other names."""
    config_class = CONFIG_MAPPING[model_type]
    return {one.name for one in fields(config_class)} | set(config_class.attribute_map)


def _check_names(recipe: Recipe) -> None:
    """Raise a ValueError for model_args that no configuration reads, or another field says."""
    names = _names_of(recipe.model)
    if recipe.mixer:  # it takes the sizes of the scaffold, and those of the delta layer go
        names |= _names_of("vsc_mixer")
    for name in recipe.model_args:
        if name in ("dtype", "torch_dtype"):
            raise ValueError(
                f"{describe(recipe)}: {name} is not one of model_args: weights are trained in 32 "
                "bits, --mixed-precision bf16 computes in 16"
            )
        if name not in names:
            raise ValueError(f"{describe(recipe)} has no field {name!r}: {nearest(name, names)}")
        if name in ELSEWHERE and recipe.model.startswith("vsc_"):
            raise ValueError(
                f"{describe(recipe)}: {name} is not one of model_args: it follows from the "
                f"recipe's {ELSEWHERE[name]} ({recipe_flag(ELSEWHERE[name])}), give that"
            )
    if "vocab_size" not in names:
        text = f"{recipe.model}_text"  # as many call the part that reads
        raise ValueError(
            f"{describe(recipe)} has no vocab_size, so it reads no text or is made of several "
            + (f"models: did you mean {text!r}?" if text in HEADS else f"models: {USUAL_TYPES}")
        )


def _usual_settings(recipe: Recipe, model_type: str) -> dict[str, Any]:
    """Return what follows from the data, where the recipe does not say."""
    vocabulary, layout = recipe.config.vocabulary, recipe.config.layout
    usual: dict[str, Any] = {"vocab_size": vocabulary.size}
    if model_type.startswith("vsc_"):
        width = recipe.config.answer_width
        return {**usual, "answer_width": width, "layout": layout, "pad_token_id": vocabulary.pad}
    ids = TOKEN_IDS if layout != TOKENS else dict.fromkeys(TOKEN_IDS, MASK)
    names = _names_of(model_type)
    usual |= {name: value for name, value in (ids | {"use_cache": False}).items() if name in names}
    return usual


def _explain_build_errors(recipe: Recipe, make: Callable[[], Any]) -> Any:
    """Return what `make` gives; what a library raises becomes one line that names the model."""
    try:
        return make()
    except Exception as error:
        if isinstance(error, ValueError) and recipe.mixer:
            raise
        told = error
        while isinstance(told, ImportError) and isinstance(told.__cause__, Exception):
            told = told.__cause__  # names what is missing
        arguments = list_arguments(recipe.model_args)
        raise ValueError(f"{describe(recipe)} with {arguments}: {format_error(told)}") from error


def list_arguments(arguments: Mapping[str, Any]) -> str:
    """Write arguments as they arrive."""
    return ", ".join(f"{name}={value!r}" for name, value in arguments.items()) or "no arguments"


def _size_without_memory(recipe: Recipe, make: Callable[[], nn.Module]) -> int:
    """Count the parameters where tensors take no memory; 0 if the user's code cannot do that."""
    with torch.random.fork_rng(devices=[]), torch.device("meta"):
        try:
            return count_parameters(make())
        except Exception:
            if recipe.mixer or is_file(recipe.model):
                return 0  # it may look at its weights; what is wrong shows when it takes memory
            raise


def _check_size(recipe: Recipe, parameters: int) -> None:
    """Raise a ValueError for a model that is too large."""
    if parameters > recipe.max_parameters:
        flag = "--mixer-args" if recipe.mixer else "--model-args"
        raise ValueError(
            f"{describe(recipe)} has {parameters:,} parameters, max_parameters is "
            f"{recipe.max_parameters:,}: give smaller sizes by {flag}, or a higher limit where it "
            "is yours"
        )


def describe(recipe: Recipe) -> str:
    """Name the model in words."""
    if recipe.mixer:
        return f"recipe {recipe.name!r}: mixer {recipe.mixer}"
    return f"recipe {recipe.name!r}: model {recipe.model!r}"
