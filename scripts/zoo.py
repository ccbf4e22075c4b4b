"""Compare what recipes learn at one budget on a leaderboard, in runs/zoo.

python scripts/zoo.py
python scripts/zoo.py --recipes zoo-delta zoo-gru zoo-llama --trials 3 --jobs 2
"""

import sys
from pathlib import Path
from typing import Any

sys.path[0] = str(Path(__file__).resolve().parents[1])  # this folder hides the library `evaluate`

from scripts.core.cli import Parser, run

FLAGS: dict[str, dict[str, Any]] = {
    "--recipes": {"nargs": "+", "default": [], "metavar": "NAME", "help": "default: all zoo-…"},
    "--trials": {"type": int, "default": 3, "metavar": "N", "help": "of each; default: 3"},
    "--max-samples": {"type": int, "metavar": "N", "help": "in place of the recipes' number"},
    "--jobs": {"type": int, "default": 1, "metavar": "N", "help": "trials side by side"},
    "--output-dir": {"type": Path, "default": Path("runs/zoo"), "help": "default: runs/zoo"},
}


def main() -> None:
    """Train what is missing, and compare all."""
    arguments = Parser(__doc__, FLAGS).parse_args()
    for name in ("trials", "jobs"):
        if getattr(arguments, name) < 1:
            raise ValueError(f"--{name} {getattr(arguments, name)} must be 1 or more")
    from transformers.utils.logging import disable_progress_bar

    from scripts.reproduction.zoo import choose, run_zoo

    disable_progress_bar()  # loading such a small model takes no time
    recipes = choose(arguments.recipes, arguments.max_samples)
    print(f"{arguments.output_dir}: {', '.join(recipe.name for recipe in recipes)}", flush=True)
    for table in run_zoo(recipes, arguments.output_dir, range(arguments.trials), arguments.jobs):
        print(f"\n{table}", flush=True)


if __name__ == "__main__":
    run("zoo", main, "the same command goes on")
