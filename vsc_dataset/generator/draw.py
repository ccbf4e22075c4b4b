"""Draw programs of a split from the states of samples, as codes of operations and letters.

Arrays have the sample as their last axis (K steps or H places x N samples), so that every numpy
call runs along memory. `reference` does the same one sample at a time.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from vsc_dataset.generator.buffers import Buffers, thread_buffers
from vsc_dataset.generator.hashing import GOLDEN, MASK_64, UInt64Array, mix64_array
from vsc_dataset.generator.lookup import BASE_BITS, END, REACH_BITS, VALUE_BITS, LookupTables
from vsc_dataset.generator.spec import Range, SampleSpec
from vsc_dataset.splits import BUCKET_SHIFT, HELD_OUT_MIN_OPS, SALT_P, SALT_Q

BoolArray = NDArray[np.bool_]

LOW_HALF = np.uint64(0xFFFFFFFF)
HALF_BITS = np.uint64(32)
BASE_MASK = np.uint64(2**BASE_BITS - 1)
VALUE_MASK = np.uint64(2**VALUE_BITS - 1)
REACH_MASK = np.uint64(2**REACH_BITS - 1)
BUCKET = np.uint64(1 << BUCKET_SHIFT)
CACHED_SAMPLES = 32_768
"""Samples that are drawn at once: few enough that their arrays stay in a core's cache."""

SPARE_SAMPLES = 2_048
"""While few samples are left, as many attempts again are made at each, up to this many in all."""


class ProgramBatch(NamedTuple):
    """N programs: codes (K, N), letters as bytes or 0 (H, N), length, planned nops (N)."""

    codes: NDArray[np.intp]
    letters: NDArray[np.uint8]
    length: NDArray[np.uint8]
    nops: NDArray[np.uint16]

    @classmethod
    def allocate(cls, spec: SampleSpec, buffers: Buffers, name: str, count: int) -> "ProgramBatch":
        """Allocate arrays for `count` programs, with anything in them."""
        return cls(
            buffers.array(f"{name} codes", spec.nops[1], count, dtype=np.intp),
            buffers.array(f"{name} letters", spec.length[1], count, dtype=np.uint8),
            buffers.array(f"{name} length", count, dtype=np.uint8),
            buffers.array(f"{name} nops", count, dtype=np.uint16),
        )

    def part(self, samples: slice) -> "ProgramBatch":
        """View some of the programs."""
        codes, letters = self.codes[:, samples], self.letters[:, samples]
        return ProgramBatch(codes, letters, self.length[samples], self.nops[samples])


