"""Two models on the same rows: published examples, definitions written out, and coverage."""

from __future__ import annotations

import math
from functools import cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import brentq, minimize_scalar
from scipy.stats import norm, ttest_rel

from audit.measurement import Estimate
from audit.stats.auc import delong
from audit.stats.paired import (
    Limits,
    Pair,
    at_level,
    auc_change,
    growth,
    interval_p,
    limits_of,
    mcnemar,
    mean_change,
    mover,
    newcombe_paired,
    tango,
)
from audit.stats.ranked import rank
from audit.stats.rates import wilson
from audit.stats.sums import moments

#: Airway hyper-responsiveness before and after stem cell transplantation (Bentur et al. 2009), as in Fagerland, Lydersen and Laake 2014.
AIRWAYS = Pair(1, 1, 7, 12)
counts = st.integers(0, 60)


def bounds(found: Estimate | None) -> tuple[float, float]:
    assert found is not None
    return found.low, found.high


def test_newcombe_for_paired_data() -> None:
    """Newcombe 1998 (paired data), method 10, and the same method in Fagerland, Lydersen and Laake 2014."""
    assert bounds(newcombe_paired(Pair(20, 12, 2, 16), level=0.95)) == pytest.approx((0.0562, 0.3292), abs=5e-5)
    assert bounds(newcombe_paired(AIRWAYS, level=0.95)) == pytest.approx((-0.507, -0.026), abs=5e-4)


def test_tango() -> None:
    """Fagerland, Lydersen and Laake 2014."""
    assert bounds(tango(AIRWAYS, level=0.95)) == pytest.approx((-0.517, -0.026), abs=5e-4)


def test_mcnemar() -> None:
    """2 (1 + 8) / 2⁸ by hand, and χ² = 20² / 60 above 25 rows that tell the models apart."""
    assert mcnemar(AIRWAYS) == (pytest.approx(18 / 256), "mcnemar_exact")
    assert mcnemar(Pair(100, 40, 20, 100)) == (pytest.approx(2 * norm.sf(math.sqrt(400 / 60))), "mcnemar")
    assert mcnemar(Pair(5, 3, 3, 5)) == (1.0, "mcnemar_exact")


def constrained(pair: Pair, delta: float) -> float:
    """Tango's statistic from the likelihood itself, maximised by search under p_new − p_old = δ."""
    low, high = max(0.0, -delta), (1 - delta) / 2

    def loss(old: float) -> float:
        terms = ((pair.new, old + delta), (pair.old, old), (pair.both + pair.neither, 1 - 2 * old - delta))
        return -sum(k * math.log(max(p, 1e-300)) for k, p in terms if k)

    old = float(minimize_scalar(loss, bounds=(low, high), method="bounded", options={"xatol": 1e-12}).x)
    return (pair.new - pair.old - pair.n * delta) / math.sqrt(pair.n * (2 * old + delta * (1 - delta)))


@pytest.mark.parametrize("pair", [AIRWAYS, Pair(20, 12, 2, 16), Pair(300, 20, 31, 100), Pair(10, 3, 1, 40)])
def test_tango_is_the_score_test_turned_round(pair: Pair) -> None:
    z = float(norm.isf(0.025))
    value = (pair.new - pair.old) / pair.n
    low = brentq(lambda d: constrained(pair, d) - z, -0.99, value)
    high = brentq(lambda d: constrained(pair, d) + z, value, 0.99)
    assert bounds(tango(pair, level=0.95)) == pytest.approx((low, high), abs=1e-6)


@given(counts, counts, counts, counts)
def test_tango_agrees_with_mcnemar_and_is_the_same_from_both_sides(both: int, new: int, old: int, neither: int) -> None:
    pair = Pair(both, new, old, neither)
    if pair.n == 0:
        assert tango(pair, level=0.95) is None
        return
    low, high = bounds(tango(pair, level=0.95))
    assert -1 <= low <= (new - old) / pair.n <= high <= 1
    if new + old:
        squared = (new - old) ** 2 / (new + old)
        if abs(squared - 3.8415) > 0.01:
            assert (low > 0 or high < 0) == (squared > 3.8415)
    assert bounds(tango(Pair(neither, old, new, both), level=0.95)) == pytest.approx((-high, -low), abs=1e-9)


def test_no_disagreement_is_no_certainty() -> None:
    z2 = float(norm.isf(0.025)) ** 2
    assert bounds(tango(Pair(50, 0, 0, 50), level=0.95)) == pytest.approx((-z2 / (100 + z2), z2 / (100 + z2)))
    with pytest.raises(ValueError, match="integer counts"):
        tango(Pair(1, -1, 0, 0), level=0.95)


@cache
def covering(pair: Pair) -> tuple[float, float]:
    return bounds(tango(pair, level=0.90))


