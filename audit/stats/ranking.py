"""Rank metrics of any number of rows in one pass over their `Ranked` table in pieces: the same numbers as `auc`, in bounded memory.

Sums of squares are taken about the mean of each piece and merged after Chan, Golub and LeVeque 1983, so nothing cancels.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

from audit.measurement import Estimate
from audit.stats._inputs import Floats, Ints
from audit.stats.auc import auc_estimate, precision_estimate
from audit.stats.ranked import Ranked

POINTS = 100


class _Spread:
    """Weighted mean and sum of squares about it, of pieces."""

    def __init__(self) -> None:
        self.pieces: list[tuple[float, float]] = []
        self.squares: list[float] = []

    def add(self, weights: Floats, values: Floats) -> None:
        """A piece; both arrays of shape (k,). Overwrites `values`."""
        weight = float(weights.sum())
        if not weight:
            return
        mean = float(np.dot(weights, values)) / weight
        values -= mean
        np.square(values, out=values)
        self.pieces.append((weight, mean))
        self.squares.append(float(np.dot(weights, values)))

    def about(self, centre: float) -> float:
        """Σ w (v − centre)²."""
        return math.fsum([*self.squares, *(weight * (mean - centre) ** 2 for weight, mean in self.pieces)])


class Ranking:
    """AUC, average precision and the ROC curve of `positives` and `negatives` rows whose table comes in rising pieces."""

    def __init__(self, positives: int, negatives: int, pieces: Iterable[Ranked], *, precision: bool = True) -> None:
        self.positives, self.negatives = positives, negatives
        self._wins = 0  # twice the pairs in which the positive is above, ties counting once
        self._ones, self._zeros, self._lifts = _Spread(), _Spread(), _Spread()
        self._precision: list[float] = []
        self._shared: list[float] = []
        self._roc: dict[int, tuple[int, int]] = {}
        if not positives or not negatives:
            return
        under, below, weighed, shared = 0, 0, 0.0, 0.0
        for table in pieces:
            pos, neg = table.positives.astype(np.float64), table.negatives.astype(np.float64)
            ones, zeros = np.cumsum(table.positives), np.cumsum(table.negatives)
            ones += under
            zeros += below
            self._pairs(table, pos, neg, ones, zeros)
            self._curve(table, ones, zeros)
            if precision:
                weighed, shared = self._lift(table, (pos, neg), (ones, zeros), weighed, shared)
            under, below = int(ones[-1]), int(zeros[-1])

    def _pairs(self, table: Ranked, pos: Floats, neg: Floats, ones: Ints, zeros: Ints) -> None:
        """What each row beats of the other class; `ones` and `zeros` are the rows at or below each score."""
        beaten = 2 * zeros - table.negatives
        self._wins += int(np.dot(table.positives, beaten))
        self._ones.add(pos, beaten / (2 * self.negatives))
        self._zeros.add(neg, (2 * ones - table.positives) / (2 * self.positives))

    def _lift(
        self, table: Ranked, rows: tuple[Floats, Floats], at_or_below: tuple[Ints, Ints], weighed: float, shared: float
    ) -> tuple[float, float]:
        """The influence of each row on average precision, as `auc.average_precision_ranked` has it; returns both running sums."""
        pos, neg = rows
        upper = (self.positives - at_or_below[0] + table.positives).astype(np.float64)  # positives at or above each score
        above = (self.negatives - at_or_below[1] + table.negatives) + upper
        upper /= above
        self._precision.append(float(np.dot(pos, upper)))
        weight = np.divide(pos, above, out=above)
        if_zero = np.cumsum(weight * upper)
        if_zero += shared
        if_one = np.cumsum(weight, out=weight)
        if_one += weighed
        weighed, shared = float(if_one[-1]), float(if_zero[-1])
        if_one += upper
        if_one -= if_zero
        self._lifts.add(pos, if_one)
        np.square(if_zero, out=if_zero)
        self._shared.append(float(np.dot(neg, if_zero)))
        return weighed, shared

    def _curve(self, table: Ranked, ones: Ints, zeros: Ints) -> None:
        """For each of `POINTS` steps along the ROC curve the highest cutoff that reaches it: (positives, negatives) at or above."""
        targets = np.linspace(0, 2, POINTS)

        def reached(place: int) -> tuple[float, int, int]:
            above = self.positives - int(ones[place] - table.positives[place]), self.negatives - int(zeros[place] - table.negatives[place])
            return above[1] / self.negatives + above[0] / self.positives, *above

        first, last = reached(0)[0], reached(len(ones) - 1)[0]
        for i in np.flatnonzero(targets <= first):
            low, high = 0, len(ones) - 1
            if targets[i] <= last:
                low = high
            while low < high:
                middle = (low + high + 1) // 2
                low, high = (middle, high) if reached(middle)[0] >= targets[i] else (low, middle - 1)
            _, positives, negatives = reached(low)
            self._roc[int(i)] = positives, negatives

    def delong(self) -> tuple[float, float | None] | None:
        """(AUC, its variance), as `auc.delong`."""
        m, n = self.positives, self.negatives
        if not m or not n:
            return None
        auc = self._wins / (2 * m * n)
        if m == 1 or n == 1:
            return auc, None
        return auc, self._ones.about(auc) / (m - 1) / m + self._zeros.about(1 - auc) / (n - 1) / n

    def roc_auc(self, *, level: float) -> Estimate | None:
        """As `auc.roc_auc_ranked`."""
        return auc_estimate(self.delong(), self.positives, self.negatives, level=level)

    def average_precision(self, *, level: float) -> Estimate | None:
        """As `auc.average_precision_ranked`."""
        m = self.positives
        if not m or not self.negatives:
            return None
        value = math.fsum(self._precision) / m
        variance = (self._lifts.about(value) + math.fsum(self._shared)) / m**2
        return precision_estimate(value, variance, m, m + self.negatives, level=level)

    def roc(self) -> list[tuple[float, float]]:
        """At most `POINTS` points (false positive rate, true positive rate) of the ROC curve, from the highest cutoff down."""
        chosen = dict.fromkeys(self._roc[i] for i in sorted(self._roc))
        return [(zeros / self.negatives, ones / self.positives) for ones, zeros in chosen]
