"""A bundle's folder -> the checkpoints in it and on its list, ready to be asked."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForMaskedLM
from transformers.utils.hub import cached_file
from transformers.utils.logging import disable_progress_bar

from vsc_dataset import CONFIGS, TaskConfig
from vsc_models import VscPipeline
from vsc_models.pipeline_vsc import read_format

from .asking import Checkpoint


def sources(folder: Path) -> list[str]:
    """The folders below checkpoints/, then what checkpoints.json lists: hub ids or paths.

    Raises:
      ValueError: the list is no JSON list of texts.
    """
    folders = sorted(path.parent for path in folder.glob("checkpoints/*/config.json"))
    path = folder / "checkpoints.json"
    try:
        listed = json.loads(path.read_text("utf-8")) if path.exists() else []
    except ValueError as error:
        raise ValueError(f"{path.name} is no JSON: {error}") from None
    if not isinstance(listed, list) or not all(isinstance(source, str) for source in listed):
        raise ValueError(f'{path.name} must be a list of hub ids, such as ["org/model"]')
    return [*map(str, folders), *listed]


def load(source: str) -> Checkpoint:
    """The model of a folder or a hub id; what it was trained on, from the run.json beside it.

    No code of the checkpoint is run: the model types are those of vsc_models and transformers. One
    of transformers' own does not know its answer field: that of its training data is taken.

    Raises:
      OSError, ValueError: there is no such checkpoint, or it is of another type.
    """
    disable_progress_bar()  # of loading a model that is loaded in a blink
    config = AutoConfig.from_pretrained(source, trust_remote_code=False)
    masked = type(config) in AutoModelForMaskedLM._model_mapping
    auto_class = AutoModelForMaskedLM if masked else AutoModelForCausalLM
    model = auto_class.from_pretrained(source, trust_remote_code=False, use_safetensors=True)
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
        ask=lambda question: pipeline(question)["answer"],
        trained=(data.nops[0], data.nops[1]) if data else None,
    )


def load_all(
    found: Sequence[str], load_one: Callable[[str], Checkpoint] = load
) -> tuple[list[Checkpoint], list[str]]:
    """All checkpoints that load, and a line for each that does not."""
    checkpoints, faults = [], []
    for source in found:
        try:
            checkpoints.append(load_one(source))
        except Exception as error:  # of whatever library: the page asks the others
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            faults.append(f"{Path(source).name} is not asked, it does not load: {reason}")
    return checkpoints, faults


def trained_on(run: str) -> TaskConfig | None:
    """The configuration that a run.json names; None where it is none of ours.

    >>> trained_on('{"recipe": {"data": "swap-nops1-5"}}').nops
    (1, 5)
    >>> trained_on('{"recipe": {"data": "mine"}}')
    """
    return CONFIGS.get(json.loads(run).get("recipe", {}).get("data"))
