"""Comparison within strata: Berkeley 1973, the library as twin, coverage, strata that compare nobody."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.stats import stratified
from audit.stats.compare import newcombe

# Bickel, Hammel and O'Connell 1975: admitted of applied, departments A to F, women then men
BERKELEY = ([89, 17, 202, 131, 94, 24], [108, 25, 593, 375, 393, 341], [512, 353, 120, 138, 53, 22], [825, 560, 325, 417, 191, 373])
counts = st.integers(0, 30).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))
strata = st.lists(st.tuples(counts, counts), min_size=1, max_size=8)


def library(k1, n1, k0, n0):
    from statsmodels.stats.contingency_tables import StratifiedTable

    return StratifiedTable([np.array([[a, m - a], [c, n - c]], dtype=float) for a, m, c, n in zip(k1, n1, k0, n0, strict=True)])


def test_berkeley():
    """All departments together women are admitted less; within departments they are not."""
    raw = newcombe(sum(BERKELEY[0]), sum(BERKELEY[1]), sum(BERKELEY[2]), sum(BERKELEY[3]), level=0.95)
    assert raw.high < -0.1
    tables = stratified.stratify(*BERKELEY)
    odds = stratified.mantel_haenszel_odds_ratio(tables, level=0.95)
    # R's mantelhaen.test(UCBAdmissions) gives 0.9046968 (0.7719074, 1.0603298) for men against women
    assert (1 / odds.value, 1 / odds.high, 1 / odds.low) == pytest.approx((0.9046968, 0.7719074, 1.0603298), abs=1e-6)
    difference = stratified.mantel_haenszel_difference(tables, level=0.95)
    assert difference.low < 0 < difference.value < difference.high < 0.06
    assert (tables.overlap_group, tables.overlap_reference) == (1, 1)
    twin = library(*BERKELEY)
    assert stratified.cochran_mantel_haenszel(tables)[0] == pytest.approx(twin.test_null_odds(correction=False).pvalue)
    assert stratified.tarone(tables)[0] == pytest.approx(twin.test_equal_odds(adjust=True).pvalue)
    assert stratified.tarone(tables)[0] < 0.01  # department A differs


def test_tests_are_for_tables_that_can_hold_them():
    """Mantel and Fleiss: 9 of 20 selected, 10 on each side: 4.5 expected, at least 0, at most 9. One more, and it is 5 from either end."""
    assert stratified.large_enough(stratified.stratify(*BERKELEY))
    assert not stratified.large_enough(stratified.stratify([4], [10], [5], [10]))
    assert stratified.large_enough(stratified.stratify([5], [10], [5], [10]))
    assert not stratified.large_enough(
        stratified.stratify([1] * 9, [1] * 9, [50] * 9, [50] * 9)
    )  # everybody selected: nothing could differ


@given(strata)
def test_the_library_agrees(strata):
    (k1, n1), (k0, n0) = (np.array(side).T for side in zip(*strata, strict=True))
    tables = stratified.stratify(k1, n1, k0, n0)
    if tables is None:
        return
    odds, cmh, tarone = (
        stratified.mantel_haenszel_odds_ratio(tables, level=0.9),
        stratified.cochran_mantel_haenszel(tables),
        stratified.tarone(tables),
    )
    difference = stratified.mantel_haenszel_difference(tables, level=0.9)
    kept = (n1 > 0) & (n0 > 0)
    if odds is not None:
        twin = library(k1[kept], n1[kept], k0[kept], n0[kept])
        assert odds.value == pytest.approx(twin.oddsratio_pooled)
        assert (odds.low, odds.high) == pytest.approx(twin.oddsratio_pooled_confint(alpha=0.1))
        assert cmh is not None
    for p in (cmh, tarone):
        assert p is None or 0 <= p[0] <= 1
    swapped = stratified.mantel_haenszel_difference(stratified.stratify(k0, n0, k1, n1), level=0.9)
    if difference is None or swapped is None:
        assert difference is swapped
    else:
        assert -1 <= difference.low <= difference.value <= difference.high <= 1
        assert (-swapped.high, -swapped.low) == pytest.approx((difference.low, difference.high))


def test_intervals_and_tests_keep_their_promise():
    rng = np.random.default_rng(0)
    n1, n0, base = np.array([40, 60, 20, 80]), np.array([200, 100, 300, 150]), np.array([0.2, 0.4, 0.6, 0.8])
    rejected, covered = 0, 0
    for _ in range(2000):
        tables = stratified.stratify(rng.binomial(n1, base), n1, rng.binomial(n0, base), n0)
        rejected += stratified.cochran_mantel_haenszel(tables)[0] < 0.05
        e = stratified.mantel_haenszel_difference(
            stratified.stratify(rng.binomial(n1, base - 0.1), n1, rng.binomial(n0, base), n0), level=0.95
        )
        covered += e.low <= -0.1 <= e.high
    assert 70 < rejected < 130
    assert 0.935 < covered / 2000 < 0.965


def test_edges():
    assert stratified.stratify([1, 0], [3, 0], [0, 2], [0, 4]) is None
    tables = stratified.stratify([1, 5, 0], [3, 5, 0], [2, 5, 1], [4, 5, 4])
    assert (tables.overlap_group, tables.overlap_reference) == (1, 9 / 13)
    alike = stratified.stratify([5, 0], [5, 4], [5, 0], [5, 4])
    assert stratified.mantel_haenszel_difference(alike, level=0.9) is None
    assert stratified.mantel_haenszel_odds_ratio(alike, level=0.9) is None
    assert stratified.cochran_mantel_haenszel(alike) is None
    assert stratified.tarone(alike) is None
    for bad in [([2], [1], [1], [1]), ([1], [1], [1], [1, 2])]:
        with pytest.raises(ValueError, match="expected"):
            stratified.stratify(*bad)
