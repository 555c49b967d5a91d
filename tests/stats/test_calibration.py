"""Calibration and Brier score: published values, library twins, row order and ties, coverage, and answers that do not exist."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.stats import brier, calibration
from audit.stats.ranked import rank

rows = st.lists(st.tuples(st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.7, 0.99, 1.0]), st.booleans()), min_size=2, max_size=60)
CONSTANT = rank([0.6] * 100, [1] * 50 + [0] * 50)
TWO = rank([0.2] * 50 + [0.8] * 50, [1] * 10 + [0] * 40 + [1] * 30 + [0] * 20)


def draw(rng, n, slope=1.0):
    p = rng.random(n)
    truth = p**slope / (p**slope + (1 - p) ** slope)  # logit of the truth is slope times logit p
    return rank(p, rng.random(n) < truth)


def test_published_constant_score():
    assert calibration.expected_calibration_error(CONSTANT) == pytest.approx(0.1)
    assert calibration.debiased_square(CONSTANT) == pytest.approx(0.0074747474)
    e = calibration.calibration_error(CONSTANT, level=0.95, rng=np.random.default_rng(0))
    assert e.value == pytest.approx(0.0864566, abs=1e-7)
    large = calibration.in_the_large_ranked(CONSTANT, level=0.95)  # FAIR-09
    assert large.value == pytest.approx(0.1)
    # sd of y is sqrt(.25 * 100/99), half width 1.96 * sd / 10
    assert large.high - large.value == pytest.approx(1.959964 * math.sqrt(0.25 * 100 / 99) / 10)


def test_published_brier_decomposition():
    parts = brier.murphy(TWO)
    assert (parts.brier, parts.reliability, parts.resolution, parts.uncertainty) == pytest.approx((0.22, 0.02, 0.04, 0.24))
    assert parts.within == pytest.approx(0)
    assert brier.brier_skill(TWO, level=0.95).value == pytest.approx(1 - 0.22 / 0.24)


def test_ece_of_a_calibrated_model_is_as_large_as_published():
    rng = np.random.default_rng(1)
    for n, expected in [(200, 0.084), (1000, 0.040), (10_000, 0.013)]:
        found = np.mean([calibration.expected_calibration_error(draw(rng, n)) for _ in range(60)])
        assert found == pytest.approx(expected, abs=0.15 * expected)
        debiased = np.mean([calibration.debiased_square(draw(rng, n)) for _ in range(60)])
        assert abs(debiased) < 0.2 * expected**2


@given(rows, st.integers(1, 20))
def test_brier_decomposition_adds_up(rows, bins):
    p, y = np.array([r[0] for r in rows]), np.array([r[1] for r in rows])
    parts = brier.murphy(rank(p, y), bins=bins)
    assert parts.brier == pytest.approx(np.mean((p - y) ** 2))
    assert parts.brier == pytest.approx(parts.reliability - parts.resolution + parts.uncertainty + parts.within)
    assert min(parts.reliability, parts.resolution, parts.uncertainty) >= 0


@given(rows, st.randoms(), st.integers(1, 20))
def test_row_order_does_not_move_a_digit_and_ties_stay_together(rows, random, bins):
    def everything(rows):
        table = rank([r[0] for r in rows], [r[1] for r in rows])
        rng = np.random.default_rng(0)
        return (
            calibration.in_the_large_ranked(table, level=0.9),
            calibration.slope_and_intercept(table, level=0.9),
            calibration.reliability_curve(table, level=0.9, bins=bins),
            calibration.expected_calibration_error(table, bins=bins),
            calibration.calibration_error(table, level=0.9, rng=rng, bins=bins, replicates=50),
            brier.brier_score(table, level=0.9),
            brier.brier_skill(table, level=0.9),
            brier.log_loss_skill(table, level=0.9),
            brier.murphy(table, bins=bins),
        )

    before = everything(rows)
    random.shuffle(rows)
    assert everything(rows) == before
    curve = before[2]
    assert sum(point.rate.n for point in curve) == len(rows)
    assert all(a.high < b.low for a, b in pairwise(curve))
    assert all(p.low - 1e-12 <= p.mean <= p.high + 1e-12 for p in curve)
    assert before[3] >= abs(before[0].value) - 1e-12  # a mean of gaps is at least the gap of means


def test_bins_hold_equally_many_where_nothing_ties():
    bins = calibration.equal_mass_bins(draw(np.random.default_rng(2), 1000), bins=15)
    sizes = bins.positives + bins.negatives
    assert sizes.size == 15
    assert sizes.max() - sizes.min() <= 1


def test_statsmodels_fits_the_same_line():
    import statsmodels.api as sm

    table = draw(np.random.default_rng(3), 500, slope=0.6)
    line = calibration.slope_and_intercept(table, level=0.9)
    logits = np.log(table.scores / (1 - table.scores))
    design = np.column_stack([np.ones(logits.size), logits])
    fit = sm.GLM(np.column_stack([table.positives, table.negatives]), design, family=sm.families.Binomial()).fit(tol=1e-12)
    expected = fit.conf_int(0.1)
    assert (line.intercept.low, line.intercept.high) == pytest.approx(tuple(expected[0]), abs=1e-6)
    assert (line.slope.low, line.slope.high) == pytest.approx(tuple(expected[1]), abs=1e-6)


def test_a_start_from_neighbours_ends_at_the_same_line():
    table = draw(np.random.default_rng(4), 60_000, slope=1.4)
    x, n = np.log(table.scores / (1 - table.scores)), table.positives + table.negatives
    beta, _ = calibration._fit(np.clip(x, -13.8155, 13.8155), table.positives, n, np.array([0.0, 1.0]))
    assert calibration.slope_and_intercept(table, level=0.9).slope.value == pytest.approx(beta[1], abs=1e-6)


def test_a_bad_start_is_halved_until_it_works():
    """Logits far apart: a full Newton step from (0, 1) overshoots."""
    p = np.array([1e-6, 1e-6, 1 - 1e-6, 1 - 1e-6, 1e-6, 1 - 1e-6])
    line = calibration.slope_and_intercept(rank(p, [0, 1, 0, 1, 0, 1]), level=0.9)
    # 1 of 3 at the low score and 2 of 3 at the high one: the slope is log 2 / logit(1 − 1e-6)
    assert line.slope.value == pytest.approx(math.log(2) / math.log((1 - 1e-6) / 1e-6), rel=1e-6)
    assert line.intercept.value == pytest.approx(0, abs=1e-9)


def test_lines_that_do_not_exist():
    for p, y in [([0.1, 0.2, 0.8], [0, 0, 1]), ([0.1, 0.2, 0.8], [1, 1, 0]), ([0.5] * 4, [0, 1, 0, 1]), ([0.1, 0.7], [1, 1]), ([], [])]:
        assert calibration.slope_and_intercept(rank(p, y), level=0.9) is None
    assert calibration.slope_and_intercept(rank([0.1, 0.4, 0.4, 0.8], [0, 0, 1, 1]), level=0.9) is None  # they meet at one score only


@pytest.mark.parametrize("slope", [1.0, 0.6])
def test_intervals_cover(slope):
    rng = np.random.default_rng(int(10 * slope))
    big = draw(rng, 2_000_000, slope)
    truth = {
        "large": 0.0,  # symmetric
        "slope": slope,
        "skill": brier.brier_skill(big, level=0.9).value,
        "log": brier.log_loss_skill(big, level=0.9).value,
        "score": brier.brier_score(big, level=0.9).value,
    }
    hits = dict.fromkeys(truth, 0)
    for _ in range(1000):
        table = draw(rng, 500, slope)
        found = {
            "large": calibration.in_the_large_ranked(table, level=0.95),
            "slope": calibration.slope_and_intercept(table, level=0.95).slope,
            "skill": brier.brier_skill(table, level=0.95),
            "log": brier.log_loss_skill(table, level=0.95),
            "score": brier.brier_score(table, level=0.95),
        }
        for name, e in found.items():
            hits[name] += e.low <= truth[name] <= e.high
    assert all(930 < count < 970 for count in hits.values()), hits


@pytest.mark.parametrize(("n", "slope", "least"), [(1000, 1.0, 0.95), (1000, 0.6, 0.93), (5000, 0.6, 0.93)])
def test_calibration_error_interval_covers(n, slope, least):
    rng = np.random.default_rng(n)
    truth = 0.0 if slope == 1 else math.sqrt(calibration.debiased_square(draw(rng, 2_000_000, slope)))
    found = [calibration.calibration_error(draw(rng, n, slope), level=0.95, rng=rng, replicates=300) for _ in range(400)]
    assert np.mean([e.low <= truth <= e.high for e in found]) >= least
    if n == 5000:
        assert np.mean([e.low > 0 for e in found]) > 0.95  # and it finds what is there


def test_no_event_is_not_certainty():
    table = rank(np.full(200, 0.01), np.zeros(200))
    e = calibration.in_the_large_ranked(table, level=0.95)
    assert e.value == pytest.approx(0.01)
    assert e.low == pytest.approx(0.01 - 0.018845, abs=1e-5)  # Wilson's upper limit of 0 in 200
    assert e.method == "wilson"
    right = rank(np.repeat([0.0, 1.0], 50), np.repeat([0, 1], 50))
    assert brier.brier_skill(right, level=0.95).low < 0.9
    assert brier.log_loss_skill(right, level=0.95) is None
    assert brier.brier_score(right, level=0.95) is None


def test_one_guess_for_everybody_has_no_skill():
    y = np.arange(1000) < 300
    for p, inside in [(0.3, True), (0.31, True), (0.5, False)]:
        for skill in (brier.brier_skill, brier.log_loss_skill):
            e = skill(rank(np.full(1000, p), y), level=0.9)
            assert e.low < e.value <= e.high
            assert e.high == 0 if inside else e.high < 0


def test_edges():
    empty = rank([], [])
    assert calibration.expected_calibration_error(empty) is None
    assert calibration.debiased_square(empty) is None
    assert calibration.reliability_curve(empty, level=0.9) == []
    assert brier.murphy(empty) is None
    one = rank([0.3], [1])
    for function in (calibration.in_the_large_ranked, brier.brier_score, brier.brier_skill):
        assert function(empty, level=0.9) is None
        assert function(one, level=0.9) is None
    assert calibration.calibration_error(one, level=0.9, rng=np.random.default_rng(0)) is None
    with pytest.raises(ValueError, match="expected probabilities"):
        calibration.expected_calibration_error(rank([1.2], [1]))
    with pytest.raises(ValueError, match="bins"):
        calibration.expected_calibration_error(one, bins=0)
    with pytest.raises(ValueError, match="events"):
        calibration.in_the_large((10, 0.1, 0.2), 11, level=0.9)
