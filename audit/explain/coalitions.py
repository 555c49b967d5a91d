"""Which coalitions of parts a model is asked about: every one, or pairs of a coalition and its complement drawn at random.

A pair is written once, as one of its two coalitions: the other is its complement. `weight` is what each pair counts for in the regression whose
solution are Shapley values, `chance` the share of its variance that the draw left open: 1 where pairs may come twice, 0 for sizes of which
every coalition was drawn.
"""

from __future__ import annotations

import itertools
import math
from functools import lru_cache
from typing import TYPE_CHECKING, Protocol

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Bools = NDArray[np.bool_]

#: Sizes of so few coalitions are listed and shuffled; of larger ones, coalitions are drawn and those that came before are put back.
LISTED = 20_000


class Pairs(Protocol):
    """A growing draw of pairs of coalitions of d parts."""

    def grow(self, pairs: int) -> Bools:
        """Draw until there are about `pairs` in all; the new ones, (new, d). Fewer than were asked for where there are no more."""
        ...

    def weights(self) -> tuple[Floats, Floats]:
        """`weight` and `chance` of all pairs drawn so far, in the order in which they came."""
        ...


class KernelPairs:
    """Independent draws, sizes in proportion to 1/(s·(d − s)), as Kernel SHAP has them, with the complement (Covert and Lee 2021)."""

    def __init__(self, d: int, rng: np.random.Generator) -> None:
        sizes = np.arange(1, d)
        chances = 1 / (sizes * (d - sizes))
        self._d, self._rng, self._drawn = d, rng, 0
        self._chances = chances / chances.sum()

    def grow(self, pairs: int) -> Bools:
        """As `Pairs` says; every pair counts alike."""
        new = max(0, pairs - self._drawn)
        self._drawn += new
        sizes = self._rng.choice(np.arange(1, self._d), size=new, p=self._chances)
        return subsets(self._d, sizes, self._rng)

    def weights(self) -> tuple[Floats, Floats]:
        """As `Pairs` says."""
        return np.ones(self._drawn), np.ones(self._drawn)


class LeveragePairs:
    """Leverage SHAP (Musco and Witter 2025): every size alike, without replacement; small sizes are soon complete.

    The leverage score of a coalition in the regression is 1/C(d, s), so sizes share the draw equally. Here they do so exactly (strata), and
    what a complete size cannot take goes to the others.
    """

    def __init__(self, d: int, rng: np.random.Generator) -> None:
        self._d = d
        self._strata = [_Stratum(d, s, rng) for s in range(1, d // 2 + 1)]
        self._sizes: list[NDArray[np.int64]] = []

    def grow(self, pairs: int) -> Bools:
        """As `Pairs` says; at least one pair of every size."""
        found = []
        for stratum, wanted in zip(self._strata, self._shares(pairs), strict=True):
            new = stratum.more(wanted)
            self._sizes.append(np.full(len(new), stratum.size, dtype=np.int64))
            found.append(new)
        return np.concatenate(found)

    def _shares(self, pairs: int) -> list[int]:
        """Pairs of each size: min(all of them, c each), with the c that uses up `pairs`; the middle size is its own complement and takes half."""
        halves = np.array([0.5 if 2 * stratum.size == self._d else 1.0 for stratum in self._strata])
        most = np.array([float(stratum.total) for stratum in self._strata])
        if pairs >= most.sum():
            return [stratum.total for stratum in self._strata]
        low, high = 0.0, float(2 * pairs)
        for _ in range(60):
            middle = (low + high) / 2
            low, high = (middle, high) if np.minimum(most, middle * halves).sum() < pairs else (low, middle)
        return [max(1, int(share)) for share in np.minimum(most, np.ceil(high * halves - 1e-6))]

    def weights(self) -> tuple[Floats, Floats]:
        """As `Pairs` says: each size counts 1/(s·(d − s)) in all, its complement likewise."""
        sizes = np.concatenate(self._sizes)
        by_size = {s.size: (s.drawn, s.total) for s in self._strata}
        drawn = np.array([by_size[s][0] for s in sizes.tolist()], dtype=np.float64)
        share = np.array([by_size[s][0] / by_size[s][1] for s in sizes.tolist()])
        both = np.where(2 * sizes == self._d, 1.0, 2.0)
        return both / (sizes * (self._d - sizes) * drawn), 1 - share


class _Stratum:
    """Different coalitions of one size, up to complement."""

    def __init__(self, d: int, size: int, rng: np.random.Generator) -> None:
        self.size, self.drawn = size, 0
        self._d, self._rng = d, rng
        self._middle = 2 * size == d
        self.total = math.comb(d, size) // (2 if self._middle else 1)
        self._order: NDArray[np.int64] | None = None
        self._seen: set[bytes] = set()

    def more(self, wanted: int) -> Bools:
        """New coalitions until there are `wanted`, (new, d)."""
        new = min(wanted, self.total) - self.drawn
        if new <= 0:
            return np.zeros((0, self._d), dtype=bool)
        found = self._listed(new) if self.total <= LISTED else self._rejected(new)
        self.drawn += new
        return found

    def _listed(self, new: int) -> Bools:
        """The next ones of all, in an order that was shuffled once; the middle size is listed by the coalitions that hold part 0."""
        if self._order is None:
            self._order = self._rng.permutation(self.total)
        chosen = _members(self._d, self.size, self._middle)[self._order[self.drawn : self.drawn + new]]
        masks = np.zeros((new, self._d), dtype=bool)
        np.put_along_axis(masks, chosen, True, axis=1)
        if self._middle:
            masks[:, 0] = True
        return masks

    def _rejected(self, new: int) -> Bools:
        """Drawn ones that did not come before."""
        found: list[NDArray[np.bool_]] = []
        while len(found) < new:
            masks = subsets(self._d, np.full(new - len(found), self.size), self._rng)
            if self._middle:
                masks = np.where(masks[:, :1], masks, ~masks)
            for mask, key in zip(masks, np.packbits(masks, axis=1), strict=True):
                if key.tobytes() not in self._seen:
                    self._seen.add(key.tobytes())
                    found.append(mask)
        return np.stack(found)


@lru_cache(maxsize=64)
def _members(d: int, size: int, middle: bool) -> NDArray[np.int64]:
    """The parts of every coalition of a size, in order; of the middle size without part 0, which all of them hold."""
    found = itertools.combinations(range(1 if middle else 0, d), size - middle)
    return np.array(list(found), dtype=np.int64).reshape(-1, size - middle)


def subsets(d: int, sizes: NDArray[np.int64], rng: np.random.Generator) -> Bools:
    """A uniformly drawn coalition of each of the given sizes, (len(sizes), d)."""
    ranks = rng.random((len(sizes), d)).argsort(axis=1).argsort(axis=1)
    return np.asarray(ranks < np.asarray(sizes)[:, None])


def everything(d: int) -> Bools:
    """All 2^d coalitions; coalition number z holds part j where bit j of z is 1."""
    return (np.arange(1 << d)[:, None] >> np.arange(d)[None, :] & 1).astype(bool)
