"""What a finished trial leaves: its record, its model, its curve and its answers."""

import json
import platform
from collections.abc import Mapping
from dataclasses import replace
from importlib.metadata import version
from typing import Any

from scripts.core.devices import device_name
from scripts.core.inference import Measurement
from scripts.core.model_loading import count_parameters
from scripts.core.trial_store import TrialRecord
from scripts.core.trial_summary import samples_to_solved
from scripts.training.checkpoints import replace_folder
from scripts.training.distributed import Accelerator
from scripts.training.train_state import Job, TrainState, check_loss
from scripts.training.validation import measure_shared
from vsc_dataset import Samples, sample
from vsc_dataset.configs import TaskConfig
from vsc_dataset.metrics.vsc_error.error_rates import ERRORS
from vsc_models.tokenization_vsc import make_tokenizer

CURVE_FILE = "curve.json"
ANSWERS_FILE = "answers.json"


def finish_trial(
    model: Any,
    job: Job,
    accelerator: Accelerator,
    state: TrainState,
    final_samples: int | None = None,
) -> TrialRecord:
    """Measure a trained model, in evaluation mode and without mixed precision, and write it.

    The job's folder receives model/ with weights, curve and answers. Of each split the first
    `final_samples` are evaluated, once; None for all.

    Raises:
      ValueError: the validation loss is not finite.
      OSError: the folder cannot be written.
    """
    recipe, measured = job.recipe, dict[str, Measurement]()
    for name, (config, split) in final_parts(recipe.config).items():
        if name == "by_nops" and config == recipe.config:
            measured[name] = measured["validation"]
            continue
        # With dense targets from the generator: from texts they take longer than the model does.
        samples = first_samples(config, split, final_samples, targets=recipe.loss == "targets")
        label = f"final evaluation, {name}"
        measured[name] = measure_shared(model, samples, recipe.loss, accelerator, label)
    check_loss(measured["validation"].loss, state, recipe)
    record = _make_record(model, job, accelerator, state, measured)
    if accelerator.is_main_process:
        answers: dict[str, Any] = {name: one.predictions for name, one in measured.items()}
        if accelerator.num_processes == 1:
            answers["seconds"] = measured["validation"].seconds
        with replace_folder(job.folder / "model") as written:
            model.save_pretrained(written)
            make_tokenizer(recipe.config.layout).save_pretrained(written)
            (written / CURVE_FILE).write_text(json.dumps(state.points), "utf-8")
            (written / ANSWERS_FILE).write_text(json.dumps(answers), "utf-8")
    accelerator.wait_for_everyone()
    return record


def final_parts(config: TaskConfig) -> dict[str, tuple[TaskConfig, str]]:
    """Name the samples that are evaluated at the end, each a split of a configuration.

    `by_nops` are validation samples of all trained numbers of operations, not of eval_nops alone.
    """
    splits = ("validation", "test", "test_programs")
    parts = {split: (config, split) for split in splits if split in config.splits}
    return {**parts, "by_nops": (replace(config, eval_nops=config.nops), "validation")}


def first_samples(
    config: TaskConfig, split: str, count: int | None = None, targets: bool = False
) -> Samples:
    """Return the first samples of a split; all of them without a count."""
    rows = config.num_rows(split)
    return sample(config, split, range(min(rows, count or rows)), targets=targets)


def _make_record(
    model: Any,
    job: Job,
    accelerator: Accelerator,
    state: TrainState,
    measured: Mapping[str, Measurement],
) -> TrialRecord:
    """Make the record of a trial whose model was measured on the `final_parts`."""
    recipe, validation = job.recipe, measured["validation"]
    samples, processes = state.step * recipe.batch_size, accelerator.num_processes
    errors = dict[str, Any]()
    for prefix, split in (("", "validation"), ("test_", "test"), ("programs_", "test_programs")):
        if split in measured:
            errors[f"{prefix}questions"] = len(measured[split].questions)
            for name in ERRORS:
                errors[f"{prefix}{name}"] = measured[split].rates[name]
    return TrialRecord(
        recipe=recipe.name,
        seed=job.seed,
        parameters=count_parameters(model),
        samples=samples,
        samples_to_1pct=samples_to_solved(state.points),
        seconds=round(state.seconds, 3),
        samples_per_second=round(samples / state.seconds, 1),
        split="validation",
        val_loss=validation.loss,
        versions={"python": platform.python_version()}
        | {name: version(name) for name in ("torch", "transformers", "accelerate", "numpy")},
        device=device_name(model) + (f", {processes} processes" if processes > 1 else ""),
        planned_samples=recipe.num_steps * recipe.batch_size,
        validation_seconds=round(state.validation_seconds, 3),
        data=recipe.data_label,
        scratchpad_error_pct=validation.rates.get("scratchpad_error_pct"),
        **errors,
    )
