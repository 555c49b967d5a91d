"""Is a probability of p right in a share p of the cases: in the large, and by the line of y on logit p.

Everything is computed from a table of scores in rising order (`ranked.Table`), in pieces where there are many rows, so the order of the rows
cannot matter and equal scores stay together.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from audit.measurement import Estimate
from audit.stats._inputs import Floats, Ints, check_share, estimate, normal_quantile
from audit.stats.compare import Triple
from audit.stats.ranked import Ranked, Table, moments_of
from audit.stats.rates import wilson_limits

CLIP = 1e-6  # probabilities nearer to 0 or 1 than this count as this much, where logits are taken
COARSE = 5_000  # cells of a piece that a first fit is made on, where a piece has ten times as many scores


def check_probabilities(piece: Ranked) -> Floats:
    """The distinct scores; ValueError unless all lie in [0, 1]."""
    if piece.scores.size and not (piece.scores[0] >= 0.0 and piece.scores[-1] <= 1.0):
        raise ValueError(f"expected probabilities in [0, 1], got [{piece.scores[0]}, {piece.scores[-1]}]")
    return piece.scores


def probabilities(table: Table) -> Iterator[Ranked]:
    """The pieces of a table, each held to [0, 1]."""
    for piece in table.pieces():
        check_probabilities(piece)
        yield piece


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


def in_the_large_ranked(table: Table, *, level: float) -> Estimate | None:
    """`in_the_large` of a table of probabilities and outcomes."""
    check_share("level", level)
    events = sum(int(piece.positives.sum()) for piece in probabilities(table))
    moments = moments_of(table, lambda p, y: p - y)
    return None if moments is None else in_the_large((moments.n, moments.mean, moments.variance), events, level=level)


class Line(NamedTuple):
    """Slope and intercept of the logistic regression of y on logit p; calibrated is (1, 0)."""

    slope: Estimate
    intercept: Estimate


#: Logits with the events and the rows at each, in pieces.
Logits = list[tuple[Floats, Ints, Ints]]


class _Pieces:
    """Logits of a table, read anew at each turn."""

    def __init__(self, table: Table) -> None:
        self.table = table

    def __iter__(self) -> Iterator[tuple[Floats, Ints, Ints]]:
        for piece in probabilities(self.table):
            p = np.clip(piece.scores, CLIP, 1 - CLIP)
            yield np.log(p) - np.log1p(-p), piece.positives, piece.positives + piece.negatives


def _likelihood(pieces: _Pieces | Logits, beta: Floats) -> float:
    terms = []
    for x, ones, rows in pieces:
        eta = beta[0] + beta[1] * x
        terms.append(float(np.sum(ones * eta) - np.sum(rows * np.logaddexp(0.0, eta))))
    return math.fsum(terms)


def _slopes(pieces: _Pieces | Logits, beta: Floats) -> tuple[Floats, tuple[float, float, float]]:
    """Gradient (2,) of the log likelihood and the three numbers of its information matrix."""
    gradient, information = [], []
    for x, ones, rows in pieces:
        q = 1.0 / (1.0 + np.exp(-np.clip(beta[0] + beta[1] * x, -700, 700)))
        rest, weight = ones - rows * q, rows * q * (1 - q)
        gradient.append((float(np.sum(rest)), float(np.sum(rest * x))))
        information.append((float(np.sum(weight)), float(np.sum(weight * x)), float(np.sum(weight * x * x))))
    a, b, c = (math.fsum(column) for column in zip(*information, strict=True))
    return np.array([math.fsum(column) for column in zip(*gradient, strict=True)]), (a, b, c)


def _fit(pieces: _Pieces | Logits, beta: Floats, reach: float) -> tuple[Floats, Floats] | None:
    """Maximum likelihood (intercept, slope) and their covariance by Newton's method; None if it does not settle.

    Each step is one pass over the pieces. Steps that may move a logit by more than 0.1 are halved until they raise the likelihood; smaller ones
    always do. `reach` is the largest |logit|.
    """
    for _ in range(100):
        gradient, (a, b, c) = _slopes(pieces, beta)
        if not a * c - b * b > 0:
            return None
        covariance = np.array([[c, -b], [-b, a]]) / (a * c - b * b)
        step = np.sum(covariance * gradient, axis=1)
        if float(np.sum(step * gradient)) < 1e-12:  # in squared standard errors
            return beta + step, covariance
        if reach * float(np.abs(step).sum()) > 0.1:
            current = _likelihood(pieces, beta)
            while _likelihood(pieces, beta + step) < current:
                step = step / 2
                if reach * float(np.abs(step).sum()) < 0.1:
                    break
        beta = beta + step
    return None


def _coarse(x: Floats, ones: Ints, rows: Ints) -> tuple[Floats, Ints, Ints]:
    """Neighbouring scores taken together, to start from."""
    starts = np.linspace(0, x.size, COARSE, endpoint=False).astype(np.int64)
    weight = np.add.reduceat(rows, starts)
    return np.add.reduceat(x * rows, starts) / weight, np.add.reduceat(ones, starts), weight


def slope_and_intercept(table: Table, *, level: float) -> Line | None:
    """Logistic regression of y on logit p, with Wald intervals; slope below 1: p is too extreme, above 1: too timid. Cox 1958.

    p is held within [1e-6, 1 − 1e-6]. None where it has no finite answer: an outcome is missing, p takes one value, or p separates the
    outcomes.
    """
    z = normal_quantile(level)
    pieces, rough, ends = _Pieces(table), [], np.array([[np.inf, -np.inf], [np.inf, -np.inf]])  # lowest and highest logit by outcome
    for x, ones, rows in pieces:
        for y, counts in enumerate((rows - ones, ones)):
            found = np.flatnonzero(counts)
            if found.size:
                ends[y] = min(ends[y, 0], x[found[0]]), max(ends[y, 1], x[found[-1]])
        rough.append(_coarse(x, ones, rows) if x.size > 10 * COARSE else (x, ones, rows))
    (zero_low, zero_high), (one_low, one_high) = ends.tolist()
    if not np.isfinite(ends).all() or zero_high <= one_low or one_high <= zero_low:
        return None
    reach, start = max(1.0, float(np.abs(ends).max())), np.array([0.0, 1.0])
    large = len(rough) > 1 or rough[0][0].size == COARSE
    first = _fit(rough, start, reach) if large else None
    fit = _fit(pieces, start if first is None else first[0], reach)
    if fit is None:
        return None
    (intercept, slope), covariance = fit
    halves = z * np.sqrt(np.diag(covariance))
    lines = [
        estimate(float(v), float(v - h), float(v + h), level=level, method="logistic_wald", n=table.rows)
        for v, h in ((slope, halves[1]), (intercept, halves[0]))
    ]
    return None if lines[0] is None or lines[1] is None else Line(lines[0], lines[1])
