"""What `performance.*` measure, where rows carry survey weights."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from audit.clustered import NO_INTERVAL
from audit.measure import undefined, value
from audit.measurement import Measurement, Message
from audit.text import message
from audit.weighted.measurements import means
from audit.weighted.scores import crossed, explained, losses, mean_losses, of_cells, rankings, rate, read_rates, skills

if TYPE_CHECKING:
    from audit.clustered import GroupRates
    from audit.context import Context, Grouping
    from audit.measurement import Slice
    from audit.stats.weighted_ranks import WeightedRanking

ONE_CLASS = "All outcomes are of one class on these rows."


def overall(ctx: Context) -> Iterator[Measurement | Message]:
    """What `performance.overall` measures of decisions and scores."""
    settled, size = ctx.settled, len(ctx.settled.classes)
    ((_, cells),) = crossed(ctx, [None])
    event = settled.classes.index(settled.positive) if settled.positive is not None else None
    rates = cells.rates(read_rates(size, event))
    if not rates.plain("accuracy", [0]).counts[1]:
        yield message("No row has both an outcome and a prediction: nothing can be measured.")
        return
    accuracy = rate(ctx, rates, "accuracy", 0, {})
    yield accuracy
    yield from of_cells(ctx, cells, 0, {}, ["balanced_accuracy", "f1", *([] if event is not None else ["precision", "recall"])])
    for c in range(size) if event is None else [None]:
        for metric in ("precision", "recall"):
            yield rate(ctx, rates, metric, 0, {}) if c is None else rate(ctx, rates, f"{metric}/{c}", 0, {"(class)": settled.classes[c]})
    auc = None
    if settled.has_scores:
        yield from mean_losses(ctx, losses(ctx), 0, {})
        for measured in _ranked(ctx):
            auc = measured.estimate if measured.metric == "roc_auc" and not measured.slice else auc
            yield measured
    e = accuracy.estimate
    if e is None:  # too few clusters
        yield accuracy.reason_msg or NO_INTERVAL
        return
    said = message(
        "By weight, the decision matches the outcome for {accuracy:percent} ({level:percent} interval {low:percent} to {high:percent}; {n:count} rows).",
        accuracy=e.value, level=e.level, low=e.low, high=e.high, n=e.n,
    )  # fmt: skip
    yield said if auc is None else message(
        "{said} An event is scored above a non-event {auc:percent} of the time (ROC AUC; {low:percent} to {high:percent}).",
        said=said, auc=auc.value, low=auc.low, high=auc.high,
    )  # fmt: skip


def _ranked(ctx: Context) -> Iterator[Measurement]:
    """Rank metrics of the event's score; of several classes the AUC of each against the rest, and their mean."""
    from audit.curves import macro_auc, roc_curve

    reason = message(ONE_CLASS)
    if ctx.settled.task == "binary":
        (table,) = rankings(ctx, None)
        yield value("roc_auc", table.roc_auc(level=ctx.level("roc_auc")), reason=reason, evidence=roc_curve(table.roc()))
        yield value("average_precision", table.average_precision(level=ctx.level("average_precision")), reason=reason)
        return
    found = []
    for i, name in enumerate(ctx.settled.classes):
        (table,) = rankings(ctx, None, i)
        found.append(table.roc_auc(level=ctx.level("roc_auc")))
        yield value("roc_auc", found[-1], slice_={"(class)": name}, reason=message("This class never happened, or nothing else did."))
    known = [e for e in found if e is not None]
    if len(known) < len(found):
        yield undefined("roc_auc_ovr_macro", message("At least one class never happened on these rows."))
    else:
        yield macro_auc(known)


def baseline(ctx: Context) -> Iterator[Measurement]:
    """What `performance.baseline` measures: skill of everybody, and of each group of a column against its own base rate."""
    from audit.measure import exact

    groupings: list[Grouping | None] = [None, *ctx.groupings(intersection=False)]
    if ctx.settled.task != "regression" and not ctx.settled.has_forecasts:
        for grouping, cells in crossed(ctx, groupings):
            for i, slice_ in enumerate(grouping.slices if grouping else [{}]):
                yield from of_cells(ctx, cells, i, slice_, ["informedness"])
        return
    constant = _never_changes(ctx)
    for grouping in groupings:
        if ctx.settled.task == "regression":
            found = list(explained(ctx, grouping))
        else:
            sums = losses(ctx, grouping)
            found = [m for i, slice_ in enumerate(grouping.slices if grouping else [{}]) for m in skills(ctx, sums, i, slice_)]
        for m in found:
            # Scores that never change say nothing, exactly; their last digits may depend on a row's place in its batch.
            flat = exact(min(0.0, m.estimate.value), m.estimate.n) if constant and m.estimate else m.estimate
            yield m.model_copy(update={"estimate": flat} | ({"clusters": None} if flat is not m.estimate else {}))


def _never_changes(ctx: Context) -> bool:
    """Whether all forecasts are one."""
    usable = ctx.scored.usable
    if ctx.settled.task == "regression":
        y, pred = ctx.scored.y[usable], ctx.scored.pred[usable]
        return bool(len(y) and np.ptp(pred) <= 1e-6 * np.ptp(y))
    scores = ctx.scored.scores()[usable]
    return bool(len(scores) and (np.ptp(scores, axis=0) <= 1e-6).all())


