"""Row states -> drawn questions of a split, as codes of operations and letters.

Arrays have the row as their last axis (K steps or H places x N rows), so that every numpy call runs
along memory. `oracle` says the same one row at a time.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from vsc_dataset.draws import Draw
from vsc_dataset.hashing import GOLDEN, MASK_64, UInt64Array, mix64_array
from vsc_dataset.memory import Memory, own_memory
from vsc_dataset.splits import BUCKET_SHIFT, SALT_P, SALT_Q, UNSEEN_MIN_OPS
from vsc_dataset.tables import BASE_BITS, END, REACH_BITS, VALUE_BITS, Tables

BoolArray = NDArray[np.bool_]

LOW_HALF = np.uint64(0xFFFFFFFF)
HALF_BITS = np.uint64(32)
BASE_MASK = np.uint64(2**BASE_BITS - 1)
VALUE_MASK = np.uint64(2**VALUE_BITS - 1)
REACH_MASK = np.uint64(2**REACH_BITS - 1)
BUCKET = np.uint64(1 << BUCKET_SHIFT)
CACHED_ROWS = 32_768
"""Rows that are drawn at once: few enough that their arrays stay in a core's cache."""

SPARE_ROWS = 2_048
"""While few rows are left, as many attempts again are made at each, up to so many in all."""


class Drawn(NamedTuple):
    """N questions: codes (K, N), letters as capitals' bytes or 0 (H, N), length and nops (N,)."""

    codes: NDArray[np.intp]
    letters: NDArray[np.uint8]
    length: NDArray[np.uint8]
    nops: NDArray[np.uint16]

    def rows(self, rows: slice) -> "Drawn":
        """A view of some rows."""
        return Drawn(self.codes[:, rows], self.letters[:, rows], self.length[rows], self.nops[rows])


