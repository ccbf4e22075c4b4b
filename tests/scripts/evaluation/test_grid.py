"""Grid and horizon, on models whose errors are known by construction."""

from types import SimpleNamespace

import pytest
from torch import nn

from scripts.core.model_loading import LoadedModel
from scripts.evaluation.grid import evaluate_grid, fitting, horizon, horizon_of, published
from tests.scripts.evaluation.oracles import Oracle
from vsc_dataset import sample
from vsc_dataset.configs import make_config
from vsc_dataset.metrics.vsc_error.trivial_baselines import trivial_baselines


@pytest.mark.parametrize("limit, found", [(0, 0), (1, 1), (5, 5), (9, 8), (12, 12)])
def test_the_horizon_is_the_last_listed_number_up_to_which_all_are_solved(limit, found):
    model = Oracle(lambda program: len(program.operations) > limit)
    assert horizon(model, num_questions=20) == found


def test_the_horizon_ends_before_a_gap():
    model = Oracle(lambda program: len(program.operations) == 4)
    assert horizon(model, num_questions=20) == 3


def test_one_percent_is_solved_and_more_is_not():
    spared = set(sample("grid-len5", "nops3", range(200)).questions()[:2])
    assert (
        horizon(Oracle(lambda p: str(p) in spared or len(p.operations) > 3), num_questions=200) == 3
    )
    spared = set(sample("grid-len5", "nops3", range(200)).questions()[:3])
    assert horizon(Oracle(lambda p: str(p) in spared), num_questions=200) == 2


def test_the_horizon_of_a_perfect_model_is_beyond_the_list():
    rows = [{"nops": n, "sample_error_pct": 0.0} for n in published("grid-len5")]
    assert horizon_of(rows, published("grid-len5")) == ">1024"
    assert horizon_of(rows[:-1], published("grid-len5")) == 1000
    assert horizon(Oracle(), "grid-all-len3", num_questions=3) == ">128"


def test_a_horizon_needs_every_number():
    rows = [{"nops": n, "sample_error_pct": 0.0} for n in (1, 3)]
    with pytest.raises(ValueError, match="nops 2 was not evaluated"):
        horizon_of(rows, [1, 2, 3])


def test_rates_are_those_of_the_published_questions():
    questions = sample("grid-all-len5", "nops6", range(30)).questions()
    wrong = set(questions[:3])
    (row,) = evaluate_grid(Oracle(lambda p: str(p) in wrong), "grid-all-len5", [6], 30)
    assert (row["nops"], row["questions"]) == (6, 30)
    assert row["sample_error_pct"] == pytest.approx(10.0)
    assert row["mask_error_pct"] == pytest.approx(2.0)
    low, high = row["sample_error_interval"]
    assert low < 10 < high
    assert row["questions_per_second"] == pytest.approx(30 / row["seconds"])


@pytest.mark.parametrize("name, nops", [("grid-len5", 3), ("grid-len5", 40), ("grid-all-len8", 12)])
def test_floors_from_the_first_operations_are_those_of_the_whole_questions(name, nops):
    (row,) = evaluate_grid(Oracle(), name, [nops], 40)
    whole = trivial_baselines(
        sample(name, f"nops{nops}", range(40)).questions(), make_config(name).answer_width
    )
    for floor in ("copy", "first 1", "first 2", "first 3", "first 4"):
        for key, value in row["floors"][floor].items():
            assert whole[floor][key] == value


def test_until_wrong_stops_behind_the_first_unsolved_number():
    model = Oracle(lambda program: len(program.operations) > 5)
    rows = list(evaluate_grid(model, num_questions=10, until_wrong=True))
    assert [row["nops"] for row in rows] == [1, 2, 3, 4, 5, 6]
    assert model.asked == 60


def test_a_row_is_padded_to_its_own_number_of_operations():
    model = Oracle()
    list(evaluate_grid(model, "grid-len5", [1, 40], 10))
    assert model.widths == {5 + 1 + 3 + 1 + 5, 5 + 1 + 40 * 4 - 1 + 1 + 5}


def test_a_model_is_asked_in_its_own_width_and_layout():
    own = SimpleNamespace(answer_width=9, layout="spaced")
    model = Oracle(config=own)
    (row,) = evaluate_grid(model, "grid-len5", [3], 10)
    assert row["sample_error_pct"] == 0
    assert model.widths == {5 + 2 + 3 * 5 - 2 + 2 + 9}


def test_what_a_run_was_trained_on_gives_the_terms_of_a_foreign_model():
    model = Oracle()
    list(evaluate_grid(LoadedModel("run", model, "default-spaced"), "grid-len3", [3], 10))
    assert model.widths == {3 + 2 + 3 * 5 - 2 + 2 + 5}


def test_too_narrow_an_answer_field_is_one_clear_line():
    model = Oracle(config=SimpleNamespace(answer_width=5, layout="compact"))
    with pytest.raises(ValueError, match=r"5 letters at most, grid-len8 has some of 8.*at most 5"):
        list(evaluate_grid(model, "grid-len8", [1], 10))


@pytest.mark.parametrize(
    "name, nops, words",
    [
        ("grid-len6", None, "did you mean 'grid-len"),
        ("default", None, "'default' is not a grid"),
        ("grid-len5", [9], "grid-len5 has no 9 operations"),
    ],
)
def test_an_unknown_grid_or_number_is_one_clear_line(name, nops, words):
    with pytest.raises(ValueError, match=words):
        next(evaluate_grid(Oracle(), name, nops, 5))


@pytest.mark.parametrize("extra", [0, 2])
def test_rows_beyond_a_table_of_positions_are_not_asked(extra):
    model = Oracle(config=SimpleNamespace(max_position_embeddings=64))
    model.positions = nn.Embedding(64 + extra, 2)
    candidate = LoadedModel("bert", model)
    assert fitting(candidate, "grid-len5") == [1, 2, 3, 4, 5, 6, 7, 8, 10, 12]
    assert horizon(candidate, num_questions=5) == 12
    assert max(model.widths) <= 64


def test_computed_positions_have_no_end():
    model = Oracle(config=SimpleNamespace(max_position_embeddings=64))
    model.words = nn.Embedding(256, 2)
    assert fitting(LoadedModel("llama", model), "grid-len5") == published("grid-len5")


def test_a_grid_ends_after_two_numbers_of_nothing_but_errors_unless_one_goes_on():
    model = Oracle(lambda program: len(program.operations) != 2)
    rows = list(evaluate_grid(model, "grid-len3", num_questions=3))
    assert [row["nops"] for row in rows] == [1, 2, 3, 4]
    whole = list(evaluate_grid(model, "grid-len3", num_questions=3, whole=True))
    assert [row["nops"] for row in whole] == published("grid-len3")
