"""One figure measured in several periods, sites or studies: do they differ by more than chance, by how much, and do they drift?"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from audit.measurement import Estimate
from audit.stats._inputs import Floats, check_share, estimate, finite, normal_quantile


class Heterogeneity(NamedTuple):
    """`spread` is the standard deviation of the true values between units, in their own unit; `q` on `freedom` degrees tests that it is 0."""

    spread: Estimate
    q: float
    freedom: int
    p_value: float


def _q(values: Floats, variances: Floats, between: float) -> float:
    weights = 1 / (variances + between)
    centre = float(np.dot(weights, values)) / float(weights.sum())
    return float(np.dot(weights, (values - centre) ** 2))


def _checked(values: ArrayLike, variances: ArrayLike) -> tuple[Floats, Floats]:
    v, s = finite("values", values).astype(np.float64), finite("variances", variances).astype(np.float64)
    if v.shape != s.shape or np.any(s <= 0):
        raise ValueError(f"expected one variance above 0 for each value, got {v.shape} and {s.shape}")
    return v, s


def heterogeneity(values: ArrayLike, variances: ArrayLike, *, rows: int, level: float) -> Heterogeneity | None:
    """Cochran's Q over the units (k,) and the spread between them after Paule and Mandel 1982, with Viechtbauer's Q-profile interval (2007).

    A spread of 0 says that the values differ by no more than their own errors. The error of each value is taken as known. `rows` is the
    number of rows in all. None for fewer than 2 units. ValueError where a variance is not above 0.
    """
    from scipy.special import chdtrc, chdtri

    v, s = _checked(values, variances)
    check_share("level", level)
    k = v.size
    if k < 2:
        return None
    q = _q(v, s, 0.0)

    def between(target: float) -> float:
        """The variance between units at which Q falls to the target: Q never rises with it."""
        from scipy.optimize import brentq

        if q <= target:
            return 0.0
        high = float(np.var(v, ddof=1)) + float(s.max())
        while _q(v, s, high) > target:
            high *= 2
        return float(brentq(lambda t: _q(v, s, t) - target, 0.0, high, xtol=1e-15, rtol=1e-12))

    tail = (1 - level) / 2
    low, middle, high = (math.sqrt(between(target)) for target in (float(chdtri(k - 1, tail)), k - 1.0, float(chdtri(k - 1, 1 - tail))))
    spread = estimate(middle, low, high, level=level, method="q_profile", n=rows)
    return None if spread is None else Heterogeneity(spread, q, k - 1, float(chdtrc(k - 1, q)))


def slope(values: ArrayLike, variances: ArrayLike, *, rows: int, level: float) -> Estimate | None:
    """Change per step of values (k,) in their order, least squares weighted by 1/variance: normal interval; 0 means no drift.

    It describes these units and forecasts none. None for fewer than 3 units. ValueError where a variance is not above 0.
    """
    v, s = _checked(values, variances)
    if v.size < 3:
        return None
    weights = 1 / s
    x = np.arange(v.size, dtype=np.float64)
    x -= float(np.dot(weights, x)) / float(weights.sum())
    scale = float(np.dot(weights, x**2))
    value, half = float(np.dot(weights * x, v)) / scale, normal_quantile(level) / math.sqrt(scale)
    return estimate(value, value - half, value + half, level=level, method="weighted_least_squares", n=rows)
