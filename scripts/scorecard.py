r"""Score a layer: five skills and a horizon under one protocol, next to kept baselines.

accelerate launch scripts/scorecard.py --mixer examples/own_layer.py:Decay --quick
accelerate launch scripts/scorecard.py --mixer torch.nn:GRU --jobs 2 --output-dir scorecards/gru
accelerate launch scripts/scorecard.py --model gpt2 \
    --model-args n_layer=2 n_embd=64 n_head=4 n_inner=128 n_positions=256
accelerate launch scripts/scorecard.py --recipe zoo-llama --track capability
python scripts/scorecard.py --check scorecards/gru/scorecard.json

Interrupted, the same command goes on. It leaves scorecard.json, scorecard.md and scorecard.png.
"""

import json
import sys
import time
from argparse import Namespace
from pathlib import Path
from typing import Any

sys.path[0] = str(Path(__file__).resolve().parents[1])  # this folder hides the library `evaluate`

from scripts.core.cli import Parser, flag_of, int_from, positive, read_pairs, run
from scripts.training.distributed import check_launch

FLAGS: dict[str, dict[str, Any]] = {
    "--mixer": {"metavar": "LAYER", "help": "FILE.py:CLASS or package.module:CLASS"},
    "--mixer-args": {"nargs": "+", "metavar": "K=V", "help": "arguments of a --mixer"},
    "--direction": {
        "default": "forward",
        "choices": ["forward", "both"],
        "help": "of a --mixer: forward, or both ways, and the convolutions too",
    },
    "--bidirectional": {
        "action": "store_true",
        "help": "of a --mixer that looks ahead by itself: so do the convolutions",
    },
    "--model": {
        "metavar": "TYPE",
        "help": "a whole model: a type of transformers, or FILE.py:NAME",
    },
    "--model-args": {"nargs": "+", "metavar": "K=V", "help": "fields of a --model's configuration"},
    "--recipe": {"metavar": "NAME", "help": "the whole model of a recipe, without the scaffold"},
    "--name": {"help": "of the layer in tables; default: its class, type or recipe"},
    "--track": {"default": "efficiency", "help": "efficiency (default) or capability"},
    "--quick": {"action": "store_true", "help": "a first look: fewer seeds and samples"},
    "--jobs": {
        "type": int_from(1, 1024),
        "default": 1,
        "metavar": "N",
        "help": "trials side by side",
    },
    "--output-dir": {
        "type": Path,
        "metavar": "DIR",
        "help": "default: scorecards/NAME-TRACK, with --quick NAME-TRACK-quick",
    },
    "--max-minutes": {"type": positive, "metavar": "N", "help": "stop by then; again goes on"},
    "--check": {"nargs": "+", "type": Path, "metavar": "FILE", "help": "check scorecards instead"},
    "--rerun": {"type": int, "metavar": "SEED", "help": "with --check: train a seed's trials anew"},
}


def main() -> None:
    """Score a layer, or check scorecards."""
    started = time.time()
    flags = Parser(__doc__, FLAGS).parse_args()
    check_launch(flags.jobs, several=False)
    layers = sum(map(bool, (flags.mixer, flags.model, flags.recipe)))
    if flags.check:
        without = {"check", "rerun", "jobs"}
        flags_given = [name for name, value in vars(flags).items() if value and name not in without]
        usual = {"track": "efficiency", "direction": "forward"}
        if unread := [name for name in flags_given if getattr(flags, name) != usual.get(name)]:
            raise ValueError(
                f"--check reads no {flag_of(unread[0])}, for a scorecard says what it is of: leave "
                "one of them out"
            )
    if flags.rerun is not None and not flags.check:
        raise ValueError(f"--rerun {flags.rerun} needs a scorecard: give --check FILE as well")
    if flags.check:
        check(flags)
    elif layers != 1:
        raise ValueError("give one of --mixer, a layer, --model and --recipe, whole models")
    else:
        score(flags, flags.max_minutes and started + 60 * flags.max_minutes)


