"""Slices of the rows by up to three attributes: all of them counted, the worst found on one half of the rows, ready to be tested on the other.

Everything is enumerated from contingency tables, so nothing is missed by a heuristic. Finding and testing on different rows is what keeps a
test valid after a search (Cox 1975; Wasserman and Roeder 2009).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import combinations
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from audit.stats import scores
from audit.stats._inputs import Floats, Ints, check_share

#: A table of all numbers is kept up to this size, else only those that occur.
DENSE = 1 << 20
#: How slices are ranked: by the lower bound of their rate's difference, by z, or by SliceLine's score.
By = Literal["bound", "z", "sliceline"]
#: One-sided level of the lower bound that ranks.
LEVEL = 0.95


class Tally:
    """Rows counted by a number below `size`, in blocks."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._all = np.zeros(size, np.int64) if size <= DENSE else None
        self._keys, self._counts = np.zeros(0, np.int64), np.zeros(0, np.int64)

    def add(self, keys: Ints) -> None:
        """More rows: the number of each, (k,)."""
        if self._all is not None:
            self._all += np.bincount(keys, minlength=self.size)
            return
        found, counts = np.unique(keys, return_counts=True)
        merged, place = np.unique(np.concatenate([self._keys, found]), return_inverse=True)
        self._counts = np.bincount(place, np.concatenate([self._counts, counts]), minlength=len(merged)).astype(np.int64)
        self._keys = merged

    def counts(self) -> tuple[Ints, Ints]:
        """The numbers that occur, in rising order, and how often."""
        if self._all is None:
            return self._keys, self._counts
        found = np.flatnonzero(self._all)
        return found, self._all[found]


class Cells(NamedTuple):
    """Rows counted by the levels of some attributes and by a code.

    `places` are the attributes' numbers in rising order, `levels` (cells, attributes) their levels in each cell, -1 for those that name no slice;
    `counts` (cells, codes).
    """

    places: tuple[int, ...]
    levels: Ints
    counts: Ints

    def over(self, places: tuple[int, ...]) -> Cells:
        """Counted by some of the attributes only."""
        kept = self.levels[:, [self.places.index(place) for place in places]]
        levels, cell = np.unique(kept, axis=0, return_inverse=True)
        counts = np.zeros((len(levels), self.counts.shape[1]), np.int64)
        np.add.at(counts, cell.ravel(), self.counts)
        return Cells(places, levels, counts)


def cells(tally: Tally, places: tuple[int, ...], sizes: Sequence[int], codes: int) -> Cells:
    """A tally of the mixed-radix numbers of levels and code, the code last; of each attribute the last of `sizes` levels names no slice."""
    keys, counts = tally.counts()
    cell, code = np.divmod(keys, codes)
    found, place = np.unique(cell, return_inverse=True)
    table = np.zeros((len(found), codes), np.int64)
    table[place, code] = counts
    levels = np.stack(np.unravel_index(found, tuple(sizes)), axis=1).astype(np.int64)
    levels[levels == np.array(sizes) - 1] = -1
    return Cells(places, levels, table)


def divisions(tables: Sequence[Cells], depth: int) -> Iterator[Cells]:
    """The rows divided by every set of up to `depth` attributes, each from the first table that holds them; cells that are a slice only."""
    attributes = sorted({place for table in tables for place in table.places})
    for size in range(1, min(depth, len(attributes)) + 1):
        for places in combinations(attributes, size):
            table = next(t for t in tables if set(places) <= set(t.places))
            found = table if table.places == places else table.over(places)
            named = (found.levels >= 0).all(axis=1)
            yield Cells(places, found.levels[named], found.counts[named])


def slice_z(k: ArrayLike, n: ArrayLike, everybody: float) -> Floats:
    """How far the rate k / n of a slice lies above everybody's, in standard errors under equality: (r − r̄) / √(r̄(1 − r̄) / n); 0 where r̄ is 0 or 1."""
    k, n = np.asarray(k, dtype=np.float64), np.asarray(n, dtype=np.float64)
    spread = everybody * (1 - everybody)
    return np.asarray((k / n - everybody) / np.sqrt(spread / n) if spread > 0 else np.zeros(np.broadcast(k, n).shape))


