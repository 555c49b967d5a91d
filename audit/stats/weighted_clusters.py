"""Functions of weighted sums where rows carry survey weights and belong together: whole clusters are drawn with what they weigh.

A replicate takes as many clusters as there are, with replacement, and every weighted sum anew from those taken (Rao and Wu 1988, without strata;
Lumley 2010): as in `audit.stats.clusters`, of which this is the general case. Clusters are taken for drawn with replacement, and each row's weight
for what the design and its adjustments made of it; weights are not calibrated anew in a replicate.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from audit.measurement import Clusters, Estimate, Weights
from audit.stats._inputs import Floats, Ints
from audit.stats.clusters import UNDEFINED, Draws, at_least, interval
from audit.stats.weighted_sums import Found, at_an_end, error_of

#: Draws that differ by less than this share of their size differ by rounding.
ROUNDING = 1e-12
#: Slices whose replicates are kept for the next statistic of them.
KEPT = 16


class Pile(NamedTuple):
    """The clusters (m,) that have rows in a slice, and the sums of W columns over these rows, (m, W)."""

    units: Ints
    sums: Floats


class Piles:
    """Sums of columns over the rows of each slice and cluster, from rows that arrive in blocks; only pairs that occur are held."""

    def __init__(self, slices: int, units: int, width: int) -> None:
        self.slices, self.units, self.width = slices, units, width
        self._parts: list[tuple[Ints, Floats]] = [(np.zeros(0, np.int64), np.zeros((0, width)))]

    def add(self, slices: ArrayLike, units: ArrayLike, columns: Sequence[ArrayLike]) -> None:
        """More rows: the slice, the cluster and the `width` columns of each, all (k,)."""
        key, at = self._keys(slices, units)
        self._parts.append((key, np.stack([np.bincount(at, weights=np.asarray(c), minlength=len(key)) for c in columns], axis=1)))

    def count(self, slices: ArrayLike, units: ArrayLike, codes: ArrayLike, weights: ArrayLike) -> None:
        """More rows: the slice, the cluster, a code below `width` / 2 and the weight of each: summed are rows by code, then weights by code."""
        key, at = self._keys(slices, units)
        size = self.width // 2
        place, length = at * size + np.asarray(codes), len(key) * size
        both = [np.bincount(place, weights=w, minlength=length).reshape(-1, size) for w in (None, np.asarray(weights))]
        self._parts.append((key, np.concatenate(both, axis=1).astype(np.float64)))

    def _keys(self, slices: ArrayLike, units: ArrayLike) -> tuple[Ints, Ints]:
        key, at = np.unique(np.asarray(slices, np.int64) * self.units + np.asarray(units), return_inverse=True)
        return key, at

    @cached_property
    def _all(self) -> tuple[Ints, Floats]:
        key, at = np.unique(np.concatenate([k for k, _ in self._parts]), return_inverse=True)
        sums = np.zeros((len(key), self.width))
        np.add.at(sums, at, np.concatenate([s for _, s in self._parts]))
        return key, sums

    def of(self, slice_: int) -> Pile:
        """The clusters of one slice."""
        key, sums = self._all
        start, stop = np.searchsorted(key, [slice_ * self.units, (slice_ + 1) * self.units])
        return Pile(key[start:stop] - slice_ * self.units, sums[start:stop])

    @cached_property
    def sums(self) -> Floats:
        """Sums of each slice, (slices, W)."""
        key, sums = self._all
        out = np.zeros((self.slices, self.width))
        np.add.at(out, key // self.units, sums)
        return out


class Drawn:
    """Statistics of the weighted sums of each slice, from whole clusters. `sums` are (slices, C), `naive` what their variance would be of independent
    rows of equal weight, (slices, C, C); `by_cluster` gives rows, weights and the C sums of each cluster of a slice."""

    def __init__(self, draws: Draws, rows: Ints, sums: Floats, naive: Callable[[int], Floats], by_cluster: Callable[[int], Pile]) -> None:
        self.rows, self.sums = rows, sums
        self._draws, self._naive, self._by_cluster = draws, naive, by_cluster
        self._kept: dict[int, Floats] = {}

    def least(self, i: int) -> float:
        """Independent rows of equal weight that a slice is worth if the rows of a cluster are all alike."""
        held = self._by_cluster(i).sums
        return at_least(held[:, 1], held[:, 0])

    def clusters(self, i: int) -> int:
        """Clusters that have a row in a slice."""
        return int(np.count_nonzero(self._by_cluster(i).sums[:, 0]))

    def replicates(self, i: int, statistic: Callable[[Floats], Floats], pick: Sequence[int] | None = None) -> tuple[float, Floats]:
        """A statistic of the sums (R, C) → (R,): its value, and that in each replicate."""
        drawn = self._kept.pop(i, None)
        if drawn is None:
            pile = self._by_cluster(i)
            drawn = self._draws.of(pile.sums[:, 2:], pile.units)
        self._kept[i] = drawn  # now the last: the slice that was not asked for the longest is the first
        if len(self._kept) > KEPT:
            del self._kept[next(iter(self._kept))]
        chosen = self._chosen(pick)
        with np.errstate(divide="ignore", invalid="ignore"):
            return float(statistic(self.sums[i][None, chosen])[0]), statistic(drawn[:, chosen])

    def _chosen(self, pick: Sequence[int] | None) -> list[int]:
        return list(range(self.sums.shape[1]) if pick is None else pick)

    def undrawn(self, i: int, statistic: Callable[[Floats], Floats], pick: Sequence[int] | None = None) -> bool:
        """Whether a statistic has a value and no interval because there are too few clusters."""
        value, drawn = self.replicates(i, statistic, pick)
        few = self.clusters(i) < 2 or np.count_nonzero(np.isfinite(drawn)) < (1 - UNDEFINED) * len(drawn)
        return bool(self.rows[i] > 1 and math.isfinite(value) and few)

    def estimate(
        self, i: int, statistic: Callable[[Floats], Floats], *, level: float, low: float = -math.inf, high: float = math.inf,
        pick: Sequence[int] | None = None, ends: bool = False,
    ) -> Found | None:  # fmt: skip
        """A statistic of slice i by `audit.stats.clusters.interval`, and what its rows are worth; None where it is undefined or shows no spread.

        At `low` or `high`, which it cannot leave, with `ends`: Wilson's interval of no miss in as many rows as these are worth at `least`.
        """
        value, drawn = self.replicates(i, statistic, pick)
        rows, clusters = int(self.rows[i]), self.clusters(i)
        defined = drawn[np.isfinite(drawn)]
        if rows < 2 or clusters < 2 or not math.isfinite(value) or not defined.size:
            return None
        if np.ptp(defined) <= ROUNDING * np.abs(defined).max():
            least = max(1.0, self.least(i))
            found = at_an_end(value, low, high, least, level=level, n=rows, method="wilson_clusters") if ends else None
            return None if found is None else _worth(found, clusters, rows / least)
        found = interval(value, drawn, clusters=clusters, level=level, n=rows)
        chosen = self._chosen(pick)
        alone = error_of(statistic, self.sums[i][chosen], self._naive(i)[np.ix_(chosen, chosen)])
        if found is None or alone <= 0:
            return None
        return _worth(found, clusters, float(np.var(defined)) / alone**2)

    def difference(self, i: int, other: int, statistic: Callable[[Floats], Floats], *, level: float) -> tuple[Estimate, float] | None:
        """A statistic of slice i less that of another over the same draws, and p of no difference: Student's, one degree of freedom less than the
        clusters of the side that has fewer."""
        from scipy.special import stdtr

        (ours, drawn), (theirs, against) = self.replicates(i, statistic), self.replicates(other, statistic)
        clusters, apart = min(self.clusters(i), self.clusters(other)), drawn - against
        found = interval(ours - theirs, apart, clusters=clusters, level=level, n=int(self.rows[i] + self.rows[other]))
        error = float(np.std(apart[np.isfinite(apart)])) if found else 0.0
        if found is None or error <= ROUNDING * max(abs(ours), abs(theirs)):
            return None
        return found, float(2 * stdtr(clusters - 1, -abs(found.value) / error))


def _worth(found: Estimate, clusters: int, effect: float) -> Found:
    effective = [max(1, round(found.n / effect))]
    return Found(
        found, Weights(design_effect=effect, effective=effective), Clusters(fewest=clusters, design_effect=effect, effective=effective)
    )


class Totals:
    """Weighted sums of C columns, the first of which is 1, by slice and cluster, over rows that arrive in blocks."""

    def __init__(self, draws: Draws, slices: int, columns: int) -> None:
        self._draws, self._piles = draws, Piles(slices, draws.size, 2 + columns)
        self._crosses = np.zeros((slices, columns, columns))

    def add(self, slices: ArrayLike, weights: ArrayLike, columns: Sequence[ArrayLike], units: ArrayLike) -> None:
        """More rows: the slice, the weight, the columns and the cluster of each, all (k,)."""
        place, w, x = np.asarray(slices), np.asarray(weights, np.float64), [np.asarray(c, np.float64) for c in columns]
        self._piles.add(place, units, [np.ones(len(w)), w, *(w * one for one in x)])
        for a, one in enumerate(x):
            for b, other in enumerate(x):
                self._crosses[:, a, b] += np.bincount(place, weights=w * one * other, minlength=self._piles.slices)

    def statistics(self) -> Drawn:
        """What can be made of these sums."""
        total = self._piles.sums
        per_row = total[:, 1] / np.maximum(total[:, 0], 1)
        return Drawn(self._draws, total[:, 0].astype(np.int64), total[:, 2:], lambda i: per_row[i] * self._crosses[i], self._piles.of)


def of_codes(draws: Draws, piles: Piles) -> Drawn:
    """Statistics of weights by code: `piles` hold rows by code, then weights by code (`Piles.count`)."""
    total, size = piles.sums, piles.width // 2
    rows = total[:, :size].sum(axis=1)
    per_row = total[:, size:].sum(axis=1) / np.maximum(rows, 1)

    def by_cluster(i: int) -> Pile:
        units, sums = piles.of(i)
        ends = (sums[:, :size].sum(axis=1), sums[:, size:].sum(axis=1))
        return Pile(units, np.concatenate([np.stack(ends, axis=1), sums[:, size:]], axis=1))

    return Drawn(draws, rows.astype(np.int64), total[:, size:], lambda i: np.diag(per_row[i] * total[i, size:]), by_cluster)
