"""Whether two sets of rows come from one distribution: column by column, all columns together, and what a difference costs."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator
from numpy.typing import ArrayLike, NDArray

from audit.measurement import Estimate
from audit.stats._inputs import Floats, Ints, check_share
from audit.stats.losses import from_influence, widened

#: Pairs of rows up to which the distribution of Kolmogorov's distance is worked out exactly.
EXACT = 10_000


def psi(expected: ArrayLike, actual: ArrayLike) -> float:
    """Population stability index Σ (a − e) ln(a/e) of two sets of counts over the same bins (k,); 0 where the shares are equal.

    The industry calls .1 noticeable and .25 large, which is a convention. A bin that one set leaves empty gets half a row in both, as the
    index would be infinite. ValueError where a set has no rows.
    """
    e, a = np.asarray(expected, dtype=np.float64), np.asarray(actual, dtype=np.float64)
    if e.shape != a.shape or e.ndim != 1 or min(e.min(initial=0), a.min(initial=0)) < 0 or not (e.sum() > 0 and a.sum() > 0):
        raise ValueError(f"expected two sets of counts of one shape (k,), each with rows, got {e} and {a}")
    used = e + a > 0
    e, a = e[used], a[used]
    if (e == 0).any() or (a == 0).any():
        e, a = e + 0.5, a + 0.5
    e, a = e / e.sum(), a / a.sum()
    return float(np.sum((a - e) * np.log(a / e)))


def kolmogorov(one: ArrayLike, two: ArrayLike) -> tuple[float, float]:
    """(D, p): the largest difference between the shares at or below a value, in [0, 1], and p of equal distributions (too large where values tie).

    A value may be −inf, which stands for missing. Kolmogorov 1933, Smirnov 1948; p is exact for few rows. ValueError where a set is empty.
    """
    from scipy.stats import ks_2samp

    x, y = np.asarray(one, dtype=np.float64), np.asarray(two, dtype=np.float64)
    if not (x.size and y.size) or np.isnan(x).any() or np.isnan(y).any():
        raise ValueError(f"expected two sets of numbers, got {x.size} and {y.size} values")
    found = ks_2samp(x, y, method="exact" if x.size * y.size <= EXACT else "asymp")
    return float(found.statistic), min(1.0, float(found.pvalue))


def homogeneous(counts: ArrayLike) -> tuple[float, float]:
    """(total variation, p) of two rows of counts (2, k): half the sum of the differences between the shares, and Pearson's χ² test of equal shares.

    Columns that expect fewer than 5 rows are made one. 0 and p = 1 where one column is left.
    """
    from scipy.stats import chi2

    table = np.asarray(counts, dtype=np.float64)
    table = table[:, table.sum(axis=0) > 0]
    sizes = table.sum(axis=1)
    distance = float(np.abs(table[0] / sizes[0] - table[1] / sizes[1]).sum() / 2)
    least = sizes.min() / sizes.sum()
    rare = table.sum(axis=0) * least < 5
    pooled = np.concatenate([table[:, ~rare], table[:, rare].sum(axis=1, keepdims=True)], axis=1) if rare.any() else table
    if (
        rare.any() and pooled.shape[1] > 1 and pooled[:, -1].sum() * least < 5
    ):  # together still too few: they go with the smallest of the others
        smallest = int(np.argmin(pooled[:, :-1].sum(axis=0)))
        pooled[:, smallest] += pooled[:, -1]
        pooled = pooled[:, :-1]
    if pooled.shape[1] < 2:
        return distance, 1.0
    expected = np.outer(pooled.sum(axis=1), pooled.sum(axis=0)) / pooled.sum()
    return distance, float(chi2.sf(((pooled - expected) ** 2 / expected).sum(), pooled.shape[1] - 1))


def _kernel(x: Floats, width: float) -> Floats:
    squares = np.sum(x**2, axis=1)
    return np.asarray(np.exp(-np.maximum(squares[:, None] + squares[None, :] - 2 * x @ x.T, 0.0) / (2 * width**2)))


def median_distance(x: Floats) -> float:
    """The median Euclidean distance between two different rows of (n, d): the usual width of a kernel (Gretton et al. 2012); 1 where it is 0."""
    squares = np.sum(x**2, axis=1)
    distances = np.maximum(squares[:, None] + squares[None, :] - 2 * x @ x.T, 0.0)[np.triu_indices(len(x), 1)]
    return float(np.sqrt(np.median(distances))) or 1.0 if distances.size else 1.0


def mmd2(one: Floats, two: Floats, *, width: float) -> float:
    """Squared maximum mean discrepancy of rows (m, d) and (n, d) under exp(−‖x − y‖²/2 width²), unbiased: around 0 for one distribution, at most 1.

    Gretton et al. 2012, lemma 6. ValueError for fewer than 2 rows a side.
    """
    m, n = len(one), len(two)
    if min(m, n) < 2:
        raise ValueError(f"expected at least 2 rows a side, got {m} and {n}")
    return float(_discrepancies(_kernel(np.concatenate([one, two]), width), np.arange(m + n)[None, :] < m)[0])


def _discrepancies(kernel: Floats, first: NDArray[np.bool_]) -> Floats:
    """The unbiased statistic for each way (k, m + n) to say which rows are the first set; the diagonal of the kernel is 1."""
    a = first.astype(np.float64)
    m, n = a.sum(axis=1), (1 - a).sum(axis=1)
    towards = a @ kernel
    own, cross = np.sum(towards * a, axis=1), np.sum(towards * (1 - a), axis=1)
    other = kernel.sum() - own - 2 * cross
    return np.asarray((own - m) / (m * (m - 1)) + (other - n) / (n * (n - 1)) - 2 * cross / (m * n))


def mmd_test(one: Floats, two: Floats, *, draws: int, rng: Generator) -> tuple[float, float]:
    """(MMD², p) with the median width and `draws` permutations of which rows are whose: p = (1 + draws at least as large) / (1 + draws)."""
    m, n = len(one), len(two)
    x = np.concatenate([one, two])
    kernel = _kernel(x, median_distance(x))
    own = np.arange(m + n) < m
    value = float(_discrepancies(kernel, own[None, :])[0])
    shuffled = _discrepancies(kernel, rng.permuted(np.tile(own, (draws, 1)), axis=1))
    return value, (1 + int(np.count_nonzero(shuffled >= value - 1e-12))) / (1 + draws)


def effective_rows(weights: Floats) -> float:
    """(Σw)² / Σw²: how many equally weighted rows these weights (n,) are worth. Kish 1965."""
    return float(weights.sum() ** 2 / np.sum(weights**2))


def excess_loss(losses: Floats, weights: Floats, *, others: int, level: float) -> Estimate:
    """Mean of `losses` (n,) minus their mean weighted by `weights` (n,) >= 0: what these rows cost beyond rows composed as the `others` are.

    The weights are density ratios (Shimodaira 2000). Interval by the influence of each row on both means, the weights taken as known, widened by
    what `others` rows leave open of their own composition: at most the weighted variance of the losses over their number, so it covers rather too
    often. 0 means that the composition costs nothing. ValueError where no weight is positive.
    """
    check_share("level", level)
    total = float(weights.sum())
    if not total > 0:
        raise ValueError("expected a positive weight")
    mean, weighted = float(np.mean(losses)), float(np.sum(weights * losses) / total)
    influence = (losses - mean) - weights / (total / len(losses)) * (losses - weighted)
    spread = float(np.sum(weights * (losses - weighted) ** 2) / total)
    return widened(from_influence(mean - weighted, influence, level=level, method="influence"), (spread / others) ** 0.5)


def bins_of(values: Floats, edges: Floats) -> Ints:
    """The bin of each number (n,) between rising `edges`; what is not finite has the last bin, of its own."""
    codes = np.searchsorted(edges, values, side="right").astype(np.int64)
    codes[~np.isfinite(values)] = len(edges) + 1
    return codes


def quantile_edges(values: Floats, bins: int) -> Floats:
    """Edges of `bins` bins with about equally many of the finite values (n,) each; fewer where values tie; none where nothing is finite."""
    known = values[np.isfinite(values)]
    if not len(known):
        return np.zeros(0)
    return np.unique(np.quantile(known, np.arange(1, bins) / bins, method="inverted_cdf"))
