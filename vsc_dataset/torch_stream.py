"""Samples as tensors that any model takes as they are: a stream, its loader, and a collator."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from vsc_dataset.checking import check_choice, check_int
from vsc_dataset.configs import TaskConfig, as_config
from vsc_dataset.encoding import Samples, encode_all
from vsc_dataset.language import parse
from vsc_dataset.sampling import sample
from vsc_dataset.stream import MAX_START, TrainingStream
from vsc_dataset.vocabulary import IGNORED, OBJECTIVES

SINGLE_IDS = 2**15
"""Ids of the single samples whose tensors are made at once."""


def to_tensors(samples: Samples, objective: str = "fill") -> dict[str, torch.Tensor]:
    """Make what a model is called with to train the answer.

    Args:
      samples: N of them.
      objective: "fill": the answer field is masked, and position i predicts id i. "next-token":
        the row with its answer, for causal models, which shift the labels themselves; likewise
        "scratchpad", where the states count as well.
    Returns:
      input_ids, labels, which are -100 before the answer field (its padding counts), and
      attention_mask, 0 on row padding; int64 (N, L).

    >>> from vsc_dataset import sample
    >>> to_tensors(sample("swap-nops2", "train", 1))["labels"][0, -6:].tolist()
    [-100, 74, 84, 70, 79, 87]
    """
    check_choice("objective", objective, OBJECTIVES)
    if objective == "scratchpad":
        samples = samples.with_scratchpads()
    labels = torch.from_numpy(samples.labels.astype("int64"))
    input_ids = (
        labels if objective != "fill" else torch.from_numpy(samples.input_ids.astype("int64"))
    )
    return {
        "input_ids": input_ids,
        "labels": labels.masked_fill(torch.from_numpy(~samples.completion_mask), IGNORED),
        "attention_mask": torch.from_numpy(samples.attention_mask.astype("int64")),
    }


class TorchTrainingStream(IterableDataset[dict[str, torch.Tensor]]):
    """Stream the batches of a TrainingStream, in its order, as tensors for `model(**batch)`.

    It goes on: each pass over it begins where the one before ended. `position` is the number of
    the next sample; it can be set, and is all that `state_dict` holds, as torchdata's
    StatefulDataLoader reads it.

    Args:
      config, settings: as for TrainingStream, `every` excepted.
      batch_size: samples of a batch, over all ranks; give the loader batch_size=None. None gives
        single samples (L,) to loaders that batch them, as transformers' Trainer does; Trainer
        shares them among its processes itself, so leave rank and world_size out.
      objective: see `to_tensors`.
    Yields:
      The tensors of `to_tensors`.
    Raises:
      ValueError: an impossible setting, or a second pass with workers that `loader` did not make.

    >>> stream = TorchTrainingStream("default", 64)
    >>> next(iter(stream.loader()))["input_ids"].shape, stream.position
    (torch.Size([64, 31]), 64)
    """

    def __init__(
        self,
        config: TaskConfig | str,
        batch_size: int | None,
        objective: str = "fill",
        **settings: Any,
    ) -> None:
        if "every" in settings:
            raise ValueError("every is the number of the loader's workers: leave it out")
        if batch_size is None and settings.get("world_size", 1) != 1:
            raise ValueError("single samples are shared by the trainer: leave world_size out")
        self.single = batch_size is None
        self.objective = check_choice("objective", objective, OBJECTIVES)
        if objective == "scratchpad":
            settings["scratchpad"] = True
        start = settings.pop("start", 0)
        batch_size = 1 if batch_size is None else batch_size
        self.settings = {"config": config, "batch_size": batch_size, **settings}
        self._stream = TrainingStream(**self.settings, start=start)
        self._worker_position: int | None = None
        self._begun = torch.full((1,), -1).share_memory_()  # where workers last began

    @property
    def position(self) -> int:
        """Number of the sample with which the next pass goes on."""
        return self._stream.position

    @position.setter
    def position(self, sample: int) -> None:
        self._stream.position = sample
        self._begun[0] = -1

    def state_dict(self) -> dict[str, int | None]:
        """Return the position, of a loader's worker its own as well."""
        return {"position": self.position, "worker_position": self._worker_position}

    def load_state_dict(self, state: Mapping[str, int | None]) -> None:
        """Go on from a position that `state_dict` gave, in constant time."""
        self.position = check_int("position", state.get("position"), 0, MAX_START)
        self._worker_position = state.get("worker_position")

    def __iter__(self) -> Iterator[dict[str, torch.Tensor]]:
        worker = get_worker_info()
        if worker is None:
            yield from self._pass(self._stream)
            return
        start = self._worker_position
        if start is None:
            if worker.id == 0:
                self._refuse_second_pass(worker.num_workers)
            start = self.position + worker.id * self._stream.batch_size
        stream = TrainingStream(**self.settings, start=start, every=worker.num_workers)
        for tensors in self._pass(stream):
            self._worker_position = stream.position
            yield tensors

    def _pass(self, stream: TrainingStream) -> Iterator[dict[str, torch.Tensor]]:
        """Yield batches, or single samples, whose position is then that of the stream."""
        width = stream.config.padded_width(stream.pad_to, stream.scratchpad)
        count = max(1, SINGLE_IDS // width)
        while self.single:  # tensors of one sample each take most of the time
            rows = range(stream.position, stream.position + count * stream.every, stream.every)
            samples = sample(
                stream.config,
                "train",
                rows,
                stream.seed,
                stream.pad_to,
                scratchpad=stream.scratchpad,
            )
            tensors = to_tensors(samples, self.objective)
            for k, row in enumerate(rows):
                stream.position = row + stream.every
                yield {name: tensor[k] for name, tensor in tensors.items()}
                if stream.position != row + stream.every:  # it was set
                    break
        for samples in stream:
            yield to_tensors(samples, self.objective)

    def _refuse_second_pass(self, workers: int) -> None:
        """Raise a ValueError where the same batches would be given again."""
        if self._begun.item() == self.position:
            hint = f"use stream.loader(num_workers={workers})"
            if self.single:
                hint = "make one pass, or a stream with another start"
            raise ValueError(
                "only the loader knows which of its workers' batches it has handed out, so a "
                f"second pass would begin anew: {hint}"
            )
        self._begun[0] = self.position

    def loader(self, num_workers: int = 0, **settings: Any) -> "StreamLoader":
        """Make a DataLoader that goes on at each pass, with any number of workers."""
        return StreamLoader(self, num_workers=num_workers, **settings)


class StreamLoader(DataLoader[dict[str, torch.Tensor]]):
    """A DataLoader of batches which tells its stream how far they were handed out.

    Args:
      stream: whose `position` is kept; its state_dict restores the loader as well.
      settings: of DataLoader: num_workers, pin_memory, prefetch_factor and others.
    Raises:
      ValueError: a batch_size, or persistent_workers, which would not begin at a position.

    >>> loader = StreamLoader(TorchTrainingStream("default", 64))
    >>> next(iter(loader))["labels"].shape, loader.stream.position
    (torch.Size([64, 31]), 64)
    """

    def __init__(self, stream: TorchTrainingStream, **settings: Any) -> None:
        if settings.get("persistent_workers"):
            raise ValueError("persistent_workers is True: workers begin each pass at a position")
        if settings.setdefault("batch_size", None) is not None or stream.single:
            raise ValueError("the stream makes the batches: give it the batch_size")
        super().__init__(stream, **settings)
        self.stream = stream

    def __iter__(self) -> Iterator[dict[str, torch.Tensor]]:  # type: ignore[override]
        position = self.stream.position
        self.stream.position = position
        for batch in super().__iter__():
            if self.num_workers:
                position += self.stream.settings["batch_size"]
                self.stream.position = position
            yield batch


class Collator:
    """Collate rows of `load_dataset`, or samples of a stream without `batch_size`, to a batch.

    Its tensors train the answer and hide row padding. Collators of transformers take every id of
    padding for row padding; here it is the space, which questions contain and answers learn. With
    Trainer, set remove_unused_columns=False.

    Args:
      config: a TaskConfig or the name of one: layout, answer field and width of rows.
      objective: "fill" for masked models, the others for causal ones; see `to_tensors`.

    >>> collate = Collator("swap-nops2", "next-token")
    >>> bytes(collate([{"question": "FJTOW:3>1 2>1"}])["input_ids"][0].tolist())
    b'FJTOW:3>1 2>1:JTFOW'
    """

    def __init__(self, config: TaskConfig | str, objective: str = "fill") -> None:
        self.config = as_config(config)
        self.objective = check_choice("objective", objective, OBJECTIVES)

    def __call__(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, torch.Tensor]:
        """Collate N rows with a `question`, or N that are tensors already; see `to_tensors`."""
        if all("question" not in row and "attention_mask" in row for row in rows):
            if rows and (shape := tuple(rows[0]["input_ids"].shape))[1:]:
                raise ValueError(
                    f"a row's input_ids have the shape {shape}: give the stream batch_size=None"
                )
            return {name: torch.stack([row[name] for row in rows]) for name in rows[0]}
        if any("question" not in row for row in rows):
            raise ValueError(
                "a row has no column 'question': load_dataset(\"vsc\", …) gives it, and Trainer "
                "keeps it with remove_unused_columns=False"
            )
        programs = [parse(row["question"], self.config.layout) for row in rows]
        width, is_scratchpad = self.config.row_width, self.objective == "scratchpad"
        if is_scratchpad:
            width = self.config.scratchpad_width
        samples = encode_all(programs, width, self.config.answer_width, scratchpad=is_scratchpad)
        return to_tensors(samples, self.objective)
