"""Train one model, read from top to bottom: `run_trial` is the loop, what it calls stands below."""

import time
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler
from transformers import get_cosine_schedule_with_warmup

from scripts.core.batches import logits_of, loss_of, model_inputs
from scripts.core.trial_store import TrialRecord
from scripts.training.checkpoints import CheckpointFolder
from scripts.training.distributed import Accelerator, gather
from scripts.training.model_checks import check_model
from scripts.training.model_factory import build_model, code_of
from scripts.training.optimizer import make_optimizer
from scripts.training.recipes import Recipe
from scripts.training.signals import STOP
from scripts.training.train_state import (
    DEFAULTS,
    Job,
    Paused,
    RunOptions,
    TrainState,
    check_loss,
)
from scripts.training.trial_log import TrialLog
from scripts.training.trial_result import finish_trial
from scripts.training.validation import measure_shared
from vsc_dataset import Samples, TrainingStream, sample
from vsc_dataset.metrics.vsc_error.error_rates import ERRORS
from vsc_dataset.vocabulary import IGNORED

CURVE = (*ERRORS, "scratchpad_error_pct")
LOG_EVERY = 20
"""Steps between two lines of the log: reading the loss makes a GPU wait."""


def check_recipe(
    recipe: Recipe, seed: int, accelerator: Accelerator, trust_remote_code: bool = False
) -> nn.Module:
    """Check that a recipe can be trained, before anything is written; a ValueError says why not.

    Returns:
      Its model, as the trial of this seed begins with it.
    """
    for _, config in recipe.stages:
        config.sample_spec("train")
    for split in ("validation", "test"):
        recipe.config.sample_spec(split)
    processes = accelerator.num_processes
    if recipe.batch_size % processes:
        raise ValueError(
            f"batch_size {recipe.batch_size} cannot be shared evenly by {processes} processes: "
            f"use a multiple of {processes}"
        )
    if recipe.warmup_steps > recipe.num_steps:
        accelerator.print(
            f"--warmup-steps {recipe.warmup_steps} is beyond the run's {recipe.num_steps} steps: "
            "the learning rate never reaches its highest value"
        )
    (low, high), (least, most) = recipe.config.nops, recipe.config.eval_nops
    if not low <= least <= most <= high:
        accelerator.print(
            f"evaluated on {least} to {most} operations, trained on {low} to {high}: --data-args "
            f"eval_nops={low},{high} would change that"
        )
    torch.manual_seed(seed)
    device, report = accelerator.device, accelerator.print
    return check_model(recipe, device, processes, trust_remote_code, report)


def run_trial(job: Job, accelerator: Accelerator, options: RunOptions = DEFAULTS) -> TrialRecord:
    """Train one model, from scratch or from the newest checkpoint in its folder, and measure it.

    A ValueError says that the loss is not finite any more, an OSError that the folder cannot be
    written, Paused that the deadline or a signal came first.
    """
    recipe, seed, folder, _ = job
    model, optimizer = make_model(recipe, seed, accelerator, options)
    inner, code = accelerator.unwrap_model(model), code_of(recipe)
    identity = {"recipe": recipe.to_json(), "seed": seed} | ({"code": code} if code else {})
    checkpoints = CheckpointFolder(folder, identity, inner, optimizer, accelerator)
    state = checkpoints.load_newest() or TrainState()
    scheduler = make_scheduler(recipe, optimizer, state.step)
    stream = make_stream(recipe, seed, accelerator, state.step)
    count, dense = recipe.validation_samples, recipe.loss == "targets"
    validation = sample(recipe.config, "validation", range(count), targets=dense)
    losses = [torch.tensor(loss, device=accelerator.device) for loss in state.losses]
    saver = CheckpointSaver(checkpoints, options)
    with TrialLog(job, state, accelerator, options) as log, STOP.training():
        started = time.perf_counter() - state.seconds
        while state.step < recipe.num_steps and not stops_early(recipe, state.points):
            batch = next(stream)
            losses.append(train_step(model, batch, recipe, accelerator, optimizer, scheduler))
            state.step += 1
            validates = state.step in recipe.validation_steps
            logs = validates or state.step % LOG_EVERY == 0
            if not logs and not saver.stops_now():
                continue
            state.seconds = time.perf_counter() - started
            if logs:
                state.train_loss = accelerator.reduce(torch.stack(losses).mean(), "mean").item()
                losses.clear()
                check_loss(state.train_loss, state, recipe)
                if validates:
                    validate(inner, validation, recipe, accelerator, state)
                log.write(state, float(scheduler.get_last_lr()[0]), validates)
            saver.maybe_save(state, losses, validates)
            started = time.perf_counter() - state.seconds
    trained = accelerator.unwrap_model(model, keep_fp32_wrapper=False, keep_torch_compile=False)
    return finish_trial(trained.eval(), job, accelerator, state, options.final_samples)


