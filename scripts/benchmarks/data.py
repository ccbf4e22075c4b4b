"""Configurations -> rows a second of the generator, beside a plain loop and what limits it."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from scripts.benchmarks.plain_loop import make_rows
from scripts.benchmarks.timing import best_seconds
from scripts.reporting.tables import table
from vsc_dataset.configs import CONFIGS
from vsc_dataset.generator.draw import draw_programs
from vsc_dataset.generator.hashing import mix64_array
from vsc_dataset.generator.lookup import make_lookup_tables
from vsc_dataset.sampling import BLOCK, sample

GOALS = {"swap-nops2-5": 120, "default": 120, "level-8": 10}
"""How many times the plain loop the generator is to be."""

ROUNDS = 7
PLAIN_SHARE = 8
TRAIN_ROWS = 1_000_000


def nanoseconds(name: str) -> dict[str, float]:
    """Time of a row: the plain loop, `sample`, drawing alone, and the two limits.

    The limits are what no generator of these bits can do without: hashing the words of one attempt,
    and writing input, labels and mask.
    """
    config = CONFIGS[name]
    spec = config.sample_spec("train")
    tables = make_lookup_tables(spec, config.layout)
    count = BLOCK // (8 if config.row_width > 100 else 1)
    state, scratch = np.arange(2 * count, dtype=np.uint64).reshape(2, count)
    out = np.zeros((3, count, -(-config.row_width // 8)), np.uint64)

    def hash_words() -> None:
        for _ in range(spec.words_per_attempt):
            mix64_array(state, scratch)

    functions = {
        "plain": lambda: make_rows(config, count // PLAIN_SHARE, 0),
        "sample": lambda: sample(config, "train", np.arange(count, dtype=np.uint64)),
        "draw": lambda: draw_programs(spec, tables, state),
        "hash": hash_words,
        "write": lambda: out.fill(0),
    }
    rows = {"plain": count // PLAIN_SHARE}
    best = best_seconds(functions, ROUNDS)
    return {key: 1e9 * value / rows.get(key, count) for key, value in best.items()}


def generator_table() -> str:
    """Rows a second of both, for each of GOALS, and what the generator's time is made of."""
    header = [
        "configuration", "plain loop rows/s", "sample rows/s", "times", "ns a row",
        "of them drawing", "hashing alone", "writing alone", "times the limit",
    ]  # fmt: skip
    rows = []
    for name, goal in GOALS.items():
        ns = nanoseconds(name)
        rows.append(
            [
                name,
                f"{1e9 / ns['plain']:,.0f}",
                f"{1e9 / ns['sample']:,.0f}",
                f"{ns['plain'] / ns['sample']:.0f} (goal {goal})",
                *(f"{ns[key]:.1f}" for key in ("sample", "draw", "hash", "write")),
                f"{ns['sample'] / (ns['hash'] + ns['write']):.0f}",
            ]
        )
    return table(header, rows, markdown=True)


PREPARE = """
import time, sys, resource
import vsc_dataset
from datasets import load_dataset, disable_progress_bars
disable_progress_bars()
start = time.perf_counter()
load_dataset("vsc", "default", cache_dir=sys.argv[1], num_train=int(sys.argv[2]))
print(time.perf_counter() - start, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""

STREAM = """
import time
import vsc_dataset, datasets, torch
start = time.perf_counter()
next(iter(datasets.load_dataset("vsc", split="train", streaming=True)))
print(time.perf_counter() - start)
"""


def dataset_table() -> str:
    """`load_dataset` of a million rows beside writing the same rows from ready arrays."""
    from scripts.publishing.parquet import write_table
    from vsc_dataset.arrow import make_table

    with tempfile.TemporaryDirectory() as folder:
        ready = make_table(sample("default", "train", range(TRAIN_ROWS)))
        write = best_seconds({"write": lambda: write_table(Path(folder, "a.parquet"), ready)}, 3)[
            "write"
        ]
        runs = [_process(PREPARE, f"{folder}/{i}", str(TRAIN_ROWS)) for i in range(3)]
        seconds, memory = min(run[0] for run in runs), max(run[1] for run in runs)
        first = min(_process(STREAM)[0] for _ in range(3))
    rows = [
        ["write a million ready rows as Parquet", f"{write:.2f} s", ""],
        [
            "`load_dataset`, a million training rows",
            f"{seconds:.2f} s",
            f"{seconds / write:.1f} times (goal 3)",
        ],
        ["its memory at most", f"{memory:.0f} MiB", "goal 1024"],
        ["first streamed row, imports left out", f"{first:.2f} s", "goal 0.5"],
    ]
    return table(["what", "measured", ""], rows, markdown=True)


def _process(code: str, *arguments: str) -> list[float]:
    """Run code in a fresh process, offline, in an empty folder, and read the numbers it prints."""
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": folder}
        root = str(Path(__file__).resolve().parents[2])
        done = subprocess.run(
            [sys.executable, "-c", code, *arguments],
            env={**environment, "PYTHONPATH": root},
            cwd=folder,
            capture_output=True,
            text=True,
            check=True,
        )
    return [float(number) for number in done.stdout.split()]


def report() -> str:
    """Both tables."""
    return f"{generator_table()}\n\n{dataset_table()}"
