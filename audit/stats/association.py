"""How strongly two columns of categories go together, and what one of them tells of a yes/no outcome."""

from __future__ import annotations

import math

import numpy as np
from numpy.random import Generator
from numpy.typing import ArrayLike

from audit.measurement import Estimate
from audit.stats._inputs import Floats, Ints, check_share, estimate
from audit.stats.cells import check_counts


def cramers_v(counts: ArrayLike, *, level: float) -> Estimate | None:
    """Cramér's V of a table of counts (r, c), in [0, 1], without what chance adds; 0 means that no association is seen, 1 that one column gives the other.

    Ṽ = √(max(0, φ² − (r−1)(c−1)/(n−1)) / min(r̃−1, c̃−1)) with r̃ = r − (r−1)²/(n−1): Bergsma 2013. Interval by inversion of the noncentral
    χ² distribution of the statistic (Steiger 2004); a statistic below its median under independence counts as that median for the upper
    limit, so that rows that fit independence all too well are no proof of it. None for fewer than 2 rows or columns that have counts, or fewer than 2 rows of data.
    """
    from scipy.special import chdtri, chndtr

    check_share("level", level)
    table = check_counts(counts, 2)
    table = table[table.sum(axis=1) > 0][:, table.sum(axis=0) > 0].astype(np.float64)
    n = float(table.sum())
    r, c = table.shape
    if r < 2 or c < 2 or n < 2:
        return None
    expected = np.outer(table.sum(axis=1), table.sum(axis=0)) / n
    chi2, freedom = float(((table - expected) ** 2 / expected).sum()), (r - 1) * (c - 1)
    least = min(r - (r - 1) ** 2 / (n - 1), c - (c - 1) ** 2 / (n - 1)) - 1
    if least <= 0:
        return None

    def noncentrality(statistic: float, tail: float) -> float:
        """The shift of χ² under which a statistic of at most this size has the chance `tail`; 0 where none has. By bisection: it falls."""
        if chndtr(statistic, freedom, 0.0) <= tail:
            return 0.0
        low, high = 0.0, statistic + 10 * math.sqrt(2 * (freedom + 2 * statistic)) + 100
        for _ in range(100):
            middle = (low + high) / 2
            low, high = (middle, high) if chndtr(statistic, freedom, middle) > tail else (low, middle)
        return low

    def v(shift: float) -> float:
        return min(1.0, math.sqrt(max(0.0, shift) / (n * least)))

    low = v(noncentrality(chi2, (1 + level) / 2))
    high = v(noncentrality(max(chi2, float(chdtri(freedom, 0.5))), (1 - level) / 2))
    value = min(1.0, math.sqrt(max(0.0, chi2 / n - freedom / (n - 1)) / least))
    return estimate(value, low, high, level=level, method="noncentral_chi_square", n=int(n))


def binned(values: ArrayLike, *, bins: int) -> Ints:
    """Numbers (n,) as codes: values as they are where there are at most `bins`, else between quantiles; what is not finite has a code of its own.

    A value that many rows share, such as 0, is a bin by itself: it is no neighbour of those above it.
    """
    x = np.asarray(values, dtype=np.float64)
    known = np.isfinite(x)
    distinct = np.unique(x[known])
    edges = distinct[1:]
    if distinct.size > bins:
        quantiles, times = np.unique(np.quantile(x[known], np.arange(1, bins) / bins, method="inverted_cdf"), return_counts=True)
        edges = np.union1d(quantiles, np.nextafter(quantiles[times > 1], np.inf))
    codes = np.searchsorted(edges, x, side="right").astype(np.int64)
    codes[~known] = edges.size + 1
    return codes


def pooled(codes: ArrayLike, *, most: int) -> Ints:
    """Codes (n,) of categories with all but the `most` commonest made one; -1, for missing, stays a category of its own."""
    given = np.asarray(codes, dtype=np.int64) + 1
    sizes = np.bincount(given)
    keep = np.argsort(-sizes, kind="stable")[:most]
    table = np.full(sizes.size, most, dtype=np.int64)
    table[keep] = np.arange(keep.size)
    return table[given]


def balanced_folds(y: ArrayLike, k: int, rng: Generator) -> Ints:
    """A fold in [0, k) for each row (n,), drawn so that the folds share the rows of each value of y evenly."""
    outcome = np.asarray(y)
    folds = np.empty(outcome.size, dtype=np.int64)
    start = 0
    for value in np.unique(outcome):
        rows = np.flatnonzero(outcome == value)
        folds[rows] = (rng.permutation(rows.size) + start) % k
        start += rows.size
    return folds


def rates_out_of_fold(codes: ArrayLike, y: ArrayLike, folds: ArrayLike) -> Floats:
    """For each row (n,) the mean of y among the rows of its code in the other folds, drawn towards their common mean by one row's weight.

    y may be 0/1 or any number. No row's own outcome is in its score.
    """
    code, value, place = np.asarray(codes, dtype=np.int64), np.asarray(y, dtype=np.float64), np.asarray(folds)
    size = int(code.max()) + 1 if code.size else 0
    out = np.zeros(code.size)
    for fold in np.unique(place):
        inside = place == fold
        other = ~inside
        mean = float(value[other].mean()) if other.any() else 0.0
        n = np.bincount(code[other], minlength=size)
        total = np.bincount(code[other], weights=value[other], minlength=size)
        out[inside] = ((total + mean) / (n + 1))[code[inside]]
    return out