def make_model(
    recipe: Recipe, seed: int, accelerator: Accelerator, options: RunOptions = DEFAULTS
) -> tuple[nn.Module, Optimizer]:
    """Build the recipe's model from a seed, and AdamW for it, prepared for all processes."""
    torch.manual_seed(seed)
    model = build_model(recipe, options.trust_remote_code)
    optimizer = make_optimizer(model, recipe)
    accelerator.free_memory()  # of the trial before
    # accelerate's wrapper of the optimizer serves float16 and accumulation alone.
    model, _ = accelerator.prepare(model, optimizer)
    return model, optimizer


def make_stream(
    recipe: Recipe, seed: int, accelerator: Accelerator, step: int
) -> Iterator[Samples]:
    """Give this process's batches from a step on, of each stage of the curriculum in turn."""
    ends = [begin for begin, _ in recipe.stages[1:]] + [recipe.num_steps]
    for (begin, config), end in zip(recipe.stages, ends, strict=True):
        begin = max(begin, step)
        stream = TrainingStream(
            config,
            recipe.batch_size,
            seed=seed,
            start=begin * recipe.batch_size,
            rank=accelerator.process_index,
            world_size=accelerator.num_processes,
            targets=recipe.loss == "targets",
            scratchpad=recipe.objective == "scratchpad",
        )
        yield from islice(stream, max(end - begin, 0))


def make_scheduler(recipe: Recipe, optimizer: Optimizer, step: int) -> LRScheduler:
    """Make the learning rate's schedule, standing at a step: it has no state of its own."""
    for group in optimizer.param_groups:
        group["initial_lr"] = recipe.learning_rate
    steps = recipe.num_steps
    return get_cosine_schedule_with_warmup(optimizer, recipe.warmup_steps, steps, 0.5, step - 1)


def train_step(
    model: nn.Module,
    batch: Samples,
    recipe: Recipe,
    accelerator: Accelerator,
    optimizer: Optimizer,
    scheduler: LRScheduler,
) -> Tensor:
    """Make one step of the optimizer on this process's samples of a batch, and return its loss.

    It is scaled so that its mean over processes is that over all labels of the batch.
    """
    inputs, labels = model_inputs(model, batch, recipe.loss, accelerator.device)
    logits = logits_of(model, inputs, batch.vocab_size)
    loss = loss_of(logits, labels, recipe.label_smoothing)
    if accelerator.num_processes > 1:
        # Processes hold different numbers of labels where the loss is over all bytes.
        count = (labels != IGNORED).sum().float()
        loss = loss * (count * accelerator.num_processes / accelerator.reduce(count, "sum"))
    accelerator.backward(loss)
    if recipe.max_grad_norm:
        accelerator.clip_grad_norm_(model.parameters(), recipe.max_grad_norm)
    optimizer.step()
    scheduler.step()
    optimizer.zero_grad()
    return loss.detach()


def validate(
    model: nn.Module, samples: Samples, recipe: Recipe, accelerator: Accelerator, state: TrainState
) -> None:
    """Measure the model, and add a point to the curve."""
    started = time.perf_counter()
    measured = measure_shared(model, samples, recipe.loss, accelerator)
    check_loss(measured.loss, state, recipe)
    state.validation_seconds += time.perf_counter() - started
    state.points.append(
        {
            "samples": state.step * recipe.batch_size,
            "seconds": round(state.seconds, 3),
            "train_loss": state.train_loss,
            "val_loss": measured.loss,
            **{name: measured.rates[name] for name in CURVE if name in measured.rates},
        }
    )


def stops_early(recipe: Recipe, points: Sequence[Mapping[str, Any]]) -> bool:
    """Return whether the newest validations are all as good as the recipe wants."""
    if recipe.early_stop_pct is None or len(points) < recipe.early_stop_validations:
        return False
    newest = points[-recipe.early_stop_validations :]
    return all(point["sample_error_pct"] <= recipe.early_stop_pct for point in newest)


class CheckpointSaver:
    """Decides when a checkpoint is written, and that a trial stops in time."""

    def __init__(self, checkpoints: CheckpointFolder, options: RunOptions) -> None:
        self.checkpoints, self.options = checkpoints, options
        self.saved_at = self.checked_at = time.time()

    def stops_now(self) -> bool:
        """Tell whether the trial stops between two lines of the log, as a signal demands.

        Several processes agree at those lines: each agreement is a message between them.
        """
        return self.checkpoints.accelerator.num_processes == 1 and STOP.requested() != 0

    def maybe_save(self, state: TrainState, losses: Sequence[Tensor], validated: bool) -> None:
        """Save after a validation, where it is time, and before the trial stops.

        Paused is raised at a signal, and where the next line would come after the deadline.
        """
        now, deadline = time.time(), self.options.deadline
        late = deadline is not None and now + (now - self.checked_at) > deadline
        due = validated or now - self.saved_at >= self.options.checkpoint_seconds
        answers = gather((due, late, STOP.requested()))
        due, late, _ = answers[0]
        STOP.number = max(number for _, _, number in answers)
        self.checked_at = now
        if due or late or STOP.number:
            state.losses = [loss.item() for loss in losses]
            self.checkpoints.save(state)
            self.saved_at = time.time()
        if late or STOP.number:
            raise Paused(f"{self.checkpoints.folder} paused after step {state.step}")