@pytest.mark.parametrize(("n", "gained", "lost"), [(200, 0.05, 0.05), (200, 0.02, 0.07), (1000, 0.01, 0.02)])
def test_both_sides_of_the_paired_interval_cover(n: int, gained: float, lost: float) -> None:
    """One-sided at 95 %: what the gate rests on."""
    rng = np.random.default_rng(5)
    drawn = rng.multinomial(n, [gained, lost, 1 - gained - lost], size=3000)
    limits = np.array([covering(Pair(int(rest), int(b), int(c), 0)) for b, c, rest in drawn])
    truth = gained - lost
    assert np.mean(limits[:, 0] > truth) < 0.065
    assert np.mean(limits[:, 1] < truth) < 0.065
    assert np.mean((limits[:, 0] <= truth) & (truth <= limits[:, 1])) > 0.885


def slow_delong(y: np.ndarray, new: np.ndarray, old: np.ndarray) -> tuple[float, float]:
    """AUC difference and its variance as the definition has them: every pair of rows, and both covariances (DeLong et al. 1988)."""

    def kernel(scores: np.ndarray) -> np.ndarray:
        return np.array([[1.0 if p > q else 0.5 if p == q else 0.0 for q in scores[y == 0]] for p in scores[y == 1]])

    kernels = [kernel(new), kernel(old)]
    v10 = np.cov(np.stack([k.mean(axis=1) for k in kernels]))
    v01 = np.cov(np.stack([k.mean(axis=0) for k in kernels]))
    whole = v10 / kernels[0].shape[0] + v01 / kernels[0].shape[1]
    contrast = np.array([1.0, -1.0])
    return float(kernels[0].mean() - kernels[1].mean()), float(contrast @ whole @ contrast)


@pytest.mark.parametrize("seed", range(4))
def test_paired_delong_is_its_definition(seed: int) -> None:
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 2, 60)
    old = np.round(rng.normal(y, 1.2), 1)
    new = np.round(old + rng.normal(0, 0.5, 60), 1)  # ties
    value, variance = slow_delong(y, new, old)
    found = auc_change(y, new, old, level=0.95)
    assert found is not None
    assert found[0] - found[1] == pytest.approx(value, abs=1e-12)
    half = float(norm.isf(0.025)) * math.sqrt(variance)
    assert bounds(found[2]) == pytest.approx((value - half, value + half), abs=1e-12)


def test_scores_that_rank_alike_are_not_certain_to_do_so() -> None:
    y, score = np.array([0, 0, 1, 1, 1]), np.array([0.1, 0.4, 0.3, 0.8, 0.9])
    found = auc_change(y, 2 * score, score, level=0.95)
    assert found is not None
    z2 = float(norm.isf(0.025)) ** 2
    assert bounds(found[2]) == pytest.approx((-z2 / (2 + z2), z2 / (2 + z2)))
    assert found[2].method == "ranked_alike"  # which a page says in words
    assert auc_change(np.array([1, 1]), [0.1, 0.2], [0.1, 0.2], level=0.95) is None


def test_mean_change_is_the_paired_t_test() -> None:
    rng = np.random.default_rng(0)
    old = rng.normal(size=80)
    new = old + rng.normal(0.1, 0.3, 80)
    found = mean_change(moments(new - old), level=0.95)  # type: ignore[arg-type]
    reference = ttest_rel(new, old).confidence_interval(0.95)
    assert bounds(found) == pytest.approx((reference.low, reference.high))
    same = mean_change(moments(np.zeros(9)), level=0.95)  # type: ignore[arg-type]
    assert (same.low, same.high, same.method) == (0.0, 0.0, "identical")


def test_mover_of_wilson_limits_is_newcombe() -> None:
    from audit.stats.compare import newcombe

    one, two = (limits_of(w) for w in (wilson(56, 70, level=0.95), wilson(48, 80, level=0.95)) if w is not None)
    found = mover(one, two)
    assert (found.low, found.high) == pytest.approx(bounds(newcombe(56, 70, 48, 80, level=0.95)))


gaps = st.floats(-0.5, 0.5)
slack = st.floats(0, 0.3)


@given(gaps, gaps, slack, slack, slack, slack)
def test_growth_holds_where_its_parts_hold(now: float, before: float, a: float, b: float, c: float, d: float) -> None:
    """Whatever the signs: if the limits of g1 − g0 and g1 + g0 hold them, those of |g1| − |g0| hold it."""
    change, total = Limits(now - before, now - before - a, now - before + b), Limits(now + before, now + before - c, now + before + d)
    found = growth(change, total)
    truth = abs(now) - abs(before)
    assert found.low - 1e-12 <= truth <= found.high + 1e-12
    assert found.high <= max(b - (before - now), a + (before - now)) + 1e-12, "never more than how far the gap moved"


