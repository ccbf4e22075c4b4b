"""What a finished trial leaves: its record, its model, its curve and its answers."""

import json
import platform
from collections.abc import Mapping
from dataclasses import replace
from importlib.metadata import version
from typing import Any

import torch

from scripts.core.inference import Measurement
from scripts.core.trial_store import TrialRecord, samples_to_solved
from scripts.training.checkpoints import replace_folder
from scripts.training.distributed import Accelerator
from scripts.training.train_state import Job, TrainState, check_loss
from scripts.training.validation import measure_shared
from vsc_dataset import Examples, sample
from vsc_dataset.configs import TaskConfig

CURVE_FILE = "curve.json"
ANSWERS_FILE = "answers.json"


def finish_trial(
    model: Any,
    job: Job,
    accelerator: Accelerator,
    state: TrainState,
    final_samples: int | None = None,
) -> TrialRecord:
    """Measure a trained model on validation and test samples, once, and write what it leaves.

    Args:
      model: as its checkpoint will be evaluated: without mixed precision.
      job: the trial; its folder receives model/ with weights, curve and answers.
      final_samples: of each split; None for all.
    Raises:
      ValueError: the validation loss is not finite.
      OSError: the folder cannot be written.
    """
    config, loss = job.recipe.config, job.recipe.loss

    def measured(config: TaskConfig, split: str, label: str) -> Measurement:
        samples = first_samples(config, split, final_samples)
        return measure_shared(model, samples, loss, accelerator, f"final evaluation, {label}")

    splits = ("validation", "test", "test_programs")
    parts = {one: measured(config, one, one) for one in splits if one in config.splits}
    # The validation samples of all trained numbers of operations, not of eval_nops alone.
    widened = replace(config, eval_nops=config.nops)
    parts["by_nops"] = parts["validation"]
    if widened != config:
        parts["by_nops"] = measured(widened, "validation", "by operations")
    trained = state.step * job.recipe.batch_size
    check_loss(parts["validation"].loss, trained, job.recipe.learning_rate)
    record = _make_record(model, job, accelerator, state, parts)
    if accelerator.is_main_process:
        answers: dict[str, Any] = {name: one.predictions for name, one in parts.items()}
        if accelerator.num_processes == 1:
            answers["seconds"] = parts["validation"].seconds
        with replace_folder(job.folder / "model") as written:
            model.save_pretrained(written)
            (written / CURVE_FILE).write_text(json.dumps(state.points), "utf-8")
            (written / ANSWERS_FILE).write_text(json.dumps(answers), "utf-8")
    accelerator.wait_for_everyone()
    return record


def _make_record(
    model: Any,
    job: Job,
    accelerator: Accelerator,
    state: TrainState,
    parts: Mapping[str, Measurement],
) -> TrialRecord:
    """Make the record of a trial whose model was measured on these splits."""
    recipe, validation, test = job.recipe, parts["validation"], parts["test"]
    samples = state.step * recipe.batch_size
    return TrialRecord(
        recipe=recipe.name,
        seed=job.seed,
        parameters=sum(p.numel() for p in model.parameters()),
        samples=samples,
        samples_to_1pct=samples_to_solved(state.points),
        seconds=round(state.seconds, 3),
        samples_per_second=round(samples / state.seconds, 1),
        split="validation",
        questions=len(validation.questions),
        sample_error_pct=validation.rates["sample_error_pct"],
        mask_error_pct=validation.rates["mask_error_pct"],
        val_loss=validation.loss,
        test_questions=len(test.questions),
        test_sample_error_pct=test.rates["sample_error_pct"],
        test_mask_error_pct=test.rates["mask_error_pct"],
        versions={"python": platform.python_version()}
        | {name: version(name) for name in ("torch", "transformers", "accelerate", "numpy")},
        device=_device(accelerator),
        planned_samples=recipe.num_steps * recipe.batch_size,
        validation_seconds=round(state.validation_seconds, 3),
        data=recipe.data_label,
        scratchpad_error_pct=validation.rates.get("scratchpad_error_pct"),
        **_programs(parts.get("test_programs")),
    )


def _programs(measured: Measurement | None) -> dict[str, Any]:
    """Return what the record keeps of held-out programs."""
    if measured is None:
        return {}
    errors = ("sample_error_pct", "mask_error_pct")
    rates = {f"programs_{name}": measured.rates[name] for name in errors}
    return {"programs_questions": len(measured.questions), **rates}


def first_samples(config: TaskConfig, split: str, count: int | None = None) -> Examples:
    """Return the first samples of a split; all of them without a count."""
    rows = config.num_rows(split)
    return sample(config, split, range(min(rows, count or rows)))


def _device(accelerator: Accelerator) -> str:
    """Name the GPU, or the CPU with its threads, and how many processes there are."""
    device = accelerator.device
    words = f"{device.type}, {torch.get_num_threads()} threads"
    if device.type == "cuda":
        words = torch.cuda.get_device_name(device)
    count = accelerator.num_processes
    return words if count == 1 else f"{words}, {count} processes"
