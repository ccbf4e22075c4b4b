"""The demo's questions: what is evaluated, drawn and wrong, and where."""

import doctest

import pytest

from hub_cards.space.demo import questions
from hub_cards.space.demo.questions import Checkpoint, draw, first_wrong_step, follow, read, steps
from vsc_dataset import CONFIGS, execute, parse, sample

QUESTION = "NPFKT:5>4 3>1 1>4 4>2 1>3"


def forgets(after):
    """A model that executes the first `after` operations and no more."""

    def answer(question):
        program = parse(question)
        return [program.letters, *program.trace][: after + 1][-1]

    return answer


def test_examples_in_docstrings():
    assert doctest.testmod(questions).failed == 0


@pytest.mark.parametrize("question", [QUESTION, "UXMP: -2, -3, 1>2, +2", "ABC:", "A:-1"])
def test_steps_are_the_answers_to_the_question_cut_after_each_operation(question):
    program = parse(question)
    found = steps(program)
    assert [step.nops for step in found] == list(range(len(program.operations) + 1))
    assert [step.operation for step in found[1:]] == [str(o) for o in program.operations]
    assert [step.letters for step in found] == [program.letters, *program.trace]


def test_a_checkpoint_is_evaluated_on_the_question_cut_after_each_operation():
    evaluated = []
    follow(parse("YNP: 3>1, -3"), Checkpoint("a", lambda text: evaluated.append(text) or ""))
    assert evaluated == ["YNP: 3>1", "YNP: 3>1, -3"]


def test_all_cuts_are_evaluated_at_once_where_they_fit():
    calls = []
    checkpoint = Checkpoint("a", execute, answer_all=lambda cuts: calls.append(cuts) or ["", "PN"])
    assert follow(parse("YNP: 3>1, -3"), checkpoint).answers == (None, "", "PN")
    assert calls == [["YNP: 3>1", "YNP: 3>1, -3"]]


def test_a_question_without_operations_is_evaluated():
    assert follow(parse("YNP:"), Checkpoint("a", execute)).answers == ("YNP",)


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


def test_a_step_that_was_not_evaluated_is_not_wrong():
    assert first_wrong_step(["A", "B", "C"], [None, None, "D"], Checkpoint("a", execute)) == 2


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


@pytest.mark.parametrize("config, split", [("swap-nops5", "test"), ("default-spaced", "train")])
def test_a_drawn_row_is_the_row_of_the_data_set(config, split):
    assert draw(config, split, 7) == sample(config, split, [7]).questions()[0]


@pytest.mark.parametrize(
    "place, said",
    [
        (("swap-nops5", "test", None), "index : swap-nops5, test has the rows 0 to 9,999"),
        (("swap-nops5", "test", -1), "0 to 9,999"),
        (("swap-nops5", "test", 10_000), "0 to 9,999"),
        (("swap-nops5", "test", 0.5), "0 to 9,999"),
        (("swap-nops5", "nops5", 0), "swap-nops5 has no split 'nops5'"),
        (("none", "test", 0), "configuration 'none' does not exist"),
    ],
)
def test_a_row_that_does_not_exist_is_one_line(place, said):
    with pytest.raises(ValueError) as caught:
        draw(*place)
    assert said in str(caught.value)


def test_the_last_row_can_be_drawn():
    assert draw("swap-nops5", "test", CONFIGS["swap-nops5"].num_test - 1)
