"""Rank metrics: hand-worked values, pairwise and library twins, row order, coverage, and perfect or useless scores."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.stats.auc import (
    auc_difference,
    auc_over_folds,
    average_precision,
    average_precision_ranked,
    delong,
    roc_auc,
    roc_auc_ranked,
)
from audit.stats.ranked import rank, rank_two

rows = st.lists(st.tuples(st.integers(0, 8), st.booleans()), min_size=1, max_size=40)


def test_published_delong():
    auc, variance = delong(rank_two([0.9, 0.8, 0.4], [0.7, 0.3, 0.2]))
    e = roc_auc([0.9, 0.8, 0.4], [0.7, 0.3, 0.2], level=0.95)
    assert (auc, variance) == (pytest.approx(8 / 9), pytest.approx(0.0246914, abs=1e-7))
    assert (e.low, e.high, e.n) == (pytest.approx(0.26137, abs=1e-5), pytest.approx(0.99450, abs=1e-5), 6)


@given(rows)
def test_every_pair_counted_one_by_one(rows):
    """The definition, and DeLong's variance from its components."""
    pos, neg = (np.array([s for s, y in rows if y is side], dtype=float) for side in (True, False))
    if pos.size == 0 or neg.size == 0:
        assert roc_auc(pos, neg, level=0.9) is None
        return
    wins = (pos[:, None] > neg) + 0.5 * (pos[:, None] == neg)
    auc, variance = delong(rank_two(pos, neg))
    assert auc == pytest.approx(wins.mean(), abs=1e-15)
    if pos.size > 1 and neg.size > 1:
        expected = wins.mean(axis=1).var(ddof=1) / pos.size + wins.mean(axis=0).var(ddof=1) / neg.size
        assert variance == pytest.approx(expected, abs=1e-14)
    e, back = roc_auc(pos, neg, level=0.9), roc_auc(neg, pos, level=0.9)
    assert (1 - back.high, 1 - back.value, 1 - back.low) == pytest.approx((e.low, e.value, e.high), abs=1e-9)
    wider = roc_auc(pos, neg, level=0.99)
    assert 0 <= wider.low <= e.low <= e.value <= e.high <= wider.high <= 1
    assert e.high > e.low


@given(rows, st.randoms())
def test_scikit_learn_agrees_and_row_order_does_not_matter(rows, random):
    from sklearn.metrics import average_precision_score, roc_auc_score

    s, y = np.array([r[0] for r in rows], dtype=float), np.array([r[1] for r in rows])
    if y.all() or not y.any():
        assert average_precision_ranked(rank(s, y), level=0.9) is None
        return
    ap, auc = average_precision_ranked(rank(s, y), level=0.9), roc_auc_ranked(rank(s, y), level=0.9)
    assert auc.value == pytest.approx(roc_auc_score(y, s), abs=1e-12)
    assert ap.value == pytest.approx(average_precision_score(y, s), abs=1e-12)
    assert 0 <= ap.low <= ap.value <= ap.high <= 1
    random.shuffle(rows)
    again = rank(np.array([r[0] for r in rows], dtype=float), np.array([int(r[1]) for r in rows]))
    assert roc_auc_ranked(again, level=0.9) == auc
    assert average_precision_ranked(again, level=0.9) == ap


def test_average_precision_by_hand():
    # from the top: 1 0 1 0 -> precision 1 at the first positive, 2/3 at the second
    assert average_precision([0.9, 0.5], [0.7, 0.1], level=0.95).value == pytest.approx((1 + 2 / 3) / 2)


def test_influence_function_of_average_precision():
    """Its variance is that of moving each row's weight a little: the infinitesimal jackknife, done numerically."""
    from sklearn.metrics import average_precision_score

    rng = np.random.default_rng(3)
    y = rng.random(60) < 0.4
    s = np.round(rng.normal(size=60) + y, 1)
    step = 1e-6
    slopes = []
    for i in range(60):
        up, down = np.ones(60), np.ones(60)
        up[i], down[i] = 1 + step, 1 - step
        slopes.append((average_precision_score(y, s, sample_weight=up) - average_precision_score(y, s, sample_weight=down)) / (2 * step))
    e = average_precision_ranked(rank(s, y), level=0.95)
    half = 1.959964 * np.sqrt(np.sum(np.square(slopes))) / (e.value * (1 - e.value))
    assert np.log(e.high / (1 - e.high)) - np.log(e.value / (1 - e.value)) == pytest.approx(half, rel=1e-6)


