"""Recipes are data: every one can be built, and a mistake is named with the way out."""

import dataclasses

import pytest

from scripts.training.recipes import Recipe, find_recipe, read_recipes
from scripts.training.trials import build_model

BASE = {"name": "x", "data": "swap-nops2", "model": "vsc_delta"}


@pytest.mark.parametrize("name", read_recipes())
def test_every_recipe_builds_its_model(name):
    recipe = find_recipe(name)
    assert build_model(recipe).config.answer_width == recipe.config.answer_width
    assert recipe.description.endswith(".")


def test_swap_delta_is_as_small_as_it_says():
    recipe = find_recipe("swap-delta")
    assert sum(p.numel() for p in build_model(recipe).parameters()) == 26_114
    assert recipe.num_samples == 80_000


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
        ({"max_grad_norm": -1.0}, "max_grad_norm is -1.0: it must be 0 or more"),
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


def test_a_recipe_is_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        find_recipe("swap-delta").loss = "all"
