"""Gate 4: does the explanation depend on the model (Adebayo et al. 2018; Hedström et al. 2024)?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

#: Bins of the histogram whose entropy is taken.
BINS = 100
#: Attributions whose cosine is at least this are the same but for their scale.
SAME = 0.99
#: Where 95 of 100 pairs of random models stay below 1 less this, a likeness beyond theirs can be seen.
ROOM = 0.2
#: Parts below which ranks say too little.
FEWEST = 5


def similarity(a: Floats, b: Floats) -> Floats:
    """|Spearman's ρ| between the sizes of two attributions of the same rows, both (n, d): (n,), 1 where they rank the parts alike.

    0 where one of the two does not rank the parts at all, unless neither does.
    """
    from scipy.stats import rankdata

    ranks = [rankdata(np.abs(x), axis=1) for x in (a, b)]
    p, q = (r - r.mean(axis=1, keepdims=True) for r in ranks)
    size = np.sqrt((p**2).sum(axis=1) * (q**2).sum(axis=1))
    neither = (~p.any(axis=1)) & (~q.any(axis=1))
    rho: Floats = np.where(size > 0, np.abs((p * q).sum(axis=1)) / np.where(size > 0, size, 1), neither.astype(float))
    return rho


def signed_similarity(a: Floats, b: Floats) -> Floats:
    """|Spearman's ρ| between two attributions of the same rows with their signs, both (n, d): (n,). Parts that hardly differ from what stands in for
    them, as the border of a picture, have small attributions whatever the model is; their sizes rank alike, their signs do not."""
    from scipy.stats import rankdata

    p, q = (r - r.mean(axis=1, keepdims=True) for r in (rankdata(x, axis=1) for x in (a, b)))
    size = np.sqrt((p**2).sum(axis=1) * (q**2).sum(axis=1))
    neither = (~p.any(axis=1)) & (~q.any(axis=1))
    rho: Floats = np.where(size > 0, np.abs((p * q).sum(axis=1)) / np.where(size > 0, size, 1), neither.astype(float))
    return rho


def proportional(a: Floats, b: Floats) -> Floats:
    """|cosine| of two attributions of the same rows, both (n, d): (n,), 1 where one is a multiple of the other. Ranks of few parts are alike for
    many reasons, proportions are not."""
    size = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    neither = ~a.any(axis=1) & ~b.any(axis=1)
    cosine: Floats = np.where(size > 0, np.abs((a * b).sum(axis=1)) / np.where(size > 0, size, 1), neither.astype(float))
    return cosine


def entropy(values: Floats) -> Floats:
    """Entropy in nats of the histogram of the sizes of attributions (n, d) in `BINS` equal bins up to each row's largest: (n,)."""
    size = np.abs(values)
    largest = size.max(axis=1, keepdims=True)
    place = np.minimum((size / np.where(largest > 0, largest, 1) * BINS).astype(np.int64), BINS - 1)
    out = np.zeros(len(values))
    for i, row in enumerate(place):
        share = np.bincount(row) / len(row)
        share = share[share > 0]
        out[i] = -(share * np.log(share)).sum()
    return out


def entropy_rise(values: Floats, randomised: Floats) -> Floats:
    """Ψ of efficient MPRT per row, (n,): (H(randomised) − H(values)) / H(values); above 0 where the model's parameters matter, 0 where they do not.

    Where the entropy is 0 itself, the rise is taken in nats.
    """
    own = entropy(values)
    rise: Floats = (entropy(randomised) - own) / np.where(own > 0, own, 1)
    return rise
