"""Measure the generator next to the reference that it agrees with, byte for byte.

`load_dataset` is measured next to writing its rows as Parquet from a table that lies ready.
"""

from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from scripts.benchmarks import best_seconds, peak_megabytes, run_child
from scripts.publishing.parquet import write_table
from scripts.reporting.tables import table
from vsc_dataset.arrow import make_table
from vsc_dataset.configs import CONFIGS, make_config
from vsc_dataset.generator import reference
from vsc_dataset.sampling import BLOCK, sample

NAMES = ("swap-nops2-5", "default", "level-8")
ROUNDS = 7
SHARE = 64
"""How many times fewer samples the reference makes: it is slow."""

ROWS = 1_000_000
LOAD = """
import sys, time, datasets, vsc_dataset
start = time.process_time()
datasets.load_dataset("vsc", num_train=int(sys.argv[1]), split="train", cache_dir=sys.argv[2])
print(time.process_time() - start)
"""


def report() -> str:
    """Compare samples a CPU second, and the times of a table of default's training samples."""
    rows = []
    for name in NAMES:
        count = BLOCK // (8 if CONFIGS[name].row_width > 100 else 1)
        functions = {
            "reference": partial(reference.sample, CONFIGS[name], "train", range(count // SHARE)),
            "generator": partial(sample, name, "train", range(count)),
            "tokens": partial(sample, make_config(name, layout="tokens"), "train", range(count)),
        }
        seconds = best_seconds(functions, ROUNDS)
        slow, *fast = (
            made / seconds[x]
            for x, made in zip(functions, (count / SHARE, count, count), strict=True)
        )
        memory = 1024 * peak_megabytes(functions["generator"]) / count
        speeds = [f"{speed:,.0f}" for speed in (slow, *fast)]
        rows.append([name, *speeds, f"{fast[0] / slow:.0f}", f"{memory:.1f}"])
    heads = [
        "configuration",
        "reference samples/s",
        "generator samples/s",
        "layout=tokens samples/s",
    ]
    return f"{table([*heads, 'times', 'KiB a sample'], rows, markdown=True)}\n\n{_load()}"


def _load() -> str:
    ready = make_table(sample(make_config(num_train=ROWS), "train", range(ROWS)))
    with TemporaryDirectory() as folder:
        write = partial(write_table, Path(folder, "ready.parquet"), ready)
        written, loaded = best_seconds({"": write}, 1)[""], run_child(LOAD, ROWS, folder)
    row = [f"{ROWS:,}", f"{written:.2f}", f"{loaded:.2f}", f"{loaded / written:.2f}"]
    return table(
        ["rows", "Parquet of ready rows, s", "load_dataset, s", "times"], [row], markdown=True
    )
