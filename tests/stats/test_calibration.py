"""Calibration and Brier score: published values, library twins, row order and ties, coverage, and answers that do not exist."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.stats import brier, by_chance, calibration, losses, reliability, runs, skill, temperature
from audit.stats.losses import log_losses
from audit.stats.ranked import moments_of, rank
from audit.stats.reliability import equal_mass_bins as bins_of
from audit.stats.sums import moments

rows = st.lists(st.tuples(st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.7, 0.99, 1.0]), st.booleans()), min_size=2, max_size=60)
CONSTANT = rank([0.6] * 100, [1] * 50 + [0] * 50)
TWO = rank([0.2] * 50 + [0.8] * 50, [1] * 10 + [0] * 40 + [1] * 30 + [0] * 20)


def draw(rng, n, slope=1.0):
    p = rng.random(n)
    truth = p**slope / (p**slope + (1 - p) ** slope)  # logit of the truth is slope times logit p
    return rank(p, rng.random(n) < truth)


def by_class(table, loss):
    """Moments of a loss among the rows of outcome 0 and of outcome 1."""
    nothing = np.zeros_like(table.positives)
    return (
        [moments_of(t, loss) for t in (table._replace(positives=nothing), table._replace(negatives=nothing)) if t.rows]
        if table.rows
        else []
    )


def brier_skill(table, *, level):
    return skill.skill_by_class(by_class(table, lambda p, y: (p - y) ** 2), "brier", level=level)


def log_loss_skill(table, *, level):
    return skill.skill_by_class(by_class(table, lambda p, y: log_losses(p if y else 1 - p)), "log", level=level)


def test_published_constant_score():
    assert reliability.expected_calibration_error(bins_of(CONSTANT)) == pytest.approx(0.1)
    assert reliability.debiased_square(bins_of(CONSTANT)) == pytest.approx(0.0074747474)
    e = reliability.calibration_error(bins_of(CONSTANT), level=0.95, rng=np.random.default_rng(0))
    assert e.value == pytest.approx(0.0864566, abs=1e-7)
    assert reliability.smooth_calibration_error(CONSTANT) == pytest.approx(0.1, abs=1e-6)
    large = calibration.in_the_large_ranked(CONSTANT, level=0.95)  # FAIR-09
    assert large.value == pytest.approx(0.1)
    # sd of y is sqrt(.25 * 100/99), half width 1.96 * sd / 10
    assert large.high - large.value == pytest.approx(1.959964 * math.sqrt(0.25 * 100 / 99) / 10)


def test_published_brier_decomposition():
    parts = brier.murphy(bins_of(TWO))
    assert (parts.brier, parts.reliability, parts.resolution, parts.uncertainty) == pytest.approx((0.22, 0.02, 0.04, 0.24))
    assert parts.within == pytest.approx(0)
    assert brier_skill(TWO, level=0.95).value == pytest.approx(1 - 0.22 / 0.24)


def test_ece_of_a_calibrated_model_is_as_large_as_published():
    rng = np.random.default_rng(1)
    for n, expected in [(200, 0.084), (1000, 0.040), (10_000, 0.013)]:
        found = np.mean([reliability.expected_calibration_error(bins_of(draw(rng, n))) for _ in range(60)])
        assert found == pytest.approx(expected, abs=0.15 * expected)
        debiased = np.mean([reliability.debiased_square(bins_of(draw(rng, n))) for _ in range(60)])
        assert abs(debiased) < 0.2 * expected**2


def test_ece_of_a_calibrated_model_has_its_closed_form():
    """CAL-01: fifteen bins of n / 15 uniform scores miss by √(2/π) √(p(1 − p) · 15 / n) on average, and √(p(1 − p)) is π/8 on average: .0858, .0384 and
    .0121, of which the published .084, .040 and .013 are draws."""
    rng = np.random.default_rng(2)
    for n, times in [(200, 600), (1000, 600), (10_000, 150)]:
        found = np.mean([reliability.expected_calibration_error(bins_of(draw(rng, n))) for _ in range(times)])
        assert found == pytest.approx(math.pi / 8 * math.sqrt(2 / math.pi * 15 / n), rel=0.025)


@given(rows, st.integers(1, 20))
def test_brier_decomposition_adds_up(rows, bins):
    p, y = np.array([r[0] for r in rows]), np.array([r[1] for r in rows])
    parts = brier.murphy(bins_of(rank(p, y), bins=bins))
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
            reliability.reliability_curve(table, level=0.9, bins=bins),
            reliability.expected_calibration_error(bins_of(table, bins=bins)),
            reliability.calibration_error(bins_of(table, bins=bins), level=0.9, rng=rng, replicates=50),
            brier.brier_score(table, level=0.9),
            brier_skill(table, level=0.9),
            log_loss_skill(table, level=0.9),
            brier.murphy(bins_of(table, bins=bins)),
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
    bins = reliability.equal_mass_bins(draw(np.random.default_rng(2), 1000), bins=15)
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
    beta, _ = calibration._fit([(np.clip(x, -13.8155, 13.8155), table.positives, n)], np.array([0.0, 1.0]), 14.0)
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
        "skill": brier_skill(big, level=0.9).value,
        "log": log_loss_skill(big, level=0.9).value,
        "score": brier.brier_score(big, level=0.9).value,
    }
    hits = dict.fromkeys(truth, 0)
    for _ in range(1000):
        table = draw(rng, 500, slope)
        found = {
            "large": calibration.in_the_large_ranked(table, level=0.95),
            "slope": calibration.slope_and_intercept(table, level=0.95).slope,
            "skill": brier_skill(table, level=0.95),
            "log": log_loss_skill(table, level=0.95),
            "score": brier.brier_score(table, level=0.95),
        }
        for name, e in found.items():
            hits[name] += e.low <= truth[name] <= e.high
    assert all(930 < count < 970 for count in hits.values()), hits


@pytest.mark.parametrize(("n", "slope", "least"), [(1000, 1.0, 0.95), (1000, 0.6, 0.93), (5000, 0.6, 0.93)])
def test_calibration_error_interval_covers(n, slope, least):
    rng = np.random.default_rng(n)
    truth = 0.0 if slope == 1 else math.sqrt(reliability.debiased_square(bins_of(draw(rng, 2_000_000, slope))))
    found = [reliability.calibration_error(bins_of(draw(rng, n, slope)), level=0.95, rng=rng, replicates=300) for _ in range(400)]
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
    assert brier_skill(right, level=0.95).low < 0.9
    assert log_loss_skill(right, level=0.95) is None
    assert brier.brier_score(right, level=0.95) is None


def test_one_guess_for_everybody_has_no_skill():
    y = np.arange(1000) < 300
    for p, expected in [(0.3, 0.0), (0.31, -0.0001 / 0.21), (0.5, -0.04 / 0.21)]:
        table = rank(np.full(1000, p), y)
        found = skill.constant_skill(by_class(table, lambda p, y: (p - y) ** 2), "brier")
        assert found == pytest.approx(expected, abs=1e-12)
        assert found <= 0
        assert skill.constant_skill(by_class(table, lambda p, y: log_losses(p if y else 1 - p)), "log") <= 0


@given(st.lists(st.tuples(st.floats(0.01, 0.99), st.booleans()), min_size=3, max_size=40))
def test_skill_from_moments_is_that_of_the_rows(rows):
    """The slow twin: every row's own influence on the ratio of two means."""
    p, y = np.array([r[0] for r in rows]), np.array([r[1] for r in rows])
    e = brier_skill(rank(p, y), level=0.9)
    if y.all() or not y.any():
        assert e is None
        return
    loss, trivial = (p - y) ** 2, (y.mean() - y) ** 2
    value = 1 - loss.mean() / trivial.mean()
    half = 1.6448536 * np.std((loss - (1 - value) * trivial) / trivial.mean(), ddof=1) / math.sqrt(len(y))
    assert (e.value, e.value - e.low) == pytest.approx((value, half), rel=1e-6, abs=1e-9)


