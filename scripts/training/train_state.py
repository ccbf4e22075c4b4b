"""Where a trial stands, and how it is run: what the loop, checkpoints and logs share."""

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from scripts.training.recipes import Recipe


class Job(NamedTuple):
    """A trial that is to be done.

    Attributes:
      recipe: what is trained and how.
      seed: of initialization and training stream; samples of the other splits never change.
      folder: receives log.jsonl and checkpoints meanwhile, then the model, curve and answers.
      label: stands before the progress bar.
    """

    recipe: Recipe
    seed: int
    folder: Path
    label: str = ""


@dataclass
class TrainState:
    """Where a trial stands; all that an interrupted one needs next to weights and generators.

    Attributes:
      step: of the optimizer.
      seconds: of training, without `validation_seconds`.
      validation_seconds: of the validations during training.
      train_loss: mean of the newest line of the log, in nats.
      losses: of each step since then, in nats.
      points: of the curve so far, one for each validation.
    """

    step: int = 0
    seconds: float = 0.0
    validation_seconds: float = 0.0
    train_loss: float = math.nan
    losses: list[float] = field(default_factory=list)
    points: list[dict[str, Any]] = field(default_factory=list)


def check_loss(loss: float, samples: int, learning_rate: float) -> None:
    """Raise a ValueError where a loss, of training or validation, is not finite."""
    if not math.isfinite(loss):
        raise ValueError(
            f"the loss is {loss} after {samples} samples: lower --learning-rate (now "
            f"{learning_rate:g}) or set --max-grad-norm"
        )


@dataclass(frozen=True)
class RunOptions:
    """How a trial is run; nothing here changes its bits.

    Attributes:
      report_to: trackers that hear of every line of the log.
      deadline: time.time() at which it stops with a checkpoint; None for never.
      checkpoint_seconds: the longest time between two checkpoints.
      final_samples: of each split that are evaluated at the end; None for all.
      bar_position: the line of its progress bar.
      trust_remote_code: run the code that a checkpoint to train on brings.
    """

    report_to: tuple[str, ...] = ()
    deadline: float | None = None
    checkpoint_seconds: float = 60.0
    final_samples: int | None = None
    bar_position: int = 0
    trust_remote_code: bool = False


DEFAULTS = RunOptions()


class Paused(Exception):  # noqa: N818  not an error
    """A deadline or a signal came first; the message says how far the trial is."""
