"""A checkpoint's name -> the model that is asked, what it was trained on, and in which terms."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import torch
from huggingface_hub import hf_hub_download
from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError, StrictDataclassError
from safetensors import SafetensorError
from torch import nn

from scripts.core.model_loading import MADE_BY, load_model
from vsc_dataset.configs import TaskConfig, make_config

RUN_FILE = "run.json"
"""What a run leaves beside its checkpoint: the recipe, and in it the data's name."""


class Candidate(NamedTuple):
    """A model that is asked.

    Attributes:
      name: the folder or hub id as it was given.
      model: in evaluation mode, on its device.
      trained_on: the name of a configuration, None if unknown.
    """

    name: str
    model: nn.Module
    trained_on: str | None = None


def open_candidate(
    name: str, device: torch.device | None = None, trust_remote_code: bool = False
) -> Candidate:
    """Load a checkpoint.

    Args:
      name: a run's folder, the folder of a checkpoint, or a hub id.
      device: where the model goes; None leaves it on the CPU.
      trust_remote_code: as `load_model`.
    Raises:
      ValueError: one line: there is none of that name, or it cannot be read.
    """
    model = load_plainly(name, trust_remote_code)
    trained_on = _trained_on(name)
    return Candidate(name, model.to(device) if device else model, trained_on)


def load_plainly(
    name: str, trust_remote_code: bool = False, check_size: Callable[[int], None] | None = None
) -> nn.Module:
    """`load_model`, whatever is wrong as a ValueError of one line that names the checkpoint."""
    path = Path(name)
    inside_a_folder = "/" in name and Path(path.parts[0]).is_dir()  # runs/…: not on the hub
    if path.exists() or inside_a_folder or name.startswith((".", "/", "~")) or name.count("/") > 1:
        _check_folder(path)
    try:
        return load_model(name, trust_remote_code, check_size)
    except SafetensorError as error:
        raise ValueError(
            f"{name}: the weights cannot be read ({error}): the file is damaged, copy or train it "
            "again"
        ) from None
    except StrictDataclassError as error:  # is no ValueError, and its first line names no value
        raise ValueError(f"{name}: {' '.join(str(error).split())}") from None
    except (OSError, ValueError, RuntimeError, ImportError) as error:
        words = str(error).strip().split("\n")[0]
        raise ValueError(words if name in words else f"{name}: {words}") from None


def _check_folder(path: Path) -> None:
    """Raise a ValueError where no checkpoint lies in a folder; it names one that lies near."""
    if not path.is_dir():
        what = "is a file" if path.exists() else "does not exist"
        raise ValueError(f"{path} {what}: give the folder of a checkpoint or a hub id, owner/name")
    if not any((path / name).exists() for name in ("config.json", MADE_BY)):
        inside = sorted(path.glob("seed-*/model/config.json"))
        near = inside[0].parent if inside else "one that save_pretrained or train.py wrote"
        raise ValueError(f"{path} holds no config.json, so it is no checkpoint: give {near}")


def _trained_on(name: str) -> str | None:
    """The data in the run.json of a run's folder, of the run around a trial, or of a hub id.

    Raises:
      ValueError: it names a configuration that does not exist here.
    """
    path = Path(name).resolve()
    places = [path / RUN_FILE]
    if path.name == "model" and path.parent.name.startswith("seed-"):
        places.append(path.parents[1] / RUN_FILE)
    found = next((place for place in places if place.is_file()), None)
    if found is None and not path.exists():
        try:
            found = Path(hf_hub_download(name, RUN_FILE))
        except (EntryNotFoundError, HfHubHTTPError):
            return None  # a model of somebody else's, or no network and none in the cache
    if found is None:
        return None
    try:
        data: str = json.loads(found.read_text("utf-8"))["recipe"]["data"]
        make_config(data)
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{found} does not say what was trained on ({error})") from None
    return data


def find_device(name: str | None) -> torch.device:
    """The device of this name; None takes a GPU where there is one.

    Raises:
      ValueError: there is no such device here.
    """
    if name is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        words = str(error).split("\n")[0]
        raise ValueError(f"--device {name!r} cannot be used ({words}): leave it out") from None
    return device


def device_name(model: nn.Module) -> str:
    """The device of a model in words."""
    device = next(model.parameters()).device
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{device.type}, {torch.get_num_threads()} threads"


def in_own_terms(candidate: Candidate, config: TaskConfig, called: str) -> TaskConfig:
    """A configuration with the answer field and the layout that the model was trained on.

    They stand in the config of our models, or follow from the data of a run. Any other model is
    asked as the configuration says.

    Args:
      candidate: who is asked.
      config: what is asked.
      called: the name of `config`, for messages.
    Raises:
      ValueError: the answer field is too small for these answers, or a row too long for the model.
    """
    own = getattr(candidate.model, "config", None)
    width: int | None = getattr(own, "answer_width", None)
    layout: str = getattr(own, "layout", config.layout)
    if width is None and candidate.trained_on:
        trained = make_config(candidate.trained_on)
        width, layout = trained.answer_width, trained.layout
    if width is None:
        return config
    if width < config.length[1]:
        raise ValueError(
            f"{candidate.name} writes answers of {width} letters at most, {called} has some of "
            f"{config.length[1]}: use data of at most {width} letters"
        )
    return replace(config, answer_width=width, layout=layout)


def row_width(candidate: Candidate, config: TaskConfig) -> int:
    """The bytes of the rows that a model is asked in.

    As short as the questions allow; a model that sees its padding has those of its training.

    Raises:
      ValueError: it sees its padding, and it is unknown what it was trained on.
    """
    if getattr(getattr(candidate.model, "config", None), "mask_padding", True):
        return config.row_width
    name = candidate.trained_on
    if name is None:
        raise ValueError(
            f"{candidate.name} sees its padding (mask_padding=False), and no {RUN_FILE} beside it "
            "says how wide the rows of its training were: give the run's folder"
        )
    return max(config.row_width, in_own_terms(candidate, make_config(name), name).row_width)


def longest_row(model: nn.Module) -> int | None:
    """The bytes of the longest row that the model can read, None where there is no limit.

    A table of learned positions has an end; transformers' models call it
    max_position_embeddings, but so do those that compute positions and can go on.
    """
    limit = getattr(getattr(model, "config", None), "max_position_embeddings", None)
    if not isinstance(limit, int):
        return None
    # Some tables begin with up to two rows that stand for padding.
    sizes = (limit, limit + 1, limit + 2)
    words = getattr(model, "get_input_embeddings", lambda: None)()
    tables = (m for m in model.modules() if isinstance(m, nn.Embedding) and m is not words)
    return limit if any(table.num_embeddings in sizes for table in tables) else None
