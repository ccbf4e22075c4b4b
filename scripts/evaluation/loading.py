"""A checkpoint's folder or hub id -> the model, ready to be asked."""

from pathlib import Path

from torch import nn
from transformers import AutoModelForMaskedLM

import vsc_models  # noqa: F401  registers our model types


def load_model(name: str | Path) -> nn.Module:
    """The checkpoint's model, in evaluation mode."""
    model: nn.Module = AutoModelForMaskedLM.from_pretrained(name).eval()
    return model
