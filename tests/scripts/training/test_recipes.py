"""Recipes are data: every one can be built, and a mistake is named with the fix."""

import csv
import dataclasses
import math
from pathlib import Path

import pytest
import torch

from scripts.training.model_factory import build_model
from scripts.training.recipes import Recipe, find_recipe, read_recipes

TABLES = Path(__file__).parents[3] / "hub_cards" / "article" / "seed_tables.csv"
ROWS = [*csv.DictReader(TABLES.read_text().splitlines())]
PROTOCOL = {
    "num_samples": 4_000_000,
    "batch_size": 64,
    "mixed_precision": "no",
    "learning_rate": 5e-4,
    "warmup_steps": 0,
    "betas": (0.9, 0.999),
    "weight_decay": 0.01,
    "max_grad_norm": 0.0,
    "loss": "all",
    "validation_samples": 10_000,
    "early_stop_pct": None,
}
"""Section 5 of the design; AdamW's own betas and weight decay, which the article left alone."""

BASE = {"name": "x", "data": "swap-nops2", "model": "vsc_delta"}


@pytest.mark.parametrize("name", [name for name in read_recipes() if not name.startswith("zoo-")])
def test_every_recipe_of_ours_builds_its_model(name):
    recipe = find_recipe(name)
    assert build_model(recipe).config.answer_width == recipe.config.answer_width
    assert recipe.description.endswith(".")


def ends(text: str) -> tuple[int, int]:
    low, _, high = text.partition("-")
    return int(low), int(high or low)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["id"])
def test_a_row_of_the_article_is_the_articles(row):
    recipe = find_recipe(row["id"])
    config = recipe.config
    assert (config.length, config.operators) == (ends(row["length"]), row["operators"])
    assert (config.nops, config.eval_nops) == (ends(row["nops"]), ends(row["val_nops"]))
    assert {name: getattr(recipe, name) for name in PROTOCOL} == PROTOCOL
    assert (config.num_validation, int(row["train_samples"])) == (10_000, recipe.num_samples)
    with torch.device("meta"):
        model = build_model(recipe)
    assert sum(p.numel() for p in model.parameters()) == int(row["params"])
    assert model.config.model_type == f"vsc_{row['model']}"
    if row["model"] == "conv":
        assert model.config.kernel_size == int(row["kernel_size"])
        assert [*model.config.dilation] == [int(d) for d in row["dilation"].split()]
        heads = [int(h) for h in row["attention_heads"].split()]
        assert [*(model.config.attention_heads or [])] == heads


def test_every_row_of_the_article_has_a_recipe():
    assert len(ROWS) == 32
    assert {row["id"] for row in ROWS} <= set(read_recipes())


def test_validation_during_training_takes_few_questions_unless_told():
    assert find_recipe("swap-delta").validation_samples == 400
    assert Recipe(**BASE, num_samples=6400).validation_samples == 100
    assert Recipe(**BASE, num_samples=6400, validation_questions=7).validation_samples == 7
    assert Recipe(**BASE, validation_questions=10**6).validation_samples == 10_000


def test_swap_delta_is_as_small_as_it_says():
    recipe = find_recipe("swap-delta")
    assert sum(p.numel() for p in build_model(recipe).parameters()) == 26_642
    assert recipe.num_samples == 100_000


def test_validations_are_evenly_spread_and_end_with_the_last_step():
    recipe = Recipe(**BASE, num_samples=6400, batch_size=64, num_validations=10)
    assert sorted(recipe.validation_steps) == list(range(10, 101, 10))
    few = Recipe(**BASE, num_samples=128, batch_size=64, num_validations=10)
    assert few.validation_steps == {1, 2}


@pytest.mark.parametrize("num_steps", [1, 2, 3, 7, 49, 1000, 1999])
def test_the_last_step_is_always_validated(num_steps):
    for count in range(1, 50):
        recipe = Recipe(**BASE, num_samples=num_steps, batch_size=1, num_validations=count)
        assert max(recipe.validation_steps) == num_steps
        assert min(recipe.validation_steps) > 0


