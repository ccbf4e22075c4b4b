"""Read recipes.toml into a Recipe: everything that decides what a trial learns."""

import json
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import MISSING, asdict, dataclass, field, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any, get_origin, get_type_hints

from scripts.core.cli import flag_of
from scripts.core.io import LOSSES, has_type
from vsc_dataset.checking import nearest
from vsc_dataset.configs import TaskConfig, make_config
from vsc_dataset.vocabulary import OBJECTIVES

LABEL_FIELDS = ("name", "description")
"""Fields that change no bit of a trial."""

RENAMED = {"steps_per_token": "num_householder", "beta_stretch": "beta_clip_margin"}
"""Fields of vsc_delta in earlier versions, and what they are called now."""

RENAMED_FIELDS = {"validation_questions": "samples_per_validation"}
"""Fields of a recipe in earlier versions and in kept results, and what they are called now."""

WORDS = {
    str: "a text",
    int: "a whole number",
    int | None: "a whole number",
    float: "a finite number",
    float | None: "a finite number",
    Mapping[str, Any]: "a table, name by value",
    tuple[str, ...]: "a list of texts",
    tuple[float, float]: "two numbers from 0 to below 1",
}
"""What a field holds, by its annotation."""

STAGE = re.compile(r"(\d*\.?\d+):(\d{1,4})(?:-(\d{1,4}))?", re.ASCII)
"""A stage of a curriculum: from which share of the samples on which numbers of operations."""

VALIDATION_SHARE = {"fill": 0.08, "next-token": 0.08, "scratchpad": 0.008}
"""Validation samples for each training sample, all validations together: evaluating one costs about
half of training on it, decoding a scratchpad five times as much, so validation stays below 5% of
the time."""

RECIPES = Path(__file__).parent.parent / "recipes.toml"


def _field(
    text: str, default: Any = MISSING, limits: Any = None, choices: Sequence[str] = ()
) -> Any:
    """Make a field with its help, here and as a flag, and what `_check_value` allows."""
    metadata = {"help": text, "limits": limits, "choices": choices}
    if default is dict:
        return field(metadata=metadata, default_factory=dict)
    return field(metadata=metadata, default=default)


