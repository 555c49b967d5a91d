"""Two models on the same rows: differences of rates, areas and means, with intervals that use what the models share.

Always new (1) minus old (0). Counts of a pair of yes/no columns: `both`, `new` only, `old` only, `neither`.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from audit.measurement import Estimate
from audit.stats._inputs import Floats, binary, check_share, estimate, finite, normal_quantile
from audit.stats._roots import find_roots
from audit.stats.rates import wilson_limits
from audit.stats.scores import over_root
from audit.stats.sums import Moments

EXACT_BELOW = 25  # rows that tell the models apart, below which McNemar's test is the exact one


class Limits(NamedTuple):
    """A value between its limits."""

    value: float
    low: float
    high: float


class Pair(NamedTuple):
    """Rows by whether they count under both models, under the new one only, under the old one only, under neither."""

    both: int
    new: int
    old: int
    neither: int

    @property
    def n(self) -> int:
        return sum(self)


def _checked(pair: Pair) -> Pair:
    if any(int(k) != k or k < 0 for k in pair):
        raise ValueError(f"expected integer counts >= 0, got {tuple(pair)}")
    return Pair(*map(int, pair))


def _score(new: int, old: int, n: int, delta: Floats) -> Floats:
    """Tango's statistic of p_new − p_old = δ, falling in δ; the rate of one kind of disagreement at its most likely under the restriction."""
    linear = (2 * n - new + old) * delta - new - old
    root = np.sqrt(np.maximum(linear**2 + 8 * n * old * delta * (1 - delta), 0.0))
    rate = (root - linear) / (4 * n)
    variance = n * (2 * rate + delta * (1 - delta))
    difference = new - old - n * delta
    return over_root(difference, variance)


def tango(pair: Pair, *, level: float) -> Estimate | None:
    """Rate under the new model minus rate under the old one, in [−1, 1], with the score interval; 0 means equal rates.

    Where no row tells the models apart the interval is ±z²/(n + z²), never 0: no difference in n rows is no proof of none. Tango 1998.
    None for no rows. ValueError unless counts are integers >= 0.
    """
    pair = _checked(pair)
    z = normal_quantile(level)
    if pair.n == 0:
        return None
    value = (pair.new - pair.old) / pair.n
    low = find_roots(lambda d: _score(pair.new, pair.old, pair.n, d) - z, np.array(-1.0), np.array(value))
    high = find_roots(lambda d: _score(pair.new, pair.old, pair.n, d) + z, np.array(value), np.array(1.0))
    return estimate(value, float(low), float(high), level=level, method="tango", n=pair.n)


def newcombe_paired(pair: Pair, *, level: float) -> Estimate | None:
    """As `tango`, by squares of Wilson's limits with the corrected correlation of the two columns. Newcombe 1998 (paired data), method 10.

    Too wide where the models hardly differ; a golden, and a second opinion.
    """
    pair = _checked(pair)
    check_share("level", level)
    both, new, old, neither = pair
    n = pair.n
    if n == 0:
        return None
    p1, p0 = (both + new) / n, (both + old) / n
    (l1, l0), (u1, u0) = wilson_limits([both + new, both + old], [n, n], level=level)
    product = both * neither - new * old
    margins = math.sqrt((both + new) * (old + neither) * (both + old) * (new + neither))
    phi = (max(product - n / 2, 0.0) if product > 0 else product) / margins if margins else 0.0
    below = (p1 - l1) ** 2 - 2 * phi * (p1 - l1) * (u0 - p0) + (u0 - p0) ** 2
    above = (u1 - p1) ** 2 - 2 * phi * (u1 - p1) * (p0 - l0) + (p0 - l0) ** 2
    d = p1 - p0
    return estimate(d, d - math.sqrt(max(below, 0.0)), d + math.sqrt(max(above, 0.0)), level=level, method="newcombe_paired", n=n)


def mcnemar(pair: Pair) -> tuple[float, str]:
    """(two-sided p, method) of equal rates under both models: exact binomial below 25 rows that tell them apart, else χ² without correction.

    p = 1 where no row tells them apart. McNemar 1947.
    """
    from statsmodels.stats.contingency_tables import mcnemar as test

    pair = _checked(pair)
    exact = pair.new + pair.old < EXACT_BELOW
    if pair.new == pair.old:
        return 1.0, "mcnemar_exact" if exact else "mcnemar"
    found = test([[pair.both, pair.new], [pair.old, pair.neither]], exact=exact, correction=False)
    return min(float(found.pvalue), 1.0), "mcnemar_exact" if exact else "mcnemar"


def limits_of(found: Estimate) -> Limits:
    return Limits(found.value, found.low, found.high)


