"""What becomes of accuracy and selection when the mix of groups changes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Annotated, NamedTuple

from audit.registry import Field, check

if TYPE_CHECKING:
    from audit.context import Context, Grouping
    from audit.measurement import Estimate, Evidence, Measurement, Message
    from audit.stats.sums import Moments

    Triple = tuple[int, float, float]

NOW = {"(rows)": "(as they are)"}
METRICS = {
    "accuracy": "accuracy", "mean_absolute_error": "mean absolute error", "selection_rate": "share that gets the favourable decision",
}  # fmt: skip


@check(
    "robustness.mix",
    title="Another mix of groups",
    meaning=(
        "What if a group became 10 points more of the people, all other groups keeping their proportions, and nothing else changed? Accuracy (of a quantity: the mean absolute error) and the share of "
        "favourable decisions are worked out from each group's own counts. Ten points less has the opposite effect; a group that is too large to grow by so much is made smaller instead."
    ),
    limits=(
        "Within a group everything stays as it is: people who join it are taken to be like those who are in it. A decision by quota would move its cutoff with the mix, which is not followed. Rows whose group is "
        "unknown are left out."
    ),
    unit="difference of the share of rows; difference of the mean error",
    direction="none",
    needs=["sensitive"],
    references=["Newcombe 1998", "Welch 1947"],
)
def mix(ctx: Context, *, points: Annotated[float, Field(gt=0, lt=1)] = 0.10) -> Iterable[Measurement | Message]:
    """For each group the change of accuracy and of the selection rate when its share grows by `points`."""
    from audit.measure import NAMED
    from audit.text import message

    told: list[Told] = []
    for metric in METRICS:
        for grouping, groups in _counted(ctx, metric):
            found = list(_changes(ctx, metric, grouping, groups, points))
            evidence = [_table(metric, found)] if found else []
            for one, m in found:
                yield m.model_copy(update={"evidence": evidence})
                evidence = []
                told.append(one)
    if not told:
        yield message("No column has two known groups with rows enough, or neither outcome nor favourable decision is known.")
        return
    for metric in METRICS:
        of = [t for t in told if t.metric == metric]
        if of:
            large = [t for t in of if t.own[0] >= NAMED] or of  # what a handful of rows do heads no summary
            yield _said(max(large, key=lambda t: abs(t.change.value)), points)
            return


class Told(NamedTuple):
    """The change of a metric when a group's share goes from `now` to `then`; the group's rows and its own mean, and that of everybody else."""

    metric: str
    column: str
    level: str
    now: float
    then: float
    own: Triple
    rest: Triple
    change: Estimate


def _counted(ctx: Context, metric: str) -> Iterator[tuple[Grouping, list[Triple | None]]]:
    """Each sensitive column with (rows, mean, variance) of each of its groups; a rate's variance is p(1 − p) n/(n − 1)."""
    import numpy as np

    from audit.table import Block

    if (metric == "selection_rate" and ctx.scored.selection is None) or (metric != "selection_rate" and ctx.facts.target_sql is None):
        return
    if (metric == "mean_absolute_error") != (ctx.settled.task == "regression") and metric != "selection_rate":
        return
    if metric == "mean_absolute_error":
        yield from _errors(ctx)
        return

    def right(block: Block) -> np.typing.NDArray[np.int64]:
        y, pred = block["y"], block["pred"]
        return np.where((y >= 0) & (pred >= 0), (y == pred).astype(np.int64), 2)

    coding, names = (ctx.chosen(), ["pred"]) if metric == "selection_rate" else (right, ["y", "pred"])
    for grouping, cells in ctx.counted({metric: (coding, 3)}, names, intersection=False):
        made: list[Triple | None] = []
        for place, row in enumerate(cells[metric].tolist()):
            n, k = row[0] + row[1], row[1]
            variance = k / n * (1 - k / n) * n / (n - 1) if n > 1 else 0.0
            made.append(None if place in grouping.unknown or not n else (n, k / n, variance))
        yield grouping, made


