"""Names and settings -> TaskConfig; a TaskConfig and a split -> Draw, what shapes one row."""

import math
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from functools import cached_property, partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

from vsc_dataset.draws import CHANGES, Draw, Range
from vsc_dataset.language import LAYOUTS, OPERATORS
from vsc_dataset.splits import SPLITS, UNSEEN_MIN_OPS, UNSEEN_MIN_POSITION

MAX_ITEMS = 26
MAX_NOPS = 1024
MAX_WEIGHT = 10
MAX_ANSWER_WIDTH = 2**16
MAX_ROWS = 2**48
MIN_REACH = 1e-3
"""A grid of complete programs leaves a number of operations out that fewer draws reach."""
DEFAULT_WEIGHTS = {">": 3, "-": 1, "+": 1}


@dataclass(frozen=True)
class TaskConfig:
    """A setting of the task. Frozen; every field is checked.

    Args:
      length: number of letters, one number or an inclusive (lowest, highest).
      nops: planned number of operations, likewise.
      eval_nops: the same for the held splits; `nops` where it is not given.
      operators: the kinds of operations, out of ">-+".
      weights: how often each of `operators` is drawn where it is possible, as whole numbers;
        `>` 3, `-` 1, `+` 1 where it is not given.
      num_items: letters are drawn from the first so many capitals.
      layout: "compact" or "spaced".
      answer_width: bytes of the answer field; the longest length where it is not given.
      num_train, num_validation, num_test, num_test_programs: rows of the splits; 0 leaves one out.
      grid_nops: makes a configuration for evaluation alone, with one split "nops<n>" of num_test
        rows for each of these numbers, by the rule of `test`; nops and eval_nops follow.
      complete: keep only programs in which all planned operations were executed.
      description: one sentence for cards; no part of the configuration's identity.
    Raises:
      ValueError: a setting cannot work; the message names the value and the limit.

    >>> TaskConfig(length=(2, 8), nops=(1, 10), operators=">").row_width
    57
    """

    length: Range = (2, 5)
    nops: Range = (1, 5)
    eval_nops: Range = None  # type: ignore[assignment]
    operators: str = OPERATORS
    weights: tuple[int, ...] = None  # type: ignore[assignment]
    num_items: int = MAX_ITEMS
    layout: str = "compact"
    answer_width: int = None  # type: ignore[assignment]
    num_train: int = 1_000_000
    num_validation: int = 10_000
    num_test: int = 10_000
    num_test_programs: int = 10_000
    grid_nops: tuple[int, ...] = ()
    complete: bool = False
    description: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        put = partial(object.__setattr__, self)  # the one way to normalise a frozen field
        put("grid_nops", tuple(self.grid_nops))
        if self.grid_nops:
            put("nops", (min(self.grid_nops), max(self.grid_nops)))
            put("eval_nops", self.nops)
        put("length", _range("length", self.length, 1, MAX_ITEMS))
        put("nops", _range("nops", self.nops, 0, MAX_NOPS))
        put("eval_nops", _range("eval_nops", _given(self.eval_nops, self.nops), 0, MAX_NOPS))
        operators, weights = _operators(self.operators, self.weights)
        put("operators", operators)
        put("weights", weights)
        put("answer_width", _given(self.answer_width, self.length[1]))
        self._check()

    def _check(self) -> None:
        """Raise ValueError where a field, or fields that are fine alone, cannot work."""
        longest = self.length[1]
        if self.layout not in LAYOUTS:
            raise ValueError(f"layout is {self.layout!r}: use one of {list(LAYOUTS)}")
        _whole("num_items", self.num_items, 1, MAX_ITEMS)
        if longest > self.num_items:
            raise ValueError(
                f"length is up to {longest} but num_items is {self.num_items}: letters are "
                "distinct, so num_items must be at least the longest length"
            )
        if self.operators == ">" and self.length[0] < 2:
            raise ValueError("length starts at 1 but operators is '>': an exchange needs 2 letters")
        _whole("answer_width", self.answer_width, longest, MAX_ANSWER_WIDTH)
        for split in SPLITS:
            _whole(f"num_{split}", getattr(self, f"num_{split}"), 0, MAX_ROWS)

    def num_rows(self, split: str) -> int:
        """The number of rows of a split."""
        rows: int = self.num_test if self.grid_nops else getattr(self, f"num_{split}")
        return rows

    @cached_property
    def splits(self) -> tuple[str, ...]:
        """The splits that exist in this configuration."""
        if not self.grid_nops:
            return tuple(split for split in SPLITS if self.num_rows(split) and self._ranges(split))
        reached = self.grid_nops
        if self.complete:
            draw = self._draw("test", self.length, self.nops)
            reached = tuple(n for n in reached if draw.reach(n) >= MIN_REACH)
        return tuple(f"nops{n}" for n in reached)

    def draw(self, split: str) -> Draw:
        """What shapes the rows of a split.

        Raises:
          ValueError: the split does not exist in this configuration.
        """
        if split not in self.splits:
            raise ValueError(f"split {split!r} does not exist here: {nearest(split, self.splits)}")
        if self.grid_nops:
            nops = int(split.removeprefix("nops"))
            return self._draw("test", self.length, (nops, nops))
        ranges = self._ranges(split)
        assert ranges  # it is one of self.splits
        return self._draw(split, *ranges)

    def _draw(self, split: str, length: Range, nops: Range) -> Draw:
        return Draw(
            length, nops, self.operators, self.weights, self.num_items, split, self.complete
        )

    def _ranges(self, split: str) -> tuple[Range, Range] | None:
        """Length and planned nops of a split's rows; None where there cannot be any."""
        nops = self.nops if split == "train" else self.eval_nops
        if split != "test_programs":
            return self.length, nops
        length = max(self.length[0], UNSEEN_MIN_POSITION), self.length[1]
        nops = max(nops[0], UNSEEN_MIN_OPS), nops[1]
        return (length, nops) if length[0] <= length[1] and nops[0] <= nops[1] else None

    @cached_property
    def row_width(self) -> int:
        """L: the bytes of the longest possible row, the answer field at its full width."""
        layout, longest = LAYOUTS[self.layout], self.length[1]
        # The longest text of k operations by the number of letters that are then present.
        texts, best = {longest: 0}, 0
        for step in range(max(self.nops[1], self.eval_nops[1])):
            separator = len(layout.between_operations) if step else 0
            following: dict[int, int] = {}
            for n, width in texts.items():
                for kind in self.operators:
                    after, token = _longest_token(kind, n, longest)
                    if token:
                        total = width + separator + token
                        following[after] = max(following.get(after, 0), total)
            texts, best = following, max(best, *following.values(), 0)
        separators = len(layout.after_letters) + len(layout.before_answer)
        return longest + separators + best + self.answer_width

    def padded_width(self, pad_to: int | None) -> int:
        """The width of written rows: `pad_to` where given, else `row_width`, its least value."""
        return _whole("pad_to", _given(pad_to, self.row_width), self.row_width, MAX_ANSWER_WIDTH)


