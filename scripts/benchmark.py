"""A part's name -> how fast it is, side by side with what it is compared to, on one core.

python scripts/benchmark.py data
"""

import os
import sys
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[1])  # this folder hides the library `evaluate`

PARTS = ("data",)


def main() -> None:
    """Measure and print."""
    parser = ArgumentParser(description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    parser.add_argument("part", nargs="*", choices=PARTS, default=list(PARTS))
    parts = parser.parse_args().part
    os.environ["OMP_NUM_THREADS"] = "1"  # before numpy is imported
    from scripts.benchmarks import data

    if "data" in parts:
        print(data.report())


if __name__ == "__main__":
    main()
