"""The same quantity measured on several disjoint data sets (strata): one estimate, and a test of whether they could be one.

Comparisons of counts are pooled as in `audit.stats.stratified`; here are rates, and quantities known by estimate and standard error. A pooled
value describes the mixture of strata at hand; where they differ, it describes none of them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from audit.measurement import Estimate
from audit.stats._inputs import Floats, check_share, estimate, normal_quantile
from audit.stats.cells import check_counts

Tested = tuple[float, str]


def same_rates(k: ArrayLike, n: ArrayLike) -> Tested | None:
    """(p, method) of one rate in all strata; k of n counts of shape (strata,). Pearson's chi-square without correction, strata − 1 degrees.

    None with fewer than 2 strata that have rows, and where nobody or everybody counts.
    """
    from scipy.stats import chi2_contingency

    k, n = check_counts(k, 1), check_counts(n, 1)
    if k.shape != n.shape or np.any(k > n):
        raise ValueError("expected 0 <= k <= n in arrays of one shape")
    k, n = k[n > 0], n[n > 0]
    if k.size < 2 or k.sum() in (0, n.sum()):
        return None
    return float(chi2_contingency(np.stack([k, n - k]), correction=False).pvalue), "Pearson chi-square"


def cochran_q(values: ArrayLike, variances: ArrayLike) -> Tested | None:
    """(p, method) of one true value behind all `values` (strata,), known with these variances > 0: Q = Σ w (x − x̄)², strata − 1 degrees.

    Cochran 1954. None with fewer than 2 strata. Weak with few strata: a large p does not show that they agree.
    """
    from scipy.special import chdtrc

    x, v = np.asarray(values, dtype=np.float64), np.asarray(variances, dtype=np.float64)
    if x.shape != v.shape or x.ndim != 1 or np.any(v <= 0):
        raise ValueError("expected values and variances above 0 of one shape")
    if x.size < 2:
        return None
    w = 1 / v
    middle = float(np.sum(w * x) / np.sum(w))
    return float(chdtrc(x.size - 1, float(np.sum(w * (x - middle) ** 2)))), "Cochran Q"


def inverse_variance(values: ArrayLike, variances: ArrayLike, *, level: float, n: int) -> Estimate | None:
    """Mean of `values` (strata,) weighted by 1 / variance, with the normal interval; variances are above 0.

    Fixed effect: it says where one common value lies, and not how strata scatter about it. Cochran 1937.
    """
    x, v = np.asarray(values, dtype=np.float64), np.asarray(variances, dtype=np.float64)
    if x.shape != v.shape or x.ndim != 1 or not x.size or np.any(v <= 0):
        raise ValueError("expected values and variances above 0 of one shape")
    w = 1 / v
    value, half = float(np.sum(w * x) / np.sum(w)), normal_quantile(level) / math.sqrt(float(np.sum(w)))
    return estimate(value, value - half, value + half, level=level, method="inverse_variance", n=n)


def variance_of(e: Estimate, *, log: bool = False) -> float | None:
    """Variance behind an interval, from its width (normal approximation), on the log scale with `log`; None where it has none."""
    if e.method == "exact" or (log and e.low <= 0):
        return None
    width = math.log(e.high / e.low) if log else e.high - e.low
    return (width / (2 * normal_quantile(e.level))) ** 2 if width > 0 else None


def pool_estimates(found: Sequence[Estimate], *, level: float, log: bool) -> tuple[Estimate | None, Tested | None]:
    """Inverse variance and Cochran's Q over estimates that carry their intervals; on the log scale for ratios. (None, None) where one cannot be used."""
    check_share("level", level)
    variances = [variance_of(e, log=log) for e in found]
    known = [v for v in variances if v is not None]
    if len(known) < len(found) or (log and any(e.value <= 0 for e in found)):
        return None, None
    values = [math.log(e.value) if log else e.value for e in found]
    pooled = inverse_variance(values, known, level=level, n=sum(e.n for e in found))
    if pooled is not None and log:
        pooled = estimate(
            math.exp(pooled.value), math.exp(pooled.low), math.exp(pooled.high), level=level, method="inverse_variance_log", n=pooled.n
        )
    return pooled, cochran_q(values, known)


def same_differences(k1: ArrayLike, n1: ArrayLike, k0: ArrayLike, n0: ArrayLike, *, log: bool) -> Tested | None:
    """Cochran's Q over differences of rates, or over log ratios with `log`; counts (strata,), groups without rows left out.

    ½ is added to every cell, so that a rate of 0 or 1 has a variance. None with fewer than 2 strata that have rows of both.
    """
    a, m, c, n = (check_counts(v, 1).astype(np.float64) for v in (k1, n1, k0, n0))
    kept = (m > 0) & (n > 0)
    a, m, c, n = a[kept] + 0.5, m[kept] + 1, c[kept] + 0.5, n[kept] + 1
    p, q = a / m, c / n
    if log:
        values: Floats = np.log(p / q)
        variances: Floats = 1 / a - 1 / m + 1 / c - 1 / n
    else:
        values, variances = p - q, p * (1 - p) / m + q * (1 - q) / n
    return cochran_q(values, variances)
