"""recipes.toml and flags -> a Recipe: everything that decides what a trial learns."""

import json
import math
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import MISSING, asdict, dataclass, field, fields
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple, get_type_hints

from vsc_dataset.checking import nearest
from vsc_dataset.configs import TaskConfig, make_config

LOSSES = ("answer", "all", "trace")
PRECISIONS = ("no", "bf16")
UNTRAINED = ("name", "description")
"""Fields that change no bit of a trial."""

DROPPED = {"gradient_accumulation_steps": 1}
"""Fields of earlier versions, with the one value that this version still means."""

RENAMED = {"steps_per_token": "num_householder", "beta_stretch": "beta_clip_margin"}
"""Fields of vsc_delta in earlier versions, and what they are called now."""

ABOVE_ZERO = (
    "num_samples",
    "batch_size",
    "learning_rate",
    "num_validations",
    "validation_questions",
    "early_stop_validations",
    "max_parameters",
)


class Kind(NamedTuple):
    """What a field holds: as a flag gives it, as a file may, and in words."""

    flag: type
    accepted: tuple[type, ...]
    words: str


KINDS: dict[Any, Kind] = {
    str: Kind(str, (str,), "a text"),
    int: Kind(int, (int,), "a whole number"),
    int | None: Kind(int, (int, type(None)), "a whole number"),
    float: Kind(float, (int, float), "a number"),
    float | None: Kind(float, (int, float, type(None)), "a number"),
}
VALIDATION_SHARE = 0.08
RECIPES = Path(__file__).parent.parent / "recipes.toml"


def _said(text: str, default: Any = MISSING, **factory: Any) -> Any:
    """A field with the sentence that documents it here and as a flag."""
    settings = factory if default is MISSING else {"default": default}
    return field(metadata={"help": text}, **settings)


@dataclass(frozen=True)
class Recipe:
    """A way to train a model. A field that a recipe does not give has the article's value.

    Every field says beside it what it is; `train.py` makes a flag of each.

    Raises:
      ValueError: a field cannot work; the message names the value and the limit.
    """

    name: str
    data: str = _said("the name of the configuration that is trained on")
    model: str = _said(
        "a model type that transformers knows, ours included; FILE.py:FUNCTION that makes a "
        "model; or a checkpoint's folder or hub id"
    )
    model_args: Mapping[str, Any] = _said(
        "fields of that model's configuration, as k=v", default_factory=dict
    )
    mixer: str = _said("a layer of your own, FILE.py:CLASS or package.module:CLASS", "")
    mixer_args: Mapping[str, Any] = _said("arguments of that layer, as k=v", default_factory=dict)
    direction: str = _said("how the mixer reads a row: 'forward', or 'both' ways", "forward")
    max_parameters: int = _said("a larger model is refused before it is built", 10_000_000)
    num_samples: int = _said(
        "training questions, a multiple of the batch or rounded down to one", 4_000_000
    )
    batch_size: int = _said("samples of a step, over all processes", 64)
    mixed_precision: str = _said("no or bf16", "no")
    learning_rate: float = _said(
        "the highest one: it rises over the warm-up and falls to 0 as a cosine", 5e-4
    )
    warmup_steps: int = _said("steps until the highest learning rate", 0)
    betas: tuple[float, float] = _said("of AdamW", (0.9, 0.999))
    weight_decay: float = _said("of AdamW", 0.01)
    max_grad_norm: float = _said("the gradient is clipped to this norm; 0 clips nothing", 0.0)
    label_smoothing: float = _said("share of each label that is spread over all bytes", 0.0)
    loss: str = _said(
        "over the 'answer' field, 'all' bytes of question and answer field, or the answer field "
        "and the letters that each operation moves ('trace')",
        "all",
    )
    num_validations: int = _said("validations on the way, evenly spread", 20)
    validation_questions: int | None = _said(
        "questions of each, at the end it is all there are; as many as cost little if not given",
        None,
    )
    early_stop_pct: float | None = _said(
        "stop when the newest validations all have at most this sample error, in percent", None
    )
    early_stop_validations: int = _said("how many validations that must be", 3)
    description: str = _said("one sentence", "")

    def __post_init__(self) -> None:
        object.__setattr__(self, "betas", tuple(self.betas))
        if self.model == "vsc_delta":
            renamed = {RENAMED.get(name, name): value for name, value in self.model_args.items()}
            object.__setattr__(self, "model_args", renamed)
        self._check_types()
        for name in ABOVE_ZERO:
            if not (1 if getattr(self, name) is None else getattr(self, name)) > 0:
                raise ValueError(f"{name} is {getattr(self, name)}: it must be above 0")
        if not 0 <= self.label_smoothing < 1:
            raise ValueError(
                f"label_smoothing is {self.label_smoothing}: give a share from 0 to below 1"
            )
        for name in ("warmup_steps", "weight_decay", "max_grad_norm", "early_stop_pct"):
            if not (getattr(self, name) or 0) >= 0:
                raise ValueError(f"{name} is {getattr(self, name)}: it must be 0 or more")
        if len(self.betas) != 2 or not all(0 <= beta < 1 for beta in self.betas):
            raise ValueError(f"betas is {list(self.betas)}: give two numbers from 0 to below 1")
        if self.num_samples < self.batch_size:
            raise ValueError(
                f"num_samples is {self.num_samples}: one step needs batch_size {self.batch_size}"
            )
        if self.loss not in LOSSES:
            raise ValueError(f"loss is {self.loss!r}: use one of {list(LOSSES)}")
        if self.mixed_precision not in PRECISIONS:
            raise ValueError(
                f"mixed_precision is {self.mixed_precision!r}: use one of {list(PRECISIONS)}"
            )
        if not self.mixer and (self.mixer_args or self.direction != "forward"):
            raise ValueError("mixer_args or direction without a mixer: name it or leave them out")
        _ = self.config

    def _check_types(self) -> None:
        """Raise a ValueError for a number that is none, which a TOML file may hold."""
        for name, hint in get_type_hints(Recipe).items():
            value = getattr(self, name)
            kind = KINDS.get(hint)
            if kind and (isinstance(value, bool) or not isinstance(value, kind.accepted)):
                raise ValueError(f"{name} is {value!r}: it must be {kind.words}")
            if isinstance(value, float) and not math.isfinite(value):
                raise ValueError(f"{name} is {value}: it must be finite")

    @cached_property
    def config(self) -> TaskConfig:
        """The configuration of the data."""
        return make_config(self.data)

    @property
    def num_steps(self) -> int:
        """Steps of the optimiser."""
        return self.num_samples // self.batch_size

    @cached_property
    def validation_steps(self) -> frozenset[int]:
        """The steps behind which the model is validated, the last one among them."""
        spacing = self.num_steps / self.num_validations
        return frozenset(round(spacing * i) for i in range(1, self.num_validations + 1)) - {0}

    @property
    def validation_samples(self) -> int:
        """Questions of each validation on the way.

        Where the recipe does not say, all of them are VALIDATION_SHARE of the training questions:
        asking one costs about half of learning from it, so validation stays below 5 % of the time.
        """
        wanted = self.validation_questions
        if wanted is None:
            wanted = max(100, int(VALIDATION_SHARE * self.num_samples / self.num_validations))
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
        given = {name: value for name, value in kept.items() if name not in DROPPED}
        check_keys("recipe", given, [one.name for one in fields(cls)])
        return cls(**given)

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
        """Whether both train the same bits from the same seed: names and descriptions do not."""
        ours, theirs = self.to_json(), other.to_json()
        return all(ours[name] == theirs[name] for name in ours if name not in UNTRAINED)


