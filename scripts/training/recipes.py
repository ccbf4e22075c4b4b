"""Read recipes.toml into a Recipe: everything that decides what a trial learns."""

import json
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import MISSING, asdict, dataclass, field, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any, get_type_hints

from scripts.core.io import has_type
from vsc_dataset.checking import nearest
from vsc_dataset.configs import TaskConfig, make_config

CHOICES = {
    "loss": ("answer", "all", "trace"),
    "objective": ("fill", "next-token", "scratchpad"),
    "mixed_precision": ("no", "bf16"),
    "weight_decay_on": ("all", "matrices"),
}
UNTRAINED = ("name", "description")
"""Fields that change no bit of a trial."""

DROPPED = {"gradient_accumulation_steps": 1}
"""Fields of earlier versions, with the one value that this version still means."""

RENAMED = {"steps_per_token": "num_householder", "beta_stretch": "beta_clip_margin"}
"""Fields of vsc_delta in earlier versions, and what they are called now."""

HIGHEST = {
    "num_samples": 2**48,
    "batch_size": 2**20,
    "learning_rate": 1e3,
    "num_validations": 10_000,
    "validation_questions": 2**48,
    "early_stop_validations": 10_000,
    "max_parameters": 2**48,
}
"""Fields that must be above 0, and at most this: what is larger would never end."""

FROM_ZERO = {
    "warmup_steps": 2**48,
    "weight_decay": 1e3,
    "max_grad_norm": 1e9,
    "early_stop_pct": 100,
}
"""Fields that must be 0 or more, and at most this."""

WORDS = {
    str: "a text",
    int: "a whole number",
    int | None: "a whole number",
    float: "a finite number",
    float | None: "a finite number",
    Mapping[str, Any]: "a table, name by value",
}
"""What a field holds, by its annotation."""

STAGE = re.compile(r"(\d*\.?\d+):(\d{1,4})(?:-(\d{1,4}))?", re.ASCII)
"""A stage of a curriculum: from which share of the samples on which numbers of operations."""

VALIDATION_SHARE = {"fill": 0.08, "next-token": 0.08, "scratchpad": 0.008}
"""Samples of all validations by training samples: evaluating one costs about half of training on
it, decoding a scratchpad five times as much, so validation stays below 5% of the time."""
RECIPES = Path(__file__).parent.parent / "recipes.toml"


def _documented(text: str, default: Any = MISSING, **factory: Any) -> Any:
    """Make a field with the sentence that documents it here and as a flag."""
    settings = factory if default is MISSING else {"default": default}
    return field(metadata={"help": text}, **settings)


