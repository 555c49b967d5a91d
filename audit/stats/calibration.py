"""Is a probability of p right in a share p of the cases: in the large, by slope, by bin, and in the Brier score.

Everything is computed from a `Ranked` table (`ranked.rank(p, y)`), so the order of the rows cannot matter and equal scores stay together.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.random import Generator

from audit.result import Estimate
from audit.stats._inputs import Floats, Ints, check_share, estimate, normal_quantile
from audit.stats.compare import Triple
from audit.stats.ranked import Ranked
from audit.stats.rates import wilson, wilson_limits

CLIP = 1e-6  # probabilities nearer to 0 or 1 than this count as this much, where logits are taken


def check_probabilities(table: Ranked) -> Floats:
    """The distinct scores; ValueError unless all lie in [0, 1]."""
    if table.scores.size and not (table.scores[0] >= 0.0 and table.scores[-1] <= 1.0):
        raise ValueError(f"expected probabilities in [0, 1], got [{table.scores[0]}, {table.scores[-1]}]")
    return table.scores


def in_the_large(residuals: Triple, events: int, *, level: float) -> Estimate | None:
    """Mean p − mean y in [−1, 1], from (n, mean, variance) of p − y and the number of y = 1; positive means that p is too high on average.

    Normal interval on the paired residuals; where y is all 0 or all 1 they do not show how rare the other outcome is, and the interval is
    mean p minus Wilson's interval of y. 0 does not mean calibrated: errors may cancel. None for fewer than 2 rows.
    """
    z = normal_quantile(level)
    n, mean, variance = residuals
    if not 0 <= events <= n or variance < 0:
        raise ValueError(f"expected 0 <= events <= n and variance >= 0, got events={events}, residuals={residuals}")
    if n < 2:
        return None
    if events in (0, n):
        predicted = mean + events / n
        low, high = wilson_limits(events, n, level=level)
        return estimate(mean, predicted - float(high), predicted - float(low), level=level, method="wilson", n=n)
    half = z * math.sqrt(variance / n)
    return estimate(mean, max(mean - half, -1.0), min(mean + half, 1.0), level=level, method="normal_paired", n=n)


def in_the_large_ranked(table: Ranked, *, level: float) -> Estimate | None:
    """`in_the_large` of a table of probabilities and outcomes."""
    p, n = check_probabilities(table), table.rows
    if n < 2:
        check_share("level", level)
        return None
    mean = (float(np.sum(table.positives * (p - 1))) + float(np.sum(table.negatives * p))) / n
    squares = float(np.sum(table.positives * (p - 1 - mean) ** 2)) + float(np.sum(table.negatives * (p - mean) ** 2))
    return in_the_large((n, mean, squares / (n - 1)), int(table.positives.sum()), level=level)


class Line(NamedTuple):
    """Slope and intercept of the logistic regression of y on logit p; calibrated is (1, 0)."""

    slope: Estimate
    intercept: Estimate


def _fit(x: Floats, ones: Ints, rows: Ints, beta: Floats) -> tuple[Floats, Floats] | None:
    """Maximum likelihood (intercept, slope) and their covariance by Newton's method; None if it does not settle.

    Steps that may move a logit by more than 0.1 are halved until they raise the likelihood; smaller ones always do.
    """

    def likelihood(beta: Floats) -> float:
        eta = beta[0] + beta[1] * x
        return float(np.sum(ones * eta) - np.sum(rows * np.logaddexp(0.0, eta)))

    reach = max(1.0, float(np.abs(x).max()))
    for _ in range(100):
        q = 1.0 / (1.0 + np.exp(-np.clip(beta[0] + beta[1] * x, -700, 700)))
        rest = ones - rows * q
        weight = rows * q * (1 - q)
        a, b, c = float(np.sum(weight)), float(np.sum(weight * x)), float(np.sum(weight * x * x))
        if not a * c - b * b > 0:
            return None
        covariance = np.array([[c, -b], [-b, a]]) / (a * c - b * b)
        gradient = np.array([np.sum(rest), np.sum(rest * x)])
        step = np.sum(covariance * gradient, axis=1)
        if float(np.sum(step * gradient)) < 1e-12:  # in squared standard errors
            return beta + step, covariance
        if reach * float(np.abs(step).sum()) > 0.1:
            current = likelihood(beta)
            while likelihood(beta + step) < current:
                step = step / 2
                if reach * float(np.abs(step).sum()) < 0.1:
                    break
        beta = beta + step
    return None


def _coarse(x: Floats, ones: Ints, rows: Ints, parts: int) -> tuple[Floats, Ints, Ints]:
    """Neighbouring scores taken together, to start from."""
    starts = np.linspace(0, x.size, parts, endpoint=False).astype(np.int64)
    weight = np.add.reduceat(rows, starts)
    return np.add.reduceat(x * rows, starts) / weight, np.add.reduceat(ones, starts), weight


def slope_and_intercept(table: Ranked, *, level: float) -> Line | None:
    """Logistic regression of y on logit p, with Wald intervals; slope below 1: p is too extreme, above 1: too timid. Cox 1958.

    p is held within [1e-6, 1 − 1e-6]. None where it has no finite answer: an outcome is missing, p takes one value, or p separates the
    outcomes.
    """
    z = normal_quantile(level)
    p = check_probabilities(table)
    has_one, has_zero = np.flatnonzero(table.positives), np.flatnonzero(table.negatives)
    if has_one.size == 0 or has_zero.size == 0:
        return None
    logits = np.log(np.clip(p, CLIP, 1 - CLIP)) - np.log1p(-np.clip(p, CLIP, 1 - CLIP))
    one_x, zero_x = logits[has_one], logits[has_zero]
    if zero_x[-1] <= one_x[0] or one_x[-1] <= zero_x[0]:
        return None
    rows = table.positives + table.negatives
    start = np.array([0.0, 1.0])
    if logits.size > 50_000:
        rough = _fit(*_coarse(logits, table.positives, rows, 5_000), start)
        start = start if rough is None else rough[0]
    fit = _fit(logits, table.positives, rows, start)
    if fit is None:
        return None
    (intercept, slope), covariance = fit
    halves = z * np.sqrt(np.diag(covariance))
    lines = [
        estimate(float(v), float(v - h), float(v + h), level=level, method="logistic_wald", n=table.rows)
        for v, h in ((slope, halves[1]), (intercept, halves[0]))
    ]
    return None if lines[0] is None or lines[1] is None else Line(lines[0], lines[1])


class Point(NamedTuple):
    """A bin of the reliability curve: its range of p, its mean p, and the observed rate."""

    low: float
    high: float
    mean: float
    rate: Estimate


class Bins(NamedTuple):
    """Bins that have rows: range of p, rows and sum of p by outcome, and the spread Σ (p − mean)²; arrays of shape (bins,)."""

    low: Floats
    high: Floats
    positives: Ints
    negatives: Ints
    sum_positives: Floats
    sum_negatives: Floats
    spread: Floats


def equal_mass_bins(table: Ranked, *, bins: int = 15) -> Bins:
    """Rows of equal p are never split: they go to the bin of their middle rank, so there may be fewer bins than asked for."""
    p = check_probabilities(table)
    if bins < 1:
        raise ValueError(f"expected bins >= 1, got {bins}")
    rows = table.positives + table.negatives
    twice = 2 * np.cumsum(rows) - rows
    number = (twice * bins) // max(1, 2 * table.rows)
    edges = np.append(np.flatnonzero(np.diff(number, prepend=-1)), p.size)
    cuts = [slice(int(a), int(b)) for a, b in pairwise(edges)]
    ones, zeros = (np.array([np.sum(v[c] * p[c]) for c in cuts]) for v in (table.positives, table.negatives))
    positives, negatives = (np.array([np.sum(v[c]) for c in cuts], dtype=np.int64) for v in (table.positives, table.negatives))
    means = (ones + zeros) / (positives + negatives)
    spread = np.array([np.sum(rows[c] * (p[c] - m) ** 2) for c, m in zip(cuts, means, strict=True)])
    return Bins(p[edges[:-1]], p[edges[1:] - 1], positives, negatives, ones, zeros, spread)


def reliability_curve(table: Ranked, *, level: float, bins: int = 15) -> list[Point]:
    """Mean p against the observed rate per bin of about equally many rows, with Wilson's band; on the diagonal means calibrated."""
    parts = equal_mass_bins(table, bins=bins)
    points = []
    for low, high, one, zero, s1, s0, _ in zip(*parts, strict=True):
        rate = wilson(int(one), int(one + zero), level=level)
        assert rate is not None
        points.append(Point(float(low), float(high), float((s1 + s0) / (one + zero)), rate))
    return points