def score(flags: Namespace, deadline: float | None) -> None:
    """Train what is missing, and write the scorecard."""
    from scripts.core.io import HUB_CARDS, write_lines
    from scripts.scorecards.card import check_name, file_name
    from scripts.scorecards.protocol import read_protocol
    from scripts.scorecards.report import read_baselines, write_report
    from scripts.scorecards.train import CardTraining, find_folder
    from scripts.training.signals import STOP, Stopped
    from scripts.training.train_state import Paused, RunOptions

    STOP.listen()
    protocol = read_protocol(flags.track, flags.quick)
    base = scored_recipe(flags, protocol)
    name = base.name if flags.name is None else flags.name
    check_name(name)
    quick = "-quick" if flags.quick else ""
    usual = Path("scorecards") / f"{file_name(name)}-{flags.track}{quick}"
    folder = flags.output_dir or find_folder(usual, protocol, base)
    if folder not in (usual, flags.output_dir):
        print(f"{usual} holds another state of this layer: this one goes into {folder}")
    options = RunOptions(deadline=deadline)
    try:
        training = CardTraining(protocol, base, folder, flags.jobs, options)
        if base.mixer and base.model_args["causal"] and not training.causal:
            print(
                "the layer looks ahead: where it must not, correct it; where it may, "
                "--bidirectional lets the convolutions look ahead as well"
            )
        card = training.run(name)
    except (Paused, Stopped) as pause:
        print(f"{pause}: the same command with --output-dir {folder} goes on")
        sys.exit(STOP.exit_code)
    write_lines(folder / "scorecard.json", [json.dumps(card, indent=1)])
    print(write_report(folder, card, read_baselines(HUB_CARDS / "scorecards", card)))
    print(f"\n{folder}: scorecard.json, scorecard.md, scorecard.png")


def scored_recipe(flags: Namespace, protocol: Any) -> Any:
    """Return the recipe whose model is scored; a flag of another kind of model is refused."""
    from scripts.training.recipes import find_recipe

    of_mixer = flags.mixer_args or flags.bidirectional or flags.direction != "forward"
    if of_mixer and not flags.mixer:
        raise ValueError(
            "--mixer-args, --direction and --bidirectional belong to a --mixer: leave them out"
        )
    if flags.model_args and not flags.model:
        raise ValueError("--model-args belong to a --model: leave them out")
    if flags.recipe:
        recipe = find_recipe(flags.recipe)
        if recipe.mixer:
            raise ValueError(
                f"--recipe {flags.recipe} is a layer in a scaffold, not a whole model: give "
                f"--mixer {recipe.mixer}"
            )
        return recipe
    target = Path(flags.mixer or flags.model).as_posix()  # a file is the same as ./file
    if flags.model:
        return protocol.model(target, read_pairs("--model-args", flags.model_args or []))
    pairs = read_pairs("--mixer-args", flags.mixer_args or [])
    causal = not flags.bidirectional and flags.direction == "forward"
    return protocol.scaffold(target, pairs, flags.direction, causal)


def check(flags: Namespace) -> None:
    """Check scorecards, one line each; those that fail come last."""
    failed = []
    for path in flags.check:
        try:
            check_file(path / "scorecard.json" if path.is_dir() else path, flags)
        except (ValueError, OSError) as error:
            failed.append(str(error))
    if failed:
        raise ValueError("\nscorecard: ".join(failed))


def check_file(path: Path, flags: Namespace) -> None:
    """Check a scorecard, and repeat a seed where --rerun says so."""
    from scripts.scorecards.card import protocol_of, read_card
    from scripts.scorecards.protocol import read_protocol

    if not path.exists():
        raise ValueError(f"{path} does not exist: give a scorecard.json, or its folder")
    card = read_card(path)
    quick = ", a first look (--quick)" if card["quick"] else ""
    if protocol_of(card) != read_protocol(card["track"], card["quick"]):
        quick += ", with other seeds, so that it is not compared"
    print(
        f"{path}: {card['name']}, protocol {card['protocol']}{quick}: whole, and its verdicts "
        "follow from its numbers"
        + ("; --rerun SEED tells whether they can be repeated" * (flags.rerun is None)),
        flush=True,
    )
    if flags.rerun is None:
        return
    from scripts.scorecards.train import rerun
    from scripts.training.signals import STOP, Stopped
    from scripts.training.train_state import Paused

    STOP.listen()
    try:
        print(rerun(card, flags.rerun, flags.jobs), flush=True)
    except (KeyboardInterrupt, Paused, Stopped):
        print("interrupted: a --rerun starts anew")
        sys.exit(STOP.exit_code or 1)


if __name__ == "__main__":
    run("scorecard", main, "the same command goes on")
