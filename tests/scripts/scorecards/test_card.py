"""Verdicts follow from the trials, and a scorecard that was changed is refused."""

import copy
import json
import tomllib
from hashlib import sha256

import pytest

from scripts.core.statistics import grid_nops
from scripts.scorecards.card import (
    check_card,
    check_repeated,
    choose_rate,
    read_card,
    summarize_horizon,
    summarize_skill,
)
from scripts.scorecards.protocol import PROTOCOL, read_protocol
from tests.scripts.scorecards.cases import make_card
from vsc_dataset import sample

PUBLISHED = {1: "8b4af94b47672d80"}
"""The hash of the values of each version of the protocol."""

FAILS_AT_SELECT = [(0.0, 0.0), (0.4, 30.0), (1.0, 72.0), (1.0, 80.0), (0.9, 70.0)]


@pytest.fixture(scope="module")
def card():
    return make_card(FAILS_AT_SELECT, horizon=4)


def test_each_skill_has_its_verdict_and_the_first_that_fails_is_named(card):
    skills = card["summary"]["skills"]
    verdicts = [skill["verdict"] for skill in skills.values()]
    assert verdicts == ["solved", "partly", *["at chance"] * 3]
    assert card["summary"]["first_unsolved"] == "select"
    assert "1 of 1 (at least 2%)" in skills["copy"]["sentence"]
    assert "40.00% sample error" in skills["select"]["sentence"]
    assert card["summary"]["horizon"]["horizon"] == 4


@pytest.mark.parametrize("solved, verdict", [(2, "partly"), (3, "solved")])
def test_a_skill_is_solved_where_most_trials_solve_it(solved, verdict):
    wrong = [0] * solved + [60] * (5 - solved)
    trials = [{"wrong": one, "questions": 1000, "mask_error_pct": one / 20} for one in wrong]
    assert summarize_skill(trials, 60.0, "copy letters", 0.9)["verdict"] == verdict


def test_of_two_horizons_in_the_middle_the_lower_one_counts_and_above_all_is_the_highest():
    def rows(holds):
        wrong = [0.0] * holds + [50.0]
        return [
            {"nops": nops, "questions": 1000, "sample_error_pct": error}
            for nops, error in zip(listed, wrong, strict=False)
        ]

    protocol = read_protocol()
    listed = grid_nops(protocol.tables["horizon"]["grid"])
    held = {str(seed): rows(count) for seed, count in enumerate([len(listed), 0, 3, 1])}
    summary = summarize_horizon(protocol, held)
    assert summary["horizons"] == [0, listed[0], listed[2], f">{listed[-1]}"]
    assert summary["horizon"] == listed[0]
    assert summary["sentence"] == "it holds up to 1 operation (trials from 0 to >1024)"
    cut = summarize_horizon(protocol, {"1": rows(4)[:4]})
    assert cut["sentence"] == "it holds up to 4 operations; longer rows are too long for it"


def test_copying_is_not_chance_where_it_is_the_task(card):
    skills = card["summary"]["skills"]
    assert skills["copy"]["chance_mask_error_pct"] > 75  # guessing the order of eight letters
    assert skills["select"]["chance_mask_error_pct"] == pytest.approx(40, abs=1)  # copying


def test_the_values_of_a_published_protocol_never_change():
    """CardSpec scorecards would no longer compare: give changed values a new version."""
    values = tomllib.loads(PROTOCOL.read_text("utf-8"))
    words = json.dumps(values, sort_keys=True).encode()
    assert sha256(words).hexdigest()[:16] == PUBLISHED[values["version"]]


@pytest.mark.parametrize("skill, wrong", [("copy", 0.01), ("select", 0.39), ("select", 0.41)])
def test_a_trial_again_may_end_as_one_more_seed_would(card, skill, wrong):
    trial = next(trial for trial in card["trials"] if trial["skill"] == skill)
    check_repeated(twice(card), {**trial, "wrong": round(wrong * trial["questions"])})


@pytest.mark.parametrize("skill, wrong", [("copy", 0.011), ("select", 0.0), ("select", 0.5)])
def test_a_trial_again_that_ends_otherwise_is_refused(card, skill, wrong):
    trial = next(trial for trial in card["trials"] if trial["skill"] == skill)
    wrong = round(wrong * trial["questions"])
    with pytest.raises(ValueError, match=f"{skill}: {wrong} of .* would have"):
        check_repeated(twice(card), {**trial, "wrong": wrong})


def twice(card):
    """A scorecard with two equal trials of each skill."""
    return {**card, "trials": [*card["trials"], *card["trials"]]}


