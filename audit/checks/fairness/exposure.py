"""Whose rows stand where they are seen: exposure by group of what is ranked."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

from audit.registry import Field, check

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from audit.context import Context
    from audit.measurement import Evidence, Measurement, Message, Slice
    from audit.ranked_lists import Lists
    from audit.stats.lists import Places


@check(
    "fairness.exposure",
    title="Who stands where it is seen",
    meaning=(
        "Rows are ranked by their score, each list by itself (a user's items, a query's candidates, or all rows of a quota), and a place has the weight 1 / log2(1 + place), as attention falls down a list; places beyond the last that is shown "
        "have none. Shown is the mean weight of each group's rows (exposure) and its ratio to that of the reference, over all rows and over those with the event alone: there a ratio below 1 is not explained by fewer events."
    ),
    limits=(
        "How attention falls is a convention, not measured; every list counts by its rows. Lists hold what is in the data, not what else could have been shown. Where all rows are one list its places are taken as given. A ratio "
        "over all rows can come from the outcomes themselves; over rows with the event it takes recorded outcomes at their word."
    ),
    unit="mean weight of a place; ratio to the reference",
    direction="target",
    needs=["classes", "scores", "ranked"],
    lists=["by", "groups"],
    references=["Singh and Joachims 2018", "Järvelin and Kekäläinen 2002", "Field and Welsh 2007"],
)
def exposure(
    ctx: Context,
    *,
    by: list[str] | None = None,
    groups: list[str] | None = None,
    at: Annotated[int, Field(ge=1, le=10_000_000)] | None = None,
) -> Iterable[Measurement | Message]:
    """Exposure of the groups that the columns `groups` make of the ranked rows, by default those that training logged, else the sensitive columns by which rows of one list differ;
    `by` are the columns that tell lists apart, `at` the places of a list that are seen (of a quota: as many as it takes)."""
    from audit.ranked_lists import columns_of, lists_of, within
    from audit.stats.lists import places
    from audit.text import message

    if ctx.settled.positive is None:
        yield message("Rows are ranked by the score of one event, and this model has none.")
        return
    lists = lists_of(ctx, by, at)
    kinds = groups or [name for name in ctx.facts.roles.ranking.get("groups") or () if name in ctx.facts.columns and not by]
    named = columns_of(ctx, lists, kinds) if kinds else within(ctx, lists)
    if not len(lists.row) or not named:
        yield message("No column says which group a ranked row belongs to: name such columns as groups in the plan.")
        return
    held = _held(ctx, lists, places(lists.code, lists.score, at=lists.at))
    ratios: list[Measurement] = []
    for name, codes, levels in named:
        for m in _measured(ctx, held, name, codes, levels):
            yield m
            if m.metric == "exposure" and m.compare == "ratio":
                ratios.append(m)
    yield _said(lists, ratios)


class Held(NamedTuple):
    """The ranked rows: the unit that each is drawn with (k,), and how many units there are; their places; whether each has the event, None where nobody knows."""

    unit: NDArray[np.int64]
    units: int
    places: Places
    event: NDArray[np.bool_] | None


def _held(ctx: Context, lists: Lists, found: Places) -> Held:
    """Whole lists are drawn; of one list its clusters, or its rows."""
    import numpy as np

    from audit.stats.clusters import units

    code = lists.code
    if lists.single:
        code = ctx.scored.column("c")[lists.row].astype(np.int64) if ctx.clustering is not None else np.arange(len(lists.row))
    sets = units(int(code.max()) + 1, ctx.rng("units"))
    event = None
    if ctx.facts.target_sql is not None and ctx.settled.positive is not None:
        event = ctx.scored.y[lists.row] == ctx.settled.classes.index(ctx.settled.positive)
    return Held(sets[code].astype(np.int64), int(sets.max()) + 1, found, event)


def _measured(ctx: Context, held: Held, name: str, codes: NDArray[np.int64], levels: list[str]) -> Iterator[Measurement]:
    """Exposure of each group of one column, and against the reference."""
    import numpy as np

    from audit.dataset import MISSING

    sizes = np.bincount(codes[codes >= 0], minlength=len(levels))
    known = [i for i, level in enumerate(levels) if level != MISSING and sizes[i] >= ctx.plan.disclosure.min_group_size]
    declared = next((g.reference for g in ctx.facts.groups if g.name == name), None)
    if len(known) < 2:
        return
    reference = levels.index(declared) if declared in levels and levels.index(declared) in known else max(known, key=lambda i: sizes[i])
    kinds: list[tuple[str, NDArray[np.bool_]]] = [("exposure", np.ones(len(codes), bool))]
    kinds += [] if held.event is None else [("exposure_of_events", held.event)]
    for metric, counted in kinds:
        table = _table(ctx, held, codes, known, counted)
        evidence = [_evidence(table, name, levels, known)] if metric == "exposure" else []
        for m in _compared(ctx, metric, table, [{name: levels[i]} for i in known], known.index(reference)):
            yield m.model_copy(update={"evidence": evidence})
            evidence = []


class Sums(NamedTuple):
    """Of each group (G,): rows, rows that are expected to be seen, total weight; the units that have weight there; weight and rows in each replicate (R, G)."""

    rows: NDArray[np.int64]
    seen: NDArray[np.float64]
    weight: NDArray[np.float64]
    units: NDArray[np.int64]
    drawn_weight: NDArray[np.float64]
    drawn_rows: NDArray[np.float64]


def _table(ctx: Context, held: Held, codes: NDArray[np.int64], known: list[int], counted: NDArray[np.bool_]) -> Sums:
    import numpy as np

    from audit.stats.clusters import Draws

    def sums(values: NDArray[Any], i: int) -> NDArray[np.float64]:
        inside = counted & (codes == i)
        return np.asarray(np.bincount(held.unit[inside], weights=values[inside], minlength=held.units), dtype=np.float64)

    weight = np.stack([sums(held.places.weight, i) for i in known], axis=1)
    rows = np.stack([sums(np.ones(len(codes)), i) for i in known], axis=1)
    seen = np.array([sums(held.places.shown, i).sum() for i in known])
    drawn = Draws(held.units, ctx.rng("draws")).of(np.concatenate([weight, rows], axis=1))
    return Sums(
        rows.sum(axis=0).astype(np.int64), seen, weight.sum(axis=0), np.count_nonzero(weight, axis=0), drawn[:, : len(known)], drawn[:, len(known) :],
    )  # fmt: skip


def _compared(ctx: Context, metric: str, table: Sums, slices: list[Slice], reference: int) -> Iterator[Measurement]:
    import numpy as np

    from audit.measure import undefined, value
    from audit.measurement import Measurement
    from audit.stats.clusters import SPARSE, interval
    from audit.text import message

    few = message("Fewer than {n:count} independent units show a row of the group or of its reference, too few for an interval.", n=SPARSE)
    with np.errstate(divide="ignore", invalid="ignore"):
        means, drawn = table.weight / table.rows, table.drawn_weight / table.drawn_rows
        ratios = drawn / drawn[:, [reference]]
    for i, slice_ in enumerate(slices):
        n = int(table.rows[i])
        enough = table.units[i] >= SPARSE
        found = interval(float(means[i]), drawn[:, i], clusters=int(table.units[i]), level=ctx.level(metric), n=n) if enough else None
        yield value(metric, found, slice_=slice_, reason=few)
        if i == reference:
            continue
        against, both = slices[reference], int(min(table.units[i], table.units[reference]))
        level = ctx.level(metric, "ratio")
        total = n + int(table.rows[reference])
        ratio = interval(float(means[i] / means[reference]), ratios[:, i], clusters=both, level=level, n=total) if both >= SPARSE else None
        if ratio is None:
            yield undefined(metric, few, slice_=slice_, against=against, compare="ratio")
        else:
            yield Measurement(metric=metric, compare="ratio", slice=slice_, against=against, estimate=ratio)


def _evidence(table: Sums, name: str, levels: list[str], known: list[int]) -> Evidence:
    from audit.measurement import Cell, Column, Table
    from audit.text import message, render, who

    lines: list[list[Cell]] = []
    for place, i in enumerate(known):
        n = int(table.rows[place])
        shares = (n / table.rows.sum(), table.weight[place] / table.weight.sum() if table.weight.sum() else None)
        lines.append([render(who({name: levels[i]})), n, shares[0], table.seen[place] / n, None if shares[1] is None else float(shares[1])])
    columns = [
        Column(name="group", label="group"), Column(name="n", label="rows", kind="integer"), Column(name="share", label="share of the rows", kind="percent"),
        Column(name="seen", label="of these seen", kind="percent"), Column(name="exposure", label="share of the exposure", kind="percent"),
    ]  # fmt: skip
    caption = message("Share of the rows and of the exposure by {column}", column=name)
    return Table(caption=render(caption), caption_msg=caption, columns=columns, rows=lines)


def _said(lists: Lists, ratios: list[Measurement]) -> Message:
    """The group with the lowest ratio, and those that are seen too seldom to have one."""
    from audit.text import message, who

    said, seldom = _lowest(lists, ratios), [who(m.slice) for m in ratios if m.estimate is None]
    return message("{said} Seen too seldom for an interval: {groups}.", said=said, groups=seldom) if seldom else said


def _lowest(lists: Lists, ratios: list[Measurement]) -> Message:
    from audit.text import beside, message, who

    known = [(m.estimate.value, m) for m in ratios if m.estimate is not None]
    if not known:
        return message("No two groups of ranked rows are seen often enough to be compared.")
    _, m = min(known, key=lambda pair: pair[0])
    e = m.estimate
    assert e is not None
    assert m.against is not None
    values = {
        "group": who(m.slice), "reference": beside(m.slice, m.against), "ratio": e.value, "low": e.low, "high": e.high, "level": e.level, "at": lists.at,
        "n": len(lists.row), "lists": int(lists.code.max()) + 1,
    }  # fmt: skip
    if lists.single:
        return message(
            "{group}: rows get {ratio:ratio} times the exposure of {reference} ({level:percent} interval {low:ratio} to {high:ratio}; {n:count} rows in one ranking, its first {at:count} places count). No other group has a lower ratio.",
            **values,
        )
    return message(
        "{group}: rows get {ratio:ratio} times the exposure of {reference} ({level:percent} interval {low:ratio} to {high:ratio}; {n:count} rows in {lists:count} lists, the first {at:count} places of each count). No other group has a lower ratio.",
        **values,
    )
