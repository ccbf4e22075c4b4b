"""A configuration, a split and indices -> Examples, fast: whole blocks of rows as numpy arrays."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from vsc_dataset.checking import whole
from vsc_dataset.configs import TaskConfig, make_config
from vsc_dataset.drawing import CACHED_ROWS, draw_questions
from vsc_dataset.encoding import Examples
from vsc_dataset.hashing import GOLDEN, UInt64Array, mix64_array
from vsc_dataset.memory import own_memory
from vsc_dataset.printing import print_rows
from vsc_dataset.tables import make_tables

BLOCK = 131_072
"""Rows that are made at once: so many that a few rows drawn again do not hold all others up."""

BLOCK_BYTES = 2**23
"""Long programs are made in smaller blocks, of so many bytes of operation codes."""


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
      N examples as arrays of (N, L), views of one block of memory.
    Raises:
      ValueError: no such configuration or split, a negative index, or a row for which no question
        fell into the split after so many attempts (see Draw.max_attempts).

    >>> examples = sample("swap-nops5", "validation", [0])
    >>> examples.questions(), examples.answers()
    (['ZIYFQ:5>3 5>1 1>2 5>4 5>2'], ['IFQZY'])
    """
    config = make_config(config) if isinstance(config, str) else config
    draw, rows = config.draw(split), _as_indices(indices)
    width = config.padded_width(pad_to)
    key, tables = np.uint64(draw.key(whole("seed", seed, 0))), make_tables(draw, config.layout)
    out_3xNxW = np.empty((3, len(rows), -(-width // 8)), np.uint64)
    length, nops = np.empty(len(rows), np.uint8), np.empty(len(rows), np.uint16)
    memory = own_memory()
    size = max(1, min(BLOCK, BLOCK_BYTES // (8 * draw.nops[1] + 1)))
    for start in range(0, len(rows), size):
        block = slice(start, start + size)
        state, scratch = memory.array("state", 2, len(rows[block]))
        np.multiply(rows[block], np.uint64(GOLDEN), out=state)
        np.add(state, key, out=state)
        mix64_array(state, scratch)
        drawn = draw_questions(draw, tables, state)
        for first in range(0, len(state), CACHED_ROWS):
            part = slice(first, first + CACHED_ROWS)
            out = out_3xNxW[:, block][:, part]
            nops[block][part] = print_rows(drawn.rows(part), tables, config, draw, out)
        length[block] = drawn.length
    input_ids, labels, answer_mask = out_3xNxW.view(np.uint8)[:, :, :width]
    return Examples(input_ids, labels, answer_mask.view(np.bool_), length, nops, config.layout)


def _as_indices(indices: Iterable[int] | NDArray[np.integer]) -> UInt64Array:
    """Row numbers as an array; ValueError where one is negative or no whole number."""
    if isinstance(indices, np.ndarray):
        array = indices
    else:
        array = np.asarray(found := list(indices))
        if array.dtype.kind == "f":  # as numpy takes whole numbers of several types
            array = np.array([whole("index", i, 0, 2**64 - 1) for i in found], np.uint64)
    if array.size == 0:
        return np.zeros(0, np.uint64)
    if array.ndim != 1 or array.dtype.kind not in "iu":
        raise ValueError(f"indices must be whole numbers in one dimension, not {array.dtype}")
    if array.dtype.kind == "i" and array.min() < 0:
        raise ValueError(f"index {array.min()} is negative: rows count from 0")
    return array.astype(np.uint64, copy=False)
