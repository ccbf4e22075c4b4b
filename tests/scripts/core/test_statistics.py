"""Statistics, next to what slow and obvious ways give."""

from itertools import product
from math import comb

import numpy as np
import pytest

from scripts.core.statistics import (
    HORIZON_SAMPLES,
    format_share,
    is_within_horizon,
    prediction_interval,
    ratio_of_medians,
    share_interval,
    survival,
)


def tail(k, n, p):
    """The probability of k or fewer of n, term by term."""
    return sum(comb(n, i) * p**i * (1 - p) ** (n - i) for i in range(k + 1))


@pytest.mark.parametrize("n", [1, 3, 10, 30])
def test_intervals_are_where_the_binomial_tails_have_their_probability(n):
    for k in range(n + 1):
        low, high = share_interval(k, n)
        assert k == n or tail(k, n, high) == pytest.approx(0.025)
        assert k == 0 or 1 - tail(k - 1, n, low) == pytest.approx(0.025)
        assert (low == 0, high == 1) == (k == 0, k == n)


@pytest.mark.parametrize(
    "wrong, count, within",
    [
        (4, 1000, True),
        (5, 1000, False),
        (0, HORIZON_SAMPLES, True),
        (0, HORIZON_SAMPLES - 1, False),
    ],
)
def test_what_the_horizon_requires_of_a_number_of_samples(wrong, count, within):
    assert (tail(wrong, count, 0.01) <= 0.05) == within
    assert (
        is_within_horizon({"questions": count, "sample_error_pct": 100 * wrong / count}) == within
    )


def test_a_share_is_written_with_an_interval_that_is_not_rounded_inward():
    assert format_share(3, 3) == "3 of 3 (at least 29%)"  # 29.24
    assert format_share(0, 3) == "0 of 3 (at most 71%)"  # 70.76
    assert format_share(2, 3) == "2 of 3 (9% to 100%)"  # 9.43 to 99.16


@pytest.mark.parametrize("mean, spread", [(0.1, 0.0), (0.5, 0.1), (0.98, 0.005)])
def test_one_more_trial_is_outside_its_interval_as_seldom_as_said(mean, spread):
    random, n, outside = np.random.default_rng(0), 10_000, 0
    for _ in range(3000):
        shares = np.clip(random.normal(mean, spread, 6), 0, 1)
        *kept, new = random.binomial(n, shares)
        low, high = prediction_interval(kept, n, confidence=0.95)
        outside += not low <= new / n <= high
    assert outside <= 165  # 150 are expected where the spread alone counts, else fewer


def test_a_trial_that_no_seed_explains_is_outside():
    low, high = prediction_interval([300, 310, 320, 305, 315], 10_000)
    assert low < 0.03 < 0.032 < high < 0.06
    with pytest.raises(ValueError, match="1 trials have no spread"):
        prediction_interval([300], 10_000)


def test_survival_is_the_share_still_right_and_shorter_samples_do_not_count_as_right():
    first = [None, 1, 2, 2, 3, None]
    assert survival(first, [5] * 6, range(1, 4)) == pytest.approx({1: 5 / 6, 2: 3 / 6, 3: 2 / 6})
    short = survival([None, None, 2], [1, 3, 3], range(1, 6))
    assert short == pytest.approx({1: 1, 2: 1 / 2, 3: 1 / 2})
    assert survival([None], [1], range(2, 6)) == {}


def test_the_interval_of_a_ratio_is_that_of_all_resamples():
    values, others = [3.0, 4.0, 5.0, 6.0, 9.0], [1.0, 2.0, 2.5, 3.0, 8.0]
    medians = [
        np.array([np.median(one) for one in product(side, repeat=5)]) for side in (values, others)
    ]
    ratios = np.quantile((medians[0][:, None] / medians[1]).ravel(), (0.025, 0.975))
    found = ratio_of_medians(values, others)
    assert found == pytest.approx((2.0, *ratios))
    assert found == ratio_of_medians(values, others)
    assert ratio_of_medians(values[:4], others) is None
