"""Statistics over clusters: worked by hand, against an obvious slow twin, and by simulation of what they promise."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audit.measurement import Estimate
from audit.stats import clusters as c
from audit.stats.compare import equality_test, miettinen_nurminen, newcombe
from audit.stats.rates import wilson

LEVEL = 0.90


def sides(k1, n1, k0, n0, *, seed=0, replicates=2000):
    """Two sides whose clusters stand beside each other: the group's first, the reference's after them."""
    left, right = np.zeros(len(k1)), np.zeros(len(k0))
    draws = c.Draws(len(k1) + len(k0), np.random.default_rng(seed), replicates)
    return (
        c.side(draws, np.concatenate([k1, right]), np.concatenate([n1, right])),
        c.side(draws, np.concatenate([left, k0]), np.concatenate([left, n0])),
    )


def members(rng, clusters, size, p, correlation):
    """Events and rows of clusters whose own rates have a beta distribution with this intra-cluster correlation (0: all have p)."""
    own = np.full(clusters, p)
    if correlation:
        own = rng.beta(p * (1 - correlation) / correlation, (1 - p) * (1 - correlation) / correlation, clusters)
    n = 1 + rng.poisson(size - 1, clusters)
    return rng.binomial(n, own), n


# --- draws -----------------------------------------------------------------------------------------------------------------------------


def test_draws_are_whole_clusters_with_replacement() -> None:
    draws = c.Draws(7, np.random.default_rng(1), 300)
    table = np.arange(14.0).reshape(7, 2)
    drawn = draws.of(table)
    assert (draws.weights.sum(axis=1) == 7).all()
    for r in (0, 17, 299):
        slow = np.sum([table[u] for u in range(7) for _ in range(draws.weights[r, u])], axis=0)
        assert drawn[r].tolist() == slow.tolist()


def test_every_cluster_is_drawn_alone_until_there_are_too_many() -> None:
    rng = np.random.default_rng(0)
    assert c.units(c.UNITS, rng).tolist() == list(range(c.UNITS))
    many = c.units(3 * c.UNITS + 5, rng)
    assert set(np.bincount(many).tolist()) == {3, 4}


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=50), st.integers(0, 2**32 - 1))
@settings(deadline=None, max_examples=50)
def test_sums_on_the_grid_do_not_depend_on_their_order(values: list[float], seed: int) -> None:
    column = c.on_grid(np.array(values)[:, None])[:, 0]
    shuffled = np.random.default_rng(seed).permutation(column)
    assert float(np.sum(column)) == float(np.sum(shuffled)) == math.fsum(column)
    assert column == pytest.approx(np.array(values), abs=max(map(abs, values)) * len(values) * 2.0**-50)


def test_whole_numbers_stay_as_they_are() -> None:
    table = np.random.default_rng(0).integers(0, 10**9, (4096, 3))
    assert (c.on_grid(table) == table).all()


# --- by hand ---------------------------------------------------------------------------------------------------------------------------


def test_the_design_effect_of_doubled_rows_is_two() -> None:
    """Each row twice: the variance is that of half as many rows, but for K/(K − 1)."""
    k = np.array([2] * 60 + [0] * 140)
    draws = c.Draws(200, np.random.default_rng(0), 10)
    effect = c.design_effect(c.side(draws, k, np.full(200, 2)))
    assert effect == pytest.approx(2 * 200 / 199)


def test_the_variance_of_a_rate_by_hand() -> None:
    """Clusters (k, n) = (1, 1), (1, 3), (0, 2), rate 1/3: moves (2/3, 0, −2/3)/6, so variance 3/2 · 2 · (1/9)² and naive 2/9/6."""
    draws = c.Draws(3, np.random.default_rng(0), 10)
    effect = c.design_effect(c.side(draws, [1, 1, 0], [1, 3, 2]))
    assert effect == pytest.approx((3 / 2) * 2 * (1 / 9) ** 2 / ((2 / 9) / 6))


def test_pairwise_correlation_by_hand() -> None:
    """Clusters 11, 00, 10: mean 1/2; of the pairs two agree (+1/4) and one does not (−1/4): (1/4)/3 over 1/4 is 1/3."""
    s, m = np.array([2, 0, 1]), np.array([2, 2, 2])
    sums = c.alike(s, s, m).sum(axis=0)
    assert float(c.pairwise(sums)) == pytest.approx(1 / 3)
    assert float(c.of_mean(sums)) == pytest.approx(1 + 1 / 3)


def test_pairwise_correlation_against_every_pair() -> None:
    rng = np.random.default_rng(3)
    rows = [rng.normal(size=int(m)) + rng.normal() + m for m in rng.integers(1, 6, 40)]  # large clusters differ
    values = np.concatenate(rows)
    assert len(values) > 60
    pairs = np.array([(r[i], r[j]) for r in rows for i in range(len(r)) for j in range(len(r)) if i != j])
    expected = np.corrcoef(pairs.T)[0, 1]
    sums = c.alike([r.sum() for r in rows], [(r**2).sum() for r in rows], [len(r) for r in rows]).sum(axis=0)
    assert float(c.pairwise(sums)) == pytest.approx(expected)


def test_no_pair_no_correlation() -> None:
    assert np.isnan(c.pairwise(c.alike([1, 0], [1, 0], [1, 1]).sum(axis=0)))
    assert np.isnan(c.pairwise(c.alike([2, 2], [2, 2], [2, 2]).sum(axis=0)))


# --- agreement and limits --------------------------------------------------------------------------------------------------------------


def test_with_clusters_of_one_row_the_results_are_those_of_independent_rows() -> None:
    rng = np.random.default_rng(5)
    k1, k0 = rng.binomial(1, 0.3, 600), rng.binomial(1, 0.35, 2500)
    group, reference = sides(k1, np.ones(600), k0, np.ones(2500), replicates=4000)
    counts = (*group.counts, *reference.counts)
    for mine, other in (
        (c.difference(group, reference, level=LEVEL), newcombe(*counts, level=LEVEL)),
        (c.ratio(group, reference, level=LEVEL), miettinen_nurminen(*counts, level=LEVEL)),
        (c.rate(group, level=LEVEL), wilson(*group.counts, level=LEVEL)),
    ):
        assert mine is not None
        assert other is not None
        assert mine.value == pytest.approx(other.value)
        width = other.high - other.low
        assert mine.low == pytest.approx(other.low, abs=0.05 * width)
        assert mine.high == pytest.approx(other.high, abs=0.05 * width)
    tested, plain = c.equality(group, reference), equality_test(*counts)
    assert tested is not None
    assert plain is not None
    assert tested[0] == pytest.approx(plain[0], rel=0.1)  # Student's t with 599 degrees of freedom
    assert c.worth(group, reference).effective == pytest.approx([600, 2500], rel=0.02)


def test_few_rows_with_an_event_take_one_row_for_each_cluster() -> None:
    """Nobody of 40 clusters of five rows: the draws never vary, and Wilson's interval of 0 in 40 takes their place."""
    group, reference = sides(np.zeros(40), np.full(40, 5), np.full(60, 2), np.full(60, 5))
    e = c.rate(group, level=LEVEL)
    plain = wilson(0, 40, level=LEVEL)
    assert e is not None
    assert plain is not None
    assert (e.value, e.low, e.high, e.method, e.n) == (0.0, plain.low, plain.high, "wilson_clusters", 200)
    d = c.difference(group, reference, level=LEVEL)
    assert d is not None
    assert d.high > -0.4
    assert d.method == "newcombe_clusters"


