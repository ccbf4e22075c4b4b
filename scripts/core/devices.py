"""Find a device, name it, and give it its threads."""

import re

import torch
from torch import nn


def find_device(name: str | None) -> torch.device:
    """Find the device of this name; None takes a GPU where there is one."""
    if name is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        words = str(error).split("\n")[0]
        raise ValueError(f"--device {name!r} cannot be used ({words}): leave it out") from None
    return device


def device_name(model: nn.Module) -> str:
    """Return the device of a model in words: a GPU's name, or the CPU with its threads."""
    device = next(model.parameters()).device
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{device.type}, {torch.get_num_threads()} threads"


def use_threads(device: str, processes: int = 1) -> None:
    """Give each of some processes the threads that a device's description names: sums depend on it.

    >>> use_threads(device_name(nn.Linear(1, 1)))
    """
    if match := re.fullmatch(r"cpu, ([1-9]\d{0,2}) threads", device):
        torch.set_num_threads(processes * int(match[1]))
