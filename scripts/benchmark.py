"""A part's name -> how fast it is, side by side in one run with what it is compared to.

python scripts/benchmark.py data      # the generator, on one core
python scripts/benchmark.py models    # training steps, on two threads
python scripts/benchmark.py training  # the loop over bare steps, the start of a process
python scripts/benchmark.py question  # the networks of the article's open question
"""

import sys
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[1])  # this folder hides the library `evaluate`

PARTS = ("data", "models", "training", "question")


def main() -> None:
    """Measure and print."""
    parser = ArgumentParser(description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    parser.add_argument("part", nargs="*", choices=(*PARTS, "all"), default="all")
    arguments = parser.parse_args()
    parts = PARTS if "all" in arguments.part else arguments.part
    if "data" in parts:
        from scripts.benchmarks import data

        print(data.report())
    if "models" in parts:
        from scripts.benchmarks import models

        print(models.report())
    if "training" in parts:
        from scripts.benchmarks import training

        print(training.report())
    if "question" in parts:
        from scripts.benchmarks import question

        print(question.report())


if __name__ == "__main__":
    try:
        main()
    except (ValueError, OSError) as error:
        sys.exit(f"benchmark: {error}")
    except KeyboardInterrupt:
        sys.exit("benchmark: interrupted")
