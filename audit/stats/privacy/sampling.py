"""Do batches vary as Poisson samples do? Fixed and shuffled batches all have one size; rows that are each drawn by themselves do not."""

from __future__ import annotations

import math

from scipy.stats import chi2, norm


def batch_sd(rows: int, rate: float) -> float:
    """The standard deviation of the batch size where each of `rows` rows is drawn with chance `rate`: √(n q (1 − q))."""
    return math.sqrt(rows * rate * (1 - rate))


def p_value(mean: float, variance: float, batches: int, *, rows: int, rate: float) -> float:
    """The chance, at most, of batch sizes so even or of so strange a mean under Poisson sampling, in [0, 1]: twice the smaller of a χ² test of
    the variance from below and a normal test of the mean. 1 where there are fewer than two batches, or every row is in each."""
    sd = batch_sd(rows, rate)
    if batches < 2 or sd == 0:
        return 1.0
    even = float(chi2.cdf((batches - 1) * variance / sd**2, batches - 1))
    strange = float(2 * norm.sf(abs(mean - rows * rate) * math.sqrt(batches) / sd))
    return min(1.0, 2 * min(even, strange))
