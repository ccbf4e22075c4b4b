"""Measure how fast parts are, next to what they are compared with."""

import ctypes
import re
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from scripts.core.io import ROOT


def best_seconds(
    functions: Mapping[str, Callable[[], Any]],
    rounds: int,
    clock: Callable[[], float] = time.process_time,  # other work on the machine does not count
) -> dict[str, float]:
    """Time the shortest of `rounds` calls of each function, called in turns.

    >>> sorted(best_seconds({"a": lambda: None, "b": lambda: sum(range(1000))}, 3))
    ['a', 'b']
    """
    best = dict.fromkeys(functions, float("inf"))
    for _ in range(rounds):
        for name, function in functions.items():
            start = clock()
            function()
            best[name] = min(best[name], clock() - start)
    return best


def run_child(code: str, *words: object) -> float:
    """Run code in a process of its own, in the clone; return the number that it prints last."""
    command = [sys.executable, "-c", code, *map(str, words)]
    return float(subprocess.check_output(command, cwd=ROOT, stderr=subprocess.DEVNULL).split()[-1])


def peak_megabytes(function: Callable[[], Any]) -> float:
    """Measure the memory that a call adds at its peak, on Linux with glibc."""
    ctypes.CDLL(None).malloc_trim(0)  # what earlier calls have freed would hide what is taken
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    before = _kilobytes("VmRSS")
    function()
    return (_kilobytes("VmHWM") - before) / 1024


def _kilobytes(name: str) -> int:
    return int(re.findall(rf"{name}:\s+(\d+)", Path("/proc/self/status").read_text())[0])