@dataclass(frozen=True)
class Recipe:
    """A way to train a model. A field that a recipe does not give has the article's value.

    Every field has its help next to it; `train.py` makes a flag of each.

    Raises:
      ValueError: a field cannot work; the message names the value and the limit.
    """

    name: str
    data: str = _documented("the name of the configuration that is trained on")
    model: str = _documented(
        "a model type that transformers knows, ours included; FILE.py:FUNCTION that makes a "
        "model; or a checkpoint's folder or hub id"
    )
    data_args: Mapping[str, Any] = _documented(
        "fields of that configuration in place of its own, as k=v", default_factory=dict
    )
    model_args: Mapping[str, Any] = _documented(
        "fields of that model's configuration, as k=v", default_factory=dict
    )
    curriculum: tuple[str, ...] = _documented(
        "numbers of operations by the share of the samples from which on they are trained, as in "
        "0:1 0.2:1-5: one operation, after a fifth of the samples one to five",
        (),
    )
    mixer: str = _documented(
        "a custom layer: FILE.py:CLASS, FILE.py:FUNCTION that makes it, or package.module:CLASS; "
        "--model-args num_layers=2 stacks two of them",
        "",
    )
    mixer_args: Mapping[str, Any] = _documented(
        "arguments of that layer, as k=v", default_factory=dict
    )
    direction: str = _documented("how the mixer reads a row: 'forward', or 'both' ways", "forward")
    max_parameters: int = _documented("a larger model is refused before it is built", 10_000_000)
    num_samples: int = _documented(
        "training samples, a multiple of the batch or rounded down to one", 4_000_000
    )
    batch_size: int = _documented("samples of a step, over all processes", 64)
    mixed_precision: str = _documented("no or bf16", "no")
    learning_rate: float = _documented(
        "the highest one: it rises over the warm-up and falls to 0 as a cosine", 5e-4
    )
    warmup_steps: int = _documented("steps until the highest learning rate", 0)
    betas: tuple[float, float] = _documented("of AdamW", (0.9, 0.999))
    weight_decay: float = _documented("of AdamW", 0.01)
    weight_decay_on: str = _documented(
        "'all' parameters, as in the article, or 'matrices': neither norms, biases and the like, "
        "nor what a layer says is not decayed, such as A_log and D; the default for a custom layer "
        "or another model",
        "all",
    )
    max_grad_norm: float = _documented("the gradient is clipped to this norm; 0 clips nothing", 0.0)
    label_smoothing: float = _documented("share of each label that is spread over all bytes", 0.0)
    loss: str = _documented(
        "over the 'answer' field, 'all' bytes of question and answer field, or the answer field "
        "and the letters that each operation moves ('trace')",
        "all",
    )
    objective: str = _documented(
        "'fill' the answer field at once, or predict the 'next-token' as language models do, or "
        "'scratchpad': likewise, with the state after each operation before the answer; the latter "
        "only for models that read from left to right",
        "fill",
    )
    num_validations: int = _documented("validations during training, evenly spread", 20)
    validation_questions: int | None = _documented(
        "samples of each, at the end it is all there are; as many as cost little if not given",
        None,
    )
    early_stop_pct: float | None = _documented(
        "stop when the newest validations all have at most this sample error, in percent", None
    )
    early_stop_validations: int = _documented("how many validations that must be", 3)
    description: str = _documented("one sentence", "")

    def __post_init__(self) -> None:
        self._check_types()
        object.__setattr__(self, "betas", tuple(self.betas))
        object.__setattr__(self, "curriculum", tuple(self.curriculum))
        if self.model == "vsc_delta":
            renamed = {RENAMED.get(name, name): value for name, value in self.model_args.items()}
            object.__setattr__(self, "model_args", renamed)
        for name, highest in {**HIGHEST, **FROM_ZERO}.items():
            value = getattr(self, name)
            if value is None:
                continue
            if value < 0 or (value == 0 and name in HIGHEST):
                least = "above 0" if name in HIGHEST else "0 or more"
                raise ValueError(f"{name} is {value}: it must be {least}")
            if value > highest:
                raise ValueError(f"{name} is {value}: it must be at most {highest:,}")
        for name, choices in CHOICES.items():
            if getattr(self, name) not in choices:
                raise ValueError(f"{name} is {getattr(self, name)!r}: use one of {list(choices)}")
        if not 0 <= self.label_smoothing < 1:
            raise ValueError(
                f"label_smoothing is {self.label_smoothing}: give a share from 0 to below 1"
            )
        if self.num_samples < self.batch_size:
            raise ValueError(
                f"num_samples is {self.num_samples}: one step needs batch_size {self.batch_size}"
            )
        if self.objective != "fill" and self.loss == "trace":
            raise ValueError(
                f"objective {self.objective} with loss 'trace': a position has one label; use loss "
                "'answer' or 'all'"
            )
        if not self.mixer and (self.mixer_args or self.direction != "forward"):
            raise ValueError("mixer_args or direction without a mixer: name it or leave them out")
        for _, config in self.stages:
            if self.objective == "scratchpad" and 0 in (config.nops[0], config.eval_nops[0]):
                raise ValueError(
                    f"objective scratchpad, but {self.data_label} has samples of no operation, so "
                    "of no state to write: let nops, eval_nops and curriculum begin at 1"
                )

    def _check_types(self) -> None:
        """Raise a ValueError for a value of another type, which a TOML file may hold."""
        for name, hint in HINTS.items():
            value = getattr(self, name)
            if hint in WORDS and not has_type(value, hint):
                raise ValueError(f"{name} is {value!r}: it must be {WORDS[hint]}")
        stages = self.curriculum
        if not isinstance(stages, tuple | list) or not all(isinstance(one, str) for one in stages):
            raise ValueError(f"curriculum is {stages!r}: it must be a list of texts, such as '0:1'")
        pair = self.betas if has_type(self.betas, tuple | list) else ()
        if len(pair) != 2 or not all(has_type(beta, float) and 0 <= beta < 1 for beta in pair):
            wrong = list(pair) or self.betas
            raise ValueError(f"betas is {wrong!r}: give two numbers from 0 to below 1")

    @cached_property
    def config(self) -> TaskConfig:
        """The configuration of the data."""
        if "name" in self.data_args:
            raise ValueError("data_args has a name: name the configuration with --data")
        return make_config(self.data, **self.data_args)

    @cached_property
    def stages(self) -> tuple[tuple[int, TaskConfig], ...]:
        """The stages of training: the step that each begins with, and its data.

        >>> recipe = find_recipe("swap-delta").changed(curriculum=["0:1", "0.2:1-5"])
        >>> [(step, config.nops) for step, config in recipe.stages]
        [(0, (1, 1)), (312, (1, 5))]
        """
        if not self.curriculum:
            return ((0, self.config),)
        stages, earlier = [], -1.0
        for text in self.curriculum:
            stage = STAGE.fullmatch(text)
            if stage is None:
                raise ValueError(
                    f"curriculum has {text!r}: write SHARE:NOPS or SHARE:LOWEST-HIGHEST, such as "
                    "0:1 0.2:1-5"
                )
            share, lowest = float(stage[1]), int(stage[2])
            highest = int(stage[3] or lowest)
            if not earlier < share < 1 or (earlier < 0) != (share == 0):
                raise ValueError(f"curriculum has {text!r}: shares begin at 0 and rise to below 1")
            if not lowest <= highest <= self.config.nops[1]:
                raise ValueError(
                    f"curriculum has {text!r}: the lowest number of operations comes first, and "
                    f"the highest of {self.data_label} is {self.config.nops[1]}"
                )
            config = replace(self.config, nops=(lowest, highest))
            stages.append((round(share * self.num_steps), config))
            earlier = share
        return tuple(stages)

    @property
    def data_label(self) -> str:
        """The name of the data, with the fields that are not its own.

        >>> find_recipe("swap-delta").changed(data_args={"num_items": 10}).data_label
        'swap-nops1-5 num_items=10'
        """
        return " ".join([self.data, *(f"{name}={x}" for name, x in self.data_args.items())])

    @property
    def num_steps(self) -> int:
        """Steps of the optimizer."""
        return self.num_samples // self.batch_size

    @cached_property
    def validation_steps(self) -> frozenset[int]:
        """The steps after which the model is validated, the last one among them."""
        spacing = self.num_steps / self.num_validations
        return frozenset(round(spacing * i) for i in range(1, self.num_validations + 1)) - {0}

    @property
    def validation_samples(self) -> int:
        """Samples of each validation during training.

        Where the recipe does not say, all of them are VALIDATION_SHARE of the training samples.
        """
        wanted = self.validation_questions
        if wanted is None:
            share = VALIDATION_SHARE[self.objective]
            wanted = max(100, int(share * self.num_samples / self.num_validations))
        return min(wanted, self.config.num_validation)

    def check_processes(self, num_processes: int) -> None:
        """Raise a ValueError where processes cannot share the batch evenly."""
        if self.batch_size % num_processes:
            raise ValueError(
                f"batch_size {self.batch_size} cannot be shared evenly by {num_processes} "
                f"processes: use a multiple of {num_processes}"
            )

    def to_json(self) -> dict[str, Any]:
        """Return the recipe as JSON reads it back: what runs, checkpoints and results keep."""
        fields_as_json: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        return fields_as_json

    @classmethod
    def from_dict(cls, kept: Mapping[str, Any]) -> "Recipe":
        """Read a recipe that `to_json` wrote, now or in an earlier version.

        A field that came later has its default, because it is the default that was used.

        Raises:
          ValueError: a field cannot work or is unknown, or an earlier version trained in a way
            that is gone.

        >>> old = {"name": "a", "data": "swap-nops2", "model": "vsc_delta", "mixed_precision": "no"}
        >>> Recipe.from_dict({**old, "gradient_accumulation_steps": 1}).num_samples
        4000000
        >>> Recipe.from_dict({**old, "gradient_accumulation_steps": 2})
        Traceback (most recent call last):
        ValueError: gradient_accumulation_steps is 2: this version trains with 1 alone
        """
        for name, only in DROPPED.items():
            if kept.get(name, only) != only:
                raise ValueError(f"{name} is {kept[name]!r}: this version trains with {only} alone")
        values = {name: value for name, value in kept.items() if name not in DROPPED}
        check_keys("recipe", values, [one.name for one in fields(cls)])
        return cls(**values)

    def changed(self, **changes: Any) -> "Recipe":
        """Return the recipe with other fields, see `merge`.

        Raises:
          ValueError: a field cannot work or is unknown.

        >>> find_recipe("prelim-l6-ch64").changed(model_args={"num_layers": 1}).model_args
        {'hidden_size': 64, 'num_layers': 1, 'dilation': [1, 2, 3, 4, 5, 1]}
        """
        return Recipe.from_dict(
            merge({f.name: getattr(self, f.name) for f in fields(self)}, changes)
        )

    def same_training(self, other: "Recipe") -> bool:
        """Return whether both train the same bits from the same seed, whatever their names."""
        ours, theirs = self.to_json(), other.to_json()
        return all(ours[name] == theirs[name] for name in ours if name not in UNTRAINED)


