"""Rows in the order of their score, list by list: how much attention a place gets, and how well what is wanted stands at the top.

A place r (from 1) has the weight 1 / log2(1 + r), as in Järvelin and Kekäläinen's DCG (2002) and in Singh and Joachims' exposure (2018); places beyond
`at` have none. Equal scores stand in random order: each row has the average over the places that they share, so equal scores everywhere give what
chance gives.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from audit.stats._inputs import Floats, Ints, finite


class Places(NamedTuple):
    """Of each row (n,) the expected weight of its place, in [0, 1], and the chance that it is among the first `at`; of its list the number of rows (n,)."""

    weight: Floats
    shown: Floats
    length: Ints


class Quality(NamedTuple):
    """Of each list that holds a wanted row (L,): its code, NDCG and recall at the top in [0, 1] (1 is best), and the same for a random order."""

    code: Ints
    ndcg: Floats
    recall: Floats
    ndcg_by_chance: Floats
    recall_by_chance: Floats


def weights(at: int) -> Floats:
    """The weights of the places 1 to `at`, (at,)."""
    return np.asarray(1 / np.log2(np.arange(2, at + 2)))


def places(lists: ArrayLike, score: ArrayLike, *, at: int) -> Places:
    """Where each row stands in its list: `lists` (n,) are whole numbers from 0, `score` (n,) finite, the highest first. ValueError for `at` below 1."""
    codes, values = np.asarray(lists, dtype=np.int64), finite("score", score).astype(np.float64)
    if at < 1 or codes.shape != values.shape:
        raise ValueError(f"expected one list for each score and at >= 1, got {codes.shape}, {values.shape} and {at}")
    n = codes.size
    order = np.lexsort((-values, codes))
    ordered, own = codes[order], values[order]
    sizes = np.bincount(codes) if n else np.zeros(0, np.int64)
    first = np.cumsum(sizes) - sizes
    place = np.arange(n) - first[ordered]  # from 0
    by_place = np.where(place < at, 1 / np.log2(np.minimum(place, at) + 2.0), 0.0)
    run = np.cumsum(np.append(False, (ordered[1:] != ordered[:-1]) | (own[1:] != own[:-1]))) if n else place
    share = np.bincount(run) if n else place

    def averaged(values_: Floats) -> Floats:
        out = np.empty(n)
        out[order] = (np.bincount(run, weights=values_) / share)[run] if n else values_
        return out

    return Places(averaged(by_place), averaged((place < at).astype(np.float64)), sizes[codes] if n else codes)


def quality(lists: ArrayLike, score: ArrayLike, wanted: ArrayLike, *, at: int) -> Quality:
    """NDCG and recall at the top `at` of each list; `wanted` (n,) bool. A list without a wanted row has no best order and is left out.

    NDCG is that of scikit-learn's `ndcg_score` with ties averaged; a random order gives each row of a list of m the average weight of m places.
    """
    codes, liked = np.asarray(lists, dtype=np.int64), np.asarray(wanted, dtype=bool)
    found = places(codes, score, at=at)
    count = np.bincount(codes, weights=liked).astype(np.int64)
    held = np.flatnonzero(count)
    length, wanted_ = np.bincount(codes)[held], count[held]
    ladder = np.concatenate([[0.0], np.cumsum(weights(at))])

    def of(values: NDArray[np.float64]) -> Floats:
        return np.asarray(np.bincount(codes, weights=values * liked)[held], dtype=np.float64)

    ideal = ladder[np.minimum(wanted_, at)]
    by_chance = ladder[np.minimum(length, at)] / length
    return Quality(held, of(found.weight) / ideal, of(found.shown) / wanted_, by_chance * wanted_ / ideal, np.minimum(at, length) / length)
