"""How well a model predicts, where rows carry survey weights: what `performance.*` and `calibration.*` measure, by weight."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from audit.measure import independent_difference, undefined, value
from audit.ordered import claimed, columns, probabilities, subject
from audit.registry import NEEDS
from audit.result import Estimate, Measurement, Message, Slice
from audit.stats import confusion
from audit.stats.losses import log_losses
from audit.stats.weighted import ratio_of_sums, smooth
from audit.stats.weighted_ranks import WeightedRanking, trivially
from audit.text import message
from audit.weighted import Cells, Rates, counted, kish, means, shares, summed, weighed

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from audit.context import Context, Grouping
    from audit.stats.weighted import Share, Totals
    from audit.table import Block

ONE_CLASS = "All outcomes are of one class on these rows."
NO_SPREAD = "Fewer than two rows count here, or all have one value."
NO_WEIGHTS = "This measure takes no survey weights."


def crossed(ctx: Context) -> list[tuple[Grouping | None, Cells]]:
    """Everybody, then each grouping: rows by outcome and decision, (slices, classes²), the decision running fastest."""
    size = len(ctx.settled.classes)

    def coding(block: Block) -> NDArray[np.int64]:
        known = (block["y"] >= 0) & (block["pred"] >= 0)
        return np.where(known, block["y"].astype(np.int64) * size + block["pred"], size * size)

    return [
        (g, Cells(c.rows[:, :-1], c.sums[:, :-1], c.squares[:, :-1], c.cubes[:, :-1]))
        for g, c in counted(ctx, coding, size * size + 1, ["y", "pred"])
    ]


def read_rates(size: int, event: int | None) -> Any:
    """Accuracy, and of the event precision and recall (of each class where there is none), from (…, classes²) cells."""

    def read(cells: NDArray[Any]) -> dict[str, tuple[NDArray[Any], NDArray[Any]]]:
        table = cells.reshape(-1, size, size)
        out = {"accuracy": (np.trace(table, axis1=1, axis2=2), table.sum(axis=(1, 2)))}
        for c in range(size) if event is None else [event]:
            name = f"/{c}" if event is None else ""
            out[f"precision{name}"] = (table[:, c, c], table[:, :, c].sum(axis=1))
            out[f"recall{name}"] = (table[:, c, c], table[:, c].sum(axis=1))
        return out

    return read


def rate(ctx: Context, metric: str, share: Share, slice_: Slice) -> Measurement:
    """A weighted rate; undefined where no row counts for it."""
    from audit.measure import rate as of_rows

    return weighed(of_rows(ctx, metric, share.hits, share.rows, slice_=slice_), share, None)


def of_cells(ctx: Context, cells: Cells, i: int, slice_: Slice, metrics: Sequence[str]) -> Iterator[Measurement]:
    """Balanced accuracy, F1 and macro means of one slice: smooth functions of its cells, which are drawn independently of each other."""
    sums = cells.sums[i]
    event = ctx.settled.classes.index(ctx.settled.positive) if ctx.settled.positive is not None and ctx.settled.task == "binary" else None
    total, rows = float(sums.sum()), int(cells.rows[i].sum())
    ways: dict[str, Callable[[confusion.Tallies], NDArray[np.float64]]] = {
        "balanced_accuracy": confusion.balanced_accuracy, "informedness": informedness, "f1": lambda t: confusion.f1(t, event),
        "balanced_accuracy_score": confusion.balanced_accuracy, "f1_score": lambda t: confusion.f1(t, event),
        "precision": lambda t: confusion.precision(t, event), "recall": lambda t: confusion.recall(t, event),
    }  # fmt: skip
    products = np.diag(cells.squares[i] + 2 * cells.cubes[i] / max(total, 1e-300))
    effective = total**2 / float(cells.squares[i].sum()) if rows else 1.0
    for metric in metrics:
        found = smooth(
            partial(_read, ways[metric]), sums, products, rows, level=ctx.level(metric),
            low=-1.0 if metric == "informedness" else 0.0, high=1.0, effective=effective,
        )  # fmt: skip
        reason = message("The class that it speaks of was never predicted, or never happened, on these rows.")
        yield value(metric, found, slice_=slice_, reason=reason)


def _read(of: Callable[[confusion.Tallies], NDArray[np.float64]], sums: NDArray[np.float64]) -> NDArray[np.float64]:
    return of(confusion.tallies(sums))


def informedness(t: confusion.Tallies) -> NDArray[np.float64]:
    """Mean recall over the classes that happened, rescaled so that guessing is 0 and perfection 1."""
    classes = (t.actual > 0).sum(axis=-1)
    return np.asarray((confusion.balanced_accuracy(t) * classes - 1) / np.maximum(classes - 1, 1))


def rankings(ctx: Context, grouping: Grouping | None, what: int | None = None) -> list[WeightedRanking]:
    """Scores of the event (or of class `what`) with outcomes and weights, of each slice."""
    usable, w = ctx.scored.usable, ctx.scored.column("w")
    event = ctx.settled.classes.index(ctx.settled.positive or "") if what is None else what
    score = ctx.scored.score if ctx.settled.task == "binary" else ctx.scored.column(f"score_{event}")
    codes = np.zeros(ctx.scored.rows, np.int32) if grouping is None else ctx.codes(grouping)
    kept = [usable & (codes == i) for i in range(len(grouping.slices) if grouping else 1)]
    return [WeightedRanking(score[k], ctx.scored.y[k] == event, w[k]) for k in kept]


def losses(ctx: Context, grouping: Grouping | None = None) -> Totals:
    """Weighted sums of log loss, Brier score and each class, by slice."""
    size = len(ctx.settled.classes)

    def of(rows: Block) -> list[NDArray[Any]]:
        scores, y = probabilities(rows, ctx), rows["y"].astype(np.int64)
        given = scores[np.arange(len(y)), y]
        brier = (1 - given) ** 2 if size == 2 else (scores**2).sum(axis=1) - 2 * given + 1
        return [log_losses(given), brier, *(y == c for c in range(size))]

    return summed(ctx, grouping, of, outcome=True, names=columns(ctx))


def mean_losses(ctx: Context, totals: Totals, i: int, slice_: Slice) -> Iterator[Measurement]:
    """Log loss and Brier score of one slice."""
    for place, metric in ((1, "log_loss"), (2, "brier_score")):
        if not ctx.settled.has_forecasts:
            yield undefined(metric, message(NEEDS["forecasts"]), slice_=slice_)
            continue
        yield _mean(ctx, metric, totals, i, place, slice_)


def _mean(ctx: Context, metric: str, totals: Totals, i: int, place: int, slice_: Slice) -> Measurement:
    pick = [0, place]
    found = smooth(
        ratio_of_sums, totals.sums[i][pick], totals.products[i][np.ix_(pick, pick)], int(totals.rows[i]), level=ctx.level(metric),
        low=-1.0 if metric == "calibration_in_the_large" else 0.0,
    )  # fmt: skip
    return value(metric, found, slice_=slice_, reason=message(NO_SPREAD)).model_copy(update={"weights": kish(totals, i) if found else None})


def skills(ctx: Context, totals: Totals, i: int, slice_: Slice) -> Iterator[Measurement]:
    """Skill of one slice against the best constant forecast of its own weighted base rate."""
    for metric, place, kind in (("brier_skill", 2, "brier"), ("log_loss_skill", 1, "log")):

        def skill(sums: NDArray[np.float64], place: int = place, kind: str = kind) -> NDArray[np.float64]:
            with np.errstate(divide="ignore", invalid="ignore"):
                trivial = trivially(np.maximum(sums[:, 3:], 0) / sums[:, :1], kind)
                return np.asarray(np.where(trivial > 1e-15, 1 - sums[:, place] / sums[:, 0] / trivial, np.nan))

        found = smooth(skill, totals.sums[i], totals.products[i], int(totals.rows[i]), level=ctx.level(metric), high=1.0)
        reason = message("All outcomes are the same on these rows, or all forecasts are equally wrong.")
        yield value(metric, found, slice_=slice_, reason=reason).model_copy(update={"weights": kish(totals, i) if found else None})


def explained(ctx: Context, grouping: Grouping | None) -> Iterator[tuple[int, Measurement]]:
    """R² of each slice, against its own weighted mean."""
    middle = float(np.mean(ctx.scored.y[ctx.scored.usable])) if ctx.scored.usable.any() else 0.0
    totals = summed(
        ctx, grouping, lambda rows: [rows["y"] - middle, (rows["y"] - middle) ** 2, (rows["y"] - rows["pred"]) ** 2], outcome=True
    )

    def share(sums: NDArray[np.float64]) -> NDArray[np.float64]:
        with np.errstate(divide="ignore", invalid="ignore"):
            spread = sums[:, 2] - sums[:, 1] ** 2 / sums[:, 0]
            return np.asarray(np.where(spread > 1e-18 * np.abs(sums[:, 2]), 1 - sums[:, 3] / spread, np.nan))

    for i, slice_ in enumerate(grouping.slices if grouping else [{}]):
        found = smooth(share, totals.sums[i], totals.products[i], int(totals.rows[i]), level=ctx.level("r2"), high=1.0)
        reason = message("All outcomes are the same on these rows, or every prediction is exact.")
        yield i, value("r2", found, slice_=slice_, reason=reason).model_copy(update={"weights": kish(totals, i) if found else None})


def gaps(ctx: Context, grouping: Grouping | None) -> list[Measurement]:
    """Calibration in the large of each slice: mean probability less rate, both by weight. Where the outcome never varies, less Wilson's interval."""
    from audit.stats.rates import wilson_limits

    what, metric = subject(ctx), "calibration_in_the_large"

    def of(rows: Block) -> list[NDArray[Any]]:
        p, true = claimed(rows, ctx, what)
        return [p - true, true]

    totals, found = summed(ctx, grouping, of, outcome=True, names=columns(ctx)), []
    for i, slice_ in enumerate(grouping.slices if grouping else [{}]):
        measured = _mean(ctx, metric, totals, i, 1, slice_)
        weight, hits, rows = float(totals.sums[i, 0]), float(totals.sums[i, 2]), int(totals.rows[i])
        worth = kish(totals, i)
        if rows > 1 and worth is not None and (hits in (0.0, weight)):
            rate_, level, effective = float(hits > 0), ctx.level(metric), max(1, worth.effective[0])
            mean = float(totals.sums[i, 1]) / weight + rate_
            low, high = (float(end) for end in wilson_limits(rate_ * effective, effective, level=level))
            estimate = Estimate(value=mean - rate_, low=mean - high, high=mean - low, level=level, method="wilson_weighted", n=rows)
            measured = value(metric, estimate, slice_=slice_).model_copy(update={"weights": worth})
        found.append(measured)
    return found