@pytest.mark.parametrize(("before", "now"), [(0.0, 0.05), (0.0, -0.05), (0.03, 0.08), (-0.03, 0.08), (0.05, 0.0)])
def test_both_sides_of_growth_cover(before: float, now: float) -> None:
    """Estimates of two gaps, alike or not, each with errors of 0.03: one-sided at 95 % from parts at 97.5 %."""
    rng = np.random.default_rng(3)
    truth, sd = abs(now) - abs(before), 0.03
    z = float(norm.isf(0.025))
    for correlation in (0.0, 0.9):
        draws = rng.multivariate_normal([before, now], sd**2 * np.array([[1, correlation], [correlation, 1]]), size=3000)
        d, s = draws[:, 1] - draws[:, 0], draws[:, 1] + draws[:, 0]
        hd, hs = z * sd * math.sqrt(2 * (1 - correlation)), z * sd * math.sqrt(2 * (1 + correlation))
        found = [growth(Limits(x, x - hd, x + hd), Limits(y, y - hs, y + hs)) for x, y in zip(d, s, strict=True)]
        assert np.mean([f.high < truth for f in found]) < 0.06
        assert np.mean([f.low > truth for f in found]) < 0.06


def test_a_printed_interval_at_another_level() -> None:
    found = Estimate(value=0.5, low=0.5 - 1.959964, high=0.5 + 2 * 1.959964, level=0.95, method="x", n=9)
    moved = at_level(found, 0.90)
    assert (moved.low, moved.high) == pytest.approx((0.5 - 1.644854, 0.5 + 2 * 1.644854), abs=1e-5)
    assert interval_p(found) == pytest.approx(2 * norm.sf(0.5))
    assert interval_p(found.model_copy(update={"value": 0.0})) == 1.0


#: Albumin, total protein, K-G score (10 less it is the marker) and outcome of 43 patients: DeLong, DeLong and Clarke-Pearson 1988, as printed in
#: SAS/STAT's documentation of PROC LOGISTIC, example "Comparing Receiver Operating Characteristic Curves".
PATIENTS = np.array(
    [
        "3.0",
        "5.8",
        "10",
        "0",
        "3.2",
        "6.3",
        "5",
        "1",
        "3.9",
        "6.8",
        "3",
        "1",
        "2.8",
        "4.8",
        "6",
        "0",
        "3.2",
        "5.8",
        "3",
        "1",
        "0.9",
        "4.0",
        "5",
        "0",
        "2.5",
        "5.7",
        "8",
        "0",
        "1.6",
        "5.6",
        "5",
        "1",
        "3.8",
        "5.7",
        "5",
        "1",
        "3.7",
        "6.7",
        "6",
        "1",
        "3.2",
        "5.4",
        "4",
        "1",
        "3.8",
        "6.6",
        "6",
        "1",
        "4.1",
        "6.6",
        "5",
        "1",
        "3.6",
        "5.7",
        "5",
        "1",
        "4.3",
        "7.0",
        "4",
        "1",
        "3.6",
        "6.7",
        "4",
        "0",
        "2.3",
        "4.4",
        "6",
        "1",
        "4.2",
        "7.6",
        "4",
        "0",
        "4.0",
        "6.6",
        "6",
        "0",
        "3.5",
        "5.8",
        "6",
        "1",
        "3.8",
        "6.8",
        "7",
        "1",
        "3.0",
        "4.7",
        "8",
        "0",
        "4.5",
        "7.4",
        "5",
        "1",
        "3.7",
        "7.4",
        "5",
        "1",
        "3.1",
        "6.6",
        "6",
        "1",
        "4.1",
        "8.2",
        "6",
        "1",
        "4.3",
        "7.0",
        "5",
        "1",
        "4.3",
        "6.5",
        "4",
        "1",
        "3.2",
        "5.1",
        "5",
        "1",
        "2.6",
        "4.7",
        "6",
        "1",
        "3.3",
        "6.8",
        "6",
        "0",
        "1.7",
        "4.0",
        "7",
        "0",
        "3.7",
        "6.1",
        "5",
        "1",
        "3.3",
        "6.3",
        "7",
        "1",
        "4.2",
        "7.7",
        "6",
        "1",
        "3.5",
        "6.2",
        "5",
        "1",
        "2.9",
        "5.7",
        "9",
        "0",
        "2.1",
        "4.8",
        "7",
        "1",
        "2.8",
        "6.2",
        "8",
        "0",
        "4.0",
        "7.0",
        "7",
        "1",
        "3.3",
        "5.7",
        "6",
        "1",
        "3.7",
        "6.9",
        "5",
        "1",
        "3.6",
        "6.6",
        "5",
        "1",
    ],
    dtype=float,
).reshape(-1, 4)


def test_paired_difference_is_that_of_the_published_example() -> None:
    """Total protein against the K-G score, and the standard error of each area, to the printed digit."""
    y = PATIENTS[:, 3]
    markers = {"albumin": PATIENTS[:, 0], "protein": PATIENTS[:, 1], "score": 10 - PATIENTS[:, 2]}
    printed = {"albumin": (0.7366, 0.0927), "protein": (0.6478, 0.1000), "score": (0.7258, 0.1028)}
    for name, marker in markers.items():
        area, variance = delong(rank(marker, y))
        assert (round(area, 4), round(variance**0.5, 4)) == printed[name]
    found = auc_change(y, markers["protein"], markers["score"], level=0.95)[2]
    assert [round(v, 4) for v in (found.value, found.low, found.high)] == [-0.0780, -0.2830, 0.1271]