def _errors(ctx: Context) -> Iterator[tuple[Grouping, list[Triple | None]]]:
    """Absolute errors of a quantity by group, in one pass over the rows."""
    import numpy as np

    from audit.stats.sums import Grouped

    groupings = list(ctx.groupings(intersection=False))
    sums = [Grouped(len(g.slices)) for g in groupings]
    for block in ctx.scored.blocks(["y", "pred", *(f"g{i}" for i in range(len(ctx.facts.groups)))]):
        usable = block.usable()
        for grouping, grouped in zip(groupings, sums, strict=True):
            grouped.add(ctx.place(usable, grouping), np.abs(usable["y"] - usable["pred"]))
    for grouping, grouped in zip(groupings, sums, strict=True):
        found: list[Moments | None] = grouped.moments()
        yield grouping, [None if m is None or place in grouping.unknown else m for place, m in enumerate(found)]


def _changes(
    ctx: Context, metric: str, grouping: Grouping, groups: list[Triple | None], points: float
) -> Iterator[tuple[Told, Measurement]]:
    """The change for every group: with the others in proportion it is `points` times the group's mean minus that of everybody else."""
    from audit.measurement import Measurement, Part
    from audit.stats.compare import mean_difference, newcombe
    from audit.stats.sums import Moments, together

    known = {place: m for place, m in enumerate(groups) if m is not None}
    total, level = sum(n for n, _, _ in known.values()), ctx.level(metric, "difference")
    for place, own in known.items():
        others = together([Moments(*m) for other, m in known.items() if other != place])
        if others is None:
            continue
        n, share = own[0], own[0] / total
        by = points if share + points <= 1 else -points
        if share + by < 0:
            continue
        if metric == "mean_absolute_error":
            apart = mean_difference(own, others, level=level)
        else:
            apart = newcombe(round(own[1] * n), n, round(others.mean * others.n), others.n, level=level)
        if apart is None:
            continue
        ends = sorted((by * apart.low, by * apart.high))
        change = apart.model_copy(update={"value": by * apart.value, "low": ends[0], "high": ends[1]})
        slice_ = grouping.slices[place]
        ((column, name),) = slice_.items()
        parts = [] if metric == "mean_absolute_error" else [Part(slice=slice_, k=round(own[1] * n), n=n)]
        at = {"(mix)": f"{'+' if by > 0 else '−'}{100 * abs(by):g}"}
        told = Told(metric, column, name, share, share + by, own, others, change)
        yield told, Measurement(metric=metric, compare="difference", slice=slice_ | at, against=NOW, estimate=change, parts=parts)


def _table(metric: str, found: list[tuple[Told, Measurement]]) -> Evidence:
    """What every group would change."""
    from audit.measurement import Column, Table
    from audit.text import message, render

    kind = "number" if metric == "mean_absolute_error" else "percent"
    caption = message("If one group's share changed: {metric}", metric=message(METRICS[metric]))
    size = "number" if metric == "mean_absolute_error" else "points"
    columns = [
        Column(name="group", label="group"), Column(name="now", label="share now", kind="percent"), Column(name="then", label="share then", kind="percent"),
        Column(name="own", label="in this group", kind=kind), Column(name="rest", label="in all others", kind=kind),
        Column(name="overall", label="of everybody now", kind=kind), Column(name="overall_then", label="of everybody then", kind=kind),
        Column(name="change", label="change", kind=size),
    ]  # fmt: skip
    rows = []
    for one, _ in found:
        overall = one.now * one.own[1] + (1 - one.now) * one.rest[1]
        rows.append([one.level, one.now, one.then, one.own[1], one.rest[1], overall, overall + one.change.value, one.change.value])
    return Table(caption=render(caption), caption_msg=caption, columns=columns, rows=[[*row] for row in rows])


def _said(most: Told, points: float) -> Message:
    from audit.text import message, who

    values = {
        "who": who({most.column: most.level}), "now": most.now, "then": most.then, "metric": message(METRICS[most.metric]), "change": most.change.value,
        "low": most.change.low, "high": most.change.high, "level": most.change.level, "points": f"{100 * points:g}",
    }  # fmt: skip
    if most.metric == "mean_absolute_error":
        return message(
            "A change of {points} points in the mix of groups moves the {metric} most where the share of {who} goes from {now:percent} to {then:percent}: by {change:signed} ({level:percent} interval {low:signed} to {high:signed}).", **values,
        )  # fmt: skip
    return message(
        "A change of {points} points in the mix of groups moves the {metric} most where the share of {who} goes from {now:percent} to {then:percent}: by {change:points} points ({level:percent} interval {low:points} to {high:points}).", **values,
    )  # fmt: skip
