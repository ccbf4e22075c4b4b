"""The reward: 1.0 for the answer, a share of its letters else, and never an error."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.vsc_dataset.cases import programs
from vsc_dataset import reward, score

PROMPT = "NPFKT:5>4 3>1:"
ANYTHING = st.recursive(
    st.none() | st.text() | st.integers() | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["role", "content"]), inner),
    max_leaves=8,
)


@given(programs(), st.text(" \n\t\r"), st.text(" \n\t\r"))
def test_the_answer_is_worth_one_whatever_white_space_stands_around_it(program, before, after):
    trace = " ".join(program.trace) + ":" + program.answer
    boxed = f"<think>Not {trace}.</think> It is \\boxed{{XYZ}}, no, \\boxed{{{program.answer}}}."
    for answer in (program.answer, trace, f"<think>XYZ</think>{program.answer}", boxed):
        assert reward([program.prompt], [before + answer + after]) == [1.0]
    assert reward([program.prompt], ["?" + program.answer]) < [1.0]


@pytest.mark.parametrize(
    "completion, worth",
    [
        ("FPNKT", 0.6), ("FPNT", 0.8), ("", 0.0), (None, 0.0), ("FPNTK FPNTK", 5 / 11),
        ([{"role": "assistant", "content": "FPNTK\n"}], 1.0), ([], 0.0),
        ([{"role": "assistant", "content": [{"type": "text", "text": "FPNTK"}]}], 1.0),
    ],
)  # fmt: skip
def test_a_completion_is_worth_its_share_of_right_letters(completion, worth):
    chat = [{"role": "system", "content": "Execute."}, {"role": "user", "content": PROMPT}]
    for prompt in (PROMPT, chat):
        assert reward([prompt], [completion]) == [worth]
    columns = {"prompts": ["Execute it."], "question": [PROMPT[:-1]], "trainer_state": None}
    assert reward(completions=[completion], **columns) == [worth]


@given(ANYTHING, ANYTHING, ANYTHING)
def test_nothing_makes_it_raise(prompts, completions, question):
    scores = reward(prompts, completions, question=question)
    assert all(0.0 <= worth <= 1.0 for worth in scores)
    count = len(completions) if isinstance(completions, list | tuple) else 0
    assert len(scores) == count
    assert reward([PROMPT], [completions])[0] <= 1.0


def test_no_content_of_a_chat_makes_it_raise():
    endless = {}
    endless["content"] = endless
    for content in (np.array(["BA", "x"]), endless, [endless]):
        assert reward([PROMPT], [[{"content": content}]]) == [0.0]


@pytest.mark.parametrize("prompt", ["Execute it.", "", None, 7, "AB:9>1:", "AB:fly:"])
def test_without_a_question_nothing_is_right(prompt):
    assert reward([prompt, PROMPT], ["AB", "FPNTK"]) == [0.0, 1.0]


def test_columns_may_be_arrays():
    prompts, answers = np.array([PROMPT, PROMPT]), np.array(["FPNTK", "FPNKT"])
    assert reward(prompts, answers) == reward(None, answers, question=prompts) == [1.0, 0.6]


def test_an_answer_without_letters_is_worth_one_and_none_is_not():
    assert reward(["A:-1:"] * 3, ["", " \n", None]) == [1.0, 1.0, 0.0]


def test_a_colon_alone_is_not_the_scratchpad_of_an_answer_without_letters():
    question = "AB:-1 -1"
    assert reward([question] * 4, ["B :", "hello:", "A:", ":"]) == [1.0, 0.0, 0.0, 0.0]


def test_score_is_strict_where_the_reward_forgives():
    assert score(PROMPT[:-1], " FPNTK") < 1.0 == reward([PROMPT], [" FPNTK"])[0]
