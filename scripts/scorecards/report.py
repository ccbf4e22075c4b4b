"""Show scorecards: a page, a picture, a table of several."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from textwrap import fill
from typing import Any

from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from scripts.core.io import read_json, replace_file, write_lines
from scripts.core.statistics import horizon_order
from scripts.reporting.tables import table
from scripts.scorecards.card import chance_errors, read_card, sample_error_pct
from scripts.scorecards.protocol import read_protocol

Card = Mapping[str, Any]
QUICK = "quick"
"""The folder, among the kept scorecards, of first looks, which are compared with no others."""

NO_LAYER = "no layer"
"""The kept scorecard of the scaffold alone."""

WITHOUT_MODEL = "no model: guessing, or copying the letters"
"""The line of the better of both, for each error; where copying is the task, guessing alone."""

COLORS = {"solved": "#7cc08a", "partly": "#f2d06b", "at chance": "#e58a7b"}
"""The color of each verdict, told apart in gray too."""

MEANINGS = (
    "solved: sample error at most 1% in most trials",
    "partly: mask error (in brackets) at least a tenth below chance",
    "less than that",
)


def compare(cards: Sequence[Card], bold: int | None = None) -> str:
    """Lay out scorecards of one protocol and track, a line each: sample errors, trials solved.

    One of them may be in bold, for a layer may have the name of a kept one. The last line is that
    of answers without a model.
    """
    protocol = read_protocol(cards[0]["track"])
    skills = [*cards[0]["summary"]["skills"]]
    rows = []
    for i, card in enumerate(cards):
        label = f"**{card['name']}**" if i == bold else card["name"]
        row = [label, "yes" if card["causal"] else "no", f"{card['parameters']:,}"]
        row += [_errors(card, skill) for skill in skills]
        horizon = card["summary"]["horizon"]
        row.append(str(horizon["horizon"]))
        if horizon["horizons"][0] != horizon["horizons"][-1]:
            row[-1] += f" ({horizon['horizons'][0]} to {horizon['horizons'][-1]})"
        rows.append([*row, card["summary"]["first_unsolved"] or "none"])
    chance = [chance_errors(protocol.config(skill)) for skill in skills]
    errors = [f"{one['sample_error_pct']:.2f}%" for one in chance]
    rows.append([WITHOUT_MODEL, "-", "-", *errors, "-", "-"])
    return table(
        ["layer", "causal", "parameters", *skills, "horizon", "first unsolved"], rows, markdown=True
    )


def _errors(card: Card, skill: str) -> str:
    """Write a skill's median sample error, with the range of its trials and how many solved it."""
    result = card["summary"]["skills"][skill]
    errors = [sample_error_pct(trial) for trial in card["trials"] if trial["skill"] == skill]
    low, high = f"{min(errors):.2f}", f"{max(errors):.2f}"
    spread = f"{low} to {high}, " if low != high else ""
    return f"{result['sample_error_pct']:.2f}% ({spread}{result['solved']} of {result['trials']})"


def rank(cards: Sequence[Card]) -> list[Card]:
    """Order scorecards: most skills solved, most trials solved, horizon, lower sample errors."""

    def key(card: Card) -> tuple[Any, ...]:
        skills = card["summary"]["skills"].values()
        return (
            -sum(skill["verdict"] == "solved" for skill in skills),
            -sum(skill["solved"] / skill["trials"] for skill in skills),
            -horizon_order(card["summary"]["horizon"]["horizon"]),
            sum(skill["sample_error_pct"] for skill in skills),
            card["name"],
        )

    return sorted(cards, key=key)


def read_baselines(folder: Path, card: Card) -> list[Card]:
    """Read the kept scorecards of the same protocol and track; for a first look, first looks."""
    same = {name: card[name] for name in ("protocol", "track")}
    return read_kept(folder / QUICK if card["quick"] else folder, card["quick"], **same)