def test_a_side_without_rows_has_no_estimate() -> None:
    group, reference = sides(np.zeros(30), np.zeros(30), np.full(60, 2), np.full(60, 5))
    assert c.rate(group, level=LEVEL) is None
    assert c.difference(group, reference, level=LEVEL) is None
    assert c.ratio(group, reference, level=LEVEL) is None
    assert c.equality(group, reference) is None


def test_the_ratio_to_a_rate_of_zero_is_undefined_and_still_tested() -> None:
    group, reference = sides(np.full(60, 2), np.full(60, 5), np.zeros(60), np.full(60, 5))
    assert c.ratio(group, reference, level=LEVEL) is None
    tested = c.equality(group, reference)
    assert tested is not None
    assert tested[0] < 1e-6


def test_the_gap_of_outcomes_that_never_vary_is_not_certain() -> None:
    draws = c.Draws(50, np.random.default_rng(0))
    naive = Estimate(value=0.1, low=0.05, high=0.11, level=LEVEL, method="wilson", n=200)
    found = c.gap(draws, np.full(50, 0.4), np.zeros(50), np.full(50, 4), naive)
    assert found is not None
    assert found[0].value == pytest.approx(0.1)
    assert found[0].low == pytest.approx(0.1 - wilson(0, 50, level=LEVEL).high)  # type: ignore[union-attr]


