"""SliceLine: the published golden, a slow twin that prunes nothing, bounds that hold, and what no search may return."""

from __future__ import annotations

from itertools import combinations, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from audit.stats.sliceline import Search, Worst, bound
from audit.stats.slices import sliceline_score

Codes = NDArray[np.uint8]


def brute_force(
    levels: list[Codes], sizes: list[int], errors: NDArray[np.float64], search: Search
) -> list[tuple[dict[int, int], int, float]]:
    """Every slice, a mask each: (levels, rows, score), the worst first."""
    found = []
    for size in range(1, search.depth + 1):
        for places in combinations(range(len(sizes)), size):
            for values in product(*(range(sizes[p] - 1) for p in places)):
                inside = np.logical_and.reduce([levels[p] == v for p, v in zip(places, values, strict=True)])
                n = int(inside.sum())
                if n >= search.support:
                    score = float(sliceline_score(errors[inside].sum(), n, errors=errors.sum(), rows=len(errors), alpha=search.alpha))
                    if score > 0:
                        found.append((-score, size, places, values, n))
    return [(dict(zip(places, values, strict=True)), n, -score) for score, _, places, values, n in sorted(found)[: search.most]]


def told(found: list[Worst]) -> list[tuple[dict[int, int], int, float]]:
    return [(w.levels, w.n, w.score) for w in found]


def test_the_planted_slice_of_1200_rows_is_first() -> None:
    """a ∈ 2, b ∈ 3, c ∈ 4, 50 rows each, 5 errors in each cell and 30 where a = 1 and b = 2: .95 (.6 / .18333 − 1) − .05 (1200 / 200 − 1)."""
    a, b, c, i = (v.ravel() for v in np.indices((2, 3, 4, 50)))
    errors = (i < np.where((a == 1) & (b == 2), 30, 5)).astype(float)
    found, counted = Search(50, 3, 10, 0.95).among([v.astype(np.uint8) for v in (a, b, c)], [3, 4, 5], errors)
    assert found[0].levels == {0: 1, 1: 2}
    assert (found[0].n, found[0].error) == (200, pytest.approx(0.6, abs=1e-12))
    assert found[0].score == pytest.approx(1.909091, abs=1e-6)
    assert counted > 9


@pytest.mark.parametrize("alpha", [0.5, 0.95, 0.99])
@pytest.mark.parametrize("most", [1, 4, 500])
def test_what_is_pruned_is_not_among_the_worst(alpha: float, most: int) -> None:
    """Zero-one errors, real ones with a long tail, and errors that nearly all rows lack: the same slices, rows and scores as without pruning."""
    rng = np.random.default_rng(int(100 * alpha) + most)
    sizes = [3, 4, 5, 3, 6]
    levels = [rng.integers(0, s, 900).astype(np.uint8) for s in sizes]
    likely = np.where((levels[0] == 1) & (levels[4] == 2), 0.6, 0.2)
    for errors in ((rng.random(900) < likely).astype(float), rng.lognormal(0, 1.5, 900) * likely, (rng.random(900) < 0.02).astype(float)):
        search = Search(12, 3, most, alpha)
        found, expected = search.among(levels, sizes, errors)[0], brute_force(levels, sizes, errors, search)
        assert [w[:2] for w in told(found)] == [w[:2] for w in expected]
        assert [w.score for w in found] == pytest.approx([w[2] for w in expected], abs=1e-9)


def test_pruning_spares_passes_over_the_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a high threshold after the first slices, tables of which no cell can reach it are never counted."""
    from audit.stats import sliceline

    rng = np.random.default_rng(3)
    levels = [rng.integers(0, 4, 4000).astype(np.uint8) for _ in range(6)]
    errors = (levels[0] == 1).astype(float)
    passes = []
    counting = sliceline._Run._count
    monkeypatch.setattr(sliceline._Run, "_count", lambda self, *given: passes.append(1) or counting(self, *given))
    found, _ = Search(40, 3, 1, 0.99).among(levels, [5] * 6, errors)
    assert found[0].levels == {0: 1}
    assert len(passes) == 6  # single columns only: of 6 + 15 + 20


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 30), st.sampled_from([0.3, 0.9, 0.99]))
def test_no_slice_inside_scores_above_the_bound(seed: int, support: int, alpha: float) -> None:
    rng = np.random.default_rng(seed)
    errors = np.concatenate([rng.exponential(1, 40), np.zeros(60)])
    outer = rng.permutation(100)[: rng.integers(support, 101)]
    inner = rng.permutation(outer)[: rng.integers(support, len(outer) + 1)] if len(outer) > support else outer
    search, total = Search(support, 3, 1, alpha), errors.sum()
    top = bound(float(len(outer)), errors[outer].sum(), errors[outer].max(), search, total, 100)
    assert sliceline_score(errors[inner].sum(), len(inner), errors=total, rows=100, alpha=alpha) <= top + 1e-9


def test_the_order_of_rows_changes_no_digit() -> None:
    rng = np.random.default_rng(0)
    levels, errors = [rng.integers(0, 3, 5000).astype(np.uint8) for _ in range(3)], rng.exponential(1, 5000)
    order = rng.permutation(5000)
    search = Search(10, 3, 20, 0.9)
    assert search.among(levels, [4, 4, 4], errors) == search.among([v[order] for v in levels], [4, 4, 4], errors[order])


def test_the_last_level_names_no_slice_and_small_slices_are_not_counted() -> None:
    level = np.array([0] * 50 + [1] * 40 + [2] * 10, np.uint8)
    errors = np.array([0.1] * 50 + [0.2] * 40 + [9.0] * 10)
    assert Search(10, 1, 5).among([level], [3], errors)[0] == []
    assert [w.levels for w in Search(10, 1, 5).among([level], [4], errors)[0]] == [{0: 2}]
    assert Search(11, 1, 5).among([level], [4], errors) == ([], 2)


def test_no_rows_and_no_errors_have_no_worst_slice() -> None:
    none = np.zeros(0, np.uint8)
    assert Search(1, 3, 5).among([none], [2], np.zeros(0)) == ([], 0)
    assert Search(1, 3, 5).among([np.zeros(9, np.uint8)], [2], np.zeros(9)) == ([], 0)
    with pytest.raises(ValueError, match="0 and above"):
        Search(1, 3, 5).among([np.zeros(2, np.uint8)], [2], [1.0, -1.0])
