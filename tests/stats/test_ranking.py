"""Rank metrics in pieces: the same table and numbers as in one piece, ties and few distinct scores included, in bounded memory."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audit.stats import runs as module
from audit.stats.auc import average_precision_ranked, delong, roc_auc_ranked
from audit.stats.ranked import Ranked, rank
from audit.stats.ranking import Ranking
from audit.stats.runs import Runs


@pytest.fixture
def tiny(monkeypatch):
    """Runs of 32 rows, so that a few hundred need many runs and ranges."""
    for name, value in {"ROWS": 32, "STEP": 4, "TIES": 2}.items():
        monkeypatch.setattr(module, name, value)


def pieces(scores, y, cut=50):
    with Runs() as runs:
        for start in range(0, len(scores), cut):
            runs.add(scores[start : start + cut], y[start : start + cut])
        return list(runs.ranked()), Ranking(runs.positives, runs.negatives, runs.ranked())


def joined(tables):
    return Ranked(*(np.concatenate([t[i] for t in tables]) for i in range(3)))


@pytest.mark.usefixtures("tiny")
@settings(max_examples=150, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 600), st.sampled_from([0, 1, 2, 6]), st.sampled_from([0.0, 0.02, 0.5, 1.0]), st.booleans())
def test_pieces_are_the_whole(seed, n, digits, share, below_zero):
    rng = np.random.default_rng(seed)
    y = rng.random(n) < share
    scores = np.round(rng.random(n) * 0.7 + 0.3 * y, digits) - (1e-6 if below_zero else 0.0)
    scores[rng.random(n) < 0.2] = -0.0
    tables, ranking = pieces(scores, y)
    table = rank(scores, y)
    assert all(np.array_equal(a, b) for a, b in zip(joined(tables), table, strict=True))
    assert all(a.scores[-1] < b.scores[0] for a, b in pairwise(tables))
    expected = delong(table)
    if expected is None:
        assert ranking.delong() is None
        assert ranking.roc_auc(level=0.9) is ranking.average_precision(level=0.9) is None
        assert ranking.roc() == []
        return
    assert ranking.delong()[0] == expected[0]
    assert ranking.delong()[1] == (None if expected[1] is None else pytest.approx(expected[1], rel=1e-12, abs=1e-16))
    for ours, theirs in (
        (ranking.roc_auc(level=0.9), roc_auc_ranked(table, level=0.9)),
        (ranking.average_precision(level=0.9), average_precision_ranked(table, level=0.9)),
    ):
        assert (ours.value, ours.low, ours.high) == pytest.approx((theirs.value, theirs.low, theirs.high), abs=1e-12)
        assert (ours.method, ours.n) == (theirs.method, theirs.n)
    assert ranking.roc() == roc_in_one_piece(table)


def roc_in_one_piece(table):
    """The highest cutoff that reaches each of 100 steps along the curve, by searching the whole of it."""
    positives, negatives = table.positives[::-1], table.negatives[::-1]
    tpr, fpr = np.cumsum(positives) / positives.sum(), np.cumsum(negatives) / negatives.sum()
    chosen = np.unique(np.searchsorted(fpr + tpr, np.linspace(0, 2, 100)).clip(0, len(tpr) - 1))
    return [(float(fpr[i]), float(tpr[i])) for i in chosen]


@pytest.mark.parametrize("ordered", [False, True])
def test_two_million_rows_in_any_order(ordered):
    rng = np.random.default_rng(1)
    scores = rng.random(2_000_000)
    scores[:300_000] = 0.25  # one score for many rows beside many scores for one
    y = rng.random(scores.size) < scores
    if ordered:
        order = np.argsort(scores, kind="stable")
        scores, y = scores[order], y[order]
    tables, ranking = pieces(scores, y, cut=262_144)
    table = rank(scores, y)
    assert max(t.scores.size for t in tables) < 2 * module.ROWS
    assert ranking.delong() == pytest.approx(delong(table), rel=1e-12)
    ours, theirs = ranking.average_precision(level=0.95), average_precision_ranked(table, level=0.95)
    assert (ours.value, ours.low, ours.high) == pytest.approx((theirs.value, theirs.low, theirs.high), abs=1e-12)


def test_what_is_no_probability_is_refused():
    with Runs() as runs:
        assert list(runs.ranked()) == []
        for bad in ([2.0], [-2.5]):
            with pytest.raises(ValueError, match=r"expected scores in \(-2, 2\)"):
                runs.add(bad, [1])
        with pytest.raises(ValueError, match="expected finite scores"):
            runs.add([np.nan], [1])
