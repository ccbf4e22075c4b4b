"""Train a recipe: models, figures and pictures, below runs/.

accelerate launch scripts/train.py --recipe swap-delta
accelerate launch scripts/train.py --recipe swap-delta --trials 10 --jobs 2 --output-dir runs/ten
accelerate launch scripts/train.py --recipe mixed-l6 --max-samples 100000 --learning-rate 1e-3
"""

import sys
import time
from pathlib import Path
from typing import Any

sys.path[0] = str(Path(__file__).resolve().parents[1])  # this folder hides the library `evaluate`

from scripts.core.cli import run


def main() -> None:
    """Train, measure, report."""
    started = time.time()
    from scripts.training.cli import read_flags
    from scripts.training.signals import STOP, Stopped

    STOP.listen()
    flags, recipe = read_flags()
    from transformers.utils.logging import disable_progress_bar

    from scripts.training.distributed import make_accelerator
    from scripts.training.loop import check_recipe
    from scripts.training.run_report import finish_run
    from scripts.training.runs import each_trial, open_run
    from scripts.training.train_state import Paused, RunOptions

    disable_progress_bar()  # of loading weights, which takes no time here
    accelerator = make_accelerator(recipe.mixed_precision, flags.report_to)
    built = check_recipe(recipe, flags.seed or 0, accelerator, flags.trust_remote_code)
    folder, seeds = open_run(recipe, flags.output_dir, flags.seeds, flags.resume, accelerator)
    options = RunOptions(
        report_to=tuple(flags.report_to),
        deadline=flags.max_minutes and started + 60 * flags.max_minutes,
        final_samples=flags.final_samples,
        trust_remote_code=flags.trust_remote_code,
    )
    again = f"the same command with --output-dir {folder} --resume goes on"
    is_main = accelerator.is_main_process
    try:
        if is_main:
            note_warmup(recipe)
            print(f"{folder}: {recipe.name}, seeds {', '.join(map(str, seeds))}", flush=True)
        records = [*each_trial(recipe, folder, seeds, accelerator, flags.jobs, options, built)]
        records.sort(key=lambda record: seeds.index(record.seed))
        if is_main:
            print(finish_run(recipe, folder, records))
            if flags.push_to_hub is not None:
                push(folder, flags.push_to_hub, flags.private)
    except (Paused, Stopped) as pause:
        if is_main:
            print(f"{pause}: {again}", flush=True)
        sys.exit(STOP.exit_code)
    except KeyboardInterrupt:
        sys.exit(f"train: interrupted: {again}")


def note_warmup(recipe: Any) -> None:
    """Say on stderr where the warm-up is longer than the run."""
    if recipe.warmup_steps > recipe.num_steps:
        print(
            f"train: --warmup-steps {recipe.warmup_steps} is beyond the run's {recipe.num_steps} "
            "steps: the learning rate never reaches its highest value",
            file=sys.stderr,
        )


def push(folder: Path, repo: str, private: bool) -> None:
    """Push the run's model; where that fails the run is whole all the same."""
    from scripts.publishing.hub import push_model

    try:
        print(push_model(folder, repo, private), flush=True)
    except (ValueError, OSError) as error:
        words = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(f"{folder} is whole, but was not pushed to {repo}: {words}") from None


def main_with_flags() -> None:
    """Run `main`; messages name flags in place of the fields of a recipe."""
    try:
        main()
    except ValueError as error:
        from scripts.training.cli import with_flags

        raise ValueError(with_flags(str(error))) from None


if __name__ == "__main__":
    run("train", main_with_flags)
