"""Quantiles with distribution-free intervals of order statistics."""

from __future__ import annotations

import math

import numpy as np

from audit.measurement import Estimate
from audit.stats._inputs import Floats, check_share, estimate, finite


def quantile(values: Floats, q: float, *, level: float, clamped: bool = False) -> Estimate | None:
    """The q-quantile of values (n,) with the binomial interval of its ranks, which covers at least `level` whatever the distribution.

    Value: the order statistic of rank ⌈nq⌉. None where n is too small for the interval to have both ends (for the median at 95 %: n < 6);
    `clamped` takes the smallest and the largest value for an end that is missing, which then covers less. None without values.
    Wilks 1948; David and Nagaraja 2003, §7.1.
    """
    from scipy.stats import binom

    check_share("level", level)
    check_share("q", q)
    x = np.sort(finite("values", values))
    n, tail = x.size, (1 - level) / 2
    if n == 0:
        return None
    low, high = int(binom.ppf(tail, n, q)), int(binom.isf(tail, n, q)) + 1  # ranks: P(B < low) and P(B >= high) are at most the tail
    if clamped:
        low, high = max(low, 1), min(high, n)
    elif low < 1 or high > n:
        return None
    return estimate(
        float(x[math.ceil(n * q - 1e-9) - 1]), float(x[low - 1]), float(x[high - 1]), level=level, method="order_statistics", n=n
    )
