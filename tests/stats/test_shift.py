"""Two sets of rows: published values, values by hand, slow twins, and rows that are alike."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chi2_contingency, norm

from audit.stats.shift import (
    bins_of,
    effective_rows,
    excess_loss,
    homogeneous,
    kolmogorov,
    median_distance,
    mmd2,
    mmd_test,
    psi,
    quantile_edges,
)

COUNTS = st.lists(st.integers(0, 50), min_size=2, max_size=6)


def test_psi_of_four_equal_shares_against_rising_ones() -> None:
    assert psi([25, 25, 25, 25], [10, 20, 30, 40]) == pytest.approx(0.22822, abs=1e-5)
    assert psi([25, 25, 25, 25], [1, 1, 1, 1]) == 0


def test_psi_of_an_empty_bin_is_finite() -> None:
    assert 0 < psi([50, 50, 0], [40, 40, 20]) < 2
    with pytest.raises(ValueError, match="rows"):
        psi([0, 0], [1, 2])


@settings(max_examples=50, deadline=None)
@given(e=COUNTS, a=COUNTS)
def test_psi_is_symmetric_and_never_negative(e: list[int], a: list[int]) -> None:
    size = min(len(e), len(a))
    e, a = e[:size], a[:size]
    if sum(e) and sum(a):
        assert psi(e, a) >= 0
        assert psi(e, a) == pytest.approx(psi(a, e))


def test_kolmogorov_of_one_to_four_and_three_to_six() -> None:
    d, p = kolmogorov([1, 2, 3, 4], [3, 4, 5, 6])
    assert d == 0.5
    assert p == pytest.approx(0.7714, abs=1e-4)


def test_missing_values_are_seen_as_a_value_of_their_own() -> None:
    d, p = kolmogorov([-np.inf] * 50 + [1.0] * 50, [1.0] * 100)
    assert d == 0.5
    assert p < 1e-6


def test_unbiased_mmd_of_two_pairs_of_points() -> None:
    one, two = np.array([[0.0], [1.0]]), np.array([[2.0], [3.0]])
    assert mmd2(one, two, width=1.0) == pytest.approx(0.76891, abs=1e-5)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1000), m=st.integers(2, 8), n=st.integers(2, 8))
def test_mmd_is_the_double_sum_that_defines_it(seed: int, m: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=(m, 2)), rng.normal(size=(n, 2))

    def k(a: np.ndarray, b: np.ndarray) -> float:
        return float(np.exp(-np.sum((a - b) ** 2) / 2))

    own = sum(k(a, b) for i, a in enumerate(x) for j, b in enumerate(x) if i != j) / (m * (m - 1))
    other = sum(k(a, b) for i, a in enumerate(y) for j, b in enumerate(y) if i != j) / (n * (n - 1))
    assert mmd2(x, y, width=1.0) == pytest.approx(own + other - 2 * sum(k(a, b) for a in x for b in y) / (m * n))


def test_the_permutation_test_finds_a_shift_and_leaves_equal_rows_alone() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(150, 3))
    assert mmd_test(x, rng.normal(0.7, 1, size=(150, 3)), draws=199, rng=rng)[1] == 1 / 200
    p = [mmd_test(rng.normal(size=(40, 2)), rng.normal(size=(40, 2)), draws=99, rng=rng)[1] for _ in range(100)]
    assert 0 <= np.mean(np.array(p) <= 0.1) <= 0.2, "one in ten of equal sets has p at most .1"


def test_the_median_distance_is_that_of_all_pairs() -> None:
    assert median_distance(np.array([[0.0], [1.0], [3.0]])) == 2
    assert median_distance(np.zeros((5, 2))) == 1


def test_equal_shares_are_tested_as_pearson_does() -> None:
    table = np.array([[30, 50, 20], [25, 40, 35]])
    distance, p = homogeneous(table)
    assert p == pytest.approx(chi2_contingency(table, correction=False).pvalue)
    assert distance == pytest.approx((abs(0.3 - 0.25) + abs(0.5 - 0.4) + abs(0.2 - 0.35)) / 2)


def test_rare_values_are_made_one() -> None:
    table = np.array([[100, 80, 1, 2, 0], [90, 95, 2, 0, 1]])
    pooled = np.array([[100, 83], [90, 98]])
    assert homogeneous(table)[1] == pytest.approx(chi2_contingency(pooled, correction=False).pvalue)
    assert homogeneous(np.array([[3, 0], [2, 0]])) == (0.0, 1.0)


def test_weights_that_undo_a_composition_show_what_it_costs() -> None:
    """A fifth of the wanted rows is hard (loss 1), of these rows half is: 0.5 − 0.2."""
    hard = np.arange(10_000) % 2 == 0
    losses = hard.astype(float)
    weights = np.where(hard, 0.2 / 0.5, 0.8 / 0.5)
    found = excess_loss(losses, weights, others=10_000, level=0.9)
    assert found.value == pytest.approx(0.3)
    assert found.low < 0.3 < found.high
    assert excess_loss(losses, np.ones(10_000), others=10_000, level=0.9).value == 0
    assert effective_rows(np.ones(70)) == 70
    assert effective_rows(weights) == pytest.approx(10_000 / (0.5 * 0.16 + 0.5 * 2.56))


def test_the_interval_of_an_excess_loss_covers() -> None:
    rng = np.random.default_rng(5)
    hits = 0
    for _ in range(400):
        x = rng.normal(size=300)
        losses, weights = (rng.random(300) < norm.cdf(x)).astype(float), np.exp(0.5 * x - 0.125)  # weights make it N(0.5, 1)
        truth = 0.5 - norm.cdf(0.5 / np.sqrt(2))
        found = excess_loss(losses, weights, others=10**9, level=0.9)
        hits += found.low <= truth <= found.high
    assert 0.85 <= hits / 400 <= 0.95


def test_bins_hold_missing_values_apart() -> None:
    edges = quantile_edges(np.arange(100.0), 10)
    codes = bins_of(np.append(np.arange(100.0), np.nan), edges)
    assert len(edges) == 9
    assert codes[-1] == 10
    assert np.bincount(codes)[:10].tolist() == [9, 10, 10, 10, 10, 10, 10, 10, 10, 11]
    assert len(quantile_edges(np.array([np.nan]), 10)) == 0
