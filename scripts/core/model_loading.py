"""A checkpoint's folder or hub id, or a file that makes a model -> the model, ready to be asked."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MethodType
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_model as load_weights
from safetensors.torch import save_model as save_weights
from torch import nn
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForMaskedLM, PreTrainedConfig

import vsc_models  # noqa: F401  registers our model types
from scripts.core.io import replace_file
from vsc_models.layer_source import call, find, find_source, split

MADE_BY = "made_by.json"
CODE = "made_by.py"
WEIGHTS = "model.safetensors"


def load_model(
    name: str | Path,
    trust_remote_code: bool = False,
    check_size: Callable[[int], None] | None = None,
) -> nn.Module:
    """The checkpoint's model, in evaluation mode.

    Args:
      name: a folder or hub id that AutoModelForMaskedLM or AutoModelForCausalLM loads, or the
        folder of a model that FILE.py:FUNCTION made.
      trust_remote_code: run the code that the checkpoint brings.
      check_size: is told the parameters before they take memory, where no code of a user's own
        makes them, and may raise.
    Raises:
      ValueError: one line: it brings code and is not trusted, or has no language-modelling head.
      OSError: transformers' own: there is no checkpoint of that name.
    """
    if (Path(name) / MADE_BY).exists():
        return _load_file_model(Path(name), trust_remote_code)
    config = AutoConfig.from_pretrained(name, trust_remote_code=trust_remote_code)
    auto_class = head_of(config)
    if check_size is not None and getattr(config, "mixer", None) is None:
        with torch.random.fork_rng(devices=[]), torch.device("meta"):
            empty = auto_class.from_config(config, trust_remote_code=trust_remote_code)
        check_size(sum(p.numel() for p in empty.parameters()))
    model: nn.Module = auto_class.from_pretrained(name, trust_remote_code=trust_remote_code)
    return model.eval()


def head_of(config: PreTrainedConfig) -> Any:
    """The Auto class that gives a logit for every byte: masked if there is one, else causal.

    Raises:
      ValueError: this type has neither.
    """
    for auto_class in (AutoModelForMaskedLM, AutoModelForCausalLM):
        if type(config) in auto_class._model_mapping or auto_class.__name__ in (
            getattr(config, "auto_map", None) or {}
        ):
            return auto_class
    raise ValueError(
        f"model type {config.model_type!r} has no masked or causal language-modelling head"
    )


def make_file_model(place: str, arguments: Mapping[str, Any]) -> nn.Module:
    """What FILE.py:FUNCTION returns; its `save_pretrained` keeps file, arguments and weights.

    Args:
      place: of a function, seen from the working directory.
      arguments: what it is called with.
    Raises:
      ValueError: one line: there is no such function, it raises, or gives no torch.nn.Module.
    """
    function, code = find(place), find_source(place)
    model = call(place, function, arguments)
    if not isinstance(model, nn.Module):
        raise ValueError(f"{place} gives a {type(model).__name__}, no torch.nn.Module")

    def save_pretrained(self: nn.Module, folder: str | Path) -> None:
        target = Path(folder)
        target.mkdir(parents=True, exist_ok=True)
        with replace_file(target / WEIGHTS) as tmp_path:
            save_weights(self, str(tmp_path))
        with replace_file(target / CODE) as tmp_path:
            tmp_path.write_bytes(code or b"")
        made_by = {"made_by": f"{CODE}:{split(place)[1]}", "arguments": dict(arguments)}
        with replace_file(target / MADE_BY) as tmp_path:
            tmp_path.write_text(json.dumps(made_by, indent=2) + "\n", "utf-8")

    model.save_pretrained = MethodType(save_pretrained, model)  # type: ignore[assignment]
    return model


def _load_file_model(folder: Path, trust_remote_code: bool) -> nn.Module:
    """The model that `make_file_model` saved."""
    if not trust_remote_code:
        raise ValueError(
            f"{folder} brings the code of its model, {CODE}: read it, then load with "
            "trust_remote_code=True"
        )
    try:
        made_by = json.loads((folder / MADE_BY).read_text("utf-8"))
        place, arguments = f"{folder}/{made_by['made_by']}", dict(made_by["arguments"])
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{folder / MADE_BY} does not say how the model is made ({error!r}): copy it again"
        ) from None
    model = make_file_model(place, arguments)
    try:
        load_weights(model, str(folder / WEIGHTS))
    except (RuntimeError, SafetensorError) as error:
        words = " ".join(str(error).split())
        raise ValueError(f"{folder / WEIGHTS} does not fit its model: {words}") from None
    return model.eval()
