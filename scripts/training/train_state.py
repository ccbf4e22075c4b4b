"""Where a trial stands, and how it is run: what the loop, checkpoints and logs share."""

import math
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass
class TrainState:
    """Where a trial stands; all that an interrupted one needs beside weights and generators.

    Attributes:
      step: of the optimizer.
      seconds: of training, without `validation_seconds`.
      validation_seconds: of validations on the way.
      train_loss: mean since the last line of the log, in nats.
      points: of the curve so far, one for each validation.
    """

    step: int = 0
    seconds: float = 0.0
    validation_seconds: float = 0.0
    train_loss: float = math.nan
    points: list[dict[str, Any]] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """Return the fields as plain data."""
        return asdict(self)


def check_loss(loss: float, samples: int, learning_rate: float) -> None:
    """Raise a ValueError where a loss, of training or validation, is not finite."""
    if not math.isfinite(loss):
        raise ValueError(
            f"the loss is {loss} after {samples} samples: lower learning_rate (now "
            f"{learning_rate:g}) or set max_grad_norm"
        )


@dataclass(frozen=True)
class RunOptions:
    """How a trial is run; nothing here changes its bits.

    Attributes:
      report_to: trackers that hear of every line of the log.
      deadline: time.time() at which it stops with a checkpoint; None for never.
      checkpoint_seconds: the longest time between two checkpoints.
      bar_position: the line of its progress bar.
      trust_remote_code: run the code that a checkpoint to train on brings.
    """

    report_to: tuple[str, ...] = ()
    deadline: float | None = None
    checkpoint_seconds: float = 60.0
    bar_position: int = 0
    trust_remote_code: bool = False


class Paused(Exception):  # noqa: N818  not an error
    """The deadline came first; the message says how far the trial is."""