def mover(group: Limits, reference: Limits) -> Limits:
    """Limits of θ1 − θ2 of two independent estimates from their own limits at one level (method of variance estimates recovery).

    Zou and Donner 2008; with Wilson's limits of two rates it is Newcombe's interval.
    """
    value = group.value - reference.value
    low = value - math.hypot(group.value - group.low, reference.high - reference.value)
    high = value + math.hypot(group.high - group.value, reference.value - reference.low)
    return Limits(value, low, high)


def growth(change: Limits, total: Limits) -> Limits:
    """Limits of |g1| − |g0|, by how much a gap grew, from those of g1 − g0 (`change`) and of g1 + g0 (`total`) at one level.

    |g1| − |g0| is the larger of min(g1 − g0, g1 + g0) and min(−g1 + g0, −g1 − g0), according to the side on which the gap now is, and the limits
    are put in their places. Where the truth is above the upper limit, g1 − g0 or g1 + g0 (or both their opposites) is above its own: if those miss
    with probability α/2 on a side, these miss with at most α.
    """
    now, before = (change.value + total.value) / 2, (total.value - change.value) / 2
    high = max(min(change.high, total.high), min(-change.low, -total.low))
    low = max(min(change.low, total.low), min(-change.high, -total.high))
    return Limits(abs(now) - abs(before), low, high)


def _placements(scores: Floats, one: NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """For each row with outcome 1 the share of the others that it beats, and for each row with outcome 0 the share that beats it; ties half."""
    ones, zeros = scores[one], scores[~one]
    ordered = np.sort(zeros)
    v10 = (np.searchsorted(ordered, ones, "left") + np.searchsorted(ordered, ones, "right")) / (2 * zeros.size)
    ordered = np.sort(ones)
    v01 = 1 - (np.searchsorted(ordered, zeros, "left") + np.searchsorted(ordered, zeros, "right")) / (2 * ones.size)
    return v10, v01


def auc_change(y: ArrayLike, new: ArrayLike, old: ArrayLike, *, level: float) -> tuple[float, float, Estimate] | None:
    """(new AUC, old AUC, their difference) of two scores (n,) of the same rows with outcomes y in {0, 1}; 0 means equal AUCs.

    Normal interval with the variance of the paired placements, so that what both scores get right or wrong together cancels: DeLong, DeLong
    and Clarke-Pearson 1988. Where both rank every row alike the interval is ±z²/(m + z²), m being the smaller class: as few as that could
    still be ranked otherwise among rows not seen. None where a class has fewer than 2 rows.
    """
    z = normal_quantile(level)
    first, second = finite("new", new).astype(np.float64, copy=False), finite("old", old).astype(np.float64, copy=False)
    one = binary("y", y, first.size)
    if first.shape != second.shape:
        raise ValueError(f"expected two scores of the same rows, got {first.shape} and {second.shape}")
    m, n = int(one.sum()), int((~one).sum())
    if min(m, n) < 2:
        return None
    (a10, a01), (b10, b01) = _placements(first, one), _placements(second, one)
    now, before = float(a10.mean()), float(b10.mean())
    variance = float((a10 - b10).var(ddof=1)) / m + float((a01 - b01).var(ddof=1)) / n
    alike = variance <= 1e-18
    half = z**2 / (min(m, n) + z**2) if alike else z * math.sqrt(variance)
    value, method = now - before, "ranked_alike" if alike else "delong_paired"
    found = estimate(value, max(value - half, -1.0), min(value + half, 1.0), level=level, method=method, n=m + n)
    return None if found is None else (now, before, found)


def mean_change(moments: Moments, *, level: float) -> Estimate:
    """The mean of per-row differences with Student's interval; 0 means equal means. Student 1908.

    Where every row has the same difference, as with two models that answer alike, nothing is known of its spread: low = high = value.
    """
    from scipy.special import stdtrit

    check_share("level", level)
    if moments.n < 2 or moments.variance == 0:
        return Estimate(value=moments.mean, low=moments.mean, high=moments.mean, level=level, method="identical", n=moments.n)
    half = math.sqrt(moments.variance / moments.n) * float(stdtrit(moments.n - 1, (1 + level) / 2))
    return Estimate(
        value=moments.mean, low=moments.mean - half, high=moments.mean + half, level=level, method="student_paired", n=moments.n
    )


def at_level(found: Estimate, level: float) -> Estimate:
    """The same estimate at another level: half-widths scaled by the normal quantiles, as a bound read off a printed interval must be."""
    scale = normal_quantile(level) / normal_quantile(found.level)
    low, high = found.value - scale * (found.value - found.low), found.value + scale * (found.high - found.value)
    return found.model_copy(update={"low": low, "high": high, "level": level})


def interval_p(found: Estimate) -> float:
    """Two-sided p of "the truth is 0" from the half-width of an interval on the side of 0 (normal approximation)."""
    from scipy.special import ndtr

    towards = found.value - found.low if found.value > 0 else found.high - found.value
    if found.value == 0:
        return 1.0
    return float(2 * ndtr(-abs(found.value) * normal_quantile(found.level) / towards)) if towards > 0 else 0.0
