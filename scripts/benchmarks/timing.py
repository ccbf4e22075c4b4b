"""Functions -> their best times, taken in turns: a noisy machine slows all of them alike."""

import time
from collections.abc import Callable, Mapping
from typing import Any


def best_seconds(functions: Mapping[str, Callable[[], Any]], rounds: int) -> dict[str, float]:
    """The shortest of `rounds` calls of each function, called one after the other.

    >>> sorted(best_seconds({"a": lambda: None, "b": lambda: sum(range(1000))}, 3))
    ['a', 'b']
    """
    best = dict.fromkeys(functions, float("inf"))
    for _ in range(rounds):
        for name, function in functions.items():
            start = time.perf_counter()
            function()
            best[name] = min(best[name], time.perf_counter() - start)
    return best
