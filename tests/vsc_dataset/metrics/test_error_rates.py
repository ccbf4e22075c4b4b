"""Error rates equal a slow count, and their intervals an independent library's."""

import json
import tracemalloc

import numpy as np
import pytest
import scipy.stats
from hypothesis import example, given
from hypothesis import strategies as st

from tests.vsc_dataset.cases import programs
from vsc_dataset.metrics.vsc_error.error_rates import (
    count_letters,
    count_operations,
    error_rates,
    wrong_characters,
)

answers = st.text("ABC", max_size=5)
predictions = st.text("ABC ", max_size=7)
pairs = st.lists(st.tuples(predictions, answers), min_size=1, max_size=20)


def slow_counts(pairs, width):
    """Wrong characters of each answer, one comparison at a time."""
    counts = []
    for prediction, reference in pairs:
        wrong = 0
        for i in range(width):
            predicted = prediction[i] if i < len(prediction) else " "
            true = reference[i] if i < len(reference) else " "
            goes_on = i == width - 1 and prediction[width:].strip(" ") != ""
            wrong += predicted != true or goes_on
        counts.append(wrong)
    return counts


@given(pairs, st.integers(0, 3))
@example([("", "")], 0)
def test_error_rates_agree_with_a_slow_count(pairs, more):
    width = max(1, *(len(reference) for _, reference in pairs)) + more
    rates = error_rates([p for p, _ in pairs], [r for _, r in pairs], answer_width=width)
    counts = slow_counts(pairs, width)
    assert rates["questions"] == len(pairs)
    assert rates["sample_error_pct"] == 100 * sum(n > 0 for n in counts) / len(pairs)
    assert rates["mask_error_pct"] == 100 * sum(counts) / (len(pairs) * width)


@given(pairs)
def test_the_width_is_the_longest_references_unless_given(pairs):
    texts = [p for p, _ in pairs], [r for _, r in pairs]
    width = max(1, *(len(reference) for _, reference in pairs))
    assert error_rates(*texts) == error_rates(*texts, answer_width=width)


def test_a_character_beyond_the_field_makes_the_last_one_wrong():
    assert wrong_characters(["ABCD"], ["ABC"]).tolist() == [[False, False, True]]


@pytest.mark.parametrize("wrong, count", [(0, 1), (1, 1), (0, 10_000), (37, 1000), (999, 1000)])
def test_sample_error_interval_is_wilsons(wrong, count):
    rates = error_rates(["B"] * wrong + ["A"] * (count - wrong), ["A"] * count)
    wilson = scipy.stats.binomtest(wrong, count).proportion_ci(method="wilson")
    np.testing.assert_allclose(
        rates["sample_error_interval"], [100 * wilson.low, 100 * wilson.high], rtol=1e-9, atol=1e-12
    )


def test_mask_error_interval_resamples_answers():
    rng = np.random.default_rng(1)
    wrong = rng.choice([0, 4, 5], p=[0.7, 0.2, 0.1], size=2000)  # all or nothing, as models err
    rates = error_rates([("X" * n).ljust(5, "A") for n in wrong], ["AAAAA"] * 2000)
    scipys = scipy.stats.bootstrap(
        (wrong * 20.0,), np.mean, n_resamples=4000, method="percentile", rng=rng, batch=500
    )
    low, high = scipys.confidence_interval
    # Characters taken as independent would give half this width, a 90% interval ends 8% short.
    tolerance = 0.04 * (high - low)
    assert rates["mask_error_interval"] == pytest.approx([low, high], abs=tolerance)


def test_the_same_counts_give_the_same_interval_whatever_numpy_has_drawn():
    texts = ["AB", "AX", "XX"] * 20, ["AB"] * 60
    first = error_rates(*texts)
    np.random.default_rng().random()
    np.random.seed(5)
    before = np.random.get_state()[1].tolist()
    assert error_rates(*texts) == first
    assert np.random.get_state()[1].tolist() == before


@given(st.lists(programs(), min_size=1, max_size=8))
def test_operations_and_letters_are_counted_from_the_text(programs):
    questions = [str(program) for program in programs]
    assert count_operations(questions) == [len(program.operations) for program in programs]
    assert count_letters(questions) == [len(program.letters) for program in programs]


def test_each_group_has_the_rates_of_its_own_questions():
    rows = [
        ("ABC:", "ABC", "ABC"),
        ("AB:1>2", "BA", "AB"),
        ("ABC: -1, 1>2", "CB", "BC"),
        ("AB:-1 -1", "", ""),
    ]
    questions, references, predictions = map(list, zip(*rows, strict=True))
    rates = error_rates(predictions, references, questions, 4)
    for key, groups in (
        ("by_nops", {0: [0], 1: [1], 2: [2, 3]}),
        ("by_length", {2: [1, 3], 3: [0, 2]}),
    ):
        assert rates[key] == {
            value: error_rates(
                [predictions[i] for i in rows], [references[i] for i in rows], answer_width=4
            )
            for value, rows in groups.items()
        }


def test_rates_are_plain_json_numbers():
    rates = error_rates(["AB", "A"], ["AB", "AB"], ["AB:", "BA:1>2"])
    json.dumps(rates)
    assert {type(key) for key in (*rates["by_nops"], *rates["by_length"])} == {int}
    assert "by_nops" not in error_rates(["A"], ["A"])


def test_all_right_and_all_wrong_have_exact_ends():
    right, wrong = error_rates(["A"] * 7, ["A"] * 7), error_rates(["B"] * 7, ["A"] * 7)
    assert right["sample_error_interval"][0] == 0 == right["mask_error_interval"][1]
    assert wrong["sample_error_interval"][1] == 100 == wrong["mask_error_interval"][0]


@pytest.mark.parametrize(
    "arguments, message",
    [
        (([], []), "0 references: at least 1"),
        ((["A"], ["A", "B"]), "1 predictions for 2 references"),
        ((["A"], ["A"], ["A:", "B:"]), "2 questions for 1 references"),
        ((["A"], ["ABC"], None, 2), "answer_width is 2: reference 'ABC' has 3"),
        ((["A"], [""], None, 0), "answer_width is 0: it must be a whole number from 1"),
        ((["A"], ["A"], ["A1>2"]), "question 'A1>2' has no colon"),
        (("AB", ["A", "B"]), "predictions is the text 'AB'"),
        (([None], ["A"]), r"predictions\[0\] is of type NoneType"),
    ],
)
def test_bad_input_is_a_value_error_that_names_it(arguments, message):
    with pytest.raises(ValueError, match=message) as raised:
        error_rates(*arguments)
    assert "\n" not in str(raised.value)


def test_a_long_field_takes_no_more_memory_than_its_errors_do():
    tracemalloc.start()
    try:
        error_rates(["A" * 5, "AB"], ["A" * 5000, "AB"])
        assert tracemalloc.get_traced_memory()[1] < 2**26
    finally:
        tracemalloc.stop()


def test_a_reference_beyond_the_limit_is_one_short_line():
    with pytest.raises(
        ValueError, match=r"reference 'A+'… has 70,000 characters, 65,536 is"
    ) as error:
        error_rates(["A"], ["A" * 70_000])
    assert len(str(error.value)) < 200
