"""What needs no model has the errors that theory says."""

from collections import Counter
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.vsc_dataset.cases import programs
from vsc_dataset import Program, execute, sample
from vsc_dataset.language import OPERATORS
from vsc_dataset.metrics.vsc_error.error_rates import error_rates
from vsc_dataset.metrics.vsc_error.trivial_baselines import baseline_predictions, trivial_baselines


@pytest.fixture(scope="module")
def swaps():
    return trivial_baselines(sample("swap-nops5", "validation", range(10_000)).questions())


@pytest.mark.parametrize(
    "name, left",
    [("copy", 5)] + [(f"{end} {k}", 5 - k) for end in ("first", "last") for k in (1, 2, 3, 4)],
)
def test_the_published_baselines_of_five_swaps(swaps, name, left):
    # A random swap halves what a letter's place still tells: 80% (1 - 2^-m) after m of them.
    assert swaps[name]["mask_error_pct"] == pytest.approx(80 * (1 - 0.5**left), abs=0.9)
    # An odd permutation is never the identity; two swaps cancel once in ten.
    if left in (1, 3, 5):
        assert swaps[name]["sample_error_pct"] == 100
    if left == 2:
        assert swaps[name]["sample_error_pct"] == pytest.approx(90, abs=1.2)


def test_a_guess_is_right_as_often_as_chance(swaps):
    assert swaps["guess"]["mask_error_pct"] == pytest.approx(80, abs=0.9)
    assert swaps["guess"]["sample_error_pct"] == pytest.approx(100 - 100 / 120, abs=0.4)


def test_guesses_take_every_arrangement_equally_often():
    questions = [
        f"ABC{a}:{i}>{j} -{k}"
        for a in "DEFGHIJKLMNOPQRSTUVWXYZ"
        for i in range(1, 5)
        for j in range(1, 5)
        if i != j
        for k in range(1, 5)
    ]
    guesses = baseline_predictions(questions, ks=[])["guess"]
    places = Counter(
        tuple(question.index(letter) for letter in guess)
        for question, guess in zip(questions, guesses, strict=True)
    )
    assert set(places) == set(permutations(range(4), 3))
    expected = len(questions) / 24
    assert sum((n - expected) ** 2 / expected for n in places.values()) < 49.7  # chi-square, p 1e-3


@given(programs(), st.integers(1, 70))
def test_first_k_is_the_question_cut_after_k_operations(program, k):
    cut = Program(program.letters, program.operations[:k], program.layout)
    assert baseline_predictions([str(program)], [k])[f"first {k}"] == [execute(str(cut))]


@given(programs(), st.integers(1, 6))
def test_last_k_skips_what_is_impossible_and_nothing_else(program, k):
    cells, stack = list(program.letters), []
    for kind, x, y in program.operations[-k:]:
        if max(x, y) > len(cells):
            continue
        if kind == OPERATORS[0]:
            cells[x - 1], cells[y - 1] = cells[y - 1], cells[x - 1]
        elif kind == OPERATORS[1]:
            stack.append(cells.pop(x - 1))
        elif stack:
            cells.insert(x - 1, stack.pop())
    assert baseline_predictions([str(program)], [k])[f"last {k}"] == ["".join(cells)]


@given(programs())
def test_copy_and_guess_use_the_questions_letters_alone(program):
    predictions = baseline_predictions([str(program)])
    (guess,) = predictions["guess"]
    assert predictions["copy"] == [program.letters]
    assert len(guess) == len(set(guess)) == len(program.answer)
    assert set(guess) <= set(program.letters)
    assert baseline_predictions([str(program)])["guess"] == [guess]


def test_baselines_are_the_error_rates_of_their_predictions():
    samples = sample("default", "test", range(300))
    questions, answers = samples.questions(), samples.answers()
    found, texts = trivial_baselines(questions, 5, (1, 7)), baseline_predictions(questions, (1, 7))
    assert list(found) == ["copy", "guess", "first 1", "first 7", "last 1", "last 7"]
    for name, rates in found.items():
        assert rates == error_rates(texts[name], answers, questions, 5)
    assert found["first 7"]["sample_error_pct"] == 0 == found["last 7"]["sample_error_pct"]


def test_no_operation_alone_is_a_value_error():
    with pytest.raises(ValueError, match="k is 0"):
        trivial_baselines(["AB:1>2"], ks=(0,))