def _longest_token(kind: str, num_letters: int, length: int) -> tuple[int, int]:
    """Letters present after an operation, and the width of its longest text; 0 if impossible."""
    digits, after = len(str(num_letters)), num_letters + CHANGES[kind]
    if kind == ">":
        return after, digits + 1 + len(str(num_letters - 1)) if num_letters >= 2 else 0
    return after, 1 + digits if num_letters and after <= length else 0


def _given(value: Any, otherwise: Any) -> Any:
    """`value`, or what holds where it is not given."""
    return otherwise if value is None else value


def _whole(name: str, value: Any, lowest: int, highest: int) -> int:
    """A whole number within its limits; ValueError names all three."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(f"{name} is {value!r}: it must be a whole number")
    if not lowest <= value <= highest:
        raise ValueError(f"{name} is {value}: it must be from {lowest} to {highest}")
    return value


def _range(name: str, value: Any, lowest: int, highest: int) -> Range:
    """An inclusive range from a number or a pair."""
    pair = (value, value) if isinstance(value, int) else value
    if not isinstance(pair, Sequence) or isinstance(pair, str) or len(pair) != 2:
        raise ValueError(f"{name} is {value!r}: it must be a whole number or a (lowest, highest)")
    low, high = (_whole(name, end, lowest, highest) for end in pair)
    if low > high:
        raise ValueError(f"{name} is ({low}, {high}): the lowest comes first")
    return low, high


def _operators(operators: Any, weights: Any) -> tuple[str, tuple[int, ...]]:
    """Both in the order of OPERATORS, the weights without a common divisor."""
    if not isinstance(operators, str) or not operators:
        raise ValueError(f"operators is {operators!r}: it must be a text out of '{OPERATORS}'")
    for kind in operators:
        if kind not in OPERATORS or operators.count(kind) > 1:
            raise ValueError(f"operators is {operators!r}: use each of '{OPERATORS}' at most once")
    if "+" in operators and "-" not in operators:
        raise ValueError(f"operators is {operators!r}: '+' needs '-', else the stack stays empty")
    if weights is None:
        weights = [DEFAULT_WEIGHTS[kind] for kind in operators]
    if not isinstance(weights, Sequence) or len(weights) != len(operators):
        raise ValueError(f"weights is {weights!r}: give one whole number for each of {operators!r}")
    by_kind = dict(zip(operators, weights, strict=True))
    for kind, weight in by_kind.items():
        _whole(f"the weight of {kind!r}", weight, 1, MAX_WEIGHT)
    divisor = math.gcd(*by_kind.values())
    order = sorted(operators, key=OPERATORS.index)
    return "".join(order), tuple(by_kind[kind] // divisor for kind in order)


def nearest(name: str, names: Iterable[str]) -> str:
    """The end of a message about an unknown name: the nearest known one, or all of them.

    >>> nearest("swap-nop5", ["default", "swap-nops5"])
    "did you mean 'swap-nops5'?"
    """
    names = list(names)
    close = get_close_matches(name, names, n=1)
    return f"did you mean {close[0]!r}?" if close else f"use one of {names}"


def make_config(name: str = "default", **settings: Any) -> TaskConfig:
    """A named configuration, or one with some fields changed.

    Raises:
      ValueError: no such name or field (the message suggests the nearest), or an impossible value.

    >>> make_config("swap-nops5", num_items=10).num_items
    10
    >>> make_config("swap-nop5")
    Traceback (most recent call last):
    ValueError: configuration 'swap-nop5' is unknown: did you mean 'swap-nops5'?
    """
    if name not in _TABLES:
        raise ValueError(f"configuration {name!r} is unknown: {nearest(name, _TABLES)}")
    # The settings join the table, not the finished configuration: what the table leaves out
    # (answer_width, eval_nops, weights) follows them.
    given = {**_TABLES[name], **settings}
    known = [field.name for field in fields(TaskConfig)]
    for setting in given:
        if setting not in known:
            raise ValueError(
                f"configuration field {setting!r} is unknown: {nearest(setting, known)}"
            )
    return TaskConfig(**given)


_TABLES: dict[str, dict[str, Any]] = tomllib.loads(
    (Path(__file__).parent / "configs.toml").read_text("utf-8")
)

CONFIGS: Mapping[str, TaskConfig] = MappingProxyType({name: make_config(name) for name in _TABLES})
"""The named configurations, by name."""