@dataclass(frozen=True)
class Recipe:
    """A way to train a model; `train.py` makes a flag of every field.

    A field that a recipe does not give has the article's value. A ValueError names the field that
    cannot work, its value and the limit.
    """

    name: str
    data: str = _field("the name of the configuration that is trained on")
    model: str = _field(
        "a model type that transformers knows, ours included; FILE.py:FUNCTION that makes a "
        "model; or a checkpoint's folder or hub id"
    )
    data_args: Mapping[str, Any] = _field(
        "fields of that configuration in place of its own, as k=v", dict
    )
    model_args: Mapping[str, Any] = _field("fields of that model's configuration, as k=v", dict)
    curriculum: tuple[str, ...] = _field(
        "numbers of operations by the share of the samples from which on they are trained: 0:1 "
        "0.2:1-5 is one operation, after a fifth of the samples one to five",
        (),
    )
    mixer: str = _field(
        "a custom layer: FILE.py:CLASS, FILE.py:FUNCTION that makes it, or package.module:CLASS; "
        "--model-args num_layers=2 stacks two of them",
        "",
    )
    mixer_args: Mapping[str, Any] = _field("arguments of that layer, as k=v", dict)
    direction: str = _field(
        "how the mixer reads a row: 'forward', or 'both' ways",
        "forward",
        choices=("forward", "both"),
    )
    max_parameters: int = _field("a larger model is not built", 10_000_000, (1, 2**48))
    num_samples: int = _field("training samples, in whole batches", 4_000_000, (1, 2**48))
    batch_size: int = _field("samples of a step, over all processes", 64, (1, 2**20))
    mixed_precision: str = _field("no or bf16", "no", choices=("no", "bf16"))
    learning_rate: float = _field(
        "the highest one: it rises over the warm-up and falls to 0 as a cosine",
        5e-4,
        (1e-9, 1e3),
    )
    warmup_steps: int = _field("steps until the highest learning rate", 0, (0, 2**48))
    betas: tuple[float, float] = _field("of AdamW", (0.9, 0.999))
    weight_decay: float = _field("of AdamW", 0.01, (0, 1e3))
    weight_decay_on: str = _field(
        "'all' parameters, as in the article, or 'matrices': neither norms, biases and the like, "
        "nor what a layer says is not decayed, such as A_log and D; the default for a custom layer "
        "or another model",
        "all",
        choices=("all", "matrices"),
    )
    max_grad_norm: float = _field("gradients are clipped to this norm; 0: none", 0.0, (0, 1e9))
    label_smoothing: float = _field("share of each label spread over all tokens", 0.0, (0, 0.99))
    loss: str = _field(
        "over the 'answer' field, 'all' tokens of question and answer field, or the answer field "
        "and dense 'targets': at each operation the letters that it moves",
        "all",
        choices=("answer", "all", "targets"),
    )
    objective: str = _field(
        "'fill' the answer field at once, or predict the 'next-token' as language models do, or "
        "'scratchpad': likewise, with the state after each operation before the answer; the latter "
        "only for models that read from left to right",
        "fill",
        choices=OBJECTIVES,
    )
    num_validations: int = _field("validations during training, evenly spread", 20, (1, 10_000))
    samples_per_validation: int | None = _field(
        "samples of each, at the end it is all there are; as many as cost little if not given",
        None,
        (1, 2**48),
    )
    early_stop_pct: float | None = _field(
        "stop when the newest validations all have at most this sample error, in percent",
        None,
        (0, 100),
    )
    early_stop_validations: int = _field("how many validations that must be", 3, (1, 10_000))
    description: str = _field("one sentence", "")

    def __post_init__(self) -> None:
        object.__setattr__(self, "loss", LOSSES.get(str(self.loss), self.loss))
        for one in fields(self):
            value = getattr(self, one.name)
            if get_origin(FIELD_TYPES[one.name]) is tuple and isinstance(
                value, list
            ):  # as in a file
                object.__setattr__(self, one.name, value := tuple(value))
            _check_value(one.name, value, one.metadata)
        if len(self.betas) != 2 or not all(has_type(x, float) and 0 <= x < 1 for x in self.betas):
            raise ValueError(f"betas is {list(self.betas)}: give two numbers from 0 to below 1")
        if self.model == "vsc_delta":
            renamed = {RENAMED.get(name, name): value for name, value in self.model_args.items()}
            object.__setattr__(self, "model_args", renamed)
        if self.num_samples < self.batch_size:
            raise ValueError(
                f"num_samples (--max-samples) is {self.num_samples}: one step needs batch_size "
                f"{self.batch_size}"
            )
        if self.objective != "fill" and self.loss == "targets":
            raise ValueError(
                f"objective {self.objective} with loss 'targets': a position has one label; use "
                "loss 'answer' or 'all'"
            )
        if not self.mixer and (self.mixer_args or self.direction != "forward"):
            raise ValueError("mixer_args or direction without a mixer: name it or leave them out")
        stages = [config for _, config in self.stages]  # which checks data and curriculum, too
        if self.objective == "scratchpad" and any(c.may_lack_operations for c in stages):
            raise ValueError(
                f"objective scratchpad, but {self.data_label} has samples of no operation, so of "
                "no state to write: let nops, eval_nops and curriculum begin at 1"
            )

    @cached_property
    def config(self) -> TaskConfig:
        """The configuration of the data."""
        if "name" in self.data_args:
            raise ValueError("data_args has a name: name the configuration with --data")
        if "num_train" in self.data_args:
            raise ValueError(
                "data_args has num_train, but training draws new samples without end: "
                "num_samples (--max-samples) says how many"
            )
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
            stage = STAGE.fullmatch(str(text))
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
            config = self.config
            if (lowest, highest) != config.nops:
                # The evaluated numbers too, so that rows are as wide as this stage needs.
                config = replace(config, nops=(lowest, highest), eval_nops=(lowest, highest))
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

        Where the recipe does not say, all validations together have VALIDATION_SHARE of the
        training samples.
        """
        wanted = self.samples_per_validation
        if wanted is None:
            share = VALIDATION_SHARE[self.objective]
            wanted = max(100, int(share * self.num_samples / self.num_validations))
        return min(wanted, self.config.num_validation)

    def to_json(self) -> dict[str, Any]:
        """Return the recipe as JSON reads it back: what runs, checkpoints and results keep."""
        fields_as_json: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        return fields_as_json

    @classmethod
    def from_dict(cls, kept: Mapping[str, Any]) -> "Recipe":
        """Read a recipe that `to_json` wrote, now or in an earlier version.

        A field that came later has its default, because it is the default that was used; a
        ValueError says what cannot work, is unknown, or is gone.

        >>> old = {"name": "a", "data": "swap-nops2", "model": "vsc_delta", "mixed_precision": "no"}
        >>> Recipe.from_dict({**old, "gradient_accumulation_steps": 1}).num_samples
        4000000
        >>> Recipe.from_dict({**old, "gradient_accumulation_steps": 2})
        Traceback (most recent call last):
        ValueError: gradient_accumulation_steps is 2: this version trains with 1 alone
        """
        values = dict(kept)
        if (steps := values.pop("gradient_accumulation_steps", 1)) != 1:
            raise ValueError(
                f"gradient_accumulation_steps is {steps}: this version trains with 1 alone"
            )
        values = {RENAMED_FIELDS.get(field, field): value for field, value in values.items()}
        check_keys("recipe", values, [one.name for one in fields(cls)])
        return cls(**values)

    def changed(self, **changes: Any) -> "Recipe":
        """Return the recipe with other fields, see `merge`; a ValueError for what cannot work.

        >>> find_recipe("zoo-gru").changed(model_args={"causal": True}).model_args
        {'hidden_size': 64, 'causal': True}
        """
        ours = {one.name: getattr(self, one.name) for one in fields(self)}
        return Recipe.from_dict(merge(ours, changes))

    def same_training(self, other: "Recipe") -> bool:
        """Return whether both train the same bits from the same seed, whatever their names."""
        ours, theirs = self.to_json(), other.to_json()
        return all(ours[name] == theirs[name] for name in ours if name not in LABEL_FIELDS)


FIELD_TYPES = get_type_hints(Recipe)


def _check_value(name: str, value: Any, allowed: Mapping[str, Any]) -> None:
    """Raise a ValueError for what is of another type, as a file may hold it, or not allowed."""
    hint, limits, choices = FIELD_TYPES[name], allowed.get("limits"), allowed.get("choices")
    if not has_type(value, hint):
        raise ValueError(f"{name} is {value!r}: it must be {WORDS[hint]}")
    if choices and value not in choices:
        raise ValueError(f"{name} is {value!r}: use one of {list(choices)}")
    if limits and value is not None and not limits[0] <= value <= limits[1]:
        raise ValueError(f"{name} is {value}: it must be from {limits[0]:,} to {limits[1]:,}")


def recipe_flag(name: str) -> str:
    """Return the flag of a recipe's field."""
    return "--max-samples" if name == "num_samples" else flag_of(name)


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
    """Read all recipes by name; a ValueError names recipe and key.

    `like = "NAME"` takes what is not given from a table further up, see `merge`; a table whose name
    begins with `_` is only there to be taken from.
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
