"""Measurements of rows that carry survey weights: estimates, tests and what they are worth.

A check measures as if every row counted once and hands each measurement on to `GroupRates.of`, which puts the weighted value, interval and test in
the place of the others; means and other functions of sums are `measured` of `Summed`. Counts of rows stay what they are.

Where rows are independent this is `audit.stats.weighted` and `weighted_sums`, by linearisation. Where they belong together whole clusters are drawn with
what they weigh: rates by `audit.clustered`, functions of sums by `audit.stats.weighted_clusters`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from audit.clustered import NO_INTERVAL, GroupRates
from audit.clustered import Rates as ClusterRates
from audit.measurement import Measurement, Message, Slice, Test, Weights

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from audit.clustered import Reading
    from audit.context import Coding, Context, Grouping
    from audit.stats.weighted import Share
    from audit.stats.weighted_clusters import Drawn
    from audit.stats.weighted_sums import Linearised
    from audit.table import Block

    #: Weighted sums by slice, and statistics of them: of independent rows, or of rows that belong together.
    Summed = Linearised | Drawn
    #: Sums (R, C) → a statistic of them (R,).
    Statistic = Callable[[NDArray[np.float64]], NDArray[np.float64]]


class Cells(NamedTuple):
    """Rows by slice and code: statistics of the weights by code, and the rates that are read off them."""

    codes: Summed
    rates: Callable[[Reading], GroupRates]


def counted(
    ctx: Context, coding: Coding, size: int, names: Sequence[str], groupings: Sequence[Grouping | None] | None = None
) -> Iterator[tuple[Grouping | None, Cells]]:
    """Everybody (None), then each grouping (or these), with the rows by slice and code; one pass over the rows. `names` are the columns that the
    coding reads; rows whose code is `size` or more are left out."""
    groupings = [None, *ctx.groupings()] if groupings is None else groupings
    yield from zip(groupings, (_drawn if ctx.clustering else _linearised)(ctx, coding, size, names, groupings), strict=True)


def _linearised(ctx: Context, coding: Coding, size: int, names: Sequence[str], groupings: Sequence[Grouping | None]) -> Iterator[Cells]:
    import numpy as np

    from audit.stats.weighted_sums import of_codes

    lengths = [size * (len(g.slices) if g else 1) for g in groupings]
    cells = [(np.zeros(n, np.int64), [np.zeros(n) for _ in range(3)]) for n in lengths]
    for block in ctx.scored.blocks([*names, "w", *(f"g{i}" for i in range(len(ctx.facts.groups)))]):
        code = coding(block)
        kept = code < size
        w = block["w"][kept]
        for grouping, (rows, powers), n in zip(groupings, cells, lengths, strict=True):
            place = code[kept] if grouping is None else (ctx.place(block, grouping) * size + code)[kept]
            rows += np.bincount(place, minlength=n)
            for total, power in zip(powers, (w, w * w, w * w * w), strict=True):
                total += np.bincount(place, weights=power, minlength=n)
    for rows, powers in cells:
        table: list[NDArray[Any]] = [a.reshape(-1, size) for a in (rows, *powers)]
        yield Cells(of_codes(*table), partial(_read, table))


def _drawn(ctx: Context, coding: Coding, size: int, names: Sequence[str], groupings: Sequence[Grouping | None]) -> Iterator[Cells]:
    from audit.clustered import piled
    from audit.stats.weighted_clusters import of_codes

    clustering = ctx.clustering
    assert clustering is not None
    for piles in piled(ctx, coding, size, names, groupings):
        yield Cells(of_codes(clustering.draws, piles), partial(ClusterRates, clustering, piles, weighed=True))


def _read(cells: Sequence[NDArray[Any]], read: Reading) -> Rates:
    return Rates(shares(cells, read))


def shares(cells: Sequence[NDArray[Any]], read: Reading) -> dict[str, list[Share]]:
    """Rate name → the share of each slice, from rows, weights, squares and cubes by slice and code."""
    from audit.stats.weighted import Share

    rows, *powers = (read(a) for a in cells)
    return {
        name: [Share(int(n[i]), int(k[i]), *(float(pair[name][side][i]) for pair in powers for side in (1, 0))) for i in range(len(n))]
        for name, (k, n) in rows.items()
    }


class Rates(GroupRates):
    """Rates per group from weighted rows."""

    def __init__(self, found: Mapping[str, list[Share]]) -> None:
        self.found = found

    def side(self, name: str, members: Sequence[int]) -> Share:
        """The rate of these slices taken together."""
        first, *others = (self.found[name][i] for i in members)
        for other in others:
            first = first + other
        return first

    plain = side

    def worth(self, group: Share, reference: Share) -> Weights:
        """What the rows of a comparison are worth."""
        from audit.stats.weighted import worth

        return worth(group, reference)

    def valued(self, measured: Measurement, group: Share, reference: Share | None) -> Measurement:
        """A rate or its comparison by weight: see `weighed`."""
        return weighed(measured, group, reference)


def weighed(measured: Measurement, group: Share, reference: Share | None) -> Measurement:
    """A rate, or its comparison with the reference, from weighted rows; the level is that of the measurement's own interval."""
    from audit.stats import weighted as stats

    update: dict[str, Any] = {}
    if measured.estimate is not None:
        level = measured.estimate.level
        if reference is None:
            found = stats.rate(group, level=level)
        else:
            ways = {"difference": stats.difference, "ratio": stats.ratio, "odds_ratio": stats.odds}
            found = ways[measured.compare](group, reference, level=level)
        assert found is not None, "weights above 0 leave a rate defined where counts do"
        update["estimate"] = found
    if group.rows and (reference is None or reference.rows):
        update["weights"] = stats.worth(group) if reference is None else stats.worth(group, reference)
    if reference is not None:
        tested = stats.equality(group, reference)
        update["test"] = Test(null="equality", method=tested[1], p_value=tested[0]) if tested else None
    return measured.model_copy(update=update)