def test_several_classes_have_the_skill_of_their_rows():
    rng = np.random.default_rng(7)
    p, y = rng.dirichlet([1, 1, 1], 300), rng.integers(0, 3, 300)
    hot, share = np.eye(3)[y], np.bincount(y) / 300
    for kind, loss, trivial in (
        ("brier", ((p - hot) ** 2).sum(axis=1), ((share - hot) ** 2).sum(axis=1)),
        ("log", -np.log(p[np.arange(300), y]), -np.log(share[y])),
    ):
        e = skill.skill_by_class([moments(loss[y == c]) for c in range(3)], kind, level=0.9)
        twin = losses.skill(loss, trivial, level=0.9)
        assert (e.value, e.low, e.high) == pytest.approx((twin.value, twin.low, twin.high), rel=1e-9)


def test_edges():
    empty = rank([], [])
    assert reliability.expected_calibration_error(bins_of(empty)) is None
    assert reliability.debiased_square(bins_of(empty)) is None
    assert reliability.reliability_curve(empty, level=0.9) == []
    assert brier.murphy(bins_of(empty)) is None
    one = rank([0.3], [1])
    for function in (calibration.in_the_large_ranked, brier.brier_score, brier_skill):
        assert function(empty, level=0.9) is None
        assert function(one, level=0.9) is None
    assert reliability.calibration_error(bins_of(one), level=0.9, rng=np.random.default_rng(0)) is None
    with pytest.raises(ValueError, match="expected probabilities"):
        reliability.expected_calibration_error(bins_of(rank([1.2], [1])))
    with pytest.raises(ValueError, match="bins"):
        reliability.expected_calibration_error(bins_of(one, bins=0))
    with pytest.raises(ValueError, match="events"):
        calibration.in_the_large((10, 0.1, 0.2), 11, level=0.9)


