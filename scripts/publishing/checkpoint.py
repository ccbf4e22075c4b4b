"""The files of a trained checkpoint as others load it, gathered without running its code.

Weights are copied, `config.json` is read as JSON, and the code of our model types, the tokenizer
and the pipeline are written by this package.
"""

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from transformers.dynamic_module_utils import custom_object_save
from transformers.models.auto.modeling_auto import (
    MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
    MODEL_FOR_MASKED_LM_MAPPING_NAMES,
)
from transformers.utils.logging import disable_progress_bar

from scripts.publishing.reading import read_object
from vsc_dataset.configs import TaskConfig
from vsc_models import VscDeltaConfig, VscPipeline
from vsc_models.import_utils import is_file, split
from vsc_models.modeling_mixer import LAYER_FILE
from vsc_models.registration import MODELS

WEIGHTS = "model.safetensors"
MASKED = "AutoModelForMaskedLM"


class Checkpoint(NamedTuple):
    """A checkpoint as it is published.

    Attributes:
      files: content by name.
      auto_class: of transformers, that loads it.
      answer_width: bytes of its answer field.
      pad_to: bytes of its rows, for a model without a padding mask.
      layer: "FILE.py:CLASS" or "package.module:CLASS" of a custom layer, else "".
      layer_version: "PACKAGE VERSION" of a layer from a package, else "".
      has_own_code: there are Python files in it that this package did not write.
    """

    files: dict[str, Path | bytes]
    auto_class: str
    answer_width: int
    pad_to: int | None
    layer: str = ""
    layer_version: str = ""
    has_own_code: bool = False


def read_checkpoint(folder: Path, task: TaskConfig) -> Checkpoint:
    """Gather a checkpoint's files; nothing that lies in it is imported or unpickled.

    Args:
      folder: with `config.json` and `model.safetensors`.
      task: what it was trained on; its answer field and layout where the config has none.
    Raises:
      ValueError: one line: `config.json` cannot be read, the model type has no language-modelling
        head, or the layer's file is missing.
    """
    disable_progress_bar()
    config = read_object(
        folder / "config.json", ("model_type",), "give a run as train.py leaves it"
    )
    auto_class = _auto_class(config, folder)
    weights = (folder / WEIGHTS, folder / "generation_config.json")
    files = {path.name: path for path in weights if path.exists()}
    own_code = _own_code(folder, config)
    if config.get("answer_width") is None:
        config |= {"answer_width": task.answer_width, "layout": task.layout}
    written, entries = _package_files(config["model_type"], auto_class == MASKED)
    content = json.dumps(config | entries, indent=2).encode() + b"\n"
    return Checkpoint(
        files={**files, **own_code, **written, "config.json": content},
        auto_class=auto_class,
        answer_width=config["answer_width"],
        pad_to=None
        if config.get("mask_padding", True)
        else config.get("row_width") or task.row_width,
        layer=config.get("mixer") or "",
        layer_version=config.get("mixer_version") or "",
        has_own_code=bool(own_code),
    )


def _is_ours(model_type: str) -> bool:
    return any(config_class.model_type == model_type for config_class in MODELS)


def _auto_class(config: Mapping[str, Any], folder: Path) -> str:
    """The Auto class that loads the model: masked if there is one, else causal."""
    model_type, auto_map = config["model_type"], config.get("auto_map") or {}
    if _is_ours(model_type) or model_type in MODEL_FOR_MASKED_LM_MAPPING_NAMES:
        return MASKED
    if MASKED in auto_map:
        return MASKED
    causal = "AutoModelForCausalLM"
    if model_type in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES or causal in auto_map:
        return causal
    raise ValueError(
        f"{folder / 'config.json'}: model type {model_type!r} has no masked or causal "
        "language-modelling head: give a run as train.py leaves it"
    )


def _own_code(folder: Path, config: Mapping[str, Any]) -> dict[str, Path]:
    """The Python files that only the checkpoint has: a custom layer, or a foreign model's."""
    mixer = config.get("mixer", "")
    if not _is_ours(config["model_type"]):
        return (
            {path.name: path for path in sorted(folder.glob("*.py"))} if _has_code(config) else {}
        )
    if not mixer or not is_file(mixer):
        return {}
    if split(mixer)[0] != LAYER_FILE or not (folder / LAYER_FILE).is_file():
        raise ValueError(
            f"{folder}: its layer is {mixer}, and the checkpoint has no {LAYER_FILE}: "
            "save it again with save_pretrained"
        )
    return {LAYER_FILE: folder / LAYER_FILE}


def _has_code(config: Mapping[str, Any]) -> bool:
    return bool(config.get("auto_map"))


def _package_files(model_type: str, masked: bool) -> tuple[dict[str, bytes], dict[str, Any]]:
    """Tokenizer, pipeline and code of a model type, and what `config.json` says of them.

    They are saved with an untrained model of the default size, so that no checkpoint is loaded.
    """
    config_class = next((c for c in MODELS if c.model_type == model_type), VscDeltaConfig)
    ask = VscPipeline(MODELS[config_class](config_class()), device="cpu")
    with tempfile.TemporaryDirectory() as scratch:
        ask.save_pretrained(scratch)
        saved = json.loads(Path(scratch, "config.json").read_text("utf-8"))
        names = {path.name for path in Path(scratch).iterdir()} - {WEIGHTS, "config.json"}
        keys = ("auto_map", "custom_pipelines")
        if config_class.model_type != model_type:
            tokenizer: Any = ask.tokenizer
            names = {Path(path).name for path in tokenizer.save_pretrained(scratch)}
            keys = ("custom_pipelines",) if masked else ()  # type: ignore[assignment]
            if masked:
                names |= {path.name for path in map(Path, custom_object_save(ask, scratch))}
        files = {name: Path(scratch, name).read_bytes() for name in names}
    return files, {key: saved[key] for key in keys}