def by_group(ctx: Context) -> Iterator[Measurement]:
    """What `performance.groups` measures of decisions and scores."""
    settled, size = ctx.settled, len(ctx.settled.classes)
    for grouping, cells in crossed(ctx, list(ctx.groupings())):
        assert grouping is not None
        rates = cells.rates(read_rates(size, None if grouping.single else 0))
        names = {"accuracy": None} | (
            {f"recall/{c}": c for c in range(min(size, 20))} if grouping.single and settled.task == "multiclass" else {}
        )
        for name, place in names.items():
            yield from _compared(ctx, rates, name, grouping, {"(class)": settled.classes[place]} if place is not None else {})
        if not grouping.single:
            continue
        if settled.task == "multiclass":
            for i, slice_ in enumerate(grouping.slices):
                yield from of_cells(ctx, cells, i, slice_, ["balanced_accuracy", "f1"])
        elif settled.has_scores:
            tables, level = rankings(ctx, grouping), ctx.level("roc_auc")
            aucs = [
                value(
                    "roc_auc",
                    t.roc_auc(level=level),
                    slice_=s,
                    reason=message("All outcomes of this group are of one class: an area needs rows of both."),
                )
                for t, s in zip(tables, grouping.slices, strict=True)
            ]
            yield from aucs
            yield from _auc_differences(ctx, grouping, tables)


def _compared(ctx: Context, rates: GroupRates, name: str, grouping: Grouping, own: Slice) -> Iterator[Measurement]:
    """A rate of each group, and its difference to the reference."""
    from audit.measure import comparisons
    from audit.measurement import Part

    counts = [rates.plain(name, [i]).counts for i in range(len(grouping.slices))]
    parts = [Part(slice={**s, **own}, k=k, n=n) for s, (k, n) in zip(grouping.slices, counts, strict=True)]
    for i, part in enumerate(parts):
        yield rate(ctx, rates, name, i, part.slice)
        if grouping.reference is not None and i != grouping.reference and i not in grouping.unknown:
            for m in comparisons(ctx, name.partition("/")[0], part, parts[grouping.reference]):
                if m.compare == "difference":
                    yield rates.of(m, name, [i], grouping.reference)


def _auc_differences(ctx: Context, grouping: Grouping, tables: Sequence[WeightedRanking]) -> Iterator[Measurement]:
    if grouping.reference is None:
        return
    other, against = tables[grouping.reference], grouping.slices[grouping.reference]
    for i, slice_ in enumerate(grouping.slices):
        if i != grouping.reference and i not in grouping.unknown:
            e = tables[i].difference(other, level=ctx.level("roc_auc", "difference"))
            if e is not None:
                yield Measurement(metric="roc_auc", compare="difference", slice=slice_, against=against, estimate=e)


def errors_by_group(ctx: Context) -> Iterator[Measurement]:
    """What `performance.groups` measures of a quantity."""
    for grouping in ctx.groupings():
        yield from means(ctx, "mean_absolute_error", grouping, lambda rows: abs(rows["y"] - rows["pred"]), outcome=True)
        if not grouping.single:
            continue
        yield from means(ctx, "root_mean_squared_error", grouping, lambda rows: (rows["y"] - rows["pred"]) ** 2, outcome=True, root=True)
        yield from explained(ctx, grouping, compared=True)


def worst_accuracy(ctx: Context, found: Sequence[Measurement]) -> Message:
    """The group of a single column for which the decision matches the outcome least often, by weight."""
    from audit.dataset import MISSING
    from audit.measure import NAMED
    from audit.text import who

    smallest = ctx.plan.disclosure.min_group_size
    own = [
        m for m in found
        if (m.metric, m.compare) == ("accuracy", "value") and len(m.slice) == 1 and MISSING not in m.slice.values() and m.estimate and m.estimate.n >= smallest
    ]  # fmt: skip
    if not own:
        return message("No group has enough rows to be shown.")
    named = [m for m in own if m.estimate and m.estimate.n >= NAMED]
    lowest = min(named or own, key=lambda m: m.estimate.value if m.estimate else 1.0)
    e = lowest.estimate
    assert e is not None
    return message(
        "{group}: of groups of at least {least:count} rows, the decision matches the outcome least often, for {rate:percent} by weight ({level:percent} interval {low:percent} "
        "to {high:percent}; {n:count} rows).",
        group=who(lowest.slice), least=NAMED if named else smallest, rate=e.value, level=e.level, low=e.low, high=e.high, n=e.n,
    )  # fmt: skip


def largest_error(ctx: Context, found: Sequence[Measurement]) -> Message:
    """The group of a single column for which the prediction is furthest off, by weight."""
    from audit.dataset import MISSING
    from audit.text import who

    own = [
        m for m in found
        if (m.metric, m.compare) == ("mean_absolute_error", "value") and len(m.slice) == 1 and MISSING not in m.slice.values()
        and m.estimate and m.estimate.n >= ctx.plan.disclosure.min_group_size
    ]  # fmt: skip
    if not own:
        return message("No group has enough rows to be shown.")
    far = max(own, key=lambda m: m.estimate.value if m.estimate else 0.0)
    assert far.estimate is not None
    return message(
        "{group}: the prediction is furthest off, on average by {error:number} ({n:count} rows).",
        group=who(far.slice), error=far.estimate.value, n=far.estimate.n,
    )  # fmt: skip