def sliceline_score(k: ArrayLike, n: ArrayLike, *, errors: float, rows: int, alpha: float) -> Floats:
    """SliceLine's score α(ē_S/ē − 1) − (1 − α)(N/n − 1) of slices with k errors in n rows, of `errors` in `rows` rows; above 0 is of interest.

    Small slices are punished: it is above 0 only where the error is 1 + (1/α − 1)(N/n − 1) times everybody's, which for 2 % of the rows and
    α = .95 is 3.6. Sagadeeva and Boehm 2021. ValueError unless 0 < alpha < 1 and errors > 0.
    """
    check_share("alpha", alpha)
    if errors <= 0:
        raise ValueError(f"expected errors > 0, got {errors}")
    k, n = np.asarray(k, dtype=np.float64), np.asarray(n, dtype=np.float64)
    return np.asarray(alpha * (k / n / (errors / rows) - 1) - (1 - alpha) * (rows / n - 1))


def lower_bound(k1: ArrayLike, n1: ArrayLike, k0: ArrayLike, n0: ArrayLike) -> Floats:
    """One-sided 95 % lower bound of p1 − p0, Newcombe's (1998, method 10), for arrays of counts; n1, n0 >= 1."""
    return scores.difference_limits(k1, n1, k0, n0, level=2 * LEVEL - 1)[0]


def nested(one: Mapping[int, int], other: Mapping[int, int]) -> bool:
    """Whether one of two slices, attribute → level, lies inside the other: it says the same again."""
    return one.items() <= other.items() or other.items() <= one.items()


class Found(NamedTuple):
    """A slice that stands out on the first half: attribute → level, (k, n) of it and of everybody else on the first half and on the second, and its rank score."""

    levels: dict[int, int]
    first: tuple[int, int, int, int]
    second: tuple[int, int, int, int]
    score: float


#: Counts (cells, codes) → how often something happened and could have, on the two halves: (k, n), each (cells, 2).
Read = Callable[[Ints], tuple[Ints, Ints]]


class Search(NamedTuple):
    """What is looked for: slices of at least `support` rows in both halves together and `least` in each, the `most` highest of them.

    `tried` of the result counts all slices that were large enough to be ranked.
    """

    support: int
    least: int
    most: int
    by: By = "bound"
    alpha: float = 0.99

    def among(self, divided: Sequence[Cells], read: Read, everybody: Ints) -> tuple[list[Found], int]:
        """The slices that stand out on the first half, the highest first, and how many were ranked; `everybody` (codes,) are the counts of all rows.

        Above 0 only: a lower bound above equality, or a score that SliceLine itself calls of interest. A slice inside one that ranks higher, or around
        it, says the same again and is left out.
        """
        k0, n0 = (part[0] for part in read(everybody[None, :]))
        ranked: list[tuple[NDArray[np.float64], Cells, Ints, Ints, NDArray[np.int64]]] = []
        tried = 0
        for table in divided:
            k, n = read(table.counts)
            large = (n.sum(axis=1) >= self.support) & (n >= self.least).all(axis=1) & (n0 - n >= self.least).all(axis=1)
            tried += int(large.sum())
            # Exact in integers: the rate of the slice above that of everybody else.
            higher = np.flatnonzero(large & (k[:, 0] * (n0[0] - n[:, 0]) > (k0[0] - k[:, 0]) * n[:, 0]))
            if len(higher):
                ranked.append((self._score(k[higher, 0], n[higher, 0], int(k0[0]), int(n0[0])), table, k, n, higher))
        order = sorted(
            (-float(score), len(table.places), t, int(place))
            for t, (scored, table, _, _, places) in enumerate(ranked)
            for score, place in zip(scored, places, strict=True)
        )
        found: list[Found] = []
        for score, _, t, place in order:
            if len(found) == self.most or score >= 0:
                break
            _, table, k, n, _ = ranked[t]
            levels = dict(zip(table.places, table.levels[place].tolist(), strict=True))
            if any(nested(levels, f.levels) for f in found):
                continue
            first, second = (
                (int(k[place, h]), int(n[place, h]), int(k0[h] - k[place, h]), int(n0[h] - n[place, h])) for h in (0, 1)
            )  # fmt: skip
            found.append(Found(levels, first, second, -score))
        return found, tried

    def _score(self, k: Ints, n: Ints, everybody: int, rows: int) -> Floats:
        if self.by == "z":
            return slice_z(k, n, everybody / rows)
        if self.by == "sliceline":
            return sliceline_score(k, n, errors=everybody, rows=rows, alpha=self.alpha)
        return lower_bound(k, n, everybody - k, rows - n)
