"""A configuration, a split and indices -> Examples, fast: whole blocks of rows as numpy arrays.

A block goes through three steps: digits become operation codes and letters (`_draw`); the rows
whose question is not of the split are drawn again (`_accepted`); the rest is executed and printed
(`_print`). Arrays of a block have the row as their last axis (K steps or H places x N rows) so that
every numpy call runs along memory.
"""

from collections.abc import Iterable
from typing import NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from vsc_dataset.configs import MAX_ATTEMPTS, Draw, TaskConfig, make_config
from vsc_dataset.encoding import MASK, PAD, Examples
from vsc_dataset.hashing import GOLDEN, UInt64Array, mix64_array
from vsc_dataset.language import LAYOUTS
from vsc_dataset.splits import BUCKET_SHIFT, SALT_P, SALT_Q, UNSEEN_MIN_OPS
from vsc_dataset.tables import Tables, make_tables

BLOCK = 16_384
"""Rows that are made at once: few enough that their arrays stay in a core's cache."""


BoolArray = NDArray[np.bool_]


class Drawn(NamedTuple):
    """N drawn questions: codes of operations (K, N), letters 0 to 25 (H, N), lengths, nops (N,)."""

    codes: NDArray[np.intp]
    letters: NDArray[np.uint8]
    length: NDArray[np.intp]
    nops: NDArray[np.intp]


def sample(
    config: TaskConfig | str,
    split: str,
    indices: Iterable[int] | NDArray[np.integer],
    seed: int = 0,
    pad_to: int | None = None,
) -> Examples:
    """The rows of a split at `indices`: a pure function of its arguments.

    Args:
      config: a TaskConfig or the name of one.
      split: one of `config.splits`.
      indices: row numbers from 0, any order, any number; they need not be below `num_train`.
      seed: enters the training rows alone; 0 is what `load_dataset` gives.
      pad_to: the width of rows in bytes, `config.row_width` (L) or more.
    Returns:
      N examples as arrays of (N, L).
    Raises:
      ValueError: no such configuration or split, a negative index, or a row for which no question
        fell into the split after MAX_ATTEMPTS attempts.

    >>> examples = sample("swap-nops5", "validation", [0])
    >>> examples.questions(), examples.answers()
    (['ZIYFQ:5>3 5>1 1>2 5>4 5>2'], ['IFQZY'])
    """
    config = make_config(config) if isinstance(config, str) else config
    draw, rows = config.draw(split), _as_indices(indices)
    width = config.padded_width(pad_to)
    key, tables = draw.key(seed), make_tables(draw, config.layout)
    examples = _allocate(len(rows), width, config.layout)
    for start in range(0, len(rows), BLOCK):
        block = slice(start, start + BLOCK)
        state = rows[block] * np.uint64(GOLDEN) + np.uint64(key)
        mix64_array(state, np.empty_like(state))
        _print(_accepted(draw, tables, state), tables, config, examples[block])
    return examples


def _as_indices(indices: Iterable[int] | NDArray[np.integer]) -> UInt64Array:
    """Row numbers as an array; ValueError where one is negative or no whole number."""
    array = np.asarray(indices if isinstance(indices, np.ndarray) else list(indices))
    if array.size == 0:
        return np.zeros(0, np.uint64)
    if array.ndim != 1 or array.dtype.kind not in "iu":
        raise ValueError(f"indices must be whole numbers in one dimension, not {array.dtype}")
    if array.dtype.kind == "i" and array.min() < 0:
        raise ValueError(f"index {array.min()} is negative: rows count from 0")
    return array.astype(np.uint64)


def _allocate(count: int, width: int, layout: str) -> Examples:
    """Room for `count` examples, in one block of memory."""
    memory = np.empty((3, count, width), np.uint8)
    return Examples(
        input_ids=memory[0],
        labels=memory[1],
        answer_mask=memory[2].view(np.bool_),
        length=np.empty(count, np.uint8),
        nops=np.empty(count, np.uint16),
        layout=layout,
    )


