"""Measurements of rows that carry survey weights: estimates, tests and what they are worth (`audit.stats.weighted`).

A check measures as if every row counted once and hands each measurement on to `Rates.of`, which puts the weighted value, interval and test in
the place of the others. Counts of rows stay what they are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from audit.clustered import GroupRates
from audit.result import Measurement, Test, Weights

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from audit.context import Coding, Context, Grouping
    from audit.stats.extremes import OverGroups
    from audit.stats.weighted import Share, Totals
    from audit.table import Block

    #: Rate name → (k, n) per group from rows by group and cell; it adds cells up, so it serves counts and sums of weights alike.
    Reading = Callable[[NDArray[Any]], Mapping[str, tuple[NDArray[Any], NDArray[Any]]]]


class Cells(NamedTuple):
    """Rows by slice and code, (slices, size) each: how many, and the sums of their weights, of the squares and of the cubes of these."""

    rows: NDArray[np.int64]
    sums: NDArray[np.float64]
    squares: NDArray[np.float64]
    cubes: NDArray[np.float64]


def counted(
    ctx: Context, coding: Coding, size: int, names: Sequence[str], *, intersection: bool = True
) -> Iterator[tuple[Grouping | None, Cells]]:
    """Everybody (None), then each grouping, with the rows by slice and code; one pass over the rows. `names` are the columns that the coding reads."""
    import numpy as np

    groupings: list[Grouping | None] = [None, *ctx.groupings(intersection=intersection)]
    lengths = [size * (len(g.slices) if g else 1) for g in groupings]
    cells = [Cells(np.zeros(n, np.int64), *(np.zeros(n) for _ in range(3))) for n in lengths]
    for block in ctx.scored.blocks([*names, "w", *(f"g{i}" for i in range(len(ctx.facts.groups)))]):
        code, w = coding(block), block["w"]
        for grouping, held, n in zip(groupings, cells, lengths, strict=True):
            place = code if grouping is None else ctx.place(block, grouping) * size + code
            held.rows[:] += np.bincount(place, minlength=n)
            for total, power in ((held.sums, w), (held.squares, w * w), (held.cubes, w * w * w)):
                total[:] += np.bincount(place, weights=power, minlength=n)
    for grouping, held in zip(groupings, cells, strict=True):
        yield grouping, Cells(held.rows.reshape(-1, size), *(a.reshape(-1, size) for a in (held.sums, held.squares, held.cubes)))


def shares(cells: Cells, read: Reading) -> dict[str, list[Share]]:
    """Rate name → the share of each slice."""
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

    def worth(self, group: Any, reference: Any) -> Weights:
        """What the rows of a comparison are worth."""
        from audit.stats.weighted import worth

        return worth(group, reference)

    def of(self, measured: Measurement, name: str, members: Sequence[int], reference: int | None = None) -> Measurement:
        """A measurement of the rate `name` with the value, the interval and the test that the weights give."""
        group = self.side(name, members)
        other = None if reference is None else self.side(name, [reference])
        if measured.metric != name:  # the adverse rate
            group, other = group.complement(), None if other is None else other.complement()
        return weighed(measured, group, other)

    def over(self, name: str, known: Sequence[int]) -> OverGroups:
        """The rate over these groups; what chance makes of equal groups is not drawn, as weighted rows cannot be dealt out."""
        import numpy as np

        from audit.stats.extremes import OverGroups

        sides = [self.found[name][i] for i in known]
        together = self.side(name, known) if known else None
        values = [s.value if s.rows else np.nan for s in sides]
        return OverGroups(np.array(values), together.value if together and together.rows else np.nan)


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


def over_groups(ctx: Context, coding: Coding, size: int, names: Sequence[str], read: Reading) -> dict[tuple[str, ...], Rates]:
    """Sensitive columns → their weighted rates; () for everybody. Nothing where rows carry no weights."""
    if ctx.facts.weight is None:
        return {}
    return {g.columns if g else (): Rates(shares(cells, read)) for g, cells in counted(ctx, coding, size, names)}


def kish(totals: Totals, i: int) -> Weights | None:
    """What the rows of a code are worth to a mean, (Σw)² / Σw² (Kish 1965), where the first column of the totals is 1."""
    squares = float(totals.squares[i, 0, 0])
    if not squares:
        return None
    effective = float(totals.sums[i, 0]) ** 2 / squares
    return Weights(design_effect=int(totals.rows[i]) / effective, effective=[int(effective)])


def means(
    ctx: Context, metric: str, grouping: Grouping | None, of: Callable[[Block], NDArray[Any]], *, outcome: bool, root: bool = False
) -> Iterator[Measurement]:
    """The weighted mean of a value of rows (or its root) for each slice, and its difference to the reference; `outcome`: rows that have one."""
    from audit.measure import independent_difference, value
    from audit.stats.weighted import ratio_of_sums, smooth
    from audit.text import message

    def statistic(sums: NDArray[np.float64]) -> NDArray[np.float64]:
        mean = ratio_of_sums(sums)
        return mean**0.5 if root else mean

    slices = grouping.slices if grouping else [{}]
    totals = summed(ctx, grouping, lambda rows: [of(rows)], outcome=outcome)
    level = ctx.level(metric)
    found = [smooth(statistic, totals.sums[i], totals.products[i], int(totals.rows[i]), level=level) for i in range(len(slices))]
    reason = message("Fewer than two rows count here, or all have one value.")
    for i, slice_ in enumerate(slices):
        yield value(metric, found[i], slice_=slice_, reason=reason).model_copy(update={"weights": kish(totals, i) if found[i] else None})
        if grouping is not None and grouping.reference not in (None, i) and i not in grouping.unknown:
            against = slices[grouping.reference or 0], found[grouping.reference or 0]
            yield from independent_difference(ctx, metric, (slice_, found[i]), against)


def summed(
    ctx: Context, grouping: Grouping | None, columns: Callable[[Block], Sequence[NDArray[Any]]], *, outcome: bool, names: Sequence[str] = ()
) -> Totals:
    """Weighted sums by slice of 1 and of these columns of the rows; one pass. `outcome`: only rows that have one; `names` are further columns read."""
    import numpy as np

    from audit.stats.weighted import Totals

    totals: Totals | None = None
    places = [f"g{i}" for i in grouping.places] if grouping else []
    for block in ctx.scored.blocks([*(["y"] if outcome else []), "pred", "w", *names, *places]):
        rows = block.usable() if outcome else block.predicted()
        found = [np.ones(len(rows)), *columns(rows)]
        totals = totals or Totals(len(grouping.slices) if grouping else 1, len(found))
        totals.add(ctx.place(rows, grouping) if grouping else np.zeros(len(rows), np.int64), rows["w"], found)
    assert totals is not None, "an audit has rows"
    return totals
