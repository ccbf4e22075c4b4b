"""Words of the command line -> Arguments and the Recipe that they change."""

import tomllib
from argparse import HelpFormatter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, make_dataclass
from pathlib import Path
from typing import Any, NoReturn, get_type_hints

from huggingface_hub import get_token
from transformers import HfArgumentParser

from scripts.core.hub_ids import check_repo_id, check_token
from scripts.core.model_loading import MADE_BY
from scripts.training.distributed import check_trackers, launched_settings, num_launched
from scripts.training.recipes import KINDS, Recipe, find_recipe
from vsc_dataset.checking import nearest
from vsc_models import VscMixerConfig

FLAG_OF = {"num_samples": "max_samples"}
"""Fields of a recipe whose flag has another name."""

NO_FLAGS = ("name", "description")
"""Fields that shape nothing."""


@dataclass
class Arguments:
    """What a run does around its recipe."""

    recipe: str = field(metadata={"help": "a table of scripts/recipes.toml"})
    output_dir: Path | None = field(
        default=None, metadata={"help": "default: the next numbered folder below runs/"}
    )
    trials: int | None = field(
        default=None,
        metadata={"help": "train this often, with seeds from --seed on; default: 1, or as resumed"},
    )
    seed: int | None = field(
        default=None, metadata={"help": "of initialisation and training questions; default: 0"}
    )
    jobs: int = field(
        default=1,
        metadata={"help": "trials side by side, as processes that share the threads of the CPU"},
    )
    resume: bool = field(default=False, metadata={"help": "go on with an interrupted run"})
    max_minutes: float | None = field(
        default=None,
        metadata={"help": "stop by then, with a checkpoint that --resume goes on from"},
    )
    report_to: list[str] | None = field(
        default=None,
        metadata={"help": "trackers that accelerate knows: tensorboard, trackio, wandb, …"},
    )
    push_to_hub: str | None = field(
        default=None,
        metadata={"help": "OWNER/NAME on the hub that receives the finished run's model"},
    )
    push_every_checkpoint: bool = field(
        default=False, metadata={"help": "also push at every validation on the way"}
    )
    private: bool = field(default=False, metadata={"help": "make that repository a private one"})
    trust_remote_code: bool = field(
        default=False, metadata={"help": "run code that a checkpoint given as --model brings"}
    )

    @property
    def seeds(self) -> list[int] | None:
        """The seeds that are asked for; None takes those of the run that is resumed, else 0."""
        if self.trials is None and self.seed is None:
            return None
        first = self.seed or 0
        return list(range(first, first + (1 if self.trials is None else self.trials)))


def read_flags(words: Sequence[str] | None = None) -> tuple[Arguments, Recipe]:
    """The command's arguments and its recipe, changed as the flags say.

    Args:
      words: of the command line; sys.argv's if None.
    Raises:
      ValueError: an unknown flag (the nearest is named), a value that cannot work, or flags that
        contradict each other.
    """
    parser = HfArgumentParser(
        [Arguments, make_dataclass("Changes", _change_fields())],  # type: ignore[list-item]
        description="Train a recipe: once or in several trials, measure, report.",
        allow_abbrev=False,
        formatter_class=HelpFormatter,
    )
    parser.error = _refuse  # type: ignore[method-assign]  # one line, no usage of forty flags
    arguments, changes, unknown = parser.parse_args_into_dataclasses(
        words, return_remaining_strings=True, look_for_args_file=False
    )
    known = sorted(option for option in parser._option_string_actions if "_" not in option)
    for word in unknown:
        if word.startswith("-"):
            raise ValueError(f"flag {word.partition('=')[0]} is unknown: {nearest(word, known)}")
        raise ValueError(f"{word!r} belongs to no flag: see --help")
    _check(arguments)
    given = {name: value for name, value in vars(changes).items() if value is not None}
    recipe = _changed(find_recipe(arguments.recipe), given)
    if arguments.push_to_hub is not None:
        _check_push(arguments.push_to_hub, recipe)
    return arguments, recipe


def _change_fields() -> list[tuple[str, Any, Any]]:
    """A flag for every field of Recipe that shapes a trial, None where it is not given."""
    hints, flags = get_type_hints(Recipe), []
    for recipe_field in fields(Recipe):
        if recipe_field.name in NO_FLAGS:
            continue
        name, hint = recipe_field.name, hints[recipe_field.name]
        several: Any = list[float] if name == "betas" else list[str]
        kind = KINDS[hint].flag if hint in KINDS else several
        text = {"help": f"{recipe_field.metadata['help']}; in place of the recipe's"}
        flags.append((FLAG_OF.get(name, name), kind | None, field(default=None, metadata=text)))
    return flags


