"""A trained checkpoint -> a folder that strangers load: weights, tokenizer, pipeline and code."""

from pathlib import Path
from typing import NamedTuple

from transformers import AutoConfig
from transformers.utils.logging import disable_progress_bar

from scripts.core.model_loading import head_of
from vsc_dataset.configs import TaskConfig
from vsc_models import VscPipeline
from vsc_models.pipeline_vsc import read_format
from vsc_models.tokenization_vsc import make_tokenizer

OWN_LAYER = "mixer_layer.py"
"""A layer of the user's own, which runs here as it ran in training."""


class Exported(NamedTuple):
    """What the card tells of a checkpoint; `pad_to` of one that sees its padding."""

    parameters: int
    answer_width: int | None
    auto_class: str
    pad_to: int | None


def export(checkpoint: Path, folder: Path, task: TaskConfig) -> Exported:
    """Save a checkpoint again with all that it needs elsewhere.

    A masked model comes with the pipeline. A causal one of transformers is loaded by its Auto
    class, which no saved pipeline finds.
    """
    disable_progress_bar()
    trust = {"trust_remote_code": (checkpoint / OWN_LAYER).exists()}
    auto_class = head_of(AutoConfig.from_pretrained(checkpoint, **trust))
    model = auto_class.from_pretrained(checkpoint, use_safetensors=True, **trust)
    if read_format(model.config).answer_width is None:  # an older one of another architecture
        model.config.answer_width, model.config.layout = task.answer_width, task.layout
    if auto_class.__name__ == "AutoModelForMaskedLM":
        VscPipeline(model, device="cpu").save_pretrained(folder)
    else:
        model.save_pretrained(folder)
        make_tokenizer().save_pretrained(folder)
    width = read_format(model.config).answer_width
    pad_to = None
    if not getattr(model.config, "mask_padding", True):
        pad_to = read_format(model.config).row_width or task.row_width
    return Exported(model.num_parameters(), width, auto_class.__name__, pad_to)
