"""Compare what recipes learn at one budget on a leaderboard, in runs/zoo.

python scripts/zoo.py
python scripts/zoo.py --recipes zoo-delta zoo-gru zoo-llama --trials 3 --jobs 2
"""

import sys
from argparse import ArgumentDefaultsHelpFormatter, ArgumentParser
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[1])  # this folder hides the library `evaluate`


def main() -> None:
    """Train what is missing, and compare all."""
    parser = ArgumentParser(
        description="Train recipes at one budget and compare them; again goes on where it stopped.",
        formatter_class=ArgumentDefaultsHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--recipes", nargs="+", default=[], help="none: all zoo-…")
    parser.add_argument("--trials", type=int, default=3, help="of each, with seeds from 0 on")
    parser.add_argument("--max-samples", type=int, help="in place of the recipes' number")
    parser.add_argument("--jobs", type=int, default=1, help="trials side by side")
    parser.add_argument("--output-dir", type=Path, default=Path("runs/zoo"))
    arguments = parser.parse_args()
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
    try:
        main()
    except (ValueError, OSError) as error:
        sys.exit(f"zoo: {error}")
    except KeyboardInterrupt:
        sys.exit("zoo: interrupted: the same command goes on")
