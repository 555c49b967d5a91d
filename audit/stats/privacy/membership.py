"""How well the members of a training set are told from others by a score: high means "was in".

Members and others are rows drawn alike; a score that tells nothing has AUC ½ and, at every false-positive rate, a true-positive rate as large.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr, ndtri
from scipy.stats import binom

from audit.measurement import Estimate
from audit.stats._inputs import check_share, estimate, finite
from audit.stats.privacy.manyruns import at_least, at_most

Floats = NDArray[np.float64]
#: Least probability that a score may have before its logarithm is taken.
TINY = 1e-30


def log_odds(probabilities: ArrayLike, y: ArrayLike) -> Floats:
    """ln p_y − ln Σ_{c≠y} p_c for each row (n,), from probabilities (n, classes) and class codes (n,). Carlini et al. 2022."""
    p, place = np.asarray(probabilities, dtype=np.float64), np.asarray(y, dtype=np.int64)
    rows = np.arange(len(p))
    own = p[rows, place]
    rest = p.copy()
    rest[rows, place] = 0.0
    return np.asarray(np.log(np.maximum(own, TINY)) - np.log(np.maximum(rest.sum(axis=1), TINY)), dtype=np.float64)


def tpr_at(members: ArrayLike, others: ArrayLike, *, fpr: float, level: float) -> Estimate | None:
    """The share of members (m,) above the threshold that a share `fpr` of others exceeds, in [0, 1]; `fpr` means that nothing is told.

    The threshold is known from the `others` (n,) only, and its own error counts: it lies, with probability 1 − (1−level)/4 on either side,
    between two of their order statistics (binomial), and the rate above each is bounded by Clopper and Pearson's on one side at the same
    probability. None where a side is empty.
    """
    inside, outside = np.sort(finite("members", members)), np.sort(finite("others", others))[::-1]
    check_share("fpr", fpr)
    m, n, tail = len(inside), len(outside), (1 - level) / 4
    if not m or not n:
        return None

    def above(place: int, *, strictly: bool) -> int:
        """Members above the score of the other at `place` (from 1, highest first)."""
        if place < 1:
            return 0 if strictly else m
        if place > n:
            return m
        return m - int(np.searchsorted(inside, outside[place - 1], side="right" if strictly else "left"))

    # The k-th highest of the others lies above the threshold exactly where at least k of them do.
    fewest, most = int(binom.ppf(tail, n, fpr)), int(binom.isf(tail, n, fpr)) + 1
    low = at_least(above(fewest, strictly=True), m, beta=tail) if fewest else 0.0
    high = at_most(above(most, strictly=False), m, beta=tail)
    value = above(int(fpr * n + 1e-9) + 1, strictly=True) / m
    return estimate(value, low, high, level=level, method="order_statistics_clopper_pearson", n=m + n)


def implied_epsilon(rate: Estimate, fpr: float) -> Estimate:
    """ln(TPR / FPR) of `tpr_at`, at least 0: under ε-privacy no attack reaches more than e^ε · FPR. It is no ε of the model."""

    def of(share: float) -> float:
        return max(0.0, math.log(share / fpr)) if share > 0 else 0.0

    return rate.model_copy(update={"value": of(rate.value), "low": of(rate.low), "high": of(rate.high)})


class Shifted(NamedTuple):
    """Scores N(0, 1) of others and N(shift, 1) of members: what is expected of them."""

    auc: float
    accuracy: float

    @staticmethod
    def of(shift: float) -> Shifted:
        return Shifted(float(ndtr(shift / math.sqrt(2))), float(ndtr(shift / 2)))


def gaussian_tpr(shift: float, fpr: float) -> float:
    """The share of N(shift, 1) above the threshold that `fpr` of N(0, 1) exceeds."""
    return float(ndtr(shift + ndtri(fpr)))
