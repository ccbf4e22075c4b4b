"""The language: the article's examples, round trips, and a clear word for every mistake."""

import numpy as np
import pytest
from hypothesis import given

from tests.vsc_dataset.cases import ARTICLE, programs
from vsc_dataset import Operation, Program, execute, parse, score


@pytest.mark.parametrize("question, answer", ARTICLE)
def test_execute_agrees_with_article(question, answer):
    assert execute(question) == answer


@given(programs())
def test_printed_program_parses_to_itself(program):
    assert parse(str(program)) == program
    assert str(parse(str(program))) == str(program)


@given(programs())
def test_layout_does_not_change_the_answer(program):
    other = {"compact": "spaced", "spaced": "compact"}[program.layout]
    assert Program(program.letters, program.operations, other).answer == program.answer


@given(programs())
def test_letters_are_conserved(program):
    assert len(program.trace) == len(program.operations)
    for letters in (program.letters, *program.trace):
        assert set(letters) <= set(program.letters)
        assert len(set(letters)) == len(letters)


def test_trace_gives_the_state_after_each_operation():
    assert parse("UXMP: -2, -3, 1>2, +2").trace == ("UMP", "UM", "MU", "MPU")


def test_a_question_without_operations_is_legal():
    assert (execute("ABC:"), execute("ABC: ")) == ("ABC", "ABC")
    assert (str(parse("ABC:")), str(parse("ABC: "))) == ("ABC:", "ABC: ")


@pytest.mark.parametrize(
    "question, words",
    [
        ("ABC", "no colon"),
        ("", "no colon"),
        (":1>2", "no letters before the first colon"),
        ("AbC:1>2", "character 2 'b' is not a capital"),
        ("AÄC:1>2", "character 2 'Ä' is not a capital"),
        ("ABA:1>2", "character 3 'A' repeats"),
        ("ABC:1>2:", "character 8: a question ends before the second colon"),
        ("ABC:1>2 *3", "character 9: operation 2 '*3' is none of"),
        ("ABC: 1>2, *3", "character 11: operation 2 '*3' is none of"),
        ("ABC:1>2  3>1", "character 9: operation 2 '' is none of"),
        ("ABC:1>2 ", "character 9: operation 2 '' is none of"),
        ("ABC: 1>2 2>3", "character 6: operation 1 '1>2 2>3' is none of"),
        ("ABC:1>2, 2>3", "character 5: operation 1 '1>2,' is none of"),
        ("ABC:01>2", "operation 1 '01>2' is none of"),
        ("ABC:" + 5000 * "9" + ">1", "9999… is none of"),
        ("ABC:0>2", "operation 1 '0>2' is none of"),
        ("ABC:²>1", "operation 1 '²>1' is none of"),
        ("ABC:1>2 2>4", "operation 2 '2>4': position 4 is out of range 1 to 3"),
        ("ABC:-3 -3", "operation 2 '-3': position 3 is out of range 1 to 2"),
        ("ABC:-3 +3", "operation 2 '+3': position 3 is out of range 1 to 2"),
        ("ABC:2>2", "operation 1 '2>2': a swap needs two different positions"),
        ("ABC:+1", "operation 1 '+1': the stack is empty"),
        ("AB:-1 -1 +1", "operation 3 '+1': no letter is left"),
    ],
)
def test_malformed_question_is_refused_with_place_and_reason(question, words):
    with pytest.raises(ValueError) as error:
        parse(question)
    assert words in str(error.value)
    assert str(error.value).startswith(f"question {question!r:.190}")
    assert len(str(error.value)) < 600
    assert "\n" not in str(error.value)


@given(programs())
def test_score_is_one_for_the_answer_alone(program):
    question, answer = str(program), program.answer
    assert score(question, answer) == score(question, answer + "  ") == 1.0
    assert score(question, answer + "X") < 1.0
    assert score(question, answer[:-1] + "?") < 1.0
    assert 0.0 <= score(question, answer[::-1]) <= 1.0


@pytest.mark.parametrize("kind", ["", ">-", "->", "x"])
def test_an_operation_of_no_kind_is_refused(kind):
    with pytest.raises(ValueError, match="is unknown: use one of > - "):
        Program("AB", (Operation("-", 1), Operation(kind, 1)))


@pytest.mark.parametrize("position", [1.0, "1", None, True])
def test_a_position_that_is_no_whole_number_is_refused(position):
    for operation in (Operation("-", position), Operation(">", 2, position)):
        with pytest.raises(ValueError, match=rf"position {position!r} is not a whole number"):
            Program("AB", (operation,))
    assert Program("AB", (Operation("-", np.int64(1)),)).answer == "B"


def test_what_is_not_a_text_is_refused():
    with pytest.raises(ValueError, match="a question is a text such as"):
        parse(5)
    with pytest.raises(ValueError, match=r"letters are \['A'\]: they must be a text"):
        Program(["A"])
    for operations in (5, "-1", ("-1",)):
        with pytest.raises(ValueError, match="give a tuple of Operation"):
            Program("AB", operations)
    with pytest.raises(ValueError, match="the answer is None: it must be a text"):
        score("AB:1>2", None)
