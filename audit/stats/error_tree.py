"""A small tree of errors: which columns divide rows with many errors from rows with few, grown, pruned and measured on different rows.

A regression tree (Breiman, Friedman, Olshen and Stone 1984) of the error of a row. What was grown on some rows is cut back where others do not
repeat it by more than chance would in one case of twenty, and its figures are to be taken from rows that had no part in either ("honest": Athey and Imbens 2016).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from audit.stats._inputs import Floats, Ints

Levels = Sequence[NDArray[np.unsignedinteger]]
Bools = NDArray[np.bool_]
#: Numbers that growing holds at most: of more rows the first ones are taken.
NUMBERS = 20_000_000
#: Standard errors by which a division must help rows that did not grow it: the 95 % quantile of the normal distribution.
REPEATED = 1.645


class Node(NamedTuple):
    """A part of the rows: those of its parent whose level in `column` is one of `levels`; the root, the first of a tree, has neither."""

    parent: int | None
    column: int | None
    levels: tuple[int, ...]


def ranks(level: NDArray[np.unsignedinteger], size: int, errors: Floats, order: Ints | None) -> Ints:
    """The rank of each level (size,): in `order` where levels have one, else by mean error, which makes the best division one of neighbours.

    Breiman et al. 1984, theorem 4.5. Levels without rows stand where the mean error of all rows would.
    """
    if order is not None:
        return order
    n = np.bincount(level, minlength=size)
    means = np.where(n > 0, np.bincount(level, weights=errors, minlength=size) / np.maximum(n, 1), errors.mean())
    place = np.empty(size, np.int64)
    place[np.lexsort((np.arange(size), means))] = np.arange(size)
    return place


def grow(
    levels: Levels, sizes: Sequence[int], orders: Sequence[Ints | None], errors: Floats, pruning: Bools, *, depth: int, least: int
) -> list[Node]:
    """The tree as nodes, parents before children, left before right; the root alone where nothing divides the errors.

    `levels` (n,) of each row in each column, below `sizes`; `pruning` (n,) are the rows that cut back what the others grew; a leaf has at
    least `least` of the growing rows.
    """
    from sklearn.tree import DecisionTreeRegressor

    root = [Node(None, None, ())]
    growing = np.flatnonzero(~pruning)[: max(1, NUMBERS // max(1, len(sizes)))]
    e = errors[growing]
    if len(growing) < 2 * least or not len(sizes) or not np.ptp(e) > 0:
        return root
    rank = [ranks(v[growing], s, e, o) for v, s, o in zip(levels, sizes, orders, strict=True)]
    x = np.stack([r[v[growing]] for r, v in zip(rank, levels, strict=True)], axis=1).astype(np.float32)
    scale = 2.0 ** math.frexp(float(np.abs(e).max()))[1]  # so that squares of any errors are in range
    fitted = DecisionTreeRegressor(max_depth=depth, min_samples_leaf=least, random_state=0).fit(x, e / scale).tree_
    held = np.flatnonzero(pruning)
    kept = _kept(fitted, [r[v[held]] for r, v in zip(rank, levels, strict=True)], errors[held] / scale)
    nodes: list[Node] = []
    _written(fitted, 0, kept, rank, Node(None, None, ()), [tuple(range(s)) for s in sizes], nodes)
    return nodes


def _kept(tree: object, ranked: Sequence[Ints], errors: Floats) -> set[int]:
    """The nodes that stay divided: where the rows for pruning are foretold better by the leaves below, by more than chance would."""
    left, right = tree.children_left, tree.children_right  # type: ignore[attr-defined]
    feature, threshold, mean = tree.feature, tree.threshold, tree.value[:, 0, 0]  # type: ignore[attr-defined]
    kept: set[int] = set()

    def foretold(node: int, rows: Ints) -> Floats:
        """The mean of the leaf that each row ends in, of what is left of the tree below this node."""
        alone = np.full(len(rows), mean[node])
        if left[node] < 0:
            return alone
        below = np.empty(len(rows))
        goes = ranked[feature[node]][rows] <= threshold[node]
        for child, part in ((left[node], goes), (right[node], ~goes)):
            below[part] = foretold(int(child), rows[part])
        gain = (errors[rows] - alone) ** 2 - (errors[rows] - below) ** 2
        if len(gain) > 1 and gain.sum() > REPEATED * math.sqrt(len(gain)) * gain.std(ddof=1):
            kept.add(node)
            return below
        return alone

    foretold(0, np.arange(len(errors)))
    return kept


def _written(
    tree: object, at: int, kept: set[int], rank: Sequence[Ints], node: Node, allowed: list[tuple[int, ...]], nodes: list[Node]
) -> None:
    """The node and what is below it, added to `nodes`; `allowed` are the levels of each column that lead here."""
    nodes.append(node)
    if at not in kept:
        return
    place, column, cut = len(nodes) - 1, int(tree.feature[at]), float(tree.threshold[at])  # type: ignore[attr-defined]
    for child, low in ((int(tree.children_left[at]), True), (int(tree.children_right[at]), False)):  # type: ignore[attr-defined]
        inside = tuple(level for level in allowed[column] if (rank[column][level] <= cut) == low)
        _written(tree, child, kept, rank, Node(place, column, inside), [*allowed[:column], inside, *allowed[column + 1 :]], nodes)


def members(nodes: Sequence[Node], levels: Levels, sizes: Sequence[int], n: int) -> list[Bools]:
    """Which of n rows each node holds, (n,) each."""
    found: list[Bools] = []
    for node in nodes:
        if node.parent is None or node.column is None:
            found.append(np.ones(n, np.bool_))
            continue
        table = np.zeros(sizes[node.column], np.bool_)
        table[list(node.levels)] = True
        found.append(found[node.parent] & table[levels[node.column]])
    return found


def leaves(nodes: Sequence[Node]) -> list[int]:
    """The places of the nodes that are not divided."""
    parents = {node.parent for node in nodes}
    return [i for i in range(len(nodes)) if i not in parents]
