"""A trained model -> its TrialRecord, and its folder."""

import json
import platform
import shutil
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import nn

from scripts.core.trial_store import TrialRecord, samples_to_solved
from scripts.training.distributed import Accelerator
from scripts.training.loop import Progress, check_loss
from scripts.training.recipes import Recipe
from scripts.training.validation import measure_shared
from vsc_dataset import sample


def make_record(
    model: nn.Module,
    recipe: Recipe,
    seed: int,
    accelerator: Accelerator,
    progress: Progress,
    points: Sequence[Mapping[str, Any]],
) -> TrialRecord:
    """The figures of a finished trial: all validation questions, and the test, once.

    Raises:
      ValueError: the validation loss is no number.
    """
    config = recipe.config
    validation, test = (
        measure_shared(
            model, sample(config, split, range(config.num_rows(split))), recipe.loss, accelerator
        )
        for split in ("validation", "test")
    )
    check_loss(validation.loss, progress, recipe)
    samples = progress.step * recipe.batch_size
    return TrialRecord(
        recipe=recipe.name,
        seed=seed,
        parameters=sum(p.numel() for p in model.parameters()),
        samples=samples,
        samples_to_1pct=samples_to_solved(points),
        seconds=round(progress.seconds, 3),
        samples_per_second=round(samples / progress.seconds, 1),
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
        validation_seconds=round(progress.validation_seconds, 3),
        data=recipe.data,
    )


def _device(model: nn.Module, accelerator: Accelerator) -> str:
    """The device in words: a GPU's name, or the CPU with its threads, and how many processes."""
    device = next(model.parameters()).device
    words = f"{device.type}, {torch.get_num_threads()} threads"
    if device.type == "cuda":
        words = torch.cuda.get_device_name(device)
    count = accelerator.num_processes
    return words if count == 1 else f"{words}, {count} processes"


def leave_model(folder: Path, model: Any, points: Sequence[Mapping[str, Any]]) -> None:
    """Write model and curve, whole or not at all.

    Raises:
      OSError: they cannot be written; what stood there is kept.
    """
    partial = folder / "model.partial"
    shutil.rmtree(partial, ignore_errors=True)
    try:
        model.save_pretrained(partial)
        (partial / "curve.json").write_text(json.dumps(points), "utf-8")
    except (OSError, SafetensorError) as error:
        shutil.rmtree(partial, ignore_errors=True)
        raise OSError(
            f"{folder / 'model'} cannot be written ({error}): make room and resume"
        ) from None
    shutil.rmtree(folder / "model", ignore_errors=True)
    partial.rename(folder / "model")
