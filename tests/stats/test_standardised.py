"""Distances between scores of two groups: by hand, against the libraries, and covering what they promise."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from audit.stats.standardised import largest_gap, standardised_difference

NONE = np.zeros(0)


def test_by_hand():
    """Means 3 and 1, all rows together 1, 3, 2, 4, 0, 2: mean 2, variance 2 (with n − 1)."""
    e = standardised_difference(np.array([2.0, 4.0]), np.array([0.0, 2.0]), np.array([1.0, 3.0]), level=0.95)
    assert (e.value, e.n, e.method) == (pytest.approx(2 / math.sqrt(2)), 6, "influence")
    gap, _ = largest_gap(np.array([0.1, 0.2, 0.8]), np.array([0.3, 0.9]), level=0.95)
    assert gap.value == pytest.approx(2 / 3)


def test_the_interval_is_that_of_normal_theory_where_scores_are_normal():
    """Hedges and Olkin 1985 for the deviation within groups: 1/n1 + 1/n0 + d²/2N. Equal means: the deviation of all rows is the same."""
    rng = np.random.default_rng(0)
    e = standardised_difference(rng.normal(0, 3, 60_000), rng.normal(0, 3, 20_000), NONE, level=0.95)
    assert (e.high - e.low) / (2 * 1.959964) == pytest.approx(math.sqrt(1 / 60_000 + 1 / 20_000), rel=0.01)


@pytest.mark.parametrize("shift", [0.0, 0.8])
def test_intervals_cover(shift):
    rng = np.random.default_rng(1)
    # Mixture of shares 1/8, 5/8, 2/8 of gamma scores: its deviation is known.
    weights, means = np.array([50, 250, 100]) / 400, np.array([2.0 + shift, 2.0, 1.5])
    truth_sd = math.sqrt(np.sum(weights * (2.0 + (means - weights @ means) ** 2)))
    truth, hit, gaps = shift / truth_sd, 0, 0
    grid = np.linspace(0, 20, 4001)
    apart = float(np.max(np.abs(stats.gamma.cdf(grid - shift, 2) - stats.gamma.cdf(grid, 2))))
    runs = 800
    for _ in range(runs):
        sizes = rng.multinomial(400, weights)
        parts = [rng.gamma(2, 1, n) + m - 2.0 for n, m in zip(sizes, means, strict=True)]
        e = standardised_difference(*parts, level=0.95)
        hit += e.low <= truth <= e.high
        gap, _ = largest_gap(parts[0], parts[1], level=0.95)
        gaps += gap.low <= apart <= gap.high
    assert 0.92 < hit / runs < 0.975
    assert gaps / runs >= 0.95


def test_scipy_agrees_on_the_largest_gap():
    rng = np.random.default_rng(2)
    for digits in (1, 6):
        a, b = np.round(rng.beta(2, 3, 300), digits), np.round(rng.beta(3, 3, 500), digits)
        theirs = stats.ks_2samp(a, b, method="asymp")
        gap, p = largest_gap(a, b, level=0.95)
        assert gap.value == pytest.approx(theirs.statistic, abs=1e-12)
        assert p == pytest.approx(theirs.pvalue, rel=0.35)


def test_scale_and_place_do_not_matter_and_turning_round_changes_the_sign():
    rng = np.random.default_rng(3)
    a, b, c = rng.normal(size=50), rng.normal(1, 2, 70), rng.normal(size=20)
    e = standardised_difference(a, b, c, level=0.9)
    moved = standardised_difference(7 * a + 3, 7 * b + 3, 7 * c + 3, level=0.9)
    turned = standardised_difference(b, a, c, level=0.9)
    assert (moved.value, moved.low) == (pytest.approx(e.value), pytest.approx(e.low))
    assert (turned.value, turned.low, turned.high) == (pytest.approx(-e.value), pytest.approx(-e.high), pytest.approx(-e.low))


def test_edges():
    one, two = np.array([0.5]), np.array([0.5, 0.5])
    assert standardised_difference(one, two, NONE, level=0.95) is None
    assert standardised_difference(two, two, NONE, level=0.95) is None
    assert standardised_difference(NONE, NONE, NONE, level=0.95) is None
    assert largest_gap(NONE, two, level=0.95) is None
    gap, p = largest_gap(two, two, level=0.95)
    assert (gap.value, gap.low, gap.high, p) == (0, 0, 1, 1)
