"""Gate 5: would it say the same again, and of a neighbour (Yeh et al. 2019, max-sensitivity; Kuncheva 2007, corrected overlap)?"""

from __future__ import annotations

import math
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]


def top(values: Floats, k: int) -> Ints:
    """The k parts with the largest attributions, (n, k), of attributions (n, d); equal ones in their own order."""
    return np.argsort(-np.abs(values), axis=1, kind="stable")[:, :k]


def overlap(a: Ints, b: Ints) -> Floats:
    """Share of common members per row, (n,), of two choices (n, k) of different parts."""
    share: Floats = (a[:, :, None] == b[:, None, :]).any(axis=2).mean(axis=1)
    return share


def corrected(share: Floats | float, k: int, d: int) -> Floats:
    """(o − k/d) / (1 − k/d): 1 is the same choice, 0 what chance gives; k < d."""
    if not 0 < k < d:
        raise ValueError(f"k is between 1 and d − 1, got k = {k}, d = {d}")
    return np.asarray((np.asarray(share) - k / d) / (1 - k / d))


def agreement(runs: Sequence[Floats], k: int) -> Floats:
    """Corrected overlap of the k largest per row, (n,), averaged over the pairs of runs, each (n, d)."""
    chosen = [top(run, k) for run in runs]
    shares = [overlap(a, b) for a, b in combinations(chosen, 2)]
    return corrected(np.mean(shares, axis=0), k, runs[0].shape[1])


def concordance(runs: Sequence[Floats]) -> Floats:
    """Kendall's W per row, (n,), of the ranks that runs (n, d) give to the sizes: 1 is the same order each time; ties are corrected for."""
    from scipy.stats import rankdata

    ranks = np.stack([rankdata(np.abs(run), axis=1) for run in runs])
    m, d = ranks.shape[0], ranks.shape[2]
    spread = ((ranks.sum(axis=0) - m * (d + 1) / 2) ** 2).sum(axis=1)
    ties = np.array([[sum(int(c) ** 3 - int(c) for c in np.unique(r, return_counts=True)[1]) for r in run] for run in ranks]).sum(axis=0)
    whole = m**2 * (d**3 - d) / 12 - m * ties / 12
    w: Floats = np.where(whole > 0, spread / np.where(whole > 0, whole, 1), 1.0)
    return w


def moved(values: Floats, near: Floats) -> Floats:
    """‖near − values‖₂ / ‖values‖₂ per row, (n,), both (n, d); 0 is unmoved. Where the attributions are all 0, 0 or ∞."""
    size = np.sqrt((values**2).sum(axis=1))
    apart = np.sqrt(((near - values) ** 2).sum(axis=1))
    share: Floats = np.where(size > 0, apart / np.where(size > 0, size, 1), np.where(apart > 0, math.inf, 0.0))
    return share
