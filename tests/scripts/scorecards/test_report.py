"""What a scorecard shows."""

import copy
import json

import pytest
from matplotlib.axes import Axes

from scripts.scorecards.report import compare, draw, rank, read_baselines, read_kept, write_report
from tests.scripts.scorecards.cases import make_card

SOLVED = [(0.0, 0.0)] * 5
FAILED = [(1.0, 80.0)] * 5


def test_the_page_has_a_sentence_for_each_skill_and_a_line_for_each_layer(tmp_path):
    card, other = make_card(FAILED, name="mine"), make_card(SOLVED, horizon=8, name="delta rule")
    page = write_report(tmp_path, card, [other])
    assert "The first skill not solved is **copy**." in page
    for skill in ("copy", "select", "track", "combine", "stack", "horizon"):
        assert f"- **{skill}**: it " in page
    assert "A first look: 1 seed, 1/6 of the samples, for each layer, which is often too" in page
    assert "Layer `torch.nn:GRU`, causal; " in page
    assert "All learning rates are 0.004: a first look searches none." in page
    lines = page.splitlines()
    assert any(line.startswith("| **mine**") for line in lines)
    assert lines[-1].startswith("| no model: guessing")
    assert [word for word in lines[-1].split() if "%" in word][-1] == "91.40%"
    assert any(line.startswith("| delta rule") and "0.00% (1 of 1)" in line for line in lines)
    assert (tmp_path / "scorecard.md").read_text() == page + "\n"
    assert (tmp_path / "scorecard.png").stat().st_size > 10_000


def test_a_layer_stands_at_its_place_next_to_the_scaffold_alone(tmp_path):
    half = [*SOLVED[:1], *FAILED[1:]]
    others = [make_card(FAILED, name="no layer"), make_card(SOLVED, name="delta rule")]
    page = write_report(tmp_path, make_card(half, name="mine"), others)
    rows = [line.split("|")[1].strip() for line in page.splitlines() if line.startswith("| ")]
    assert rows[1:4] == ["delta rule", "**mine**", "no layer"]
    (copy_line,) = [line for line in page.splitlines() if line.startswith("- **copy**")]
    (track_line,) = [line for line in page.splitlines() if line.startswith("- **track**")]
    alone = "; the scaffold without a layer: 100.00% sample error, 80.00% mask error."
    assert alone not in copy_line
    assert track_line.endswith(alone)
    both_ways = make_card(half, name="mine")
    both_ways["model"]["model_args"]["causal"] = False
    assert "without a layer" not in write_report(tmp_path, both_ways, others)


def test_more_skills_come_before_longer_horizons():
    half = [*SOLVED[:3], *FAILED[3:]]
    cards = [
        make_card(FAILED, horizon=8, name="c"),
        make_card(half, horizon=2, name="b"),
        make_card(half, horizon=4, name="a"),
        make_card(SOLVED, name="all"),
    ]
    assert [card["name"] for card in rank(cards)] == ["all", "a", "b", "c"]


def test_a_skill_that_some_trials_do_not_solve_comes_before_no_longer_horizon():
    most, every = make_card(SOLVED, horizon=8, name="most"), make_card(SOLVED, name="every")
    most["summary"] = copy.deepcopy(most["summary"])
    most["summary"]["skills"]["track"] |= {"solved": 3, "trials": 5}
    assert [card["name"] for card in rank([most, every])] == ["every", "most"]


def test_a_cell_has_the_range_of_trials_that_differ():
    card = make_card(SOLVED)
    track = next(trial for trial in card["trials"] if trial["skill"] == "track")
    card["trials"].append({**track, "seed": 2, "wrong": track["questions"] // 4})
    (line,) = [line for line in compare([card]).splitlines() if line.startswith("| a layer")]
    assert line.count("(1 of 1)") == 4
    assert "0.00% (0.00 to 25.00, 1 of 1)" in line


def test_the_picture_tells_where_trials_disagree(tmp_path, monkeypatch):
    card, texts, write = make_card(SOLVED), [], Axes.text
    card["summary"]["skills"]["track"] |= {"solved": 3, "trials": 5}

    def note(axes, x, y, text, **style):
        texts.append(text)
        return write(axes, x, y, text, **style)

    monkeypatch.setattr(Axes, "text", note)
    draw([card], tmp_path / "card.png")
    cell = "0.00% (0.0%)"
    assert texts == [cell, cell, f"{cell}\n3 of 5", cell, cell, "0"]


def test_a_first_look_is_compared_with_first_looks_alone(tmp_path):
    card, folder = make_card(FAILED), tmp_path / "quick"
    folder.mkdir()
    (folder / "mine.json").write_text(json.dumps(card))
    assert read_baselines(tmp_path, card) == [card]
    assert read_baselines(tmp_path, {**card, "quick": False}) == []
    (tmp_path / "mine.json").write_text(json.dumps(card))
    with pytest.raises(ValueError, match=r"mine\.json: quick is True: first looks and no others"):
        read_kept(tmp_path)


def test_only_scorecards_of_the_same_protocol_and_track_are_compared(tmp_path):
    card = make_card(FAILED)
    (tmp_path / "quick").mkdir()
    (tmp_path / "quick" / "older.json").write_text(json.dumps({**card, "protocol": 0}))
    (tmp_path / "quick" / "other.json").write_text(json.dumps({**card, "track": "capability"}))
    assert read_baselines(tmp_path, card) == []
