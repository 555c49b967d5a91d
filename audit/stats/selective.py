"""Answering only where one is sure: the risk of what is answered, over the share that is. Geifman and El-Yaniv 2017.

Everything is computed from a table of confidences in rising order (`ranked.Table`) whose outcome 1 is an error, in pieces where there are many
rows; rows of equal confidence are answered together.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from audit.measurement import Estimate
from audit.stats._inputs import Floats, check_share, estimate, normal_quantile
from audit.stats.ranked import Ranked, Table


class Areas(NamedTuple):
    """`aurc`: mean risk over all shares answered; `excess`: what of it a perfect order of the same errors would save."""

    aurc: Estimate
    excess: Estimate


class Answered(NamedTuple):
    """The rows of at least this confidence, and the errors among them."""

    confidence: float
    rows: int
    errors: int


def _harmonic(n: Floats) -> Floats:
    """1 + 1/2 + … + 1/n for whole n >= 0."""
    from scipy.special import digamma

    return np.asarray(digamma(n + 1) + np.euler_gamma)


def oracle_area(errors: int, rows: int) -> float:
    """The area where every error is answered last; e + (1 − e) ln(1 − e) for many rows with a share e of errors."""
    right = rows - errors
    return (errors - right * float(_harmonic(np.array(rows)) - _harmonic(np.array(right)))) / rows


def areas(table: Table, *, level: float) -> Areas | None:
    """Area under the risk–coverage curve in [0, 1] and its excess over the best order; 0 excess: every error is less sure than every right answer.

    Rows of equal confidence count as ordered by chance. Intervals: normal, by the influence function of ∫ risk d coverage. Geifman, Uziel and
    El-Yaniv 2019. None where no row or every row is an error: no order can be told from another then.
    """
    check_share("level", level)
    n, wrong = table.rows, sum(int(piece.positives.sum()) for piece in table.pieces())
    if wrong in (0, n):
        return None
    slope = -math.log1p(-wrong / n)  # of the best area in the share of errors
    above, tail = n, 0.0
    terms: list[float] = []
    sums = np.zeros(4)  # of each row's influence on both areas, and of their squares
    for piece in table.pieces():
        weight, before, above, tail = _weights(piece, n, above, tail)
        terms.append(float(np.sum(piece.positives * weight)))
        for y, counts in ((0.0, piece.negatives), (1.0, piece.positives)):
            first = y * weight - before
            both = np.stack([first, first - slope * y])
            sums += np.concatenate([np.sum(counts * both, axis=1), np.sum(counts * both**2, axis=1)])
    area = math.fsum(terms) / n
    excess = area - oracle_area(wrong, n)
    variances = np.maximum(sums[2:] / n - (sums[:2] / n) ** 2, 0.0)
    found = []
    for value, variance in zip((area, max(excess, 0.0)), variances.tolist(), strict=True):
        half = normal_quantile(level) * math.sqrt(variance / n)
        found.append(estimate(value, max(value - half, 0.0), min(value + half, 1.0), level=level, method="influence", n=n))
    return None if found[0] is None or found[1] is None else Areas(found[0], found[1])


def _weights(piece: Ranked, n: int, above: int, tail: float) -> tuple[Floats, Floats, int, float]:
    """For each confidence of a piece: what an error there adds to n times the area, and what errors from there downwards add to it per row.

    `above` are the rows from this piece upwards, `tail` the latter sum below it; both as they are behind the piece come last.
    """
    m = (piece.positives + piece.negatives).astype(np.float64)
    a = above - np.cumsum(m)  # rows that are more sure
    higher, lower = _harmonic(a + m), _harmonic(a)
    # The mean over the ranks a + 1 … a + m of 1/rank + … + 1/n; the sum of harmonic numbers up to H(r) is (r + 1) H(r) − r.
    upto = (a + m) * _harmonic(np.maximum(a + m - 1, 0)) - (a + m - 1)
    below = np.where(a > 0, a * _harmonic(np.maximum(a - 1, 0)) - (a - 1), 0.0)
    own = np.where(m == 1, lower, (upto - below) / m)
    weight = float(_harmonic(np.array(n))) - own
    share = piece.positives / m
    through = share * (higher - lower)  # what the errors of one confidence add to the sum of errors over rank
    inner = np.where(a > 1000 * m, m * (m + 1) / (2 * np.maximum(a, 1)), m - a * (higher - lower)) * share / m
    tails = tail + np.cumsum(through)
    return weight, tails - through + inner, above - int(m.sum()), float(tails[-1])


def answered(table: Table, shares: Sequence[float]) -> list[Answered]:
    """For each share in (0, 1], in any order, the surest rows that make it up, with all that are as sure as the last of them; empty for no rows."""
    n = table.rows
    wanted = [n - max(1, math.ceil(share * n - 1e-9)) for share in shares]  # rows that are less sure, at most
    found: dict[int, Answered] = {}
    total = sum(int(piece.positives.sum()) for piece in table.pieces())
    below = errors = 0
    for piece in table.pieces():
        rows = np.cumsum(piece.positives + piece.negatives) + below
        wrong = np.cumsum(piece.positives) + errors
        for place, least in enumerate(wanted):
            if place not in found and least < rows[-1]:
                i = int(np.searchsorted(rows, least, side="right"))
                before = (int(rows[i - 1]), int(wrong[i - 1])) if i else (below, errors)
                found[place] = Answered(float(piece.scores[i]), n - before[0], total - before[1])
        below, errors = int(rows[-1]), int(wrong[-1])
    return [found[place] for place in range(len(shares))] if n else []


def bounded(points: Sequence[Answered], *, risk: float, confidence: float) -> Answered | None:
    """The largest of `points` (in rising order of rows) that a search by halves shows to have an error rate of at most `risk`, with probability `confidence`.

    Clopper and Pearson's upper bound, with 1 − confidence split over the steps of the search; the points must be fixed by shares and not by
    their errors. None where no step showed it. Geifman and El-Yaniv 2017 (SGR).
    """
    from scipy.special import betaincinv

    check_share("risk", risk)
    check_share("confidence", confidence)
    steps = max(1, math.ceil(math.log2(len(points) + 1)))
    low, high, best = 0, len(points) - 1, None
    while low <= high:
        middle = (low + high) // 2
        point = points[middle]
        bound = (
            1.0
            if point.errors == point.rows
            else float(betaincinv(point.errors + 1, point.rows - point.errors, 1 - (1 - confidence) / steps))
        )
        if bound <= risk:
            best, low = point, middle + 1
        else:
            high = middle - 1
    return best
