"""Weighted rates and smooth functions: worked by hand, against slow twins, and planted truths that the intervals must cover."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from audit.stats import weighted
from audit.stats.rates import wilson
from audit.stats.weighted import Share
from audit.stats.weighted_ranks import WeightedRanking
from audit.stats.weighted_sums import Totals, error_of, ratio_of_sums, smooth

Z = 1.959963984540054


def share(y: NDArray[np.bool_], w: NDArray[np.float64]) -> Share:
    sums = [float((w[kept] ** power).sum()) for power in (1, 2, 3) for kept in (np.ones(len(w), bool), y)]
    return Share(len(y), int(y.sum()), *sums)


def test_a_rate_worked_by_hand() -> None:
    s = share(np.array([True, False, False]), np.array([2.0, 1.0, 1.0]))
    assert s.value == 0.5
    # Σ w² (1 + 2w/W) (y − p)² / W² = (4 · 2 · 1/4 + 2 · 1.5 · 1/4) / 16 = 2.75 / 16, worth 1/4 / that; few rows count, so no more than Kish's 16/6
    assert s.effective == pytest.approx(16 / 11)
    assert weighted.worth(s).design_effect == pytest.approx(33 / 16)


def test_rates_at_the_ends_keep_a_width() -> None:
    s = share(np.zeros(40, bool), np.repeat([1.0, 3.0], 20))
    found = weighted.rate(s, level=0.95)
    plain = wilson(0, 40, level=0.95)
    assert found is not None
    assert plain is not None
    assert (found.value, found.low) == (0.0, 0.0)
    assert found.high == pytest.approx(Z**2 / (32 + Z**2)), "32 rows of equal weight"
    assert found.high > plain.high


def test_nearly_equal_weights_give_nearly_the_unweighted_interval() -> None:
    y = np.arange(1000) % 3 == 0
    found, plain = weighted.rate(share(y, np.ones(1000)), level=0.95), wilson(334, 1000, level=0.95)
    assert found is not None
    assert plain is not None
    assert (found.low, found.high) == pytest.approx((plain.low, plain.high), rel=2e-3)


def drawn(rng: np.random.Generator, n: int, slope: float) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Rows whose weights tell of the outcome."""
    z = rng.normal(size=n)
    return rng.random(n) < 1 / (1 + np.exp(1 - slope * z)), np.exp(0.8 * z)


@pytest.mark.parametrize("slope", [0.0, 1.0])
def test_intervals_cover_a_planted_truth(slope: float) -> None:
    rng = np.random.default_rng(5)
    # E over the tilted density of z: weights exp(.8 z) move its mean to .8
    z = rng.normal(0.8, 1, 400_000)
    truth = float(np.mean(1 / (1 + np.exp(1 - slope * z))))
    runs = covered = plain = equal = ranked = 0
    for _ in range(500):
        (y, w), (y0, w0) = drawn(rng, 300, slope), drawn(rng, 500, slope)
        group, other = share(y, w), share(y0, w0)
        e, d, naive = weighted.rate(group, level=0.95), weighted.difference(group, other, level=0.95), wilson(int(y.sum()), 300, level=0.95)
        tested = weighted.equality(group, other)
        assert e is not None
        assert d is not None
        assert naive is not None
        assert tested is not None
        runs += 1
        covered += e.low <= truth <= e.high
        ranked += d.low <= 0 <= d.high
        plain += naive.low <= truth <= naive.high
        equal += tested[0] <= 0.05
    # 500 runs of 95 %: all but one in a thousand lie above 91.5 %
    assert covered / runs >= 0.915
    assert ranked / runs >= 0.915
    assert equal / runs <= 0.085
    if slope:
        assert plain / runs < 0.3, "the binomial interval of the rows speaks of other people"


def test_weighted_means_and_auc_cover() -> None:
    rng, runs = np.random.default_rng(6), 300
    mean = auc = 0
    for _ in range(runs):
        z = rng.normal(size=300)
        w, x = np.exp(0.7 * z), z + rng.normal(size=300)
        totals = Totals(1, 2)
        totals.add(np.zeros(300, int), w, [np.ones(300), x])
        e = smooth(ratio_of_sums, totals.sums[0], totals.products[0], 300, level=0.95)
        assert e is not None
        mean += e.low <= 0.7 <= e.high
        # events have a score one higher, whatever the weight: AUC Φ(1/√2)
        y = rng.random(300) < 0.4
        a = WeightedRanking(rng.normal(size=300) + y, y, w).roc_auc(level=0.95)
        assert a is not None
        auc += a.low <= 0.7602499389065233 <= a.high
    assert mean / runs >= 0.91
    assert auc / runs >= 0.91


def test_ranks_against_all_pairs() -> None:
    rng = np.random.default_rng(7)
    y, s, w = rng.random(60) < 0.5, rng.integers(0, 9, 60) / 10, rng.uniform(0.1, 3, 60)
    pairs = (s[y][:, None] > s[~y]) + 0.5 * (s[y][:, None] == s[~y])
    both = np.outer(w[y], w[~y])
    ranking = WeightedRanking(s, y, w)
    assert ranking.delong is not None
    value, variance = ranking.delong
    assert value == pytest.approx(float((pairs * both).sum() / both.sum()), rel=1e-12)

    # the jackknife's variance of AUC, by leaving each row out
    left = np.array([WeightedRanking(np.delete(s, i), np.delete(y, i), np.delete(w, i)).delong[0] for i in range(60)])  # type: ignore[index]
    assert variance == pytest.approx(float(((left - value) ** 2).sum()), rel=0.1)


def test_the_numeric_slope_is_the_linearised_one() -> None:
    rng = np.random.default_rng(8)
    w, x = rng.uniform(1, 5, 200), rng.normal(3, 1, 200)
    totals = Totals(1, 2)
    totals.add(np.zeros(200, int), w, [np.ones(200), x])
    mean = float(np.average(x, weights=w))
    by_hand = np.sqrt(np.sum((w * (x - mean)) ** 2 * (1 + 2 * w / w.sum()))) / w.sum()
    assert error_of(ratio_of_sums, totals.sums[0], totals.products[0]) == pytest.approx(by_hand, rel=1e-6)
