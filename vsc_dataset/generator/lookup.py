"""The lookup tables of a SampleSpec and a layout, which make `sampling` fast.

What can happen next depends on the situation alone: how many letters are present and how many are
on the stack. A digit drawn in a situation is one operation; its *code* is the situation's base plus
the digit, and every table is indexed by codes. Code 0 is "no operation", where a program has ended.

A lookup costs four times an arithmetic operation, so one 64-bit word holds several fields; the
package's docstring draws them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import permutations

import numpy as np
from numpy.typing import NDArray

from vsc_dataset.generator.hashing import MASK_64, UInt64Array
from vsc_dataset.generator.spec import CHANGES, SampleSpec
from vsc_dataset.language import TOKENS, Operation
from vsc_dataset.splits import HELD_OUT_MIN_POSITION, M_LET, M_OPS, canonical, token_value
from vsc_dataset.vocabulary import VOCABULARIES, Vocabulary

BASE_BITS = 32
"""A word of `step`: the base of the next situation, then its radix."""

VALUE_BITS, REACH_BITS = 40, 12
"""A word of `mark`: the canonical token's value (5 bytes at most), then 1 where it names
HELD_OUT_MIN_POSITION or a higher one, then 1 where it is an operation at all. The last two can be
added up over all steps."""

TEXT_BITS = 56
"""A word of `token`: its ids (7 bytes at most), each exclusive-or padding, then its bits."""

LINE_BITS, CHANGE_BITS = 32, 12
"""A word of `line`: the number of a permutation, then 1 plus the change in letters present, then 1
where it is an operation at all. The last two can be added up over all steps."""

COMPOSED_LENGTH, COMPOSED_BITS = 5, 7
"""Up to 5 letters there are few enough permutations, 120, to look up one after another."""

END = 1 << BASE_BITS
"""The `step` word of a program that has ended: code 0, radix 1."""


@dataclass(frozen=True)
class LookupTables:
    """Lookups for one SampleSpec: I codes, H its longest length, P permutations.

    Attributes:
      start: uint64 (H + 1,), by length: the `step` word with which a program begins.
      step, mark: uint64 (I,): see BASE_BITS, VALUE_BITS.
      first_token, token: uint64 (I,), see TEXT_BITS; the separator before it included.
      token_bytes: the least and the most bytes of an operation's text at the first step, and at a
        later one.
      line: intp (I,), see LINE_BITS.
      lines: intp (P, H), the place from which each permutation fills a place of the line: the
        letters present, then the stack, its top next to them.
      targets: intp (2, I): the place of the line before an operation whose letter is the dense
        target of its last id, and of the id after it; -1 where that has none.
      line_bits: uint64 (P,), for few letters: 8 times each of `lines`, a byte each.
      composed: intp, at (a << COMPOSED_BITS) + b: the number of permutation b after permutation a,
        shifted likewise; empty where H is above COMPOSED_LENGTH.
      operation_powers, letter_powers: M_OPS^(i + 1) by step, M_LET^(i + 1) by place.
    """

    start: UInt64Array
    step: UInt64Array
    mark: UInt64Array
    first_token: UInt64Array
    token: UInt64Array
    token_bytes: tuple[tuple[int, int], tuple[int, int]]
    line: NDArray[np.intp]
    lines: NDArray[np.intp]
    targets: NDArray[np.intp]
    line_bits: UInt64Array
    composed: NDArray[np.intp]
    operation_powers: UInt64Array
    letter_powers: UInt64Array


@lru_cache(maxsize=32)
def make_lookup_tables(spec: SampleSpec, layout: str) -> LookupTables:
    """Make all tables of a SampleSpec, in the given layout."""
    longest = spec.length[1]
    numbering = _Numbering(longest)
    start, step, operation, line = _by_code(spec, numbering)
    vocabulary = VOCABULARIES[layout]
    after_letters, between = vocabulary.after_letters, vocabulary.between_operations
    ids = [tuple(vocabulary.operation_ids(operation)) for operation in numbering.operations]
    first, later = [after_letters + i for i in ids], [between + i for i in ids]
    lines = list(numbering.lines)
    return LookupTables(
        start=start,
        step=step,
        mark=np.array([0, *map(_mark, numbering.operations)], np.uint64)[operation],
        first_token=_tokens([after_letters, *first], vocabulary)[operation],
        token=_tokens([(), *later], vocabulary)[operation],
        token_bytes=(_bounds(first, vocabulary), _bounds(later, vocabulary)),
        line=line,
        lines=np.array(lines, np.intp),
        targets=_targets(list(numbering.operations), operation, line, lines, layout),
        line_bits=_line_bits(numbering.lines)
        if longest <= COMPOSED_LENGTH
        else np.zeros(0, np.uint64),
        composed=_composed(longest) if longest <= COMPOSED_LENGTH else np.zeros(0, np.intp),
        operation_powers=_powers(M_OPS, spec.nops[1]),
        letter_powers=_powers(M_LET, longest),
    )


def _by_code(
    spec: SampleSpec, numbering: "_Numbering"
) -> tuple[UInt64Array, UInt64Array, NDArray[np.intp], NDArray[np.intp]]:
    """Lay the codes out: `start` and `step`, the number of each code's operation, and `line`."""
    situations = _situations(spec)
    radices = [spec.operation_radix(*situation) for situation in situations]
    bases = dict(zip(situations, np.cumsum([1, *radices]).tolist(), strict=False))

    def step_word(n: int, depth: int) -> int:
        if (n, depth) not in bases:
            return END
        return bases[n, depth] | spec.operation_radix(n, depth) << BASE_BITS

    step = [np.array([END])]
    operation, line = [np.array([0])], [np.array([1 << LINE_BITS])]
    for n, depth in situations:
        for kind, weight in spec.kind_weights(n, depth).items():
            operations, lines = numbering.of_digits(kind, n)
            following = step_word(n + CHANGES[kind], depth - CHANGES[kind])
            step.append(np.full(weight * len(lines), following))
            operation.append(np.tile(operations, weight))
            line.append(np.tile(lines, weight))
    start = np.array([step_word(n, 0) for n in range(spec.length[1] + 1)], np.uint64)
    columns = np.concatenate(operation), np.concatenate(line)
    return start, np.concatenate(step).astype(np.uint64), *columns