@pytest.mark.parametrize(
    "settings, words",
    [
        ({"data": "swap-nop2"}, "did you mean 'swap-nops2'"),
        ({"loss": "question"}, "loss is 'question': use one of"),
        ({"num_samples": 10}, "num_samples is 10: one step needs batch_size 64"),
        ({"batch_size": 0}, "batch_size is 0: it must be above 0"),
        ({"learning_rate": -1.0}, "learning_rate is -1.0: it must be above 0"),
        ({"learning_rate": math.inf}, "learning_rate is inf: it must be a finite number"),
        ({"weight_decay": math.nan}, "weight_decay is nan: it must be a finite number"),
        ({"max_grad_norm": -1.0}, "max_grad_norm is -1.0: it must be 0 or more"),
        ({"early_stop_pct": -1.0}, "early_stop_pct is -1.0: it must be 0 or more"),
        ({"early_stop_pct": 1e9}, "early_stop_pct is 1000000000.0: it must be at most 100"),
        ({"num_validations": 10**9}, "num_validations is 1000000000: it must be at most 10,000"),
        ({"batch_size": 2**30, "num_samples": 2**40}, "it must be at most 1,048,576"),
        ({"data_args": {"num_itms": 9}}, "field 'num_itms' is unknown: did you mean 'num_items'"),
        ({"data_args": {"num_items": 2}}, "length is up to 5 but num_items is 2"),
        ({"data_args": {"name": "copy"}}, "data_args has a name: name the configuration with"),
        ({"model_args": [1]}, "model_args is [1]: it must be a table"),
        ({"data": ["a"]}, "data is ['a']: it must be a text"),
        ({"betas": 3}, "betas is 3: give two numbers"),
        ({"betas": [0.9, "x"]}, "betas is [0.9, 'x']: give two numbers"),
        ({"weight_decay_on": "none"}, "weight_decay_on is 'none': use one of"),
        ({"validation_questions": 0}, "validation_questions is 0: it must be above 0"),
        ({"batch_size": 6.5}, "batch_size is 6.5: it must be a whole number"),
        ({"learning_rate": "high"}, "learning_rate is 'high': it must be a finite number"),
        ({"loss": 1}, "loss is 1: it must be a text"),
        ({"betas": [0.9]}, "betas is [0.9]: give two numbers from 0 to below 1"),
        ({"mixed_precision": "fp8"}, "mixed_precision is 'fp8': use one of"),
        ({"mixer_args": {"a": 1}}, "without a mixer"),
    ],
)
def test_a_setting_that_cannot_work_is_refused(settings, words):
    with pytest.raises(ValueError) as error:
        Recipe(**{**BASE, **settings})
    assert words in str(error.value)


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"model_args": {"hidden_size": 0}}, "hidden_size=0 is out of range"),
        ({"model_args": {"hiden_size": 8}}, "did you mean 'hidden_size'?"),
        ({"model": "vsc_dleta"}, "vsc_dleta"),
    ],
)
def test_a_model_that_cannot_be_built_is_a_clear_error(changes, words):
    with pytest.raises(ValueError) as error:
        build_model(Recipe(**{**BASE, **changes}))
    assert words in str(error.value)


def test_an_unknown_key_is_refused_with_the_nearest(tmp_path):
    path = tmp_path / "recipes.toml"
    path.write_text('[mine]\ndata = "default"\nmodel = "vsc_delta"\nlearnin_rate = 1.0\n')
    with pytest.raises(ValueError, match="'learnin_rate' is unknown: did you mean 'learning_rate'"):
        read_recipes(path)


