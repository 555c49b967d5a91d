"""The exact worst slices of the rows by up to a few attributes: every one is counted, or cannot be among the worst.

SliceLine, Sagadeeva and Boehm 2021: a slice of |S| of n rows with the mean error ē_S scores α(ē_S / ē − 1) − (1 − α)(n / |S| − 1). What a slice inside
others can score at most follows from their rows, errors and largest error (their equation 4), so most sets of attributes need no pass over the
rows. Here a set of attributes is one contingency table, and bounds are taken over its cells at once.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from audit.stats._inputs import Floats, Ints, finite
from audit.stats.slices import sliceline_score

#: Sums of errors stay below this, where doubles hold every whole number.
WHOLE = 2.0**52
#: A bound below the last score by less than this is a tie that rounding made.
TIE = 1e-9


class Worst(NamedTuple):
    """A slice: attribute → level, its rows, its mean error, and its score."""

    levels: dict[int, int]
    n: int
    error: float
    score: float


class Cells(NamedTuple):
    """The slices of one set of attributes as tables with an axis for each: rows, sum and largest of their errors; all 0 where no slice is left."""

    n: Ints
    errors: Floats
    largest: Floats

    def where(self, kept: NDArray[np.bool_]) -> Cells:
        """Only those cells."""
        return Cells(self.n * kept, self.errors * kept, self.largest * kept)


class Search(NamedTuple):
    """What is looked for: slices of at least `support` rows by at most `depth` attributes, the `most` highest with a score above 0."""

    support: int
    depth: int
    most: int
    alpha: float = 0.99

    def among(self, levels: Sequence[NDArray[np.unsignedinteger]], sizes: Sequence[int], errors: ArrayLike) -> tuple[list[Worst], int]:
        """The worst slices, the worst first (ties: fewer attributes first), and how many slices of that many rows were counted.

        `levels` (n,) are the levels of each row in each attribute, below `sizes`; of each attribute the last level names no slice. `errors` (n,) are
        0 or above; they are held as whole multiples of a power of two, so that sums have the same digits in any order. ValueError for errors below 0.
        """
        e = finite("errors", errors).astype(np.float64)
        if e.size and e.min() < 0:
            raise ValueError("expected errors of 0 and above")
        if not e.size or not e.max() > 0:
            return [], 0
        e = np.rint(e * (unit := 2.0 ** math.floor(math.log2(WHOLE / (e.size * e.max())))))
        run = _Run(self, len(e), float(e.sum()), unit)
        if run.total > 0:
            for size in range(1, min(self.depth, len(sizes)) + 1):
                run.level(levels, sizes, e, size)
        return run.worst(), run.counted


class _Run:
    """One search: the tables whose cells may hold a worse slice inside, and the worst ones so far."""

    def __init__(self, search: Search, rows: int, total: float, unit: float) -> None:
        self.search, self.rows, self.total, self.unit = search, rows, total, unit
        self.above: dict[tuple[int, ...], Cells] = {}
        self.counted, self.least = 0, 0.0
        self._best: list[tuple[float, int, tuple[int, ...], tuple[int, ...], int, float]] = []

    def level(self, levels: Sequence[NDArray[np.unsignedinteger]], sizes: Sequence[int], errors: Floats, size: int) -> None:
        """All slices by `size` attributes; tables are kept only where a deeper level reads them."""
        found: dict[tuple[int, ...], Cells] = {}
        last, partial = None, None  # the key of all attributes but the last, which sets that follow each other share
        for places in self._sets(len(sizes), size):
            shape = tuple(sizes[p] for p in places)
            bound = self._inside(places, shape)
            if bound is not None and not self._may_hold(bound).any():
                continue
            if last != places[:-1]:
                last, partial = places[:-1], _key(levels, sizes, places[:-1])
            key = levels[places[-1]] if partial is None else partial * sizes[places[-1]] + levels[places[-1]]
            cells = self._count(key, errors, shape, bound)
            self._rank(places, cells)
            if size < self.search.depth and (kept := cells.where(self._may_hold(cells))).n.any():
                found[places] = kept
        self.above = found

    def _sets(self, attributes: int, size: int) -> Iterator[tuple[int, ...]]:
        """Sets of attributes of which every smaller one has a cell that may hold a worse slice."""
        if size == 1:
            yield from ((p,) for p in range(attributes))
            return
        for places in combinations(range(attributes), size):
            if all(part in self.above for part in combinations(places, size - 1)):
                yield places

    def _inside(self, places: tuple[int, ...], shape: tuple[int, ...]) -> Cells | None:
        """What each cell can hold at most: the least of what the cells around it hold; None for single attributes, around which there are none."""
        if len(places) == 1:
            return None
        parts = [(i, self.above[places[:i] + places[i + 1 :]]) for i in range(len(places))]

        def least(read: Callable[[Cells], NDArray[Any]]) -> NDArray[Any]:
            return np.asarray(np.minimum.reduce([np.broadcast_to(np.expand_dims(read(cells), i), shape) for i, cells in parts]))

        return Cells(least(lambda c: c.n), least(lambda c: c.errors), least(lambda c: c.largest))

    def _count(self, key: NDArray[np.integer], errors: Floats, shape: tuple[int, ...], bound: Cells | None) -> Cells:
        cells = math.prod(shape)
        n = np.bincount(key, minlength=cells).reshape(shape)
        sums = np.bincount(key, weights=errors, minlength=cells).reshape(shape)
        if bound is None:
            largest = np.zeros(cells)
            np.maximum.at(largest, key, errors)
        else:  # the largest error around a cell bounds that in it, and takes no pass
            largest = bound.largest
        named = np.zeros(shape, np.bool_)
        named[tuple(slice(0, s - 1) for s in shape)] = True
        if bound is not None:
            named &= bound.n > 0
        return Cells(n, np.asarray(sums, np.float64), largest.reshape(shape)).where(named & (n >= self.search.support))

    def _rank(self, places: tuple[int, ...], cells: Cells) -> None:
        """The slices of a table among the worst so far."""
        found = np.argwhere(cells.n > 0)
        self.counted += len(found)
        if not len(found):
            return
        n, e = cells.n[tuple(found.T)], cells.errors[tuple(found.T)]
        scores = sliceline_score(e, n, errors=self.total, rows=self.rows, alpha=self.search.alpha)
        for i in np.flatnonzero((scores > 0) & (scores >= self.least - TIE)).tolist():
            self._best.append((-float(scores[i]), len(places), places, tuple(found[i].tolist()), int(n[i]), float(e[i])))
        if len(self._best) > self.search.most:
            self._best = sorted(self._best)[: self.search.most]
            self.least = -self._best[-1][0]

    def _may_hold(self, cells: Cells) -> NDArray[np.bool_]:
        """Cells that a slice among the worst may be, or lie inside."""
        n, e = cells.n, cells.errors
        large = (n >= self.search.support) & (e > 0)
        score = np.full(n.shape, -np.inf)
        score[large] = bound(n[large], e[large], cells.largest[large], self.search, self.total, self.rows)
        return (score > 0) & (score >= self.least - TIE)

    def worst(self) -> list[Worst]:
        found = []
        for score, _, places, levels, n, e in sorted(self._best):
            found.append(Worst(dict(zip(places, levels, strict=True)), n, e / n / self.unit, -score))
        return found


def bound(n: ArrayLike, errors: ArrayLike, largest: ArrayLike, search: Search, total: float, rows: int) -> Floats:
    """The highest score of any slice of at least `support` rows inside slices with at most `n` rows, `errors` in all and `largest` in one row.

    A slice of s rows has at most min(s · largest, errors); the score of that is highest at one of the ends or where both are equal.
    """
    n, errors, largest = (np.asarray(v, dtype=np.float64) for v in (n, errors, largest))
    ends = [np.full(n.shape, float(search.support)), np.clip(errors / np.maximum(largest, 1.0), search.support, n), n]
    at = [sliceline_score(np.minimum(s * largest, errors), s, errors=total, rows=rows, alpha=search.alpha) for s in ends]
    return np.asarray(np.maximum.reduce(at))


def _key(levels: Sequence[NDArray[np.unsignedinteger]], sizes: Sequence[int], places: tuple[int, ...]) -> NDArray[np.int64] | None:
    """The levels of each row as one mixed-radix number, (n,); None for no attribute."""
    if not places:
        return None
    key = levels[places[0]].astype(np.int64)
    for p in places[1:]:
        key *= sizes[p]
        key += levels[p]
    return key
