"""Train a recipe: models, figures and pictures, below runs/.

accelerate launch scripts/train.py --recipe swap-delta
accelerate launch scripts/train.py --recipe swap-delta --trials 10 --jobs 2 --output-dir runs/ten
accelerate launch scripts/train.py --recipe mixed-l6 --max-samples 100000 --learning-rate 1e-3

The flags from --data on take the place of the recipe's fields.
"""

import sys
import time
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[1])  # this folder hides the library `evaluate`

from scripts.core.cli import run
from scripts.training.cli import read_flags
from scripts.training.signals import STOP, Stopped


def main() -> None:
    """Train, measure, report."""
    started = time.time()
    STOP.listen()
    flags, recipe = read_flags(description=__doc__)
    from scripts.training.distributed import make_accelerator
    from scripts.training.loop import check_recipe
    from scripts.training.run_report import finish_run
    from scripts.training.runs import each_trial, open_run
    from scripts.training.train_state import Paused, RunOptions

    accelerator = make_accelerator(recipe.mixed_precision, flags.report_to)
    options = RunOptions(
        report_to=tuple(flags.report_to),
        deadline=flags.max_minutes and started + 60 * flags.max_minutes,
        final_samples=flags.final_samples,
        trust_remote_code=flags.trust_remote_code,
    )
    check_recipe(recipe, flags.seed or 0, accelerator, flags.trust_remote_code)
    folder, seeds = open_run(recipe, flags.output_dir, flags.seeds, flags.resume, accelerator)
    again = f"the same command with --output-dir {folder} --resume goes on"
    try:
        accelerator.print(
            f"{folder}: {recipe.name}, seeds {', '.join(map(str, seeds))}", flush=True
        )
        records = [*each_trial(recipe, folder, seeds, accelerator, flags.jobs, options)]
        if accelerator.is_main_process:
            records.sort(key=lambda record: seeds.index(record.seed))
            print(finish_run(recipe, folder, records))
            if flags.push_to_hub is not None:
                push(folder, flags.push_to_hub, flags.private)
    except (Paused, Stopped) as pause:
        accelerator.print(f"{pause}: {again}", flush=True)
        sys.exit(STOP.exit_code)
    except KeyboardInterrupt:
        sys.exit(f"train: interrupted: {again}")


def push(folder: Path, repo: str, private: bool) -> None:
    """Push the run's model; where that fails the run is whole all the same."""
    from scripts.publishing.hub import push_model

    try:
        print(push_model(folder, repo, private), flush=True)
    except (ValueError, OSError) as error:
        words = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(f"{folder} is whole, but was not pushed to {repo}: {words}") from None


if __name__ == "__main__":
    run("train", main)
