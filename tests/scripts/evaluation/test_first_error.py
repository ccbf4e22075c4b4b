"""First wrong steps, on models whose first error is known by construction."""

from dataclasses import replace

import pytest

from scripts.core.model_loading import LoadedModel
from scripts.evaluation.first_error import first_wrong_steps
from tests.scripts.evaluation.solver import Solver
from vsc_dataset import sample
from vsc_dataset.configs import make_config
from vsc_dataset.language import parse

STEPS = range(1, 6)


def steps_of(model, questions, config, steps=STEPS, wrong=True):
    """The first wrong steps of questions that were all answered wrong, or all right."""
    loaded = LoadedModel("model", model)
    return first_wrong_steps(loaded, questions, [wrong] * len(questions), config, steps)


def test_a_long_range_of_steps_on_short_programs_is_evaluated():
    """Complete programs of that many operations are too rare to be drawn, and need not be."""
    config = make_config("grid-all-len3")
    questions = [*sample(config, "nops5", range(4)).questions()]
    found = steps_of(Solver(lambda program: True), questions, config, range(1, 300))
    assert found == [1] * 4


def swaps_first_two(program) -> bool:
    """One of the operations is the swap of the first two letters."""
    return any((op.x, op.y) == (1, 2) for op in program.operations)


@pytest.mark.parametrize("layout", ["compact", "spaced"])
@pytest.mark.parametrize("name", ["swap-nops5", "level-3"])
def test_the_first_wrong_step_is_the_first_operation_that_breaks_the_answer(name, layout):
    config = replace(make_config(name), layout=layout)
    questions = [
        q for q in sample(config, "test", range(400)).questions() if swaps_first_two(parse(q))
    ]
    expected = [
        [(op.x, op.y) for op in parse(question).operations].index((1, 2)) + 1
        for question in questions
    ]
    model = Solver(lambda program: program.layout != layout or swaps_first_two(program))
    found = steps_of(model, questions, config)
    assert found == [step if step in STEPS else None for step in expected]
    assert len(set(found)) > 4


@pytest.mark.parametrize(
    "data, split, errs, steps, found, evaluated",
    [
        ("grid-len5", "nops7", lambda p: len(p.operations) == 7, STEPS, None, 100),
        ("swap-nops3", "test", lambda p: len(p.operations) == 3, STEPS, 3, 40),  # not the whole
        ("swap-nops5", "test", lambda p: True, range(2, 6), 2, 20),  # none below the trained range
        ("swap-nops2", "test", lambda p: True, range(3, 6), None, 0),  # shorter than that range
    ],
)
def test_only_steps_of_the_trained_range_are_evaluated(data, split, errs, steps, found, evaluated):
    model = Solver(errs)
    questions = sample(data, split, range(20)).questions()
    assert steps_of(model, questions, make_config(data), steps) == [found] * 20
    assert model.evaluated == evaluated
    assert steps_of(model, [], make_config(data), steps) == []


@pytest.mark.parametrize("nops, found", [(2, 2), (9, None)])
def test_a_right_answer_can_have_a_first_wrong_step(nops, found):
    model = Solver(lambda program: len(program.operations) == nops)
    questions = sample("swap-nops3", "test", range(9)).questions()
    assert steps_of(model, questions, make_config("swap-nops3"), wrong=False) == [found] * 9
