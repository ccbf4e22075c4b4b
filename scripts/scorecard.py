"""Score a layer: six skills under one protocol, next to kept baselines.

accelerate launch scripts/scorecard.py --mixer examples/own_layer.py:Decay --quick
accelerate launch scripts/scorecard.py --mixer torch.nn:GRU --jobs 2 --output-dir scorecards/gru
accelerate launch scripts/scorecard.py --recipe zoo-llama --track capability
python scripts/scorecard.py --check scorecards/gru/scorecard.json

Interrupted, the same command goes on. It leaves scorecard.json, scorecard.md and scorecard.png.
"""

import sys
import time
from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path[0] = str(Path(__file__).resolve().parents[1])  # this folder hides the library `evaluate`

from scripts.core.cli import Parser, run

if TYPE_CHECKING:
    from scripts.scorecards.protocol import Protocol
    from scripts.training.recipes import Recipe

CARDS = Path(__file__).resolve().parents[1] / "hub_cards" / "scorecards"
FLAGS: dict[str, dict[str, Any]] = {
    "--mixer": {
        "metavar": "PLACE",
        "help": "a custom layer: FILE.py:CLASS or package.module:CLASS",
    },
    "--mixer-args": {"nargs": "+", "metavar": "K=V", "help": "arguments of that layer"},
    "--direction": {"default": "forward", "help": "how the layer reads a row: forward, or both"},
    "--bidirectional": {
        "action": "store_true",
        "help": "the scaffold's convolutions see what follows; without it nothing does",
    },
    "--recipe": {"metavar": "NAME", "help": "the whole model of a recipe, without the scaffold"},
    "--name": {"help": "of the layer in tables; default: its class or recipe"},
    "--track": {"default": "efficiency", "help": "efficiency (default) or capability"},
    "--quick": {"action": "store_true", "help": "a first look: fewer seeds and samples"},
    "--jobs": {"type": int, "default": 1, "metavar": "N", "help": "trials side by side"},
    "--output-dir": {"type": Path, "metavar": "DIR", "help": "default: scorecards/NAME-TRACK"},
    "--max-minutes": {"type": float, "metavar": "N", "help": "stop by then; again goes on"},
    "--check": {"nargs": "+", "type": Path, "metavar": "FILE", "help": "check scorecards instead"},
    "--rerun": {"type": int, "metavar": "SEED", "help": "with --check: train a seed's trials anew"},
}


def main() -> None:
    """Score a layer, or check scorecards."""
    started = time.time()
    flags = Parser(__doc__, FLAGS).parse_args()
    if flags.check:
        check(flags)
        return
    if bool(flags.recipe) == bool(flags.mixer):
        raise ValueError("give the layer to score as --mixer, or a whole model as --recipe")
    from scripts.scorecards.protocol import read_protocol

    protocol = read_protocol(flags.track, flags.quick)
    base = model_of(flags, protocol)
    name = flags.name or base.name
    folder = flags.output_dir or Path("scorecards") / f"{name}-{flags.track}"
    deadline = flags.max_minutes and started + 60 * flags.max_minutes
    score(protocol, base, name, folder, flags.jobs, deadline)


def model_of(flags: Namespace, protocol: "Protocol") -> "Recipe":
    """Make the recipe whose model is scored."""
    from scripts.core.cli import read_pairs
    from scripts.training.recipes import find_recipe

    if flags.recipe:
        return find_recipe(flags.recipe)
    pairs = read_pairs("--mixer-args", flags.mixer_args or [])
    return protocol.scaffold(flags.mixer, pairs, flags.direction, not flags.bidirectional)


def score(
    protocol: "Protocol",
    base: "Recipe",
    name: str,
    folder: Path,
    jobs: int,
    deadline: float | None,
) -> None:
    """Train what is missing, and write the scorecard."""
    from transformers.utils.logging import disable_progress_bar

    from scripts.scorecards.card import write_card
    from scripts.scorecards.report import read_baselines, write_report
    from scripts.scorecards.train import CardTraining
    from scripts.training.train_state import Paused, RunOptions

    disable_progress_bar()  # loading such a small model takes no time
    try:
        card = CardTraining(protocol, base, folder, jobs, RunOptions(deadline=deadline)).run(name)
    except Paused as pause:
        print(f"{pause}: the same command with --output-dir {folder} goes on")
        return
    write_card(folder / "scorecard.json", card)
    print(write_report(folder, card, read_baselines(CARDS, card)))
    print(f"\n{folder}: scorecard.json, scorecard.md, scorecard.png")


def check(flags: Namespace) -> None:
    """Check scorecards, one line each; the first that fails ends it."""
    from scripts.scorecards.card import read_card

    for path in flags.check:
        card = read_card(path)
        print(f"{path}: {card['name']}, protocol {card['protocol']}: as it must be", flush=True)
        if flags.rerun is not None:
            from scripts.scorecards.rerun import rerun

            print(rerun(card, flags.rerun, flags.jobs), flush=True)


if __name__ == "__main__":
    run("scorecard", main, "the same command goes on")
