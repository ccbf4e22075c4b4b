"""Gather the files of a trained checkpoint as others load it, without running its code.

Weights are copied, `config.json` is read as JSON, and the code of our model types, the tokenizer
and the pipeline are written by this package.
"""

import json
import tempfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from transformers.dynamic_module_utils import custom_object_save

from scripts.core.io import explain_damage, read_json
from scripts.core.model_loading import MASKED, WEIGHTS, head_name
from scripts.publishing.cards import RUN_HINT
from vsc_dataset.configs import TaskConfig
from vsc_models import VscDeltaConfig, VscPipeline
from vsc_models.configuration_vsc import VOCABULARIES
from vsc_models.import_utils import is_file, split_target
from vsc_models.modeling_mixer import LAYER_FILE
from vsc_models.registration import MODELS

TYPES = {config_class.model_type: config_class for config_class in MODELS}


def read_checkpoint(
    folder: Path, task: TaskConfig
) -> tuple[dict[str, Path | bytes], dict[str, Any]]:
    """Gather a checkpoint's files; nothing that lies in it is imported or unpickled.

    Args:
      folder: with `config.json` and `model.safetensors`.
      task: what it was trained on; its answer field and layout where the config has none.
    Returns:
      The files, and what a card tells: the Auto class that loads it, the bytes of its answer field
      and, without a padding mask, of its rows, its custom layer and the package with its version
      ("" if there is none), and whether there is code in it that this package did not write.
    Raises:
      ValueError: one line: `config.json` cannot be read, the model type has no language-modeling
        head, or the layer's file is missing.
    """
    config = dict(read_json(folder / "config.json", ("model_type",), RUN_HINT))
    with explain_damage(folder / "config.json", RUN_HINT):
        auto_class = head_name(config["model_type"], config.get("auto_map"))
        custom_code = _custom_code(folder, config)
        if config.get("answer_width") is None:
            config |= {"answer_width": task.answer_width, "layout": task.layout}
        padded = int(config.get("row_width") or task.row_width)
        facts = {
            "auto_class": auto_class,
            "answer_width": int(config["answer_width"]),
            "pad_to": None if config.get("mask_padding", True) else padded,
            "layer": str(config.get("mixer") or ""),
            "layer_version": str(config.get("mixer_version") or ""),
            "has_custom_code": bool(custom_code),
        }
    layout = config.get("layout") or task.layout
    written, entries = _package_files(config["model_type"], auto_class, layout)
    content = json.dumps(config | entries, indent=2).encode() + b"\n"
    files: dict[str, Path | bytes] = {WEIGHTS: folder / WEIGHTS, **custom_code, **written}
    files |= {file.name: file for file in folder.glob("generation_config.json")}
    return files | {"config.json": content}, facts


def _custom_code(folder: Path, config: Mapping[str, Any]) -> dict[str, Path]:
    """Find the Python files that only the checkpoint has: a custom layer, or a foreign model's."""
    if config["model_type"] not in TYPES:
        modules = sorted(folder.glob("*.py")) if config.get("auto_map") else []
        return {path.name: path for path in modules}
    mixer = config.get("mixer") or ""
    if not mixer or not is_file(mixer):
        return {}
    if split_target(mixer)[0] != LAYER_FILE or not (folder / LAYER_FILE).is_file():
        raise ValueError(
            f"its layer is {mixer}, and the checkpoint has no {LAYER_FILE}; save_pretrained adds it"
        )
    return {LAYER_FILE: folder / LAYER_FILE}


@cache
def _package_files(
    model_type: str, auto_class: str, layout: str
) -> tuple[dict[str, bytes], dict[str, Any]]:
    """Write tokenizer, pipeline and code of a model type, and what `config.json` says of them.

    They are saved with an untrained model of the default size, so that no checkpoint is loaded.
    """
    config_class = TYPES.get(model_type, VscDeltaConfig)
    layout_fields: dict[str, Any] = {"layout": layout, **VOCABULARIES[layout]}
    pipeline = VscPipeline(MODELS[config_class](config_class(**layout_fields)), device="cpu")
    tokenizer: Any = pipeline.tokenizer
    with tempfile.TemporaryDirectory() as scratch:
        pipeline.save_pretrained(scratch)
        saved = json.loads(Path(scratch, "config.json").read_text("utf-8"))
        names = {path.name for path in Path(scratch).iterdir()} - {WEIGHTS, "config.json"}
        keys = ["auto_map", "custom_pipelines"]
        if model_type not in TYPES:
            names = {Path(path).name for path in tokenizer.save_pretrained(scratch)}
            keys = ["custom_pipelines"] if auto_class == MASKED else []
            if auto_class == MASKED:
                names |= {Path(path).name for path in custom_object_save(pipeline, scratch)}
        files = {name: Path(scratch, name).read_bytes() for name in names}
    return files, {key: saved[key] for key in keys}
