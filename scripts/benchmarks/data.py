"""Measure the generator next to a plain loop, and `load_dataset` next to writing ready rows."""

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
from vsc_dataset.language import LAYOUTS
from vsc_dataset.sampling import BLOCK, sample
from vsc_dataset.vocabulary import MASK, PAD

ROOT = Path(__file__).resolve().parents[2]
GOALS = {"swap-nops2-5": 120, "default": 120, "level-8": 10}
"""How many times the plain loop the generator is to be."""

ROUNDS = 7
PROCESSES = 3
PLAIN_SHARE = 8
TRAIN_ROWS = 1_000_000


def plain_rows(config: TaskConfig, count: int) -> Examples:
    """Make rows as one does first: `random.Random`, one string at a time, all splits in one."""
    random, shape = Random(0), (count, config.row_width)
    input_ids, labels = np.full(shape, PAD, np.uint8), np.full(shape, PAD, np.uint8)
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
    letters = random.sample(ascii_uppercase[: config.num_items], random.randint(*config.length))
    cells, stack, operations = list(letters), list[str](), list[str]()
    for _ in range(random.randint(*config.nops)):
        if not cells:
            break
        can = {">": len(cells) > 1, "-": True, "+": bool(stack)}
        weights = [w * can[k] for k, w in zip(config.operators, config.weights, strict=True)]
        kind = random.choices(config.operators, weights)[0]
        x = random.randrange(len(cells))
        operations.append(f"{kind}{x + 1}")
        if kind == ">":
            y = random.randrange(len(cells) - 1)
            y += y >= x
            cells[x], cells[y] = cells[y], cells[x]
            operations[-1] = f"{x + 1}>{y + 1}"
        elif kind == "-":
            stack.append(cells.pop(x))
        else:
            cells.insert(x, stack.pop())
    layout = LAYOUTS[config.layout]
    program = layout.between_operations.join(operations)
    prompt = "".join(letters) + layout.after_letters + program + layout.before_answer
    return prompt, "".join(cells), len(letters), len(operations)


def generator_table() -> str:
    """Compare rows a second for each of GOALS."""
    rows = []
    for name, goal in GOALS.items():
        config = CONFIGS[name]
        count = BLOCK // (8 if config.row_width > 100 else 1)
        functions = {
            "plain": lambda config=config, n=count // PLAIN_SHARE: plain_rows(config, n),
            "sample": lambda config=config, n=count: sample(config, "train", range(n)),
        }
        seconds = best_seconds(functions, ROUNDS)
        plain, fast = count // PLAIN_SHARE / seconds["plain"], count / seconds["sample"]
        rows.append([name, f"{plain:,.0f}", f"{fast:,.0f}", f"{fast / plain:.0f} (goal {goal})"])
    heads = ["configuration", "plain loop rows/s", "sample rows/s", "times"]
    return table(heads, rows, markdown=True)


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
        first = min(_process(STREAM)[0] for _ in range(PROCESSES))
    seconds, memory = min(run[0] for run in runs), max(run[1] for run in runs)
    times = f"{seconds / write:.1f} times (goal 3)"
    rows = [
        [f"write {TRAIN_ROWS:,} ready rows as Parquet", f"{write:.2f} s", ""],
        [f"`load_dataset`, {TRAIN_ROWS:,} training rows", f"{seconds:.2f} s", times],
        ["its memory at most", f"{memory:.0f} MiB", "goal 1024"],
        ["first streamed row, imports left out", f"{first:.2f} s", "goal 0.5"],
    ]
    return table(["what", "measured", ""], rows, markdown=True)


def _process(code: str, *arguments: str) -> list[float]:
    """Run code in a fresh process, offline, in an empty folder, and read the numbers it prints."""
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [sys.executable, "-c", code, *arguments],
            env={**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": folder, "PYTHONPATH": str(ROOT)},
            cwd=folder,
            capture_output=True,
            text=True,
            check=True,
        )
    return [float(number) for number in done.stdout.split()]


def report() -> str:
    """Make both tables."""
    return f"{generator_table()}\n\n{dataset_table()}"
