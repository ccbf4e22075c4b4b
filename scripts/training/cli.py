"""The flags of `train.py`: how a run is made, and the recipe that they change."""

import re
from argparse import Namespace
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, get_args, get_type_hints

from scripts.core.cli import Parser, flag_of, int_from, read_pairs
from scripts.core.io import read_json
from scripts.training.distributed import (
    check_trackers,
    launched_precision,
    launched_processes,
)
from scripts.training.recipes import UNTRAINED, Recipe, find_recipe
from vsc_dataset.checking import nearest

RUN_FILE = "run.json"
FLAG_NAMES = {"num_samples": "max_samples"}
"""Fields of a recipe whose flag has another name."""

FLAGS: dict[str, dict[str, Any]] = {
    "--recipe": {"required": True, "metavar": "NAME", "help": "a table of scripts/recipes.toml"},
    "--output-dir": {
        "type": Path,
        "metavar": "DIR",
        "help": "default: the next numbered folder below runs/",
    },
    "--name": {
        "metavar": "NAME",
        "help": "of the run: of its folder, and in reports, tables and pictures; default: that of "
        "the recipe, or of the layer's class or the model where the flags name one",
    },
    "--trials": {
        "type": int_from(1, 2**16),
        "metavar": "N",
        "help": "train this often, with seeds from --seed on; default: 1, or as resumed",
    },
    "--seed": {
        "type": int_from(0, 2**64 - 1),
        "metavar": "N",
        "help": "of initialization and training samples; default: 0",
    },
    "--jobs": {
        "type": int_from(1, 1024),
        "default": 1,
        "metavar": "N",
        "help": "trials side by side, as processes that share the threads of the CPU",
    },
    "--resume": {"action": "store_true", "help": "go on with an interrupted run"},
    "--max-minutes": {
        "type": float,
        "metavar": "N",
        "help": "stop by then, with a checkpoint that --resume goes on from",
    },
    "--final-samples": {
        "type": int_from(1),
        "metavar": "N",
        "help": "samples of each split that are evaluated at the end; default: all",
    },
    "--report-to": {
        "nargs": "+",
        "default": [],
        "metavar": "TRACKER",
        "help": "trackers that accelerate knows: tensorboard, trackio, wandb, …",
    },
    "--push-to-hub": {
        "metavar": "REPO",
        "help": "OWNER/NAME on the hub that receives the finished run's model",
    },
    "--private": {"action": "store_true", "help": "make that repository a private one"},
    "--trust-remote-code": {
        "action": "store_true",
        "help": "run code that a checkpoint given as --model brings",
    },
}
DEVICE = "accelerate chooses it: set CUDA_VISIBLE_DEVICES, or ACCELERATE_USE_CPU=true for the CPU"
LAYERS = "it is a field of the model, write --model-args num_layers=2"
HINTS = {
    **dict.fromkeys(("--device", "--gpu", "--gpus", "--cuda", "--cpu"), DEVICE),
    **dict.fromkeys(("--num-layers", "--n-layers", "--num-hidden-layers", "--set"), LAYERS),
}
"""Flags that people try, and what to do instead."""


def recipe_flags() -> dict[str, dict[str, Any]]:
    """Return a flag for every field of Recipe that changes a trial; None where it is not given."""
    hints, flags = get_type_hints(Recipe), {}
    for one in fields(Recipe):
        if one.name in UNTRAINED:
            continue
        settings: dict[str, Any] = {"help": f"{one.metadata['help']}; in place of the recipe's"}
        kind = get_args(hints[one.name])[:1] or (hints[one.name],)  # the first of `int | None`
        if one.name.endswith("_args"):
            settings |= {"nargs": "+", "metavar": "K=V"}
        else:
            settings |= {"type": kind[0], "metavar": "VALUE"}
            settings |= {"nargs": "+"} if one.name in ("betas", "curriculum") else {}
        flags[flag_of(FLAG_NAMES.get(one.name, one.name))] = settings
    return flags


def read_flags(words: Sequence[str] | None = None) -> tuple[Namespace, Recipe]:
    """Read the command line: the flags of FLAGS, and the recipe as the others change it.

    Args:
      words: of the command line; sys.argv's if None.
    Returns:
      The flags, with `seeds` among them: those that are wanted; None takes those of the run that
      is resumed, else 0.
    Raises:
      ValueError: an unknown flag (the nearest is named), a value that cannot work, or flags that
        contradict each other.
    """
    description = "Train a recipe: once or in several trials; measure, report."
    flags = Parser(description, {**FLAGS, **recipe_flags()}, HINTS).parse_args(words)
    _check(flags)
    names = {one.name: FLAG_NAMES.get(one.name, one.name) for one in fields(Recipe)}
    values = {name: getattr(flags, flag, None) for name, flag in names.items()}
    changes = {name: value for name, value in values.items() if value is not None}
    recipe = find_recipe(flags.recipe)
    try:
        recipe = _change(recipe, {**_defaults(recipe, changes, flags), **changes})
    except ValueError as error:
        raise ValueError(with_flags(str(error))) from None
    if flags.push_to_hub is not None:
        _check_push(flags.push_to_hub, recipe)
    first = flags.seed or 0
    takes_kept_seeds = flags.trials is None and flags.seed is None
    flags.seeds = None if takes_kept_seeds else [*range(first, first + (flags.trials or 1))]
    return flags, recipe


