"""A recipe's name -> trained models, their figures and their pictures, below runs/.

accelerate launch scripts/train.py --recipe swap-delta
accelerate launch scripts/train.py --recipe swap-delta --trials 10 --jobs 2 --output-dir runs/ten
accelerate launch scripts/train.py --recipe mixed-l6 --max-samples 100000 --learning-rate 1e-3
"""

import sys
import time
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[1])  # this folder hides the library `evaluate`


def main() -> None:
    """Train, measure, report."""
    started = time.time()
    from transformers.utils.logging import disable_progress_bar

    from scripts.training.flags import read_flags

    disable_progress_bar()  # of loading a model that is loaded in a blink
    arguments, recipe = read_flags()
    from scripts.training.processes import is_main_process
    from scripts.training.runs import open_run, run_trials
    from scripts.training.trials import Paused, Settings, check

    check(recipe, arguments.trust_remote_code)
    folder, seeds = open_run(recipe, arguments.output_dir, arguments.seeds, arguments.resume)
    repo, private = arguments.push_to_hub, arguments.private
    settings = Settings(
        report_to=tuple(arguments.report_to or ()),
        deadline=arguments.max_minutes and started + 60 * arguments.max_minutes,
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
        from scripts.training.results import finish_run

        print(finish_run(recipe, folder, records))
        if repo is not None:
            push(folder, repo, private)


def push(folder: Path, repo: str, private: bool) -> None:
    """Push the run's model; where that fails, say that the run is whole."""
    from scripts.publishing.hub import push_model

    try:
        print(push_model(folder, repo, private), flush=True)
    except (ValueError, OSError) as error:
        words = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(f"{folder} is whole, but was not pushed to {repo}: {words}") from None


if __name__ == "__main__":
    try:
        main()
    except (ValueError, OSError) as error:
        sys.exit(f"train: {error}")
    except KeyboardInterrupt:
        sys.exit("train: interrupted")  # before anything was begun, or when all trials had ended
