"""This process's batches of endless training data."""

from collections.abc import Iterator

import numpy as np

from vsc_dataset.checking import check_bool, check_int
from vsc_dataset.configs import TaskConfig, as_config
from vsc_dataset.encoding import Samples
from vsc_dataset.sampling import sample

BLOCK = 16_384
"""Samples that are drawn at once, and handed out in slices."""

MAX_START = 2**63 - 1
"""Samples have numbers below 2^64: a stream that begins here reaches no end."""

MAX_BATCH, MAX_EVERY = 2**28, 2**16
"""More would not fit into memory, or into a sample's number."""


class TrainingStream(Iterator[Samples]):
    """Endless batches of the split `train`; the whole state is the integer `position`.

    It can be read, and set: the next batch begins there.

    Batch b is samples b * batch_size to (b + 1) * batch_size - 1 of the split; rank r takes every
    `world_size`-th of them from r on. So any number of processes sees the same batches, and a
    stream that starts at another one's `position` goes on exactly where that one stopped.

    Args:
      config: a TaskConfig or the name of one.
      batch_size: samples of a batch, over all ranks together.
      seed: another stream; 0 is what `load_dataset` gives.
      start: the first sample.
      rank, world_size: which process this is, and of how many.
      every: only each `every`-th batch, from `start` on; the workers of a loader share them so.
      pad_to: the width of rows in ids, L or more.
      targets, scratchpad: as for `sample`.
    Yields:
      Samples, batch_size // world_size of them.
    Raises:
      ValueError: the ranks cannot share a batch evenly, or a number is out of range.

    >>> stream = TrainingStream("swap-nops5", batch_size=64)
    >>> len(next(stream)), stream.position
    (64, 64)
    """

    def __init__(
        self,
        config: TaskConfig | str,
        batch_size: int,
        seed: int = 0,
        start: int = 0,
        rank: int = 0,
        world_size: int = 1,
        every: int = 1,
        pad_to: int | None = None,
        targets: bool = False,
        scratchpad: bool = False,
    ) -> None:
        self.batch_size = check_int("batch_size", batch_size, 1, MAX_BATCH)
        self.seed = check_int("seed", seed, 0)
        self._position = check_int("start", start, 0, MAX_START)
        self.world_size = check_int("world_size", world_size, 1)
        self.every = check_int("every", every, 1, MAX_EVERY)
        self.targets = check_bool("targets", targets)
        self.scratchpad = check_bool("scratchpad", scratchpad)
        self.rank = check_int("rank", rank, 0, world_size - 1)
        if batch_size % world_size:
            raise ValueError(
                f"batch_size {batch_size} cannot be shared evenly by {world_size} processes: "
                f"use a multiple of {world_size}"
            )
        self.config = as_config(config)
        self.config.sample_spec("train")
        self.config.padded_width(pad_to, scratchpad)
        self.pad_to = pad_to
        self._block: Samples | None = None
        self._at = 0

    @property
    def position(self) -> int:
        """Number of the sample with which the next batch begins."""
        return self._position

    @position.setter
    def position(self, sample: int) -> None:
        self._position, self._block = check_int("position", sample, 0, MAX_START), None

    def __next__(self) -> Samples:
        size = self.batch_size // self.world_size
        if self._block is None or self._at == len(self._block):
            batches = np.arange(max(BLOCK // size, 1), dtype=np.uint64)
            indices = batches[:, None] * np.uint64(self.every * self.batch_size)
            ranks = np.arange(self.rank, self.batch_size, self.world_size, dtype=np.uint64)
            indices = indices + ranks + np.uint64(self._position)
            kind = {"targets": self.targets, "scratchpad": self.scratchpad}
            self._block = sample(
                self.config, "train", indices.ravel(), self.seed, self.pad_to, **kind
            )
            self._at = 0
        batch = self._block[self._at : self._at + size]
        self._at += size
        self._position += self.every * self.batch_size
        return batch
