"""Score statistics and limits of two independent rates, for arrays of counts: what `compare` and `power` are made of.

In all of them k1 of n1 is the group and k0 of n0 the reference; arrays broadcast; n1, n0 >= 1. Limits may be infinite here.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from audit.stats._inputs import Floats, normal_quantile
from audit.stats._roots import find_roots
from audit.stats.rates import wilson_limits

LOG_BOUND = 60.0  # beyond e^60 a ratio of rates is called infinite


def _floats(*values: ArrayLike) -> tuple[Floats, ...]:
    return tuple(np.asarray(v, dtype=np.float64) for v in values)


def _alike(*values: ArrayLike) -> tuple[Floats, ...]:
    """As arrays of one shape."""
    return tuple(np.array(v) for v in np.broadcast_arrays(*_floats(*values)))


def over_root(difference: Floats, variance: Floats) -> Floats:
    """difference / √variance; 0 for 0 / 0, and infinite where only the variance is 0."""
    safe = np.where(variance > 0, variance, 1.0)
    return np.where(variance > 0, difference / np.sqrt(safe), np.where(difference == 0, 0.0, np.copysign(np.inf, difference)))


def ratio_z(k1: ArrayLike, n1: ArrayLike, k0: ArrayLike, n0: ArrayLike, ratio: ArrayLike, *, corrected: bool = True) -> Floats:
    """Signed score statistic of p1 = ratio · p0, rising in k1; `corrected` multiplies the variance by N/(N−1).

    With the rates that are most likely under the restriction (a quadratic). Miettinen and Nurminen 1985; uncorrected: Koopman 1984.
    """
    k1, n1, k0, n0, t = _floats(k1, n1, k0, n0, ratio)
    total, events = n1 + n0, k1 + k0
    b = n1 * t + k1 + n0 + k0 * t
    p0 = 2 * events / (b + np.sqrt(np.maximum(b * b - 4 * total * t * events, 0.0)))
    p1 = np.minimum(t * p0, 1.0)
    variance = p1 * (1 - p1) / n1 + t * t * p0 * np.maximum(1 - p0, 0.0) / n0
    if corrected:
        variance = variance * total / (total - 1)
    return over_root(k1 / n1 - t * (k0 / n0), variance)


def ratio_limits(
    k1: ArrayLike, n1: ArrayLike, k0: ArrayLike, n0: ArrayLike, *, level: float, corrected: bool = True
) -> tuple[Floats, Floats]:
    """Score limits of p1 / p0, between which |`ratio_z`| stays under the quantile: 0 below where k1 = 0, infinite above where k0 = 0."""
    k1, n1, k0, n0 = _alike(k1, n1, k0, n0)
    z = normal_quantile(level) * _signs(k1)
    ends = np.full(z.shape, -LOG_BOUND), np.full(z.shape, LOG_BOUND)
    low, high = np.exp(find_roots(lambda u: ratio_z(k1, n1, k0, n0, np.exp(u), corrected=corrected) - z, *ends))
    return np.where(k1 == 0, 0.0, low), np.where(k0 == 0, np.inf, high)


def _signs(k1: Floats) -> Floats:
    """1 and −1, each in the shape of k1: for lower and upper limits that are solved for together."""
    return np.stack([np.ones(k1.shape), -np.ones(k1.shape)])


def odds_ratio_limits(k1: ArrayLike, n1: ArrayLike, k0: ArrayLike, n0: ArrayLike, *, level: float) -> tuple[Floats, Floats]:
    """Score limits of the odds ratio, variance times N/(N−1): 0 below where its estimate is 0, infinite above where that is infinite.

    Solved for m, the expected k1 under the restriction: (k1 − m)² (1/m + 1/(n1−m) + 1/(K−m) + 1/(n0−K+m)) = z² N/(N−1), K = k1 + k0.
    Cornfield 1956; Miettinen and Nurminen 1985.
    """
    k1, n1, k0, n0 = _alike(k1, n1, k0, n0)
    total, events = n1 + n0, k1 + k0
    z = normal_quantile(level) * np.sqrt(total / np.maximum(total - 1, 1))
    least, most = np.maximum(0.0, events - n0), np.minimum(n1, events)

    def excess(m: Floats) -> Floats:
        with np.errstate(divide="ignore", invalid="ignore"):
            statistic = (k1 - m) * np.sqrt(1 / m + 1 / (n1 - m) + 1 / (events - m) + 1 / (n0 - events + m))
        return z - signs * np.where(m == k1, 0.0, statistic)

    def odds(m: Floats) -> Floats:
        with np.errstate(divide="ignore", invalid="ignore"):
            return m * (n0 - events + m) / ((n1 - m) * (events - m))

    signs = _signs(k1)
    low, high = odds(find_roots(excess, np.stack([least, k1]), np.stack([k1, most])))
    return np.where(k1 == least, 0.0, low), np.where(k1 == most, np.inf, high)


def difference_limits(k1: ArrayLike, n1: ArrayLike, k0: ArrayLike, n0: ArrayLike, *, level: float) -> tuple[Floats, Floats]:
    """Newcombe's hybrid score limits of p1 − p0: d − √((p1−l1)² + (u0−p0)²) and d + √((u1−p1)² + (p0−l0)²), l and u being Wilson's."""
    k1, n1, k0, n0 = _floats(k1, n1, k0, n0)
    p1, p0 = k1 / n1, k0 / n0
    (l1, u1), (l0, u0) = wilson_limits(k1, n1, level=level), wilson_limits(k0, n0, level=level)
    low = p1 - p0 - np.sqrt((p1 - l1) ** 2 + (u0 - p0) ** 2)
    high = p1 - p0 + np.sqrt((u1 - p1) ** 2 + (p0 - l0) ** 2)
    return np.maximum(low, -1.0), np.minimum(high, 1.0)


def pooled_z(k1: ArrayLike, n1: ArrayLike, k0: ArrayLike, n0: ArrayLike) -> Floats:
    """Score statistic of p1 = p0: the difference over √(p(1−p)(1/n1 + 1/n0)), p pooled; 0 where nobody or everybody counts."""
    k1, n1, k0, n0 = _floats(k1, n1, k0, n0)
    p = (k1 + k0) / (n1 + n0)
    return over_root(k1 / n1 - k0 / n0, p * (1 - p) * (1 / n1 + 1 / n0))