# --- pieces ----------------------------------------------------------------------------------------------------------------------------


def test_a_table_in_pieces_gives_what_one_in_memory_gives(monkeypatch):
    """Sorted through a file in many small pieces, with ties across them."""
    monkeypatch.setattr(runs, "ROWS", 1024)
    monkeypatch.setattr(runs, "STEP", 64)
    rng = np.random.default_rng(11)
    p = np.concatenate([rng.random(20_000), rng.choice([0.0, 0.25, 0.5, 1.0], 5000)])
    y = rng.random(25_000) < p**0.7
    table = rank(p, y)
    with runs.Runs() as file:
        file.add(p, y)
        assert len(list(file.pieces())) > 5
        assert file.rows == table.rows
        for a, b in zip(bins_of(file), bins_of(table), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12)
        for function in (calibration.in_the_large_ranked, brier.brier_score):
            a, b = function(file, level=0.9), function(table, level=0.9)
            assert (a.value, a.low, a.high, a.n) == pytest.approx((b.value, b.low, b.high, b.n), rel=1e-12, abs=1e-14)
        one, two = calibration.slope_and_intercept(file, level=0.9), calibration.slope_and_intercept(table, level=0.9)
        for a, b in zip(one, two, strict=True):
            assert (a.value, a.low, a.high) == pytest.approx((b.value, b.low, b.high), rel=1e-9)
        assert reliability.smooth_calibration_error(file) == pytest.approx(reliability.smooth_calibration_error(table), abs=1e-12)
        hot = [temperature.cool_binary(t, level=0.9, rng=np.random.default_rng(0)).temperature.value for t in (file, table)]
        assert hot[0] == pytest.approx(hot[1], rel=1e-9)


@given(rows, st.integers(1, 20), st.integers(1, 30))
def test_bins_taken_together_hold_the_same_rows(rows, bins, least):
    whole = bins_of(rank([r[0] for r in rows], [r[1] for r in rows]), bins=bins)
    merged = reliability.of_at_least(whole, least)
    assert merged.rows.sum() == whole.rows.sum()
    assert merged.rows.min() >= min(least, whole.rows.sum())
    assert (merged.low[0], merged.high[-1]) == (whole.low[0], whole.high[-1])
    p = np.array([r[0] for r in rows])
    inside = [p[(p >= a) & (p <= b)] for a, b in zip(merged.low, merged.high, strict=True)]
    assert [len(x) for x in inside] == merged.rows.tolist()
    np.testing.assert_allclose(merged.spread, [((x - x.mean()) ** 2).sum() for x in inside], atol=1e-9)


# --- what is new to a reader -------------------------------------------------------------------------------------------------------------


