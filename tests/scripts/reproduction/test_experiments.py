"""Rows of tables are known recipes, and each is what it is called."""

import json
from dataclasses import replace

import pytest

from scripts.core.trial_store import read_trials, save_trial
from scripts.reproduction import trials
from scripts.reproduction.experiments import TABLES, choose, read_article
from scripts.training.recipes import find_recipe
from tests.commands import ROOT
from tests.scripts.reporting.cases import answered, curve, record
from vsc_dataset.configs import make_config


def test_every_row_of_the_article_stands_in_its_table():
    found = {
        row.recipe.name: (name, row.full_samples)
        for name, table in TABLES.items()
        for row in table.rows if row.article and name != "small_embedding"
    }  # fmt: skip
    assert found == {row["id"]: (row["table"], 4_000_000) for row in read_article()}
    padded = next(r for r in TABLES["mixed_nops"].rows if r.recipe.name.endswith("-seen"))
    assert padded.recipe.model_args["mask_padding"] is False
    assert padded.recipe.model_args["num_layers"] == 6
    names = [row.recipe.name for row in TABLES["zoo"].rows]
    assert names[:2] == ["swap-delta", "zoo-delta"]
    assert len(names) > 15
    ladder = [(row.recipe.data, row.grid) for row in TABLES["ladder"].rows]
    assert [*dict.fromkeys(data for data, _ in ladder)] == [f"level-{n}" for n in range(1, 9)]
    assert ("level-8", "grid-all-len26") in ladder


def test_a_table_with_learning_rates_has_a_row_for_each_but_its_own_has_no_other_name():
    rows = {row.recipe.name: row.recipe for row in TABLES["fair_search"].rows}
    assert len(rows) == 36
    assert [*rows][:3] == ["zoo-delta-lr0.0005", "zoo-delta", "zoo-delta-lr0.008"]
    assert [recipe.learning_rate for recipe in rows.values()] == [5e-4, 2e-3, 8e-3] * 12
    assert rows["zoo-delta"] == replace(find_recipe("zoo-delta"), num_samples=100_000)


def test_the_fair_rows_are_the_best_of_their_six_on_validation():
    results = ROOT / "hub_cards" / "results"
    rows = TABLES["fair_search"].rows
    chosen = [row.recipe.name for row in TABLES["fair"].rows]
    for number, name in enumerate(chosen):
        six = rows[6 * number : 6 * number + 6]
        firsts = {row.recipe.name: first_trial(results, row) for row in six}
        assert name == min(firsts, key=firsts.__getitem__)
    traced = [row.recipe.name for row in TABLES["fair_trace"].rows]
    assert traced == [f"{name}-trace" for name in chosen]
    assert {row.recipe.loss for row in TABLES["fair_trace"].rows} == {"targets"}


def test_what_solving_costs_is_compared_at_the_best_rate_of_each_model():
    results, rows = ROOT / "hub_cards" / "results", TABLES["same_search"].rows
    assert [row.recipe.learning_rate for row in rows] == [5e-4, 1e-3, 2e-3, 4e-3, 8e-3] * 2
    firsts = {row.recipe.name: first_trial(results, row, 300_000) for row in rows}
    names = [*firsts]
    best = [min(half, key=firsts.__getitem__) for half in (names[:5], names[5:])]
    one, other = (row.recipe for row in TABLES["same"].rows)
    assert [one.name, other.name] == best
    # Nothing differs but the model and its learning rate.
    assert one.same_training(
        other.changed(model=one.model, model_args=one.model_args, learning_rate=4e-3)
    )


def first_trial(results, row, samples=100_000):
    """What the choice goes by: mask error of the one trial of the search, then questions to 1 %."""
    found = [trial.record for trial in read_trials(results, row.recipe.name)]
    (first,) = [r for r in found if r.seed == 0 and samples - 64 < r.planned_samples <= samples]
    to_1pct = first.samples_to_1pct or first.samples
    return first.mask_error_pct, to_1pct


def test_every_name_is_that_of_one_training_so_that_results_are_kept_apart():
    recipes = {}
    for row in (row for table in TABLES.values() for row in table.rows):
        recipe = recipes.setdefault(row.recipe.name, row.recipe)
        assert recipe.same_training(row.recipe.changed(num_samples=recipe.num_samples))


def test_a_trial_keeps_its_test_error_at_the_held_out_programs_numbers_of_operations(tmp_path):
    config = make_config("default")  # "first 3" answers up to three operations right
    model = tmp_path / "seed-0" / "model"
    model.mkdir(parents=True)
    texts = {
        name: answered(config, 200, "first 3", split).predictions
        for name, split in [("validation", "validation"), ("by_nops", "validation"),
                            ("test", "test"), ("test_programs", "test_programs")]
    }  # fmt: skip
    (model / "answers.json").write_text(json.dumps(texts), "utf-8")
    (model / "curve.json").write_text(json.dumps(curve()), "utf-8")
    done = record(0, recipe="default-delta", data="default", questions=200, samples=6400,
                  test_questions=200, programs_questions=200,
                  programs_sample_error_pct=60.0, programs_mask_error_pct=30.0)  # fmt: skip
    (row,) = choose(TABLES["held_out"].rows, ["default-delta"], None, 1)
    row = replace(row, grid=None, test_samples=0)
    details = trials.measure_details(row, tmp_path, done)
    test = answered(config, 200, "first 3", "test")
    wrong = [
        prediction != reference
        for question, reference, prediction in zip(*test, strict=True)
        if len(question.split(":")[1].split()) >= 3
    ]
    kept = details["same_nops"]
    assert kept["questions"] == len(wrong) < 200
    assert kept["sample_error_pct"] == pytest.approx(100 * sum(wrong) / len(wrong), abs=1e-3)
    assert 0 < details["seen_pct"] < 100
    save_trial(tmp_path, replace(done, planned_samples=row.recipe.num_samples), details)
    assert trials.missing_seeds(row, tmp_path) == []
    save_trial(tmp_path, replace(done, planned_samples=row.recipe.num_samples),
               {name: details[name] for name in details if name != "same_nops"})  # fmt: skip
    assert trials.missing_seeds(row, tmp_path) == [0]
    assert trials.missing_seeds(replace(row, same_nops=False), tmp_path) == []