def read_kept(folder: Path, quick: bool = False, **same: Any) -> list[Card]:
    """Read and check a folder's scorecards with these values.

    Raises:
      ValueError: one is a first look and the folder is not for those, or the other way round.
    """
    cards: list[Card] = []
    for path in sorted(folder.glob("*.json")):
        kept = read_json(path, [*same], "give a scorecard.json")
        if any(kept[name] != value for name, value in same.items()):
            continue
        cards.append(read_card(path))
        if kept["quick"] != quick:
            raise ValueError(
                f"{path}: quick is {kept['quick']}: first looks and no others are kept in {QUICK}/"
            )
    return cards


def write_report(folder: Path, card: Card, baselines: Sequence[Card]) -> str:
    """Write scorecard.md and scorecard.png.

    Args:
      folder: that holds scorecard.json.
      card: what it holds.
      baselines: kept scorecards of the same protocol and track.
    Returns:
      The page.
    """
    protocol = read_protocol(card["track"], card["quick"])
    summary, cards = card["summary"], rank([card, *baselines])
    position = next(i for i, one in enumerate(cards) if one is card)
    alone = _scaffold_alone(card, baselines)
    lines = [
        f"- **{skill}**: {result['sentence']}{alone.get(skill, '')}."
        for skill, result in summary["skills"].items()
    ]
    first = summary["first_unsolved"]
    verdict = f"The first skill not solved is **{first}**." if first else "All skills are solved."
    quick = ""
    if card["quick"]:
        quick = (
            f" A first look: {protocol.quick_share}, for each layer, which is often too little: "
            "with all samples a later skill may be the first that is not solved."
        )
    says = protocol.tables["tracks"][card["track"]]["says"]
    trainings = [*card["search"], *card["trials"]]
    diverged = sum(not trial["samples"] for trial in trainings)
    if diverged:
        verdict += f" In {diverged} of {len(trainings)} trainings the loss became NaN or infinite."
    page = "\n\n".join(
        [
            f"# Scorecard of {card['name']}",
            f"{_describe_model(card)}; {card['parameters']:,} parameters.",
            f"Protocol {card['protocol']}, track {card['track']} ({says})"
            f"{card['device'] and '; ' + card['device']}.{quick}",
            verdict,
            "\n".join([*lines, f"- **horizon**: {summary['horizon']['sentence']}."]),
            "Chance is the mask error of copying the letters or of guessing them, the better of "
            "both. " + _learning_rates(card),
            "Sample error on held-out programs where the skill has them: the median, and in "
            "brackets the range over trials and how many solved it with at most 1%:",
            compare(cards, bold=position),
        ]
    )
    write_lines(folder / "scorecard.md", [page])
    draw(cards, folder / "scorecard.png", bold=position)
    return page


def _describe_model(card: Card) -> str:
    """Say what was scored: a layer in the scaffold or a whole model, and how it reads."""
    model = card["model"]
    arguments = model["mixer_args"] if model["mixer"] else model["model_args"]
    given = ", ".join(f"{name}={value}" for name, value in arguments.items())
    words = f"{'Layer' if model['mixer'] else 'Model'} `{model['mixer'] or model['model']}`"
    words += f" with {given}" * bool(given)
    if model["direction"] == "both":
        return words + ", a second one from each row's end"
    return words + (", causal" if card["causal"] else ", which looks ahead")


def _learning_rates(card: Card) -> str:
    """Say at which learning rate each skill was trained."""
    rates = {trial["skill"]: trial["learning_rate"] for trial in card["trials"]}
    if card["search"]:
        chosen = ", ".join(f"{skill} {rate:g}" for skill, rate in rates.items())
        return f"Learning rates, chosen on validation: {chosen}."
    return f"All learning rates are {rates.popitem()[1]:g}: a first look searches none."


