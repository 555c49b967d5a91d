"""The tree of errors: what was planted divides it, what is chance is cut back, and its parts are a partition of the rows."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from audit.stats.error_tree import Node, grow, leaves, members, ranks

Codes = list[NDArray[np.uint8]]


def rows(n: int = 6000, seed: int = 0) -> tuple[Codes, list[int], NDArray[np.bool_], np.random.Generator]:
    rng = np.random.default_rng(seed)
    sizes = [5, 4, 6]
    return [rng.integers(0, s, n).astype(np.uint8) for s in sizes], sizes, rng.random(n) < 1 / 3, rng


def grown(levels: Codes, sizes: list[int], errors: NDArray[np.float64], pruning: NDArray[np.bool_], depth: int = 3) -> list[Node]:
    return grow(levels, sizes, [None] * len(sizes), errors, pruning, depth=depth, least=50)


def test_the_planted_division_is_found_whatever_the_levels_are_called() -> None:
    """Levels 0 and 3 of a category stand at its ends, and are one side of the division; a second column divides them further."""
    levels, sizes, pruning, rng = rows()
    side = np.isin(levels[0], [0, 3])
    errors = (rng.random(6000) < np.select([side & (levels[1] == 2), side], [0.8, 0.4], 0.1)).astype(float)
    nodes = grown(levels, sizes, errors, pruning)
    found = {(n.column, n.levels) for n in nodes}
    assert found >= {(0, (1, 2, 4)), (0, (0, 3)), (1, (0, 1, 3)), (1, (2,))}
    (high,) = [n for n in nodes if n.levels == (2,)]
    assert high.parent is not None
    assert nodes[high.parent].levels == (0, 3)


def test_chance_is_cut_back() -> None:
    """Of 40 samples of errors that depend on nothing few keep a division; grown without cutting back, every one has some."""
    divided = 0
    for seed in range(40):
        levels, sizes, pruning, rng = rows(2000, seed)
        divided += len(grown(levels, sizes, (rng.random(2000) < 0.2).astype(float), pruning)) > 1
    assert divided <= 8  # the root's division is kept by chance with probability .05, and .05 again for those below it


def test_parts_are_a_partition() -> None:
    levels, sizes, pruning, rng = rows()
    errors = rng.exponential(1.0 + levels[0] * (levels[1] > 1))
    nodes = grown(levels, sizes, errors, pruning)
    inside = members(nodes, levels, sizes, 6000)
    assert len(nodes) > 3
    assert (sum(inside[leaf].astype(int) for leaf in leaves(nodes)) == 1).all()
    for i, node in enumerate(nodes):
        children = [k for k, n in enumerate(nodes) if n.parent == i]
        assert len(children) in (0, 2)
        if children:
            assert (inside[children[0]] ^ inside[children[1]] == inside[i]).all()
        if node.parent is not None:
            assert inside[i][~pruning].sum() >= 50


def test_numbers_are_divided_in_their_order() -> None:
    """A number whose middle levels have the errors: of it, no division takes levels that are no neighbours."""
    levels, sizes, pruning, rng = rows()
    errors = (rng.random(6000) < np.where((levels[2] >= 2) & (levels[2] <= 3), 0.7, 0.1)).astype(float)
    nodes = grow(levels, sizes, [None, None, np.arange(6)], errors, pruning, depth=3, least=50)
    numbers = [n for n in nodes if n.column == 2]
    assert len(numbers) >= 4
    for node in numbers:
        assert list(node.levels) == list(range(min(node.levels), max(node.levels) + 1))


def test_ranks_are_by_mean_error_and_missing_levels_in_the_middle() -> None:
    level = np.array([0, 0, 1, 1, 3, 3], np.uint8)
    errors = np.array([1.0, 1.0, 0.0, 0.0, 0.0, 1.0])
    assert ranks(level, 4, errors, None).tolist() == [3, 0, 1, 2]  # levels 2 (no rows) and 3 both at .5
    assert ranks(level, 4, errors, np.array([3, 2, 1, 0])).tolist() == [3, 2, 1, 0]


@pytest.mark.parametrize("errors", [np.zeros(300), np.full(300, 7.0)])
def test_errors_that_do_not_vary_are_not_divided(errors: NDArray[np.float64]) -> None:
    levels, sizes, pruning, _ = rows(300)
    assert grown(levels, sizes, errors, pruning) == [Node(None, None, ())]


def test_huge_errors_are_divided_too() -> None:
    levels, sizes, pruning, _ = rows()
    nodes = grown(levels, sizes, np.where(levels[0] == 1, 1e200, 1e10), pruning, depth=1)
    assert [set(n.levels) for n in nodes[1:]] == [{0, 2, 3, 4}, {1}]