def test_published_temperature():
    """CAL-03: a margin of 2 that is right in σ(1) of the rows wants T = 2."""
    right = 731_059
    logits = np.array([[0.0, 2.0], [0.0, 2.0]])
    e = temperature.fit_temperature(logits, np.array([1, 0]), np.array([right, 1_000_000 - right], dtype=float), level=0.95)
    assert e.value == pytest.approx(2, abs=1e-4)
    # the loss's slope in s is 2(σ(2s) − y): information 4σ(1)σ(−1) per row, and T moves by T² of what s moves
    assert math.log(e.high / e.value) == pytest.approx(1.959964 * 2 * 0.5 / math.sqrt(0.25 * 1e6 * 4 * 0.196612), rel=0.2)


def test_a_temperature_is_found_saves_loss_and_changes_no_decision():
    rng = np.random.default_rng(12)
    truth = rng.random(20_000)
    logit = np.log(truth / (1 - truth))
    extreme = 1 / (1 + np.exp(-3 * logit))  # three times too sure
    found = temperature.cool_binary(rank(extreme, rng.random(20_000) < truth), level=0.95, rng=rng)
    assert found.temperature.low < 3 < found.temperature.high
    assert found.gain.low > 0
    assert found.before - found.after == pytest.approx(found.gain.value, abs=1e-9)
    assert found.gain.n == pytest.approx(10_000, abs=400)
    right = temperature.cool_binary(rank(truth, rng.random(20_000) < truth), level=0.95, rng=rng)
    assert right.temperature.low < 1 < right.temperature.high
    assert abs(right.gain.value) < 0.001
    three = rng.dirichlet([1, 1, 1], 10_000)
    y = (rng.random(10_000)[:, None] > three.cumsum(axis=1)).sum(axis=1).clip(0, 2)
    sharp = three**2 / (three**2).sum(axis=1, keepdims=True)
    assert temperature.cool(sharp, y, level=0.99, rng=rng).temperature.value == pytest.approx(2, abs=0.15)


def test_a_temperature_that_does_not_exist():
    right = rank(np.repeat([0.2, 0.9], 50), np.repeat([0, 1], 50))  # the sharper the better, without end
    assert temperature.cool_binary(right, level=0.9, rng=np.random.default_rng(0)) is None
    assert temperature.cool_binary(rank([], []), level=0.9, rng=np.random.default_rng(0)) is None
    assert temperature.cool_binary(rank([0.5], [1]), level=0.9, rng=np.random.default_rng(0)) is None


def test_temperature_intervals_cover():
    rng = np.random.default_rng(13)
    hits = 0
    for _ in range(300):
        truth = rng.random(800)
        sharp = truth**2 / (truth**2 + (1 - truth) ** 2)
        logits = np.stack([np.zeros(800), np.log(sharp / (1 - sharp))], axis=1)
        e = temperature.fit_temperature(logits, (rng.random(800) < truth).astype(np.int64), np.ones(800), level=0.9)
        hits += e.low <= 2 <= e.high
    assert 250 < hits < 290


def test_smooth_error_is_as_large_as_published_and_as_its_definition():
    rng = np.random.default_rng(14)
    for n, expected, times in [(200, 0.054, 200), (1000, 0.030, 100), (10_000, 0.014, 30)]:
        found = np.mean([reliability.smooth_calibration_error(draw(rng, n)) for _ in range(times)])
        assert found == pytest.approx(expected, rel=0.06)
    table = draw(rng, 300, slope=0.4)
    value = reliability.smooth_calibration_error(table)
    # by its definition, with the reflected kernel written out, at the width that it claims to be the fixed point of
    t = np.linspace(0, 1, 2001)[:, None]
    residual = np.where(table.positives > 0, 1 - table.scores, -table.scores)
    kernel = sum(np.exp(-(((t - c) / value) ** 2) / 2) for k in (-2, 0, 2) for c in (table.scores + k, -table.scores + k))
    smooth = (kernel * residual).sum(axis=1) / 300 / (value * math.sqrt(2 * math.pi))
    assert np.trapezoid(np.abs(smooth), t[:, 0]) == pytest.approx(value, abs=1e-3)


@pytest.mark.parametrize("n", [5, 300, 20_000])
def test_smooth_error_is_the_fixed_point_of_the_filter_that_scipy_has(n):
    from scipy.ndimage import gaussian_filter1d

    table = draw(np.random.default_rng(n), n, slope=0.7)
    value = reliability.smooth_calibration_error(table)
    residual = np.where(table.positives > 0, 1 - table.scores, -table.scores) / n
    mesh = np.bincount((table.scores * reliability.MESH).astype(int), weights=residual, minlength=reliability.MESH)
    smooth = gaussian_filter1d(mesh, value * reliability.MESH, mode="reflect", truncate=8.0)
    assert np.abs(smooth).sum() == pytest.approx(value, abs=1e-9)


