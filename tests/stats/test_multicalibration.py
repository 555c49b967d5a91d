"""Multiaccuracy and multicalibration: against slow twins over rows, on planted errors, and how often chance is called an error."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom, kstest
from sklearn.linear_model import Ridge

from audit.stats import multicalibration as mc
from audit.stats.ranked import rank

SLICES = 4  # of two columns with two groups each
MEMBERS = [np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1]), np.arange(4)]


def drawn(n, *, seed, wrong=0.0, scores=None):
    """Slices, probabilities and outcomes; in slice 3 the event happens more often by `wrong`."""
    rng = np.random.default_rng(seed)
    slices = rng.choice(SLICES, n, p=[0.4, 0.3, 0.2, 0.1])
    p = rng.beta(2, 2, n) * 0.8 + 0.05 if scores is None else rng.choice(scores, n)
    return slices, p, (rng.random(n) < np.clip(p + wrong * (slices == 3), 0, 1)).astype(int)


def counted(slices, p, y):
    cells = mc.Cells(SLICES, mc.edges_of(rank(p, y)))
    cells.add(slices, p, y)
    return cells


def both(slices, p, y, *, seed, draws=2000):
    cells = counted(slices, p, y)
    features = mc.indicators(MEMBERS[:2], cells.rows.sum(axis=(0, 2)), least=100)
    accuracy = mc.multiaccuracy(cells, features, level=0.95, rng=np.random.default_rng([seed, 1]), least=100)
    return accuracy, mc.multicalibration(cells, MEMBERS, least=100, level=0.95, rng=np.random.default_rng([seed, 2]), draws=draws)


@pytest.mark.parametrize("n", [1, 7, 99, 100, 1234])
def test_edges_are_order_statistics(n):
    p = np.round(np.random.default_rng(n).random(n), 2)
    expected = [np.sort(p)[(i * n + 99) // 100 - 1] for i in range(1, 100)]  # the smallest that i of 100 rows do not exceed
    assert mc.edges_of(rank(p, np.zeros(n, int))).tolist() == expected
    assert mc.edges_of(rank([], [])).size == 0


def test_cells_are_sums_over_rows_however_they_arrive():
    slices, p, y = drawn(3000, seed=1)
    cells = counted(slices, p, y)
    pieces = mc.Cells(SLICES, cells.edges)
    for part in np.array_split(np.random.default_rng(0).permutation(3000), 7):
        pieces.add(slices[part], p[part], y[part])
    assert (pieces.rows == cells.rows).all()
    assert pieces.sums == pytest.approx(cells.sums, abs=1e-12)
    fine = (p[:, None] > cells.edges).sum(axis=1)
    for outcome, place, bin_ in [(0, 0, 0), (1, 2, 50), (1, 0, 99), (0, 1, 37)]:
        own = (y == outcome) & (slices == place) & (fine == bin_)
        assert cells.rows[outcome, place, bin_] == own.sum()
        assert cells.sums[outcome, place, bin_] == pytest.approx((y - p)[own].sum(), abs=1e-12)
        assert cells.squares[outcome, place, bin_] == pytest.approx(((y - p)[own] ** 2).sum(), abs=1e-12)
    assert cells.rows.sum() == 3000
    assert np.abs(cells.rows.sum(axis=(0, 1)) - 30).max() <= 1
    assert cells.between(0).startswith("0.00–")
    assert cells.between(9).endswith("–1.00")


def test_indicators_are_tenths_groups_and_pairs_of_enough_rows():
    rows = np.array([500, 300, 99, 40])
    found = mc.indicators([np.array([0, 0, 1, 1]), np.array([0, 1, 0, -1])], rows, least=100).toarray().reshape(4, 10, -1)
    assert (found[:, :, :10] == np.eye(10)).all()
    groups = {tuple(column) for column in found[:, 0, 10:].T.astype(int)}
    # Of the first column both groups (800, 139 rows), of the second both (599, 300), of the pairs two (500, 300); the others are too small.
    assert groups == {(1, 1, 0, 0), (0, 0, 1, 1), (1, 0, 1, 0), (0, 1, 0, 0), (1, 0, 0, 0)}
    assert found.shape[2] == 10 + 6
    three = mc.indicators([np.array([0, 1, 0]), np.array([0, 0, 1]), np.array([-1, 0, 0])], np.array([9, 9, 9]), least=10)
    assert three.shape == (30, 10 + 3)  # 18 rows in the first group of each column, and no pair of columns has 10


def test_multiaccuracy_is_ridge_regression_on_one_half_of_the_rows_and_a_mean_over_the_other():
    """With one score in each hundredth the rows of each half are known from the counts: scikit-learn fits them one by one."""
    slices, p, y = drawn(2000, seed=2, wrong=0.15, scores=np.linspace(0.1, 0.8, 7))
    cells = counted(slices, p, y)
    features = mc.indicators(MEMBERS[:2], cells.rows.sum(axis=(0, 2)), least=100)
    found = mc.multiaccuracy(cells, features, level=0.9, rng=np.random.default_rng(5), least=100)
    first = np.random.default_rng(5).binomial(cells.rows, 0.5)
    fine = (p[:, None] > cells.edges).sum(axis=1)
    half = np.zeros(2000, bool)
    for outcome, place, bin_ in zip(*np.nonzero(first), strict=True):
        half[np.flatnonzero((y == outcome) & (slices == place) & (fine == bin_))[: first[outcome, place, bin_]]] = True
    x = np.stack(
        [fine // 10 == t for t in range(10)] + [MEMBERS[c][slices] == g for c in (0, 1) for g in (0, 1)] + [slices == s for s in range(4)], axis=1
    ).astype(float)  # fmt: skip
    residual = y - p
    h = Ridge(alpha=mc.SHRINK, fit_intercept=False).fit(x[half], residual[half]).predict(x)
    h /= np.sqrt(np.mean(h[half] ** 2))
    products = (h * residual)[~half]
    assert found.estimate.n == (~half).sum()
    assert found.estimate.value == pytest.approx(products.mean(), abs=1e-10)
    assert found.estimate.high - found.estimate.value == pytest.approx(1.6448536 * products.std(ddof=1) / np.sqrt(products.size), rel=1e-6)


def test_a_planted_error_is_found_and_named():
    accuracy, worst = both(*drawn(8000, seed=3, wrong=0.1), seed=3)
    # Root mean square of the errors: .1 in a tenth of the rows, √(.1 · .01).
    assert accuracy.estimate.low > 0
    assert accuracy.estimate.low < np.sqrt(0.1 * 0.01) < accuracy.estimate.high
    assert accuracy.p_value < 1e-3
    _, worst = both(*drawn(20_000, seed=3, wrong=0.15), seed=3)
    assert (worst.division, worst.group) == (2, 3)
    assert worst.p_value < 0.01
    assert worst.gap.low < -0.15 < worst.gap.high < 0  # the event happens more often than the probability says


def test_the_worst_cell_is_that_of_all_rows_looked_through():
    slices, p, y = drawn(6000, seed=4)
    worst = both(slices, p, y, seed=4)[1]
    cells = counted(slices, p, y)
    tenth = (p[:, None] > cells.edges).sum(axis=1) // 10
    gaps = {}
    for d, members in enumerate(MEMBERS):
        for g in range(members.max() + 1):
            for t in range(10):
                own = (members[slices] == g) & (tenth == t)
                if own.sum() >= 100:
                    gaps[d, g, t] = (abs((p - y)[own].mean()), own)
    assert worst.cells == len(gaps)
    place = max(gaps, key=lambda k: gaps[k][0])
    own = gaps[place][1]
    assert (worst.division, worst.group, worst.tenth) == place
    assert worst.gap.value == pytest.approx((p - y)[own].mean(), abs=1e-12)
    assert (worst.gap.n, worst.events) == (own.sum(), y[own].sum())
    assert worst.gap.high - worst.gap.value == pytest.approx(1.959964 * (p - y)[own].std(ddof=1) / np.sqrt(own.sum()), rel=1e-5)
    # The slow twin of the null: every row's outcome by its own probability.
    rng, largest = np.random.default_rng(9), []
    for _ in range(1500):
        residual = p - (rng.random(6000) < p)
        largest.append(max(abs(residual[own].mean()) for _, own in gaps.values()))
    assert worst.quantile == pytest.approx(np.quantile(largest, 0.95), abs=0.006)
    assert worst.p_value == pytest.approx(np.mean(np.array(largest) >= gaps[place][0]), abs=0.05)


def test_the_smallest_p_is_one_of_all_draws():
    slices, p, y = drawn(3000, seed=5)
    worst = both(slices, p, 1 - y, seed=5, draws=99)[1]
    assert worst.p_value == 1 / 100


def test_calibrated_scores_are_called_wrong_as_often_as_the_level_says():
    """40 seeds: rejections at 5 % within the 99.9 % bounds of a binomial count, p-values as far from uniform as chance makes them."""
    found = [both(*drawn(4000, seed=[6, i]), seed=i) for i in range(40)]
    for p in ([a.p_value for a, _ in found], [w.p_value for _, w in found]):
        rejected = int(np.count_nonzero(np.array(p) <= 0.05))
        assert rejected <= binom.ppf(0.999, 40, 0.05)
        assert kstest(p, "uniform").pvalue > 0.005


@pytest.mark.parametrize("wrong", [0.0, 0.1, 0.3])
def test_the_interval_covers_what_h_would_find_among_all_rows(wrong):
    """h is random with its half; what it would find is known from the true error and the share of each slice (tenths of the score are alike)."""
    hits, runs, share = 0, 400, np.array([0.4, 0.3, 0.2, 0.1])
    for i in range(runs):
        slices, p, y = drawn(1000, seed=[7, i], wrong=wrong, scores=[0.2, 0.35, 0.5, 0.65])
        cells = counted(slices, p, y)
        features = mc.indicators(MEMBERS[:2], cells.rows.sum(axis=(0, 2)), least=50)
        found = mc.multiaccuracy(cells, features, level=0.9, rng=np.random.default_rng(i), least=50)
        first = np.random.default_rng(i).binomial(cells.rows, 0.5)
        in_half = (first.sum(axis=0).reshape(SLICES, 10, 10).sum(axis=2), (first / np.maximum(cells.rows, 1) * cells.sums).sum(axis=0))
        h = mc.pattern(features, in_half[0].ravel().astype(float), in_half[1].reshape(SLICES, 10, 10).sum(axis=2).ravel()).reshape(
            SLICES, 10
        )
        fine = [int((s > cells.edges).sum()) // 10 for s in (0.2, 0.35, 0.5, 0.65)]
        truth = float(np.mean([share[3] * h[3, t] * wrong for t in fine]))
        hits += found.estimate.low <= truth <= found.estimate.high
    low, high = binom.ppf([0.0005, 0.9995], runs, 0.9)
    assert low <= hits <= high


def test_what_cannot_be_measured_is_none():
    slices, p, y = drawn(150, seed=8)
    assert both(slices, p, y, seed=8) == (None, None)
    sure = np.ones(4000, int)
    accuracy, worst = both(np.zeros(4000, int), sure.astype(float), sure, seed=8, draws=99)
    assert accuracy is None  # no residual to be fitted
    assert (worst.gap.value, worst.p_value, worst.quantile) == (0, 1, 0)
    assert both(np.zeros(0, int), np.zeros(0), np.zeros(0, int), seed=8) == (None, None)
