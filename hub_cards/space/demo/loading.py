"""Find and load checkpoints, without running any code of theirs."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForMaskedLM
from transformers.utils.hub import cached_file
from transformers.utils.logging import disable_progress_bar

from vsc_dataset.configs import TaskConfig, make_config
from vsc_models import VscMixerConfig, VscPipeline
from vsc_models.import_utils import is_file, split_target
from vsc_models.pipeline_vsc import read_format

from .questions import Checkpoint

LIBRARIES = ("torch", "transformers", "fla")
"""Where the layer of a model may come from; any other module or file would be code to trust."""

BATCH = 16
"""Rows that are evaluated at once: a longer question has more steps than one call."""

NEWEST = 3
"""Runs that are loaded where none is named."""


def listed(folder: Path) -> list[str]:
    """What a Space's checkpoints.json lists: ids on the hub, or folders.

    Raises:
      ValueError: the list is not a JSON list of texts.
    """
    path = folder / "checkpoints.json"
    try:
        sources = json.loads(path.read_text("utf-8")) if path.exists() else []
    except ValueError as error:
        raise ValueError(f"{path.name} is not JSON: {error}") from None
    if not isinstance(sources, list) or not all(isinstance(source, str) for source in sources):
        raise ValueError(f'{path.name} must be a list of hub ids, such as ["org/model"]')
    return sources


def finished_runs(folder: Path) -> list[str]:
    """The runs below a folder, the one that finished last first."""
    weights = folder.glob("*/model.safetensors")
    newest = sorted(weights, key=lambda path: path.stat().st_mtime_ns, reverse=True)
    return [str(path.parent) for path in newest]


def load(source: str) -> Checkpoint:
    """Load a folder or a hub id; what it was trained on stands in the run.json next to it.

    No code of the checkpoint is run: the model types are those of vsc_models and transformers. One
    of transformers' own does not know its answer field: that of its training data is taken.

    Raises:
      OSError, ValueError: there is no such checkpoint, or it is of another type.
    """
    disable_progress_bar()  # of loading a small model
    config = AutoConfig.from_pretrained(source, trust_remote_code=False)
    _check_layer(config)
    masked = type(config) in AutoModelForMaskedLM._model_mapping
    auto_class = AutoModelForMaskedLM if masked else AutoModelForCausalLM
    # "eager", because a config may name attention kernels that are fetched from a hub and run.
    model = auto_class.from_pretrained(
        source, trust_remote_code=False, use_safetensors=True, attn_implementation="eager"
    )
    run = cached_file(source, "run.json", _raise_exceptions_for_missing_entries=False)
    data = trained_on(Path(run).read_text("utf-8")) if run else None
    trained = read_format(config)
    if data and trained.answer_width is None:  # older checkpoints do not say how they are trained
        model.config.answer_width, model.config.layout = data.answer_width, data.layout
    if data and trained.row_width is None and not getattr(config, "mask_padding", True):
        model.config.row_width = data.row_width
    if hasattr(config, "use_cache"):
        model.config.use_cache = False  # there is one forward call: some types fail with a cache
    pipeline = VscPipeline(model, device="cpu")
    return Checkpoint(
        name=Path(source).name,
        answer=lambda question: pipeline(question)["answer"],
        answer_all=lambda questions: [
            result["answer"] for result in pipeline(questions, batch_size=BATCH)
        ],
        longest_row=getattr(config, "max_position_embeddings", None),
        trained=(data.nops[0], data.nops[1]) if data else None,
    )


def _check_layer(config: Any) -> None:
    """Raise a ValueError for a layer whose import would run code that came with a checkpoint."""
    if not isinstance(config, VscMixerConfig):
        return
    package = split_target(config.mixer)[0].partition(".")[0]
    if is_file(config.mixer) or package not in LIBRARIES:
        raise ValueError(
            f"its custom layer {config.mixer} would be run, and this page runs no code of a "
            f"checkpoint: only layers from {', '.join(LIBRARIES)} are loaded"
        )


def load_all(
    sources: Sequence[str], load_one: Callable[[str], Checkpoint] = load, enough: int | None = None
) -> tuple[list[Checkpoint], list[str]]:
    """Load checkpoints, up to `enough` of them; a line for each that does not load."""
    checkpoints: list[Checkpoint] = []
    faults: list[str] = []
    for source in sources:
        if enough is not None and len(checkpoints) == enough:
            break
        try:
            checkpoints.append(load_one(source))
        except Exception as error:  # of whatever library: the page compares the others
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            faults.append(f"{Path(source).name} is left out, it does not load: {reason}")
    return checkpoints, faults


def load_newest(runs: Sequence[str]) -> tuple[list[Checkpoint], list[str]]:
    """Load the first runs that can be loaded."""
    return load_all(runs, enough=NEWEST)


def trained_on(run: str) -> TaskConfig | None:
    """The configuration that a run.json names, with the fields that it changes; else None.

    >>> trained_on('{"recipe": {"data": "swap-nops1-5"}}').nops
    (1, 5)
    >>> trained_on('{"recipe": {"data": "mine"}}')
    """
    recipe = json.loads(run).get("recipe", {})
    try:
        return make_config(recipe.get("data"), **recipe.get("data_args", {}))
    except ValueError:
        return None
