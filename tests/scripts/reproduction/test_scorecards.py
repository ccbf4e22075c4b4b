"""The kept scorecards: each is checked, the leaderboard is theirs, and what lacks is trained."""

import json
import shutil
from pathlib import Path

import pytest

from scripts.reproduction import scorecards
from scripts.reproduction.scorecards import (
    LAYERS,
    REPEATED,
    TRACKS,
    CardSpec,
    describe_repeats,
    describe_trainings,
    missing_cards,
    read_cards,
    train_card,
    write_leaderboard,
)
from scripts.scorecards.card import TRIAL, read_card, summarize_card
from scripts.training.train_state import RunOptions
from tests.commands import ROOT, run_command
from tests.scripts.scorecards.cases import use_small_protocol

KEPT = ROOT / "hub_cards"


def test_the_committed_leaderboard_is_what_the_committed_scorecards_give(tmp_path):
    shutil.copytree(KEPT / "scorecards", tmp_path / "scorecards")
    assert write_leaderboard(tmp_path) == (KEPT / "tables" / "scorecards.md").read_text("utf-8")


def test_the_committed_scorecards_are_those_of_the_listed_layers():
    cards = read_cards(KEPT)
    assert len(cards) > 2 * len(LAYERS)
    for kept, card in cards.items():
        assert (card["name"], card["track"], card["quick"]) == kept[:3]
        assert card["causal"] == LAYERS[kept.layer].causal


@pytest.mark.parametrize(
    "name, value",
    [("name", "GRU, mine"), ("model", {"mixer": "torch.nn:LSTM"}), ("code", "abc"), (None, None)],
)
def test_a_scorecard_of_another_layer_is_refused(tmp_path, name, value):
    kept = CardSpec("GRU", "efficiency")
    card = json.loads(kept.path(KEPT).read_text())
    path = kept.path(tmp_path) if name else tmp_path / "scorecards" / "mine.json"
    if name:
        card[name] = {**card[name], **value} if isinstance(value, dict) else value
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(card))
    words = f"{name} is .*, that of 'GRU' in LAYERS is" if name else "of no layer in LAYERS"
    with pytest.raises(ValueError, match=words):
        read_cards(tmp_path)


def test_a_first_look_has_every_layer_to_be_compared_with():
    """Else a newcomer would see fewer layers than the table in full has."""
    missing = {*missing_cards(KEPT, [])}
    assert missing.isdisjoint(CardSpec(name, "efficiency", True) for name in LAYERS)


def test_a_missing_scorecard_is_trained_kept_and_not_trained_again(tmp_path, monkeypatch):
    use_small_protocol(monkeypatch, tmp_path)
    hub = tmp_path / "hub"
    flags = ("scorecards", "--rows", "GRU", "--hub-cards", hub, "--output-dir", tmp_path / "runs")
    done = run_command("reproduce", *flags)
    assert done.exit_code == 0, done.stderr
    names = ["gru-capability.json", "gru-efficiency.json"]
    files = [hub / "scorecards" / folder / name for folder in ("", "quick") for name in names]
    assert sorted((hub / "scorecards").rglob("*.json")) == files
    assert [read_card(path)["quick"] for path in files] == [False, False, True, True]
    assert "Track efficiency: the answer alone (copy 640, combine 640)." in done.stdout
    assert (hub / "figures" / "scorecards-capability.png").stat().st_size > 10_000
    shutil.rmtree(tmp_path / "runs")
    again = run_command("reproduce", *flags)
    assert (again.exit_code, again.stdout) == (0, (hub / "tables/scorecards.md").read_text() + "\n")
    assert not (tmp_path / "runs").exists()
    assert CardSpec("GRU", "efficiency") not in missing_cards(hub, [])
    assert len(missing_cards(hub, [])) == len(LAYERS) * len(TRACKS) * 2 - 4 + len(REPEATED)
    path = CardSpec("GRU", "efficiency").path(hub)
    path.write_text(json.dumps({**json.loads(path.read_text()), "protocol": 2}))
    refused = run_command("reproduce", "scorecards", "--report-only", "--hub-cards", hub)
    assert (refused.exit_code, refused.stderr.count("\n")) == (1, 1)
    assert "gru-efficiency.json: protocol is 2: this tree has 99" in refused.stderr