def test_of_one_trial_only_the_verdict_can_be_repeated(card):
    solved, unsolved = (
        next(trial for trial in card["trials"] if trial["skill"] == skill)
        for skill in ("copy", "select")
    )
    check_repeated(card, {**solved, "wrong": solved["questions"] // 100})
    check_repeated(card, {**unsolved, "wrong": unsolved["questions"]})
    for trial, wrong in ((solved, solved["questions"] // 10), (unsolved, 0)):
        with pytest.raises(ValueError, match=f"{trial['skill']}: {wrong} of .*: one solves it"):
            check_repeated(card, {**trial, "wrong": wrong})


def test_validation_alone_chooses_the_learning_rate():
    line = {"val_sample_error_pct": 3.0, "val_mask_error_pct": 1.0, "val_loss": 0.5, "wrong": 0}
    better = {**line, "learning_rate": 2.0, "val_mask_error_pct": 0.9, "wrong": 99}
    assert choose_rate([{**line, "learning_rate": 1.0}, better]) == 2.0


@pytest.mark.parametrize("track, stages", [("efficiency", 1), ("capability", 5)])
def test_the_capability_track_begins_with_one_operation(track, stages):
    protocol = read_protocol(track)
    recipes = {
        skill: protocol.recipe(protocol.scaffold(), skill, 1e-3) for skill in protocol.skills
    }
    for skill, recipe in recipes.items():
        expected = stages if skill in ("track", "combine", "stack") else 1
        assert len(recipe.stages) == expected
        assert recipe.stages[-1][1] == recipe.config  # in the end the skill's own


def test_no_letter_of_the_copying_skill_is_in_reach_of_the_scaffolds_convolutions():
    protocol = read_protocol()
    reach = sum(size - 1 for size in protocol.tables["scaffold"]["conv_kernel_sizes"])
    config = protocol.config("copy")
    row = sample(config, "train", range(1)).input_ids[0].tolist()
    assert row[len("NPFKTABC")] == ord(":")
    assert len(row) - config.answer_width > reach  # a letter to its place


def test_a_training_ends_after_whole_batches(card):
    protocol = read_protocol("capability", quick=True)
    card = {**copy.deepcopy(card), "track": "capability"}
    for trial in card["trials"]:
        trial["samples"] = protocol.trained_samples(trial["skill"])
    card["trials"][0]["samples"] = 65
    with pytest.raises(ValueError, match="samples is 65: steps are of whole batches"):
        check_card(card)


def change(card, *path, value):
    changed = copy.deepcopy(card)
    place = changed
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    return changed


@pytest.mark.parametrize(
    "path, value, words",
    [
        (("trials", 0, "wrong"), 300, "mask_error_pct is 0.0: it cannot be"),
        (("trials", 1, "wrong"), 4001, "does not follow"),
        (("trials", 0, "mask_error_pct"), 50.0, "it cannot be with a sample error of 0.0%"),
        (("trials", 2, "mask_error_pct"), 500.0, "it cannot be"),
        (("trials", 2, "val_sample_error_pct"), 1e9, "it cannot be"),
        (("trials", 0, "samples"), 10**9, "samples is 1000000000: the protocol has"),
        (("trials", 0, "samples"), 64, "samples is 64: the protocol has"),
        (("trials", 0, "seconds"), -1.0, "seconds is -1.0"),
        (("trials", 0, "samples"), 0, "after 0 samples all answers count as wrong"),
        (("trials", 0, "skill"), "fly", "skill is 'fly'"),
        (("horizons", "1"), [], "it must begin as"),
        (("horizons", "1"), [{}], "horizons"),
        (("horizons", "1"), "none", "horizons"),
        (("horizons",), {"one": []}, "horizons have the seeds"),
        (("horizons", "1", 0, "questions"), 0, "0 samples with an error"),
        (("name",), "a|b", "does not fit a table"),
        (("trials", 0, "wrong"), -1, "wrong is -1"),
        (("trials", 0, "seed"), 7, "seeds"),
        (("trials", 0, "split"), "train", "count on"),
        (("trials", 0, "learning_rate"), 0.5, "learning rate"),
        (("trials", 0, "seconds"), "fast", "seconds"),
        (("summary", "skills", "copy", "verdict"), "partly", "does not follow.*: skills is"),
        (("summary", "skills", "copy", "solved"), True, "does not follow"),
        (("summary", "note"), "", "does not follow"),
        (("trials", 2, "val_loss"), -1.0, "val_loss -1.0: no evaluation gives that"),
        (("trials", 1, "val_sample_error_pct"), 40.001, "of 10000 samples and"),
        (("track",), "capability", "select: samples is 16640"),
        (("model", "model_args", "causal"), False, "the scaffold's convolutions look ahead"),
        (("horizons", "1", 3, "sample_error_pct"), 60.0, "does not follow"),
        (("protocol",), 2, "protocol is 2"),
        (("track",), "luck", "track is 'luck'"),
        (("parameters",), 10, "10 parameters"),
        (("trials",), [], "seeds"),
        (("quick",), False, "samples is 16640"),
        (("notes",), "", "keys"),
        (("trials", 1, "mask_error_pct"), 1.0, "it cannot be with a sample error of 40.0%"),
        (("model", "model_args", "hidden_size"), 48, "the protocol's scaffold has"),
        (("model", "num_samples"), 10**6, "its model must have the keys"),
    ],
)
def test_a_changed_card_is_refused(card, path, value, words):
    check_card(card)
    with pytest.raises(ValueError, match=words):
        check_card(change(card, *path, value=value))


def test_a_first_look_brings_no_search_of_its_own(card):
    searched = {**card["trials"][0], "seed": 0, "learning_rate": 0.5}
    with pytest.raises(ValueError, match=r"copy: the search has the learning rates \[0.5\], not"):
        check_card({**card, "search": [searched]})


def test_a_number_beyond_any_float_is_refused(card, tmp_path):
    path = tmp_path / "card.json"
    path.write_text(json.dumps(change(card, "trials", 0, "val_sample_error_pct", value=10**400)))
    with pytest.raises(ValueError, match=r"card\.json: "):
        read_card(path)


@pytest.mark.parametrize("text", ["", "[]", "null", "{}", '{"protocol": 1}', "\0"])
def test_a_damaged_file_is_refused_in_one_line(tmp_path, text):
    (tmp_path / "scorecard.json").write_text(text)
    with pytest.raises(ValueError, match=r"scorecard\.json") as error:
        read_card(tmp_path / "scorecard.json")
    assert "\n" not in str(error.value)