def _accepted(draw: Draw, tables: Tables, state: UInt64Array) -> Drawn:
    """Draw every row of a block until its question belongs to the split."""
    drawn = _draw(draw, tables, state, np.zeros(1, np.uint64), None)
    pending = np.flatnonzero(~_belongs(draw, tables, drawn))
    attempt = 1
    while pending.size:
        # Few rows left: try several attempts of each at once, and take the first that fits.
        attempts = min(max(1, BLOCK // 4 // pending.size), MAX_ATTEMPTS - attempt)
        if attempts == 0:
            raise draw.too_rare(int(drawn.length[pending[0]]), int(drawn.nops[pending[0]]))
        numbers = np.tile(np.arange(attempt, attempt + attempts, dtype=np.uint64), pending.size)
        rows = np.repeat(pending, attempts)
        planned = drawn.length[rows], drawn.nops[rows]
        tried = _draw(draw, tables, state[rows], numbers, planned)
        fits_PxA = _belongs(draw, tables, tried).reshape(pending.size, attempts)
        found = fits_PxA.any(axis=1)
        chosen = np.flatnonzero(found) * attempts + fits_PxA[found].argmax(axis=1)
        drawn.codes[:, pending[found]] = tried.codes[:, chosen]
        drawn.letters[:, pending[found]] = tried.letters[:, chosen]
        pending, attempt = pending[~found], attempt + attempts
    return drawn


def _draw(
    draw: Draw,
    tables: Tables,
    state: UInt64Array,
    attempts: UInt64Array,
    planned: tuple[NDArray[np.intp], NDArray[np.intp]] | None,
) -> Drawn:
    """One attempt at each row; a later one is given attempt 0's length and nops as `planned`."""
    digits = _Digits(draw, state, attempts)
    (length_lo, length_hi), (nops_lo, nops_hi) = draw.length, draw.nops
    length = digits.next(length_hi - length_lo + 1) + length_lo
    nops = digits.next(nops_hi - nops_lo + 1) + nops_lo
    if planned:
        length, nops = planned
    codes_KxN = np.empty((nops_hi, len(state)), np.intp)
    n = length.copy()
    for step in range(nops_hi):
        situation = (2 * n + (n < length)) * (step < nops) * (n > 0)
        digit = digits.next(tables.radix_S[situation])
        tables.code_SxR.take(situation * tables.max_radix + digit, out=codes_KxN[step], mode="clip")
        n += tables.change_C.take(codes_KxN[step])
    letters_HxN = np.empty((length_hi, len(state)), np.uint8)
    for place in range(length_hi):
        letters_HxN[place] = digits.next(draw.num_items - place)
    # Each digit counts the letters that remain: the ones before it move it up, the last one first.
    for place in range(length_hi - 2, -1, -1):
        later = letters_HxN[place + 1 :]
        later += later >= letters_HxN[place]
    return Drawn(codes_KxN, letters_HxN, length, nops)


class _Digits:
    """The digits of each row's attempt, in the order of drawing (see `oracle.Digits`)."""

    def __init__(self, draw: Draw, state: UInt64Array, attempts: UInt64Array) -> None:
        self.halves = iter(draw.halves)
        self.half = -1
        self.state = state
        self.first_words = attempts * np.uint64(draw.words_per_attempt)
        self.words = np.empty_like(state)
        self.fraction = np.empty_like(state)
        self.scratch = np.empty_like(state)

    def next(self, radix: int | UInt64Array) -> NDArray[np.intp]:
        """The next digit of every row, from 0 to radix - 1."""
        half = next(self.halves)
        if half != self.half:
            self._open(half)
        self.fraction *= np.asarray(radix, np.uint64)
        digit = (self.fraction >> np.uint64(32)).view(np.int64)
        self.fraction &= np.uint64(0xFFFFFFFF)
        return digit

    def _open(self, half: int) -> None:
        """Begin with another half of the words."""
        self.half = half
        if half % 2 == 0:
            numbers = self.first_words + np.uint64(half // 2)
            np.add(self.state, numbers * np.uint64(GOLDEN), out=self.words)
            mix64_array(self.words, self.scratch)
            first = numbers == 0  # word 0 is the row's state itself
            if first.any():
                np.copyto(self.words, self.state, where=first)
            np.right_shift(self.words, np.uint64(32), out=self.fraction)
        else:
            np.bitwise_and(self.words, np.uint64(0xFFFFFFFF), out=self.fraction)


def _belongs(draw: Draw, tables: Tables, drawn: Drawn) -> BoolArray:
    """Which of these questions are of the split (see `splits.split_of`)."""
    program = np.zeros(drawn.length.shape, np.uint64)
    executed = np.zeros(drawn.length.shape, np.intp)
    reaches = np.zeros(drawn.length.shape, np.bool_)
    for codes, power in zip(drawn.codes, tables.operation_powers, strict=True):
        program += tables.value_C.take(codes) * power
        executed += codes > 0
        reaches |= tables.reaches_C.take(codes)
    scratch = np.empty_like(program)
    unseen = program ^ np.uint64(SALT_P)
    mix64_array(unseen, scratch)
    is_unseen = reaches & (executed >= UNSEEN_MIN_OPS) & (unseen >> np.uint64(BUCKET_SHIFT) == 0)
    if draw.split == "test_programs":
        return cast(BoolArray, is_unseen)
    question = program
    for place, power in enumerate(tables.letter_powers):
        value = (drawn.letters[place] + np.uint8(ord("A"))) * (place < drawn.length)
        question += value.astype(np.uint64) * power
    question ^= np.uint64(SALT_Q)
    mix64_array(question, scratch)
    question >>= np.uint64(BUCKET_SHIFT)
    held = {"validation": question == 0, "test": question == 1, "train": question > 1}
    return cast(BoolArray, held[draw.split] & ~is_unseen)


def _print(drawn: Drawn, tables: Tables, config: TaskConfig, out: Examples) -> None:
    """Execute the programs and write the rows."""
    count, width = out.labels.shape
    layout = LAYOUTS[config.layout]
    separator = np.frombuffer(layout.after_letters.encode(), np.uint8)
    # Tokens are written at their full width and overwritten by what follows: room for the last.
    room = tables.token_CxT.shape[1] + len(separator)
    page = np.full((count, width + room), PAD, np.uint8)
    letters_HxN = drawn.letters + np.uint8(ord("A"))
    page[:, : len(letters_HxN)] = letters_HxN.T
    at = np.arange(count) * page.shape[1] + drawn.length
    flat = page.reshape(-1)
    for byte in separator:
        flat[at] = byte
        at += 1
    executed = np.zeros(count, np.intp)
    for codes in drawn.codes:
        tokens_NxT = tables.token_CxT.take(codes, axis=0)
        for k in range(tokens_NxT.shape[1]):
            flat[at + k] = tokens_NxT[:, k]
        at += tables.token_width_C.take(codes)
        executed += codes > 0
    at -= (executed > 0) * len(layout.between_operations)
    for byte in layout.before_answer.encode():
        flat[at] = byte
        at += 1
    answer_NxA = np.full((count, config.answer_width), PAD, np.uint8)
    line_NxH, present = _execute(drawn, tables, letters_HxN)
    answer_NxA[:, : line_NxH.shape[1]] = line_NxH
    answer_NxA[np.arange(config.answer_width) >= present[:, None]] = PAD
    cells = at[:, None] + np.arange(config.answer_width)
    flat[cells] = answer_NxA
    out.labels[:] = page[:, :width]
    flat[cells] = MASK
    out.input_ids[:] = page[:, :width]
    np.equal(out.input_ids, MASK, out=out.answer_mask)
    out.length[:] = drawn.length
    out.nops[:] = executed


def _execute(
    drawn: Drawn, tables: Tables, letters_HxN: NDArray[np.uint8]
) -> tuple[NDArray[np.uint8], NDArray[np.intp]]:
    """The line of cells and stack after all operations (N, H), and the letters present (N,)."""
    line_NxH = np.ascontiguousarray(letters_HxN.T)
    present = drawn.length.copy()
    for codes in drawn.codes:
        line_NxH = np.take_along_axis(line_NxH, tables.line_CxH.take(codes, axis=0), axis=1)
        present += tables.change_C.take(codes)
    return line_NxH, present
