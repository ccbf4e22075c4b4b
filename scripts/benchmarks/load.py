"""Measure `load_dataset` next to writing its rows as Parquet from a table that lies ready."""

from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from scripts.benchmarks import best_seconds, run_child
from scripts.publishing.parquet import write_table
from vsc_dataset.arrow import make_table
from vsc_dataset.configs import make_config
from vsc_dataset.sampling import sample

ROWS = 1_000_000
LOAD = """
import sys, time, datasets, vsc_dataset
start = time.process_time()
datasets.load_dataset("vsc", num_train=int(sys.argv[1]), split="train", cache_dir=sys.argv[2])
print(time.process_time() - start)
"""


def measure() -> list[dict[str, str | float]]:
    """Compare the CPU seconds of the training samples of `default`."""
    ready = make_table(sample(make_config(num_train=ROWS), "train", range(ROWS)))
    with TemporaryDirectory() as folder:
        write = partial(write_table, Path(folder, "ready.parquet"), ready)
        written, loaded = best_seconds({"": write}, 1)[""], run_child(LOAD, ROWS, folder)
    return [
        {
            "rows": f"{ROWS:,}",
            "Parquet of ready rows, s": round(written, 2),
            "load_dataset, s": round(loaded, 2),
            "times": round(loaded / written, 2),
        }
    ]
