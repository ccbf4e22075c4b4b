"""The demo's questions: what is evaluated, drawn and wrong, and where."""

import doctest

import pytest

from hub_cards.space.demo import loading, questions
from hub_cards.space.demo.questions import Checkpoint, follow, read, steps
from vsc_dataset import execute, parse

QUESTION = "NPFKT:5>4 3>1 1>4 4>2 1>3"


def forgets(after):
    """A model that executes the first `after` operations and no more."""

    def answer(question):
        program = parse(question)
        return [program.letters, *program.trace][: after + 1][-1]

    return answer


@pytest.mark.parametrize("module", [loading, questions])
def test_examples_in_docstrings(module):
    assert doctest.testmod(module).failed == 0


@pytest.mark.parametrize("question", [QUESTION, "UXMP: -2, -3, 1>2, +2", "ABC:", "A:-1"])
def test_steps_are_the_answers_to_the_question_cut_after_each_operation(question):
    program = parse(question)
    found = steps(program)
    assert [step.nops for step in found] == list(range(len(program.operations) + 1))
    assert [step.operation for step in found[1:]] == [str(o) for o in program.operations]
    assert [step.letters for step in found] == [program.letters, *program.trace]


def test_all_cuts_are_evaluated_at_once_where_they_fit():
    calls = []
    checkpoint = Checkpoint("a", execute, answer_all=lambda cuts: calls.append(cuts) or ["", "PN"])
    assert follow(parse("YNP: 3>1, -3"), checkpoint).answers == (None, "", "PN")
    assert calls == [["YNP: 3>1", "YNP: 3>1, -3"]]


@pytest.mark.parametrize("after", [0, 1, 2, 3, 4])
def test_first_wrong_step_is_the_first_cut_that_the_model_gets_wrong(after):
    followed = follow(parse(QUESTION), Checkpoint("a", forgets(after)))
    assert followed.first_wrong == after + 1
    assert follow(parse(QUESTION), Checkpoint("a", execute)).first_wrong is None


@pytest.mark.parametrize(
    "trained, first", [(None, 3), ((1, 5), 3), ((3, 3), 3), ((4, 5), 4), ((1, 2), None)]
)
def test_steps_outside_the_trained_range_are_not_the_first_wrong_one(trained, first):
    assert follow(parse(QUESTION), Checkpoint("a", forgets(2), trained)).first_wrong == first


def test_what_does_not_fit_the_model_is_told_and_the_rest_is_evaluated():
    def answer(question):
        if len(execute(question)) > 3:
            raise ValueError("too long")
        return execute(question)

    def answer_all(questions):
        return [answer(question) for question in questions]

    followed = follow(parse("ABCDE:1>2 -1 -1"), Checkpoint("a", answer, answer_all=answer_all))
    assert followed.answers == (None, None, None, "CDE")
    assert followed.refused == ""
    assert follow(parse("ABCDE:1>2"), Checkpoint("a", answer)).refused == "too long"


@pytest.mark.parametrize(
    "typed, said",
    [
        ("", "type a question"),
        ("   ", "type a question"),
        ("NPFKT", "no colon"),
        ("NPFKT:5>6", "position 6 is out of range 1 to 5"),
        ("A:" + " ".join(["-1", "+1"] * 40), "no letter is left"),
        ("AB:" + " ".join(["1>2"] * 65), "65 operations, this page follows at most 64"),
    ],
)
def test_bad_input_is_one_line_that_says_what_is_wrong(typed, said):
    with pytest.raises(ValueError) as caught:
        read(typed)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