def over_groups(ctx: Context, coding: Coding, size: int, names: Sequence[str], read: Reading) -> dict[tuple[str, ...], GroupRates]:
    """Sensitive columns → their weighted rates; () for everybody. Nothing where rows carry no weights."""
    if ctx.facts.weight is None:
        return {}
    return {g.columns if g else (): cells.rates(read) for g, cells in counted(ctx, coding, size, names)}


def measured(
    ctx: Context, metric: str, sums: Summed, i: int, statistic: Statistic, slice_: Slice, *, reason: Message | None = None,
    low: float = -math.inf, high: float = math.inf, pick: Sequence[int] | None = None, ends: bool = False,
) -> Measurement:  # fmt: skip
    """A statistic of the sums of slice i, with what its rows are worth; undefined for `reason`, which is that of a mean where none is given.

    For the others see `Linearised.estimate`.
    """
    from audit.measure import undefined, value
    from audit.stats.weighted_clusters import Drawn
    from audit.text import message

    found = sums.estimate(i, statistic, level=ctx.level(metric), low=low, high=high, pick=pick, ends=ends)
    if found is not None:
        return value(metric, found.estimate, slice_=slice_).model_copy(update={"weights": found.weights, "clusters": found.clusters})
    if isinstance(sums, Drawn) and sums.undrawn(i, statistic, pick):
        return undefined(metric, NO_INTERVAL, slice_=slice_)
    return undefined(metric, reason or message("Fewer than two rows count here, or all have one value."), slice_=slice_)


def differences(
    ctx: Context, metric: str, grouping: Grouping, sums: Summed, statistic: Statistic, found: Sequence[Measurement], i: int
) -> Iterator[Measurement]:
    """A known group's statistic less the reference's: of rows that have nothing in common, or over the same draws of clusters."""
    from audit.measure import independent_difference
    from audit.stats.weighted_sums import Linearised

    other = grouping.reference
    if other is None or i == other or i in grouping.unknown:
        return
    slice_, against = grouping.slices[i], grouping.slices[other]
    if isinstance(sums, Linearised):
        yield from independent_difference(ctx, metric, (slice_, found[i].estimate), (against, found[other].estimate))
    elif (
        found[i].estimate
        and found[other].estimate
        and (apart := sums.difference(i, other, statistic, level=ctx.level(metric, "difference")))
    ):
        test = Test(null="equality", method="cluster_bootstrap", p_value=apart[1])
        yield Measurement(metric=metric, compare="difference", slice=slice_, against=against, estimate=apart[0], test=test)


def means(
    ctx: Context, metric: str, grouping: Grouping | None, of: Callable[[Block], NDArray[Any]], *, outcome: bool, root: bool = False
) -> Iterator[Measurement]:
    """The weighted mean of a value of rows (or its root) for each slice, and its difference to the reference; `outcome`: rows that have one."""
    from audit.stats.weighted_sums import ratio_of_sums

    def statistic(sums: NDArray[np.float64]) -> NDArray[np.float64]:
        mean = ratio_of_sums(sums)
        return mean**0.5 if root else mean

    sums = summed(ctx, grouping, lambda rows: [of(rows)], outcome=outcome)
    found = [measured(ctx, metric, sums, i, statistic, s) for i, s in enumerate(grouping.slices if grouping else [{}])]
    for i, m in enumerate(found):
        yield m
        if grouping is not None:
            yield from differences(ctx, metric, grouping, sums, statistic, found, i)


def summed(
    ctx: Context, grouping: Grouping | None, columns: Callable[[Block], Sequence[NDArray[Any]]], *, outcome: bool, names: Sequence[str] = ()
) -> Summed:
    """Weighted sums by slice of 1 and of these columns of the rows; one pass. `outcome`: only rows that have one; `names` are further columns read."""
    import numpy as np

    from audit.stats import weighted_clusters, weighted_sums

    clustering, slices = ctx.clustering, len(grouping.slices) if grouping else 1
    groups = [f"g{i}" for i in grouping.places] if grouping else []
    linear: weighted_sums.Totals | None = None
    drawn: weighted_clusters.Totals | None = None
    for block in ctx.scored.blocks([*(["y"] if outcome else []), "pred", "w", *names, *groups, *(["c"] if clustering else [])]):
        rows = block.usable() if outcome else block.predicted()
        found = [np.ones(len(rows)), *columns(rows)]
        place = ctx.place(rows, grouping) if grouping else np.zeros(len(rows), np.int64)
        if clustering is None:
            linear = linear or weighted_sums.Totals(slices, len(found))
            linear.add(place, rows["w"], found)
        else:
            drawn = drawn or weighted_clusters.Totals(clustering.draws, slices, len(found))
            drawn.add(place, rows["w"], found, clustering.of(rows["c"]))
    totals = linear or drawn
    assert totals is not None, "an audit has rows"
    return totals.statistics()
