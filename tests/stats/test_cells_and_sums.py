"""Bootstrap of counts and sums of columns: twins, coverage, certainty that is not claimed, digits that do not move."""

from __future__ import annotations

import math
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.stats.cells import bootstrap, cluster_bootstrap
from audit.stats.sums import BLOCK, moments, moments_of_pieces, total


def f1_and_balanced(counts):
    """Cells: true positives, false negatives, false positives, true negatives."""
    tp, fn, fp, tn = np.moveaxis(counts, -1, 0)
    return np.stack([2 * tp / (2 * tp + fn + fp), (tp / (tp + fn) + tn / (tn + fp)) / 2], axis=-1)


def first_share(counts):
    return (counts[:, 0] / counts.sum(axis=1))[:, None]


def test_resampling_rows_is_the_slow_twin():
    counts = np.array([60, 40, 30, 170])
    rows = np.repeat(np.arange(4), counts)
    rng = np.random.default_rng(0)
    slow = f1_and_balanced(np.array([np.bincount(rng.choice(rows, rows.size), minlength=4) for _ in range(4000)]))
    fast = bootstrap(counts, f1_and_balanced, level=0.9, rng=rng, replicates=4000).estimates
    for s in range(2):
        assert (fast[s].low, fast[s].high) == pytest.approx(tuple(np.quantile(slow[:, s], [0.05, 0.95])), abs=0.006)
    assert fast[0].value == pytest.approx(120 / 190)
    assert fast[0].method == "multinomial_bootstrap"


def test_interval_covers():
    rng = np.random.default_rng(1)
    shares = np.array([0.2, 0.1, 0.1, 0.6])
    truth = f1_and_balanced(shares[None])[0]
    found = [bootstrap(rng.multinomial(400, shares), f1_and_balanced, level=0.95, rng=rng, replicates=400).estimates for _ in range(1000)]
    for s in range(2):
        assert 0.92 < np.mean([e[s].low <= truth[s] <= e[s].high for e in found]) < 0.97


def test_no_errors_is_not_certainty():
    f1, balanced = bootstrap([30, 0, 0, 70], f1_and_balanced, level=0.95, rng=np.random.default_rng(2)).estimates
    assert f1.value == f1.high == balanced.high == 1
    assert 0.9 < f1.low < 0.99
    assert f1.method.endswith("half_added")


def test_undefined_replicates_are_counted_and_too_many_are_no_estimate():
    rng = np.random.default_rng(3)
    rare = bootstrap(
        [1, 1, 500, 500], f1_and_balanced, level=0.95, rng=rng
    )  # balanced accuracy needs a positive: e^-2 of replicates have none
    assert rare.estimates[0] is not None
    assert rare.estimates[1] is None
    assert rare.undefined[1] / rare.replicates == pytest.approx(math.exp(-2), abs=0.03)
    assert bootstrap([0, 0, 0, 0], f1_and_balanced, level=0.95, rng=rng).estimates == [None, None]
    some = bootstrap([2, 2, 500, 500], f1_and_balanced, level=0.95, rng=rng)  # e^-4: about 2 %
    assert some.estimates[1] is not None
    assert some.undefined[1] > 0


def test_strata_keep_their_totals():
    def totals(counts):
        return np.stack([counts[:, :2].sum(axis=1), counts[:, 0] / 50], axis=-1)

    fixed, share = bootstrap([30, 20, 5, 95], totals, level=0.95, rng=np.random.default_rng(4), strata=[0, 0, 1, 1]).estimates
    assert (fixed.low, fixed.high) == (50, 50)
    assert share.low < 0.6 < share.high


def test_same_seed_same_digits_and_chunks_do_not_matter(monkeypatch):
    def run():
        return bootstrap([60, 40, 30, 170], f1_and_balanced, level=0.95, rng=np.random.default_rng(5))

    first = run()
    monkeypatch.setattr("audit.stats.cells.ROOM", 40)
    assert run() == first


def test_clusters_that_repeat_widen_the_interval_and_cover():
    rng = np.random.default_rng(6)

    def draw():  # 80 clusters of 10 rows, each with its own rate around .3
        return np.stack([k := rng.binomial(10, rng.beta(3, 7, 80)), 10 - k], axis=-1)

    found = [cluster_bootstrap(draw(), first_share, level=0.95, rng=rng, replicates=300).estimates[0] for _ in range(600)]
    assert 0.9 < np.mean([e.low <= 0.3 <= e.high for e in found]) < 0.98
    naive = bootstrap(draw().sum(axis=0), first_share, level=0.95, rng=rng).estimates[0]
    assert found[0].high - found[0].low > 1.15 * (naive.high - naive.low)
    assert cluster_bootstrap([[3, 4]], first_share, level=0.95, rng=rng).estimates == [None]


