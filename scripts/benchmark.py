"""Measure how fast the parts are, side by side in one run with what they are compared with.

python scripts/benchmark.py data        # the generator and its memory
python scripts/benchmark.py load        # load_dataset
python scripts/benchmark.py training    # steps of train.py
python scripts/benchmark.py step        # the operations of such a step
python scripts/benchmark.py models      # steps of all models, on one thread and on two
python scripts/benchmark.py start       # the time to the first step
python scripts/benchmark.py evaluation  # evaluation to 1,024 operations

With --keep the lines go into the results: let nothing else run on the machine.
"""

import sys
from importlib import import_module
from pathlib import Path
from typing import Any

sys.path[0] = str(Path(__file__).resolve().parents[1])  # this folder hides the library `evaluate`

from scripts.core.cli import Parser, run

PARTS = ("data", "load", "training", "step", "models", "start", "evaluation")


def main() -> None:
    """Measure and print."""
    words: dict[str, Any] = {"nargs": "*", "choices": (*PARTS, "all"), "default": "all"}
    keep = {"action": "store_true", "help": "write results and their page anew"}
    flags = Parser(__doc__, {"part": words, "--keep": keep}).parse_args()
    from scripts.reporting.speed import keep_speed, speed_table

    for part in PARTS if "all" in flags.part else flags.part:
        lines = import_module(f"scripts.benchmarks.{part}").measure()
        print(speed_table(lines), "", sep="\n", flush=True)
        if flags.keep:
            keep_speed(part, lines)
    if flags.keep:
        from scripts.reproduction.pages import write_pages

        write_pages()


if __name__ == "__main__":
    run("benchmark", main)
