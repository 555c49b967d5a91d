"""ROC AUC and average precision of rows that carry survey weights, with the variance of the linearised statistic (Binder 1983).

Where rows belong together the variance is that of the sums over clusters of what each row adds (Obuchowski 1997 for AUC), and its interval is
Student's with one degree of freedom less than the clusters that have a row of the rarer class.

Whole columns are held in memory: weights are as many as rows, so the counts of scores that `ranking` works with do not exist.
"""

from __future__ import annotations

import math
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike

from audit.measurement import Estimate
from audit.stats._inputs import Floats, Ints, binary, finite
from audit.stats.auc import auc_estimate, difference_of, normal_difference, precision_estimate
from audit.stats.clusters import at_least, students, variance_of

POINTS = 100
#: A value nearer than this to an end is at it, and a standard error below it is none.
ROUNDING = 1e-12


class WeightedRanking:
    """Scores (n,), outcomes (n,) in {0, 1} and weights (n,) above 0; `units` (n,) are the clusters of the rows, of `size` in all."""

    def __init__(self, scores: ArrayLike, y: ArrayLike, weights: ArrayLike, units: Ints | None = None, size: int = 0) -> None:
        values = finite("scores", scores)
        self._one = binary("y", y, values.size)
        self._w, self._units, self._size = np.asarray(weights, np.float64), units, size
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

    def _worth(self, kept: np.ndarray) -> int:
        """Rows of equal weight that those of a class are worth: Kish's figure (1965), or at least one row for each cluster."""
        w = self._w[kept]
        if self._units is None:
            return max(1, math.floor(float(w.sum()) ** 2 / float((w * w).sum())))
        weights, rows = (np.bincount(self._units[kept], weights=x, minlength=self._size) for x in (w, np.ones(len(w))))
        return max(1, math.floor(at_least(weights, rows)))

    @cached_property
    def clusters(self) -> int:
        """Clusters that have a row of the rarer class; 0 where rows are independent."""
        return 0 if self._units is None else min(len(np.unique(self._units[kept])) for kept in (self._one, ~self._one))

    def _variance(self, moves: Floats, shares: Floats) -> float:
        """Variance of the sum of what each row adds, (n,), each row of weight being `shares` (n,) of all that it is held against."""
        found = float(np.sum(moves**2 * (1 + 2 * shares))) if self._units is None else variance_of(self.by_cluster(moves))
        return found if found > ROUNDING**2 else 0.0

    def by_cluster(self, moves: Floats) -> Floats:
        """Sums of values of rows by cluster, (size,)."""
        assert self._units is not None, "rows belong together"
        return np.asarray(np.bincount(self._units, weights=moves, minlength=self._size), dtype=np.float64)

    @cached_property
    def moves(self) -> tuple[float, Floats, Floats] | None:
        """AUC; what each row adds to its error, (n,); and the share of each in the weight of its class. None where a class is empty."""
        if self.one_class:
            return None
        beaten = (np.cumsum(self._neg) - self._neg / 2)[self._place] / self.below
        beating = 1 - (np.cumsum(self._pos) - self._pos / 2)[self._place] / self.above
        auc = _at_end(float(np.dot(self._w[self._one], beaten[self._one])) / self.above)
        own = self._w / np.where(self._one, self.above, self.below)
        return auc, own * (np.where(self._one, beaten, beating) - auc), own

    @cached_property
    def delong(self) -> tuple[float, float | None] | None:
        """(AUC, its variance): DeLong's with weights, each row's term times 1 + 2 w / Σ w of its class; None where a class is empty."""
        if self.moves is None:
            return None
        auc, moves, own = self.moves
        few = min(self.positives, self.rows - self.positives) if self._units is None else self.clusters
        return auc, self._variance(moves, own) if few > 1 else None

    def roc_auc(self, *, level: float) -> Estimate | None:
        """As `auc.roc_auc_ranked`; where it falls back on a score interval, with the rows of equal weight that each class is worth."""
        if self.delong is None:
            return None
        auc, variance = self.delong
        parts = auc, self._students(variance or 0.0, level)
        return self._ours(auc_estimate(parts, self._worth(self._one), self._worth(~self._one), level=level))

    def _students(self, variance: float, level: float) -> float:
        return variance if self._units is None else students(variance, self.clusters, level=level)

    def difference(self, reference: WeightedRanking, *, level: float) -> Estimate | None:
        """AUC less that of other rows, whose clusters may be the same: `auc.auc_difference`, with the variance of the difference over clusters."""
        rows = self.rows + reference.rows
        if self._units is None:
            found = difference_of(self.delong, reference.delong, rows, level=level)
        else:
            clusters = min(self.clusters, reference.clusters)
            if self.moves is None or reference.moves is None or clusters < 2:
                return None
            apart = variance_of(self.by_cluster(self.moves[1]) - reference.by_cluster(reference.moves[1]))
            value = self.moves[0] - reference.moves[0]
            found = normal_difference(value, students(apart, clusters, level=level), rows, level=level) if apart > ROUNDING**2 else None
        return found and found.model_copy(update={"method": self._method(found.method)})

    def average_precision(self, *, level: float) -> Estimate | None:
        """Mean weighted precision over the events, each at its own score as cutoff, as scikit-learn has it; logit interval of its linearised variance."""
        if self.one_class:
            return None
        pos, both = self._pos, self._pos + self._neg
        at_least_ = np.cumsum(both[::-1])[::-1]  # weight at or above each score
        precision = np.cumsum(pos[::-1])[::-1] / at_least_
        value = _at_end(float(np.dot(pos, precision)) / self.above)
        lift, shared = np.cumsum(pos / at_least_), np.cumsum(pos / at_least_ * precision)
        moves = np.where(self._one, (precision + lift)[self._place] - value, 0.0) - shared[self._place]
        variance = self._variance(self._w * moves / self.above, self._w / (self.above + self.below))
        return self._ours(precision_estimate(value, self._students(variance, level), self._worth(self._one), self.rows, level=level))

    def _method(self, method: str) -> str:
        return f"{method}_{'weighted' if self._units is None else 'clusters'}"

    def _ours(self, found: Estimate | None) -> Estimate | None:
        return found and found.model_copy(update={"method": self._method(found.method), "n": self.rows})

    def roc(self) -> list[tuple[float, float]]:
        """At most `POINTS` points (false positive rate, true positive rate), by weight, from the highest cutoff down."""
        if self.one_class:
            return []
        false, true = np.cumsum(self._neg[::-1]) / self.below, np.cumsum(self._pos[::-1]) / self.above
        chosen = np.unique(np.searchsorted(false + true, np.linspace(0, 2 - 1e-12, POINTS)).clip(max=len(false) - 1))
        return [(min(1.0, float(x)), min(1.0, float(y))) for x, y in zip(false[chosen], true[chosen], strict=True)]


def _at_end(value: float) -> float:
    return float(round(value)) if min(value, 1 - value) < ROUNDING else value


def trivially(shares: Floats, kind: str) -> Floats:
    """Mean loss (R,) of the best constant forecast where the classes have these shares (R, classes): Brier as scikit-learn has it, or log loss."""
    from scipy.special import xlogy

    if kind == "log":
        return np.asarray(-xlogy(shares, shares).sum(axis=1))
    loss = 1 - (shares**2).sum(axis=1)
    return np.asarray(loss / 2 if shares.shape[1] == 2 else loss)
