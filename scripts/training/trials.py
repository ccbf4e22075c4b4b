"""A recipe and a seed -> a folder with the trained model, its curve and its TrialRecord."""

import json
import platform
import shutil
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from huggingface_hub.errors import StrictDataclassError
from torch import nn
from tqdm import tqdm
from transformers import AutoConfig, AutoModelForMaskedLM, get_cosine_schedule_with_warmup

import vsc_models  # noqa: F401  registers our model types
from scripts.evaluation.measurements import measure
from scripts.reporting.records import SOLVED_PCT, TrialRecord
from scripts.training import checkpoints
from scripts.training.loop import Progress, Trainee, fit
from scripts.training.processes import Accelerator, make_accelerator
from scripts.training.recipes import Recipe
from vsc_dataset import Examples, TrainingStream, sample

WAY_QUESTIONS = 1_000
"""Validation questions on the way; at the end it is all that the configuration has."""


def run_trial(recipe: Recipe, seed: int, folder: Path, label: str) -> TrialRecord:
    """Train one model, from scratch or from the newest checkpoint in `folder`, and measure it.

    Args:
      recipe: what is trained and how.
      seed: of initialisation and training stream; the questions of evaluation never move.
      folder: receives checkpoints on the way, then the model and curve.json.
      label: stands before the progress bar.
    Returns:
      What trials.jsonl keeps; the same in every process.
    Raises:
      ValueError: the processes cannot share a batch, or the loss is no number any more.
    """
    accelerator = make_accelerator()
    torch.manual_seed(seed)
    trainee = make_trainee(recipe, accelerator)
    progress, points = checkpoints.load_newest(folder, accelerator) or (Progress(), [])
    stream = TrainingStream(
        recipe.config,
        recipe.batch_size,
        seed=seed,
        start=progress.step * recipe.batch_size,
        rank=accelerator.process_index,
        world_size=accelerator.num_processes,
    )
    questions = sample(recipe.config, "validation", range(WAY_QUESTIONS))
    bar = _bar(recipe, progress, label, shown=accelerator.is_main_process)
    for _ in fit(trainee, stream, recipe, accelerator, progress):
        bar.update(progress.step * recipe.batch_size - bar.n)
        if progress.step in recipe.validation_steps:
            points.append(_validate(trainee.model, questions, recipe, progress))
            checkpoints.save(folder, accelerator, progress, points)
        bar.set_postfix_str(_status(progress, points), refresh=False)
    bar.close()
    model = accelerator.unwrap_model(trainee.model).eval()
    record = _record(model, recipe, seed, progress, points)
    if accelerator.is_main_process:
        _leave(folder, model, points)
    accelerator.wait_for_everyone()
    return record


def check(recipe: Recipe) -> None:
    """Raise a ValueError for a recipe that could not start, before anything is written."""
    for split in ("train", "validation", "test"):
        recipe.config.draw(split)
    TrainingStream(recipe.config, recipe.batch_size, world_size=make_accelerator().num_processes)
    with torch.device("meta"):
        build_model(recipe)


def make_trainee(recipe: Recipe, accelerator: Accelerator) -> Trainee:
    """The recipe's model, initialised from torch's global seed, with what trains it."""
    model = build_model(recipe)
    optimizer = torch.optim.AdamW(
        model.parameters(),
        lr=recipe.learning_rate,
        betas=recipe.betas,
        weight_decay=recipe.weight_decay,
        fused=True,
    )
    scheduler = get_cosine_schedule_with_warmup(optimizer, recipe.warmup_steps, recipe.num_steps)
    # The scheduler is not prepared: accelerate would step it once for each process.
    accelerator.register_for_checkpointing(scheduler)
    model, optimizer = accelerator.prepare(model, optimizer)
    return Trainee(model, optimizer, scheduler)


def build_model(recipe: Recipe) -> nn.Module:
    """The recipe's model; ours also remember how their questions are written.

    Raises:
      ValueError: no such model type, or a setting of it cannot work.
    """
    settings = dict(recipe.model_args)
    if recipe.model.startswith("vsc_"):
        settings |= {"answer_width": recipe.config.answer_width, "layout": recipe.config.layout}
    try:
        config = AutoConfig.for_model(recipe.model, **settings)
    except StrictDataclassError as error:  # is no ValueError
        raise ValueError(f"recipe {recipe.name!r}: {' '.join(str(error).split())}") from None
    model: nn.Module = AutoModelForMaskedLM.from_config(config)
    return model


def _bar(recipe: Recipe, progress: Progress, label: str, shown: bool) -> Any:
    """The progress bar, in questions."""
    return tqdm(
        total=recipe.num_steps * recipe.batch_size,
        initial=progress.step * recipe.batch_size,
        desc=label,
        unit="q",
        unit_scale=True,
        disable=not shown,
    )


def _status(progress: Progress, points: list[dict[str, Any]]) -> str:
    """What stands behind the bar: loss and the newest errors."""
    status = f"loss {progress.train_loss:.4f}"
    if points:
        errors = points[-1]["sample_error_pct"], points[-1]["mask_error_pct"]
        status += ", sample error {:.2f} %, mask error {:.2f} %".format(*errors)
    return status


def _validate(
    model: nn.Module, questions: Examples, recipe: Recipe, progress: Progress
) -> dict[str, Any]:
    """A point of the training curve."""
    found = measure(model, questions, recipe.loss)
    return {
        "samples": progress.step * recipe.batch_size,
        "seconds": round(progress.seconds, 3),
        "train_loss": progress.train_loss,
        "val_loss": found.loss,
        "sample_error_pct": found.rates["sample_error_pct"],
        "mask_error_pct": found.rates["mask_error_pct"],
    }


def _record(
    model: nn.Module, recipe: Recipe, seed: int, progress: Progress, points: list[dict[str, Any]]
) -> TrialRecord:
    """The figures of a finished trial: all validation questions, and the test, once."""
    config = recipe.config
    validation, test = (
        measure(model, sample(config, split, range(config.num_rows(split))), recipe.loss)
        for split in ("validation", "test")
    )
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
        device=_device(model),
    )


def samples_to_solved(points: list[dict[str, Any]]) -> int | None:
    """The samples of the first validation from which on all are solved; None if the last is not.

    >>> samples_to_solved([{"samples": i, "sample_error_pct": e} for i, e in enumerate((9, 0, 2))])
    >>> samples_to_solved([{"samples": i, "sample_error_pct": e} for i, e in enumerate((9, 1, 0))])
    1
    """
    samples = None
    for point in reversed(points):
        if point["sample_error_pct"] > SOLVED_PCT:
            break
        samples = point["samples"]
    return samples


def _device(model: nn.Module) -> str:
    """The device in words: a GPU's name, or the CPU with its threads."""
    device = next(model.parameters()).device
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{device.type}, {torch.get_num_threads()} threads"


def _leave(folder: Path, model: Any, points: list[dict[str, Any]]) -> None:
    """Write model and curve, whole or not at all."""
    partial = folder / "model.partial"
    shutil.rmtree(partial, ignore_errors=True)
    model.save_pretrained(partial)
    (partial / "curve.json").write_text(json.dumps(points), "utf-8")
    shutil.rmtree(folder / "model", ignore_errors=True)
    partial.rename(folder / "model")
