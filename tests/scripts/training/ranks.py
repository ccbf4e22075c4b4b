"""What each of several processes makes of the same samples: a JSON file for each."""

import json
from pathlib import Path
from unittest.mock import patch

import numpy as np
import torch

from scripts.core.batches import model_inputs
from scripts.training import loop
from scripts.training.distributed import make_accelerator
from scripts.training.model_factory import build_model
from scripts.training.recipes import Recipe
from scripts.training.train_state import Job
from scripts.training.trial_log import LOG_FILE
from scripts.training.validation import measure_shared
from vsc_dataset import sample

RECIPE = Recipe(
    name="x",
    data="default",  # rows of many lengths: the processes count different numbers of bytes
    model="vsc_delta",
    model_args={"hidden_size": 16},
    num_samples=24 * 20,
    batch_size=24,
    num_validations=2,
    learning_rate=1e-3,
    loss="all",
    max_grad_norm=1.0,
)


def trained(accelerator, scratch: Path) -> dict:
    """The samples that this process learned from, the losses, and the weights afterwards."""
    seen: list[str] = []
    found: dict = {}

    def spy(model, batch, *others):
        seen.extend(batch.questions())
        return model_inputs(model, batch, *others)

    def keep(model, *_):
        found["weights"] = [weight.flatten().tolist() for weight in model.parameters()]

    with (
        patch.object(loop, "model_inputs", spy),
        patch.object(loop, "finish_trial", keep),
    ):
        loop.run_trial(Job(RECIPE, 0, scratch), accelerator)
        lines = (scratch / LOG_FILE).read_text().splitlines()
    losses = [json.loads(line)["train_loss"] for line in lines]
    return {"seen": seen, "losses": losses, **found}


def measured(accelerator) -> dict:
    """Evaluate an untrained model on 1,001 samples."""
    torch.manual_seed(1)
    model = build_model(RECIPE).eval()
    questions = sample(RECIPE.config, "validation", np.arange(1_001))
    found = measure_shared(model, questions, "answer", accelerator)
    return {"rates": found.rates, "loss": found.loss, "predictions": found.predictions}


def main(folder: Path) -> None:
    """Write what this process made."""
    accelerator = make_accelerator()
    result = {
        "processes": accelerator.num_processes,
        "trained": trained(accelerator, folder / f"trial-of-{accelerator.num_processes}"),
        "measured": measured(accelerator),
    }
    name = f"{accelerator.num_processes}-{accelerator.process_index}.json"
    (folder / name).write_text(json.dumps(result))