def calibrated(ctx: Context, found: Sequence[Measurement], grouping: Grouping | None = None) -> list[Measurement]:
    """What a calibration check found over the rows, by weight: the gap and the Brier score; the other measures take no weights."""
    own: dict[tuple[str, tuple[tuple[str, str], ...]], Measurement] = {}
    by_weight = (
        list(means(ctx, "mean_error", grouping, lambda rows: rows["pred"] - rows["y"], outcome=True))
        if ctx.settled.task == "regression"
        else gaps(ctx, grouping)
    )
    if ctx.settled.task == "binary":
        totals = losses(ctx, grouping)
        by_weight += [_mean(ctx, "brier_score", totals, i, 2, s) for i, s in enumerate(grouping.slices if grouping else [{}])]
    for m in by_weight:
        own[m.metric, tuple(m.slice.items())] = m
    out = []
    for m in found:
        mine = own.get((m.metric, tuple(m.slice.items())))
        if mine is None:  # of the rows alone it would be another quantity
            mine = undefined(m.metric, message(NO_WEIGHTS), slice_=m.slice)
        out.append(mine.model_copy(update={"evidence": m.evidence}))
    return out


def differences(ctx: Context, metric: str, grouping: Grouping, found: Sequence[Measurement]) -> Iterator[Measurement]:
    """Each known group's estimate less the reference's, from different rows."""
    if grouping.reference is None:
        return
    for i, slice_ in enumerate(grouping.slices):
        if i != grouping.reference and i not in grouping.unknown:
            against = grouping.slices[grouping.reference], found[grouping.reference].estimate
            yield from independent_difference(ctx, metric, (slice_, found[i].estimate), against)