def expected_calibration_error(table: Ranked, *, bins: int = 15) -> float | None:
    """Plug-in ECE: mean |mean p − rate| over bins, weighted by rows, in [0, 1]. Naeini 2015; Guo 2017.

    0 means that bins agree on these rows. Biased upwards when bins hold few rows (about .04 at 1,000 rows of a calibrated model): reported,
    never judged; see `calibration_error`. None for no rows.
    """
    parts = equal_mass_bins(table, bins=bins)
    if table.rows == 0:
        return None
    gaps = parts.sum_positives + parts.sum_negatives - parts.positives
    return float(np.sum(np.abs(gaps))) / table.rows


def _squares(ones: Floats, zeros: Floats, s1: Floats, s0: Floats, *, debias: bool) -> Floats:
    """Squared error per replicate, (R, bins) -> (R,), without what chance adds if `debias`; that leaves out bins of one row."""
    rows = ones + zeros
    safe = np.maximum(rows, 1)
    terms = (s1 + s0 - ones) ** 2 / safe
    if debias:
        terms = np.where(rows > 1, terms - ones * zeros / safe / np.maximum(rows - 1, 1), 0.0)
    return np.asarray(np.sum(terms, axis=-1) / np.sum(rows, axis=-1))


def calibration_error(table: Ranked, *, level: float, rng: Generator, bins: int = 15, replicates: int = 2000) -> Estimate | None:
    """√max(0, debiased²): root mean squared gap between mean p and rate over bins, less what chance adds; in [0, 1].

    0 means indistinguishable from calibrated at this n. Kumar, Liang and Ma 2019. Interval: rows are drawn again within the counts of bin
    and outcome; the replicates' distance from the plug-in square, about which they scatter, is subtracted from the debiased square (basic
    bootstrap), which is wide where the model is calibrated. Miscalibration finer than the bins is not seen. None for fewer than 2 rows.
    """
    check_share("level", level)
    parts = equal_mass_bins(table, bins=bins)
    n = table.rows
    if n < 2:
        return None
    counts = np.concatenate([parts.positives, parts.negatives])
    sums = np.concatenate([parts.sum_positives, parts.sum_negatives])
    means = sums / np.maximum(counts, 1)

    def squares(cells: Floats, debias: bool) -> Floats:
        (one, zero), (s1, s0) = np.split(cells, 2, axis=-1), np.split(cells * means, 2, axis=-1)
        return _squares(one, zero, s1, s0, debias=debias)

    debiased, plain = (float(squares(counts.astype(np.float64), d)) for d in (True, False))
    drawn = squares(rng.multinomial(n, counts / n, size=replicates).astype(np.float64), True)
    low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2])
    ends = (debiased - (high - plain), debiased, debiased - (low - plain))
    low, value, high = (math.sqrt(min(max(e, 0.0), 1.0)) for e in ends)
    return estimate(value, low, high, level=level, method="debiased_basic_bootstrap", n=n)


def debiased_square(table: Ranked, *, bins: int = 15) -> float | None:
    """Σ n_b/n [(mean p − rate)² − rate(1 − rate)/(n_b − 1)] over bins; below 0 where gaps are smaller than chance makes them.

    Kumar, Liang and Ma 2019. None for no rows.
    """
    parts = equal_mass_bins(table, bins=bins)
    if table.rows == 0:
        return None
    ones, zeros = parts.positives.astype(np.float64), parts.negatives.astype(np.float64)
    return float(_squares(ones, zeros, parts.sum_positives, parts.sum_negatives, debias=True))
