"""Recipes are data: every one can be built, and a mistake is named with the fix."""

import csv
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
    assert Recipe(**BASE, num_samples=6400, samples_per_validation=7).validation_samples == 7
    assert Recipe(**BASE, samples_per_validation=10**6).validation_samples == 10_000


@pytest.mark.parametrize("num_steps", [1, 2, 3, 7, 49, 1000, 1999])
def test_validations_are_evenly_spread_and_end_with_the_last_step(num_steps):
    ten = Recipe(**BASE, num_samples=640 * num_steps, num_validations=10)
    assert sorted(ten.validation_steps) == [num_steps * i for i in range(1, 11)]
    for count in range(1, 50):
        recipe = Recipe(**BASE, num_samples=num_steps, batch_size=1, num_validations=count)
        assert max(recipe.validation_steps) == num_steps
        assert min(recipe.validation_steps) > 0


@pytest.mark.parametrize(
    "settings, words",
    [
        ({"data": "swap-nop2"}, "did you mean 'swap-nops2'"),
        ({"data": ["a"]}, "data is ['a']: it must be a text"),
        ({"data_args": {"num_itms": 9}}, "field 'num_itms' is unknown: did you mean 'num_items'"),
        ({"data_args": {"num_items": 2}}, "length is up to 5 but num_items is 2"),
        ({"data_args": {"name": "copy"}}, "data_args has a name: name the configuration with"),
        ({"data_args": {"num_train": 10}}, "data_args has num_train, but training draws new"),
        ({"model_args": [1]}, "model_args is [1]: it must be a table"),
        ({"num_samples": 10}, "num_samples (--max-samples) is 10: one step"),
        ({"batch_size": 0}, "batch_size is 0: it must be from 1 to 1,048,576"),
        ({"batch_size": 2**30, "num_samples": 2**40}, "it must be from 1 to 1,048,576"),
        ({"batch_size": 6.5}, "batch_size is 6.5: it must be a whole number"),
        ({"learning_rate": "high"}, "learning_rate is 'high': it must be a finite number"),
        ({"learning_rate": math.inf}, "learning_rate is inf: it must be a finite number"),
        ({"weight_decay": math.nan}, "weight_decay is nan: it must be a finite number"),
        ({"max_grad_norm": -1.0}, "max_grad_norm is -1.0: it must be from 0 to"),
        ({"early_stop_pct": 1e9}, "early_stop_pct is 1000000000.0: it must be from 0 to 100"),
        ({"samples_per_validation": 0}, "samples_per_validation is 0: it must be from 1 to"),
        ({"betas": 3}, "betas is 3: it must be two numbers"),
        ({"betas": [0.9, "x"]}, "betas is [0.9, 'x']: give two numbers from 0 to below 1"),
        ({"betas": [0.9]}, "betas is [0.9]: give two numbers from 0 to below 1"),
        ({"curriculum": "0:1"}, "curriculum is '0:1': it must be a list of texts"),
        ({"curriculum": [1]}, "curriculum has 1: write SHARE:NOPS"),
        ({"loss": "question"}, "loss is 'question': use one of"),
        (
            {"objective": "next-token", "loss": "targets"},
            "has one label; use loss 'answer' or 'all'",
        ),
        ({"objective": "scratchpad", "data": "copy"}, "has samples of no operation, so of no"),
        ({"objective": "scratchpad", "curriculum": ["0:0", "0.1:1-2"]}, "samples of no operation"),
        ({"mixer_args": {"a": 1}}, "without a mixer"),
    ],
)
def test_a_setting_that_cannot_work_is_refused(settings, words):
    with pytest.raises(ValueError) as error:
        Recipe(**{**BASE, **settings})
    assert words in str(error.value)


@pytest.mark.parametrize(
    "table, words",
    [
        ('model = "vsc_delta"\nlearnin_rate = 1.0', "is unknown: did you mean 'learning_rate'"),
        ('like = "later"', "recipe 'mine': no recipe 'later' stands above"),
        ("batch_size = 8", "recipe 'mine': .*missing.*'model'"),
    ],
)
def test_a_table_that_is_no_recipe_is_named(tmp_path, table, words):
    path = tmp_path / "recipes.toml"
    path.write_text(f'[mine]\n{table}\ndata = "default"\n[later]\ndata = "default"\n')
    with pytest.raises(ValueError, match=words):
        read_recipes(path)


def test_a_recipe_takes_what_it_leaves_out_from_one_further_up(tmp_path):
    path = tmp_path / "recipes.toml"
    path.write_text(
        '[_base]\ndata = "default"\nmodel_args = { hidden_size = 8, num_layers = 2 }\n'
        '[first]\nlike = "_base"\nmodel = "vsc_lstm"\nmodel_args.num_layers = 3\n'
        '[second]\nlike = "first"\ndata = "swap-nops2"\nmodel_args.hidden_size = 4\n'
        '[third]\nlike = "first"\nmodel = "vsc_mamba"\nmodel_args.num_layers = 1\n'
    )
    recipes = read_recipes(path)
    assert {name: (one.data, one.model_args) for name, one in recipes.items()} == {
        "first": ("default", {"hidden_size": 8, "num_layers": 3}),
        "second": ("swap-nops2", {"hidden_size": 4, "num_layers": 3}),
        "third": ("default", {"num_layers": 1}),
    }


def test_a_recipe_is_read_as_an_earlier_version_wrote_it():
    old = {**Recipe(**BASE).to_json(), "gradient_accumulation_steps": 1}
    for later in ("early_stop_validations", "data_args", "weight_decay_on", "objective"):
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
    assert (recipe.config.num_items, recipe.config.nops) == (9, (1, 3))
    assert recipe.data_label == "swap-nops2 num_items=9 nops=[1, 3]"
    assert not recipe.same_training(Recipe(**BASE))
    assert recipe.changed(data="swap-nops3").data_args == {}
    assert Recipe.from_dict(recipe.to_json()).config == recipe.config


def test_older_names_are_read_and_written_under_the_new_ones():
    old = {"name": "a", "data": "swap-nops2", "model": "vsc_delta"}
    kept = Recipe.from_dict({**old, "model_args": {"steps_per_token": 2, "beta_stretch": 0.05}})
    new = Recipe(**old, model_args={"num_householder": 2, "beta_clip_margin": 0.05})
    assert kept.same_training(new)
    assert kept.to_json()["model_args"] == {"num_householder": 2, "beta_clip_margin": 0.05}
    kept = Recipe.from_dict({**old, "loss": "trace", "validation_questions": 7})
    assert kept.same_training(Recipe(**old, loss="targets", samples_per_validation=7))
    mine = Recipe(**{**old, "model": "mine.py:make"}, model_args={"steps_per_token": 2})
    assert mine.model_args == {"steps_per_token": 2}
