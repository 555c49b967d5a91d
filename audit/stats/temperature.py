"""One temperature for all logits: what it would be, and what it would change on rows that it was not fitted on. Guo et al. 2017."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.random import Generator

from audit.measurement import Estimate
from audit.stats._inputs import Floats, Ints, check_share, estimate, normal_quantile
from audit.stats.calibration import probabilities
from audit.stats.ranked import Table

RANGE = 3.0  # of log T on both sides
LEAST = 1e-12  # a probability below this counts as this much, where its logarithm is taken


class Cooled(NamedTuple):
    """`temperature` as fitted on one half, and the log loss of the other half before and after it, with its gain (before − after)."""

    temperature: Estimate
    before: float
    after: float
    gain: Estimate


def _losses(logits: Floats, outcome: Ints, inverse: float) -> Floats:
    """−ln of the probability of what happened, (k,), with logits (k, classes) multiplied by `inverse`."""
    from scipy.special import logsumexp

    scaled = logits * inverse
    if scaled.shape[1] == 2:  # ln(1 + e^m) of how far the other class is ahead: no sums over two columns
        return np.asarray(np.logaddexp(0.0, np.where(outcome == 1, 1.0, -1.0) * (scaled[:, 0] - scaled[:, 1])))
    return np.asarray(logsumexp(scaled, axis=1) - scaled[np.arange(len(scaled)), outcome])


def fit_temperature(logits: Floats, outcome: Ints, weight: Floats, *, level: float) -> Estimate | None:
    """The T > 0 with the least log loss of logits (k, classes) / T, each row counting `weight` times; above 1: probabilities are too extreme.

    Interval: sandwich on the log scale. None where log T has no least value within ±3, as when every row is right.
    """
    from scipy.optimize import minimize_scalar
    from scipy.special import softmax

    check_share("level", level)
    n = float(weight.sum())
    if n < 2:
        return None
    found = minimize_scalar(
        lambda log_t: float(np.sum(weight * _losses(logits, outcome, float(np.exp(-log_t))))) / n,
        bounds=(-RANGE, RANGE), method="bounded", options={"xatol": 1e-10},
    )  # fmt: skip
    log_t = float(found.x)
    if abs(log_t) > RANGE - 1e-3:
        return None
    s = float(np.exp(-log_t))
    p = softmax(logits * s, axis=1)
    mean = np.sum(p * logits, axis=1)
    slope = mean - logits[np.arange(len(logits)), outcome]  # of each row's loss in s
    curvature = float(np.sum(weight * np.sum(p * (logits - mean[:, None]) ** 2, axis=1)))
    if not curvature > 0:
        return None
    half = normal_quantile(level) * float(np.sqrt(np.sum(weight * slope**2))) / (curvature * s)
    return estimate(
        float(np.exp(log_t)), float(np.exp(log_t - half)), float(np.exp(log_t + half)), level=level, method="sandwich_log", n=int(n)
    )


def held_out(logits: Floats, outcome: Ints, fitting: Floats, other: Floats, *, level: float) -> Cooled | None:
    """Fit with the weights `fitting`, look with the weights `other`; both (k,)."""
    temperature, n = fit_temperature(logits, outcome, fitting, level=level), float(other.sum())
    if temperature is None or n < 2:
        return None
    before, after = (_losses(logits, outcome, s) for s in (1.0, 1 / temperature.value))
    means = [float(np.sum(other * losses)) / n for losses in (before, after)]
    saved = before - after
    gain = float(np.sum(other * saved)) / n
    half = normal_quantile(level) * float(np.sqrt(np.sum(other * (saved - gain) ** 2) / (n - 1) / n))
    shown = estimate(gain, gain - half, gain + half, level=level, method="normal_paired", n=int(n))
    return None if shown is None else Cooled(temperature, means[0], means[1], shown)


def cool_binary(table: Table, *, level: float, rng: Generator, most: int = 200_000) -> Cooled | None:
    """`held_out` of a table of probabilities: each of at most about `most` rows goes to one half or the other by chance, whatever the order of the rows."""
    share, scores, counts = min(1.0, most / max(1, table.rows)), [], []
    streams = [(a, b) for a, b in zip(rng.spawn(2), rng.spawn(2), strict=True)]  # one draw after the other, wherever the pieces are cut
    for piece in probabilities(table):
        scores.append(piece.scores)
        halves = []
        for y, (thinning, halving) in zip((piece.negatives, piece.positives), streams, strict=True):
            kept = thinning.binomial(y, share) if share < 1 else y
            one = halving.binomial(kept, 0.5)
            halves.append((one, kept - one))
        counts.append(np.array(halves))  # (outcome, half, scores)
    if not scores:
        return None
    p, (zeros, ones) = np.clip(np.concatenate(scores), LEAST, 1 - LEAST), np.concatenate(counts, axis=2).astype(np.float64)
    logit = np.log(p) - np.log1p(-p)
    logits = np.tile(np.stack([np.zeros(p.size), logit], axis=1), (2, 1))
    outcome = np.repeat(np.array([0, 1]), p.size)
    weights = np.concatenate([zeros, ones], axis=1)  # (half, outcome × scores)
    kept_cells = weights.sum(axis=0) > 0
    return held_out(logits[kept_cells], outcome[kept_cells], weights[0, kept_cells], weights[1, kept_cells], level=level)


def cool(probability: Floats, outcome: Ints, *, level: float, rng: Generator) -> Cooled | None:
    """`held_out` of probabilities (k, classes), rows divided by chance; logits are their logarithms."""
    first = rng.random(len(outcome)) < 0.5
    return held_out(np.log(np.clip(probability, LEAST, None)), outcome, first.astype(np.float64), (~first).astype(np.float64), level=level)