def test_a_recipe_takes_what_it_leaves_out_from_one_further_up(tmp_path):
    path = tmp_path / "recipes.toml"
    first = '[first]\ndata = "default"\nmodel = "vsc_conv"\nbatch_size = 8\n'
    path.write_text(first + '[second]\nlike = "first"\ndata = "swap-nops2"\n')
    second = read_recipes(path)["second"]
    assert (second.model, second.batch_size, second.data) == ("vsc_conv", 8, "swap-nops2")
    path.write_text('[second]\nlike = "first"\n' + first)
    with pytest.raises(ValueError, match="recipe 'second': no recipe 'first' stands above"):
        read_recipes(path)
    path.write_text('[first]\ndata = "default"\n')
    with pytest.raises(ValueError, match=r"recipe 'first': .*missing.*'model'"):
        read_recipes(path)


def test_arguments_are_inherited_key_by_key_as_long_as_the_model_is_the_same(tmp_path):
    path = tmp_path / "recipes.toml"
    path.write_text(
        '[_base]\ndata = "default"\nmodel_args = { hidden_size = 8, num_layers = 2 }\n'
        '[first]\nlike = "_base"\nmodel = "vsc_lstm"\nmodel_args.num_layers = 3\n'
        '[second]\nlike = "first"\nmodel_args.hidden_size = 4\n'
        '[third]\nlike = "first"\nmodel = "vsc_mamba"\nmodel_args.num_layers = 1\n'
    )
    found = {name: dict(recipe.model_args) for name, recipe in read_recipes(path).items()}
    assert found == {
        "first": {"hidden_size": 8, "num_layers": 3},
        "second": {"hidden_size": 4, "num_layers": 3},
        "third": {"num_layers": 1},
    }


def test_a_batch_is_shared_evenly_by_processes_or_refused():
    Recipe(**BASE).check_processes(2)
    with pytest.raises(ValueError, match="batch_size 64 cannot be shared evenly by 3 processes"):
        Recipe(**BASE).check_processes(3)


def test_a_recipe_is_read_as_an_earlier_version_wrote_it():
    old = {**Recipe(**BASE).to_json(), "gradient_accumulation_steps": 1}
    for later in ("early_stop_validations", "data_args", "weight_decay_on"):
        del old[later]
    assert Recipe.from_dict(old) == Recipe(**BASE)
    assert Recipe.from_dict({**old, "name": "x"}).same_training(Recipe(**BASE))
    assert not Recipe.from_dict({**old, "betas": [0.8, 0.999]}).same_training(Recipe(**BASE))
    for field, value in (("gradient_accumulation_steps", 4), ("mixed_precision", "fp16")):
        with pytest.raises(ValueError, match=f"{field} is"):
            Recipe.from_dict({**old, field: value})
    with pytest.raises(ValueError, match="'bettas' is unknown: did you mean 'betas'"):
        Recipe.from_dict({**old, "bettas": [0, 0]})


def test_fields_of_the_data_are_changed_one_by_one_and_fall_with_it():
    recipe = Recipe(**BASE).changed(data_args={"num_items": 9, "nops": [1, 3]})
    assert (recipe.config.num_items, recipe.config.nops, recipe.config.length) == (
        9,
        (1, 3),
        (5, 5),
    )
    assert recipe.data_label == "swap-nops2 num_items=9 nops=[1, 3]"
    assert not recipe.same_training(Recipe(**BASE))
    assert recipe.changed(data="swap-nops3").data_args == {}
    assert Recipe.from_dict(recipe.to_json()).config == recipe.config


def test_a_recipe_is_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        find_recipe("swap-delta").loss = "all"


def test_the_names_that_vsc_delta_had_are_read_and_written_under_the_new_ones():
    old = {"name": "a", "data": "swap-nops2", "model": "vsc_delta"}
    kept = Recipe.from_dict({**old, "model_args": {"steps_per_token": 2, "beta_stretch": 0.05}})
    new = Recipe(**old, model_args={"num_householder": 2, "beta_clip_margin": 0.05})
    assert kept.same_training(new)
    assert kept.to_json()["model_args"] == {"num_householder": 2, "beta_clip_margin": 0.05}
    mine = Recipe(**{**old, "model": "mine.py:make"}, model_args={"steps_per_token": 2})
    assert mine.model_args == {"steps_per_token": 2}
