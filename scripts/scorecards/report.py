"""Show scorecards: a page, a picture, a table of several."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from scripts.core.io import replace_file, write_lines
from scripts.reporting.tables import table
from scripts.scorecards.card import read_card
from scripts.scorecards.protocol import read_protocol

Card = Mapping[str, Any]
COLORS = {"solved": "#7cc08a", "partly": "#f2d06b", "at chance": "#e58a7b"}
"""The color of each verdict, told apart in gray too."""


def compare(cards: Sequence[Card]) -> str:
    """Lay out scorecards of one protocol and track, a line each: sample error, trials solved."""
    skills = [*cards[0]["summary"]["skills"]]
    rows = []
    for card in cards:
        row = [card["name"], "yes" if card["causal"] else "no", f"{card['parameters']:,}"]
        for skill in card["summary"]["skills"].values():
            row.append(f"{skill['sample_error_pct']:.2f}% ({skill['solved']} of {skill['trials']})")
        rows.append([*row, str(card["summary"]["horizon"]["horizon"])])
    return table(["layer", "causal", "parameters", *skills, "horizon"], rows, markdown=True)


def rank(cards: Sequence[Card]) -> list[Card]:
    """Order scorecards: most skills solved, then the horizon, then the lower sample errors."""

    def key(card: Card) -> tuple[Any, ...]:
        skills = card["summary"]["skills"].values()
        horizon = card["summary"]["horizon"]["horizon"]
        beyond = isinstance(horizon, str)
        return (
            -sum(skill["verdict"] == "solved" for skill in skills),
            -(10_000 if beyond else horizon or 0),
            sum(skill["sample_error_pct"] for skill in skills),
            card["name"],
        )

    return sorted(cards, key=key)


def read_baselines(folder: Path, card: Card) -> list[Card]:
    """Read the kept scorecards of the same protocol and track; a first look has none of its own."""
    cards = [read_card(path) for path in sorted(folder.glob("*.json"))]
    return [other for other in cards if other["track"] == card["track"]]


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
    summary = card["summary"]
    lines = [f"- **{skill}**: {found['sentence']}." for skill, found in summary["skills"].items()]
    first = summary["first_unsolved"]
    verdict = f"The first skill that it lacks is **{first}**." if first else "It has all skills."
    quick = " A first look: fewer seeds and samples than the protocol." if card["quick"] else ""
    says = protocol.tables["tracks"][card["track"]]["says"]
    page = "\n\n".join(
        [
            f"# Scorecard of {card['name']}",
            f"Protocol {card['protocol']}, track {card['track']} ({says}); "
            f"{card['parameters']:,} parameters; {card['device']}.{quick}",
            verdict,
            "\n".join([*lines, f"- **horizon**: {summary['horizon']['sentence']}."]),
            "Sample error on held-out programs where the skill has them (median over trials), and "
            "trials solved (sample error at most 1%):",
            compare([card, *rank(baselines)]),
        ]
    )
    write_lines(folder / "scorecard.md", [page])
    draw([card, *rank(baselines)], folder / "scorecard.png")
    return page


def draw(cards: Sequence[Card], path: Path) -> None:
    """Draw scorecards as colored cells: layers by skills, the first one in bold."""
    skills = [*cards[0]["summary"]["skills"]]
    says = read_protocol(cards[0]["track"]).tables["skills"]
    figure = Figure(figsize=(2.2 + 1.7 * (len(skills) + 1), 1.9 + 0.42 * len(cards)))
    axes = figure.subplots()
    for y, card in enumerate(cards):
        found = card["summary"]["skills"].values()
        cells = [(COLORS[one["verdict"]], f"{one['sample_error_pct']:.1f}%") for one in found]
        cells.append(("#d9d9d9", str(card["summary"]["horizon"]["horizon"] or "none")))
        for x, (color, text) in enumerate(cells):
            axes.add_patch(Rectangle((x - 0.48, y - 0.44), 0.96, 0.88, color=color))
            axes.text(x, y, text, ha="center", va="center", fontsize=9)
    axes.set_xticks(range(len(skills) + 1), [*skills, "horizon"])
    axes.set_yticks(range(len(cards)), [card["name"] for card in cards])
    axes.get_yticklabels()[0].set_fontweight("bold")
    axes.xaxis.tick_top()
    axes.tick_params(length=0)
    axes.set(xlim=(-0.5, len(skills) + 0.5), ylim=(len(cards) - 0.5, -0.5), frame_on=False)
    about = f"protocol {cards[0]['protocol']}, track {cards[0]['track']}"
    axes.set_title(f"What a layer can do: sample error, {about}", pad=12)
    words = [f"{skill}: {says[skill]['says']}" for skill in skills]
    words.append("horizon: operations up to which the sample error is surely at most 1%")
    figure.text(0.01, 0.01, "\n".join([*words, ""]), fontsize=7, va="bottom")
    handles = [axes.scatter([], [], marker="s", s=60, color=c, label=v) for v, c in COLORS.items()]
    axes.legend(
        handles=handles, loc="upper left", bbox_to_anchor=(0, -0.02), ncols=3, frameon=False
    )
    figure.tight_layout(rect=(0, 0.09 + 0.35 / figure.get_figheight(), 1, 1))
    with replace_file(path) as tmp_path:
        figure.savefig(tmp_path, dpi=150, format="png")
