"""Shared: checkpoints of the demo, made on the spot."""

import vsc_models
from tests.vsc_models.models import model_of


def untrained(folder, seed=0, **settings):
    """A small model in `folder` that knows nothing, and a pipeline for it."""
    model = model_of("delta", seed, answer_width=5, **{"hidden_size": 8, **settings})
    model.save_pretrained(folder)
    return vsc_models.VscPipeline(model, device="cpu")
