"""A Draw and a layout -> the lookup tables that make `sampling` fast.

Every operation that can happen has a code; code 0 is "no operation". An exchange has one code for
each ordered pair of positions; taking out and inserting have one for each position and number of
letters present, since cells and stack are kept in one line (letters first, then the stack, its top
next to them) and what an operation does to that line is then a permutation.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from vsc_dataset.configs import Draw
from vsc_dataset.hashing import MASK_64
from vsc_dataset.language import LAYOUTS, Operation
from vsc_dataset.splits import M_LET, M_OPS, UNSEEN_MIN_POSITION, canonical, token_value


@dataclass(frozen=True)
class Tables:
    """Lookups for the operations of one Draw, H being its longest length.

    Attributes:
      max_radix: the largest radix of an operation's digit.
      radix_S: uint64, by situation 2 n + (the stack is not empty); 1 in situation 0, the end.
      code_SxR: intp, flat: the code of a digit in a situation.
      value_C: uint64, by code: its canonical token's value (see `splits.poly`).
      change_C: int8, by code: what it adds to the number of letters.
      reaches_C: bool, by code: whether it names UNSEEN_MIN_POSITION or a higher one.
      line_CxH: uint8, by code: the place from which each place of the line is filled.
      token_CxT: uint8, by code: its text with the separator behind it, filled up with spaces.
      token_width_C: intp, by code: the length of that text, 0 for no operation.
      operation_powers: M_OPS^(i + 1) by step.
      letter_powers: M_LET^(i + 1) by place.
    """

    max_radix: int
    radix_S: NDArray[np.uint64]
    code_SxR: NDArray[np.intp]
    value_C: NDArray[np.uint64]
    change_C: NDArray[np.int8]
    reaches_C: NDArray[np.bool_]
    line_CxH: NDArray[np.uint8]
    token_CxT: NDArray[np.uint8]
    token_width_C: NDArray[np.intp]
    operation_powers: NDArray[np.uint64]
    letter_powers: NDArray[np.uint64]


@lru_cache(maxsize=64)
def make_tables(draw: Draw, layout: str) -> Tables:
    """All tables of a Draw, in the given layout."""
    longest = draw.length[1]
    operations, codes = _enumerate(longest)
    radix_S = np.ones(2 * longest + 2, np.uint64)
    for n in range(1, longest + 1):
        for depth in (0, 1):
            radix_S[2 * n + depth] = draw.operation_radix(n, depth)
    max_radix = int(radix_S.max())
    tokens = [str(op) + LAYOUTS[layout].between_operations for op in operations]
    widest = max(map(len, tokens), default=0)
    return Tables(
        max_radix=max_radix,
        radix_S=radix_S,
        code_SxR=_codes_by_digit(draw, codes, max_radix).ravel(),
        value_C=np.array([0, *[token_value(canonical(op)) for op in operations]], np.uint64),
        change_C=np.array([0, *[{">": 0, "-": -1, "+": 1}[op.kind] for op in operations]], np.int8),
        reaches_C=np.array(
            [0, *[max(op.x, op.y) >= UNSEEN_MIN_POSITION for op in operations]], bool
        ),
        line_CxH=_lines(longest, operations, codes),
        token_CxT=np.array(
            [list(token.ljust(widest).encode()) for token in ["", *tokens]], np.uint8
        ).reshape(len(operations) + 1, widest),
        token_width_C=np.array([0, *map(len, tokens)], np.intp),
        operation_powers=_powers(M_OPS, draw.nops[1]),
        letter_powers=_powers(M_LET, longest),
    )


def _enumerate(longest: int) -> tuple[list[Operation], dict[tuple[str, int, int], int]]:
    """All operations by code, from 1; and the code by (kind, x, y) or (kind, x, n)."""
    operations: list[Operation] = []
    codes: dict[tuple[str, int, int], int] = {}
    positions = range(1, longest + 1)
    for x in positions:
        for y in positions:
            if x != y:
                operations.append(Operation(">", x, y))
                codes[">", x, y] = len(operations)
    for n in positions:
        for x in range(1, n + 1):
            for kind in "-+":
                operations.append(Operation(kind, x))
                codes[kind, x, n] = len(operations)
    return operations, codes


def _codes_by_digit(
    draw: Draw, codes: dict[tuple[str, int, int], int], max_radix: int
) -> NDArray[np.intp]:
    """The code of every digit in every situation; 0 where there is none."""
    longest = draw.length[1]
    code_SxR = np.zeros((2 * longest + 2, max_radix), np.intp)
    for n in range(1, longest + 1):
        pairs = [(x, y) for x in range(1, n + 1) for y in range(1, n + 1) if x != y] or [(1, 0)]
        by_kind = {
            kind: [codes.get((kind, x, y if kind == ">" else n), 0) for x, y in pairs]
            for kind in draw.operators
        }
        for depth in (0, 1):
            row: list[int] = []
            for kind, weight in draw.kind_weights(n, depth).items():
                row += by_kind[kind] * weight
            code_SxR[2 * n + depth, : len(row)] = row
    return code_SxR


def _lines(
    longest: int, operations: list[Operation], codes: dict[tuple[str, int, int], int]
) -> NDArray[np.uint8]:
    """What each code does to the line of cells and stack."""
    lines = np.tile(np.arange(longest, dtype=np.uint8), (len(operations) + 1, 1))
    for (kind, x, other), code in codes.items():
        line = list(range(longest))
        if kind == ">":
            line[x - 1], line[other - 1] = line[other - 1], line[x - 1]
        elif kind == "-":
            line.insert(other - 1, line.pop(x - 1))
        elif other < longest:
            line.insert(x - 1, line.pop(other))
        lines[code] = line
    return lines


def _powers(multiplier: int, count: int) -> NDArray[np.uint64]:
    """multiplier^1 to multiplier^count, modulo 2^64."""
    powers, power = [], 1
    for _ in range(count):
        power = power * multiplier & MASK_64
        powers.append(power)
    return np.array(powers, np.uint64)
