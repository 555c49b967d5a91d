"""Conformal cutoffs and abstention: published goldens, slow twins, laws that draws must follow, and what no order can improve."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import beta, betabinom

from audit.stats import conformal, selective
from audit.stats.losses import mean_loss, mean_size
from audit.stats.ranked import Ranked, rank


def test_the_cutoff_is_the_order_statistic_of_the_promise():
    assert conformal.cutoff(np.arange(1, 100), 0.9) == 90  # ⌈100 · .9⌉, in spite of 1 − .9 < .1
    assert conformal.cutoff(np.arange(1, 101)[::-1], 0.9) == 91
    assert conformal.cutoff(np.arange(9), 0.9) == 8
    assert conformal.cutoff(np.arange(8), 0.9) is None  # needs 1/α − 1 = 9 rows
    assert conformal.cutoff([], 0.5) is None


@pytest.mark.parametrize(("n", "mean", "sd", "low", "high"), [(1000, 0.9001, 0.0095, 0.881, 0.918), (100, 0.901, 0.030, 0.836, 0.951)])
def test_coverage_follows_the_beta_law(n: int, mean: float, sd: float, low: float, high: float):
    """CAL-04, published for α = .1 (Angelopoulos and Bates 2023): of very many rows the coverage lies below `low` and above `high` in 2.5 % of the draws."""
    out = conformal.left_out(n, 0.9)
    assert beta.mean(n + 1 - out, out) == pytest.approx(mean, abs=5e-4)
    assert beta.std(n + 1 - out, out) == pytest.approx(sd, abs=5e-4)
    many = 10_000_000
    for limit, below in ((low, 0.025), (high, 0.975)):
        assert conformal.promise_p(round(limit * many), many, n, 0.9) == pytest.approx(below, abs=0.004)


def test_empirical_coverage_of_uniform_scores_stays_in_its_band():
    rng, out = np.random.default_rng(1), []
    for _ in range(2000):
        calibrating, others = rng.random(100), rng.random(100)
        out.append(int((others <= conformal.cutoff(calibrating, 0.9)).sum()))
    low, high = betabinom.ppf([0.025, 0.975], 100, 91, 10)
    inside = np.mean([(low <= k <= high) for k in out])
    assert 0.94 < inside < 0.985  # the law is discrete: at least 95 %
    p = np.array([conformal.promise_p(k, 100, 100, 0.9) for k in out])
    assert (p <= 0.05).mean() < 0.065
    assert conformal.promise_p(70, 100, 100, 0.9) < 1e-3
    assert conformal.promise_p(3, 5, 5, 0.9) is None


def test_a_shortfall_is_an_exact_binomial_tail():
    assert conformal.shortfall_p(0, 2, 0.88) == pytest.approx(0.12**2)
    assert conformal.shortfall_p(1, 2, 0.88) == pytest.approx(1 - 0.88**2)
    assert conformal.shortfall_p(0, 0, 0.88) == 1.0


def curve(errors: list[int]) -> float:
    """Mean over all numbers answered of the error rate among them, the surest first."""
    return float(np.mean(np.cumsum(errors) / np.arange(1, len(errors) + 1)))


def of(confidence, wrong) -> selective.Areas:
    found = selective.areas(rank(np.asarray(confidence, float), np.asarray(wrong)), level=0.95)
    assert found is not None
    return found


def test_a_perfect_order_has_no_excess_and_the_published_area():
    n = 100_000
    wrong = np.zeros(n, int)
    wrong[: n // 5] = 1  # the least sure fifth
    found = of(np.arange(n) / n, wrong)
    assert found.excess.value == pytest.approx(0, abs=1e-12)
    assert found.aurc.value == pytest.approx(0.2 + 0.8 * math.log(0.8), abs=1e-5)
    assert of([1, 2, 3, 4], [1, 0, 0, 0]).aurc.value == pytest.approx(1 / 16)
    assert of([4, 3, 2, 1], [1, 0, 0, 0]).aurc.value == pytest.approx(curve([1, 0, 0, 0]))


def test_equal_confidence_says_nothing_and_has_the_risk_of_everybody():
    found = of(np.full(50, 0.7), [1] * 10 + [0] * 40)
    assert found.aurc.value == pytest.approx(0.2, abs=1e-12)
    assert found.excess.value == pytest.approx(0.2 - selective.oracle_area(10, 50), abs=1e-12)
    assert selective.areas(rank(np.arange(5) / 5, np.zeros(5, int)), level=0.9) is None
    assert selective.areas(rank(np.zeros(0), np.zeros(0, int)), level=0.9) is None


@given(st.lists(st.tuples(st.integers(0, 3), st.booleans()), min_size=2, max_size=6))
def test_ties_count_as_ordered_by_chance(rows):
    if len({wrong for _, wrong in rows}) < 2:
        return
    orders = [
        curve([int(wrong) for _, wrong in order])
        for order in itertools.permutations(rows)
        if all(a[0] >= b[0] for a, b in itertools.pairwise(order))
    ]
    assert of([c for c, _ in rows], [w for _, w in rows]).aurc.value == pytest.approx(np.mean(orders), abs=1e-12)


class Cut:
    """A table in pieces of a few scores each."""

    def __init__(self, table: Ranked, size: int) -> None:
        self.table, self.size, self.rows = table, size, table.rows

    def pieces(self):
        for start in range(0, len(self.table.scores), self.size):
            yield Ranked(*(part[start : start + self.size] for part in self.table))


def test_pieces_change_nothing():
    rng = np.random.default_rng(2)
    c = rng.integers(0, 40, 300) / 40
    table = rank(c, rng.random(300) < 0.5 - 0.4 * c)
    whole, cut = (selective.areas(t, level=0.9) for t in (table, Cut(table, 3)))
    for one, other in zip(whole, cut, strict=True):
        assert (one.value, one.low, one.high) == pytest.approx((other.value, other.low, other.high), abs=1e-12)
    shares = [1.0, 0.9, 0.31, 0.004]
    assert selective.answered(table, shares) == selective.answered(Cut(table, 3), shares)


def test_intervals_cover_the_true_areas():
    """Confidence U on [0, 1] and errors with chance (1 − U)/2: the risk of the surest share c is c/4, the area 1/8."""
    rng, hits, excess = np.random.default_rng(3), 0, 0
    e = 0.25
    truth = 1 / 8
    for _ in range(400):
        c = rng.random(500)
        found = of(c, rng.random(500) < (1 - c) / 2)
        hits += found.aurc.low <= truth <= found.aurc.high
        excess += found.excess.low <= truth - (e + (1 - e) * math.log(1 - e)) <= found.excess.high
    assert 0.92 < hits / 400 < 0.98
    assert 0.92 < excess / 400 < 0.98


def test_the_surest_rows_come_with_all_that_are_as_sure():
    table = rank(np.array([0.9, 0.8, 0.8, 0.5, 0.1]), np.array([0, 0, 1, 1, 1]))
    assert selective.answered(table, [0.4, 0.2, 1.0]) == [(0.8, 3, 1), (0.9, 1, 0), (0.1, 5, 3)]
    assert selective.answered(rank(np.zeros(0), np.zeros(0, int)), [0.5]) == []


def test_a_bounded_error_share_holds_its_promise():
    """Of 300 draws, at most about δ have a chosen share whose true risk is above the target."""
    rng, shares, broken, found = np.random.default_rng(4), [i / 64 for i in range(1, 65)], 0, 0
    for _ in range(300):
        c = rng.random(800)
        point = selective.bounded(selective.answered(rank(c, rng.random(800) < (1 - c) / 2), shares), risk=0.1, confidence=0.9)
        if point is not None:
            found += 1
            broken += (1 - point.confidence) / 4 > 0.1  # the true risk of what is at least as sure
    assert found > 200
    assert broken / 300 < 0.1
    assert selective.bounded([selective.Answered(0.5, 100, 0)], risk=0.05, confidence=0.9) == (0.5, 100, 0)
    assert selective.bounded([selective.Answered(0.5, 20, 0)], risk=0.05, confidence=0.95) is None  # 1 − .05^(1/20) = .139
    assert selective.bounded([selective.Answered(0.5, 20, 20)], risk=0.05, confidence=0.95) is None


def test_a_mean_of_sizes_cannot_be_negative_and_is_covered_more_often() -> None:
    """Twenty log losses of a good model: the plain normal interval often reaches below 0 and misses above; that of the logarithm does neither."""
    rng = np.random.default_rng(4)
    losses = rng.lognormal(-2.0, 1.5, (2000, 20))
    truth = math.exp(-2.0 + 1.5**2 / 2)
    found = [mean_size(row, level=0.95) for row in losses]
    plain = [mean_loss(row, level=0.95) for row in losses]
    assert min(e.low for e in found) > 0 > min(e.low for e in plain)
    covered, before = (np.mean([e.low <= truth <= e.high for e in several]) for several in (found, plain))
    assert covered > before + 0.02
    one = mean_size(np.array([0.0, 0.0, 3.0]), level=0.95)  # mean 1, error 1: half and twice are equally far
    assert (one.value, one.method, one.high * one.low) == (1.0, "normal_log", pytest.approx(1.0))
    assert one.high == pytest.approx(math.exp(1.959964), rel=1e-6)
    nothing = mean_size(np.zeros(5), level=0.95)
    assert (nothing.low, nothing.value, nothing.high) == (0.0, 0.0, 0.0)
