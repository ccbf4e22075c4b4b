"""Load a checkpoint, or make a model from a file: ready to be evaluated, in its own format."""

import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import MethodType
from typing import Any, NamedTuple

import torch
from huggingface_hub import hf_hub_download
from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError, StrictDataclassError
from safetensors import SafetensorError
from safetensors.torch import load_model as load_weights
from safetensors.torch import save_model as save_weights
from torch import nn
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForMaskedLM, PreTrainedConfig
from transformers.models.auto.modeling_auto import (
    MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
    MODEL_FOR_MASKED_LM_MAPPING_NAMES,
)
from transformers.utils.logging import disable_progress_bar

from scripts.core.evaluation_format import format_of, longest_row, masks_padding, write_format
from scripts.core.io import (
    FAULTS,
    RUN_FILE,
    check_shape,
    explain_damage,
    read_json,
    replace_file,
    write_lines,
)
from vsc_dataset.configs import TaskConfig, make_config
from vsc_models.import_utils import call, find, find_source, split_target
from vsc_models.pipeline_vsc import EvaluationFormat
from vsc_models.registration import MODELS

disable_progress_bar()  # loading and saving such small models takes no time

MADE_BY = "made_by.json"
CODE = "made_by.py"
WEIGHTS = "model.safetensors"
MASKED, CAUSAL = "AutoModelForMaskedLM", "AutoModelForCausalLM"


class LoadedModel(NamedTuple):
    """A model that is evaluated: its folder or hub id, the model, in evaluation mode.

    `trained_on` is the name of a configuration, None if unknown, `data_args` are fields of it that
    the run changed.
    """

    name: str
    model: nn.Module
    trained_on: str | None = None
    data_args: Mapping[str, Any] = {}

    @property
    def trained_config(self) -> TaskConfig | None:
        """The configuration that it was trained on, None if unknown."""
        return make_config(self.trained_on, **self.data_args) if self.trained_on else None


def open_model(
    name: str, device: torch.device | None = None, trust_remote_code: bool = False
) -> LoadedModel:
    """Load a checkpoint as `load_model`, and what it was trained on; a device None is the CPU."""
    model = load_model(name, trust_remote_code)
    return LoadedModel(name, model.to(device) if device else model, *_trained_on(name))


def load_model(
    name: str | Path,
    trust_remote_code: bool = False,
    check_size: Callable[[int], None] | None = None,
) -> nn.Module:
    """Load a checkpoint's model, in evaluation mode.

    It is one that an Auto class for masked or causal language models loads, or that
    FILE.py:FUNCTION made. `check_size` is told the parameters before they take memory, where no
    code of a user's own makes them, and may raise.

    Raises:
      ValueError: one line that names the checkpoint: there is none, it cannot be read, it brings
        code and is not trusted, or it has no language-modeling head.
    """
    name, path = str(name), Path(name)
    inside_a_folder = "/" in name and Path(path.parts[0]).is_dir()  # runs/…: not on the hub
    if path.exists() or inside_a_folder or name.startswith((".", "/", "~")) or name.count("/") > 1:
        _check_folder(path)
    try:
        if (path / MADE_BY).exists():
            return _load_file_model(path, trust_remote_code)
        return _load_checkpoint(name, trust_remote_code, check_size)
    except SafetensorError as error:
        raise ValueError(
            f"{name}: the weights cannot be read ({error}): the file is damaged, copy or train it "
            "again"
        ) from None
    except (OSError, *FAULTS, RuntimeError, ImportError, StrictDataclassError) as error:
        words = " ".join(str(error).split())[:400]
        words = words.replace(
            "trust_remote_code=True",
            "trust_remote_code=True (a command's flag is --trust-remote-code)",
        )
        raise ValueError(words if name in words else f"{name}: {words}") from None


def load_trained(folder: str | Path) -> nn.Module:
    """Load a model that a run of this clone has saved, with the code that the run wrote itself."""
    return load_model(folder, trust_remote_code=True)


