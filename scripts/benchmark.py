"""Measure how fast the parts are, side by side in one run with what they are compared with.

python scripts/benchmark.py data      # the generator, on one core
python scripts/benchmark.py models    # training steps, on one thread and on two
python scripts/benchmark.py training  # the loop over bare steps, throughput, the start of a process
"""

import sys
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from importlib import import_module
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[1])  # this folder hides the library `evaluate`

PARTS = ("data", "models", "training")


def main() -> None:
    """Measure and print."""
    parser = ArgumentParser(description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    parser.add_argument("part", nargs="*", choices=(*PARTS, "all"), default="all")
    parts = parser.parse_args().part
    for part in PARTS if "all" in parts else parts:
        print(import_module(f"scripts.benchmarks.{part}").report())


if __name__ == "__main__":
    try:
        main()
    except (ValueError, OSError) as error:
        sys.exit(f"benchmark: {error}")
    except KeyboardInterrupt:
        sys.exit("benchmark: interrupted")
