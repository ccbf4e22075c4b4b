"""The demo's HTML: right and wrong where they are, and no text that could act."""

import re

import pytest

from hub_cards.space.demo import display
from hub_cards.space.demo.questions import Checkpoint, follow, steps
from vsc_dataset import execute, parse


def shown(question, *checkpoints):
    program = parse(question)
    return display.answers(program, [follow(program, c) for c in checkpoints], steps(program))


def cells(html):
    """The classes and texts of the compared characters of the verdict."""
    return re.findall(r'<i class="vsc-(\w+)">(.*?)</i>', html.split("vsc-scroll")[0])


@pytest.mark.parametrize(
    "answer, compared",
    [
        ("PNY", [("right", "P"), ("right", "N"), ("right", "Y")]),
        ("PYN", [("right", "P"), ("wrong", "Y"), ("wrong", "N")]),
        ("PN", [("right", "P"), ("right", "N"), ("wrong", "·")]),
        ("PNYX", [("right", "P"), ("right", "N"), ("right", "Y"), ("wrong", "X")]),
        ("P \0", [("right", "P"), ("wrong", "·"), ("wrong", "\N{REPLACEMENT CHARACTER}")]),
        ("<b>", [("wrong", "&lt;"), ("wrong", "b"), ("wrong", "&gt;")]),
    ],
)
def test_each_character_is_marked_right_or_wrong(answer, compared):
    html = shown("YNP:3>1", Checkpoint("a", lambda _: answer))
    assert cells(html) == compared
    assert ("✓ right" in html, "✗ wrong" in html) == (answer == "PNY", answer != "PNY")


def test_the_first_wrong_step_is_named_and_marked_once():
    html = shown("YNP:3>1 2>1 1>3", Checkpoint("a", lambda text: execute(text.split(" ")[0])))
    assert "first wrong after operation 2, 2&gt;1" in html
    row = next(line for line in html.split("<tr>") if "vsc-first" in line)
    assert row.startswith("<td>2</td>")
    assert html.count("vsc-first") == 1


def test_steps_beyond_the_trained_range_are_pale():
    html = shown("YNP:3>1 2>1 1>3", Checkpoint("a", execute, (1, 2)))
    pale = [line.startswith("<td>3</td>") for line in html.split("<tr>") if "vsc-beyond" in line]
    assert pale == [False, True]  # no operation and three; one and two were trained
    assert "no wrong step within the trained 1 to 2 operations" in html


def test_a_model_that_cannot_be_evaluated_says_why():
    def answer(question):
        raise ValueError("its answer has 3 letters <")

    html = shown("YNP:3>1", Checkpoint("a", answer))
    assert "<b>a</b> cannot answer this: its answer has 3 letters &lt;" in html


def test_names_and_messages_are_escaped():
    assert "<script>" not in shown("YNP:3>1", Checkpoint("<script>", execute))
    assert "<script>" not in display.error("<script>")
