"""Check the values that a user gave: a ValueError names the value and its limits."""

from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from numbers import Integral
from typing import Any

import numpy as np

from vsc_dataset.generator.spec import Range
from vsc_dataset.language import quote


def check_int(name: str, value: Any, lowest: int, highest: int | None = None) -> int:
    """Check a whole number, numpy's too, against its limits.

    >>> check_int("seed", -1, 0)
    Traceback (most recent call last):
    ValueError: seed is -1: it must be a whole number from 0
    """
    limits = "" if highest is not None else f" from {lowest}"
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise ValueError(f"{name} is {quote(value)}: it must be a whole number{limits}")
    number = int(value)
    if highest is None and number < lowest:
        raise ValueError(f"{name} is {number}: it must be a whole number{limits}")
    if highest is not None and not lowest <= number <= highest:
        raise ValueError(f"{name} is {number}: it must be from {lowest} to {highest}")
    return number


def check_bool(name: str, value: Any) -> bool:
    """Check for True or False, numpy's too, and not a text, which would count as true.

    >>> check_bool("trace", "no")
    Traceback (most recent call last):
    ValueError: trace is 'no': it must be True or False
    """
    if not isinstance(value, int | np.bool_) or value not in (True, False):
        raise ValueError(f"{name} is {quote(value)}: it must be True or False")
    return bool(value)


def check_range(name: str, value: Any, lowest: int, highest: int) -> Range:
    """Make an inclusive range from a number or a pair.

    Raises:
      ValueError: it is neither, lies outside of `lowest` to `highest`, or begins after its end.

    >>> check_range("nops", 5, 0, 1024), check_range("nops", (2, 5), 0, 1024)
    ((5, 5), (2, 5))
    """
    pair = (value, value) if isinstance(value, Integral) else value
    if not isinstance(pair, Sequence) or isinstance(pair, str | bytes) or len(pair) != 2:
        raise ValueError(
            f"{name} is {quote(value)}: it must be a whole number or a (lowest, highest)"
        )
    low, high = (check_int(name, end, lowest, highest) for end in pair)
    if low > high:
        raise ValueError(f"{name} is ({low}, {high}): the lowest comes first")
    return low, high


def check_choice(name: str, value: Any, choices: Iterable[str]) -> str:
    """Check for one of some texts.

    >>> check_choice("objective", "fil", ["fill", "next-token"])
    Traceback (most recent call last):
    ValueError: objective is 'fil': did you mean 'fill'?
    """
    if not isinstance(value, str) or value not in choices:
        raise ValueError(f"{name} is {quote(value)}: {nearest(value, choices)}")
    return value


def nearest(name: Any, names: Iterable[str]) -> str:
    """Suggest the nearest name, or all of them, for a message about an unknown one.

    >>> nearest("swap-nop5", ["default", "swap-nops5"])
    "did you mean 'swap-nops5'?"
    """
    names = list(names)
    if not isinstance(name, str):
        return f"use one of {names}"
    close = get_close_matches(name, names, n=1)
    return f"did you mean {close[0]!r}?" if close else f"use one of {names}"