def test_cells_refuse_what_are_not_counts():
    rng = np.random.default_rng(0)
    for bad in ([0.5, 1.0], [-1, 2], [[1, 2]]):
        with pytest.raises(ValueError, match="expected integer counts"):
            bootstrap(bad, first_share, level=0.95, rng=rng)
    with pytest.raises(ValueError, match="strata"):
        bootstrap([1, 2], first_share, level=0.95, rng=rng, strata=[0])
    with pytest.raises(ValueError, match="shape"):
        bootstrap([1, 2], lambda c: c[:, 0], level=0.95, rng=rng)


def test_sums_by_hand_and_by_exact_addition():
    assert moments([1.0, 2.0, 3.0, 4.0]) == (4, 2.5, pytest.approx(5 / 3))
    assert moments([7.0]) == (1, 7.0, 0.0)
    assert moments([]) is None
    assert total([]) == 0
    values = np.random.default_rng(0).lognormal(0, 3, 300_000)
    assert total(values) == pytest.approx(math.fsum(values), rel=1e-14)
    assert moments(values).mean == pytest.approx(math.fsum(values) / values.size, rel=1e-14)
    assert moments(values).variance == pytest.approx(np.var(values, ddof=1), rel=1e-12)


def test_a_far_offset_does_not_eat_the_variance():
    values = np.random.default_rng(1).normal(1e9, 1, 200_000)
    assert moments(values).variance == pytest.approx(np.var(values - 1e9, ddof=1), rel=1e-6)


@given(st.lists(st.integers(0, 2 * BLOCK + 5), max_size=6))
def test_where_the_pieces_are_cut_does_not_move_a_digit(cuts):
    values = np.random.default_rng(2).normal(size=2 * BLOCK + 5).astype(np.float32)
    pieces = np.split(values, sorted(cuts))
    assert moments_of_pieces(pieces) == moments(values) == moments_of_pieces(p.astype(np.float64)[::1] for p in pieces)


def test_layout_in_memory_does_not_move_a_digit():
    table = np.random.default_rng(3).normal(size=(100_000, 3))
    assert moments(table[:, 1]) == moments(table[:, 1].copy())
    assert total(table[:, 1]) == total(table[:, 1].copy())


def test_sums_refuse_what_is_not_finite():
    for bad in ([1.0, np.nan], [np.inf]):
        with pytest.raises(ValueError, match="expected finite values"):
            moments(bad)
    for function in (moments, total):
        with pytest.raises(ValueError, match="beyond the range of floats"):
            function([1e308, 1e308])


def gaps(tables):
    """Cells are 3 groups by outcome by decision: the differences of selection rates to the first group."""
    groups = tables.reshape(-1, 3, 2, 2).sum(axis=2)
    rates = groups[:, :, 1] / groups.sum(axis=2)
    return rates[:, 1:] - rates[:, :1]


def test_cells_are_drawn_a_hundred_times_faster_than_rows():
    """FAIR-03: 20,000 rows in 12 cells, 2,000 replicates, against drawing the rows of a table of group, outcome and decision again and counting."""
    rng = np.random.default_rng(8)
    table = np.stack([rng.integers(0, size, 20_000) for size in (3, 2, 2)])

    def rows():
        drawn = [table[:, rng.integers(0, table.shape[1], table.shape[1])] for _ in range(20)]
        return gaps(np.array([np.bincount(group * 4 + y * 2 + pred, minlength=12) for group, y, pred in drawn]))

    def cells():
        counts = np.bincount(table[0] * 4 + table[1] * 2 + table[2], minlength=12)
        return bootstrap(counts, gaps, level=0.95, rng=rng, replicates=2000)

    def least(run):
        took = []
        for _ in range(7):
            began = time.process_time()
            run()
            took.append(time.process_time() - began)
        return min(took)

    assert least(rows) * 2000 / 20 >= 100 * least(cells)


def test_published_size_of_cells_gives_the_quantiles_of_resampled_rows():
    """20,000 rows in 12 cells: the difference of selection rates, row by row and cell by cell."""
    rng = np.random.default_rng(7)
    counts = rng.multinomial(20_000, rng.dirichlet(np.full(12, 4.0)))
    rows = np.repeat(np.arange(12, dtype=np.int8), counts)
    slow = gaps(np.array([np.bincount(rows[rng.integers(0, rows.size, rows.size)], minlength=12) for _ in range(600)]))
    fast = bootstrap(counts, gaps, level=0.9, rng=rng, replicates=4000).estimates
    for column, e in zip(slow.T, fast, strict=True):
        error = 2.11 * column.std() * np.sqrt(1 / 600 + 1 / 4000)  # of a 5 % quantile: √(0.05·0.95) / φ(1.645) standard errors
        assert (e.low, e.high) == pytest.approx(tuple(np.quantile(column, [0.05, 0.95])), abs=4 * error)
