"""A recipe and a seed -> a folder with the trained model, its curve and its TrialRecord."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import get_cosine_schedule_with_warmup

from scripts.core.trial_store import TrialRecord
from scripts.training import checkpoints, logs, outcome
from scripts.training.distributed import Accelerator, agree, make_accelerator
from scripts.training.loop import Progress, Trainee, check_loss, fit
from scripts.training.model_factory import build_model, check_model, code_of
from scripts.training.recipes import Recipe
from scripts.training.validation import measure_shared
from vsc_dataset import TrainingStream, sample


@dataclass(frozen=True)
class Settings:
    """What a trial does that leaves its bits as they are.

    Attributes:
      report_to: trackers that hear of every point.
      deadline: time.time() at which it stops with a checkpoint; None for never.
      checkpoint_seconds: the longest time between two checkpoints.
      place: the line of its progress bar.
      trust_remote_code: run the code that a checkpoint to train on brings.
      push: is given the model's folder behind each validation on the way; None for nothing.
    """

    report_to: tuple[str, ...] = ()
    deadline: float | None = None
    checkpoint_seconds: float = 60.0
    place: int = 0
    push: Callable[[Path], None] | None = None
    trust_remote_code: bool = False


class Paused(Exception):  # noqa: N818  it is no error
    """The deadline came first; the message says how far the trial is."""


def run_trial(
    recipe: Recipe, seed: int, folder: Path, label: str, settings: Settings | None = None
) -> TrialRecord:
    """Train one model, from scratch or from the newest checkpoint in `folder`, and measure it.

    Args:
      recipe: what is trained and how.
      seed: of initialisation and training stream; the questions of evaluation never move.
      folder: receives log.jsonl and checkpoints on the way, then the model and curve.json.
      label: stands before the progress bar.
      settings: what does not touch the bits.
    Returns:
      What trials.jsonl keeps; the same in every process.
    Raises:
      ValueError: the processes cannot share a batch, or the loss is no number any more.
      OSError: the folder cannot be written.
      Paused: the deadline came first.
    """
    settings = settings or Settings()
    accelerator = make_accelerator(
        mixed_precision=recipe.mixed_precision,
        log_with=list(settings.report_to) or None,
        project_dir=str(folder),
    )
    torch.manual_seed(seed)
    trainee = make_trainee(recipe, accelerator, settings.trust_remote_code)
    code = code_of(recipe)
    identity = {"recipe": recipe.to_json(), "seed": seed} | ({"code": code} if code else {})
    found = checkpoints.load_newest(folder, accelerator, identity)
    progress, points = found or (Progress(), [])
    logs.start_trackers(accelerator, recipe, seed)
    bar = logs.progress_bar(
        recipe, progress, label, settings.place, shown=accelerator.is_main_process
    )
    if accelerator.is_main_process:
        logs.keep_until(folder, progress.step)
    saving = _Saving(folder, identity, settings)
    with bar:
        for entry in _train(recipe, seed, trainee, accelerator, progress, points):
            if accelerator.is_main_process:
                logs.append_line(folder, entry)
            accelerator.log(entry, step=progress.step)
            bar.update(progress.step * recipe.batch_size - bar.n)
            bar.set_postfix_str(logs.status(progress, points), refresh=False)
            validated = progress.step in recipe.validation_steps
            saving.look(accelerator, progress, points, validated)
            if validated and settings.push is not None and accelerator.is_main_process:
                outcome.leave_model(folder, accelerator.unwrap_model(trainee.model), points)
                settings.push(folder / "model")
    logs.end_trackers(accelerator)
    # Measured as the checkpoint will be asked: without mixed precision.
    model = accelerator.unwrap_model(
        trainee.model, keep_fp32_wrapper=False, keep_torch_compile=False
    ).eval()
    record = outcome.make_record(model, recipe, seed, accelerator, progress, points)
    if accelerator.is_main_process:
        outcome.leave_model(folder, model, points)
    accelerator.wait_for_everyone()
    return record


def _train(
    recipe: Recipe,
    seed: int,
    trainee: Trainee,
    accelerator: Accelerator,
    progress: Progress,
    points: list[dict[str, Any]],
) -> Iterator[dict[str, Any]]:
    """Train to the end, validate on the way: a line of the log at each of `fit`'s stops.

    `points` receives those with a validation.
    """
    stream = TrainingStream(
        recipe.config,
        recipe.batch_size,
        seed=seed,
        start=progress.step * recipe.batch_size,
        rank=accelerator.process_index,
        world_size=accelerator.num_processes,
    )
    questions = sample(recipe.config, "validation", range(recipe.questions_on_the_way))
    if stops_early(recipe, points):
        return
    for _ in fit(trainee, stream, recipe, accelerator, progress):
        entry: dict[str, Any] = {
            "step": progress.step,
            "samples": progress.step * recipe.batch_size,
            "seconds": round(progress.seconds, 3),
            "train_loss": progress.train_loss,
            "learning_rate": trainee.scheduler.get_last_lr()[0],
        }
        if progress.step in recipe.validation_steps:
            started = time.perf_counter()
            model = accelerator.unwrap_model(trainee.model)
            found = measure_shared(model, questions, recipe.loss, accelerator)
            check_loss(found.loss, progress, recipe)
            entry["val_loss"] = found.loss
            for name in ("sample_error_pct", "mask_error_pct"):
                entry[name] = found.rates[name]
            progress.validation_seconds += time.perf_counter() - started
            points.append({k: v for k, v in entry.items() if k not in ("step", "learning_rate")})
        yield entry
        if stops_early(recipe, points):
            return


def stops_early(recipe: Recipe, points: Sequence[Mapping[str, Any]]) -> bool:
    """Whether the newest validations are all as good as the recipe asks."""
    if recipe.early_stop_pct is None or len(points) < recipe.early_stop_validations:
        return False
    newest = points[-recipe.early_stop_validations :]
    return all(point["sample_error_pct"] <= recipe.early_stop_pct for point in newest)


@dataclass
class _Saving:
    """When checkpoints are written, and that a trial stops in time."""

    folder: Path
    identity: Mapping[str, Any]
    settings: Settings

    def __post_init__(self) -> None:
        self.saved = self.looked = time.time()

    def look(
        self,
        accelerator: Accelerator,
        progress: Progress,
        points: list[dict[str, Any]],
        validated: bool,
    ) -> None:
        """Save where it is time, and raise Paused where the next look would come too late."""
        now = time.time()
        late = self.settings.deadline is not None and (
            now + (now - self.looked) > self.settings.deadline
        )
        due = now - self.saved >= self.settings.checkpoint_seconds
        due, late = agree(accelerator, (due, late))
        self.looked = now
        if validated or due or late:
            checkpoints.save(self.folder, accelerator, progress, points, self.identity)
            self.saved = time.time()
        if late:
            raise Paused(f"{self.folder} paused behind step {progress.step}")


def check(recipe: Recipe, trust_remote_code: bool = False) -> None:
    """Raise a ValueError for a recipe that could not start, before anything is written."""
    for split in ("train", "validation", "test"):
        recipe.config.draw(split)
    accelerator = make_accelerator(mixed_precision=recipe.mixed_precision)
    recipe.check_processes(accelerator.num_processes)
    check_model(recipe, accelerator.device, accelerator.num_processes, trust_remote_code)


def make_trainee(
    recipe: Recipe, accelerator: Accelerator, trust_remote_code: bool = False
) -> Trainee:
    """The recipe's model, initialised from torch's global seed, with what trains it."""
    model = build_model(recipe, trust_remote_code)
    optimizer = torch.optim.AdamW(
        model.parameters(),
        lr=recipe.learning_rate,
        betas=recipe.betas,
        weight_decay=recipe.weight_decay,
        fused=not any(weight.is_complex() for weight in model.parameters()),
    )
    scheduler = get_cosine_schedule_with_warmup(optimizer, recipe.warmup_steps, recipe.num_steps)
    # The scheduler is not prepared: accelerate would step it once for each process.
    accelerator.register_for_checkpointing(scheduler)
    model, optimizer = accelerator.prepare(model, optimizer)
    return Trainee(model, optimizer, scheduler)
