"""What a finished trial leaves: its record, its model, its curve and its answers."""

import json
import platform
import shutil
from collections.abc import Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError
from torch import nn

from scripts.core.trial_store import TrialRecord, samples_to_solved
from scripts.training.recipes import Recipe
from scripts.training.train_state import TrainState, check_loss
from scripts.training.validation import measure_shared
from vsc_dataset import Examples, sample
from vsc_dataset.configs import TaskConfig

if TYPE_CHECKING:
    from scripts.training.distributed import Accelerator

CURVE_FILE = "curve.json"
ANSWERS_FILE = "answers.json"


def finish_trial(
    model: nn.Module,
    recipe: Recipe,
    seed: int,
    folder: Path,
    accelerator: "Accelerator",
    state: TrainState,
) -> TrialRecord:
    """Measure a trained model on all validation and test samples, once, and write what it leaves.

    Args:
      model: as its checkpoint will be evaluated: without mixed precision.
      folder: of the trial; receives model/ with weights, curve and answers.
    Raises:
      ValueError: the validation loss is not finite.
      OSError: the folder cannot be written.
    """
    config, loss = recipe.config, recipe.loss
    validation, test = (
        measure_shared(model, all_samples(config, split), loss, accelerator)
        for split in ("validation", "test")
    )
    # The validation samples of all trained numbers of operations, not of eval_nops alone.
    widened = replace(config, eval_nops=config.nops)
    by_nops = validation
    if widened != config:
        by_nops = measure_shared(model, all_samples(widened, "validation"), loss, accelerator)
    samples = state.step * recipe.batch_size
    check_loss(validation.loss, samples, recipe.learning_rate)
    record = TrialRecord(
        recipe=recipe.name,
        seed=seed,
        parameters=sum(p.numel() for p in model.parameters()),
        samples=samples,
        samples_to_1pct=samples_to_solved(state.points),
        seconds=round(state.seconds, 3),
        samples_per_second=round(samples / state.seconds, 1),
        split="validation",
        questions=config.num_validation,
        sample_error_pct=validation.rates["sample_error_pct"],
        mask_error_pct=validation.rates["mask_error_pct"],
        val_loss=validation.loss,
        test_questions=config.num_test,
        test_sample_error_pct=test.rates["sample_error_pct"],
        test_mask_error_pct=test.rates["mask_error_pct"],
        versions={"python": platform.python_version()}
        | {name: version(name) for name in ("torch", "transformers", "accelerate", "numpy")},
        device=_device(model, accelerator),
        planned_samples=recipe.num_steps * recipe.batch_size,
        validation_seconds=round(state.validation_seconds, 3),
        data=recipe.data,
    )
    if accelerator.is_main_process:
        answers = {"validation": validation.predictions, "by_nops": by_nops.predictions}
        save_model(folder, model, state.points, answers)
    accelerator.wait_for_everyone()
    return record


def all_samples(config: TaskConfig, split: str) -> Examples:
    """Return all samples of a split."""
    return sample(config, split, range(config.num_rows(split)))


def _device(model: nn.Module, accelerator: "Accelerator") -> str:
    """The device in words: a GPU's name, or the CPU with its threads, and how many processes."""
    device = next(model.parameters()).device
    words = f"{device.type}, {torch.get_num_threads()} threads"
    if device.type == "cuda":
        words = torch.cuda.get_device_name(device)
    count = accelerator.num_processes
    return words if count == 1 else f"{words}, {count} processes"


def save_model(
    folder: Path, model: Any, points: Sequence[dict[str, Any]], answers: dict[str, list[str]]
) -> None:
    """Write model, curve and answers, whole or not at all.

    Raises:
      OSError: they cannot be written; what stood there is kept.
    """
    partial = folder / "model.partial"
    shutil.rmtree(partial, ignore_errors=True)
    try:
        model.save_pretrained(partial)
        (partial / CURVE_FILE).write_text(json.dumps(points), "utf-8")
        (partial / ANSWERS_FILE).write_text(json.dumps(answers), "utf-8")
    except (OSError, SafetensorError) as error:
        shutil.rmtree(partial, ignore_errors=True)
        raise OSError(
            f"{folder / 'model'} cannot be written ({error}): make room and resume"
        ) from None
    shutil.rmtree(folder / "model", ignore_errors=True)
    partial.rename(folder / "model")
