"""A part's name -> how fast it is, side by side in one run with what it is compared to.

python scripts/benchmark.py data      # the generator, on one core
python scripts/benchmark.py models    # training steps, on two threads
"""

import sys
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[1])  # this folder hides the library `evaluate`

PARTS = ("data", "models")


def main() -> None:
    """Measure and print."""
    parser = ArgumentParser(description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    parser.add_argument("part", nargs="*", choices=PARTS, default=list(PARTS))
    parts = parser.parse_args().part
    if "data" in parts:
        from scripts.benchmarks import data

        print(data.report())
    if "models" in parts:
        from scripts.benchmarks import models

        print(models.report())


if __name__ == "__main__":
    main()
