"""Means of per-row losses, and skill over a trivial baseline, with intervals by the delta method.

All functions take whole columns: `p` (n,) probabilities, `y` (n,) outcomes. Sums are numpy's pairwise sums over the rows in order, on one thread.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from audit.measurement import Estimate
from audit.stats._inputs import normal_quantile
from audit.stats.sums import Moments

Floats = NDArray[np.float64]
#: Probabilities are clipped this far from 0 and 1 before a logarithm is taken, as scikit-learn does.
EPSILON = float(np.finfo(np.float64).eps)


def from_influence(value: float, influence: Floats, *, level: float, method: str) -> Estimate:
    """An estimate whose error is the mean of `influence` (n,), one value per row (Hampel, 1974): value ± z·sd/√n."""
    n = len(influence)
    half = normal_quantile(level) * float(np.std(influence, ddof=1)) / np.sqrt(n) if n > 1 else 0.0
    return Estimate(value=value, low=value - half, high=value + half, level=level, method=method, n=n)


def mean_loss(losses: Floats, *, level: float) -> Estimate:
    """The mean of per-row losses (n,) with the normal interval of a mean."""
    return from_influence(float(np.mean(losses)), losses, level=level, method="normal")


def size_interval(mean: float, error: float, *, level: float, n: int) -> Estimate:
    """The mean of amounts that are never below 0, from its standard error: the normal interval of its logarithm, by the delta method.

    The plain interval of a few skewed amounts reaches below 0, which no such mean can be, and is too short above: this one cannot, its ends are
    equally far as ratios, and it covers more often. Where the mean is 0 all amounts are, and it has no width.
    """
    factor = math.exp(normal_quantile(level) * error / mean) if mean > 0 else 1.0
    return Estimate(value=mean, low=mean / factor, high=mean * factor, level=level, method="normal_log", n=n)


def mean_size(sizes: Floats, *, level: float, more: float = 0.0) -> Estimate:
    """The mean of sizes (n,), none below 0, with `size_interval`; `more` is a further standard error, independent of the rows."""
    n = len(sizes)
    error = float(np.std(sizes, ddof=1)) / math.sqrt(n) if n > 1 else 0.0
    return size_interval(float(np.mean(sizes)), math.hypot(error, more), level=level, n=n)


def mean_size_of(moments: Moments, *, level: float) -> Estimate:
    """As `mean_size`, from the moments of the sizes."""
    return size_interval(moments.mean, math.sqrt(moments.variance / moments.n), level=level, n=moments.n)


def widened(estimate: Estimate, error: float) -> Estimate:
    """A normal interval with a further standard error, independent of the rows: squares of half-widths add up."""
    if error == 0:
        return estimate
    half = math.hypot(estimate.high - estimate.value, normal_quantile(estimate.level) * error)
    return estimate.model_copy(update={"low": estimate.value - half, "high": estimate.value + half})


def mean_of(moments: Moments, *, level: float) -> Estimate:
    """As `mean_loss`, from the moments of the losses."""
    half = normal_quantile(level) * math.sqrt(moments.variance / moments.n)
    return Estimate(value=moments.mean, low=moments.mean - half, high=moments.mean + half, level=level, method="normal", n=moments.n)


def log_losses(p_true: Floats) -> Floats:
    """−ln of the probability given to what happened, clipped as scikit-learn's `log_loss` clips it; 0 is a certain, right forecast."""
    return -np.log(np.clip(p_true, EPSILON, 1 - EPSILON))


def skill(losses: Floats, trivial: Floats, *, level: float) -> Estimate:
    """1 − mean(losses)/mean(trivial): 1 is perfect, 0 no better than the trivial forecast, below 0 worse.

    `trivial` (n,) are the losses of the best constant on these same rows; as it is the optimum, choosing it adds no first-order error.
    """
    base = float(np.mean(trivial))
    value = 1.0 - float(np.mean(losses)) / base
    return from_influence(value, -(losses - (1.0 - value) * trivial) / base, level=level, method="delta")


def root_of(moments: Moments, *, level: float) -> Estimate:
    """√ of a mean square, from the moments of squares (n >= 2), interval by the delta method; 0 with no width where all are 0."""
    value = math.sqrt(moments.mean)
    half = normal_quantile(level) * math.sqrt(moments.variance / moments.n) / (2 * value) if value else 0.0
    return Estimate(value=value, low=max(value - half, 0.0), high=value + half, level=level, method="delta", n=moments.n)


def r2(y: Floats, prediction: Floats, *, level: float) -> Estimate:
    """Share of the variance that the prediction explains: 1 is perfect, 0 as good as the mean, below 0 worse."""
    return skill((y - prediction) ** 2, (y - float(np.mean(y))) ** 2, level=level)
