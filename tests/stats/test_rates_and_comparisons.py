"""Rates, differences, ratios: published values, the slow library as twin, properties, and the coverage that the intervals promise."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from audit.stats import compare, scores
from audit.stats.rates import clopper_pearson, jeffreys, wilson, wilson_limits

counts = st.integers(1, 400).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))
pairs = st.tuples(counts, counts).map(lambda c: (*c[0], *c[1]))
RATES = [wilson, clopper_pearson, jeffreys]
RATIOS = [compare.miettinen_nurminen, compare.koopman, compare.katz, compare.odds_ratio]
COMPARISONS = [compare.newcombe, compare.adjusted_log, *RATIOS]


def limits(estimate):
    return None if estimate is None else (estimate.low, estimate.high)


@pytest.mark.parametrize(
    ("function", "k", "n", "low", "high"),
    [
        (wilson, 8, 10, 0.49016, 0.94332),
        (clopper_pearson, 8, 10, 0.44390, 0.97479),
        (jeffreys, 8, 10, 0.49723, 0.95594),
        (wilson, 0, 20, 0.0, 0.16113),
        (clopper_pearson, 0, 20, 0.0, 0.16843),
    ],
)
def test_published_rates(function, k, n, low, high):
    assert limits(function(k, n, level=0.95)) == pytest.approx((low, high), abs=1e-5)


@pytest.mark.parametrize(
    ("counts", "katz", "koopman", "mn"),
    [  # regulation, section 4: LL144's official example and textbook cases
        ((555, 1181, 667, 1390), (0.9026, 1.0626), (0.9023, 1.0624), (0.9023, 1.0624)),
        ((170, 390, 412, 797), (0.7394, 0.9616), (0.7372, 0.9587), (0.7372, 0.9588)),
        ((18, 41, 412, 797), (0.5970, 1.2081), (0.5752, 1.1511), (0.5750, 1.1513)),
        ((95, 226, 215, 412), (0.6736, 0.9633), (0.6703, 0.9586), (0.6702, 0.9587)),
        ((7, 17, 215, 412), (0.4437, 1.4031), (0.4117, 1.2428), (0.4114, 1.2433)),
        ((2, 8, 5, 10), (0.1295, 1.9303), (0.1298, 1.6458), (0.1253, 1.6968)),
        ((400, 1000, 500, 1000), (0.7253, 0.8824), (0.7250, 0.8821), (0.7250, 0.8821)),
        ((1, 34, 7, 34), (0.0186, 1.0994), (0.0235, 0.8191), (0.0232, 0.8274)),
        ((56, 70, 48, 80), (1.07663, 1.65125), (1.07982, 1.67081), None),
        ((4, 20, 15, 30), (0.15520, 1.03093), (0.15284, 0.93395), None),
        ((0, 12, 9, 30), None, None, (0.0, 0.8781)),
    ],
)
def test_published_ratios(counts, katz, koopman, mn):
    for function, expected in [(compare.katz, katz), (compare.koopman, koopman), (compare.miettinen_nurminen, mn)]:
        if expected is not None:
            assert limits(function(*counts, level=0.95)) == pytest.approx(expected, abs=5.1e-5)
    value = compare.miettinen_nurminen(*counts, level=0.95).value
    assert value == pytest.approx((counts[0] / counts[1]) / (counts[2] / counts[3]), abs=1e-15)


def test_published_differences_and_adjusted_log():
    assert limits(compare.newcombe(56, 70, 48, 80, level=0.95)) == pytest.approx((0.05243, 0.33387), abs=1e-5)
    assert limits(compare.newcombe(5, 7, 5, 11, level=0.95)) == pytest.approx((-0.18376, 0.57580), abs=1e-5)
    assert compare.newcombe(5, 7, 5, 11, level=0.95).value == pytest.approx(0.259740, abs=1e-6)  # fairlearn's page, 18 rows
    assert compare.koopman(5, 11, 5, 7, level=0.95).value == pytest.approx(0.636364, abs=1e-6)
    assert limits(compare.adjusted_log(0, 12, 9, 30, level=0.95)) == pytest.approx((0.0081, 2.0424), abs=5.1e-5)


@pytest.mark.parametrize(
    ("counts", "z", "p", "fisher"),
    [
        ((555, 1181, 667, 1390), -0.5017, 0.6159, 0.6345),
        ((170, 390, 412, 797), -2.6233, 0.008707, 0.00943),
        ((18, 41, 412, 797), -0.9734, 0.3304, 0.3416),
        ((95, 226, 215, 412), -2.4531, 0.01416, 0.01629),
        ((7, 17, 215, 412), -0.8901, 0.3734, 0.4605),
        ((2, 8, 5, 10), -1.0811, 0.2796, 0.3665),
        ((400, 1000, 500, 1000), -4.4947, 6.97e-06, 8.45e-06),
        ((1, 34, 7, 34), -2.2583, 0.02393, 0.0544),
    ],
)
def test_published_tests(counts, z, p, fisher):
    assert compare.pooled_score_test(*counts) == (pytest.approx(z, abs=5.1e-5), pytest.approx(p, rel=1e-3))
    assert compare.fisher_exact(*counts) == pytest.approx(fisher, rel=1e-3)


def test_the_regulation_page_s_single_figures() -> None:
    """A rate of 40 of 100; a sampled pass rate whose interval lies below it; the jurors of Castaneda v. Partida, 430 U.S. 482, n. 17, against a known share."""
    assert wilson(40, 100, level=0.95).value == 0.4
    assert wilson(900, 1000, level=0.95).low == pytest.approx(0.880, abs=5e-4)
    z, _ = compare.pooled_score_test(339, 870, 791 * 10**9, 10**12) or (0.0, 0.0)  # so many that their share is as good as known
    assert z == pytest.approx(-29.1, abs=0.05)


def test_far_in_the_tail_equal_rates_are_not_rejected_too_often() -> None:
    """All tables of 60 and 540 rows at a common rate of .1, weighed by their chance: the score test alone exceeds its level 1.48 times at .001."""
    n1, n0, rate = 60, 540, 0.1
    few, many = stats.binom.pmf(range(n1 + 1), n1, rate), stats.binom.pmf(range(n0 + 1), n0, rate)
    rejected = {"alone": 0.0, "ours": 0.0}
    for k1 in np.flatnonzero(few > 1e-12):
        for k0 in np.flatnonzero(many > 1e-9):
            alone = compare.pooled_score_test(int(k1), n1, int(k0), n0)
            ours = compare.equality_test(int(k1), n1, int(k0), n0)
            assert alone is not None
            assert ours is not None
            rejected["alone"] += few[k1] * many[k0] * (alone[1] <= 0.001)
            rejected["ours"] += few[k1] * many[k0] * (ours[0] <= 0.001)
    assert rejected["alone"] == pytest.approx(0.00148, abs=0.00001)
    assert rejected["ours"] <= 0.001


def test_equality_test_says_which_test_it_made():
    assert compare.equality_test(400, 1000, 500, 1000)[1].startswith("score")
    assert compare.equality_test(1, 34, 7, 34) == (pytest.approx(0.0544, abs=1e-4), "fisher_exact")  # 4 expected
    assert compare.equality_test(5, 10, 5, 10)[1].startswith("score")  # 5 expected is enough
    assert compare.equality_test(0, 10, 0, 10) == (1.0, "fisher_exact")
    assert compare.equality_test(10, 10, 7, 7) == (1.0, "fisher_exact")


@pytest.mark.parametrize("level", [0.8, 0.95, 0.999])
def test_statsmodels_agrees(level):
    from statsmodels.stats.proportion import confint_proportions_2indep as reference
    from statsmodels.stats.proportion import proportion_confint

    for k, n in [(1, 9), (5, 17), (200, 1000)]:
        for function, method in [(wilson, "wilson"), (clopper_pearson, "beta"), (jeffreys, "jeffreys")]:
            assert limits(function(k, n, level=level)) == pytest.approx(proportion_confint(k, n, alpha=1 - level, method=method), abs=1e-12)
    for c in [(2, 8, 5, 10), (30, 70, 48, 80), (170, 390, 412, 797), (9, 10, 3, 40)]:
        for function, kind, corrected in [
            (compare.miettinen_nurminen, "ratio", True),
            (compare.koopman, "ratio", False),
            (compare.odds_ratio, "odds-ratio", True),
        ]:
            expected = reference(*c, method="score", compare=kind, correction=corrected, alpha=1 - level)
            assert limits(function(*c, level=level)) == pytest.approx(expected, rel=1e-6)
        assert limits(compare.newcombe(*c, level=level)) == pytest.approx(reference(*c, method="newcomb", compare="diff", alpha=1 - level))


@given(counts, st.sampled_from(RATES))
def test_a_rate_lies_in_its_interval_and_mirrors(kn, function):
    k, n = kn
    e, other, wider = function(k, n, level=0.9), function(n - k, n, level=0.9), function(k, n, level=0.99)
    assert 0 <= wider.low <= e.low <= e.value <= e.high <= wider.high <= 1
    assert (1 - other.high, 1 - other.low) == pytest.approx(limits(e), abs=1e-9)
    assert e.low == 0 if k == 0 else e.low > 0
    assert e.high == 1 if k == n else e.high < 1


@given(pairs, st.sampled_from(COMPARISONS))
@settings(max_examples=200)
def test_a_comparison_lies_in_its_interval_and_widens_with_the_level(c, function):
    e, wider = function(*c, level=0.9), function(*c, level=0.99)
    if e is not None:
        assert wider.low <= e.low <= e.value <= e.high <= wider.high
        assert e.high > e.low
        assert all(map(math.isfinite, (e.value, *limits(e))))


@given(pairs)
@settings(max_examples=100)
def test_swapping_the_groups_turns_differences_and_ratios_round(c):
    k1, n1, k0, n0 = c
    d, back = compare.newcombe(*c, level=0.95), compare.newcombe(k0, n0, k1, n1, level=0.95)
    assert (-back.high, -back.low) == pytest.approx(limits(d), abs=1e-12)
    assert compare.equality_test(*c)[0] == pytest.approx(compare.equality_test(k0, n0, k1, n1)[0], rel=1e-6, abs=1e-12)
    for function in RATIOS:
        one, other = function(*c, level=0.95), function(k0, n0, k1, n1, level=0.95)
        if one is not None and other is not None:
            assert one.low * other.high == pytest.approx(1, rel=1e-8) if other.high and one.low else one.low == 0
            assert one.high * other.low == pytest.approx(1, rel=1e-8) if other.low else other.low == 0


@given(pairs)
@settings(max_examples=100)
def test_the_ratio_interval_is_where_the_score_test_does_not_reject(c):
    e = compare.miettinen_nurminen(*c, level=0.95)
    if e is not None:
        if e.low > 0:
            assert scores.ratio_z(*c, e.low) == pytest.approx(1.959964, abs=1e-5)
        assert scores.ratio_z(*c, e.high) == pytest.approx(-1.959964, abs=1e-5)


@pytest.mark.parametrize("function", RATES)
def test_rates_at_the_edges(function):
    assert function(0, 0, level=0.95) is None
    for k, n in [(2, 1), (-1, 3), (0, -1)]:
        with pytest.raises(ValueError, match="expected 0 <= k <= n"):
            function(k, n, level=0.95)
    for level in (0.0, 1.0, 95, math.nan):
        with pytest.raises(ValueError, match="expected level strictly between 0 and 1"):
            function(1, 2, level=level)
    with pytest.raises(TypeError):
        function(1.5, 2, level=0.95)
    assert function(np.int64(10**7 // 2), np.int64(10**7), level=0.95).high < 0.5004


@pytest.mark.parametrize(
    "function", [*COMPARISONS, lambda *c, level: compare.equality_test(*c), lambda *c, level: compare.fisher_exact(*c)]
)
def test_comparisons_at_the_edges(function):
    for c in [(0, 0, 1, 2), (1, 2, 0, 0), (0, 0, 0, 0)]:
        assert function(*c, level=0.95) is None
    with pytest.raises(ValueError, match="expected 0 <= k <= n"):
        function(3, 2, 1, 2, level=0.95)
    for n1, n0 in [(1, 1), (1, 3), (5, 2), (40, 10**7)]:
        for k1 in {0, 1, n1}:
            for k0 in {0, 1, n0}:
                function(k1, n1, k0, n0, level=0.95)  # no warning, no NaN


def test_where_a_ratio_is_not_defined():
    assert compare.miettinen_nurminen(3, 10, 0, 10, level=0.95) is None
    assert compare.odds_ratio(10, 10, 3, 10, level=0.95) is None
    assert compare.katz(0, 10, 3, 10, level=0.95) is None
    assert compare.katz(10, 10, 10, 10, level=0.95) is None
    low, high = scores.ratio_limits(8, 10, 0, 10, level=0.95)
    assert low > 1
    assert high == np.inf
    # everybody in both: beyond 1 the restricted rates are 1 and 1/ratio, so z² = (ratio − 1) n0 (N − 1) / N
    high = 1 + 1.959964**2 * 20 / 19 / 10
    assert limits(compare.miettinen_nurminen(10, 10, 10, 10, level=0.95)) == pytest.approx((1 / high, high), abs=1e-6)


def _draws(n1, p1, n0, p0, draws=4000):
    rng = np.random.default_rng([n1, n0, int(1000 * p1), int(1000 * p0)])
    return rng.binomial(n1, p1, draws), n1, rng.binomial(n0, p0, draws), n0


@pytest.mark.parametrize(("n1", "p1", "n0", "p0"), [(50, 0.3, 450, 0.3), (30, 0.5, 300, 0.8), (200, 0.08, 2000, 0.1), (60, 0.9, 60, 0.9)])
def test_intervals_cover_what_they_promise(n1, p1, n0, p0):
    draws = _draws(n1, p1, n0, p0)
    odds = (p1 / (1 - p1)) / (p0 / (1 - p0))
    for (low, high), truth in [
        (scores.difference_limits(*draws, level=0.95), p1 - p0),
        (scores.ratio_limits(*draws, level=0.95), p1 / p0),
        (scores.odds_ratio_limits(*draws, level=0.95), odds),
        (wilson_limits(draws[0], n1, level=0.95), p1),
    ]:
        assert 0.935 < np.mean((low <= truth) & (truth <= high)) < 0.985


def test_means_by_hand_and_by_scipy():
    from scipy.stats import ttest_ind

    rng = np.random.default_rng(1)
    a, b = rng.normal(1, 2, 12), rng.normal(0, 1, 30)
    triples = [(x.size, float(x.mean()), float(x.var(ddof=1))) for x in (a, b)]
    expected = ttest_ind(a, b, equal_var=False)
    e = compare.mean_difference(*triples, level=0.9)
    assert limits(e) == pytest.approx(tuple(expected.confidence_interval(0.9)))
    assert compare.mean_test(*triples)[0] == pytest.approx(expected.pvalue)
    # 4 rows 1, 2, 3, 4: mean 2.5, variance 5/3, half width 3.182446 * sqrt(5/12)
    assert limits(compare.mean_interval(4, 2.5, 5 / 3, level=0.95)) == pytest.approx((2.5 - 2.05426, 2.5 + 2.05426), abs=1e-4)
    assert compare.mean_interval(1, 2.5, 0.0, level=0.95) is None
    assert compare.mean_difference((5, 1.0, 0.0), (5, 1.0, 0.0), level=0.95) is None
    with pytest.raises(ValueError, match="finite"):
        compare.mean_difference((5, math.nan, 1.0), (5, 1.0, 0.0), level=0.95)
    with pytest.raises(ValueError, match="variance"):
        compare.mean_interval(5, 1.0, -1.0, level=0.95)


def test_the_sampling_error_of_1508_pairs_is_published():
    """1.29 points (Nangia et al. 2020, CrowS-Pairs): half of the interval at one half, in standard deviations."""
    e = wilson(754, 1508, level=0.95)
    assert (e.high - e.low) / 2 / 1.959964 == pytest.approx(0.0129, abs=5e-5)
