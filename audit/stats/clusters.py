"""Rates, their comparisons and means where rows belong together in clusters: whole clusters are drawn, not rows.

Rows of one patient, school or hospital resemble each other, so that n of them tell less than n independent rows. Every statistic here is a
function of sums of cells per cluster. Beyond `UNITS` clusters, whole clusters are put together at random into that many sets, which are then
independent of each other as the clusters are: the cost of a draw no longer grows, and the variance keeps thousands of degrees of freedom.

Where rows carry survey weights too, the cells of a cluster are sums of weights, and whole clusters are drawn with what they weigh (Rao and Wu 1988).
Their effective rows are independent ones of equal weight: one design effect holds what weights and clusters cost together (Kish 1965).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.random import Generator
from numpy.typing import ArrayLike, NDArray

from audit.measurement import Clusters, Estimate
from audit.stats._inputs import Floats, check_share, estimate, normal_quantile
from audit.stats.compare import equality_test, miettinen_nurminen, newcombe, odds_ratio
from audit.stats.rates import wilson, wilson_limits
from audit.stats.scores import pooled_z

UNITS = 4096

#: Fewer clusters than this with an event, or without one, and the draws show too little of the spread: see `Side.sparse`.
SPARSE = 10
UNDEFINED = 0.05  # of the draws, at most
METHOD = "cluster_bootstrap"


def units(clusters: int, rng: Generator) -> NDArray[np.int32]:
    """Cluster → the set that it is drawn with, (clusters,): its own up to `UNITS` clusters, else one of `UNITS` sets of nearly one size."""
    if clusters <= UNITS:
        return np.arange(clusters, dtype=np.int32)
    return np.asarray(rng.permutation(clusters) % UNITS, dtype=np.int32)


def on_grid(sums: ArrayLike, terms: int | None = None) -> Floats:
    """Sums (U, C) rounded to multiples of a power of two, so that adding any U (or `terms`) of them is exact and the order of adding cannot matter.

    Whole numbers stay as they are up to 2^52 / U; what is lost of others is below 2^−52 of the largest possible sum.
    """
    table = np.asarray(sums, dtype=np.float64)
    largest = np.abs(table).max(axis=0, initial=0.0) * max(1, len(table) if terms is None else terms)
    _, exponent = np.frexp(largest)
    step = np.ldexp(1.0, np.minimum(exponent - 52, 0).astype(np.int64))
    return np.asarray(np.rint(table / step) * step)


class Draws:
    """How often each of `size` clusters (or sets of clusters) is taken in each of the replicates: `size` draws with replacement."""

    def __init__(self, size: int, rng: Generator, replicates: int = 2000) -> None:
        self.size = size
        step, parts = max(1, 4_000_000 // max(1, size)), []
        for start in range(0, replicates, step):
            rows = min(step, replicates - start)
            drawn = rng.integers(size, size=(rows, size))  # and counted: an eighth of what drawing the counts themselves takes
            drawn += size * np.arange(rows)[:, None]
            parts.append(np.bincount(drawn.ravel(), minlength=rows * size).reshape(rows, size).astype(np.uint16))
        self.weights = np.concatenate(parts)

    def of(self, sums: ArrayLike, held: NDArray[np.int64] | None = None) -> Floats:
        """Sums (U, C) in each replicate, (R, C); the same digits whatever the number of threads. `held` (m,) are the clusters of which sums (m, C)
        are given, where the others have none."""
        table = on_grid(sums, self.size)
        if len(table) != (self.size if held is None else len(held)):
            raise ValueError(f"expected sums of {self.size if held is None else len(held)} clusters, got {len(table)}")
        weights = self.weights if held is None else self.weights[:, held]
        return np.concatenate([weights[i : i + 250].astype(np.float64) @ table for i in range(0, len(weights), 250)])


def interval(value: float, draws: Floats, *, clusters: int, level: float, n: int) -> Estimate | None:
    """Percentile interval of a statistic from its values in the replicates (R,), NaN where undefined.

    The percentiles are those of Hesterberg's expanded interval (2015): level (1 − level)/2 becomes Φ(−√(G/(G−1)) t), t being Student's
    quantile with G − 1 degrees of freedom for G clusters, because few clusters give percentile intervals that are too narrow. It does not
    depend on the scale (a ratio's is that of its logarithm). None where the value or more than 5 % of the draws are undefined, or G < 2.
    Field and Welsh 2007.
    """
    from scipy.special import ndtr, stdtrit

    check_share("level", level)
    defined = draws[np.isfinite(draws)]
    if clusters < 2 or defined.size < (1 - UNDEFINED) * draws.size or not math.isfinite(value):
        return None
    tail = float(ndtr(-math.sqrt(clusters / (clusters - 1)) * float(stdtrit(clusters - 1, (1 + level) / 2))))
    low, high = np.quantile(defined, [tail, 1 - tail])
    return estimate(value, float(low), float(high), level=level, method=METHOD, n=n)


class Side(NamedTuple):
    """A rate's k and n per cluster, (U,) each, and in each replicate, (R,) each: counts, or sums of weights; `hits` of `rows` are the counts, (U,) each."""

    k: Floats
    n: Floats
    drawn_k: Floats
    drawn_n: Floats
    hits: Floats
    rows: Floats

    def complement(self) -> Side:
        """The rows that do not count."""
        return Side(self.n - self.k, self.n, self.drawn_n - self.drawn_k, self.drawn_n, self.rows - self.hits, self.rows)

    @property
    def counts(self) -> tuple[int, int]:
        """k of n rows."""
        return int(self.hits.sum()), int(self.rows.sum())

    @property
    def mass(self) -> tuple[float, float]:
        """What weighs in a common rate: the counts, or their weights."""
        return _whole(float(self.k.sum())), _whole(float(self.n.sum()))

    @property
    def value(self) -> float:
        """The rate, in [0, 1]; exactly 0 or 1 where no row or every row counts."""
        (hits, rows), (k, n) = self.counts, self.mass
        return 0.0 if hits == 0 else 1.0 if hits == rows else k / n

    @property
    def clusters(self) -> int:
        """Clusters that have a row here (sets of clusters where there are more than `UNITS`)."""
        return int(np.count_nonzero(self.rows))

    @property
    def sparse(self) -> bool:
        """Whether fewer than `SPARSE` clusters have an event, or fewer have a row without one."""
        return bool(min(np.count_nonzero(self.hits), np.count_nonzero(self.rows - self.hits)) < SPARSE)

    @property
    def least(self) -> float:
        """The least that the rows can be worth: one for each cluster, less what unequal weights take from that; see `at_least`."""
        return at_least(self.n, self.rows)

    def as_rows(self) -> tuple[int, int]:
        """k of n independent rows (of equal weight) that these are worth; where events are sparse `least`."""
        if not self.clusters:
            return 0, 0
        k, n = self.mass
        effect = None if self.sparse else design_effect(self)
        worth_ = max(1, round(self.least if effect is None else self.counts[1] / effect))
        return round(k * worth_ / n), worth_

    def scaled(self) -> tuple[float, float]:
        """(k, n) as a score test takes them: the rate, of as many rows as there are."""
        (k, n), rows = self.mass, self.counts[1]
        return k * rows / n, rows


def _whole(total: float) -> float:
    """A total that is a whole number as one: products of these are exact."""
    return int(total) if total.is_integer() else total


def at_least(weights: ArrayLike, rows: ArrayLike) -> float:
    """Independent rows of equal weight that clusters of these weights and rows, (U,) each, are worth if all rows of a cluster are alike: one for each cluster.

    Where clusters weigh less equally than their rows would have it, times the ratio of Kish's figures (Σw)² / Σw² of weights and of rows (Kish 1965).
    """
    clusters = int(np.count_nonzero(rows))
    if not clusters:
        return 0.0
    of_weights, of_rows = (float(np.sum(a)) ** 2 / float(np.dot(a, a)) for a in (weights, rows))
    return clusters * min(1.0, of_weights / of_rows)


def side(draws: Draws, k: ArrayLike, n: ArrayLike, hits: ArrayLike | None = None, rows: ArrayLike | None = None) -> Side:
    """A rate from its counts per cluster, (U,) each; where rows carry weights from the sums of these, with the counts beside them."""
    table = np.stack([np.asarray(k, dtype=np.float64), np.asarray(n, dtype=np.float64)], axis=1)
    drawn = draws.of(table)
    counts = (np.asarray(a, dtype=np.float64) for a in (k if hits is None else hits, n if rows is None else rows))
    return Side(table[:, 0], table[:, 1], drawn[:, 0], drawn[:, 1], *counts)


def _linear(group: Side) -> Floats:
    """What each cluster adds to the error of the rate, (U,)."""
    k, n = group.mass
    return (group.k - k / n * group.n) / n


def variance_of(moves: Floats) -> float:
    """Variance of a sum of independent moves, (U,), from their spread."""
    return len(moves) / max(1, len(moves) - 1) * float(np.sum((moves - moves.mean()) ** 2))


def students(variance: float, clusters: int, *, level: float) -> float:
    """The variance with which a normal interval is Student's with one degree of freedom less than the clusters; 0, for unknown, with fewer than two."""
    from scipy.special import stdtrit

    return variance * (float(stdtrit(clusters - 1, (1 + level) / 2)) / normal_quantile(level)) ** 2 if clusters > 1 else 0.0


def _spread(group: Side) -> float:
    """Variance of the rate if rows were independent and of equal weight."""
    (k, n), (hits, rows) = group.mass, group.counts
    return k * (n - k) / (n * n * rows) if 0 < hits < rows else 0.0


def design_effect(group: Side, reference: Side | None = None) -> float | None:
    """Variance of a rate, or of a difference of rates, over clusters, divided by that over independent rows of equal weight; 1 means that nothing is lost.

    None where rows or clusters show no spread. Kish 1965; for a comparison of rates Rao and Scott 1992.
    """
    sides = [group] if reference is None else [group, reference]
    if any(s.counts[1] == 0 for s in sides):
        return None
    naive = sum(_spread(s) for s in sides)
    moves = _linear(group) if reference is None else _linear(group) - _linear(reference)
    robust = variance_of(moves)
    return robust / naive if naive > 0 and robust > 0 else None


def worth(group: Side, reference: Side | None = None) -> Clusters:
    """What the rows behind a rate or a comparison are worth: see `Side.as_rows` where events are sparse."""
    sides = [group] if reference is None else [group, reference]
    effect = design_effect(group, reference)
    if effect is None or any(s.sparse for s in sides):
        rows, effective = [s.counts[1] for s in sides], [s.as_rows()[1] for s in sides]
        # of a comparison: that of the side which has the larger part in its error
        n, least = min(zip(rows, effective, strict=True), key=lambda pair: pair[1])
        return Clusters(fewest=min(s.clusters for s in sides), design_effect=n / max(1, least), effective=effective)
    effective = [max(1, round(s.counts[1] / effect)) for s in sides]
    return Clusters(fewest=min(s.clusters for s in sides), design_effect=effect, effective=effective)


def rate(group: Side, *, level: float) -> Estimate | None:
    """k / n by the cluster bootstrap; where events are sparse, Wilson's interval with the rows that these are worth. None without rows."""
    n = group.counts[1]
    if n == 0:
        return None
    if group.sparse:
        return _as_rows(group.value, wilson(*group.as_rows(), level=level), "wilson", n)
    return _interval(group.value, lambda: group.drawn_k / group.drawn_n, [group], level=level)


def difference(group: Side, reference: Side, *, level: float) -> Estimate | None:
    """k1/n1 − k0/n0 by the cluster bootstrap; sparse: Newcombe's interval with the rows that these are worth. None where a side has no rows."""
    n1, n0 = group.counts[1], reference.counts[1]
    if n1 == 0 or n0 == 0:
        return None
    value = group.value - reference.value
    if group.sparse or reference.sparse:
        return _as_rows(value, newcombe(*group.as_rows(), *reference.as_rows(), level=level), "newcombe", n1 + n0)
    return _interval(value, lambda: group.drawn_k / group.drawn_n - reference.drawn_k / reference.drawn_n, [group, reference], level=level)


def ratio(group: Side, reference: Side, *, level: float) -> Estimate | None:
    """(k1/n1) / (k0/n0) by the cluster bootstrap; sparse: Miettinen and Nurminen's with the rows that these are worth. None where k0 is 0."""
    rows = group.counts[1], reference.counts[1]
    if rows[0] == 0 or reference.counts[0] == 0:
        return None
    (k1, n1), (k0, n0) = group.mass, reference.mass
    value = k1 * n0 / (n1 * k0)
    if group.sparse or reference.sparse:
        one, other = group.as_rows(), reference.as_rows()
        return _as_rows(value, miettinen_nurminen(*one, max(1, other[0]), other[1], level=level), "miettinen_nurminen", sum(rows))
    return _interval(
        value, lambda: group.drawn_k * reference.drawn_n / (group.drawn_n * reference.drawn_k), [group, reference], level=level
    )


def odds(group: Side, reference: Side, *, level: float) -> Estimate | None:
    """Odds ratio by the cluster bootstrap; sparse: the score interval with the rows that these are worth. None where it is not finite."""
    (hits, rows), (others, n) = group.counts, reference.counts
    if rows == 0 or others == 0 or hits == rows:
        return None
    (k1, n1), (k0, n0) = group.mass, reference.mass
    value = k1 * (n0 - k0) / ((n1 - k1) * k0) if others < n else 0.0
    if group.sparse or reference.sparse:
        one, other = group.as_rows(), reference.as_rows()
        found = odds_ratio(min(one[0], one[1] - 1), one[1], max(1, other[0]), other[1], level=level) if one[1] > 1 else None
        return _as_rows(value, found, "miettinen_nurminen_odds", rows + n)

    def drawn() -> Floats:
        top = group.drawn_k * (reference.drawn_n - reference.drawn_k)
        return np.asarray(top / ((group.drawn_n - group.drawn_k) * reference.drawn_k))

    return _interval(value, drawn, [group, reference], level=level)


def _interval(value: float, drawn: Callable[[], Floats], sides: list[Side], *, level: float) -> Estimate | None:
    with np.errstate(divide="ignore", invalid="ignore"):
        values = drawn()
    return interval(value, values, clusters=min(s.clusters for s in sides), level=level, n=sum(s.counts[1] for s in sides))


def _as_rows(value: float, rows: Estimate | None, method: str, n: int) -> Estimate | None:
    """The interval of as many rows as there are clusters, around the value of all rows."""
    return None if rows is None else estimate(value, rows.low, rows.high, level=rows.level, method=f"{method}_clusters", n=n)


def equality(group: Side, reference: Side) -> tuple[float, str] | None:
    """(p, method) of equal rates: the pooled score test divided by the design effect, against Student's t with one less than the clusters of
    the side that has fewer (Rao and Scott 1992); where events are sparse, the test of as many rows as there are clusters. None without rows.
    """
    from scipy.special import stdtr

    if group.counts[1] == 0 or reference.counts[1] == 0:
        return None
    effect = design_effect(group, reference)
    if effect is None or group.sparse or reference.sparse:
        tested = equality_test(*group.as_rows(), *reference.as_rows())
        return None if tested is None else (tested[0], f"{tested[1]}_clusters")
    freedom = min(group.clusters, reference.clusters) - 1
    if freedom < 1:
        return None
    z = float(pooled_z(*group.scaled(), *reference.scaled()))
    return float(2 * stdtr(freedom, -abs(z) / math.sqrt(effect))), "rao_scott"


def gap(draws: Draws, predicted: ArrayLike, events: ArrayLike, n: ArrayLike, naive: Estimate) -> tuple[Estimate, Clusters] | None:
    """Mean prediction minus observed rate, from their sums per cluster (U,), by the cluster bootstrap; None for fewer than 2 clusters.

    `naive` is the estimate as if rows were independent: it gives the level, and what the design effect is measured against. Where the outcome
    never varies the draws do not show how rare the other one is: mean prediction minus Wilson's interval of the rate, one row for each cluster.
    """
    sums = np.stack([np.asarray(a, dtype=np.float64) for a in (predicted, events, n)], axis=1)
    rows, clusters, level = float(sums[:, 2].sum()), int(np.count_nonzero(sums[:, 2])), naive.level
    if clusters < 2:
        return None
    mean, rate_ = float(sums[:, 0].sum()) / rows, float(sums[:, 1].sum()) / rows
    if rate_ in (0.0, 1.0):
        low, high = (float(end) for end in wilson_limits(round(rate_ * clusters), clusters, level=level))
        found = estimate(mean - rate_, mean - high, mean - low, level=level, method="wilson_clusters", n=int(rows))
        return (found, Clusters(fewest=clusters, design_effect=rows / clusters, effective=[clusters])) if found else None
    drawn = draws.of(sums)
    with np.errstate(divide="ignore", invalid="ignore"):
        values = (drawn[:, 0] - drawn[:, 1]) / drawn[:, 2]
    return with_worth(mean - rate_, values, clusters, naive)


def with_worth(value: float, drawn: Floats, clusters: int, naive: Estimate) -> tuple[Estimate, Clusters] | None:
    """`interval` of a statistic of everybody, and what its rows are worth against `naive`, the estimate as if they were independent."""
    found = interval(value, drawn, clusters=clusters, level=naive.level, n=naive.n)
    error = (naive.high - naive.low) / (2 * normal_quantile(naive.level))
    if found is None or error <= 0:
        return None
    effect = float(np.var(drawn[np.isfinite(drawn)])) / error**2
    return found, Clusters(fewest=clusters, design_effect=effect, effective=[max(1, round(naive.n / effect)) if effect > 0 else clusters])


def alike(total: ArrayLike, squares: ArrayLike, rows: ArrayLike) -> Floats:
    """What `pairwise` and `of_mean` need of each cluster, (K, 7), from the sum of a value over its rows, that of its squares, and its rows."""
    s, q, m = (np.asarray(a, dtype=np.float64) for a in (total, squares, rows))
    return np.stack([s, q, m, s**2, s * m, q * m, m**2], axis=1)


def pairwise(sums: Floats) -> Floats:
    """Intra-cluster correlation from sums over clusters of `alike`, (…, 7) → (…): that of two rows of one cluster, over all such pairs.

    1 means that rows of one cluster are equal, 0 that they are no more alike than any others, below 0 that they differ more. NaN where no cluster
    has two rows or the value never varies. The analysis of variance would assume that the value has nothing to do with how large a cluster is,
    and patients who come often do differ. Fisher 1925; Karlin, Cameron and Williams 1981.
    """
    s, q, m, s2, sm, qm, m2 = np.moveaxis(np.asarray(sums, dtype=np.float64), -1, 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        pairs, middle = m2 - m, (sm - s) / (m2 - m)  # each row stands in as many pairs as its cluster has other rows
        together = s2 - q - middle**2 * pairs
        alone = qm - q - middle**2 * pairs
        return np.asarray(np.where((pairs > 0) & (alone > 0), together / alone, np.nan))


def of_mean(sums: Floats) -> Floats:
    """Design effect of a mean from sums of `alike`, (…, 7) → (…): its variance over clusters against that over independent rows. Kish 1965.

    1 + (m − 1) · `pairwise` where all clusters have m rows. NaN where the value never varies.
    """
    s, q, m, s2, sm, _, m2 = np.moveaxis(np.asarray(sums, dtype=np.float64), -1, 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = s / m
        return np.asarray((s2 - 2 * mean * sm + mean**2 * m2) / (q - mean * s))
