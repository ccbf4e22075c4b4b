"""Measure how fast the parts are, side by side in one run with what they are compared with.

python scripts/benchmark.py data        # the generator, load_dataset, memory
python scripts/benchmark.py training    # steps of train.py
python scripts/benchmark.py models      # steps of all models, on one thread and on two
python scripts/benchmark.py start       # the time to the first step
python scripts/benchmark.py evaluation  # evaluation to 1,024 operations; --keep keeps it and draws
"""

import sys
from importlib import import_module
from pathlib import Path
from typing import Any

sys.path[0] = str(Path(__file__).resolve().parents[1])  # this folder hides the library `evaluate`

from scripts.core.cli import Parser, run

PARTS = ("data", "training", "models", "start", "evaluation")


def main() -> None:
    """Measure and print."""
    words: dict[str, Any] = {"nargs": "*", "choices": (*PARTS, "all"), "default": "all"}
    keep = {"action": "store_true", "help": "write the evaluation's table and figure anew"}
    flags = Parser(__doc__, {"part": words, "--keep": keep}).parse_args()
    for part in PARTS if "all" in flags.part else flags.part:
        module = import_module(f"scripts.benchmarks.{part}")
        print(module.report(flags.keep) if part == "evaluation" else module.report(), flush=True)


if __name__ == "__main__":
    run("benchmark", main)
