"""A model and a stream -> points of a training curve, one after the other."""

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from scripts.core.batches import IGNORED, logits_of, loss_of, model_inputs
from scripts.training.distributed import Accelerator
from scripts.training.recipes import Recipe
from vsc_dataset import Examples, TrainingStream

LOG_EVERY = 20
"""Steps between two looks at the loss: reading it makes a GPU wait."""


@dataclass
class Progress:
    """Where a trial stands; what an interrupted one goes on from."""

    step: int = 0
    seconds: float = 0.0
    validation_seconds: float = 0.0
    train_loss: float = math.nan


class Trainee(NamedTuple):
    """A model and what trains it, prepared by an accelerator."""

    model: Any
    optimizer: Optimizer
    scheduler: LRScheduler


def fit(
    trainee: Trainee,
    stream: TrainingStream,
    recipe: Recipe,
    accelerator: Accelerator,
    progress: Progress,
) -> Iterator[Progress]:
    """Train until the recipe's samples are used up.

    Args:
      trainee: is changed in place.
      stream: this process's batches, standing at `progress.step`.
      recipe: says what a step is.
      accelerator: moves gradients between processes.
      progress: where to begin; it is moved on in place.
    Yields:
      progress, behind each of the recipe's validation_steps and every LOG_EVERY steps; its
      train_loss is the mean since the last yield over all processes. The caller's own time does
      not count.
    Raises:
      ValueError: the loss is no number any more.
    """
    losses: list[Tensor] = []
    stops = recipe.validation_steps
    started = time.perf_counter() - progress.seconds
    while progress.step < recipe.num_steps:
        losses.append(_step(trainee, next(stream), recipe, accelerator))
        progress.step += 1
        if progress.step in stops or progress.step % LOG_EVERY == 0:
            mean = torch.stack(losses).mean()
            if accelerator.num_processes > 1:
                mean = accelerator.reduce(mean, "mean")
            progress.train_loss = mean.item()
            progress.seconds = time.perf_counter() - started
            losses.clear()
            check_loss(progress.train_loss, progress, recipe)
            yield progress
            started = time.perf_counter() - progress.seconds


def _step(trainee: Trainee, batch: Examples, recipe: Recipe, accelerator: Accelerator) -> Tensor:
    """One step of the optimizer on this process's samples of a batch.

    Returns:
      The loss, scaled so that its mean over processes is that over all labels of the batch.
    """
    model, optimizer, scheduler = trainee
    inputs, labels = model_inputs(model, batch, recipe.loss, accelerator.device)
    loss = loss_of(logits_of(model, inputs), labels, recipe.label_smoothing)
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


def check_loss(loss: float, progress: Progress, recipe: Recipe) -> None:
    """Raise a ValueError where a loss, of training or validation, is no number."""
    if not math.isfinite(loss):
        samples = progress.step * recipe.batch_size
        raise ValueError(
            f"the loss is {loss} after {samples} samples: lower "
            f"learning_rate (now {recipe.learning_rate:g}) or set max_grad_norm"
        )
