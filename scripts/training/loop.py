"""A model and a stream -> points of a training curve, one after the other."""

import math
import time
from collections.abc import Iterator
from contextlib import nullcontext
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
    """One step of the optimiser on this process's rows of a batch.

    Returns:
      The loss, scaled so that its mean over processes is that over all labels of the batch.
    """
    model, optimizer, scheduler = trainee
    inputs, labels = model_inputs(model, batch, recipe.loss, accelerator.device)
    pieces = recipe.gradient_accumulation_steps
    rows = len(labels) // pieces
    weights = _weights(labels, pieces, accelerator)
    losses = []
    for piece in range(pieces):
        own = slice(piece * rows, (piece + 1) * rows)
        part = {k: v[own] if isinstance(v, Tensor) else v for k, v in inputs.items()}
        # Gradients cross between processes once a step, behind the last piece.
        with nullcontext() if piece == pieces - 1 else accelerator.no_sync(model):
            loss = loss_of(logits_of(model, part), labels[own], recipe.label_smoothing)
            if weights is not None:
                loss = loss * weights[piece]
            accelerator.backward(loss)
        losses.append(loss.detach())
    if recipe.max_grad_norm:
        accelerator.clip_grad_norm_(model.parameters(), recipe.max_grad_norm)
    optimizer.step()
    if not accelerator.optimizer_step_was_skipped:  # as fp16 does where its scale was too high
        scheduler.step()
    optimizer.zero_grad()
    return losses[0] if pieces == 1 else torch.stack(losses).sum()


def _weights(labels: Tensor, pieces: int, accelerator: Accelerator) -> Tensor | None:
    """What the mean loss of each piece counts, so that every label of the batch counts alike.

    The pieces of a process are summed and the processes averaged, but they hold different numbers
    of labels where the loss is over all bytes. None where there is one piece of one process.
    """
    if pieces == accelerator.num_processes == 1:
        return None
    counts = (labels != IGNORED).reshape(pieces, -1).sum(1).float()
    total = accelerator.reduce(counts.sum(), "sum")
    return counts * accelerator.num_processes / total


def check_loss(loss: float, progress: Progress, recipe: Recipe) -> None:
    """Raise a ValueError where a loss, of training or validation, is no number."""
    if not math.isfinite(loss):
        samples = progress.step * recipe.batch_size
        raise ValueError(
            f"the loss is {loss} after {samples} samples: lower "
            f"learning_rate (now {recipe.learning_rate:g}) or set max_grad_norm"
        )
