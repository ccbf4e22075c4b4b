"""Evaluate checkpoints side by side, next to the trivial baselines.

    python scripts/evaluate.py runs/001-swap-delta
    python scripts/evaluate.py runs/001-swap-delta my-org/my-model --data default --split validation
    python scripts/evaluate.py runs/001-swap-delta --grid --output-dir evaluations/swap-delta
    python scripts/evaluate.py runs/001-swap-delta --grid --grid-all --length 3 5 --until-wrong

CHECKPOINT is a run's folder, a folder that from_pretrained loads, or a hub id; the model need not
be ours, but must give logits over the vocabulary of its layout. A model is evaluated with the
answer field and the layout of its training. The horizon is printed with its definition.
"""

import sys
from argparse import Namespace
from pathlib import Path
from typing import Any

sys.path[0] = str(Path(__file__).resolve().parents[1])  # this folder hides the library `evaluate`

from scripts.core.cli import Parser, flag_of, int_from, run

COUNT = {"type": int_from(1, 1_000_000), "metavar": "N"}  # they lie in memory together
FLAGS: dict[str, dict[str, Any]] = {
    "checkpoints": {"nargs": "*", "metavar": "CHECKPOINT", "help": "folders or hub ids"},
    "--data": {"help": "a configuration; default: what the run was trained on, or 'default'"},
    "--split": {"help": "of the data; default: test"},
    "--grid": {"action": "store_true", "help": "error against the number of swaps, to 1,024"},
    "--grid-all": {"action": "store_true", "help": "the same with all operations"},
    "--length": {
        "type": int,
        "choices": (3, 5, 8, 16, 26),
        "nargs": "+",
        "help": "of the grids; default: 5",
    },
    "--until-wrong": {"action": "store_true", "help": "end a grid where the horizon is found"},
    "--num-samples": {**COUNT, "help": "default: all; 1,000 of a grid's"},
    "--num-questions": {**COUNT, "dest": "num_samples", "help": "the old name of --num-samples"},
    "--device": {"help": "such as cpu or cuda:0; default: a GPU where there is one"},
    "--output-dir": {"type": Path, "metavar": "DIR", "help": "gets a report"},
    "--trust-remote-code": {"action": "store_true", "help": "run code that a checkpoint brings"},
}


def check(flags: Namespace) -> None:
    """Raise a ValueError for flags that contradict each other."""
    grid = flags.grid or flags.grid_all
    if not flags.checkpoints:
        raise ValueError("no checkpoint: give a run's folder, a checkpoint's folder or a hub id")
    for name in ("data", "split"):
        if grid and getattr(flags, name):
            raise ValueError(f"--{name} and a grid: a grid has data of its own, leave one out")
    for name in ("length", "until_wrong"):
        if not grid and getattr(flags, name):
            raise ValueError(f"{flag_of(name)} belongs to a grid: add --grid or --grid-all")


def main() -> None:
    """Load, evaluate, report."""
    flags = Parser(__doc__, FLAGS).parse_args()
    check(flags)

    from scripts.core.devices import find_device
    from scripts.core.model_loading import open_model
    from scripts.evaluation.evaluate import Request, check_request, evaluate
    from scripts.evaluation.report import describe, save_results, write_report

    kinds = ["grid"] * flags.grid + ["grid-all"] * flags.grid_all
    lengths = sorted(set(flags.length or [5]))
    request = Request(
        data=flags.data,
        split=flags.split or "test",
        grids=tuple(f"{kind}-len{length}" for kind in kinds for length in lengths),
        num_samples=flags.num_samples,
        until_wrong=flags.until_wrong,
    )
    device = find_device(flags.device)
    models = [open_model(name, device, flags.trust_remote_code) for name in flags.checkpoints]
    check_request(models, request)
    if flags.output_dir:
        flags.output_dir.mkdir(parents=True, exist_ok=True)
    results = []
    try:
        for result in evaluate(models, request):
            results.append(result)
            if flags.output_dir:
                save_results(flags.output_dir, results)
    finally:  # what is measured is told, whatever comes after it
        if results:
            print(describe(results))
    if flags.output_dir:
        write_report(flags.output_dir, results)
        print(f"\n{flags.output_dir}: evaluation.json, evaluation.md and its pictures")


if __name__ == "__main__":
    run("evaluate", main)
