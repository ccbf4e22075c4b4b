"""Note in a model how it is trained: how its rows are written, how long they may be."""

from typing import Any

from torch import nn
from torch.nn.parallel import DataParallel, DistributedDataParallel
from transformers import PreTrainedConfig

from vsc_dataset.configs import TaskConfig
from vsc_models.pipeline_vsc import EvaluationFormat, read_format


def set_format(model: nn.Module, config: TaskConfig, objective: str = "fill") -> None:
    """Note in a model how it is trained: how rows are written, what it predicts, for its config."""
    width = None if masks_padding(model) else config.row_width
    form = config.layout, config.answer_width, width, longest_row(model), objective
    write_format(model, EvaluationFormat(*form))


def write_format(model: Any, trained: EvaluationFormat) -> None:
    """Write the format into a PreTrainedModel's config, or else as an attribute."""
    config = getattr(model, "config", None)
    if not isinstance(config, PreTrainedConfig):
        model.evaluation_format = trained
        return
    for name, value in trained._asdict().items():
        if value is not None or hasattr(config, name):
            setattr(config, name, value)


def format_of(model: nn.Module) -> EvaluationFormat:
    """Return how a model's rows are written, as far as the model says."""
    inner = unwrap(model)
    trained: EvaluationFormat | None = getattr(inner, "evaluation_format", None)
    return trained or read_format(getattr(inner, "config", None))


def unwrap(model: nn.Module) -> Any:
    """Return the model itself: torch.compile and DistributedDataParallel hide its attributes."""
    while True:
        if isinstance(model, DistributedDataParallel | DataParallel):
            model = model.module
        elif (compiled := model._modules.get("_orig_mod")) is not None:
            model = compiled
        else:
            return model


def masks_padding(model: nn.Module) -> bool:
    """Return whether a model's rows may be padded: all models, but for ours that say otherwise."""
    return bool(getattr(getattr(model, "config", None), "mask_padding", True))


def longest_row(model: nn.Module) -> int | None:
    """Return the tokens of the longest row that the model can read, None without a limit.

    A table of learned positions has an end; transformers' models call it
    max_position_embeddings, but so do those that compute positions and can go on.
    """
    if (longest := format_of(model).longest_row) is not None:
        return longest
    limit = getattr(getattr(model, "config", None), "max_position_embeddings", None)
    if not isinstance(limit, int):
        return None
    # Some tables begin with up to two rows that stand for padding.
    sizes = (limit, limit + 1, limit + 2)
    words = getattr(model, "get_input_embeddings", lambda: None)()
    tables = (m for m in model.modules() if isinstance(m, nn.Embedding) and m is not words)
    return limit if any(table.num_embeddings in sizes for table in tables) else None
