"""Strata taken together: values worked by hand, published ones, and what must be so."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from audit.measurement import Estimate
from audit.stats.compare import katz
from audit.stats.pooling import cochran_q, inverse_variance, pool_estimates, same_differences, same_rates, variance_of
from audit.stats.stratified import mantel_haenszel_ratio, stratify

counts = st.tuples(st.integers(1, 40), st.integers(1, 60), st.integers(1, 40), st.integers(1, 60)).map(
    lambda t: (t[0], t[0] + t[1], t[2], t[2] + t[3])
)


def around(value: float, se: float, level: float = 0.95, n: int = 10) -> Estimate:
    z = stats.norm.ppf((1 + level) / 2)
    return Estimate(value=value, low=value - z * se, high=value + z * se, level=level, method="normal", n=n)


@given(counts)
def test_one_stratum_is_the_ratio_with_its_log_interval(c: tuple[int, int, int, int]) -> None:
    tables = stratify(*([v] for v in c))
    assert tables is not None
    pooled, alone = mantel_haenszel_ratio(tables, level=0.9), katz(*c, level=0.9)
    assert pooled is not None
    assert alone is not None
    assert (pooled.value, pooled.low, pooled.high) == pytest.approx((alone.value, alone.low, alone.high))


def test_the_ratio_over_strata_is_statsmodels_and_its_variance_greenland_and_robins() -> None:
    from statsmodels.stats.contingency_tables import StratifiedTable

    k1, n1, k0, n0 = [8, 22], [106 + 8, 76 + 22], [5, 16], [120 + 5, 69 + 16]
    tables = stratify(k1, n1, k0, n0)
    assert tables is not None
    e = mantel_haenszel_ratio(tables, level=0.95)
    assert e is not None
    shown = StratifiedTable([np.array([[a, m - a], [c, n - c]]) for a, m, c, n in zip(k1, n1, k0, n0, strict=True)])
    assert e.value == pytest.approx(shown.riskratio_pooled)
    # by hand: ln RR ± 1.96 √V, V = Σ((a + c) m n − a c N)/N² / (R S)
    total = [m + n for m, n in zip(n1, n0, strict=True)]
    r = sum(a * n / t for a, n, t in zip(k1, n0, total, strict=True))
    s = sum(c * m / t for c, m, t in zip(k0, n1, total, strict=True))
    v = sum(((a + c) * m * n - a * c * t) / t**2 for a, m, c, n, t in zip(k1, n1, k0, n0, total, strict=True)) / (r * s)
    assert math.log(e.high / e.value) == pytest.approx(1.959964 * math.sqrt(v), rel=1e-6)


def test_a_ratio_without_events_is_not_defined() -> None:
    for k1, k0 in ((0, 3), (3, 0), (10, 10)):
        tables = stratify([k1], [10], [k0], [10])
        assert tables is not None
        assert mantel_haenszel_ratio(tables, level=0.95) is None


def test_the_test_of_one_rate_is_pearsons() -> None:
    found = same_rates([10, 20], [100, 100])
    assert found is not None
    assert found[0] == pytest.approx(stats.chi2.sf(200 * (10 * 80 - 20 * 90) ** 2 / (30 * 170 * 100 * 100), 1))
    assert same_rates([0, 0], [10, 10]) is None
    assert same_rates([10, 10], [10, 10]) is None
    assert same_rates([1, 0], [10, 0]) is None
    with pytest.raises(ValueError, match="expected"):
        same_rates([11], [10])


def test_q_and_the_weighted_mean_by_hand() -> None:
    # weights 4 and 1: mean (4·1 + 1·3)/5 = 1.4, variance 1/5; Q = 4·0.16 + 1·2.56 = 3.2
    e = inverse_variance([1, 3], [0.25, 1], level=0.95, n=7)
    assert e is not None
    assert (e.value, e.high - e.value, e.n) == pytest.approx((1.4, 1.959964 / math.sqrt(5), 7), rel=1e-6)
    found = cochran_q([1, 3], [0.25, 1])
    assert found is not None
    assert found[0] == pytest.approx(stats.chi2.sf(3.2, 1))
    assert cochran_q([1], [1]) is None
    with pytest.raises(ValueError, match="above 0"):
        cochran_q([1, 2], [1, 0])


@given(st.lists(st.tuples(st.floats(-5, 5), st.floats(0.01, 2)), min_size=2, max_size=6), st.floats(0.5, 0.99))
def test_estimates_carry_their_variance_whatever_their_level(found: list[tuple[float, float]], level: float) -> None:
    pooled, _ = pool_estimates([around(v, s, level) for v, s in found], level=0.95, log=False)
    direct = inverse_variance([v for v, _ in found], [s * s for _, s in found], level=0.95, n=1)
    assert pooled is not None
    assert direct is not None
    assert (pooled.value, pooled.low, pooled.high) == pytest.approx((direct.value, direct.low, direct.high), abs=1e-9)
    assert min(v for v, _ in found) - 1e-9 <= pooled.value <= max(v for v, _ in found) + 1e-9


def test_what_has_no_interval_cannot_be_weighed() -> None:
    exact = Estimate(value=3, low=3, high=3, level=0.95, method="exact", n=5)
    assert variance_of(exact) is None
    assert pool_estimates([exact, around(1, 1)], level=0.95, log=False) == (None, None)
    assert pool_estimates([around(0.1, 1), around(1, 0.1)], level=0.95, log=True) == (None, None), "an interval of a ratio that reaches 0"


def test_q_of_rates_finds_planted_heterogeneity_and_keeps_its_level() -> None:
    rng = np.random.default_rng(1)
    n = np.array([400, 400, 400])
    for log in (False, True):
        same = [same_differences(rng.binomial(n, 0.3), n, rng.binomial(n, 0.4), n, log=log) for _ in range(2000)]
        assert 0.03 < np.mean([p[0] < 0.05 for p in same if p]) < 0.07
        found = same_differences([120, 120, 240], n, [160, 160, 160], n, log=log)
        assert found is not None
        assert found[0] < 1e-6
        assert same_differences([0, 400], [400, 400], [0, 400], [400, 400], log=log) is not None, "½ is added to every cell"
        assert same_differences([1, 2], [10, 10], [0, 3], [0, 10], log=log) is None
