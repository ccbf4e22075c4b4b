"""The launch environment -> this process's part in it; the only home of `accelerate`."""

import logging
import os
from typing import Any, TypeVar

from accelerate import Accelerator
from accelerate.utils import broadcast_object_list

__all__ = ["Accelerator", "is_main_process", "make_accelerator", "share"]

T = TypeVar("T")

# It warns at every checkpoint that tied weights are written once, which is what is wanted.
logging.getLogger("accelerate.utils.other").setLevel(logging.ERROR)


def make_accelerator(**settings: Any) -> Accelerator:
    """This process's Accelerator.

    Raises:
      ValueError: several processes were launched but accelerate runs each on its own, as it does
        on a machine without GPUs unless it is told; the message says how.
    """
    accelerator = Accelerator(**settings)
    launched = int(os.environ.get("WORLD_SIZE", "1"))
    if accelerator.num_processes != launched:
        raise ValueError(
            f"{launched} processes were launched but accelerate sees {accelerator.num_processes}: "
            "on CPUs start with ACCELERATE_USE_CPU=true accelerate launch --multi_gpu "
            f"--num_processes {launched} …"
        )
    return accelerator


def is_main_process() -> bool:
    """Whether this process writes files and speaks."""
    # Not PartialState: made first, it would overlook ACCELERATE_USE_CPU and keep ranks apart.
    return bool(make_accelerator().is_main_process)


def share(value: T) -> T:
    """The main process's value, in every process."""
    make_accelerator()
    shared: list[T] = broadcast_object_list([value])
    return shared[0]