def test_a_scorecard_that_fails_stops_no_other_one_and_these_are_on_the_page(tmp_path, monkeypatch):
    kept = CardSpec("GRU", "efficiency").path(KEPT)
    path = tmp_path / "scorecards" / kept.name

    def train_card(_, spec, *__):
        if spec.layer != "GRU" or spec.track != "efficiency" or spec.quick:
            raise ValueError("copy lr 0.001 1/5: the loss is nan")
        path.parent.mkdir(parents=True)
        return Path(shutil.copy(kept, path))

    monkeypatch.setattr(scorecards, "train_card", train_card)
    done = run_command("reproduce", "scorecards", "--rows", "GRU", "LSTM", "--hub-cards", tmp_path)
    lines = done.stderr.removeprefix("reproduce: ").rstrip().split("; ")
    assert done.exit_code == 1
    assert {*lines} == {f"{layer}: copy lr 0.001 1/5: the loss is nan" for layer in ("GRU", "LSTM")}
    assert "| GRU " in (tmp_path / "tables" / "scorecards.md").read_text("utf-8")


def test_skills_whose_trials_disagree_are_named():
    card = read_card(CardSpec("delta rule", "efficiency").path(KEPT))
    assert "agree in their verdict, each judged alone. Of" in describe_trainings([card])
    *_, trial = (trial for trial in card["trials"] if trial["skill"] == "stack")
    trial.update(wrong=trial["questions"], mask_error_pct=90.0)
    assert (
        "each judged alone, except at stack of delta rule. Of the 5 searches"
        in describe_trainings([card])
    )


def test_a_layer_is_scored_again_with_other_seeds(tmp_path, monkeypatch):
    use_small_protocol(monkeypatch, tmp_path)
    monkeypatch.setattr("scripts.reproduction.scorecards.REPEATED", ("GRU",))
    kept = CardSpec("GRU", "efficiency"), CardSpec("GRU", "efficiency", other_seeds=True)
    first, second = (train_card(tmp_path, one, tmp_path / "runs", 1, RunOptions()) for one in kept)
    once, again = read_card(first), read_card(second, kept[1].protocol())
    for part in ("search", "trials"):
        seeds = [trial["seed"] for trial in once[part]]
        assert [trial["seed"] for trial in again[part]] == [seed + 100 for seed in seeds]
    checked = run_command("scorecard", "--check", second)
    assert "with other seeds, so that it is not compared: whole" in checked.stdout
    second.rename(first)
    with pytest.raises(ValueError, match="the search has another seed than 0"):
        read_cards(tmp_path)
    first.rename(second)
    first.write_text(json.dumps(once))
    told = describe_repeats(read_cards(tmp_path))
    assert told.endswith("GRU, has the same verdicts; it solves as many.")
    none = dict.fromkeys(("wrong", *(name for name in TRIAL if name.endswith("_pct"))), 0)
    for trial in again["trials"]:
        trial.update(none if trial["skill"] == "copy" else {})
    again["summary"] = summarize_card(again, kept[1].protocol())
    second.write_text(json.dumps(again))
    told = describe_repeats(read_cards(tmp_path))
    assert "has other verdicts (copy); it solves copy in 0 and then in 1 of 1." in told
    assert told in write_leaderboard(tmp_path)


def test_flags_that_the_protocol_fixes_are_refused():
    for flags in (["--trials", 1], ["--max-samples", 640]):
        refused = run_command("reproduce", "scorecards", *flags)
        assert refused.exit_code == 1
        assert "the protocol fixes trials and samples" in refused.stderr
    with pytest.raises(ValueError, match="did you mean 'GRU'"):
        missing_cards(KEPT, ["GRUE"])
