"""The Brier score of probabilities, and what it is made of."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.random import Generator

from audit.measurement import Estimate
from audit.stats._inputs import Floats, check_share, estimate
from audit.stats.calibration import probabilities
from audit.stats.losses import mean_size_of
from audit.stats.ranked import Table, moments_of
from audit.stats.reliability import Bins


class Murphy(NamedTuple):
    """brier = reliability − resolution + uncertainty + within; `within` is 0 where p is constant in each bin."""

    brier: float
    reliability: float
    resolution: float
    uncertainty: float
    within: float


def murphy(parts: Bins) -> Murphy | None:
    """Decomposition of the Brier score over bins of the reliability curve; None for no rows.

    reliability (0 best) is the squared gap of mean p and rate, resolution (higher better) how far the rates of bins differ, uncertainty the
    variance of y. Murphy 1973; within-bin term: Stephenson, Coelho and Jolliffe 2008.
    """
    rows = parts.rows.astype(np.float64)
    n = float(rows.sum())
    if n == 0:
        return None
    rate, mean = parts.positives / rows, parts.means
    base = float(parts.positives.sum()) / n
    reliability = float(np.sum(rows * (mean - rate) ** 2)) / n
    resolution = float(np.sum(rows * (rate - base) ** 2)) / n
    covariance = parts.sum_positives - mean * parts.positives
    within = float(np.sum(parts.spread - 2 * covariance)) / n
    uncertainty = base * (1 - base)
    return Murphy(reliability - resolution + uncertainty + within, reliability, resolution, uncertainty, within)


def decomposition(parts: Bins, *, level: float, rng: Generator, replicates: int = 2000) -> dict[str, Estimate]:
    """The three parts without what chance adds to them in bins of few rows, each with its interval; empty for fewer than 2 rows.

    Bröcker 2012: the mean variance of a rate within its bin is taken from reliability and resolution, that of the base rate is added to
    resolution and uncertainty, so they add up as before. Below 0 is 0. Interval: basic bootstrap within bin and outcome, as for
    `reliability.calibration_error`.
    """
    n = int(parts.rows.sum())
    if n < 2:
        return {}
    counts = np.concatenate([parts.positives, parts.negatives])
    means = np.concatenate([parts.sum_positives, parts.sum_negatives]) / np.maximum(counts, 1)

    def terms(cells: Floats, *, corrected: bool) -> Floats:
        (one, zero), sums = np.split(cells, 2, axis=-1), cells * means
        rows, base = one + zero, one.sum(axis=-1) / n
        safe = np.maximum(rows, 1)
        rate = one / safe
        predicted = sum(np.split(sums, 2, axis=-1)) / safe
        uncertainty = base * (1 - base)
        reliability = np.sum(rows * (predicted - rate) ** 2, axis=-1) / n
        resolution = np.sum(rows * (rate - base[..., None]) ** 2, axis=-1) / n
        if corrected:
            by_chance = np.sum(np.where(rows > 1, rows * rate * (1 - rate) / np.maximum(rows - 1, 1), 0.0), axis=-1) / n
            of_base = uncertainty / (n - 1)
            reliability, resolution, uncertainty = reliability - by_chance, resolution - by_chance + of_base, uncertainty + of_base
        return np.stack([reliability, resolution, uncertainty], axis=-1)

    own = counts.astype(np.float64)[None]
    value, plain = terms(own, corrected=True)[0], terms(own, corrected=False)[0]
    drawn = terms(rng.multinomial(n, counts / n, size=replicates).astype(np.float64), corrected=True)
    low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2], axis=0)
    out = {}
    for i, name in enumerate(("brier_reliability", "brier_resolution", "brier_uncertainty")):
        ends = [max(0.0, float(e)) for e in (value[i] - (high[i] - plain[i]), value[i], value[i] - (low[i] - plain[i]))]
        found = estimate(ends[1], ends[0], ends[2], level=level, method="debiased_basic_bootstrap", n=n)
        if found is not None:
            out[name] = found
    return out


def brier_score(table: Table, *, level: float) -> Estimate | None:
    """Mean of (p − y)² in [0, 1], 0 being perfect, with the interval of `losses.size_interval`; None for fewer than 2 rows or where all rows are equally wrong."""
    check_share("level", level)
    for _ in probabilities(table):
        pass
    moments = moments_of(table, lambda p, y: (p - y) ** 2)
    if moments is None or moments.n < 2 or moments.variance == 0:
        return None
    found = mean_size_of(moments, level=level)
    return estimate(found.value, found.low, min(found.high, 1.0), level=level, method=found.method, n=found.n)
