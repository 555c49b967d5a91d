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


def repeats_p_value(mean: float, variance: float, rows: int, *, steps: int, rate: float) -> float:
    """The chance, at most, of draws of the single rows so even, so uneven or so many under Poisson sampling, in [0, 1].

    `mean` and `variance` are of how often each of `rows` rows was drawn in `steps` steps, Bin(steps, rate) in truth. The variance is held against a
    χ² distribution with the degrees of freedom that its own variance gives (Satterthwaite 1946), the mean against a normal one. Rows of an
    epoch that are drawn once each have no variance; rows drawn by weights have too much. 1 where nothing can vary.
    """
    expected, spread = steps * rate, steps * rate * (1 - rate)
    if rows < 2 or steps < 1 or spread == 0:
        return 1.0
    excess = (1 - 6 * rate * (1 - rate)) / spread
    freedom = max(1.0, 2 / (2 / (rows - 1) + excess / rows))
    held = freedom * variance / spread
    tails = (float(chi2.cdf(held, freedom)), float(chi2.sf(held, freedom)), float(norm.sf(abs(mean - expected) / math.sqrt(spread / rows))))
    return min(1.0, 6 * min(tails))


def noise_p_value(added: float, stated: float, numbers: int) -> float:
    """The chance of normal noise of standard deviation `stated` on so many `numbers` with a root mean square as small as `added`, in [0, 1]."""
    return float(chi2.cdf(numbers * (added / stated) ** 2, numbers))
