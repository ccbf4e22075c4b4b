"""The bits: golden words, and integers against arrays."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.vsc_dataset.golden import GOLDEN
from vsc_dataset.generator.hashing import GOLDEN as STEP
from vsc_dataset.generator.hashing import (
    HALF_CAPACITY,
    assign_halves,
    mix64,
    mix64_array,
    sample_state,
    word,
)

UINT64 = st.integers(0, 2**64 - 1)


@pytest.mark.parametrize("place, value", GOLDEN["words"].items())
def test_words_never_change(place, value):
    key, index, j = map(int, place.split())
    assert word(sample_state(key, index), j) == int(value, 16)


def test_mix64_agrees_with_splitmix64():
    # The first outputs of SplitMix64 seeded with 1234567, as its reference implementation gives.
    expected = [6457827717110365317, 3203168211198807973, 9817491932198370423]
    assert [mix64((1234567 + STEP * i) % 2**64) for i in (1, 2, 3)] == expected


@given(st.lists(UINT64, min_size=1, max_size=20))
def test_mix64_of_arrays_and_of_integers_agree(values):
    array = np.array(values, np.uint64)
    mix64_array(array, np.empty_like(array))
    assert array.tolist() == [mix64(value) for value in values]


@given(st.lists(st.integers(1, 3250), max_size=80))
def test_no_half_holds_more_digits_than_its_bits_allow(radices):
    halves = assign_halves(radices)
    assert halves == sorted(halves)
    for half in set(halves):
        product = np.prod(
            [r for r, h in zip(radices, halves, strict=True) if h == half], dtype=object
        )
        assert product <= HALF_CAPACITY
