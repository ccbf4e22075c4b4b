"""Grid and horizon, on models whose errors are known by construction."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from scripts.core.model_loading import LoadedModel
from scripts.core.statistics import HORIZON_SAMPLES, find_horizon, grid_nops
from scripts.evaluation.grid import evaluate_grid, evaluate_nops
from tests.scripts.evaluation.solver import Solver
from vsc_dataset import sample
from vsc_dataset.configs import make_config
from vsc_dataset.metrics.vsc_error.trivial_baselines import trivial_baselines


def loaded(errs=lambda program: False, config=None, trained_on=None):
    """A model that is right on all but these programs."""
    return LoadedModel("model", Solver(errs, config), trained_on)


def grid(model, name="grid-len5", count=3, **options):
    return evaluate_grid(model, name, count, **options)


def nops_of(found):
    return [row["nops"] for row in found["rows"]]


@pytest.mark.parametrize("limit, found", [(0, 0), (1, 1), (9, 8)])
def test_the_horizon_is_the_last_listed_number_up_to_which_all_are_solved(limit, found):
    model = loaded(lambda program: len(program.operations) > limit)
    assert grid(model, count=HORIZON_SAMPLES, until_wrong=True)["horizon"] == found


def test_the_horizon_ends_before_a_gap_and_is_unknown_of_too_few_samples():
    model = loaded(lambda program: len(program.operations) in (3, 5, 6))
    found = grid(model, count=HORIZON_SAMPLES)
    assert (found["horizon"], nops_of(found)) == (2, [1, 2, 3, 4, 5, 6])
    assert grid(model, count=HORIZON_SAMPLES - 1)["horizon"] is None


@pytest.mark.parametrize("wrong, found", [(4, 3), (5, 2)])
def test_of_1000_samples_4_may_be_wrong(wrong, found):
    missed = set(sample("grid-len5", "nops3", range(1000)).questions()[:wrong])
    model = loaded(lambda p: str(p) in missed or len(p.operations) > 3)
    assert grid(model, count=1000, until_wrong=True)["horizon"] == found


def test_the_horizon_of_a_perfect_model_is_beyond_the_list_and_needs_every_number():
    listed = grid_nops("grid-len5")
    rows = [{"nops": n, "questions": 1000, "sample_error_pct": 0.0} for n in listed]
    assert find_horizon(rows, listed) == ">1024"
    assert find_horizon(rows[:-1], listed) == 1000
    with pytest.raises(ValueError, match="nops 2 was not evaluated"):
        find_horizon([rows[0], *rows[2:]], listed)


def test_rates_are_those_of_the_published_questions():
    wrong = set(sample("grid-all-len5", "nops6", range(30)).questions()[:3])
    row = evaluate_nops(loaded(lambda p: str(p) in wrong), "grid-all-len5", 6, 30)
    assert (row["nops"], row["questions"]) == (6, 30)
    assert row["sample_error_pct"] == pytest.approx(10.0)
    assert row["mask_error_pct"] == pytest.approx(2.0)
    low, high = row["sample_error_interval"]
    assert low < 10 < high
    assert row["questions_per_second"] == pytest.approx(30 / row["seconds"])


@pytest.mark.parametrize("name, nops", [("grid-len5", 3), ("grid-len5", 40), ("grid-all-len8", 12)])
def test_baselines_from_the_first_operations_are_those_of_the_whole_questions(name, nops):
    row = evaluate_nops(loaded(), name, nops, 40)
    questions = sample(name, f"nops{nops}", range(40)).questions()
    whole = trivial_baselines(questions, make_config(name).answer_width)
    for baseline in ("copy", "first 1", "first 2", "first 3", "first 4"):
        for key, value in row["floors"][baseline].items():
            assert whole[baseline][key] == value


@pytest.mark.parametrize(
    "model, nops, width",
    [
        (loaded(), 1, 5 + 1 + 3 + 1 + 5),  # padded to its own number of operations
        (loaded(), 40, 5 + 1 + 40 * 4 - 1 + 1 + 5),
        (loaded(config=SimpleNamespace(answer_width=9, layout="spaced")), 3, 5 + 2 + 13 + 2 + 9),
        (loaded(trained_on="default-spaced"), 3, 5 + 2 + 13 + 2 + 5),
    ],
)
def test_a_model_is_evaluated_in_the_width_and_layout_of_its_training(model, nops, width):
    assert evaluate_nops(model, "grid-len5", nops, 10)["sample_error_pct"] == 0
    assert model.model.widths == {width}


@pytest.mark.parametrize(
    "name, width, words",
    [
        ("grid-len6", 5, "did you mean 'grid-len"),
        ("default", 5, "'default' is not a grid"),
        ("grid-len8", 5, r"5 letters at most, grid-len8 has some of 8.*at most 5"),
    ],
)
def test_a_grid_that_cannot_be_evaluated_is_one_clear_line(name, width, words):
    model = loaded(config=SimpleNamespace(answer_width=width, layout="compact"))
    with pytest.raises(ValueError, match=words):
        grid(model, name)


@pytest.mark.parametrize("extra", [0, 2])
def test_rows_beyond_a_table_of_positions_are_not_evaluated(extra, capsys):
    model = loaded(config=SimpleNamespace(max_position_embeddings=64))
    model.model.positions = nn.Embedding(64 + extra, 2)
    found = grid(model)
    assert nops_of(found) == [1, 2, 3, 4, 5, 6, 7, 8, 10, 12]
    assert found["ended"] == "unreadable"
    assert "14 operations are too long" in capsys.readouterr().err
    assert max(model.model.widths) <= 64


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 GiB."),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: 9 bytes"),
    ],
)
def test_running_out_of_memory_is_no_horizon(error):
    def errs(program):
        if len(program.operations) == 3:
            raise error
        return False

    with pytest.raises(RuntimeError, match="memory"):
        grid(loaded(errs))


def test_computed_positions_have_no_end():
    model = loaded(config=SimpleNamespace(max_position_embeddings=64))
    model.model.words = nn.Embedding(256, 2)
    assert nops_of(grid(model, "grid-len3", 1))[-1] == 1024


def test_a_grid_ends_after_two_numbers_of_nothing_but_errors():
    model = loaded(lambda program: len(program.operations) != 2)
    found = grid(model, "grid-len3")
    assert (nops_of(found), found["ended"]) == ([1, 2, 3, 4], "failed")
