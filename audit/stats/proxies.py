"""Selection rates of a group whose members are known only by a probability: the weighted estimate, and the bounds of what is possible."""

from __future__ import annotations

import math

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from audit.measurement import Estimate
from audit.stats._inputs import Floats, estimate, normal_quantile


def weighted_difference(p: Floats, chosen: NDArray[np.bool_], *, level: float) -> Estimate | None:
    """Σ p ŷ / Σ p − Σ (1 − p) ŷ / Σ (1 − p), each row in both groups by its probability (n,); linearised normal interval.

    Biased by −E[Cov(outcome, membership | p)] / P(group) in each rate. 0 where p tells nothing of the decision. Chen et al. 2019.
    """
    inside, outside = float(p.sum()), float((1 - p).sum())
    if inside <= 0 or outside <= 0 or len(p) < 2:
        return None
    y = chosen.astype(np.float64)
    rate, other = float(np.dot(p, y)) / inside, float(np.dot(1 - p, y)) / outside
    moves = p * (y - rate) / inside - (1 - p) * (y - other) / outside
    half = normal_quantile(level) * math.sqrt(float(np.dot(moves, moves)) * len(p) / (len(p) - 1))
    value = rate - other
    return estimate(value, max(-1.0, value - half), min(1.0, value + half), level=level, method="linearised", n=len(p))


def possible(cells: NDArray[np.int64], mean: Floats) -> tuple[Floats, Floats]:
    """Least and largest difference of selection rates, (R,) each, from rows by bin and decision (R, bins, 2) and the mean probability of each bin.

    Within a bin the share of rows that are both of the group and selected lies between max(0, p + m − 1) and min(p, m), m being the bin's
    selection rate; both ends occur. Fréchet 1951.
    """
    rows, selected = cells.sum(axis=2).astype(np.float64), cells[..., 1].astype(np.float64)
    inside = (rows * mean).sum(axis=1)
    outside = rows.sum(axis=1) - inside
    total, ends = selected.sum(axis=1), []
    for both in (np.maximum(0.0, rows * mean + selected - rows), np.minimum(rows * mean, selected)):
        held = both.sum(axis=1)
        with np.errstate(divide="ignore", invalid="ignore"):
            ends.append(held / inside - (total - held) / outside)
    return ends[0], ends[1]


def bounds(p: Floats, chosen: NDArray[np.bool_], *, bins: int, level: float, draws: int, rng: Generator) -> Estimate | None:
    """The middle of the possible differences, with an interval from the lower quantile of the least to the upper one of the largest.

    Probabilities (n,) are sorted into `bins` of equal width; coarser bins give wider bounds, never wrong ones. Rows are drawn again by the
    multinomial bootstrap over bin and decision. None where the probabilities put everybody in one group.
    """
    place = np.minimum((p * bins).astype(np.int64), bins - 1)
    cells = np.bincount(place * 2 + chosen, minlength=2 * bins)
    rows = cells.reshape(bins, 2).sum(axis=1)
    mean = np.bincount(place, weights=p, minlength=bins) / np.maximum(rows, 1)
    low, high = possible(cells.reshape(1, bins, 2), mean)
    if not np.isfinite([low[0], high[0]]).all():
        return None
    lows, highs = possible(rng.multinomial(len(p), cells / len(p), size=draws).reshape(draws, bins, 2), mean)
    tail = (1 - level) / 2
    ends = float(np.nanquantile(lows, tail)), float(np.nanquantile(highs, 1 - tail))
    return estimate(float(low[0] + high[0]) / 2, *ends, level=level, method="possible_range", n=len(p))
