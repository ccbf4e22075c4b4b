"""The flags of `train.py`: how a run is made, and the recipe that they change."""

import re
from argparse import Namespace
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, get_args

from scripts.core.cli import Parser, int_from, positive, read_pairs
from scripts.core.io import RUN_FILE, read_json
from scripts.training.distributed import check_launch, check_trackers, launched_precision
from scripts.training.recipes import FIELD_TYPES, LABEL_FIELDS, Recipe, find_recipe, recipe_flag
from vsc_dataset.checking import nearest

TRAINED = [one.name for one in fields(Recipe) if one.name not in LABEL_FIELDS]
NAME = "of the run and its folder; default: the recipe's, or that of the layer or model in a flag"
FLAGS: dict[str, dict[str, Any]] = {
    "--recipe": {"required": True, "help": "a table of scripts/recipes.toml"},
    "--output-dir": {"type": Path, "help": "default: the next numbered folder below runs/"},
    "--name": {"help": NAME},
    "--trials": {"type": int_from(1, 2**16), "help": "seeds from --seed on; default: 1"},
    "--seed": {"type": int_from(0, 2**63), "help": "of weights and training samples; default: 0"},
    "--jobs": {"type": int_from(1, 1024), "default": 1, "help": "trials side by side"},
    "--resume": {"action": "store_true", "help": "go on with an interrupted run"},
    "--max-minutes": {"type": positive, "help": "stop by then, with a checkpoint for --resume"},
    "--final-samples": {"type": int_from(1), "help": "of each split; default: all"},
    "--report-to": {"nargs": "+", "default": [], "help": "trackers: tensorboard, wandb, …"},
    "--push-to-hub": {"metavar": "OWNER/NAME", "help": "repository that gets the run's model"},
    "--private": {"action": "store_true", "help": "make that repository a private one"},
    "--trust-remote-code": {"action": "store_true", "help": "run code that a --model brings"},
}
DEVICE = "accelerate chooses it: set CUDA_VISIBLE_DEVICES, or ACCELERATE_USE_CPU=true for the CPU"
LAYERS = "it is a field of the model, write --model-args num_layers=2"
FLAG_HINTS = {
    **dict.fromkeys(("--device", "--gpu", "--gpus", "--cuda", "--cpu"), DEVICE),
    "--layer": "it is --mixer FILE.py:CLASS",
    **dict.fromkeys(("--num-layers", "--n-layers", "--num-hidden-layers", "--set"), LAYERS),
}
"""Flags that people try, and what to do instead."""


def recipe_flags() -> dict[str, dict[str, Any]]:
    """Return a flag for every field of Recipe that changes a trial; None where it is not given."""
    flags = {}
    for one in fields(Recipe):
        settings: dict[str, Any] = {"dest": one.name, "help": one.metadata.get("help")}
        if one.name.endswith("_args"):
            settings |= {"nargs": "+", "metavar": "K=V"}
        else:
            kind, *_ = get_args(FIELD_TYPES[one.name]) or [
                FIELD_TYPES[one.name]
            ]  # the first of `int | None`
            settings |= {"type": kind, "metavar": "VALUE"}
            settings |= {"nargs": "+"} if one.name in ("betas", "curriculum") else {}
        if one.name in TRAINED:
            flags[recipe_flag(one.name)] = settings
    return flags


def read_flags(
    words: Sequence[str] | None = None, description: str | None = None
) -> tuple[Namespace, Recipe]:
    """Read the command line: the flags of FLAGS, and the recipe as the others change it.

    `seeds` is added to the flags: those that are wanted; None takes those of the run that is
    resumed, else 0.

    Raises:
      ValueError: an unknown flag (the nearest is named), a value that cannot work, or flags that
        contradict each other.
    """
    flags = Parser(description, {**FLAGS, **recipe_flags()}, FLAG_HINTS).parse_args(words)
    _check(flags)
    recipe = find_recipe(flags.recipe)
    changes = {name: value for name in TRAINED if (value := getattr(flags, name)) is not None}
    changes = {**_defaults(recipe, changes, flags), **changes}
    recipe = _change(recipe, changes | ({"name": flags.name} if flags.name else {}))
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
    check_launch(flags.jobs)
    if flags.private and flags.push_to_hub is None:
        raise ValueError("--private without --push-to-hub: name a repository")
    if flags.report_to:
        check_trackers(flags.report_to)


def _check_push(repo: str, recipe: Recipe) -> None:
    """Raise a ValueError for what would fail after hours of training."""
    from scripts.core.hub_ids import check_repo_id, check_token
    from scripts.core.model_loading import MADE_BY

    check_repo_id(repo, "--push-to-hub")
    if ".py:" in recipe.model or (Path(recipe.model) / MADE_BY).exists():
        raise ValueError(
            f"--push-to-hub with --model {recipe.model}: no Auto class loads what a function made; "
            "leave --push-to-hub out, or give a custom layer as --mixer FILE.py:CLASS"
        )
    check_token()


def _defaults(recipe: Recipe, changes: Mapping[str, Any], flags: Namespace) -> dict[str, Any]:
    """Return what follows where another layer or model is named: the run's name, weight decay.

    A run that is resumed keeps its own, also one of an earlier version.
    """
    defaults: dict[str, Any] = {}
    for kind in ("model", "mixer"):
        target = changes.get(kind, "")
        if target and target != getattr(recipe, kind):
            last = Path(target).name.rpartition(":")[2]
            name = re.sub(r"[^\w.+-]", "-", last).strip("-.")[:80] or kind
            defaults = {"name": name, "description": "", "weight_decay_on": "matrices"}
    run_file = flags.output_dir / RUN_FILE if flags.output_dir else None
    if flags.resume and run_file and run_file.is_file():
        kept = read_json(run_file, hint="choose another --output-dir").get("recipe")
        if isinstance(kept, dict):
            kept = {"weight_decay_on": "all", **kept}
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