HINTS = get_type_hints(Recipe)


def merge(parent: Mapping[str, Any], child: Mapping[str, Any]) -> dict[str, Any]:
    """Take what `child` does not give from `parent`, in nested tables key by key.

    The arguments of other data, another model or mixer are not taken: they would not fit it.

    >>> parent = {"model": "a", "model_args": {"x": 1, "y": 2}}
    >>> merge(parent, {"model_args": {"y": 3}})
    {'model': 'a', 'model_args': {'x': 1, 'y': 3}}
    >>> merge(parent, {"model": "b", "model_args": {"y": 3}})
    {'model': 'b', 'model_args': {'y': 3}}
    """
    merged = dict(parent)
    for kind in ("data", "model", "mixer"):
        if kind in parent and child.get(kind, parent[kind]) != parent[kind]:
            merged.pop(f"{kind}_args", None)
    for name, value in child.items():
        nested = isinstance(merged.get(name), Mapping) and isinstance(value, Mapping)
        merged[name] = merge(merged[name], value) if nested else value
    return merged


def check_keys(called: str, keys: Iterable[str], names: Sequence[str]) -> None:
    """Raise a ValueError for a key that nothing reads; the nearest is named."""
    for key in keys:
        if key not in names:
            raise ValueError(f"{called}: key {key!r} is unknown: {nearest(key, names)}")


