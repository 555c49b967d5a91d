"""Rank metrics: area under the ROC curve (DeLong) and average precision, with intervals."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from audit.measurement import Estimate
from audit.stats._inputs import Floats, binary, check_share, estimate, finite, normal_quantile
from audit.stats._roots import find_roots
from audit.stats.ranked import Ranked, rank_two
from audit.stats.rates import wilson_limits


def delong(table: Ranked) -> tuple[float, float | None] | None:
    """(AUC, its variance): the chance that a positive scores above a negative, ties counting half.

    Variance s²(V10)/m + s²(V01)/n, V being the share of the other class that a row beats. DeLong, DeLong and Clarke-Pearson 1988; in
    O(n log n): Sun and Xu 2014. None where a class is empty; the variance alone is None where a class has one row.
    """
    m, n = int(table.positives.sum()), int(table.negatives.sum())
    if m == 0 or n == 0:
        return None
    below = 2 * np.cumsum(table.negatives) - table.negatives  # twice the negatives below, ties half
    under = 2 * np.cumsum(table.positives) - table.positives
    auc = int(np.sum(table.positives * below)) / (2 * m * n)
    if m == 1 or n == 1:
        return auc, None
    s10 = float(np.sum(table.positives * (below / (2 * n) - auc) ** 2)) / (m - 1)
    s01 = float(np.sum(table.negatives * (under / (2 * m) - (1 - auc)) ** 2)) / (n - 1)
    return auc, s10 / m + s01 / n


def _logit_interval(value: float, variance: float, z: float) -> tuple[float, float]:
    middle, half = math.log(value / (1 - value)), z * math.sqrt(variance) / (value * (1 - value))
    return 1 / (1 + math.exp(min(half - middle, 700.0))), 1 / (1 + math.exp(max(-half - middle, -700.0)))


def _score_interval(auc: float, m: int, n: int, z: float) -> tuple[float, float]:
    """Newcombe 2006, method 5: where |θ − AUC| ≤ z √V(θ), with V after Hanley and McNeil 1982; its width is never 0."""
    spare = (m + n) / 2 - 1

    def excess(theta: Floats, sign: float) -> Floats:
        variance = theta * (1 - theta) * (1 + spare * (1 - theta) / (2 - theta) + spare * theta / (1 + theta)) / (m * n)
        return np.asarray(z * np.sqrt(np.maximum(variance, 0.0)) - sign * (theta - auc))

    tiny = 1e-12
    low = 0.0 if auc == 0 else float(find_roots(lambda t: excess(t, -1.0), np.array(tiny), np.array(min(auc, 1 - tiny))))
    high = 1.0 if auc == 1 else float(find_roots(lambda t: excess(t, 1.0), np.array(max(auc, tiny)), np.array(1 - tiny)))
    return low, high


def auc_estimate(parts: tuple[float, float | None] | None, m: int, n: int, *, level: float) -> Estimate | None:
    """AUC with its interval from (AUC, variance) of `m` positives and `n` negatives; see `roc_auc_ranked`."""
    z = normal_quantile(level)
    if parts is None:
        return None
    auc, variance = parts
    if not variance or auc in (0.0, 1.0):
        low, high = _score_interval(auc, m, n, z)
        return estimate(auc, low, high, level=level, method="newcombe_auc", n=m + n)
    low, high = _logit_interval(auc, variance, z)
    return estimate(auc, low, high, level=level, method="delong_logit", n=m + n)


def roc_auc_ranked(table: Ranked, *, level: float) -> Estimate | None:
    """AUC in [0, 1] with DeLong's logit interval; 0.5 means that scores say nothing of the outcome. None where a class is empty.

    Where DeLong's variance is 0 or unknown (classes separated, one score for all, a class of one row) the interval is Newcombe's score
    interval: perfect separation of a few rows is no proof of perfection.
    """
    return auc_estimate(delong(table), int(table.positives.sum()), int(table.negatives.sum()), level=level)


def roc_auc(pos: ArrayLike, neg: ArrayLike, *, level: float) -> Estimate | None:
    """`roc_auc_ranked` of two samples of scores: rows with outcome 1 and rows with outcome 0 (of two groups: the cross-group AUC)."""
    check_share("level", level)
    return roc_auc_ranked(rank_two(pos, neg), level=level)


def auc_difference(table: Ranked, reference: Ranked, *, level: float) -> Estimate | None:
    """AUC of one set of rows minus AUC of another, unpaired: normal interval, variances added, within [−1, 1]; 0 means equal AUCs.

    None where one is undefined or has no variance. DeLong et al. 1988.
    """
    return difference_of(delong(table), delong(reference), table.rows + reference.rows, level=level)


#: AUC and its variance, where it has one.
Delong = tuple[float, float | None] | None


def difference_of(ours: Delong, theirs: Delong, rows: int, *, level: float) -> Estimate | None:
    """`auc_difference` of two results of `delong` that rest on `rows` rows together."""
    if ours is None or theirs is None or not ours[1] or not theirs[1]:
        return None
    return normal_difference(ours[0] - theirs[0], ours[1] + theirs[1], rows, level=level)


def normal_difference(value: float, variance: float, rows: int, *, level: float) -> Estimate | None:
    """A difference of two AUCs with its normal interval, within [−1, 1]."""
    half = normal_quantile(level) * math.sqrt(variance)
    return estimate(value, max(value - half, -1.0), min(value + half, 1.0), level=level, method="delong", n=rows)


def fold_inflation(k: int) -> float:
    """What the variance of a figure over K folds grows by because their models share training rows: 1 + K/(K − 1). Nadeau and Bengio 2003.

    Without it the interval of scores that say nothing misses 0.5 in one case of eight at K = 5 instead of in one of twenty.
    """
    return 1.0 + k / (k - 1) if k > 1 else 1.0


def auc_over_folds(scores: ArrayLike, y: ArrayLike, folds: ArrayLike, *, level: float) -> Estimate | None:
    """Cross-validated AUC: the mean of the AUCs inside the folds (n,), each row scored by a model that was fitted without its fold.

    Scores of different folds are never compared (LeDell, Petersen and van der Laan 2015). Variance Σ V_k / K², V_k being DeLong's, times
    `fold_inflation(K)`; normal interval on the logit scale. 0.5 means that the scores say nothing. None where a fold has fewer than 2 rows
    of a class.
    """
    values, place = finite("scores", scores), np.asarray(folds)
    one = binary("y", y, values.size)
    check_share("level", level)
    parts = []
    for fold in np.unique(place):
        table = rank_two(values[(place == fold) & one], values[(place == fold) & ~one])
        found = delong(table)
        if found is None or found[1] is None:
            return None
        parts.append((found[0], found[1]))
    if not parts:
        return None
    auc = math.fsum(a for a, _ in parts) / len(parts)
    variance = math.fsum(v for _, v in parts) / len(parts) ** 2 * fold_inflation(len(parts))
    m = int(one.sum())
    out = auc_estimate((auc, variance), m, values.size - m, level=level)
    return out if out is None or out.method != "delong_logit" else out.model_copy(update={"method": "delong_folds"})


def average_precision_ranked(table: Ranked, *, level: float) -> Estimate | None:
    """Mean precision over the positives, each at its own score as cutoff, in [0, 1]; the share of positives means that scores say nothing.

    Σ (R_k − R_{k−1}) P_k, as in scikit-learn. Logit interval with the variance of the influence function: a row of score t and outcome y
    moves it by [y (P(t) − AP) + mean over positives of (y − P(s)) / G(s) at s <= t] / π, G being the share of rows at or above s, π the
    share of positives. Where the value is 1, the lower limit is Wilson's for m of m positives above all negatives.
    None where a class is empty.
    """
    check_share("level", level)
    pos, n = table.positives, table.rows
    m = int(pos.sum())
    if m in (0, n):
        return None
    both = pos + table.negatives
    above = (n - np.cumsum(both) + both).astype(np.float64)  # rows at or above each score
    precision = (m - np.cumsum(pos) + pos) / above
    value = float(np.dot(pos, precision)) / m
    weight = pos / above  # positives at s over rows at or above s; n/n cancels
    shared = np.cumsum(weight * precision)
    if_one = np.cumsum(weight)
    if_one += precision
    if_one -= shared
    if_one -= value
    variance = (float(np.dot(pos, np.square(if_one))) + float(np.dot(table.negatives, np.square(shared)))) / m**2
    return precision_estimate(value, variance, m, n, level=level)


def precision_estimate(value: float, variance: float, m: int, n: int, *, level: float) -> Estimate | None:
    """Average precision of `m` positives among `n` rows with its interval; see `average_precision_ranked`."""
    if value >= 1.0 or variance <= 0.0:
        return estimate(value, float(wilson_limits(m, m, level=level)[0]) * value, 1.0, level=level, method="wilson", n=n)
    low, high = _logit_interval(value, variance, normal_quantile(level))
    return estimate(value, low, high, level=level, method="influence_logit", n=n)


def average_precision(pos: ArrayLike, neg: ArrayLike, *, level: float) -> Estimate | None:
    """`average_precision_ranked` of two samples of scores: rows with outcome 1 and rows with outcome 0."""
    check_share("level", level)
    return average_precision_ranked(rank_two(pos, neg), level=level)