def draw_programs(spec: SampleSpec, tables: LookupTables, state: UInt64Array) -> ProgramBatch:
    """Draw every sample, attempt after attempt, until its question belongs to the split.

    Returns:
      N programs, for N states, in this thread's buffers: the next call overwrites them.
    Raises:
      ValueError: a sample had no such question in spec.max_attempts attempts.
    """
    buffers = thread_buffers()
    programs = ProgramBatch.allocate(spec, buffers, "programs", len(state))
    fits = buffers.array("fits", len(state), dtype=np.bool_)
    for start in range(0, len(state), CACHED_SAMPLES):
        block = slice(start, start + CACHED_SAMPLES)
        draw_attempt(spec, tables, buffers, state[block], None, programs.part(block))
        fits[block] = _in_split(spec, tables, buffers, programs.part(block))
    pending, attempt = np.flatnonzero(~fits), 1
    while pending.size:
        attempts = min(max(1, SPARE_SAMPLES // pending.size), attempt, spec.max_attempts - attempt)
        if attempts == 0:
            raise spec.too_rare(int(programs.length[pending[0]]), int(programs.nops[pending[0]]))
        numbers = np.arange(attempt, attempt + attempts, dtype=np.uint64)
        left = [
            _redraw(spec, tables, state, programs, pending[i : i + CACHED_SAMPLES], numbers)
            for i in range(0, pending.size, CACHED_SAMPLES)
        ]
        pending, attempt = np.concatenate(left), attempt + attempts
    return programs


def _redraw(
    spec: SampleSpec,
    tables: LookupTables,
    state: UInt64Array,
    programs: ProgramBatch,
    pending: NDArray[np.intp],
    numbers: UInt64Array,
) -> NDArray[np.intp]:
    """Attempt samples `pending` again, keep the first that fits; return those that are left."""
    buffers = thread_buffers()
    samples, attempts = pending, numbers
    if len(numbers) > 1:
        samples, attempts = np.repeat(pending, len(numbers)), np.tile(numbers, pending.size)
    tried = ProgramBatch.allocate(spec, buffers, "tried", len(samples))
    programs.length.take(samples, out=tried.length, mode="clip")
    programs.nops.take(samples, out=tried.nops, mode="clip")
    draw_attempt(spec, tables, buffers, state.take(samples), attempts, tried)
    fits_PxA = _in_split(spec, tables, buffers, tried).reshape(pending.size, len(numbers))
    fits = fits_PxA.any(axis=1)
    chosen = np.flatnonzero(fits) * len(numbers) + fits_PxA[fits].argmax(axis=1)
    accepted = pending[fits]
    for old, new in ((programs.codes, tried.codes), (programs.letters, tried.letters)):
        for old_N, new_N in zip(old, new, strict=True):
            old_N[accepted] = new_N.take(chosen)
    return pending[~fits]


def draw_attempt(
    spec: SampleSpec,
    tables: LookupTables,
    buffers: Buffers,
    state: UInt64Array,
    attempts: UInt64Array | None,
    out: ProgramBatch,
) -> None:
    """Attempt each sample once: for the first time (None), or again, with its length and nops."""
    digits = _Digits(spec, buffers, state, attempts)
    for limits, planned in ((spec.length, out.length), (spec.nops, out.nops)):
        drawn = _draw_within(digits, limits)
        if attempts is None:
            np.copyto(planned, drawn, casting="unsafe")
    _draw_codes(spec, tables, buffers, digits, out)
    _draw_letters(spec, buffers, digits, out)


def _draw_within(digits: "_Digits", limits: Range) -> NDArray[np.intp]:
    """Draw a number within limits from the next digit; overwritten by the one after it."""
    low, high = limits
    if low == high:
        digits.skip()
        return np.array([low])
    number = digits.next(high - low + 1)
    number += low
    return number


def _draw_codes(
    spec: SampleSpec, tables: LookupTables, buffers: Buffers, digits: "_Digits", out: ProgramBatch
) -> None:
    """Draw the operations."""
    word, base, limit = buffers.array("step words", 3, len(out.length))
    continues = buffers.array("continues", len(out.length), dtype=np.bool_)
    tables.start.take(out.length, out=word, mode="clip")
    for step, codes in enumerate(out.codes):
        if step:
            tables.step.take(out.codes[step - 1], out=word, mode="clip")
        if step >= spec.nops[0]:
            # END is the least of all words. A mask would cost more: no processor can guess it.
            np.greater(out.nops, step, out=continues)
            np.multiply(continues, np.uint64(MASK_64 - END), out=limit)
            np.add(limit, np.uint64(END), out=limit)
            np.minimum(word, limit, out=word)
        np.bitwise_and(word, BASE_MASK, out=base)
        np.right_shift(word, np.uint64(BASE_BITS), out=word)
        np.add(digits.next(word), base.view(np.int64), out=codes)


def _draw_letters(spec: SampleSpec, buffers: Buffers, digits: "_Digits", out: ProgramBatch) -> None:
    """Draw the letters."""
    moves = buffers.array("moves", *out.letters.shape, dtype=np.bool_)
    if spec.fixed_letters:
        out.letters[:] = np.arange(len(out.letters))[:, None]
    else:
        _draw_alphabet_places(spec, digits, out.letters, moves)
    np.add(out.letters, np.uint8(ord("A")), out=out.letters)
    for position in range(spec.length[0], spec.length[1]):
        np.greater(out.length, position, out=moves[0])
        np.multiply(out.letters[position], moves[0], out=out.letters[position])


def _draw_alphabet_places(
    spec: SampleSpec, digits: "_Digits", letters_HxN: NDArray[np.uint8], moves_HxN: BoolArray
) -> None:
    """Draw distinct numbers from 0 to num_items - 1."""
    for position, letters in enumerate(letters_HxN):
        np.copyto(letters, digits.next(spec.num_items - position), casting="unsafe")
    # Each digit counts the letters that remain: the ones before it move it up, the last one first.
    for position in range(len(letters_HxN) - 2, -1, -1):
        later, moved = letters_HxN[position + 1 :], moves_HxN[position + 1 :]
        np.greater_equal(later, letters_HxN[position], out=moved)
        np.add(later, moved, out=later)


class _Digits:
    """The digits of each sample's attempt, in the order of drawing (see `reference.Digits`)."""

    def __init__(
        self, spec: SampleSpec, buffers: Buffers, state: UInt64Array, attempts: UInt64Array | None
    ) -> None:
        self.halves = iter(spec.halves)
        self.half = -1
        self.state = state
        self.first_words = None
        if attempts is not None:
            self.first_words = attempts * np.uint64(spec.words_per_attempt)
        self.words, self.fraction, self.scratch = buffers.array("digits", 3, len(state))

    def next(self, radix: int | UInt64Array) -> NDArray[np.intp]:
        """Draw the next digit of every sample, from 0 to radix - 1; overwritten by the next one."""
        self.skip()
        np.multiply(self.fraction, radix, out=self.fraction)
        np.right_shift(self.fraction, HALF_BITS, out=self.scratch)
        np.bitwise_and(self.fraction, LOW_HALF, out=self.fraction)
        return self.scratch.view(np.int64)

    def skip(self) -> None:
        """Advance by a digit of radix 1, which says nothing and changes nothing."""
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
            np.copyto(self.words, self.state)  # word 0 is the sample's state itself
        np.right_shift(self.words, HALF_BITS, out=self.fraction)


def _in_split(
    spec: SampleSpec, tables: LookupTables, buffers: Buffers, programs: ProgramBatch
) -> BoolArray:
    """Find which of these samples are of the split (see `splits.split_of`)."""
    question, flags, mark, scratch = buffers.array("hashes", 4, len(programs.length))
    question.fill(0)
    flags.fill(0)
    for codes, power in zip(programs.codes, tables.operation_powers, strict=True):
        tables.mark.take(codes, out=mark, mode="clip")
        np.right_shift(mark, np.uint64(VALUE_BITS), out=scratch)
        np.add(flags, scratch, out=flags)
        np.bitwise_and(mark, VALUE_MASK, out=mark)
        np.multiply(mark, power, out=mark)
        np.add(question, mark, out=question)
    fits = _programs_fit(spec, programs, question, flags, mark, scratch)
    if spec.split == "test_programs":  # whatever the letters
        assert fits is not None  # all have HELD_OUT_MIN_OPS or more operations
        return fits
    for letters, power in zip(programs.letters, tables.letter_powers, strict=True):
        np.copyto(mark, letters)
        np.multiply(mark, power, out=mark)
        np.add(question, mark, out=question)
    np.bitwise_xor(question, np.uint64(SALT_Q), out=question)
    mix64_array(question, scratch)
    if spec.split == "train":
        in_bucket = question >= 2 * BUCKET
    elif spec.split == "validation":
        in_bucket = question < BUCKET
    else:
        in_bucket = (question >= BUCKET) & (question < 2 * BUCKET)
    return in_bucket if fits is None else in_bucket & fits


def _programs_fit(
    spec: SampleSpec,
    programs: ProgramBatch,
    operations_hash: UInt64Array,
    flags: UInt64Array,
    mixed: UInt64Array,
    scratch: UInt64Array,
) -> BoolArray | None:
    """Find which programs can be of the split, whatever their letters; None: all of them."""
    fits: BoolArray | None = None
    if spec.nops[1] >= HELD_OUT_MIN_OPS:
        np.bitwise_xor(operations_hash, np.uint64(SALT_P), out=mixed)
        mix64_array(mixed, scratch)
        fits = mixed >= BUCKET
        fits |= flags < np.uint64(HELD_OUT_MIN_OPS << REACH_BITS)
        np.bitwise_and(flags, REACH_MASK, out=scratch)
        fits |= scratch == 0
        if spec.split == "test_programs":
            np.logical_not(fits, out=fits)
    if spec.complete:
        complete = flags >> np.uint64(REACH_BITS) == programs.nops
        fits = complete if fits is None else fits & complete
    return fits
