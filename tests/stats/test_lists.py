"""Weights of places by hand and by Singh and Joachims' example; NDCG and recall held against scikit-learn, list by list, ties included."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import ndcg_score

from audit.stats.lists import places, quality


def test_weights_fall_with_the_logarithm_of_the_place_and_end_at_the_last_that_is_seen() -> None:
    found = places([0, 0, 0, 0], [0.6, 0.9, 0.7, 0.8], at=2)
    assert found.weight == pytest.approx([0, 1, 0, 1 / np.log2(3)])
    assert found.shown.tolist() == [0, 1, 0, 1]
    assert found.length.tolist() == [4] * 4


def test_singh_and_joachims_job_seekers() -> None:
    """Six people of nearly one relevance, the men .01 above the women: exposure .71 against .39 (KDD 2018, figure 1)."""
    found = places([0] * 6, [0.82, 0.81, 0.80, 0.79, 0.78, 0.77], at=6).weight
    assert found[:3].mean() == pytest.approx(0.71, abs=0.005)
    assert found[3:].mean() == pytest.approx(0.39, abs=0.005)


def test_equal_scores_share_their_places() -> None:
    found = places([3, 3, 3, 1], [0.5, 0.5, 0.9, 0.1], at=2)
    assert found.weight == pytest.approx([1 / np.log2(3) / 2] * 2 + [1, 1])
    assert found.shown == pytest.approx([0.5, 0.5, 1, 1])


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 4), st.booleans()), min_size=1, max_size=25), st.integers(1, 6))
def test_lists_are_those_of_scikit_learn_one_by_one(rows: list[tuple[int, int, bool]], at: int) -> None:
    codes, score, wanted = (np.array(c) for c in zip(*rows, strict=True))
    found = quality(codes, score, wanted, at=at)
    assert found.code.tolist() == sorted({c for c, _, w in rows if w})
    for i, code in enumerate(found.code):
        own = codes == code
        y, s = wanted[own].astype(float), score[own].astype(float)
        if own.sum() > 1:
            assert found.ndcg[i] == pytest.approx(ndcg_score(y[None], s[None], k=at))
            assert found.ndcg_by_chance[i] == pytest.approx(ndcg_score(y[None], np.zeros((1, len(y))), k=at))
        border = np.sort(s)[::-1][min(at, len(s)) - 1]
        free = min(at, len(s)) - (s > border).sum()
        slow = (y[s > border].sum() + free * y[s == border].sum() / (s == border).sum()) / y.sum()
        assert found.recall[i] == pytest.approx(slow)
        assert found.recall_by_chance[i] == pytest.approx(min(at, len(s)) / len(s))


def test_what_is_no_ranking_is_refused() -> None:
    with pytest.raises(ValueError, match="at >= 1"):
        places([0], [0.5], at=0)
    with pytest.raises(ValueError, match="score"):
        places([0], [np.nan], at=1)
    assert quality([0, 0], [0.1, 0.2], [False, False], at=1).code.size == 0