def count_parameters(model: nn.Module) -> int:
    """Count the parameters of a model, shared ones once."""
    return sum(parameter.numel() for parameter in model.parameters())


def _load_checkpoint(
    name: str, trust_remote_code: bool, check_size: Callable[[int], None] | None
) -> nn.Module:
    """Load what one of the two Auto classes loads."""
    config = AutoConfig.from_pretrained(name, trust_remote_code=trust_remote_code)
    auto_class = head_of(config)
    if check_size is not None and getattr(config, "mixer", None) is None:
        with torch.random.fork_rng(devices=[]), torch.device("meta"):
            empty = auto_class.from_config(config, trust_remote_code=trust_remote_code)
        check_size(count_parameters(empty))
    model, info = auto_class.from_pretrained(
        name, trust_remote_code=trust_remote_code, use_safetensors=True, output_loading_info=True
    )
    if lacking := sorted(info["missing_keys"]):
        others = f" and {len(lacking) - 1} others" if lacking[1:] else ""
        raise ValueError(
            f"{name} lacks the tensor {lacking[0]}{others}, which would be drawn at random: give a "
            "whole checkpoint, with its language-modeling head"
        )
    loaded: nn.Module = model.eval()
    return loaded


def head_of(config: PreTrainedConfig) -> Any:
    """Find the Auto class of a model, see `head_name`."""
    name = head_name(config.model_type, getattr(config, "auto_map", None))
    return AutoModelForMaskedLM if name == MASKED else AutoModelForCausalLM


def head_name(model_type: str, auto_map: Mapping[str, Any] | None) -> str:
    """Name the Auto class that gives logits over tokens: masked if there is one, else causal."""
    ours = (config_class.model_type for config_class in MODELS)
    types = {
        MASKED: {*MODEL_FOR_MASKED_LM_MAPPING_NAMES, *ours},
        CAUSAL: {*MODEL_FOR_CAUSAL_LM_MAPPING_NAMES},
    }
    for name, model_types in types.items():
        if model_type in model_types or name in (auto_map or {}):
            return name
    raise ValueError(f"model type {model_type!r} has no masked or causal language-modeling head")


def make_file_model(target: str, arguments: Mapping[str, Any]) -> nn.Module:
    """Call FILE.py:FUNCTION; the model's `save_pretrained` keeps file, arguments and weights."""
    function, code = find(target), find_source(target)
    assert code is not None, "a target in a file has a source"
    model = call(target, function, arguments)
    if not isinstance(model, nn.Module):
        raise ValueError(f"{target} returns {type(model).__name__}, not a torch.nn.Module")

    def save_pretrained(self: nn.Module, folder: str | Path) -> None:
        path = Path(folder)
        path.mkdir(parents=True, exist_ok=True)
        made_by = {
            "made_by": f"{CODE}:{split_target(target)[1]}",
            "arguments": dict(arguments),
            "evaluation_format": format_of(self)._asdict(),
        }
        with replace_file(path / WEIGHTS) as tmp_path:
            save_weights(self, str(tmp_path))
        with replace_file(path / CODE) as tmp_path:
            tmp_path.write_bytes(code)
        write_lines(path / MADE_BY, [json.dumps(made_by, indent=2)])

    model.save_pretrained = MethodType(save_pretrained, model)  # type: ignore[assignment]
    return model


def _load_file_model(folder: Path, trust_remote_code: bool) -> nn.Module:
    """Load the model that `make_file_model` saved."""
    if not trust_remote_code:
        raise ValueError(
            f"{folder} brings the code of its model, {CODE}: read it, then load with "
            "trust_remote_code=True"
        )
    made_by = read_json(folder / MADE_BY, ("made_by", "arguments"), "copy it again")
    check_shape(made_by, {"made_by": str, "arguments": dict}, MADE_BY)
    model = make_file_model(f"{folder}/{made_by['made_by']}", made_by["arguments"])
    write_format(model, EvaluationFormat(**made_by.get("evaluation_format", {})))
    try:
        load_weights(model, str(folder / WEIGHTS))
    except RuntimeError as error:
        words = " ".join(str(error).split())
        raise ValueError(f"{folder / WEIGHTS} does not fit its model: {words}") from None
    return model.eval()


