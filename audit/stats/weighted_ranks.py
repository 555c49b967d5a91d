"""ROC AUC and average precision of rows that carry survey weights, with the variance of the linearised statistic.

Whole columns are held in memory: weights are as many as rows, so the counts of scores that `ranking` works with do not exist.
"""

from __future__ import annotations

import math
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike

from audit.result import Estimate
from audit.stats._inputs import Floats, binary, finite
from audit.stats.auc import auc_estimate, precision_estimate

POINTS = 100


class WeightedRanking:
    """Scores (n,), outcomes (n,) in {0, 1} and weights (n,) above 0."""

    def __init__(self, scores: ArrayLike, y: ArrayLike, weights: ArrayLike) -> None:
        values = finite("scores", scores)
        self._one = binary("y", y, values.size)
        self._w = np.asarray(weights, np.float64)
        _, self._place = np.unique(values, return_inverse=True)
        size = int(self._place.max(initial=-1)) + 1
        self._pos = np.bincount(self._place, weights=self._w * self._one, minlength=size)  # weight of each score
        self._neg = np.bincount(self._place, weights=self._w * ~self._one, minlength=size)
        self.positives, self.rows = int(self._one.sum()), values.size
        self.above, self.below = float(self._pos.sum()), float(self._neg.sum())

    @property
    def one_class(self) -> bool:
        """Whether one of the classes is empty."""
        return self.positives in (0, self.rows)

    def _kish(self, kept: np.ndarray) -> int:
        w = self._w[kept]
        return max(1, math.floor(float(w.sum()) ** 2 / float((w * w).sum())))

    @cached_property
    def delong(self) -> tuple[float, float | None] | None:
        """(AUC, its variance): DeLong's with weights, each row's term times 1 + 2 w / Σ w of its class; None where a class is empty."""
        if self.one_class:
            return None
        beaten = (np.cumsum(self._neg) - self._neg / 2)[self._place] / self.below
        beating = 1 - (np.cumsum(self._pos) - self._pos / 2)[self._place] / self.above
        one, w = self._one, self._w
        auc = float(np.dot(w[one], beaten[one])) / self.above
        variance = 0.0
        for kept, share, total in ((one, beaten, self.above), (~one, beating, self.below)):
            if np.count_nonzero(kept) < 2:
                return auc, None
            own = w[kept] / total
            variance += float(np.sum((own * (share[kept] - auc)) ** 2 * (1 + 2 * own)))
        return auc, variance

    def roc_auc(self, *, level: float) -> Estimate | None:
        """As `auc.roc_auc_ranked`; where it falls back on a score interval, with the rows of equal weight that each class is worth."""
        if self.one_class:
            return None
        return self._ours(auc_estimate(self.delong, self._kish(self._one), self._kish(~self._one), level=level))

    def average_precision(self, *, level: float) -> Estimate | None:
        """Mean weighted precision over the events, each at its own score as cutoff, as scikit-learn has it; logit interval of its linearised variance."""
        if self.one_class:
            return None
        pos, both = self._pos, self._pos + self._neg
        at_least = np.cumsum(both[::-1])[::-1]  # weight at or above each score
        precision = np.cumsum(pos[::-1])[::-1] / at_least
        value = float(np.dot(pos, precision)) / self.above
        lift, shared = np.cumsum(pos / at_least), np.cumsum(pos / at_least * precision)
        moves = np.where(self._one, (precision + lift)[self._place] - value, 0.0) - shared[self._place]
        variance = float(np.sum((self._w * moves) ** 2 * (1 + 2 * self._w / (self.above + self.below)))) / self.above**2
        return self._ours(precision_estimate(value, variance, self._kish(self._one), self.rows, level=level))

    def _ours(self, found: Estimate | None) -> Estimate | None:
        return found and found.model_copy(update={"method": f"{found.method}_weighted", "n": self.rows})

    def roc(self) -> list[tuple[float, float]]:
        """At most `POINTS` points (false positive rate, true positive rate), by weight, from the highest cutoff down."""
        if self.one_class:
            return []
        false, true = np.cumsum(self._neg[::-1]) / self.below, np.cumsum(self._pos[::-1]) / self.above
        chosen = np.unique(np.searchsorted(false + true, np.linspace(0, 2 - 1e-12, POINTS)).clip(max=len(false) - 1))
        return [(min(1.0, float(x)), min(1.0, float(y))) for x, y in zip(false[chosen], true[chosen], strict=True)]


def trivially(shares: Floats, kind: str) -> Floats:
    """Mean loss (R,) of the best constant forecast where the classes have these shares (R, classes): Brier as scikit-learn has it, or log loss."""
    from scipy.special import xlogy

    if kind == "log":
        return np.asarray(-xlogy(shares, shares).sum(axis=1))
    loss = 1 - (shares**2).sum(axis=1)
    return np.asarray(loss / 2 if shares.shape[1] == 2 else loss)
