"""What is drawn has the distribution that the definition says: chi-square, a million draws."""

from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from scipy.stats import chisquare

from vsc_dataset import CONFIGS, sample
from vsc_dataset.generator.buffers import Buffers
from vsc_dataset.generator.draw import ProgramBatch, draw_attempt
from vsc_dataset.generator.hashing import sample_state_array
from vsc_dataset.generator.lookup import make_lookup_tables

DRAWS = 1_000_000
LEAST_P = 1e-4


def unfiltered(name: str, draws: int = DRAWS) -> ProgramBatch:
    """First attempts, whatever their split."""
    spec = CONFIGS[name].sample_spec("train")
    state, scratch = np.empty((2, draws), np.uint64)
    sample_state_array(spec.key(), np.arange(draws, dtype=np.uint64), state, scratch)
    buffers = Buffers()
    out = ProgramBatch.allocate(spec, buffers, "all", draws)
    draw_attempt(spec, make_lookup_tables(spec, "compact"), buffers, state, None, out)
    return out


def p_value(observed: Counter, expected: dict) -> float:
    """Of the counts, given the shares of all their values."""
    assert set(observed) <= set(expected)
    if len(expected) == 1:
        return 1.0
    total = sum(observed.values())
    counts = [observed[value] for value in expected]
    return chisquare(counts, [share * total for share in expected.values()]).pvalue


def counted(values: np.ndarray) -> Counter:
    """How often each value occurs."""
    return Counter(
        dict(zip(*(a.tolist() for a in np.unique(values, return_counts=True)), strict=True))
    )


@pytest.fixture(scope="module")
def default():
    return unfiltered("default")


def test_planned_length_and_nops_are_uniform_and_independent(default):
    pairs = counted(default.length.astype(int) * 10 + default.nops)
    expected = {length * 10 + nops: 1 / 20 for length in range(2, 6) for nops in range(1, 6)}
    assert p_value(pairs, expected) > LEAST_P


def first_operations(config: str, length: int) -> dict[int, float]:
    """The share of each code as the first operation, by the definition."""
    spec = CONFIGS[config].sample_spec("train")
    tables = make_lookup_tables(spec, "compact")
    base = int(tables.start[length]) & 0xFFFFFFFF
    radix = spec.operation_radix(length, 0)
    return {base + digit: 1 / radix for digit in range(radix)}


@pytest.mark.parametrize("length", [2, 3, 4, 5])
def test_first_operations_are_drawn_with_their_weights(default, length):
    codes = counted(default.codes[0][default.length == length])
    assert p_value(codes, first_operations("default", length)) > LEAST_P


@pytest.mark.parametrize("step", [1, 2, 3, 4])
def test_kinds_are_drawn_with_their_weights_when_a_letter_lies_on_the_stack(default, step):
    """Of five letters, four are left: three kinds with the weights 3, 1 and 1, 12 digits each."""
    tables = make_lookup_tables(CONFIGS["default"].sample_spec("train"), "compact")
    first_removal = (int(tables.start[5]) & 0xFFFFFFFF) + 3 * 20
    four_left = int(tables.step[first_removal])
    chosen = (default.length == 5) & (default.nops > step)
    is_four = tables.step[default.codes[step - 1][chosen]] == four_left
    digits = default.codes[step][chosen][is_four] - (four_left & 0xFFFFFFFF)
    assert p_value(counted(digits // 12), dict.fromkeys(range(5), 1 / 5)) > LEAST_P


def test_letters_are_uniform_at_every_place(default):
    five = default.letters[:, default.length == 5]
    for letters in five:
        assert p_value(counted(letters), {ord("A") + i: 1 / 26 for i in range(26)}) > LEAST_P
    for a, b in pairwise(five):
        pairs = counted(a.astype(int) * 100 + b)
        expected = {
            (65 + i) * 100 + 65 + j: 1 / (26 * 25) for i in range(26) for j in range(26) if i != j
        }
        assert p_value(pairs, expected) > LEAST_P


@pytest.mark.parametrize("name", ["default", "swap-nops2-5", "level-5"])
def test_length_and_planned_nops_are_uniform_in_every_split(name):
    """Samples are redrawn until they fit, but length and planned nops are kept."""
    config = CONFIGS[name]
    for split in config.splits:
        spec = config.sample_spec(split)
        samples = sample(name, split, range(100_000))
        lengths = range(spec.length[0], spec.length[1] + 1)
        assert p_value(counted(samples.length), {n: 1 / len(lengths) for n in lengths}) > LEAST_P
        if name == "swap-nops2-5":
            numbers = range(spec.nops[0], spec.nops[1] + 1)
            shares = {n: 1 / len(numbers) for n in numbers}
            assert p_value(counted(samples.nops), shares) > LEAST_P