def draw_questions(draw: Draw, tables: Tables, state: UInt64Array) -> Drawn:
    """Draw every row, attempt after attempt, until its question belongs to the split.

    Args:
      draw: what shapes the rows.
      tables: of this draw.
      state: uint64 (N,), each row's state (see `hashing.row_seed`).
    Returns:
      N questions, in this thread's memory: the next call overwrites them.
    Raises:
      ValueError: a row had no such question in draw.max_attempts attempts.
    """
    memory = own_memory()
    drawn = _room(draw, memory, "drawn", len(state))
    fits = memory.array("fits", len(state), dtype=np.bool_)
    for start in range(0, len(state), CACHED_ROWS):
        block = slice(start, start + CACHED_ROWS)
        _draw(draw, tables, memory, state[block], None, drawn.rows(block))
        fits[block] = _belongs(draw, tables, memory, drawn.rows(block))
    pending, attempt = np.flatnonzero(~fits), 1
    while pending.size:
        attempts = min(max(1, SPARE_ROWS // pending.size), attempt, draw.max_attempts - attempt)
        if attempts == 0:
            raise draw.too_rare(int(drawn.length[pending[0]]), int(drawn.nops[pending[0]]))
        numbers = np.arange(attempt, attempt + attempts, dtype=np.uint64)
        left = [
            _draw_again(draw, tables, state, drawn, pending[i : i + CACHED_ROWS], numbers)
            for i in range(0, pending.size, CACHED_ROWS)
        ]
        pending, attempt = np.concatenate(left), attempt + attempts
    return drawn


def _draw_again(
    draw: Draw,
    tables: Tables,
    state: UInt64Array,
    drawn: Drawn,
    pending: NDArray[np.intp],
    numbers: UInt64Array,
) -> NDArray[np.intp]:
    """Attempts `numbers` at the rows `pending`: the first that fits is kept. The rows left."""
    memory = own_memory()
    rows, attempts = pending, numbers
    if len(numbers) > 1:
        rows, attempts = np.repeat(pending, len(numbers)), np.tile(numbers, pending.size)
    tried = _room(draw, memory, "tried", len(rows))
    drawn.length.take(rows, out=tried.length, mode="clip")
    drawn.nops.take(rows, out=tried.nops, mode="clip")
    _draw(draw, tables, memory, state.take(rows), attempts, tried)
    fits_PxA = _belongs(draw, tables, memory, tried).reshape(pending.size, len(numbers))
    found = fits_PxA.any(axis=1)
    chosen = np.flatnonzero(found) * len(numbers) + fits_PxA[found].argmax(axis=1)
    accepted = pending[found]
    for kept, new in ((drawn.codes, tried.codes), (drawn.letters, tried.letters)):
        for kept_N, new_N in zip(kept, new, strict=True):
            kept_N[accepted] = new_N.take(chosen)
    return pending[~found]


def _room(draw: Draw, memory: Memory, name: str, count: int) -> Drawn:
    """Arrays for `count` questions."""
    return Drawn(
        memory.array(f"{name} codes", draw.nops[1], count, dtype=np.intp),
        memory.array(f"{name} letters", draw.length[1], count, dtype=np.uint8),
        memory.array(f"{name} length", count, dtype=np.uint8),
        memory.array(f"{name} nops", count, dtype=np.uint16),
    )


def _draw(
    draw: Draw,
    tables: Tables,
    memory: Memory,
    state: UInt64Array,
    attempts: UInt64Array | None,
    out: Drawn,
) -> None:
    """One attempt at each row: the first (None), or a later one, when length and nops stand."""
    digits = _Digits(draw, memory, state, attempts)
    for limits, planned in ((draw.length, out.length), (draw.nops, out.nops)):
        drawn = _ranged(digits, limits)
        if attempts is None:
            np.copyto(planned, drawn, casting="unsafe")
    _draw_codes(draw, tables, memory, digits, out)
    _draw_letters(draw, memory, digits, out)


def _ranged(digits: "_Digits", limits: tuple[int, int]) -> NDArray[np.intp]:
    """A number within limits, from the next digit; overwritten by the one after it."""
    low, high = limits
    if low == high:
        digits.skip()
        return np.array([low])
    number = digits.next(high - low + 1)
    number += low
    return number


def _draw_codes(draw: Draw, tables: Tables, memory: Memory, digits: "_Digits", out: Drawn) -> None:
    """The operations."""
    word, base, limit = memory.array("step words", 3, len(out.length))
    going_on = memory.array("going on", len(out.length), dtype=np.bool_)
    tables.start.take(out.length, out=word, mode="clip")
    for step, codes in enumerate(out.codes):
        if step:
            tables.step.take(out.codes[step - 1], out=word, mode="clip")
        if step >= draw.nops[0]:
            # END is the least of all words. A mask would cost more: no processor can guess it.
            np.greater(out.nops, step, out=going_on)
            np.multiply(going_on, np.uint64(MASK_64 - END), out=limit)
            np.add(limit, np.uint64(END), out=limit)
            np.minimum(word, limit, out=word)
        np.bitwise_and(word, BASE_MASK, out=base)
        np.right_shift(word, np.uint64(BASE_BITS), out=word)
        np.add(digits.next(word), base.view(np.int64), out=codes)


def _draw_letters(draw: Draw, memory: Memory, digits: "_Digits", out: Drawn) -> None:
    """The letters."""
    moves = memory.array("moves", *out.letters.shape, dtype=np.bool_)
    for place, letters in enumerate(out.letters):
        np.copyto(letters, digits.next(draw.num_items - place), casting="unsafe")
    # Each digit counts the letters that remain: the ones before it move it up, the last one first.
    for place in range(len(out.letters) - 2, -1, -1):
        later, moved = out.letters[place + 1 :], moves[place + 1 :]
        np.greater_equal(later, out.letters[place], out=moved)
        np.add(later, moved, out=later)
    np.add(out.letters, np.uint8(ord("A")), out=out.letters)
    for place in range(draw.length[0], draw.length[1]):
        np.greater(out.length, place, out=moves[0])
        np.multiply(out.letters[place], moves[0], out=out.letters[place])


class _Digits:
    """The digits of each row's attempt, in the order of drawing (see `oracle.Digits`)."""

    def __init__(
        self, draw: Draw, memory: Memory, state: UInt64Array, attempts: UInt64Array | None
    ) -> None:
        self.halves = iter(draw.halves)
        self.half = -1
        self.state = state
        self.first_words = None
        if attempts is not None:
            self.first_words = attempts * np.uint64(draw.words_per_attempt)
        self.words, self.fraction, self.scratch = memory.array("digits", 3, len(state))

    def next(self, radix: int | UInt64Array) -> NDArray[np.intp]:
        """The next digit of every row, from 0 to radix - 1; overwritten by the next one."""
        self.skip()
        np.multiply(self.fraction, radix, out=self.fraction)
        np.right_shift(self.fraction, HALF_BITS, out=self.scratch)
        np.bitwise_and(self.fraction, LOW_HALF, out=self.fraction)
        return self.scratch.view(np.int64)

    def skip(self) -> None:
        """Go on by a digit of radix 1, which says nothing and changes nothing."""
        half = next(self.halves)
        if half == self.half:
            return
        self.half = half
        if half % 2:
            np.bitwise_and(self.words, LOW_HALF, out=self.fraction)
            return
        if self.first_words is not None:
            numbers = self.first_words + np.uint64(half // 2)
            np.multiply(numbers, np.uint64(GOLDEN), out=numbers)
            np.add(self.state, numbers, out=self.words)
            mix64_array(self.words, self.scratch)
        elif half:
            np.add(self.state, np.uint64(GOLDEN * (half // 2) & MASK_64), out=self.words)
            mix64_array(self.words, self.scratch)
        else:
            np.copyto(self.words, self.state)  # word 0 is the row's state itself
        np.right_shift(self.words, HALF_BITS, out=self.fraction)


def _belongs(draw: Draw, tables: Tables, memory: Memory, drawn: Drawn) -> BoolArray:
    """Which of these questions are of the split (see `splits.split_of`)."""
    question, flags, mark, scratch = memory.array("hashes", 4, len(drawn.length))
    question.fill(0)
    flags.fill(0)
    for codes, power in zip(drawn.codes, tables.operation_powers, strict=True):
        tables.mark.take(codes, out=mark, mode="clip")
        np.right_shift(mark, np.uint64(VALUE_BITS), out=scratch)
        np.add(flags, scratch, out=flags)
        np.bitwise_and(mark, VALUE_MASK, out=mark)
        np.multiply(mark, power, out=mark)
        np.add(question, mark, out=question)
    possible: BoolArray | None = None
    if draw.nops[1] >= UNSEEN_MIN_OPS:
        np.bitwise_xor(question, np.uint64(SALT_P), out=mark)
        mix64_array(mark, scratch)
        possible = mark >= BUCKET
        possible |= flags < np.uint64(UNSEEN_MIN_OPS << REACH_BITS)
        np.bitwise_and(flags, REACH_MASK, out=scratch)
        possible |= scratch == 0
        if draw.split == "test_programs":
            np.logical_not(possible, out=possible)
    if draw.complete:
        complete = flags >> np.uint64(REACH_BITS) == drawn.nops
        possible = complete if possible is None else possible & complete
    if draw.split == "test_programs":  # whatever the letters; there are none of fewer operations
        assert possible is not None
        return possible
    for letters, power in zip(drawn.letters, tables.letter_powers, strict=True):
        np.copyto(mark, letters)
        np.multiply(mark, power, out=mark)
        np.add(question, mark, out=question)
    np.bitwise_xor(question, np.uint64(SALT_Q), out=question)
    mix64_array(question, scratch)
    if draw.split == "train":
        fits = question >= 2 * BUCKET
    elif draw.split == "validation":
        fits = question < BUCKET
    else:
        fits = (question >= BUCKET) & (question < 2 * BUCKET)
    return fits if possible is None else fits & possible