def read_recipes(path: Path = RECIPES) -> dict[str, Recipe]:
    """Read all recipes by name.

    `like = "NAME"` takes what is not given from a table further up, see `merge`; a table whose name
    begins with `_` is only there to be taken from.

    Raises:
      ValueError: a table has an unknown key or is like none above (the nearest is named), or a
        value cannot work; the message names the recipe.
    """
    names = ["like", *(one.name for one in fields(Recipe) if one.name != "name")]
    tables: dict[str, dict[str, Any]] = {}
    recipes: dict[str, Recipe] = {}
    for name, table in tomllib.loads(path.read_text("utf-8")).items():
        check_keys(f"recipe {name!r}", table, names)
        like = table.pop("like", None)
        if like is not None and like not in tables:
            raise ValueError(
                f"recipe {name!r}: no recipe {like!r} stands above: {nearest(like, tables)}"
            )
        tables[name] = merge(tables.get(like, {}), table)
        if not name.startswith("_"):
            try:
                recipes[name] = Recipe(name=name, **tables[name])
            except (TypeError, ValueError) as error:
                raise ValueError(f"recipe {name!r}: {error}") from None
    return recipes


def find_recipe(name: str) -> Recipe:
    """Return the recipe of this name.

    Raises:
      ValueError: there is none; the message suggests the nearest.

    >>> find_recipe("swap-delta").data
    'swap-nops1-5'
    >>> find_recipe("swap-dleta")
    Traceback (most recent call last):
    ValueError: recipe 'swap-dleta' is unknown: did you mean 'swap-delta'?
    """
    recipes = read_recipes()
    if name not in recipes:
        raise ValueError(f"recipe {name!r} is unknown: {nearest(name, recipes)}")
    return recipes[name]
