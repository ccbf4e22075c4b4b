"""Measure how fast data and models are, next to what they are compared with."""

import time
from collections.abc import Callable, Mapping
from typing import Any


def best_seconds(functions: Mapping[str, Callable[[], Any]], rounds: int) -> dict[str, float]:
    """Time the shortest of `rounds` calls of each function.

    They are called in turns: a noisy machine slows all of them alike.

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
