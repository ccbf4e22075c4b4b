"""Measure the generator next to the reference that it agrees with, byte for byte."""

from functools import partial

from scripts.benchmarks import best_seconds
from scripts.reporting.tables import table
from vsc_dataset.configs import CONFIGS
from vsc_dataset.generator import reference
from vsc_dataset.sampling import BLOCK, sample

NAMES = ("swap-nops2-5", "default", "level-8")
ROUNDS = 7
SHARE = 64
"""How many times fewer samples the reference makes: it is slow."""


def report() -> str:
    """Compare samples a second."""
    rows = []
    for name in NAMES:
        count = BLOCK // (8 if CONFIGS[name].row_width > 100 else 1)
        functions = {
            "reference": partial(reference.sample, CONFIGS[name], "train", range(count // SHARE)),
            "generator": partial(sample, name, "train", range(count)),
        }
        seconds = best_seconds(functions, ROUNDS)
        slow, fast = count / SHARE / seconds["reference"], count / seconds["generator"]
        rows.append([name, f"{slow:,.0f}", f"{fast:,.0f}", f"{fast / slow:.0f}"])
    heads = ["configuration", "reference samples/s", "generator samples/s", "times"]
    return table(heads, rows, markdown=True)
