"""A recipe's name -> trained models, their figures and their pictures, below runs/.

accelerate launch scripts/train.py --recipe swap-delta
accelerate launch scripts/train.py --recipe swap-delta --trials 10 --output-dir runs/ten
"""

import sys
from dataclasses import dataclass, field, replace
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[1])  # this folder hides the library `evaluate`


@dataclass
class Arguments:
    """The flags of this command."""

    recipe: str = field(metadata={"help": "a table of scripts/recipes.toml"})
    output_dir: Path | None = field(
        default=None, metadata={"help": "default: the next numbered folder below runs/"}
    )
    trials: int | None = field(
        default=None,
        metadata={"help": "train this often, with seeds from --seed on; default: 1, or as resumed"},
    )
    max_samples: int | None = field(
        default=None, metadata={"help": "training questions, in place of the recipe's number"}
    )
    seed: int | None = field(
        default=None, metadata={"help": "of initialisation and training questions; default: 0"}
    )
    resume: bool = field(default=False, metadata={"help": "go on with an interrupted run"})
    data: str | None = field(
        default=None, metadata={"help": "a configuration, in place of the recipe's data"}
    )


def main() -> None:
    """Train, measure, report."""
    from transformers import HfArgumentParser
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()  # of loading a model that is loaded in a blink
    parser = HfArgumentParser(Arguments, description=__doc__)  # type: ignore[arg-type]
    (arguments,) = parser.parse_args_into_dataclasses()
    from scripts.training.processes import is_main_process
    from scripts.training.recipes import find_recipe
    from scripts.training.results import finish_run
    from scripts.training.runs import open_run, run_trials
    from scripts.training.trials import check

    recipe = find_recipe(arguments.recipe)
    changes = {"num_samples": arguments.max_samples, "data": arguments.data}
    recipe = replace(recipe, **{key: value for key, value in changes.items() if value is not None})
    trials, seed, seeds = arguments.trials, arguments.seed, None
    if trials is not None or seed is not None:
        trials, seed = 1 if trials is None else trials, seed or 0
        if trials < 1 or seed < 0:
            raise ValueError(f"--trials {trials} must be 1 or more, --seed {seed} 0 or more")
        seeds = list(range(seed, seed + trials))
    check(recipe)
    folder, seeds = open_run(recipe, arguments.output_dir, seeds, arguments.resume)
    records = list(run_trials(recipe, folder, seeds))
    if is_main_process():
        print(finish_run(recipe, folder, records))


if __name__ == "__main__":
    try:
        main()
    except (ValueError, OSError) as error:
        sys.exit(f"train: {error}")