# --- what is promised ------------------------------------------------------------------------------------------------------------------


def coverage(runs, clusters, size, p, correlation, *, replicates, seed=0):
    """Shares of runs in which the 90 % interval covers: difference, ratio, and the naive difference; and of tests that reject at .05."""
    rng = np.random.default_rng([seed, clusters[0], clusters[1], round(100 * p)])
    hits = np.zeros(4)
    for run in range(runs):
        k1, n1 = members(rng, clusters[0], size, p, correlation)
        k0, n0 = members(rng, clusters[1], size, p, correlation)
        group, reference = sides(k1, n1, k0, n0, seed=[seed, run], replicates=replicates)
        d, r = c.difference(group, reference, level=LEVEL), c.ratio(group, reference, level=LEVEL)
        naive, tested = newcombe(*group.counts, *reference.counts, level=LEVEL), c.equality(group, reference)
        assert d is not None
        assert r is not None
        assert naive is not None
        assert tested is not None
        hits += [d.low <= 0 <= d.high, r.low <= 1 <= r.high, naive.low <= 0 <= naive.high, tested[0] <= 0.05]
    found = hits / runs
    print(
        f"clusters {clusters}, size {size}, rate {p}, correlation {correlation}: covered {found[:2]}, naive {found[2]:.3f}, rejected {found[3]:.3f}"
    )
    return found


def test_the_interval_covers_where_rows_are_alike_and_the_naive_one_does_not() -> None:
    found = coverage(200, (100, 200), 5, 0.3, 0.3, replicates=400)
    assert min(found[:2]) >= 0.84
    assert found[2] <= 0.78
    assert found[3] <= 0.10


@pytest.mark.slow
@pytest.mark.parametrize(
    ("clusters", "size", "p", "correlation"),
    [
        ((100, 200), 5, 0.3, 0.3), ((100, 400), 10, 0.1, 0.3), ((200, 200), 3, 0.9, 0.3), ((20, 200), 5, 0.3, 0.3), ((30, 300), 5, 0.1, 0.3),
        ((40, 40), 20, 0.5, 0.3), ((150, 600), 1, 0.3, 0.0),
    ],
)  # fmt: skip
def test_coverage_is_near_nominal_long(clusters: tuple[int, int], size: int, p: float, correlation: float) -> None:
    found = coverage(1000, clusters, size, p, correlation, replicates=1000)
    assert min(found[:2]) >= 0.87
    assert found[3] <= 0.07
    if correlation:  # clusters of three rows lose least: the design effect is 1.8, and the naive interval covers 78 %
        assert found[2] <= 0.81


def test_thousands_of_clusters_in_sets_give_the_interval_of_clusters() -> None:
    rng = np.random.default_rng(8)
    k, n = members(rng, 20_000, 3, 0.3, 0.3)
    place = c.units(20_000, rng)
    draws = c.Draws(c.UNITS, rng)
    packed = c.side(draws, np.bincount(place, weights=k), np.bincount(place, weights=n))
    e = c.rate(packed, level=LEVEL)
    assert e is not None
    p = k.sum() / n.sum()
    error = math.sqrt(float(np.sum((k - p * n) ** 2))) / n.sum()
    assert (e.high - e.low) / 2 == pytest.approx(1.645 * error, rel=0.06)
    assert c.design_effect(packed) == pytest.approx(error**2 / (p * (1 - p) / n.sum()), rel=0.06)
