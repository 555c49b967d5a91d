"""Weights and clusters together: worked by hand, against either alone, and planted truths that the intervals must cover."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray

from audit.measurement import Estimate
from audit.stats import clusters as c
from audit.stats import weighted
from audit.stats.auc import roc_auc
from audit.stats.weighted import Share
from audit.stats.weighted_clusters import Drawn, Piles, Totals, of_codes
from audit.stats.weighted_ranks import WeightedRanking
from audit.stats.weighted_sums import Totals as Independent
from audit.stats.weighted_sums import ratio_of_sums

LEVEL = 0.95


def side(draws: c.Draws, y: NDArray[Any], w: NDArray[Any], units: NDArray[Any], kept: NDArray[Any] | None = None) -> c.Side:
    """The rate of y, by weight, over clusters, of the rows that are kept."""
    w, one = (np.where(True if kept is None else kept, x, 0.0) for x in (w, np.ones(len(w))))
    return c.side(draws, *(np.bincount(units, weights=x, minlength=draws.size) for x in (w * y, w, one * y, one)))


def share(y: NDArray[Any], w: NDArray[Any]) -> Share:
    return Share(len(y), int(y.sum()), *(float((w[kept] ** power).sum()) for power in (1, 2, 3) for kept in (np.ones(len(w), bool), y > 0)))


def mean(draws: c.Draws, x: NDArray[Any], w: NDArray[Any], units: NDArray[Any]) -> Drawn:
    totals = Totals(draws, 1, 2)
    totals.add(np.zeros(len(x), int), w, [np.ones(len(x)), x], units)
    return totals.statistics()


# --- by hand ---------------------------------------------------------------------------------------------------------------------------


def test_the_variance_of_a_weighted_rate_by_hand() -> None:
    """Clusters of weights (event, no event) = (2 + 1, 1), (0, 2), (3, 1): 6 of 10, p = .6; moves (3 − 2.4, 0 − 1.2, 3 − 2.4)/10 = (.06, −.12, .06), whose
    spread is 3/2 · .0216 = .0324; 6 rows of equal weight would have .24/6 = .04. Effect .81, so the 6 rows are worth 6/.81 = 7.4."""
    y, w, units = np.array([1, 1, 0, 0, 1, 0]), np.array([2.0, 1, 1, 2, 3, 1]), np.array([0, 0, 0, 1, 2, 2])
    found = side(c.Draws(3, np.random.default_rng(0), 50), y, w, units)
    assert found.value == pytest.approx(0.6)
    assert (found.counts, found.mass) == ((3, 6), (6.0, 10.0))
    assert c.design_effect(found) == pytest.approx(0.81)
    # the least that they can be worth: 3 clusters, times (10²/36) / (6²/14) of Kish's figures where that is below 1
    assert found.least == pytest.approx(3.0)
    assert found.scaled() == (pytest.approx(3.6), 6)


def test_clusters_of_unequal_weight_are_worth_less_than_one_row_each() -> None:
    assert c.at_least(np.array([1.0, 3.0]), np.array([1.0, 1.0])) == pytest.approx(16 / 10)
    assert c.at_least(np.array([4.0, 8.0]), np.array([2.0, 4.0])) == pytest.approx(2.0), "as unequal as their rows are"


def test_a_replicate_weighs_the_clusters_that_it_took() -> None:
    x, w, units = np.array([1.0, 0, 4, 2]), np.array([2.0, 1, 1, 3]), np.array([0, 0, 1, 2])
    draws = c.Draws(3, np.random.default_rng(1), 40)
    value, drawn = mean(draws, x, w, units).replicates(0, ratio_of_sums)
    assert value == pytest.approx((2 + 4 + 6) / 7)
    for r, taken in enumerate(draws.weights):
        rows = [i for u in range(3) for _ in range(taken[u]) for i in np.flatnonzero(units == u)]
        assert drawn[r] == pytest.approx(np.average(x[rows], weights=w[rows])), (
            "rows of the clusters, each as often as its cluster was taken"
        )


def test_the_variance_of_auc_by_hand() -> None:
    """Events at .8 (weight 1) and .4 (weight 3), none at .6 (2) and .2 (2): AUC (1 · 1 + 3 · ½)/4 = .625; what each adds: 1/4 (1 − .625), 3/4 (.5 − .625),
    2/4 (.25 − .625), 2/4 (1 − .625); clusters of the first and last, and of the others: .28125 and −.28125, variance 2 · 2 · .28125²."""
    ranking = WeightedRanking([0.8, 0.4, 0.6, 0.2], [1, 1, 0, 0], [1, 3, 2, 2], np.array([0, 1, 1, 0]), 2)
    assert ranking.delong is not None
    assert ranking.delong == (pytest.approx(0.625), pytest.approx(4 * 0.28125**2))


def test_piles_hold_what_a_loop_finds() -> None:
    rng = np.random.default_rng(2)
    slices, units, codes, w = rng.integers(0, 3, 200), rng.integers(0, 5, 200), rng.integers(0, 4, 200), rng.uniform(1, 2, 200)
    piles = Piles(3, 5, 8)
    for part in (slice(0, 90), slice(90, 200)):
        piles.count(slices[part], units[part], codes[part], w[part])
    for s in range(3):
        held, sums = piles.of(s)
        for u, row in zip(held, sums, strict=True):
            own = [(slices == s) & (units == u) & (codes == k) for k in range(4)]
            assert row == pytest.approx([*(k.sum() for k in own), *(w[k].sum() for k in own)])
    assert of_codes(c.Draws(5, rng, 10), piles).rows.tolist() == np.bincount(slices).tolist()


# --- against either alone --------------------------------------------------------------------------------------------------------------


def test_weights_of_one_are_no_weights() -> None:
    rng = np.random.default_rng(3)
    y, units = rng.binomial(1, 0.3, 900), rng.integers(0, 70, 900)
    draws = c.Draws(70, rng)
    k, n = np.bincount(units, weights=y, minlength=70), np.bincount(units, minlength=70)
    for kept in (slice(0, 70), slice(0, 4)):  # enough clusters, and too few: the interval of rows
        group = np.isin(units, np.arange(70)[kept])
        alone = c.side(
            draws, np.where(np.isin(np.arange(70), np.arange(70)[kept]), k, 0), np.where(np.isin(np.arange(70), np.arange(70)[kept]), n, 0)
        )
        ours, other = side(draws, y, np.ones(900), units, group), c.side(draws, k, n)
        assert c.rate(ours, level=LEVEL) == c.rate(alone, level=LEVEL)
        assert c.difference(ours, other, level=LEVEL) == c.difference(alone, other, level=LEVEL)
        assert c.ratio(ours, other, level=LEVEL) == c.ratio(alone, other, level=LEVEL)
        assert c.odds(ours, other, level=LEVEL) == c.odds(alone, other, level=LEVEL)
        assert c.equality(ours, other) == c.equality(alone, other)
        assert c.worth(ours, other) == c.worth(alone, other)


def test_the_scale_of_the_weights_means_nothing() -> None:
    rng = np.random.default_rng(4)
    y, w, units = rng.binomial(1, 0.3, 400), rng.uniform(1, 4, 400), rng.integers(0, 50, 400)
    draws = c.Draws(50, rng)
    one, other = (c.rate(side(draws, y, w * scale, units), level=LEVEL) for scale in (1.0, 1e-6))
    assert one is not None
    assert other is not None
    assert (one.value, one.low, one.high) == pytest.approx((other.value, other.low, other.high), rel=1e-9)


def test_clusters_of_one_row_agree_with_weights_alone() -> None:
    rng, n = np.random.default_rng(5), 2000
    y, w, units = rng.binomial(1, 0.3, n), np.exp(0.5 * rng.normal(size=n)), np.arange(n)
    x, score = y + rng.normal(size=n), y + rng.normal(size=n)
    draws = c.Draws(n, rng)
    group = np.arange(n) < 800
    linear = Independent(1, 2)
    linear.add(np.zeros(n, int), w, [np.ones(n), x])
    alone = [
        weighted.rate(share(y, w), level=LEVEL),
        weighted.difference(share(y[group], w[group]), share(y[~group], w[~group]), level=LEVEL),
        linear.statistics().estimate(0, ratio_of_sums, level=LEVEL).estimate,  # type: ignore[union-attr]
        WeightedRanking(score, y, w).roc_auc(level=LEVEL),
        WeightedRanking(score, y, w).average_precision(level=LEVEL),
    ]
    both = [
        c.rate(side(draws, y, w, units), level=LEVEL),
        c.difference(side(draws, y, w, units, group), side(draws, y, w, units, ~group), level=LEVEL),
        mean(draws, x, w, units).estimate(0, ratio_of_sums, level=LEVEL).estimate,  # type: ignore[union-attr]
        WeightedRanking(score, y, w, units, n).roc_auc(level=LEVEL),
        WeightedRanking(score, y, w, units, n).average_precision(level=LEVEL),
    ]
    for a, b in zip(alone, both, strict=True):
        assert a is not None
        assert b is not None
        assert b.value == pytest.approx(a.value, rel=1e-12)
        assert (b.low, b.high) == pytest.approx((a.low, a.high), abs=0.05 * (a.high - a.low)), "2,000 draws leave 5 % of the width"
    effect = mean(draws, x, w, units).estimate(0, ratio_of_sums, level=LEVEL).weights.design_effect  # type: ignore[union-attr]
    assert effect == pytest.approx(n * (w**2).sum() / w.sum() ** 2, rel=0.15), "what is left is Kish's figure"


def test_whole_clusters_that_are_all_right_keep_a_width() -> None:
    """12 clusters without a miss: 12 rows of equal weight at most, as Wilson has it; a value that is constant elsewhere has no interval."""
    units, w = np.repeat(np.arange(12), 20), np.repeat(np.tile([1.0, 3.0], 6), 20)
    draws = c.Draws(12, np.random.default_rng(6))
    found = c.rate(side(draws, np.ones(240), w, units), level=LEVEL)
    worth = round(12 * (24**2 / 60) / 12)  # Kish's figure of the clusters' weights
    z = 1.959963984540054
    assert found is not None
    assert (found.value, found.high) == (1.0, 1.0)
    assert found.low == pytest.approx(worth / (worth + z * z))
    ends = mean(draws, np.ones(240), w, units).estimate(0, ratio_of_sums, level=LEVEL, low=0.0, high=1.0, ends=True)
    assert ends is not None
    assert ends.estimate.low < 0.8
    assert mean(draws, np.full(240, 0.3), w, units).estimate(0, ratio_of_sums, level=LEVEL, low=0.0) is None


def test_one_cluster_tells_nothing() -> None:
    draws = c.Draws(1, np.random.default_rng(0), 20)
    one = np.zeros(30, int)
    assert mean(draws, np.arange(30.0), np.ones(30), one).estimate(0, ratio_of_sums, level=LEVEL) is None
    found = WeightedRanking(np.arange(30), np.arange(30) % 3 == 0, np.ones(30), one, 1).roc_auc(level=LEVEL)
    assert found is not None
    assert found.high - found.low > 0.8, "a score interval of one row of each class"


@pytest.mark.parametrize("together", [True, False])
def test_perfect_separation_and_scores_that_say_nothing_keep_a_width(together: bool) -> None:
    """Sums of weights have digits that do not add up: an AUC of 1 − 1e-16 is one of 1."""
    rng = np.random.default_rng(9)
    y, w, units = rng.random(300) < 0.4, rng.uniform(0.1, 3, 300), rng.integers(0, 30, 300) if together else None
    apart, flat = WeightedRanking(y + rng.random(300) / 2, y, w, units, 30), WeightedRanking(np.full(300, 0.3), y, w, units, 30)
    for found in (apart.roc_auc(level=LEVEL), apart.average_precision(level=LEVEL)):
        assert found is not None
        assert found.value == found.high == 1.0
        assert found.low < 0.99
    nothing = flat.roc_auc(level=LEVEL)
    assert nothing is not None
    assert nothing.value == pytest.approx(0.5)
    assert nothing.high - nothing.low > 0.1
    assert apart.difference(flat, level=LEVEL) is None, "neither shows a spread"


# --- planted truth ---------------------------------------------------------------------------------------------------------------------


class Sample(NamedTuple):
    """Rows of a cluster sample whose weights tell of the outcome, or (without weights) of the people whom it stands for."""

    group: NDArray[np.bool_]
    chosen: NDArray[np.bool_]
    y: NDArray[np.bool_]
    score: NDArray[np.float64]
    w: NDArray[np.float64]
    units: NDArray[np.int64]


SPREAD, BETWEEN, WITHIN = 0.8, 0.4, 0.4


def drawn(rng: np.random.Generator, clusters: int, *, population: bool = False) -> Sample:
    """Clusters of about 10 rows that are alike (a common normal effect). The sample is drawn with a chance of exp(−.4 (effect + own part)): weights are the inverse.

    In the population both parts have their mean moved accordingly: a normal density times exp(b x) is one with its mean moved by b times the variance.
    """
    sizes = 1 + rng.poisson(9, clusters)
    units = np.repeat(np.arange(clusters), sizes)
    effect = rng.normal(BETWEEN * SPREAD**2 if population else 0.0, SPREAD, clusters)[units]
    own = rng.normal(WITHIN if population else 0.0, 1, len(units))
    group = rng.random(len(units)) < rng.choice([0.1, 0.9], clusters)[units]
    z = effect + own - 0.4
    score = 1 / (1 + np.exp(-(z + 0.5 * rng.normal(size=len(z)))))
    y = rng.random(len(z)) < 1 / (1 + np.exp(-0.3 - 0.4 * z))  # scores are too extreme: how far they are off depends on who is asked
    weights = np.ones(len(z)) if population else np.exp(BETWEEN * effect + WITHIN * own)
    return Sample(group, score + 0.1 * group > 0.55, y, score, weights, units)


def figures(s: Sample, rng: np.random.Generator, way: str) -> list[Estimate | None]:
    """Selection rate difference, accuracy, AUC and calibration in the large, with weights and clusters or only one of the two."""
    right, gap = s.chosen == s.y, s.score - s.y
    if way == "weights":
        linear = Independent(1, 2)
        linear.add(np.zeros(len(gap), int), s.w, [np.ones(len(gap)), gap])
        found = linear.statistics().estimate(0, ratio_of_sums, level=LEVEL)
        group, other = (share(s.chosen[k], s.w[k]) for k in (s.group, ~s.group))
        return [
            weighted.difference(group, other, level=LEVEL), weighted.rate(share(right, s.w), level=LEVEL),
            WeightedRanking(s.score, s.y, s.w).roc_auc(level=LEVEL), found and found.estimate,
        ]  # fmt: skip
    w, draws = s.w if way == "both" else np.ones(len(gap)), c.Draws(int(s.units.max()) + 1, rng, 1000)
    drawn_ = mean(draws, gap, w, s.units).estimate(0, ratio_of_sums, level=LEVEL)
    group_, other_ = (side(draws, s.chosen, w, s.units, k) for k in (s.group, ~s.group))
    ranked = WeightedRanking(s.score, s.y, w, s.units, draws.size).roc_auc(level=LEVEL)
    return [
        c.difference(group_, other_, level=LEVEL),
        c.rate(side(draws, right, w, s.units), level=LEVEL),
        ranked,
        drawn_ and drawn_.estimate,
    ]


@pytest.mark.slow
def test_intervals_cover_a_planted_truth() -> None:
    """1,000 samples of 100 clusters: 95 % intervals cover between 93 and 97 % with weights and clusters, and less with either alone.

    Standard deviation of the share covered: 0.7 points.
    """
    rng, runs = np.random.default_rng(11), 1000
    people = drawn(rng, 200_000, population=True)
    right, auc = people.chosen == people.y, roc_auc(people.score[people.y], people.score[~people.y], level=LEVEL)
    assert auc is not None
    truth = [
        people.chosen[people.group].mean() - people.chosen[~people.group].mean(), right.mean(), auc.value, (people.score - people.y).mean(),
    ]  # fmt: skip
    covered = {way: np.zeros(4) for way in ("both", "weights", "clusters")}
    for _ in range(runs):
        sample = drawn(rng, 100)
        for way, hits in covered.items():
            for i, (e, t) in enumerate(zip(figures(sample, rng, way), truth, strict=True)):
                assert e is not None
                hits[i] += e.low <= t <= e.high
    both, weights, clusters = (hits / runs for hits in covered.values())
    assert ((both >= 0.93) & (both <= 0.97)).all(), both
    assert weights.min() < 0.90, weights  # rows taken for independent: where clusters are alike intervals are too narrow
    assert clusters.min() < 0.90, clusters  # unweighted: of other people
