"""recipes.toml and flags -> a Recipe: everything that decides what a trial learns."""

import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from functools import cached_property
from pathlib import Path
from typing import Any

from vsc_dataset.configs import TaskConfig, make_config, nearest

LOSSES = ("answer", "all")


@dataclass(frozen=True)
class Recipe:
    """A way to train a model.

    Args:
      name: the table's name in recipes.toml.
      data: the name of the configuration that is trained on.
      model: a model type that transformers knows, ours included.
      model_args: fields of that model's configuration.
      num_samples: training questions, a multiple of batch_size or rounded down to one.
      batch_size: questions of a step, over all processes together.
      learning_rate: the highest one; it rises over warmup_steps and falls to 0 as a cosine.
      warmup_steps: steps until the highest learning rate.
      betas: of AdamW.
      weight_decay: of AdamW.
      max_grad_norm: the gradient is clipped to this norm; 0 clips nothing.
      loss: over the "answer" field alone, or over "all" bytes of question and answer field.
      num_validations: how often the model is validated on the way, evenly spread.
      description: one sentence.
    Raises:
      ValueError: a field cannot work; the message names the value and the limit.
    """

    name: str
    data: str
    model: str
    model_args: Mapping[str, Any] = field(default_factory=dict)
    num_samples: int = 4_000_000
    batch_size: int = 64
    learning_rate: float = 5e-4
    warmup_steps: int = 0
    betas: tuple[float, float] = (0.9, 0.999)
    weight_decay: float = 0.01
    max_grad_norm: float = 0.0
    loss: str = "all"
    num_validations: int = 20
    description: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "betas", tuple(self.betas))
        for name in ("num_samples", "batch_size", "learning_rate", "num_validations"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} is {getattr(self, name)}: it must be above 0")
        for name in ("warmup_steps", "weight_decay", "max_grad_norm"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} is {getattr(self, name)}: it must be 0 or more")
        if self.num_samples < self.batch_size:
            raise ValueError(
                f"num_samples is {self.num_samples}: one step needs batch_size {self.batch_size}"
            )
        if self.loss not in LOSSES:
            raise ValueError(f"loss is {self.loss!r}: use one of {list(LOSSES)}")
        _ = self.config

    @property
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

    def to_json(self) -> dict[str, Any]:
        """The recipe as it is written beside a run."""
        return {**asdict(self), "betas": list(self.betas)}


def read_recipes(path: Path = Path(__file__).parent.parent / "recipes.toml") -> dict[str, Recipe]:
    """All recipes by name.

    Raises:
      ValueError: a table has an unknown key (the nearest is named) or a value that cannot work.
    """
    known = [field.name for field in fields(Recipe) if field.name != "name"]
    recipes = {}
    for name, table in tomllib.loads(path.read_text("utf-8")).items():
        for key in table:
            if key not in known:
                raise ValueError(f"recipe {name!r}: key {key!r} is unknown: {nearest(key, known)}")
        recipes[name] = Recipe(name=name, **table)
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
