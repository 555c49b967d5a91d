"""Exact probabilities of what two independent binomial counts may show."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from audit.stats._inputs import Floats, Ints

Region = Callable[[Ints, Ints], np.ndarray]  # (k1, k0) -> bool
POINTS = 4000  # of the reference's counts; above it, neighbours share one


def binomial_cdf(k: Ints, n: int, p: float) -> Floats:
    """P(X <= k) for X of n at rate p, also for k < 0 and k >= n."""
    from scipy.special import betainc

    inner = np.clip(k, 0, n - 1)
    return np.where(k < 0, 0.0, np.where(k >= n, 1.0, betainc(n - inner, inner + 1.0, 1.0 - p)))


def _reference(n: int, p: float) -> tuple[Ints, Floats]:
    """Counts of the reference that matter (all but some 1e-15), with their probabilities."""
    reach = 8.5 * np.sqrt(n * p * (1 - p)) + 20
    low, high = max(0, int(n * p - reach)), min(n, int(n * p + reach) + 1)
    edges = np.unique(np.linspace(low - 1, high, min(POINTS, high - low + 1) + 1).astype(np.int64))
    return (edges[1:] + edges[:-1] + 1) // 2, np.diff(binomial_cdf(edges, n, p))


def _first(region: Region, k0: Ints, n1: int) -> Ints:
    """Per k0 the smallest k1 in the region, n1 + 1 where there is none; the region must go on upwards from there."""
    low, high = np.zeros_like(k0), np.full_like(k0, n1 + 1)
    while np.any(low < high):
        middle = (low + high) // 2
        found = region(np.minimum(middle, n1), k0) | (middle > n1)
        low, high = np.where(found, low, middle + 1), np.where(found, middle, high)
    return low


def chance_between(n1: int, p1: float, n0: int, p0: float, *, enough: Region, too_many: Region) -> float:
    """P(enough(k1, k0) and not too_many(k1, k0)), both rising in k1: exact for up to 4,000 counts of the reference that matter.

    Above that, neighbouring counts share one, which moves the chance by about 1e-5.
    """
    k0, weight = _reference(n0, p0)
    first, last = _first(enough, k0, n1), _first(too_many, k0, n1) - 1
    inside = binomial_cdf(last, n1, p1) - binomial_cdf(first - 1, n1, p1)
    return float(min(1.0, np.sum(weight * np.maximum(inside, 0.0))))