def merge(parent: Mapping[str, Any], child: Mapping[str, Any]) -> dict[str, Any]:
    """Take what `child` does not give from `parent`, in nested tables key by key.

    The arguments of another model or mixer are not taken: they would not fit it.

    >>> parent = {"model": "a", "model_args": {"x": 1, "y": 2}}
    >>> merge(parent, {"model_args": {"y": 3}})
    {'model': 'a', 'model_args': {'x': 1, 'y': 3}}
    >>> merge(parent, {"model": "b", "model_args": {"y": 3}})
    {'model': 'b', 'model_args': {'y': 3}}
    """
    merged = dict(parent)
    for kind in ("model", "mixer"):
        if kind in parent and child.get(kind, parent[kind]) != parent[kind]:
            merged.pop(f"{kind}_args", None)
    for name, value in child.items():
        nested = isinstance(merged.get(name), Mapping) and isinstance(value, Mapping)
        merged[name] = merge(merged[name], value) if nested else value
    return merged


def check_keys(called: str, given: Iterable[str], known: Sequence[str]) -> None:
    """Raise a ValueError for a key that nothing reads; the nearest is named."""
    for key in given:
        if key not in known:
            raise ValueError(f"{called}: key {key!r} is unknown: {nearest(key, known)}")


def read_recipes(path: Path = RECIPES) -> dict[str, Recipe]:
    """Read all recipes by name.

    `like = "NAME"` takes what is not given from a table further up, see `merge`; a table whose name
    begins with `_` is only there to be taken from.

    Raises:
      ValueError: a table has an unknown key, is like none above (the nearest is named), or has a
        value that cannot work.
    """
    known = ["like", *(one.name for one in fields(Recipe) if one.name != "name")]
    tables: dict[str, dict[str, Any]] = {}
    recipes = {}
    for name, table in tomllib.loads(path.read_text("utf-8")).items():
        check_keys(f"recipe {name!r}", table, known)
        like = table.pop("like", None)
        if like is not None and like not in tables:
            raise ValueError(
                f"recipe {name!r}: no recipe {like!r} stands above: {nearest(like, tables)}"
            )
        tables[name] = merge(tables.get(like, {}), table)
        if name.startswith("_"):
            continue
        try:
            recipes[name] = Recipe(name=name, **tables[name])
        except (TypeError, ValueError) as error:
            raise ValueError(f"recipe {name!r}: {error}") from None
    return recipes


def find_recipe(name: str) -> Recipe:
    """The recipe of this name.

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
