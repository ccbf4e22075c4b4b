"""The demo's reactions to any input, without Gradio: an answer, or one line."""

import math

import pytest

from hub_cards.space.demo.handlers import Handlers
from hub_cards.space.demo.loading import finished_runs, load_newest
from hub_cards.space.demo.questions import MAX_CHARACTERS, Checkpoint, longest_question
from hub_cards.space.demo.results import leaderboard, pictures
from scripts.publishing.bundles import assemble
from tests.commands import ROOT, run_python
from tests.hub_cards.bundle import untrained
from vsc_dataset import CONFIGS, execute, sample

CARDS = ROOT / "hub_cards"
HANDLERS = Handlers([Checkpoint("knows", execute)])


def refused(html, words):
    """Whether this is one line of refusal with these words."""
    return html.startswith('<p class="vsc-error"') and words in html and "\n" not in html


def test_a_question_is_answered():
    assert "✓ right" in HANDLERS.answer("NPFKT:5>4 3>1")


@pytest.mark.parametrize(
    "question, words",
    [
        (None, "type a question"),
        (7, "a question is a text, not a int"),
        (["NPF:1>2"], "a question is a text, not a list"),
        ("NPF:" + "1>2 " * 10**6, f"read at most {MAX_CHARACTERS}"),
        ("X" * (MAX_CHARACTERS + 1), f"{MAX_CHARACTERS + 1} characters"),
    ],
)
def test_no_question_breaks_the_page(question, words):
    assert refused(HANDLERS.answer(question), words)


def test_the_longest_question_is_that_of_the_model_that_reads_most():
    rows = [Checkpoint("a", str, longest_row=30), Checkpoint("b", str, longest_row=50)]
    assert longest_question(rows) == 50
    assert longest_question([*rows, Checkpoint("c", str)]) == MAX_CHARACTERS
    assert refused(Handlers(rows).answer("N" * 51), "51 characters, these models read at most 50")


@pytest.mark.parametrize(
    "index", [math.nan, math.inf, -math.inf, -1, 0.5, 1e400, "0", [0], {}, None]
)
def test_a_row_that_is_not_one_is_one_line(index):
    question, html = HANDLERS.draw("swap-nops5", "test", index)
    assert question is None
    assert refused(html, "swap-nops5, test has the rows 0 to 9,999")


@pytest.mark.parametrize("config", ["none", "", None, 3, ["swap-nops5"], {"a": 1}, "x" * 10**6])
def test_an_unknown_configuration_is_one_line(config):
    for html in (HANDLERS.draw(config, "test", 0)[-1], HANDLERS.draw_any(config, "test")[-1]):
        assert refused(html, "does not exist: choose one of the list")
        assert len(html) < 300
    assert HANDLERS.splits_of(config) is None


@pytest.mark.parametrize("split", ["none", None, ["test"], 0])
def test_an_unknown_split_is_one_line(split):
    assert refused(HANDLERS.draw("swap-nops5", split, 0)[-1], "swap-nops5 has no split")
    assert HANDLERS.draw_any("swap-nops5", split)[:2] == (None, None)


def test_any_configuration_can_be_drawn_from_at_once():
    for config in CONFIGS:
        split = HANDLERS.usual_split(HANDLERS.splits_of(config))
        question, html = HANDLERS.draw(config, split, 0)
        assert question == sample(config, split, [0]).questions()[0]
        assert "✓ right" in html
    _, html = HANDLERS.draw("grid-len5", HANDLERS.splits_of("grid-len5")[-1], 0)
    assert refused(html, "at most")


def test_the_results_page_has_the_committed_leaderboard_or_says_what_is_missing(tmp_path):
    assert leaderboard(CARDS).startswith("Track efficiency")
    assert leaderboard(tmp_path) == "No scorecards: put scorecards.md into tables/."
    assert len(pictures(CARDS / "figures")) == len([*(CARDS / "figures").glob("*.png")])


def test_the_newest_runs_that_load_are_taken_and_the_others_said(tmp_path):
    for name in "abcde":
        untrained(tmp_path / name)
    (tmp_path / "torn").mkdir()
    (tmp_path / "e" / "config.json").write_text('{"model_type": "vsc_mixer", "mixer": "x.py:Y"}')
    runs = [str(tmp_path / name) for name in "edcba"]
    assert set(finished_runs(tmp_path)) == set(runs)
    checkpoints, faults = load_newest(runs)
    assert [checkpoint.name for checkpoint in checkpoints] == ["d", "c", "b"]
    assert [fault.split(" is left out")[0] for fault in faults] == ["e"]
    assert "x.py:Y" in faults[0]


def test_the_wheel_and_the_space_are_enough(tmp_path):
    scratch, space = tmp_path / "scratch", tmp_path / "space"
    scratch.mkdir()
    for name, content in assemble("space", CARDS / "space", "acme/demo", scratch).files.items():
        (space / name).parent.mkdir(parents=True, exist_ok=True)
        data = content if isinstance(content, bytes) else content.read_bytes()
        (space / name).write_bytes(data)
    untrained(tmp_path / "run")
    code = """
import sys, zipfile
from pathlib import Path
space, packages, run = sys.argv[1:]
zipfile.ZipFile(next(Path(space).glob("wheel/*.whl"))).extractall(packages)
sys.path[:0] = [space, packages]
from demo import loading
from demo.handlers import Handlers
import vsc_dataset
assert vsc_dataset.__file__.startswith(packages), vsc_dataset.__file__
assert loading.listed(Path(space)) == []
checkpoints, faults = loading.load_all([run])
print("<b>run</b>" in Handlers(checkpoints).answer("NPFKT:5>4 3>1"), faults)
"""
    places = (space, tmp_path / "packages", tmp_path / "run")
    done = run_python("-c", code, *places, cwd=tmp_path)
    assert done.stdout == "True []\n", done.stderr
