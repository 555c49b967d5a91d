"""A rate: k of n, with an interval that also holds at 0 of n and n of n."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from audit.measurement import Estimate
from audit.stats._inputs import Floats, Ints, check_count, check_share, estimate, normal_quantile


def wilson_limits(k: ArrayLike, n: ArrayLike, *, level: float) -> tuple[Floats, Floats]:
    """Wilson's limits for arrays of counts (n >= 1), for simulations and curves; see `wilson`."""
    z2 = normal_quantile(level) ** 2
    k, n = np.asarray(k, dtype=np.float64), np.asarray(n, dtype=np.float64)
    middle = (k + z2 / 2) / (n + z2)
    half = np.sqrt(z2 * (k * (n - k) / n + z2 / 4)) / (n + z2)
    low = np.where(k == 0, 0.0, np.minimum(middle - half, k / n))
    high = np.where(k == n, 1.0, np.maximum(middle + half, k / n))
    return np.maximum(low, 0.0), np.minimum(high, 1.0)


def wilson(k: int, n: int, *, level: float) -> Estimate | None:
    """The rate k / n in [0, 1] with Wilson's score interval; None for n = 0.

    (p̂ + z²/2n ± z √(p̂(1−p̂)/n + z²/4n²)) / (1 + z²/n). Wilson 1927. 0 means that none of the n rows counted, not that the true rate is 0:
    the upper limit says how large it can be. ValueError unless 0 <= k <= n.
    """
    k, n = check_count(k, n)
    check_share("level", level)
    if n == 0:
        return None
    low, high = wilson_limits(k, n, level=level)
    return estimate(k / n, float(low), float(high), level=level, method="wilson", n=n)


def clopper_pearson(k: int, n: int, *, level: float) -> Estimate | None:
    """The rate k / n in [0, 1] with the exact binomial interval, which covers at least `level`; None for n = 0.

    Quantiles of Beta(k, n−k+1) and Beta(k+1, n−k). Clopper and Pearson 1934. ValueError unless 0 <= k <= n.
    """
    from scipy.special import betaincinv

    k, n = check_count(k, n)
    check_share("level", level)
    if n == 0:
        return None
    tail = (1.0 - level) / 2.0
    low = 0.0 if k == 0 else float(betaincinv(k, n - k + 1, tail))
    high = 1.0 if k == n else float(betaincinv(k + 1, n - k, 1.0 - tail))
    return estimate(k / n, low, high, level=level, method="clopper_pearson", n=n)


def jeffreys(k: int, n: int, *, level: float) -> Estimate | None:
    """The rate k / n in [0, 1] with the equal-tailed interval of Beta(k + ½, n − k + ½); None for n = 0.

    The lower limit is 0 at k = 0 and the upper limit 1 at k = n. Brown, Cai and DasGupta 2001. ValueError unless 0 <= k <= n.
    """
    from scipy.special import betaincinv

    k, n = check_count(k, n)
    check_share("level", level)
    if n == 0:
        return None
    tail = (1.0 - level) / 2.0
    low = 0.0 if k == 0 else float(betaincinv(k + 0.5, n - k + 0.5, tail))
    high = 1.0 if k == n else float(betaincinv(k + 0.5, n - k + 0.5, 1.0 - tail))
    return estimate(k / n, low, high, level=level, method="jeffreys", n=n)


def macro_scores(cells: Ints) -> Floats:
    """Balanced accuracy and macro F1, precision and recall, (R, 4), from counts (R, classes, classes) of outcome and decision, as scikit-learn has them.

    A class that was never predicted has precision 0, one that never happened does not count for recall; NaN where nothing counts.
    """
    table = cells.astype(np.float64)
    hit, actual, predicted = np.einsum("rii->ri", table), table.sum(axis=2), table.sum(axis=1)
    seen = actual + predicted > 0
    recall, precision = hit / np.maximum(actual, 1), hit / np.maximum(predicted, 1)
    f1 = 2 * hit / np.maximum(actual + predicted, 1)

    def mean(values: Floats, counted: NDArray[np.bool_]) -> Floats:
        n = counted.sum(axis=1)
        return np.where(n > 0, np.sum(np.where(counted, values, 0.0), axis=1) / np.maximum(n, 1), np.nan)

    return np.stack([mean(recall, actual > 0), mean(f1, seen), mean(precision, seen), mean(recall, seen)], axis=1)
