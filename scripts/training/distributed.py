"""This process and those that were launched with it; the only module that imports `accelerate`."""

import logging
import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar, cast

from vsc_dataset.checking import nearest

if TYPE_CHECKING:
    from accelerate import Accelerator as Accelerator  # noqa: PLC0414  given on from here
else:
    Accelerator = Any  # the flags are read without the second that the library takes

T = TypeVar("T")


def make_accelerator(mixed_precision: str = "no", report_to: Sequence[str] = ()) -> Accelerator:
    """Make this process's Accelerator: once, in the main function of a command.

    Raises:
      ValueError: accelerate runs each launched process on its own, as it does without GPUs unless
        it is told; the message says how.
    """
    from accelerate import Accelerator
    from accelerate.state import AcceleratorState

    # It warns at every checkpoint that tied weights are written once, which is what is wanted.
    logging.getLogger("accelerate.utils.other").setLevel(logging.ERROR)
    shared = AcceleratorState._shared_state
    if shared and shared["_mixed_precision"] != mixed_precision:
        AcceleratorState._reset_state()  # it would refuse a second recipe of another precision
    accelerator = Accelerator(mixed_precision=mixed_precision, log_with=list(report_to) or None)
    launched = launched_processes()
    if accelerator.num_processes != launched:
        raise ValueError(
            f"{launched} processes were launched but accelerate sees {accelerator.num_processes}: "
            "on CPUs start with ACCELERATE_USE_CPU=true accelerate launch --multi_gpu "
            f"--num_processes {launched} …"
        )
    return accelerator


def launched_processes() -> int:
    """Return how many processes the launcher says it started."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def check_launch(jobs: int, several: bool = True) -> None:
    """Raise a ValueError where the launcher was told what a command does not do.

    Args:
      jobs: trials side by side that the command was told to train.
      several: whether it trains one model in several processes.
    """
    steps = os.environ.get("ACCELERATE_GRADIENT_ACCUMULATION_STEPS", "1")
    if steps != "1":
        raise ValueError(
            f"accelerate's gradient_accumulation_steps is {steps}: train with 1, a batch is one "
            "forward call here"
        )
    launched = launched_processes()
    if launched > 1 and not several:
        raise ValueError(
            f"{launched} processes were launched for models that are small enough for one: launch "
            f"with --num_processes 1, and give --jobs {launched} for trials side by side"
        )
    if launched > 1 and jobs > 1:
        raise ValueError(
            f"--jobs {jobs} in {launched} launched processes: jobs are processes of their own, so "
            "use one or the other"
        )


def launched_precision() -> str | None:
    """Return the precision that accelerate's launcher sets."""
    precision = os.environ.get("ACCELERATE_MIXED_PRECISION", "no")
    return None if precision == "no" else precision


def gather(value: T) -> list[T]:
    """Return the values of all processes in the order of their ranks, in every process."""
    from accelerate.utils import gather_object

    gathered: list[T] = gather_object([value])
    return gathered


def from_main(accelerator: Accelerator, make: Callable[[], T]) -> T:
    """Return in every process what `make` returns in the main one.

    Where it raises a ValueError or OSError all of them raise: they would wait for it for ever.
    """
    from accelerate.utils import broadcast_object_list

    outcome: list[Any] = [None, ""]
    if accelerator.is_main_process:
        try:
            outcome = [make(), ""]
        except (ValueError, OSError) as error:
            outcome = [None, str(error)]
    made, fault = broadcast_object_list(outcome)
    if fault:
        raise ValueError(fault)
    return cast(T, made)


def check_trackers(names: Sequence[str]) -> None:
    """Raise a ValueError for a tracker that accelerate does not know or that is not installed.

    >>> check_trackers(["tensorbord"])
    Traceback (most recent call last):
    ValueError: --report-to 'tensorbord' is unknown: did you mean 'tensorboard'?
    """
    from accelerate.tracking import LOGGER_TYPE_TO_CLASS, get_available_trackers

    available = {str(name) for name in get_available_trackers()}
    for name in names:
        if name not in LOGGER_TYPE_TO_CLASS:
            trackers = sorted(map(str, LOGGER_TYPE_TO_CLASS))
            raise ValueError(f"--report-to {name!r} is unknown: {nearest(name, trackers)}")
        if name not in available:
            package = name.replace("_", "-")
            raise ValueError(f"--report-to {name!r} is not installed: pip install {package}")
