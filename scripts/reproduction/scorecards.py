"""Train the kept scorecards, layers that others are compared with, and lay out the leaderboard."""

import itertools
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from scripts.core.io import write_lines
from scripts.core.statistics import format_share
from scripts.reproduction.experiments import matching
from scripts.scorecards.card import choose_rate, file_name, read_card, summarize_skill
from scripts.scorecards.protocol import Protocol, read_protocol
from scripts.scorecards.report import NO_LAYER, QUICK, compare, draw, rank
from scripts.scorecards.train import CardTraining, identify
from scripts.training.recipes import Recipe
from scripts.training.train_state import RunOptions

NAME = "scorecards"
TRACKS = ("efficiency", "capability")
BOTH_WAYS = ", both ways"


class Layer(NamedTuple):
    """A layer in the protocol's scaffold; without a mixer our own model of the delta rule."""

    mixer: str = ""
    direction: str = "forward"
    causal: bool = True
    mixer_args: Mapping[str, Any] | None = None

    def recipe(self, protocol: Protocol) -> Recipe:
        """Return what a scorecard trains."""
        return protocol.scaffold(self.mixer, self.mixer_args, self.direction, self.causal)


BASELINES = "vsc_models.baselines:"
RECURRENT = {
    "GRU": "torch.nn:GRU",
    "LSTM": "torch.nn:LSTM",
    "Mamba": f"{BASELINES}Mamba",
    "Mamba-2": f"{BASELINES}Mamba2",
    "gated delta rule": f"{BASELINES}GatedDelta",
    "delta rule": f"{BASELINES}Delta",
}
OTHERS = {"attention": f"{BASELINES}Attention", "convolution": f"{BASELINES}Convolution"}
LAYERS = {
    **{name: Layer(mixer) for name, mixer in {**RECURRENT, **OTHERS}.items()},
    NO_LAYER: Layer("torch.nn:Identity"),
    "vsc_delta": Layer(),
    **{name + BOTH_WAYS: Layer(mixer, "both", False) for name, mixer in RECURRENT.items()},
    **{
        name + BOTH_WAYS: Layer(mixer, causal=False, mixer_args={"causal": False})
        for name, mixer in OTHERS.items()
    },
}
"""By the name in tables: those that read from left to right, then those that read both ways.

Without a layer the scaffold's convolutions are all there is: what they solve alone, no layer shows.
"""

REPEATED = ("convolution, both ways", "LSTM, both ways")
"""Layers scored again with other seeds: the trials of one of their skills disagreed most."""

REPEATS = "other-seeds"
"""The folder, among the kept scorecards, of those with other seeds."""


class CardSpec(NamedTuple):
    """Which scorecard: of a layer and a track, in full or a first look, or with other seeds."""

    layer: str
    track: str
    quick: bool = False
    other_seeds: bool = False

    def protocol(self) -> Protocol:
        """Return what is trained."""
        protocol = read_protocol(self.track, self.quick)
        return protocol.with_other_seeds() if self.other_seeds else protocol

    def path(self, hub_cards: Path) -> Path:
        """Return where it is kept.

        >>> CardSpec("delta rule, both ways", "efficiency").path(Path("hub_cards")).as_posix()
        'hub_cards/scorecards/delta-rule-both-ways-efficiency.json'
        """
        part = QUICK if self.quick else REPEATS if self.other_seeds else ""
        folder = hub_cards / NAME / part
        return folder / f"{file_name(self.layer.lower())}-{self.track}.json"


def list_cards(layers: Iterable[str] = LAYERS) -> list[CardSpec]:
    """List the scorecards that layers should have, the shorter ones of all layers first."""
    wanted = itertools.product((True, False), TRACKS, layers)
    cards = [CardSpec(layer, track, quick) for quick, track, layer in wanted]
    return cards + [CardSpec(one, TRACKS[0], other_seeds=True) for one in REPEATED if one in layers]


def missing_cards(hub_cards: Path, patterns: Sequence[str]) -> list[CardSpec]:
    """List the scorecards that are missing.

    Raises:
      ValueError: a pattern is that of no layer.
    """
    layers = matching(LAYERS, patterns)
    return [card for card in list_cards(layers) if not card.path(hub_cards).exists()]


def read_cards(hub_cards: Path) -> dict[CardSpec, Mapping[str, Any]]:
    """Read and check the kept scorecards.

    Raises:
      ValueError: one is of no listed layer, or its model is not the layer's.
    """
    listed = {card.path(hub_cards): card for card in list_cards()}
    cards: dict[CardSpec, Mapping[str, Any]] = {}
    for path in sorted((hub_cards / NAME).rglob("*.json")):
        if path not in listed:
            raise ValueError(f"{path}: it is of no layer in LAYERS, which files are named after")
        spec, protocol = listed[path], listed[path].protocol()
        card, recipe = read_card(path, protocol), LAYERS[spec.layer].recipe(protocol)
        expected = {"name": spec.layer, **identify(protocol, recipe)}
        for name, value in expected.items():
            if card[name] != value:
                raise ValueError(
                    f"{path}: {name} is {card[name]!r}, that of {spec.layer!r} in LAYERS is "
                    f"{value!r}: remove the file, and the layer is scored again"
                )
        cards[spec] = card
    return cards


