"""The extremes of a metric over several groups, as fairlearn defines them: reported beside what chance alone makes of equal groups, never judged."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

import numpy as np
from numpy.random import Generator
from numpy.typing import ArrayLike

from audit.stats._binomial import chance_between
from audit.stats._inputs import Floats, Ints, check_share
from audit.stats.cells import ROOM, check_counts
from audit.stats.confusion import share

How = Literal["difference", "ratio", "difference_to_overall", "ratio_to_overall", "group_min", "group_max"]
#: Of these a low value is the bad one.
LOW_IS_BAD = ("ratio", "ratio_to_overall", "group_min")
ROUNDING = 1e-12
LEAST_DRAWS = 199
#: Beyond this share of draws in which an extreme is undefined nothing is said of chance.
UNDEFINED_LIMIT = 0.05


class OverGroups(NamedTuple):
    """One metric over groups: `values` (G,), NaN where it is undefined; `overall` of all their rows together; `chance` (draws, G) holds what
    it would be if the groups were exactly equal, None where that cannot be drawn from counts."""

    values: Floats
    overall: float
    chance: Floats | None = None


class Extreme(NamedTuple):
    """An extreme over groups, and under exact equality for these sizes: its mean, its 95 % quantile (where low is bad: 5 %), and a permutation p.

    The last three are None where chance was not drawn.
    """

    value: float
    expected: float | None
    quantile: float | None
    p_value: float | None


def rates_over_groups(k: ArrayLike, n: ArrayLike, *, rng: Generator, draws: int = 2000) -> OverGroups:
    """The rates k / n of groups, both of shape (G,). Under equality the events are dealt out to the rows at random, given their total.

    That is a permutation test (multivariate hypergeometric); no `draws`, no chance. ValueError unless 0 <= k <= n.
    """
    events, sizes = check_counts(k, 1), check_counts(n, 1)
    if events.shape != sizes.shape or np.any(events > sizes):
        raise ValueError(f"expected 0 <= k <= n of one shape, got k={events.tolist()}, n={sizes.tolist()}")
    if not sizes.sum():
        return OverGroups(np.full(sizes.shape, np.nan), np.nan)
    if not draws:
        return OverGroups(share(events, sizes), int(events.sum()) / int(sizes.sum()))
    dealt = rng.multivariate_hypergeometric(sizes, int(events.sum()), size=draws, method="marginals")
    return OverGroups(share(events, sizes), int(events.sum()) / int(sizes.sum()), share(dealt, sizes))


def cells_over_groups(cells: ArrayLike, metric: Callable[[Ints], Floats], *, rng: Generator, draws: int = 2000) -> OverGroups:
    """A metric of the counts of each group, `cells` (G, C); it maps counts (…, C) to values (…).

    Under equality the rows are dealt out to the groups at random, cell by cell: all groups then have one distribution over the cells, so
    that every metric of them is equal in truth. Fewer draws (at least 199) where groups times cells are many.
    """
    table = check_counts(cells, 2)
    if not draws:
        return OverGroups(metric(table), float(metric(table.sum(axis=0))))
    at_once = max(1, ROOM // max(1, table.size))
    draws = min(draws, max(LEAST_DRAWS, at_once))
    chance = [metric(_deal(table, min(at_once, draws - start), rng)) for start in range(0, draws, at_once)]
    return OverGroups(metric(table), float(metric(table.sum(axis=0))), np.concatenate(chance))


def _deal(table: Ints, draws: int, rng: Generator) -> Ints:
    """Random tables (draws, G, C) with the margins of this one: of each cell, group after group takes its share of the places that are left."""
    out = np.zeros((draws, *table.shape), dtype=np.int64)
    free = np.repeat(table.sum(axis=1)[None, :], draws, axis=0)
    for cell in np.flatnonzero(table.any(axis=0)):
        left = np.full(draws, int(table[:, cell].sum()))
        behind = free.sum(axis=1)
        for group in range(table.shape[0]):
            behind -= free[:, group]
            out[:, group, cell] = rng.hypergeometric(free[:, group], behind, left) if left.any() else 0
            left -= out[:, group, cell]
        free -= out[:, :, cell]
    return out


def aggregate(values: Floats, overall: float, how: How) -> Floats:
    """fairlearn's extreme of values (…, G) over the last axis, groups in which the metric is NaN left out; NaN where it is undefined.

    difference: largest less smallest; ratio: smallest by largest; to_overall: the farthest of all groups from the value of all rows, ratios
    turned so that they are at most 1; group_min and group_max.
    """
    top, bottom = np.fmax.reduce(values, axis=-1), np.fmin.reduce(values, axis=-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        if how == "difference":
            return np.asarray(top - bottom)
        if how == "ratio":
            return np.asarray(bottom / top)
        if how == "difference_to_overall":
            return np.asarray(np.fmax.reduce(np.abs(values - overall), axis=-1))
        if how == "ratio_to_overall":
            ratios = values / overall
            return np.asarray(np.fmin.reduce(np.where(ratios > 1, 1 / ratios, ratios), axis=-1))
    return np.asarray(bottom if how == "group_min" else top)


def combine(each: Sequence[Floats], how: How, *, mean: bool) -> Floats:
    """The worst of several extremes, or their mean; those that are NaN left out."""
    stacked = np.stack([np.asarray(e, dtype=np.float64) for e in each])
    if mean:
        known = np.isfinite(stacked)
        with np.errstate(invalid="ignore"):
            return np.asarray(np.where(known, stacked, 0.0).sum(axis=0) / known.sum(axis=0))
    return np.asarray(np.fmin.reduce(stacked) if how in LOW_IS_BAD else np.fmax.reduce(stacked))


def extreme(metrics: Sequence[OverGroups], how: How, *, mean: bool = False, level: float = 0.95) -> Extreme | None:
    """The worst (or the mean) over metrics of one extreme over groups; None where it is undefined or a metric has fewer than 2 groups.

    p = (1 + draws as extreme) / (1 + draws), Phipson and Smyth 2010; the metrics are drawn independently of each other.
    """
    check_share("level", level)
    if any(np.count_nonzero(np.isfinite(m.values)) < 2 for m in metrics):
        return None
    value = float(combine([aggregate(m.values, m.overall, how) for m in metrics], how, mean=mean))
    if not np.isfinite(value):
        return None
    chances = [m.chance for m in metrics if m.chance is not None]
    if len(chances) < len(metrics):
        return Extreme(value, None, None, None)
    drawn = combine([aggregate(c, m.overall, how) for c, m in zip(chances, metrics, strict=True)], how, mean=mean)
    known = drawn[np.isfinite(drawn)]
    if known.size < (1 - UNDEFINED_LIMIT) * drawn.size:
        return Extreme(value, None, None, None)
    low = how in LOW_IS_BAD
    beyond = int(np.count_nonzero(known <= value + ROUNDING if low else known >= value - ROUNDING))
    return Extreme(value, float(known.mean()), float(np.quantile(known, 1 - level if low else level)), (1 + beyond) / (1 + known.size))


def chance_of_low_ratio(n1: int, n0: int, p: float, *, limit: float) -> float:
    """Chance that min / max of two observed rates is below `limit` although both true rates are p: why a ratio alone misleads. Exact.

    Nobody counting in either group has no ratio and is no such event. ValueError unless sizes are at least 1, p and limit in (0, 1).
    """
    check_share("p", p)
    check_share("limit", limit)
    if n1 < 1 or n0 < 1:
        raise ValueError(f"expected sizes of at least 1, got {n1} and {n0}")
    rounding = 1e-9

    def enough(k1: Ints, k0: Ints) -> np.ndarray:
        return np.asarray(k1 * n0 >= limit * k0 * n1 - rounding)

    def too_many(k1: Ints, k0: Ints) -> np.ndarray:
        return np.asarray(limit * k1 * n0 > k0 * n1 + rounding)

    return 1.0 - chance_between(n1, p, n0, p, enough=enough, too_many=too_many)