def _refuse(message: str) -> NoReturn:
    raise ValueError(message)


def _check(arguments: Arguments) -> None:
    """Raise a ValueError where flags cannot work, alone or together."""
    trials, seed = arguments.trials, arguments.seed
    for name, value, least in (
        ("trials", trials, 1),
        ("seed", seed, 0),
        ("jobs", arguments.jobs, 1),
    ):
        if value is not None and value < least:
            raise ValueError(f"--{name} {value} must be {least} or more")
    if (seed or 0) + (trials or 1) > 2**64:
        raise ValueError(f"--seed {seed}: the last trial's seed must be below 2^64")
    if arguments.jobs > 1 and num_launched() > 1:
        raise ValueError(
            f"--jobs {arguments.jobs} in {num_launched()} launched processes: jobs are processes "
            "of their own, so use one or the other"
        )
    if arguments.max_minutes is not None and not arguments.max_minutes > 0:
        raise ValueError(f"--max-minutes {arguments.max_minutes:g} must be above 0")
    for name in ("push_every_checkpoint", "private"):
        if getattr(arguments, name) and arguments.push_to_hub is None:
            raise ValueError(f"--{name.replace('_', '-')} without --push-to-hub: name a repository")
    if arguments.push_every_checkpoint:
        check_one_trial(trials or 1)
    check_trackers(arguments.report_to or [])


def check_one_trial(trials: int) -> None:
    """Raise a ValueError for several trials that would push to one repository on their ways."""
    if trials > 1:
        raise ValueError(
            f"--push-every-checkpoint with {trials} trials: a repository holds one model, so "
            "train one trial or push at the end alone"
        )


def _check_push(repo: str, recipe: Recipe) -> None:
    """Raise a ValueError for what would fail behind hours of training."""
    check_repo_id(repo, "--push-to-hub")
    check_token()
    if ".py:" in recipe.model or (Path(recipe.model) / MADE_BY).exists():
        raise ValueError(
            f"--push-to-hub with --model {recipe.model}: no Auto class loads what a function made; "
            "leave --push-to-hub out, or give a layer of your own as --mixer FILE.py:CLASS"
        )
    if get_token() is None:
        raise ValueError("--push-to-hub needs a token: set HF_TOKEN, or run hf auth login")


def _changed(recipe: Recipe, given: Mapping[str, Any]) -> Recipe:
    """The recipe with what flags and launcher say; fields of a `_args` are changed one by one."""
    changes = {name: given[FLAG_OF.get(name, name)] for name in _names(given)}
    for name, value in launched_settings().items():
        if changes.setdefault(name, value) != value:
            raise ValueError(
                f"--{name.replace('_', '-')} {changes[name]} contradicts accelerate's {value}: "
                "say the same, or leave one out"
            )
    for kind in ("model", "mixer"):
        words = changes.get(f"{kind}_args")
        pairs = _pairs(f"--{kind}-args", words or [])
        if kind == "model" and changes.get("mixer", recipe.mixer):
            _check_scaffold(pairs)
        changes[f"{kind}_args"] = pairs
    if (
        "early_stop_validations" in changes
        and changes.get("early_stop_pct", recipe.early_stop_pct) is None
    ):
        raise ValueError("--early-stop-validations without --early-stop-pct: say at what error")
    return recipe.changed(**changes)


def _check_scaffold(given: Mapping[str, Any]) -> None:
    """Raise a ValueError for sizes of the delta layer, which a mixer has replaced."""
    known = [one.name for one in fields(VscMixerConfig)]
    for name in given:
        if name not in known:
            raise ValueError(
                f"--model-args {name} with a mixer, whose scaffold has no such field: "
                f"{nearest(name, known)}"
            )


def _names(given: Mapping[str, Any]) -> list[str]:
    """The fields of Recipe that flags were given for."""
    return [f.name for f in fields(Recipe) if FLAG_OF.get(f.name, f.name) in given]


def _pairs(flag: str, words: Sequence[str]) -> dict[str, Any]:
    """Settings from k=v, a value as TOML writes it or else a text.

    >>> _pairs("--model-args", ["hidden_size=48", "dilation=[1, 2]", "hidden_act=gelu"])
    {'hidden_size': 48, 'dilation': [1, 2], 'hidden_act': 'gelu'}
    """
    pairs = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or not name.isidentifier():
            raise ValueError(f"{flag} {word!r}: write name=value")
        try:
            pairs[name] = tomllib.loads(f"value = {value}")["value"]
        except tomllib.TOMLDecodeError:
            pairs[name] = value
    return pairs
