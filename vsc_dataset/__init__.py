"""Very Selective Copying: the task, its data and its metric."""

from vsc_dataset.configs import CONFIGS, TaskConfig
from vsc_dataset.encoding import Examples
from vsc_dataset.language import Operation, Program, execute, parse, score
from vsc_dataset.sampling import sample
from vsc_dataset.splits import SPLITS, split_of
from vsc_dataset.stream import TrainingStream

__all__ = [
    "CONFIGS",
    "SPLITS",
    "Examples",
    "Operation",
    "Program",
    "TaskConfig",
    "TrainingStream",
    "execute",
    "parse",
    "sample",
    "score",
    "split_of",
]
