"""Rows as sums of 64-bit numbers, one a column: equal rows have equal sums, and a column is left out by taking its number away again.

Two different rows have the same sum with a chance of 2⁻⁶⁴ (Zobrist 1970): among ten million rows on each side about one wrong match is
expected in 200,000 comparisons of whole tables.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Prints = NDArray[np.uint64]


def mixed(hashes: Prints, column: int) -> Prints:
    """The number of each row (n,) for a column, from a hash of its value: the same value in another column gives another number.

    The finaliser of splitmix64 (Steele, Lea and Flood 2014).
    """
    with np.errstate(over="ignore"):
        z = hashes + np.uint64((column + 1) * 0x9E3779B97F4A7C15 & (2**64 - 1))
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return z ^ (z >> np.uint64(31))


class Matches(NamedTuple):
    """Which rows of one table (n,) occur in another, and how many pairs of equal rows there are."""

    seen: NDArray[np.bool_]
    pairs: int


def matches(ours: Prints, theirs: Prints) -> Matches:
    """The rows of `ours` (n,) that occur among `theirs` (m,)."""
    distinct, counts = np.unique(theirs, return_counts=True)
    if not distinct.size:
        return Matches(np.zeros(ours.size, dtype=np.bool_), 0)
    place = np.minimum(np.searchsorted(distinct, ours), distinct.size - 1)
    seen = distinct[place] == ours
    return Matches(seen, int(counts[place[seen]].sum()))


def twins(prints: Prints) -> Matches:
    """The rows (n,) that occur more than once, and the pairs among them, each counted once."""
    _, place, counts = np.unique(prints, return_inverse=True, return_counts=True)
    pairs = int((counts * (counts - 1) // 2).sum())
    return Matches(np.asarray(counts[place.reshape(-1)] > 1), pairs)
