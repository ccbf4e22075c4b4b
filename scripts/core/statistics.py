"""Statistics of results: exact intervals of shares, horizons, first errors, comparisons."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy.special import betaincinv, ndtri, stdtrit

from vsc_dataset.configs import make_config

HORIZON_PCT = 1.0
"""A number of operations is within the horizon if the sample error is surely at most this."""

HORIZON_SAMPLES = 299
"""Samples of each number of operations that a horizon needs: of fewer, none wrong is not enough."""

RATIO_TRIALS = 5
"""Trials on each side that a ratio of medians needs."""


def share_interval(k: int, n: int) -> tuple[float, float]:
    """Compute the exact two-sided 95% interval of a share, of which k of n were seen.

    Source: Clopper and Pearson 1934.

    >>> [round(end, 4) for end in share_interval(10, 10)]
    [0.6915, 1.0]
    """
    return 1 - _upper_end(n - k, n, 0.025), _upper_end(k, n, 0.025)


def _upper_end(k: int, n: int, tail: float) -> float:
    """Find the share at which k of n or fewer have this probability."""
    return 1.0 if k == n else float(betaincinv(k + 1, n - k, 1 - tail))


def prediction_interval(
    counts: Sequence[int], n: int, confidence: float = 0.998
) -> tuple[float, float]:
    """Compute where the share of one more trial lies, from trials that each saw a count of n.

    The arcsine of a share's root has about the same variance everywhere (Bartlett 1936). The
    interval adds the spread between trials (Student's t) to the error of a share of n samples.

    Raises:
      ValueError: one trial, which has no spread.

    >>> [round(end, 2) for end in prediction_interval([7946, 7976, 7648, 7785, 7899], 10_000)]
    [0.66, 0.89]
    >>> [round(end, 4) for end in prediction_interval([0, 0, 0], 10_000)]
    [0.0, 0.0002]
    """
    if len(counts) < 2:
        raise ValueError(f"{len(counts)} trials have no spread: give two or more")
    angles, high = np.arcsin(np.sqrt(np.array(counts) / n)), (1 + confidence) / 2
    spread = angles.std(ddof=1) * math.sqrt(1 + 1 / len(angles))
    reach = ndtri(high) / (2 * math.sqrt(n)) + stdtrit(len(angles) - 1, high) * spread
    ends = np.clip(angles.mean() + np.array([-reach, reach]), 0, math.pi / 2)
    return float(np.sin(ends[0]) ** 2), float(np.sin(ends[1]) ** 2)


def format_share(k: int, n: int) -> str:
    """Write k of n with its 95% interval, in whole percent rounded outward.

    >>> format_share(10, 10), format_share(0, 10), format_share(1, 3)
    ('10 of 10 (at least 69%)', '0 of 10 (at most 31%)', '1 of 3 (0% to 91%)')
    """
    low, high = share_interval(k, n)
    least, most = f"{math.floor(100 * low)}%", f"{math.ceil(100 * high)}%"
    words = f"at least {least}" if k == n else f"at most {most}" if k == 0 else f"{least} to {most}"
    return f"{k} of {n} ({words})"


def grid_nops(grid: str) -> list[int]:
    """List the numbers of operations of a grid."""
    config = make_config(grid)
    if not config.grid_nops:
        raise ValueError(f"configuration {grid!r} is not a grid, such as 'grid-len5'")
    return [int(split.removeprefix("nops")) for split in config.splits]


def horizon_order(horizon: int | str | None) -> float:
    """Return by what horizons are ordered: one like ">1024" is beyond all, none is 0.

    >>> sorted([">1024", 5, None, 1024], key=horizon_order)
    [None, 5, 1024, '>1024']
    """
    return math.inf if isinstance(horizon, str) else float(horizon or 0)


def is_within_horizon(rates: Mapping[str, Any]) -> bool:
    """Tell whether the one-sided 95% interval of the sample error ends at most at 1%.

    >>> [is_within_horizon({"questions": 1000, "sample_error_pct": pct}) for pct in (0.4, 0.5)]
    [True, False]
    """
    count = rates["questions"]
    wrong = round(rates["sample_error_pct"] * count / 100)
    return _upper_end(wrong, count, 0.05) <= HORIZON_PCT / 100


def most_wrong(count: int) -> int:
    """Count how many of `count` samples may be wrong within the horizon; -1 where none may be.

    >>> [most_wrong(count) for count in (298, 299, 1000)]
    [-1, 0, 4]
    """
    allowed = range(int(HORIZON_PCT * count / 100) + 1)
    return sum(_upper_end(wrong, count, 0.05) <= HORIZON_PCT / 100 for wrong in allowed) - 1


def find_horizon(rows: Sequence[Mapping[str, Any]], listed: Sequence[int]) -> int | str | None:
    """Find the largest of the listed numbers up to which every row of a grid is within the horizon.

    It is 0 where not even the first is within, ">1024" where the list ends, and None where a row
    has fewer than HORIZON_SAMPLES. A ValueError names a number that is left out.

    >>> row = lambda nops, wrong: {"nops": nops, "questions": 1000, "sample_error_pct": wrong / 10}
    >>> find_horizon([row(1, 0), row(2, 4), row(3, 5), row(4, 0)], [1, 2, 3, 4])
    2
    >>> find_horizon([row(1, 0), row(2, 1)], [1, 2])
    '>2'
    """
    horizon = 0
    for row, nops in zip(rows, listed, strict=False):
        if row["nops"] != nops:
            raise ValueError(f"nops {nops} was not evaluated: a horizon needs all up to it")
        if row["questions"] < HORIZON_SAMPLES:
            return None
        if not is_within_horizon(row):
            return horizon
        horizon = nops
    return f">{horizon}" if len(rows) == len(listed) else horizon


def survival(first: Sequence[int | None], lengths: Sequence[int], steps: range) -> dict[int, float]:
    """Compute the share of samples still right after each number of operations, {step: share}.

    `first` has the first wrong step of each sample, or None, `lengths` its operations: a shorter
    sample tells nothing of later steps, and steps that none has reached are left out. Source:
    Kaplan and Meier 1958.

    >>> survival([None, 1, 2, None], [3, 3, 3, 1], range(1, 4))
    {1: 0.75, 2: 0.375, 3: 0.375}
    """
    share, shares = 1.0, {}
    pairs = [(step or math.inf, length) for step, length in zip(first, lengths, strict=True)]
    for k in steps:
        reached = [step for step, length in pairs if step >= k and length >= k]
        if reached:
            share *= 1 - reached.count(k) / len(reached)
            shares[k] = share
    return shares


def rank_test(values: Sequence[float], others: Sequence[float]) -> float:
    """Compute the two-sided p-value of trials that differ as much by luck, by their order alone.

    Source: Mann and Whitney 1947.

    >>> round(rank_test([1, 2, 3, 4], [5, 6, 7, 8]), 4)
    0.0286
    """
    from scipy.stats import mannwhitneyu  # takes half a second

    return float(mannwhitneyu(values, others).pvalue)


def ratio_of_medians(
    values: Sequence[float], others: Sequence[float]
) -> tuple[float, float, float] | None:
    """Compute the ratio of two medians, and low and high of its 95% bootstrap interval; repeatable.

    None where either side has fewer than RATIO_TRIALS values. `values` may hold infinity, for
    trials that never got there; the high end may then be infinite.

    >>> ratio_of_medians([2.0] * 5, [1.0] * 5)
    (2.0, 2.0, 2.0)
    >>> ratio_of_medians([2.0] * 4 + [math.inf], [1.0] * 5)
    (2.0, 2.0, inf)
    """
    if min(len(values), len(others)) < RATIO_TRIALS:
        return None
    random = np.random.default_rng(0)
    medians = [
        np.median(random.choice(side, (10_000, len(side))), axis=1) for side in (values, others)
    ]
    # Between two infinite values nothing can be interpolated.
    low, high = np.quantile(medians[0] / medians[1], (0.025, 0.975), method="inverted_cdf")
    return float(np.median(values) / np.median(others)), float(low), float(high)