def test_calibration_is_rejected_where_it_is_wrong_and_seldom_where_it_is_right():
    rng = np.random.default_rng(15)
    right = [reliability.calibration_test(bins_of(draw(rng, 400)), rng=rng, draws=199) for _ in range(300)]
    assert np.mean(np.array(right) <= 0.05) < 0.08
    wrong = [reliability.calibration_test(bins_of(draw(rng, 2000, 0.5)), rng=rng, draws=199) for _ in range(20)]
    assert max(wrong) <= 0.05
    assert reliability.calibration_test(bins_of(rank([0.5], [1])), rng=rng) is None


def test_parts_of_the_brier_score_lose_what_chance_adds():
    """Bröcker 2012: worked by hand for two bins of 50, and right on average for a calibrated model."""
    found = brier.decomposition(bins_of(TWO), level=0.9, rng=np.random.default_rng(0))
    by_chance = (50 * 0.16 / 49 + 50 * 0.24 / 49) / 100
    of_base = 0.24 / 99
    assert found["brier_reliability"].value == pytest.approx(0.02 - by_chance)
    assert found["brier_resolution"].value == pytest.approx(0.04 - by_chance + of_base)
    assert found["brier_uncertainty"].value == pytest.approx(0.24 + of_base)
    rng = np.random.default_rng(16)
    hits = {"brier_resolution": 0, "brier_uncertainty": 0}
    truth = {"brier_resolution": 1 / 12 * (1 - 1 / 225), "brier_uncertainty": 0.25}  # p uniform, fifteen bins
    for _ in range(200):
        found = brier.decomposition(bins_of(draw(rng, 2000)), level=0.9, rng=rng, replicates=300)
        for name in hits:
            hits[name] += found[name].low <= truth[name] + 2e-4
            hits[name] += found[name].high >= truth[name] - 2e-4
    assert all(count > 2 * 200 * 0.92 for count in hits.values()), hits
    assert brier.decomposition(bins_of(rank([], [])), level=0.9, rng=rng) == {}


# --- beyond chance -----------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("n", "plain", "smooth"), [(200, 0.084, 0.054), (1000, 0.040, 0.030), (10_000, 0.013, 0.014)])
def test_what_chance_makes_of_right_probabilities_is_as_large_as_published(n, plain, smooth):
    """One set of rows with uniform scores tells how large both errors are where every probability is right."""
    rng = np.random.default_rng(n)
    table = draw(rng, n)
    parts = bins_of(table)
    found = by_chance.plain_excess(parts, level=0.95, rng=rng), by_chance.smooth_excess(table, level=0.95, rng=rng)
    observed = reliability.expected_calibration_error(parts), reliability.smooth_calibration_error(table)
    for excess, error, expected in zip(found, observed, (plain, smooth), strict=True):
        assert error - excess.beyond.value == pytest.approx(expected, abs=0.12 * expected)


def test_an_error_beyond_chance_is_found_at_few_rows_as_at_many():
    for n in (400, 20_000):
        table = draw(np.random.default_rng(2), n, slope=0.3)
        for excess in (
            by_chance.plain_excess(bins_of(table), level=0.95, rng=np.random.default_rng(0)),
            by_chance.smooth_excess(table, level=0.95, rng=np.random.default_rng(0)),
        ):
            assert excess.p <= 0.01
            assert excess.beyond.low > 0
            assert 0.02 < excess.beyond.value < 0.3
    none = rank(np.zeros(0), np.zeros(0, int))
    assert by_chance.plain_excess(bins_of(none), level=0.9, rng=np.random.default_rng(0)) is None
    assert by_chance.smooth_excess(none, level=0.9, rng=np.random.default_rng(0)) is None


def test_right_probabilities_are_not_found_wrong_too_often():
    p = []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        p.append(by_chance.plain_excess(bins_of(draw(rng, 300)), level=0.9, rng=rng, draws=200).p)
    assert np.mean(np.array(p) <= 0.05) <= 0.12
    assert 0.35 < np.mean(p) < 0.65