def train_card(hub_cards: Path, spec: CardSpec, runs: Path, jobs: int, options: RunOptions) -> Path:
    """Train a scorecard, and keep it as the file that is returned.

    Raises:
      Paused: the deadline came first; an interrupted scorecard goes on in its folder of `runs`.
      ValueError: it is being trained by another process, or its layer cannot be trained.
    """
    protocol, path = spec.protocol(), spec.path(hub_cards)
    folder = runs / path.relative_to(hub_cards).with_suffix("")
    recipe = LAYERS[spec.layer].recipe(protocol)
    card = CardTraining(protocol, recipe, folder, jobs, options).run(spec.layer)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_lines(path, [json.dumps(card, indent=1)])
    return path


def describe_trainings(cards: Sequence[Mapping[str, Any]]) -> str:
    """Say what scorecards of one track cost, and how far their learning rates can be trusted."""
    protocol = read_protocol(cards[0]["track"])
    highest = max(protocol.learning_rates)
    unsolved = highest_chosen = at_edge = blind = 0
    divided: list[str] = []
    for card in cards:
        for skill, result in card["summary"]["skills"].items():
            search = [trial for trial in card["search"] if trial["skill"] == skill]
            unsolved += result["verdict"] != "solved"
            highest_chosen += choose_rate(search) == highest
            at_edge += result["verdict"] != "solved" and choose_rate(search) == highest
            chance = result["chance_mask_error_pct"]
            blind += all(trial["val_mask_error_pct"] >= chance for trial in search)
            trials = [[trial] for trial in card["trials"] if trial["skill"] == skill]
            alone = [summarize_skill(one, chance, "", protocol.tables["partly"]) for one in trials]
            if len({one["verdict"] for one in alone}) > 1:
                divided.append(f"{skill} of {card['name']}")
    seconds = [sum(line["seconds"] for line in card["search"] + card["trials"]) for card in cards]
    minutes = dict.fromkeys(f"{one / 60:.0f}" for one in (min(seconds), max(seconds)))
    named = f", except at {'; '.join(divided)}" if divided else ""
    seeds = len(protocol.seeds)
    solved = {result["solved"] for card in cards for result in card["summary"]["skills"].values()}
    shares = ", ".join(format_share(k, seeds) for k in sorted(solved, reverse=True))
    searches = len(cards) * len(protocol.skills)
    return (
        f"Shares of trials with their exact 95% intervals: {shares}. The trials of a layer and a "
        f"skill agree in their verdict, each judged alone{named}. Of the {searches} searches "
        f"{highest_chosen} chose the highest learning rate, {highest:g}, so that a higher one may "
        f"be better; among them are {at_edge} of the {unsolved} for skills that are not solved. "
        f"{blind} had no rate that left chance, so that another might have learned more. A "
        f"scorecard's trainings took {' to '.join(minutes)} minutes."
    )


def describe_repeats(cards: Mapping[CardSpec, Mapping[str, Any]]) -> str:
    """Say which verdicts of the layers that are scored twice depend on the seeds."""
    told = []
    for layer in REPEATED:
        specs = CardSpec(layer, TRACKS[0]), CardSpec(layer, TRACKS[0], other_seeds=True)
        if all(spec in cards for spec in specs):
            once, again = (cards[spec]["summary"]["skills"] for spec in specs)
            differ = [name for name in once if once[name]["verdict"] != again[name]["verdict"]]
            verdicts = f"other verdicts ({', '.join(differ)})" if differ else "the same verdicts"
            solved = [
                f"{name} in {one['solved']} and then in {again[name]['solved']} of {one['trials']}"
                for name, one in once.items()
                if one["solved"] != again[name]["solved"]
            ]
            told.append(f"{layer}, has {verdicts}; it solves {' and '.join(solved) or 'as many'}")
    return f"Scored again with other seeds, for the search too: {'. '.join(told)}." if told else ""


def write_leaderboard(hub_cards: Path) -> str:
    """Write the table and the pictures of all kept scorecards, and return the table."""
    cards = read_cards(hub_cards)
    for name in ("tables", "figures"):
        (hub_cards / name).mkdir(parents=True, exist_ok=True)
    parts = ["# Scorecards"]
    for track in TRACKS:
        kept = [card for one, card in cards.items() if one == CardSpec(one.layer, track)]
        missing = [layer for layer in LAYERS if CardSpec(layer, track) not in cards]
        if kept:
            protocol = read_protocol(track)
            says = protocol.tables["tracks"][track]["says"]
            budget = ", ".join(f"{one} {protocol.num_samples(one):,}" for one in protocol.skills)
            says += f" ({budget})" if protocol.early_stop_pct is None else ""
            parts += [f"Track {track}: {says}.", compare(rank(kept)), describe_trainings(kept)]
            parts += [describe_repeats(cards)] if track == TRACKS[0] else []
            draw(rank(kept), hub_cards / "figures" / f"{NAME}-{track}.png")
        if missing:
            parts.append(f"Not run yet on the {track} track: {'; '.join(missing)}.")
    text = "\n\n".join(part for part in parts if part) + "\n"
    write_lines(hub_cards / "tables" / f"{NAME}.md", text.splitlines())
    return text
