"""Measure how fast the parts are, side by side in one run with what they are compared with.

python scripts/benchmark.py data    # the generator, on one core
python scripts/benchmark.py models  # training steps, on one thread and on two
"""

import sys
from importlib import import_module
from pathlib import Path
from typing import Any

sys.path[0] = str(Path(__file__).resolve().parents[1])  # this folder hides the library `evaluate`

from scripts.core.cli import Parser, run

PARTS = ("data", "models")


def main() -> None:
    """Measure and print."""
    words: dict[str, Any] = {"nargs": "*", "choices": (*PARTS, "all"), "default": "all"}
    parts = Parser(__doc__, {"part": words}).parse_args().part
    for part in PARTS if "all" in parts else parts:
        print(import_module(f"scripts.benchmarks.{part}").report())


if __name__ == "__main__":
    run("benchmark", main)
