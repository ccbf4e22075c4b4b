"""Where a trial stands, and how it is run: what the loop, checkpoints and logs share."""

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from scripts.training.recipes import Recipe


class Job(NamedTuple):
    """A trial that is to be done."""

    recipe: Recipe
    seed: int  # of initialization and training stream; other samples never change
    folder: Path  # receives log.jsonl and checkpoints, then the model, curve and answers
    label: str = ""  # of the progress bar


@dataclass
class TrainState:
    """Where a trial stands; all that an interrupted one needs next to weights and generators."""

    step: int = 0  # of the optimizer
    seconds: float = 0.0  # of training, without validation
    validation_seconds: float = 0.0
    train_loss: float = math.nan  # mean of the newest line of the log, in nats
    losses: list[float] = field(default_factory=list)  # of each step since then
    points: list[dict[str, Any]] = field(default_factory=list)  # of the curve: the validations


class Diverged(ValueError):  # noqa: N818  it is raised as one, and caught as one
    """The loss of a trial is not finite: its learning rate is too high."""


def check_loss(loss: float, state: TrainState, recipe: Recipe) -> None:
    """Raise Diverged where a loss, of training or validation, is not finite."""
    if not math.isfinite(loss):
        raise Diverged(
            f"the loss is {loss} after {state.step * recipe.batch_size} samples: lower "
            f"learning_rate (now {recipe.learning_rate:g}) or set max_grad_norm"
        )


@dataclass(frozen=True)
class RunOptions:
    """How a trial is run; nothing here changes its bits."""

    report_to: tuple[str, ...] = ()  # trackers that hear of every line of the log
    deadline: float | None = None  # time.time() at which it stops with a checkpoint
    checkpoint_seconds: float = 60.0  # between two checkpoints at most
    final_samples: int | None = None  # of each split that are evaluated at the end; None: all
    bar_position: int = 0  # the line of its progress bar
    trust_remote_code: bool = False  # run the code that a checkpoint to train on brings


DEFAULTS = RunOptions()


class Paused(Exception):  # noqa: N818  not an error
    """A deadline or a signal came first; the message says how far the trial is."""
