"""How far apart two groups' scores lie: the standardised difference of their means, and the largest gap between their distributions."""

from __future__ import annotations

import math

import numpy as np

from audit.measurement import Estimate
from audit.stats._inputs import Floats, check_share, estimate, normal_quantile
from audit.stats.sums import moments


def standardised_difference(group: Floats, reference: Floats, others: Floats, *, level: float) -> Estimate | None:
    """(mean of the group − mean of the reference) / standard deviation of all rows, the `others` included: what fair-lending practice calls SMD.

    One deviation for all groups makes them comparable; Cohen's d (1988) divides by that of the two groups. 0 means equal means, and the sign is
    that of the difference. Normal interval from the influence of each row on both means and on the deviation, so that scores need not be normal
    (Hampel 1974). None where a group has fewer than 2 rows or no row differs from another.
    """
    z = normal_quantile(level)
    parts = [group, reference, others]
    n = sum(p.size for p in parts)
    whole = moments(np.concatenate(parts)) if n else None
    if whole is None or min(group.size, reference.size) < 2 or whole.variance == 0:
        return None
    sd = math.sqrt(whole.variance)
    u1, u0, u = ((p - whole.mean) / sd for p in parts)
    m1, m0 = float(np.mean(u1)), float(np.mean(u0))
    d = m1 - m0
    influence = (
        (u1 - m1) * (n / u1.size) - d / 2 * (u1**2 - 1),
        -(u0 - m0) * (n / u0.size) - d / 2 * (u0**2 - 1),
        -d / 2 * (u**2 - 1),
    )
    half = z * math.sqrt(math.fsum(float(np.sum(i**2)) for i in influence)) / n
    if half == 0:
        return None
    return estimate(d, d - half, d + half, level=level, method="influence", n=n)


def largest_gap(group: Floats, reference: Floats, *, level: float) -> tuple[Estimate, float] | None:
    """(D, p): the largest difference between the shares at or below a score, in [0, 1], 0 for the same distribution; Kolmogorov 1933, Smirnov 1948.

    The interval holds each distribution within its band of Dvoretzky, Kiefer and Wolfowitz 1956 (constant by Massart 1990), half of the error
    each: it covers at least `level`, whatever the distributions. p of equal distributions by the limiting distribution, too large where
    scores tie. None where a group has no rows.
    """
    from scipy.stats import kstwobign

    check_share("level", level)
    n1, n0 = group.size, reference.size
    if not n1 or not n0:
        return None
    ones, zeros = np.sort(group), np.sort(reference)
    at = np.concatenate([ones, zeros])
    gaps = np.searchsorted(ones, at, side="right") / n1 - np.searchsorted(zeros, at, side="right") / n0
    d = float(np.max(np.abs(gaps)))
    band = sum(math.sqrt(math.log(4 / (1 - level)) / (2 * n)) for n in (n1, n0))
    found = estimate(d, max(d - band, 0.0), min(d + band, 1.0), level=level, method="dkw", n=n1 + n0)
    return None if found is None else (found, min(1.0, float(kstwobign.sf(d * math.sqrt(n1 * n0 / (n1 + n0))))))
