"""The launch environment -> this process's part in it; the only home of `accelerate`."""

import logging
import os
from collections.abc import Sequence
from typing import Any, TypeVar

from accelerate import Accelerator
from accelerate.state import AcceleratorState
from accelerate.tracking import LOGGER_TYPE_TO_CLASS, get_available_trackers
from accelerate.utils import GradientAccumulationPlugin, broadcast_object_list, gather_object

from vsc_dataset.checking import nearest

__all__ = ["Accelerator", "agree", "check_trackers", "is_main_process", "make_accelerator", "share"]

T = TypeVar("T")

PACKAGES = {"comet_ml": "comet-ml"}
"""Trackers that pip knows by another name."""

# It warns at every checkpoint that tied weights are written once, which is what is wanted.
logging.getLogger("accelerate.utils.other").setLevel(logging.ERROR)


def make_accelerator(**settings: Any) -> Accelerator:
    """This process's Accelerator.

    Raises:
      ValueError: several processes were launched but accelerate runs each on its own, as it does
        on a machine without GPUs unless it is told; the message says how.
    """
    precision = settings.get("mixed_precision")
    known = AcceleratorState._shared_state
    if precision is not None and known and known["_mixed_precision"] != precision:
        AcceleratorState._reset_state()  # it would refuse a second recipe of another precision
    # The loop weighs the pieces of a batch itself; told by the launcher, accelerate would divide
    # gradients once more.
    whole = GradientAccumulationPlugin(num_steps=1)
    accelerator = Accelerator(gradient_accumulation_plugin=whole, **settings)
    launched = num_launched()
    if accelerator.num_processes != launched:
        raise ValueError(
            f"{launched} processes were launched but accelerate sees {accelerator.num_processes}: "
            "on CPUs start with ACCELERATE_USE_CPU=true accelerate launch --multi_gpu "
            f"--num_processes {launched} …"
        )
    return accelerator


def num_launched() -> int:
    """Processes that the launcher says it started."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def is_main_process() -> bool:
    """Whether this process writes files and speaks."""
    # Not PartialState: made first, it would overlook ACCELERATE_USE_CPU and keep ranks apart.
    return bool(make_accelerator().is_main_process)


def share(value: T) -> T:
    """The main process's value, in every process."""
    make_accelerator()
    shared: list[T] = broadcast_object_list([value])
    return shared[0]


def agree(accelerator: Accelerator, value: T) -> T:
    """The main process's value, in every process, where there are several."""
    if accelerator.num_processes == 1:
        return value
    shared: list[T] = broadcast_object_list([value])
    return shared[0]


def gather(accelerator: Accelerator, value: T) -> list[T]:
    """The values of all processes in the order of their ranks, in every process."""
    if accelerator.num_processes == 1:
        return [value]
    gathered: list[T] = gather_object([value])
    return gathered


def check_trackers(names: Sequence[str]) -> None:
    """Raise a ValueError for a tracker that accelerate does not know or that is not installed.

    >>> check_trackers(["tensorbord"])
    Traceback (most recent call last):
    ValueError: --report-to 'tensorbord' is unknown: did you mean 'tensorboard'?
    """
    available = {str(name) for name in get_available_trackers()}
    for name in names:
        if name not in LOGGER_TYPE_TO_CLASS:
            known = sorted(map(str, LOGGER_TYPE_TO_CLASS))
            raise ValueError(f"--report-to {name!r} is unknown: {nearest(name, known)}")
        if name not in available:
            package = PACKAGES.get(name, name)
            raise ValueError(f"--report-to {name!r} is not installed: pip install {package}")


def launched_settings() -> dict[str, Any]:
    """What `accelerate launch` or `accelerate config` said that a recipe says too."""
    said: dict[str, Any] = {}
    precision = os.environ.get("ACCELERATE_MIXED_PRECISION", "no")
    if precision != "no":
        said["mixed_precision"] = precision
    steps = int(os.environ.get("ACCELERATE_GRADIENT_ACCUMULATION_STEPS", "1"))
    if steps != 1:
        said["gradient_accumulation_steps"] = steps
    return said