@pytest.mark.parametrize(("m", "n", "shift"), [(30, 30, 1.0), (20, 400, 0.5), (200, 200, 2.0)])
def test_auc_interval_covers(m, n, shift):
    from scipy.special import ndtr

    rng = np.random.default_rng([m, n])
    truth = ndtr(shift / np.sqrt(2))
    draws = [roc_auc(rng.normal(shift, 1, m), rng.normal(0, 1, n), level=0.95) for _ in range(2000)]
    assert 0.93 < np.mean([e.low <= truth <= e.high for e in draws]) < 0.975


def test_difference_and_precision_intervals_cover():
    rng = np.random.default_rng(5)

    def draw(n: int):
        y = rng.random(n) < 0.3
        return rank(rng.normal(size=n) + y, y)

    truth = average_precision_ranked(draw(400_000), level=0.95).value
    tables = [draw(400) for _ in range(2000)]
    precision = [average_precision_ranked(t, level=0.95) for t in tables]
    differences = [auc_difference(a, b, level=0.95) for a, b in zip(tables[::2], tables[1::2], strict=True)]
    assert 0.93 < np.mean([e.low <= truth <= e.high for e in precision]) < 0.97
    assert 0.93 < np.mean([e.low <= 0 <= e.high for e in differences]) < 0.97


def test_perfect_and_useless_scores_are_not_certain():
    perfect = roc_auc([2, 3, 4], [0, 1], level=0.95)
    assert perfect.value == perfect.high == 1
    assert perfect.low < 0.6
    constant = roc_auc([0.5] * 40, [0.5] * 60, level=0.95)
    assert (constant.low + constant.high) / 2 == pytest.approx(0.5)
    assert constant.high > 0.6
    assert average_precision([2.0, 3.0], [0.0], level=0.95).low < 0.5
    assert auc_difference(rank_two([1], [0]), rank_two([1], [0]), level=0.95) is None


def test_edges():
    assert roc_auc([], [1.0], level=0.95) is None
    assert roc_auc([], [], level=0.95) is None
    assert average_precision([], [1.0], level=0.95) is None
    for bad in ([np.nan, 1.0], [np.inf]):
        with pytest.raises(ValueError, match="expected finite pos"):
            roc_auc(bad, [0.0], level=0.95)
    with pytest.raises(ValueError, match="expected y in"):
        rank([0.1, 0.2], [0, 2])
    with pytest.raises(ValueError, match="shape"):
        rank([0.1, 0.2], [0])
    table = rank(np.array([0.0, -0.0], dtype=np.float32), [0, 1])
    assert table.scores.tolist() == [0.0]  # −0.0 ties with 0.0


@pytest.mark.slow
@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_ten_million_rows_take_seconds(kind):
    import time

    from sklearn.metrics import roc_auc_score

    rng = np.random.default_rng(0)
    y = rng.random(10_000_000) < 0.3
    s = (rng.normal(size=y.size) + y).astype(kind)
    before = time.process_time()
    e = roc_auc(s[y], s[~y], level=0.95)
    assert time.process_time() - before < 8
    assert e.value == pytest.approx(roc_auc_score(y, s), abs=1e-12)


# --- over folds -----------------------------------------------------------------------------------------------------------------------


def test_auc_over_folds_compares_no_scores_of_different_folds() -> None:
    """Each fold's own scores are perfect, though pooled they are not; and the mean is that of the folds."""
    y, folds = np.array([0, 0, 1, 1] * 2), np.repeat([0, 1], 4)
    assert auc_over_folds([0, 1, 2, 3, 10, 11, 12, 13], y, folds, level=0.95).value == 1
    rng = np.random.default_rng(0)
    y, folds, score = rng.integers(0, 2, 200), np.arange(200) % 4, rng.normal(size=200)
    found = auc_over_folds(score, y, folds, level=0.95)
    each = [roc_auc(score[(folds == k) & (y == 1)], score[(folds == k) & (y == 0)], level=0.95).value for k in range(4)]
    assert found.value == pytest.approx(np.mean(each))
    single = sum(roc_auc(score[(folds == k) & (y == 1)], score[(folds == k) & (y == 0)], level=0.95).n for k in range(4))
    assert found.n == single == 200
    assert auc_over_folds(score[:4], [0, 0, 0, 1], [0, 0, 1, 1], level=0.95) is None
