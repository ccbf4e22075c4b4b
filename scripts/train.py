"""A recipe's name -> trained models, their figures and their pictures, below runs/.

accelerate launch scripts/train.py --recipe swap-delta
accelerate launch scripts/train.py --recipe swap-delta --trials 10 --jobs 2 --output-dir runs/ten
accelerate launch scripts/train.py --recipe mixed-l6 --max-samples 100000 --learning-rate 1e-3
"""

import sys
import time
from functools import partial
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[1])  # this folder hides the library `evaluate`


def main() -> None:
    """Train, measure, report."""
    started = time.time()
    from transformers.utils.logging import disable_progress_bar

    from scripts.training.cli import check_one_trial, read_flags

    disable_progress_bar()  # of loading a model that is loaded in a blink
    arguments, recipe = read_flags()
    from scripts.training.distributed import is_main_process
    from scripts.training.runs import open_run, run_trials
    from scripts.training.trials import Paused, Settings, check

    check(recipe, arguments.trust_remote_code)
    folder, seeds = open_run(recipe, arguments.output_dir, arguments.seeds, arguments.resume)
    repo, private = arguments.push_to_hub, arguments.private
    often = arguments.push_every_checkpoint
    if often:  # a run that is resumed may have more trials than flags tell
        check_one_trial(len(seeds))
    settings = Settings(
        report_to=tuple(arguments.report_to or ()),
        deadline=arguments.max_minutes and started + 60 * arguments.max_minutes,
        push=partial(push, folder, repo, private) if repo and often else None,
        trust_remote_code=arguments.trust_remote_code,
    )
    again = f"the same command with --output-dir {folder} --resume goes on"
    try:
        if is_main_process():
            print(f"{folder}: {recipe.name}, seeds {', '.join(map(str, seeds))}", flush=True)
        records = run_trials(recipe, folder, seeds, arguments.jobs, settings)
    except Paused as pause:
        if is_main_process():
            print(f"{pause}: {again}")
        return
    except KeyboardInterrupt:
        sys.exit(f"train: interrupted: {again}")
    if is_main_process():
        from scripts.training.run_report import finish_run

        print(finish_run(recipe, folder, records))
        if repo is not None:
            push(folder, repo, private)


def push(folder: Path, repo: str, private: bool, on_the_way: Path | None = None) -> None:
    """Push the run's model, or one on the way; where that fails the run goes on, or is whole."""
    from scripts.publishing.hub import push_model

    try:
        print(push_model(folder, repo, private, on_the_way=on_the_way), flush=True)
    except Exception as error:  # whatever it is, it is not worth hours of training
        words = " ".join(str(error).split()) or type(error).__name__
        if on_the_way is not None:
            print(f"train: not pushed to {repo}, training goes on: {words}", file=sys.stderr)
        elif isinstance(error, ValueError | OSError):
            raise ValueError(f"{folder} is whole, but was not pushed to {repo}: {words}") from None
        else:
            raise


if __name__ == "__main__":
    try:
        main()
    except (ValueError, OSError) as error:
        sys.exit(f"train: {error}")
    except KeyboardInterrupt:
        sys.exit("train: interrupted")  # before anything was begun, or when all trials had ended
