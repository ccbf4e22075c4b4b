"""A TrainingStream as batches of tensors from a DataLoader, with any number of workers."""

from collections.abc import Iterator
from typing import Any

import torch
from torch.utils.data import IterableDataset, get_worker_info

from vsc_dataset.configs import TaskConfig
from vsc_dataset.stream import TrainingStream


class TorchTrainingStream(IterableDataset[dict[str, torch.Tensor]]):
    """The batches of a TrainingStream, in its order, made by the workers of a DataLoader.

    Args:
      config, batch_size, settings: as for TrainingStream, `every` excepted.
    Yields:
      input_ids, labels int64 (B, L), answer_mask bool (B, L). Give the loader batch_size=None.

    >>> loader = torch.utils.data.DataLoader(TorchTrainingStream("default", 64), batch_size=None)
    >>> next(iter(loader))["input_ids"].shape
    torch.Size([64, 31])
    """

    def __init__(self, config: TaskConfig | str, batch_size: int, **settings: Any) -> None:
        if "every" in settings:
            raise ValueError("every is the number of the loader's workers: leave it out")
        self.settings = {"config": config, "batch_size": batch_size, **settings}
        TrainingStream(**self.settings)  # a mistake is told here, not in a worker

    def __iter__(self) -> Iterator[dict[str, torch.Tensor]]:
        worker = get_worker_info()
        number, workers = (worker.id, worker.num_workers) if worker else (0, 1)
        start = self.settings.get("start", 0) + number * self.settings["batch_size"]
        for samples in TrainingStream(**{**self.settings, "start": start, "every": workers}):
            yield {
                "input_ids": torch.from_numpy(samples.input_ids).long(),
                "labels": torch.from_numpy(samples.labels).long(),
                "answer_mask": torch.from_numpy(samples.answer_mask),
            }
