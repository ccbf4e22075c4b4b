"""What several processes make of the same questions -> a JSON file for each of them.

Started by test_processes.py in each process: python -m tests.scripts.training.ranks FOLDER
"""

import json
import sys
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import numpy as np
import torch

from scripts.core.batches import model_inputs
from scripts.training import trials
from scripts.training.distributed import make_accelerator
from scripts.training.loop import Progress
from scripts.training.recipes import Recipe
from scripts.training.validation import measure_shared
from vsc_dataset import sample

RECIPE = Recipe(
    name="x",
    data="default",  # rows of many lengths: the processes count different numbers of bytes
    model="vsc_delta",
    model_args={"hidden_size": 16},
    num_samples=24 * 60,
    batch_size=24,
    num_validations=1,
    learning_rate=1e-3,
    loss="all",
    max_grad_norm=1.0,
)


def trained(recipe: Recipe, accelerator) -> dict:
    """The questions that this process learned from, the losses, and the weights afterwards."""
    torch.manual_seed(0)
    trainee = trials.make_trainee(recipe, accelerator)
    seen: list[str] = []

    def spy(model, batch, *others):
        seen.extend(batch.questions())
        return model_inputs(model, batch, *others)

    with patch("scripts.training.loop.model_inputs", spy):
        entries = [*trials._train(recipe, 0, trainee, accelerator, Progress(), [])]
    weights = accelerator.unwrap_model(trainee.model).parameters()
    return {
        "seen": seen,
        "losses": [entry["train_loss"] for entry in entries],
        "weights": [weight.flatten().tolist() for weight in weights],
    }


def measured(accelerator) -> dict:
    """10,001 questions, asked of a model that has learned nothing."""
    torch.manual_seed(1)
    model = trials.build_model(RECIPE).eval()
    questions = sample(RECIPE.config, "validation", np.arange(10_001))
    found = measure_shared(model, questions, "answer", accelerator)
    return {"rates": found.rates, "loss": found.loss, "predictions": found.predictions}


if __name__ == "__main__":
    accelerator = make_accelerator()
    result = {
        "processes": accelerator.num_processes,
        "plain": trained(RECIPE, accelerator),
        "pieces": trained(replace(RECIPE, gradient_accumulation_steps=4), accelerator),
        "measured": measured(accelerator),
    }
    path = Path(sys.argv[1], f"{accelerator.num_processes}-{accelerator.process_index}.json")
    path.write_text(json.dumps(result))