def _check_folder(path: Path) -> None:
    """Raise a ValueError where no checkpoint lies in a folder; it names one nearby."""
    if not path.is_dir():
        what = "is a file" if path.exists() else "does not exist"
        raise ValueError(f"{path} {what}: give the folder of a checkpoint or a hub id, owner/name")
    if not any((path / name).exists() for name in ("config.json", MADE_BY)):
        nearby = (*path.glob("seed-*/model"), *path.glob("checkpoint-*"))
        near = next(iter(nearby), "one that save_pretrained or train.py wrote")
        raise ValueError(f"{path} holds no config.json, so it is not a checkpoint: give {near}")


def _trained_on(name: str) -> tuple[str | None, Mapping[str, Any]]:
    """Read the data and its changes from the run.json of a run, a trial's run, or a hub id."""
    path = Path(name).resolve()
    near = [path / RUN_FILE, path.parent.parent / RUN_FILE] if path.exists() else []
    run_file = next((file for file in near if file.is_file()), None)
    if not path.exists():
        # A model of somebody else's has none; no network and none in the cache is the same.
        with suppress(EntryNotFoundError, HfHubHTTPError):
            run_file = Path(hf_hub_download(name, RUN_FILE))
    if run_file is None:
        return None, {}
    with explain_damage(run_file, "delete it"):
        recipe = read_json(run_file)["recipe"]
        data, data_args = recipe["data"], recipe.get("data_args", {})
        make_config(data, **data_args)
    return data, data_args


def adapt_config_to_model(loaded: LoadedModel, config: TaskConfig, config_name: str) -> TaskConfig:
    """Give a configuration the answer field and the layout that the model was trained on.

    The checkpoint says so, or else the data of its run; any other model takes those of `config`.
    """
    layout, width, *_ = format_of(loaded.model)
    if width is None and (trained := loaded.trained_config):
        width, layout = trained.answer_width, trained.layout
    if width is None:
        return config
    if width < config.length[1]:
        raise ValueError(
            f"{loaded.name} writes answers of {width} letters at most, {config_name} has some of "
            f"{config.length[1]}: use data of at most {width} letters"
        )
    return replace(config, answer_width=width, layout=layout or config.layout)


def row_width(loaded: LoadedModel, config: TaskConfig) -> int:
    """Return the width of the rows that a model is evaluated in.

    As small as the questions allow; a model without a padding mask needs that of its training.
    """
    limit, width = longest_row(loaded.model), config.row_width
    needed = width
    if format_of(loaded.model).objective == "scratchpad":
        if config.may_lack_operations:
            raise ValueError(
                f"{loaded.name} writes the state after each operation, but this task has samples "
                "of none: use another task"
            )
        needed = config.padded_width(None, scratchpad=True)
    if limit is not None and needed > limit:
        raise ValueError(
            f"{loaded.name} reads rows of at most {limit}, those of this task have {needed}: use a "
            "shorter task"
        )
    if masks_padding(loaded.model):
        return width
    trained_width = format_of(loaded.model).row_width
    if trained_width is None and (trained := loaded.trained_config):
        trained_width = adapt_config_to_model(loaded, trained, str(loaded.trained_on)).row_width
    if trained_width is None:
        raise ValueError(
            f"{loaded.name} has no padding mask (mask_padding=False), and neither its config nor "
            f"a {RUN_FILE} says how wide the rows of its training were: give the run's folder"
        )
    return max(width, trained_width)