def _situations(spec: SampleSpec) -> list[tuple[int, int]]:
    """List every (letters present, letters on the stack) in which an operation can be drawn."""
    if spec.operators == ">":
        return [(n, 0) for n in range(spec.length[0], spec.length[1] + 1)]
    lengths = range(spec.length[0], spec.length[1] + 1)
    return sorted({(n, length - n) for length in lengths for n in range(1, length + 1)})


class _Numbering:
    """Operations and permutations by number, in the order in which they are first met."""

    def __init__(self, longest: int) -> None:
        self.longest = longest
        self.operations: dict[Operation, int] = {}
        self.lines: dict[tuple[int, ...], int] = {}
        if longest <= COMPOSED_LENGTH:  # all of them, so that one after another is one of them
            self.lines = {line: i for i, line in enumerate(permutations(range(longest)))}
        self._line_number(tuple(range(longest)))
        self.cache: dict[tuple[str, int], tuple[NDArray[np.intp], NDArray[np.intp]]] = {}

    def of_digits(self, kind: str, n: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Number a kind's operations on n letters, by digit, from 1; make their `line` words."""
        if (kind, n) not in self.cache:
            operations, lines = [], []
            for p in range(max(1, n * (n - 1))):
                x, y = divmod(p, n - 1) if n > 1 else (0, 0)
                operation = Operation(kind, x + 1, y + 1 + (y >= x) if kind == ">" else 0)
                operations.append(self.operations.setdefault(operation, len(self.operations) + 1))
                number = self._line_number(_permute(operation, n, self.longest))
                counted = 1 + CHANGES[kind] | 1 << CHANGE_BITS
                lines.append(number | counted << LINE_BITS)
            self.cache[kind, n] = np.array(operations, np.intp), np.array(lines, np.intp)
        return self.cache[kind, n]

    def _line_number(self, line: tuple[int, ...]) -> int:
        return self.lines.setdefault(line, len(self.lines))


def _permute(operation: Operation, n: int, longest: int) -> tuple[int, ...]:
    """Permute the line of letters and stack as an operation on n letters does."""
    line, x, y = list(range(longest)), operation.x - 1, operation.y - 1
    if operation.kind == ">":
        line[x], line[y] = line[y], line[x]
    elif operation.kind == "-":
        line.insert(n - 1, line.pop(x))
    elif n < longest:
        line.insert(x, line.pop(n))
    return tuple(line)


@lru_cache
def _composed(longest: int) -> NDArray[np.intp]:
    """Make `LookupTables.composed`; permutations are numbered in the order of `permutations`."""
    lines = list(permutations(range(longest)))
    numbers = {line: number for number, line in enumerate(lines)}
    composed = np.zeros((len(lines), 1 << COMPOSED_BITS), np.intp)
    for a, line_a in enumerate(lines):
        for b, line_b in enumerate(lines):
            composed[a, b] = numbers[tuple(line_a[i] for i in line_b)] << COMPOSED_BITS
    return composed.ravel()


def _line_bits(lines: dict[tuple[int, ...], int]) -> UInt64Array:
    """Make `LookupTables.line_bits`."""
    words = [int.from_bytes(bytes(8 * position for position in line), "little") for line in lines]
    return np.array(words, np.uint64)


def _mark(operation: Operation) -> int:
    """Make a word of `mark`."""
    reaches = max(operation.x, operation.y) >= HELD_OUT_MIN_POSITION
    value = token_value(canonical(operation))
    return value | reaches << VALUE_BITS | 1 << VALUE_BITS + REACH_BITS


def _targets(
    operations: list[Operation],
    operation_I: NDArray[np.intp],
    line_I: NDArray[np.intp],
    lines: list[tuple[int, ...]],
    layout: str,
) -> NDArray[np.intp]:
    """Make `LookupTables.targets`: what an operation puts at x and y, of `-x` what it takes."""
    pairs, codes = np.unique(
        operation_I << LINE_BITS | line_I & 2**LINE_BITS - 1, return_inverse=True
    )
    targets = np.full((2, len(pairs)), -1, np.intp)
    for i, (number, permutation) in enumerate(zip(*divmod(pairs, 2**LINE_BITS), strict=True)):
        if number == 0:
            continue
        kind, x, y = operations[number - 1]
        line = lines[permutation]
        targets[0, i] = x - 1 if kind == "-" else line[x - 1]
        if kind == ">" and layout != TOKENS:  # a text names y last
            targets[:, i] = line[y - 1], line[x - 1]
    return targets[:, codes]


def _tokens(tokens: list[tuple[int, ...]], vocabulary: Vocabulary) -> UInt64Array:
    """Make the words of `token`."""
    bits = 8 * vocabulary.id_bytes
    words = [pack(ids, vocabulary) | bits * len(ids) << TEXT_BITS for ids in tokens]
    return np.array(words, np.uint64)


def _bounds(tokens: list[tuple[int, ...]], vocabulary: Vocabulary) -> tuple[int, int]:
    """Find the least and the most bytes of a token."""
    widths = [vocabulary.id_bytes * len(ids) for ids in tokens]
    return min(widths), max(widths)


def pack(ids: Sequence[int], vocabulary: Vocabulary) -> int:
    """Pack ids into a little-endian integer, each exclusive-or padding.

    >>> pack(b"  !", VOCABULARIES["compact"])
    65536
    """
    bits = 8 * vocabulary.id_bytes
    return sum((number ^ vocabulary.pad) << bits * i for i, number in enumerate(ids))


def _powers(multiplier: int, count: int) -> UInt64Array:
    """Compute multiplier^1 to multiplier^count, modulo 2^64."""
    powers = [pow(multiplier, i + 1, MASK_64 + 1) for i in range(count)]
    return np.array(powers, np.uint64)
