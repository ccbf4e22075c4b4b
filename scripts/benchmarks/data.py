"""Measure the generator next to a plain loop and what limits it, and `load_dataset`."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from random import Random
from string import ascii_uppercase

import numpy as np

from scripts.benchmarks import best_seconds
from scripts.reporting.tables import table
from vsc_dataset import TaskConfig
from vsc_dataset.configs import CONFIGS
from vsc_dataset.encoding import Examples
from vsc_dataset.generator.draw import draw_programs
from vsc_dataset.generator.hashing import mix64_array
from vsc_dataset.generator.lookup import make_lookup_tables
from vsc_dataset.language import LAYOUTS
from vsc_dataset.sampling import BLOCK, sample
from vsc_dataset.vocabulary import MASK, PAD

GOALS = {"swap-nops2-5": 120, "default": 120, "level-8": 10}
"""How many times the plain loop the generator is to be."""

ROUNDS = 7
PROCESSES = 3
PLAIN_SHARE = 8
TRAIN_ROWS = 1_000_000


def plain_rows(config: TaskConfig, count: int, seed: int) -> Examples:
    """Make rows as one does first: `random.Random`, one string at a time.

    It keeps no splits apart, which saves it work.
    """
    random = Random(seed)
    width = config.row_width
    input_ids = np.full((count, width), PAD, np.uint8)
    labels = np.full((count, width), PAD, np.uint8)
    length, nops = np.empty(count, np.uint8), np.empty(count, np.uint16)
    for row in range(count):
        prompt, answer, length[row], nops[row] = plain_row(config, random)
        end = len(prompt) + config.answer_width
        text = prompt + answer.ljust(config.answer_width)
        labels[row, :end] = np.frombuffer(text.encode(), np.uint8)
        input_ids[row, :end] = labels[row, :end]
        input_ids[row, len(prompt) : end] = MASK
    return Examples(input_ids, labels, input_ids == MASK, length, nops, config.layout)


def plain_row(config: TaskConfig, random: Random) -> tuple[str, str, int, int]:
    """Make a question with its separator, its answer, and the numbers of letters and operations."""
    layout = LAYOUTS[config.layout]
    letters = random.sample(ascii_uppercase[: config.num_items], random.randint(*config.length))
    cells, stack, operations = list(letters), list[str](), list[str]()
    for _ in range(random.randint(*config.nops)):
        weights = [
            weight
            if (kind == "-" or (kind == ">" and len(cells) > 1) or (kind == "+" and stack))
            else 0
            for kind, weight in zip(config.operators, config.weights, strict=True)
        ]
        if not cells:
            break
        kind = random.choices(config.operators, weights)[0]
        x = random.randrange(len(cells))
        if kind == ">":
            y = random.randrange(len(cells) - 1)
            y += y >= x
            cells[x], cells[y] = cells[y], cells[x]
            operations.append(f"{x + 1}>{y + 1}")
            continue
        operations.append(f"{kind}{x + 1}")
        if kind == "-":
            stack.append(cells.pop(x))
        else:
            cells.insert(x, stack.pop())
    question = "".join(letters) + layout.after_letters + layout.between_operations.join(operations)
    return question + layout.before_answer, "".join(cells), len(letters), len(operations)


def nanoseconds(name: str) -> dict[str, float]:
    """Time a row: the plain loop, `sample`, drawing alone, and the two limits.

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
        "plain": lambda: plain_rows(config, count // PLAIN_SHARE, 0),
        "sample": lambda: sample(config, "train", np.arange(count, dtype=np.uint64)),
        "draw": lambda: draw_programs(spec, tables, state),
        "hash": hash_words,
        "write": lambda: out.fill(0),
    }
    rows = {"plain": count // PLAIN_SHARE}
    best = best_seconds(functions, ROUNDS)
    return {key: 1e9 * value / rows.get(key, count) for key, value in best.items()}


def generator_table() -> str:
    """Compare rows a second for each of GOALS, and tell what the generator's time is made of."""
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
    """Compare `load_dataset` with writing the same rows from ready arrays."""
    from scripts.publishing.parquet import write_table
    from vsc_dataset.arrow import make_table

    with tempfile.TemporaryDirectory() as folder:
        ready = make_table(sample("default", "train", range(TRAIN_ROWS)))
        path = Path(folder, "a.parquet")
        write = best_seconds({"write": lambda: write_table(path, ready)}, PROCESSES)["write"]
        runs = [_process(PREPARE, f"{folder}/{i}", str(TRAIN_ROWS)) for i in range(PROCESSES)]
        seconds, memory = min(run[0] for run in runs), max(run[1] for run in runs)
        first = min(_process(STREAM)[0] for _ in range(PROCESSES))
    rows = [
        [f"write {TRAIN_ROWS:,} ready rows as Parquet", f"{write:.2f} s", ""],
        [
            f"`load_dataset`, {TRAIN_ROWS:,} training rows",
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
    """Make both tables."""
    return f"{generator_table()}\n\n{dataset_table()}"
