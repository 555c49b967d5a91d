"""The Brier score, what it is made of, and the skill over a constant guess."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from audit.result import Estimate
from audit.stats._inputs import Floats, estimate, normal_quantile
from audit.stats.calibration import check_probabilities, equal_mass_bins
from audit.stats.ranked import Ranked
from audit.stats.rates import wilson_limits

FLOOR = 1e-15  # a probability of exactly 0 or 1 that is wrong costs 34.5 nats, not infinity (as scikit-learn's float64 log loss did)


class Murphy(NamedTuple):
    """brier = reliability − resolution + uncertainty + within; `within` is 0 where p is constant in each bin."""

    brier: float
    reliability: float
    resolution: float
    uncertainty: float
    within: float


def murphy(table: Ranked, *, bins: int = 15) -> Murphy | None:
    """Decomposition of the Brier score over bins of about equally many rows; None for no rows.

    reliability (0 best) is the squared gap of mean p and rate, resolution (higher better) how far the rates of bins differ, uncertainty the
    variance of y. Murphy 1973; within-bin term: Stephenson, Coelho and Jolliffe 2008.
    """
    n = table.rows
    parts = equal_mass_bins(table, bins=bins)
    if n == 0:
        return None
    p = table.scores
    score = (float(np.sum(table.positives * (p - 1) ** 2)) + float(np.sum(table.negatives * p**2))) / n
    rows = (parts.positives + parts.negatives).astype(np.float64)
    rate, mean = parts.positives / rows, (parts.sum_positives + parts.sum_negatives) / rows
    base = float(parts.positives.sum()) / n
    reliability = float(np.sum(rows * (mean - rate) ** 2)) / n
    resolution = float(np.sum(rows * (rate - base) ** 2)) / n
    covariance = parts.sum_positives - mean * parts.positives
    within = float(np.sum(parts.spread - 2 * covariance)) / n
    return Murphy(score, reliability, resolution, base * (1 - base), within)


def _mean_and_variance(table: Ranked, loss_one: Floats, loss_zero: Floats) -> tuple[float, float]:
    """Mean loss and its variance over rows (with n − 1)."""
    n = table.rows
    mean = (float(np.sum(table.positives * loss_one)) + float(np.sum(table.negatives * loss_zero))) / n
    squares = float(np.sum(table.positives * (loss_one - mean) ** 2)) + float(np.sum(table.negatives * (loss_zero - mean) ** 2))
    return mean, squares / max(1, n - 1)


def brier_score(table: Ranked, *, level: float) -> Estimate | None:
    """Mean of (p − y)² in [0, 1], 0 being perfect, with normal interval; None for fewer than 2 rows or where all rows are equally wrong."""
    z = normal_quantile(level)
    p = check_probabilities(table)
    if table.rows < 2:
        return None
    value, variance = _mean_and_variance(table, (p - 1) ** 2, p**2)
    if variance == 0:
        return None
    half = z * math.sqrt(variance / table.rows)
    return estimate(value, max(value - half, 0.0), min(value + half, 1.0), level=level, method="normal", n=table.rows)


class _Loss(NamedTuple):
    """Loss of p where y is 1 and where it is 0; the loss of guessing a rate at that rate, and its slope."""

    one: Callable[[Floats], Floats]
    zero: Callable[[Floats], Floats]
    base: Callable[[float], float]
    slope: Callable[[float], float]


_SQUARED = _Loss(lambda p: (p - 1) ** 2, lambda p: p**2, lambda b: b * (1 - b), lambda b: 1 - 2 * b)
_LOG = _Loss(
    lambda p: -np.log(np.clip(p, FLOOR, 1.0)),
    lambda p: -np.log1p(-np.clip(p, 0.0, 1 - FLOOR)),
    lambda b: -(b * math.log(b) + (1 - b) * math.log1p(-b)),
    lambda b: math.log1p(-b) - math.log(b),
)


def _skill(table: Ranked, loss: _Loss, *, level: float) -> Estimate | None:
    z = normal_quantile(level)
    p, n, ones = check_probabilities(table), table.rows, int(table.positives.sum())
    if ones in (0, n):
        return None
    base = ones / n
    one, zero, unit = loss.one(p), loss.zero(p), loss.base(base)
    mean = _mean_and_variance(table, one, zero)[0]
    value = 1 - mean / unit
    if p.size == 1:
        return _constant(float(one[0]), float(zero[0]), float(p[0]), ones, n, loss, level=level)
    # a row moves mean / unit by its own loss and by moving the base rate
    moves = [own / unit - mean / unit**2 * loss.slope(base) * (y - base) for own, y in ((one, 1), (zero, 0))]
    variance = _mean_and_variance(table, moves[0], moves[1])[1]
    if mean == 0 or variance == 0:
        return None
    half = z * math.sqrt(variance / n)
    return estimate(value, value - half, min(value + half, 1.0), level=level, method="delta", n=n)


def _constant(one: float, zero: float, p: float, ones: int, n: int, loss: _Loss, *, level: float) -> Estimate | None:
    """Skill of one p for everybody: never above 0; how far below, over Wilson's interval of the base rate."""
    low, high = (float(end) for end in wilson_limits(ones, n, level=level))
    value, *ends = (1 - (rate * one + (1 - rate) * zero) / loss.base(rate) for rate in (ones / n, low, high))
    return estimate(min(value, 0.0), min(ends), 0.0 if low <= p <= high else min(max(ends), 0.0), level=level, method="wilson", n=n)


def brier_skill(table: Ranked, *, level: float) -> Estimate | None:
    """1 − Brier score / Brier score of guessing the base rate of these rows; at most 1, 0 as good as that guess, negative worse.

    Delta-method interval that counts the base rate's own error; one p for everybody has an upper limit of 0, since it cannot have skill.
    None where an outcome is missing. Where every row is right with certainty the lower limit is that of 0 errors in n rows (Wilson).
    """
    skill = _skill(table, _SQUARED, level=level)
    ones, n = int(table.positives.sum()), table.rows
    if skill is not None or ones in (0, n):
        return skill
    base = ones / n
    return estimate(1.0, 1 - float(wilson_limits(0, n, level=level)[1]) / (base * (1 - base)), 1.0, level=level, method="wilson", n=n)


def log_loss_skill(table: Ranked, *, level: float) -> Estimate | None:
    """1 − log loss / log loss of guessing the base rate of these rows, as `brier_skill`; a p of exactly 0 or 1 counts as 1e-15 from it.

    None where an outcome is missing, and where every row is right with certainty: a loss without bound has no lower limit then.
    """
    return _skill(table, _LOG, level=level)
