"""How long calls take: quantiles with exact order-statistic intervals, and whether the machine is quiet enough to believe them."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from audit.measurement import Estimate
from audit.stats._inputs import Floats, estimate, finite, normal_quantile
from audit.stats.rates import wilson

STRETCH = 20  # calls of one stretch, of which neighbours are compared


class Quiet(NamedTuple):
    """A/A test of one measurement: difference of the medians of its interleaved halves, as a share of the median; false alarms between stretches."""

    difference: Estimate
    alarms: Estimate | None


def _median_error(x: Floats) -> tuple[float, float]:
    """Median and its standard error from two order statistics; Price and Bonett 2002."""
    x = np.sort(x)
    n = x.size
    c = max(1, round((n + 1) / 2 - math.sqrt(n)))
    from scipy.stats import binom

    z = normal_quantile(1 - 2 * float(binom.cdf(c - 1, n, 0.5)))
    return float(np.median(x)), float(x[n - c] - x[c - 1]) / (2 * z)


def same_twice(times: Floats, *, level: float) -> Quiet | None:
    """Whether a measurement agrees with itself: calls 1, 3, 5, … against 2, 4, 6, …, and each stretch of 20 calls against the next.

    `difference`: of the medians of the halves, divided by the median of all; interval of Price and Bonett 2002. `alarms`: the share of
    neighbouring stretches that a Mann–Whitney test at 5 % tells apart; about 0.05 on a quiet machine, more where it drifts. None for fewer
    than 40 calls or a median of 0.
    """
    from scipy.stats import mannwhitneyu

    x = finite("times", times).astype(np.float64)
    middle = float(np.median(x)) if x.size else 0.0
    if x.size < 2 * STRETCH or not middle > 0:
        return None
    (a, error_a), (b, error_b) = _median_error(x[::2]), _median_error(x[1::2])
    half = normal_quantile(level) * math.hypot(error_a, error_b)
    difference = estimate((b - a) / middle, (b - a - half) / middle, (b - a + half) / middle, level=level, method="price_bonett", n=x.size)
    if difference is None:
        return None
    stretches = [x[i : i + STRETCH] for i in range(0, x.size - STRETCH + 1, STRETCH)]
    pairs = list(zip(stretches[::2], stretches[1::2], strict=False))
    p = [1.0 if np.ptp(np.concatenate(pair)) == 0 else float(mannwhitneyu(*pair, method="asymptotic").pvalue) for pair in pairs]
    return Quiet(difference, wilson(sum(v <= 0.05 for v in p), len(p), level=level))


def throughput(times: Floats, rows: int, *, level: float) -> Estimate | None:
    """Rows a second of calls that take `times` seconds for `rows` rows each, one after the other: rows / mean time, Student's interval of the mean.

    None for fewer than 2 calls, or where the interval of the mean reaches 0.
    """
    from scipy.special import stdtrit

    x = finite("times", times).astype(np.float64)
    if x.size < 2:
        return None
    mean = float(x.mean())
    half = float(stdtrit(x.size - 1, (1 + level) / 2)) * float(x.std(ddof=1)) / math.sqrt(x.size)
    if mean - half <= 0:
        return None
    return estimate(rows / mean, rows / (mean + half), rows / (mean - half), level=level, method="student_t", n=x.size)


def mean_of_stretches(amounts: Floats, *, level: float) -> Estimate | None:
    """Mean of what equal stretches took, (k,), with Student's interval; None for fewer than 3 stretches or where all took nothing."""
    from scipy.special import stdtrit

    x = finite("amounts", amounts).astype(np.float64)
    if x.size < 3 or not x.any():
        return None
    half = float(stdtrit(x.size - 1, (1 + level) / 2)) * float(x.std(ddof=1)) / math.sqrt(x.size)
    return estimate(float(x.mean()), max(float(x.mean()) - half, 0.0), float(x.mean()) + half, level=level, method="student_t", n=x.size)
