"""Very Selective Copying: the task, its data and its metric."""

from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from vsc_dataset.configs import CONFIGS, DATA_VERSION, TaskConfig
from vsc_dataset.encoding import Samples
from vsc_dataset.language import Operation, Program, execute, parse, score
from vsc_dataset.load_dataset import load, register_when_imported
from vsc_dataset.rewards import reward
from vsc_dataset.sampling import sample
from vsc_dataset.splits import SPLITS, split_of
from vsc_dataset.stream import TrainingStream

try:
    __version__ = version("vsc-dataset")
except PackageNotFoundError:  # a clone that is not installed
    __version__ = "0.0.0"

METRIC_PATH = str(Path(__file__).parent / "metrics" / "vsc_error")
"""What `evaluate.load` takes, from any folder."""

__all__ = [
    "CONFIGS",
    "DATA_VERSION",
    "METRIC_PATH",
    "SPLITS",
    "Operation",
    "Program",
    "Samples",
    "TaskConfig",
    "TrainingStream",
    "execute",
    "load",
    "parse",
    "reward",
    "sample",
    "score",
    "split_of",
]

register_when_imported()