def overall(ctx: Context) -> Iterator[Measurement | Message]:
    """What `performance.overall` measures of decisions and scores."""
    settled, size = ctx.settled, len(ctx.settled.classes)
    ((_, cells),) = [(g, c) for g, c in crossed(ctx) if g is None]
    event = settled.classes.index(settled.positive) if settled.positive is not None else None
    by_name = {name: found[0] for name, found in shares(cells, read_rates(size, event)).items()}
    if not by_name["accuracy"].rows:
        yield message("No row has both an outcome and a prediction: nothing can be measured.")
        return
    accuracy = rate(ctx, "accuracy", by_name["accuracy"], {})
    yield accuracy
    yield from of_cells(ctx, cells, 0, {}, ["balanced_accuracy", "f1", *([] if event is not None else ["precision", "recall"])])
    for name, share in by_name.items():
        metric, _, place = name.partition("/")
        if metric != "accuracy":
            yield rate(ctx, metric, share, {"(class)": settled.classes[int(place)]} if place else {})
    auc = None
    if settled.has_scores:
        yield from mean_losses(ctx, losses(ctx), 0, {})
        for measured in _ranked(ctx):
            auc = measured.estimate if measured.metric == "roc_auc" and not measured.slice else auc
            yield measured
    e = accuracy.estimate
    assert e is not None
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
        for grouping, cells in crossed(ctx):
            if grouping is None or grouping.single:
                for i, slice_ in enumerate(grouping.slices if grouping else [{}]):
                    yield from of_cells(ctx, cells, i, slice_, ["informedness"])
        return
    constant = _never_changes(ctx)
    for grouping in groupings:
        if ctx.settled.task == "regression":
            found = [m for _, m in explained(ctx, grouping)]
        else:
            totals = losses(ctx, grouping)
            found = [m for i, slice_ in enumerate(grouping.slices if grouping else [{}]) for m in skills(ctx, totals, i, slice_)]
        for m in found:
            # Scores that never change say nothing, exactly; their last digits may depend on a row's place in its batch.
            flat = exact(min(0.0, m.estimate.value), m.estimate.n) if constant and m.estimate else m.estimate
            yield m.model_copy(update={"estimate": flat})


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
    for grouping, cells in crossed(ctx):
        if grouping is None:
            continue
        found = Rates(shares(cells, read_rates(size, None)))
        names = {"accuracy": None} | (
            {f"recall/{c}": c for c in range(min(size, 20))} if grouping.single and settled.task == "multiclass" else {}
        )
        for name, place in names.items():
            own = {"(class)": settled.classes[place]} if place is not None else {}
            yield from _compared(ctx, name.partition("/")[0], found, name, grouping, own)
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


