"""Shared: checkpoints of the demo, made on the spot."""

import torch

import vsc_models


def untrained(folder, seed=0, **settings):
    """A small model in `folder` that knows nothing, and a pipeline for it."""
    torch.manual_seed(seed)
    config = vsc_models.VscDeltaConfig(**{"answer_width": 5, "hidden_size": 8, **settings})
    model = vsc_models.VscDeltaForMaskedLM(config).eval()
    model.save_pretrained(folder)
    return vsc_models.VscPipeline(model, device="cpu")
