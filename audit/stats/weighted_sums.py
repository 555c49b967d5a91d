"""Smooth functions of sums where each row carries a survey weight, by Taylor linearisation (Binder 1983): rows taken for independent.

The variance is that of `audit.stats.weighted`: Σ w² of what each row adds, each term times 1 + 2 w / N. Where rows belong together,
`audit.stats.weighted_clusters` has the same statistics from whole clusters.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from audit.measurement import Clusters, Estimate, Weights
from audit.stats._inputs import Floats, Ints, estimate, normal_quantile
from audit.stats.rates import wilson_limits

#: Relative step of the numeric slope.
STEP = 1e-5


class Totals:
    """Per code, over rows that arrive in blocks: how many, the weighted sums of C columns, the first of which is 1, and what a variance
    needs."""

    def __init__(self, size: int, columns: int) -> None:
        self.rows = np.zeros(size, np.int64)
        self.sums = np.zeros((size, columns))
        self.squares = np.zeros((size, columns, columns))
        self._cubes = np.zeros((size, columns, columns))

    def add(self, codes: ArrayLike, weights: ArrayLike, columns: Sequence[ArrayLike]) -> None:
        """More rows: the code, the weight and the columns of each, all (k,)."""
        place, w, size = np.asarray(codes), np.asarray(weights, np.float64), len(self.rows)
        x = [w * np.asarray(c, np.float64) for c in columns]
        self.rows += np.bincount(place, minlength=size)
        for a, one in enumerate(x):
            self.sums[:, a] += np.bincount(place, weights=one, minlength=size)
            for b in range(a, len(x)):
                both = one * x[b]
                for total, times in ((self.squares, both), (self._cubes, both * w)):
                    total[:, a, b] += np.bincount(place, weights=times, minlength=size)
                    total[:, b, a] = total[:, a, b]

    @property
    def products(self) -> Floats:
        """Σ w² (1 + 2 w / Σ w) x xᵀ, (size, C, C); the first column is 1."""
        total = np.where(self.rows > 0, self.sums[:, 0], 1.0)
        return np.asarray(self.squares + 2 * self._cubes / total[:, None, None])

    def statistics(self) -> Linearised:
        """What can be made of these sums."""
        products = self.products
        return Linearised(self.rows, self.sums, self.sums[:, 0], self.squares[:, 0, 0], lambda i: products[i])


def error_of(statistic: Callable[[Floats], Floats], sums: Floats, products: Floats) -> float:
    """Standard error of a statistic of sums (C,), given `products` of theirs (C, C); the statistic maps (R, C) to (R,) and does not change with the weights' scale.

    Its slope is taken by central differences. Taylor linearisation: Binder 1983.
    """
    size = STEP * np.sqrt(np.maximum(np.diag(products), np.finfo(np.float64).tiny))
    moved = np.concatenate([sums + np.diag(size), sums - np.diag(size)])
    values = statistic(moved)
    slope = (values[: len(sums)] - values[len(sums) :]) / (2 * size)
    slope = np.where(np.diag(products) > 0, slope, 0.0)
    return math.sqrt(max(0.0, float(slope @ products @ slope)))


def smooth(
    statistic: Callable[[Floats], Floats],
    sums: Floats,
    products: Floats,
    rows: int,
    *,
    level: float,
    low: float = -math.inf,
    high: float = math.inf,
    effective: float | None = None,
) -> Estimate | None:
    """A statistic of weighted sums with its normal interval, cut at `low` and `high`, which it cannot leave; None where it is undefined.

    At one of these ends rows show no spread: the interval is then Wilson's of no miss in `effective` rows of equal weight, or there is none.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        value = float(statistic(sums[None, :])[0])
    if rows < 2 or not math.isfinite(value):
        return None
    with np.errstate(divide="ignore", invalid="ignore"):
        error = error_of(statistic, sums, products)
    if error > 0:
        half = normal_quantile(level) * error
        return estimate(value, max(value - half, low), min(value + half, high), level=level, method="linearised", n=rows)
    return None if effective is None else at_an_end(value, low, high, effective, level=level, n=rows, method="wilson_weighted")


def at_an_end(value: float, low: float, high: float, rows: float, *, level: float, n: int, method: str) -> Estimate | None:
    """A value at an end of its range, where rows show no spread: Wilson's interval of no miss in `rows` of equal weight; None where it is at neither."""
    if not min(abs(value - low), abs(high - value)) < 1e-12:
        return None
    miss = (high - low) * float(wilson_limits(0, rows, level=level)[1])
    ends = (high - miss, high) if high - value < 1e-12 else (low, low + miss)
    return estimate(value, *ends, level=level, method=method, n=n)


class Found(NamedTuple):
    """An estimate and what its rows are worth."""

    estimate: Estimate
    weights: Weights
    clusters: Clusters | None = None


class Linearised:
    """Statistics of the weighted sums of each slice, (slices, C), by linearisation; `squares` (slices,) are the sums of squared weights, `products`
    gives what a variance needs of a slice, (C, C)."""

    def __init__(self, rows: Ints, sums: Floats, weights: Floats, squares: Floats, products: Callable[[int], Floats]) -> None:
        self.rows, self.sums = rows, sums
        self._weights, self._squares, self._products = weights, squares, products

    def least(self, i: int) -> float:
        """The rows of equal weight that those of a slice are worth to a mean, (Σw)² / Σw² (Kish 1965)."""
        return float(self._weights[i]) ** 2 / float(self._squares[i]) if self.rows[i] else 0.0

    def estimate(
        self, i: int, statistic: Callable[[Floats], Floats], *, level: float, low: float = -math.inf, high: float = math.inf,
        pick: Sequence[int] | None = None, ends: bool = False,
    ) -> Found | None:  # fmt: skip
        """A statistic of the sums of slice i (of the columns `pick`) by `smooth`; with `ends` also where it is at `low` or `high` and shows no spread."""
        chosen, rows, least = list(range(self.sums.shape[1]) if pick is None else pick), int(self.rows[i]), self.least(i)
        products = self._products(i)[np.ix_(chosen, chosen)]
        found = smooth(
            statistic, self.sums[i][chosen], products, rows, level=level, low=low, high=high, effective=least if ends else None,
        )  # fmt: skip
        return Found(found, Weights(design_effect=rows / least, effective=[int(least)])) if found else None


def of_codes(rows: Ints, sums: Floats, squares: Floats, cubes: Floats) -> Linearised:
    """Statistics of weights by slice and code, (slices, C) each: rows, and the sums of weights, of their squares and of their cubes."""
    total = sums.sum(axis=1)

    def products(i: int) -> Floats:
        return np.asarray(np.diag(squares[i] + 2 * cubes[i] / max(float(total[i]), 1e-300)))

    return Linearised(rows.sum(axis=1), sums, total, squares.sum(axis=1), products)


def ratio_of_sums(sums: Floats) -> Floats:
    """The second column over the first, (R, C) → (R,): a weighted mean where the first is 1."""
    return np.asarray(sums[:, 1] / sums[:, 0])