def _compared(ctx: Context, metric: str, found: Rates, name: str, grouping: Grouping, own: Slice) -> Iterator[Measurement]:
    """A rate of each group, and its difference to the reference."""
    from audit.measure import comparisons
    from audit.result import Part

    sides = found.found[name]
    parts = [Part(slice={**s, **own}, k=side.hits, n=side.rows) for s, side in zip(grouping.slices, sides, strict=True)]
    for i, part in enumerate(parts):
        yield rate(ctx, metric, sides[i], part.slice)
        if grouping.reference is not None and i != grouping.reference and i not in grouping.unknown:
            for m in comparisons(ctx, metric, part, parts[grouping.reference]):
                if m.compare == "difference":
                    yield weighed(m, sides[i], sides[grouping.reference])


def _auc_differences(ctx: Context, grouping: Grouping, tables: Sequence[WeightedRanking]) -> Iterator[Measurement]:
    from audit.stats.auc import difference_of

    if grouping.reference is None:
        return
    other, against = tables[grouping.reference], grouping.slices[grouping.reference]
    for i, slice_ in enumerate(grouping.slices):
        if i != grouping.reference and i not in grouping.unknown:
            e = difference_of(tables[i].delong, other.delong, tables[i].rows + other.rows, level=ctx.level("roc_auc", "difference"))
            if e is not None:
                e = e.model_copy(update={"method": "delong_weighted"})
                yield Measurement(metric="roc_auc", compare="difference", slice=slice_, against=against, estimate=e)


def errors_by_group(ctx: Context) -> Iterator[Measurement]:
    """What `performance.groups` measures of a quantity."""
    for grouping in ctx.groupings():
        yield from means(ctx, "mean_absolute_error", grouping, lambda rows: abs(rows["y"] - rows["pred"]), outcome=True)
        if not grouping.single:
            continue
        yield from means(ctx, "root_mean_squared_error", grouping, lambda rows: (rows["y"] - rows["pred"]) ** 2, outcome=True, root=True)
        found = [m for _, m in explained(ctx, grouping)]
        yield from found
        yield from differences(ctx, "r2", grouping, found)


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