def _check(flags: Namespace) -> None:
    """Raise a ValueError where flags cannot work, alone or together."""
    if flags.name is not None and not re.fullmatch(r"\w[\w.+-]{0,79}", flags.name):
        raise ValueError(
            f"--name {flags.name[:80]!r}: use up to 80 letters, digits and . _ + -, a letter or a "
            "digit first, for it is a folder's name"
        )
    if (flags.seed or 0) + (flags.trials or 1) > 2**64:
        raise ValueError(f"--seed {flags.seed}: the last trial's seed must be below 2^64")
    launched = launched_processes()
    if flags.jobs > 1 and launched > 1:
        raise ValueError(
            f"--jobs {flags.jobs} in {launched} launched processes: jobs are processes of their "
            "own, so use one or the other"
        )
    if flags.max_minutes is not None and not flags.max_minutes > 0:
        raise ValueError(f"--max-minutes {flags.max_minutes:g} must be above 0")
    if flags.private and flags.push_to_hub is None:
        raise ValueError("--private without --push-to-hub: name a repository")
    if flags.report_to:
        check_trackers(flags.report_to)


def _check_push(repo: str, recipe: Recipe) -> None:
    """Raise a ValueError for what would fail after hours of training."""
    from huggingface_hub import get_token

    from scripts.core.hub_ids import check_repo_id, check_token
    from scripts.core.model_loading import MADE_BY

    check_repo_id(repo, "--push-to-hub")
    check_token()
    if ".py:" in recipe.model or (Path(recipe.model) / MADE_BY).exists():
        raise ValueError(
            f"--push-to-hub with --model {recipe.model}: no Auto class loads what a function made; "
            "leave --push-to-hub out, or give a custom layer as --mixer FILE.py:CLASS"
        )
    if get_token() is None:
        raise ValueError("--push-to-hub needs a token: set HF_TOKEN, or run hf auth login")


def with_flags(message: str) -> str:
    """Write the flags of a recipe's fields in place of their names in a message.

    >>> with_flags("num_samples is 10: one step needs batch_size 64")
    '--max-samples is 10: one step needs --batch-size 64'
    """
    names = [one.name for one in fields(Recipe) if one.name not in UNTRAINED]
    long = "|".join(name for name in names if "_" in name)
    short = "|".join(name for name in names if "_" not in name)
    return re.sub(
        rf"(?<![\w'\"./-])({long})(?![\w'\"=])|^({short})(?= )",
        lambda match: flag_of(FLAG_NAMES.get(match[0], match[0])),
        message,
    )


def _defaults(recipe: Recipe, changes: Mapping[str, Any], flags: Namespace) -> dict[str, Any]:
    """Return what follows where another layer or model is named: the run's name, weight decay.

    A run that is resumed keeps its own, also one of an earlier version.
    """
    defaults: dict[str, Any] = {}
    for kind in ("model", "mixer"):
        target = str(changes.get(kind, ""))
        if target and target != getattr(recipe, kind):
            last = Path(target).name.rpartition(":")[2]
            name = re.sub(r"[^\w.+-]", "-", last).strip("-.")[:80] or kind
            defaults = {"name": name, "description": "", "weight_decay_on": "matrices"}
    run_file = flags.output_dir / RUN_FILE if flags.output_dir else None
    if flags.resume and run_file and run_file.is_file():
        kept = read_json(run_file, hint="choose another --output-dir").get("recipe")
        if isinstance(kept, dict):
            defaults |= {"weight_decay_on": "all"}
            defaults |= {key: kept[key] for key in ("name", "weight_decay_on") if key in kept}
    return defaults


def _change(recipe: Recipe, changes: dict[str, Any]) -> Recipe:
    """Change a recipe as flags and launcher say; fields of a `_args` one by one."""
    precision = launched_precision()
    if precision and changes.setdefault("mixed_precision", precision) != precision:
        raise ValueError(
            f"--mixed-precision {changes['mixed_precision']} contradicts accelerate's {precision}: "
            "say the same, or leave one out"
        )
    for kind in ("data", "model", "mixer"):
        pairs = read_pairs(f"--{kind}-args", changes.get(f"{kind}_args", []))
        if kind == "model" and pairs and changes.get("mixer", recipe.mixer):
            _check_scaffold(pairs)
        changes[f"{kind}_args"] = pairs
    stops = changes.get("early_stop_pct", recipe.early_stop_pct)
    if "early_stop_validations" in changes and stops is None:
        raise ValueError("--early-stop-validations without --early-stop-pct: say at what error")
    return recipe.changed(**changes)


def _check_scaffold(pairs: Mapping[str, Any]) -> None:
    """Raise a ValueError for sizes of the delta layer, which a mixer has replaced."""
    from vsc_models import VscMixerConfig

    names = [one.name for one in fields(VscMixerConfig)]
    for name in pairs:
        if name not in names:
            raise ValueError(
                f"--model-args {name} with a mixer, whose scaffold has no such field: "
                f"{nearest(name, names)}"
            )
