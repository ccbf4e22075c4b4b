"""Generate the samples of a split at any indices, fast: whole blocks of them as numpy arrays."""

from collections.abc import Iterable
from numbers import Integral

import numpy as np
from numpy.typing import NDArray

from vsc_dataset.checking import check_bool, check_int
from vsc_dataset.configs import TaskConfig, as_config
from vsc_dataset.encoding import Samples
from vsc_dataset.generator.buffers import thread_buffers
from vsc_dataset.generator.draw import CACHED_SAMPLES, ProgramBatch, draw_programs
from vsc_dataset.generator.hashing import UInt64Array, sample_state_array
from vsc_dataset.generator.lookup import LookupTables, make_lookup_tables
from vsc_dataset.generator.render import render_samples
from vsc_dataset.generator.spec import SampleSpec
from vsc_dataset.generator.trace import write_scratchpads, write_targets
from vsc_dataset.language import quote

BLOCK = 131_072
"""Samples that are made at once: enough that a few drawn again do not delay all others."""

BLOCK_BYTES = 2**23
"""Long programs are made in smaller blocks, of this many bytes of operation codes."""


def sample(
    config: TaskConfig | str,
    split: str,
    indices: int | Iterable[int] | NDArray[np.integer],
    seed: int = 0,
    pad_to: int | None = None,
    targets: bool = False,
    scratchpad: bool = False,
) -> Samples:
    """Generate the samples of a split at `indices`: a pure function of its arguments.

    Args:
      config: a TaskConfig or the name of one.
      split: one of `config.splits`.
      indices: sample numbers from 0, any order, any number; they need not be below `num_train`. A
        number n stands for range(n).
      seed: enters the training samples alone; 0 is what `load_dataset` gives.
      pad_to: the width of rows in ids, `config.row_width` (L) or more.
      targets: make the dense targets as well (see `Samples`).
      scratchpad: write the state after each operation before the answer.
    Returns:
      N samples as arrays of (N, L).
    Raises:
      ValueError: no such configuration or split, a negative index, or a sample for which no
        question fell into the split in SampleSpec.max_attempts attempts.

    >>> samples = sample("swap-nops5", "validation", [0])
    >>> samples.questions(), samples.answers()
    (['ZIYFQ:5>3 5>1 1>2 5>4 5>2'], ['IFQZY'])
    """
    config = as_config(config)
    spec, numbers = config.sample_spec(split), _as_indices(indices)
    key, targets = spec.key(check_int("seed", seed, 0)), check_bool("targets", targets)
    scratchpad = check_bool("scratchpad", scratchpad)
    pad_to = config.padded_width(pad_to, scratchpad)
    if targets and scratchpad:
        raise ValueError("targets and scratchpad are both True: rows with states have no targets")
    tables, buffers = make_lookup_tables(spec, config.layout), thread_buffers()
    rows = _Rows(config, len(numbers), pad_to, targets, scratchpad)
    size = max(1, min(BLOCK, BLOCK_BYTES // (8 * spec.nops[1] + 1)))
    for start in range(0, len(numbers), size):
        block = numbers[start : start + size]
        state, scratch = buffers.array("state", 2, len(block))
        sample_state_array(key, block, state, scratch)
        programs = draw_programs(spec, tables, state)
        for first in range(0, len(block), CACHED_SAMPLES):
            part = programs.part(slice(first, first + CACHED_SAMPLES))
            rows.write(start + first, part, tables, spec)
    return rows.samples()


class _Rows:
    """The arrays of `count` samples, written a part at a time."""

    def __init__(
        self, config: TaskConfig, count: int, width: int, targets: bool, scratchpad: bool
    ) -> None:
        self.config, vocabulary = config, config.vocabulary
        plain = config.row_width if scratchpad else width
        self.ids_2xNxW = np.empty((2, count, -(-plain * vocabulary.id_bytes // 8)), np.uint64)
        self.mask_NxM = np.empty((count, -(-plain // 8)), np.uint64)
        input_ids, labels = self.ids_2xNxW.view(vocabulary.dtype)[:, :, :plain]
        self.rows = input_ids, labels, self.mask_NxM.view(np.bool_)[:, :plain]
        self.scratchpads: list[NDArray] = []
        if scratchpad:
            self.scratchpads = [np.empty((count, width), array.dtype) for array in self.rows]
        self.targets_NxL = np.zeros((count, plain + 1), vocabulary.dtype) if targets else None
        self.length, self.nops = np.empty(count, np.uint8), np.empty(count, np.uint16)

    def write(
        self, start: int, programs: ProgramBatch, tables: LookupTables, spec: SampleSpec
    ) -> None:
        """Write the rows of programs from sample `start` on."""
        config, part = self.config, slice(start, start + len(programs.length))
        ids, mask = self.ids_2xNxW[:, part], self.mask_NxM[part]
        self.nops[part] = render_samples(programs, tables, config, spec, ids, mask)
        self.length[part] = programs.length
        if self.targets_NxL is not None:
            write_targets(programs, tables, config.vocabulary, self.targets_NxL[part])
        if self.scratchpads:
            rows = [array[part] for array in self.rows[1:]]
            out = [array[part] for array in self.scratchpads]
            write_scratchpads(programs, tables, config.vocabulary, rows, out)

    def samples(self) -> Samples:
        """Return the samples."""
        input_ids, labels, answer_mask = self.scratchpads or self.rows
        targets = None if self.targets_NxL is None else self.targets_NxL[:, :-1]
        layout, length, nops = self.config.layout, self.length, self.nops
        return Samples(input_ids, labels, answer_mask, length, nops, layout, targets)


def _as_indices(indices: int | Iterable[int] | NDArray[np.integer]) -> UInt64Array:
    """Convert indices to an array; ValueError where one is negative or not a whole number."""
    if isinstance(indices, Integral) and not isinstance(indices, bool):
        return np.arange(check_int("the number of samples", indices, 0), dtype=np.uint64)
    if isinstance(indices, str | bytes) or not isinstance(indices, Iterable):
        raise ValueError(f"indices is {quote(indices)}: give whole numbers, or how many from 0 on")
    if isinstance(indices, np.ndarray):
        array = indices
    else:
        array = np.asarray(numbers := list(indices))
        if array.dtype.kind not in "iu":  # as numpy takes whole numbers of several types
            array = np.array([check_int("index", i, 0, 2**64 - 1) for i in numbers], np.uint64)
    if array.size == 0:
        return np.zeros(0, np.uint64)
    if array.ndim != 1 or array.dtype.kind not in "iu":
        raise ValueError(f"indices must be whole numbers in one dimension, not {array.dtype}")
    if array.dtype.kind == "i" and array.min() < 0:
        raise ValueError(f"index {array.min()} is negative: rows count from 0")
    return array.astype(np.uint64, copy=False)