def _scaffold_alone(card: Card, baselines: Sequence[Card]) -> dict[str, str]:
    """Say, of each skill that a layer does not solve, what its scaffold does without a layer."""
    model = card["model"]
    if not model["mixer"] or not model["model_args"]["causal"]:
        return {}  # that scorecard's convolutions do not look ahead
    return {
        skill: f"; the scaffold without a layer: {result['sample_error_pct']:.2f}% sample error, "
        f"{result['mask_error_pct']:.2f}% mask error"
        for one in baselines
        if one["name"] == NO_LAYER
        for skill, result in one["summary"]["skills"].items()
        if card["summary"]["skills"][skill]["verdict"] != "solved"
    }


def draw(cards: Sequence[Card], path: Path, bold: int | None = None) -> None:
    """Draw scorecards as colored cells, layers by skills; one of them may be in bold."""
    skills = [*cards[0]["summary"]["skills"]]
    tables = read_protocol(cards[0]["track"]).tables
    says = [tables["skills"][skill]["says"] for skill in skills]
    says.append("how many operations\nit holds")
    names = [card["name"] for card in cards]
    height = 2.0 + 0.42 * len(cards)
    figure = Figure(figsize=(2.6 + 1.75 * len(says), height))
    axes = figure.subplots()
    for y, card in enumerate(cards):
        results = card["summary"]["skills"].values()
        cells = [(COLORS[one["verdict"]], _cell(one)) for one in results]
        cells.append(("#d9d9d9", str(card["summary"]["horizon"]["horizon"])))
        for x, (color, text) in enumerate(cells):
            axes.add_patch(Rectangle((x - 0.48, y - 0.44), 0.96, 0.88, color=color))
            axes.text(x, y, text, ha="center", va="center", fontsize=9)
    for x, (skill, words) in enumerate(zip([*skills, "horizon"], says, strict=True)):
        above: dict[str, Any] = {
            "xy": (x, -0.5), "textcoords": "offset points", "ha": "center", "va": "bottom",
        }  # fmt: skip
        if skill in skills:
            chance = cards[0]["summary"]["skills"][skill]["chance_mask_error_pct"]
            words = f"{fill(words, 24)}\n(chance: {chance:.1f}%)"
        axes.annotate(words, xytext=(0, 4), fontsize=7.5, **above)
        axes.annotate(skill, xytext=(0, 42), fontsize=11, fontweight="bold", **above)
    axes.set_xticks([])
    axes.set_yticks(range(len(cards)), names, parse_math=False)
    if bold is not None:
        axes.get_yticklabels()[bold].set_fontweight("bold")
    axes.tick_params(length=0)
    axes.set(xlim=(-0.5, len(says) - 0.5), ylim=(len(cards) - 0.5, -0.5), frame_on=False)
    about = f"protocol {cards[0]['protocol']}, track {cards[0]['track']}"
    if cards[0]["quick"]:
        about += f", a first look: {read_protocol(quick=True).quick_share}"
    axes.set_title(f"What a layer learns: sample error (mask error), {about}", pad=64, fontsize=11)
    handles = [Rectangle((0, 0), 1, 1, color=color) for color in COLORS.values()]
    axes.legend(
        handles, MEANINGS, loc="upper center", bbox_to_anchor=(0.5, 0), ncols=3, frameon=False
    )
    figure.subplots_adjust(left=0.13, right=0.99, bottom=0.5 / height, top=1 - 1.2 / height)
    with replace_file(path) as tmp_path:
        figure.savefig(tmp_path, dpi=150, format="png", bbox_inches="tight")


def _cell(skill: Mapping[str, Any]) -> str:
    """Write both errors of a skill, and how many trials solve it where they do not agree."""
    text = f"{skill['sample_error_pct']:.2f}% ({skill['mask_error_pct']:.1f}%)"
    divided = 0 < skill["solved"] < skill["trials"]
    return f"{text}\n{skill['solved']} of {skill['trials']}" if divided else text
