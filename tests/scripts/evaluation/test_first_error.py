"""First wrong steps, on models whose first error is known by construction."""

from dataclasses import replace

import pytest

from scripts.evaluation.first_error import first_wrong_steps
from tests.scripts.evaluation.oracles import Oracle
from vsc_dataset import sample
from vsc_dataset.configs import make_config
from vsc_dataset.language import parse

STEPS = range(1, 6)


def swaps_first_two(program) -> bool:
    """One of the operations is the exchange of the first two letters."""
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
    model = Oracle(lambda program: program.layout != layout or swaps_first_two(program))
    found = first_wrong_steps(model, questions, config, STEPS)
    assert found == [step if step in STEPS else None for step in expected]
    assert len(set(found)) > 4


def test_an_error_beyond_the_trained_range_has_no_first_wrong_step():
    questions = sample("grid-len5", "nops7", range(20)).questions()
    model = Oracle(lambda program: len(program.operations) == 7)
    assert first_wrong_steps(model, questions, make_config("grid-len5"), STEPS) == [None] * 20


def test_the_whole_question_counts_as_wrong_without_being_asked_again():
    questions = sample("swap-nops3", "test", range(20)).questions()
    model = Oracle()
    assert first_wrong_steps(model, questions, make_config("swap-nops3"), STEPS) == [3] * 20
    assert model.asked == 40


def test_steps_below_the_trained_range_are_not_asked():
    questions = sample("swap-nops5", "test", range(20)).questions()
    config = make_config("swap-nops5")
    assert first_wrong_steps(Oracle(lambda p: True), questions, config, range(2, 6)) == [2] * 20


def test_a_question_shorter_than_the_trained_range_has_none():
    questions = sample("swap-nops2", "test", range(20)).questions()
    config = make_config("swap-nops2")
    assert first_wrong_steps(Oracle(), questions, config, range(3, 6)) == [None] * 20
    assert first_wrong_steps(Oracle(), [], config, STEPS) == []
