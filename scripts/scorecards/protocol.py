"""Read protocol.toml: what a scorecard trains, under which conditions."""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from scripts.training.recipes import Recipe
from vsc_dataset.configs import TaskConfig, make_config

PROTOCOL = Path(__file__).parents[1] / "protocol.toml"
OTHER_SEEDS = 100
"""How far those seeds are from the protocol's with which a scorecard is repeated."""

MODEL: dict[str, Any] = {
    "name": str,
    "model": str,
    "model_args": Mapping,
    "mixer": str,
    "mixer_args": Mapping,
    "direction": str,
}
"""What a scorecard keeps of the recipe that it scores: all else is the protocol's."""


@dataclass(frozen=True)
class Protocol:
    """The protocol's tables, read for one track; with `quick` its short form.

    Attributes:
      tables: protocol.toml.
      track: "efficiency" or "capability".
      quick: a first look: fewer rates, seeds and samples.
      version: scorecards of another one are not comparable.
      skills: those that are trained, in the order in which they build on each other.
      learning_rates: those among which validation chooses.
      seeds: of the trials that count.
    """

    tables: Mapping[str, Any]
    track: str
    quick: bool
    version: int
    skills: Sequence[str]
    learning_rates: Sequence[float]
    seeds: Sequence[int]

    def with_other_seeds(self) -> "Protocol":
        """Take other seeds, for the search too: a verdict should not depend on them.

        >>> read_protocol().with_other_seeds().seeds
        [101, 102, 103, 104, 105]
        """
        search = {**self.tables["search"], "seed": self.tables["search"]["seed"] + OTHER_SEEDS}
        seeds = [seed + OTHER_SEEDS for seed in self.seeds]
        return replace(self, tables={**self.tables, "search": search}, seeds=seeds)

    def config(self, skill: str) -> TaskConfig:
        """Return the configuration of a skill's data."""
        task = self.tables["skills"][skill]
        return make_config(task["data"], **task.get("data_args", {}))

    def scaffold(
        self,
        mixer: str = "",
        mixer_args: Mapping[str, Any] | None = None,
        direction: str = "forward",
        causal: bool = True,
    ) -> Recipe:
        """Put a layer into the protocol's scaffold; without one the delta rule.

        Args:
          mixer, mixer_args, direction: see `Recipe`.
          causal: the scaffold's convolutions see nothing of what follows.
        """
        return Recipe(
            name=mixer.rpartition(":")[2] or "delta",
            data=self._any_data,
            model="vsc_mixer" if mixer else "vsc_delta",
            model_args={**self.tables["scaffold"], "causal": causal},
            mixer=mixer,
            mixer_args=mixer_args or {},
            direction=direction,
        )

    def model(self, kind: str, model_args: Mapping[str, Any]) -> Recipe:
        """Take a whole model without the scaffold: see `Recipe.model`."""
        name = kind.rpartition(":")[2]
        return Recipe(name=name, data=self._any_data, model=kind, model_args=model_args)

    def read_model(self, kept: Mapping[str, Any]) -> Recipe:
        """Read what `write_model` wrote."""
        return Recipe.from_dict({"data": self._any_data, **kept})

    @property
    def _any_data(self) -> str:
        """Data of a skill, for a recipe has some: `recipe` gives it those that are trained."""
        data: str = self.tables["skills"][self.skills[0]]["data"]
        return data

    @staticmethod
    def write_model(recipe: Recipe) -> dict[str, Any]:
        """Return what a scorecard keeps of a recipe."""
        return {name: value for name, value in recipe.to_json().items() if name in MODEL}

    def recipe(
        self, base: Recipe, skill: str, learning_rate: float, search: bool = False
    ) -> Recipe:
        """Make the recipe that trains a base's model on a skill: all else is the protocol's.

        With `search` on fewer samples, only to choose the learning rate.
        """
        task, track = self.tables["skills"][skill], self.tables["tracks"][self.track]
        several = self.config(skill).nops[1] > 1
        return Recipe(
            name=f"{skill}-lr{learning_rate:g}",
            data=task["data"],
            data_args=task.get("data_args", {}),
            curriculum=track.get("curriculum", ()) if several else (),
            model=base.model,
            model_args=base.model_args,
            mixer=base.mixer,
            mixer_args=base.mixer_args,
            direction=base.direction,
            learning_rate=learning_rate,
            num_samples=self.num_samples(skill, search),
            loss=track["loss"],
            label_smoothing=track["label_smoothing"],
            early_stop_pct=self.early_stop_pct,
            max_parameters=self.tables["parameters"]["most"],
            **self.tables["optimizer"],
        )

    def num_samples(self, skill: str, search: bool = False) -> int:
        """Return how many samples a model is trained on at most."""
        track = self.tables["tracks"][self.track]
        samples: int = track.get("num_samples", self.tables["skills"][skill]["num_samples"])
        if self.quick:
            return samples // int(self.tables["quick"]["divisor"])
        return samples // int(track["search_divisor"]) if search else samples

    def trained_samples(self, skill: str, search: bool = False) -> int:
        """Return `num_samples`, rounded down to whole batches."""
        batch_size = int(self.tables["optimizer"]["batch_size"])
        return self.num_samples(skill, search) // batch_size * batch_size

    @property
    def early_stop_pct(self) -> float | None:
        """The validation error at which a training ends early; None where none does."""
        error: float | None = self.tables["tracks"][self.track].get("early_stop_pct")
        return error

    @property
    def quick_share(self) -> str:
        """Say how much of the protocol a first look is."""
        seeds, divisor = self.tables["quick"]["seeds"], self.tables["quick"]["divisor"]
        return f"{len(seeds)} seed, 1/{divisor} of the samples"

    def check_parameters(self, count: int) -> None:
        """Raise a ValueError where a model is outside the protocol's band."""
        band = self.tables["parameters"]
        if not band["least"] <= count <= band["most"]:
            raise ValueError(
                f"the model has {count:,} parameters: protocol {self.version} compares models of "
                f"{band['least']:,} to {band['most']:,}; change its sizes, "
                "those of a --mixer by --mixer-args, of a --model by --model-args"
            )


def read_protocol(track: str = "efficiency", quick: bool = False) -> Protocol:
    """Read the protocol.

    Raises:
      ValueError: there is no such track.

    >>> read_protocol().skills
    ['copy', 'select', 'track', 'combine', 'stack']
    >>> read_protocol("capable")
    Traceback (most recent call last):
    ValueError: track is 'capable': use one of ['efficiency', 'capability']
    """
    tables = tomllib.loads(PROTOCOL.read_text("utf-8"))
    if track not in tables["tracks"]:
        raise ValueError(f"track is {track!r}: use one of {[*tables['tracks']]}")
    rates = tables["quick" if quick else "search"]["learning_rates"]
    seeds = (tables["quick"] if quick else tables["tracks"][track])["seeds"]
    return Protocol(tables, track, quick, tables["version"], [*tables["skills"]], rates, seeds)
