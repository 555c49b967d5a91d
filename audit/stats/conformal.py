"""Split conformal prediction: the cutoff that promises a coverage, and what coverage chance allows once it is set. Vovk, Gammerman and Shafer 2005.

A set (of classes, or an interval) holds everything whose score is at most the cutoff; the cutoff is an order statistic of the scores of rows that
are drawn as the others are and that nothing else was fitted on.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from audit.measurement import Estimate
from audit.stats._inputs import Ints, check_count, check_share, estimate, finite, normal_quantile
from audit.stats.rates import wilson_limits
from audit.stats.sums import Moments


def left_out(n: int, coverage: float) -> int:
    """How many of n scores lie above the cutoff, and one: ⌊(n + 1)(1 − coverage)⌋, rounding of the product aside."""
    check_share("coverage", coverage)
    return math.floor((n + 1) * (1 - coverage) + 1e-9)


def cutoff(scores: ArrayLike, coverage: float) -> float | None:
    """The ⌈(n + 1) coverage⌉-th smallest of n scores; None where n is too small for the promise, so that a set would have to hold everything."""
    values = finite("scores", scores)
    rank = values.size + 1 - left_out(values.size, coverage)
    return None if rank > values.size else float(np.partition(values, rank - 1)[rank - 1])


def promise_p(covered: int, rows: int, n: int, coverage: float) -> float | None:
    """p of "these rows are drawn as the n that set the cutoff were": how often so few or fewer of them would be covered (beta-binomial law).

    Ties of scores make sets larger and the test less likely to reject. None where the cutoff can promise nothing.
    """
    from scipy.stats import betabinom

    covered, rows = check_count(covered, rows)
    above = left_out(n, coverage)
    return None if above < 1 else min(1.0, float(betabinom.cdf(covered, rows, n + 1 - above, above)))


def shortfall_p(covered: int, rows: int, least: float) -> float:
    """p of "the coverage is at least `least`" (exact binomial, one-sided), the cutoff being given; 1 for no rows."""
    from scipy.stats import binom

    covered, rows = check_count(covered, rows)
    check_share("least", least)
    return float(binom.cdf(covered, rows, least)) if rows else 1.0


def size_moments(sizes: Ints) -> Moments:
    """Rows, mean and variance from the number of rows with sets of 0, 1, 2, … members, (k,); at least one row."""
    n, size = int(sizes.sum()), np.arange(sizes.size)
    mean = int(np.sum(sizes * size)) / n
    return Moments(n, mean, float(np.sum(sizes * (size - mean) ** 2)) / max(1, n - 1))


def mean_size(sizes: Ints, *, level: float) -> Estimate | None:
    """Mean number of members of a set, between 0 and k − 1, with normal interval; None for fewer than 2 rows.

    Where all sets are of one size, as many as Wilson's limit allows may still be empty, or hold everything.
    """
    if sizes.sum() < 2:
        return None
    n, mean, variance = size_moments(sizes)
    most = sizes.size - 1.0
    if variance == 0:
        other = float(wilson_limits(0, n, level=level)[1])
        return estimate(mean, mean * (1 - other), mean + other * (most - mean), level=level, method="wilson", n=n)
    half = normal_quantile(level) * math.sqrt(variance / n)
    return estimate(mean, max(mean - half, 0.0), min(mean + half, most), level=level, method="normal", n=n)
