"""fairlearn's metrics over the groups of a column where rows carry survey weights: what `fairness.metrics` measures, by weight.

What chance gives for equal groups is not drawn: rows of unequal weight cannot be dealt out to groups as equals.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from audit.measure import exact, value
from audit.over_groups import as_printed, in_one_table
from audit.stats import confusion
from audit.stats.extremes import OverGroups
from audit.text import message
from audit.weighted.measurements import measured, over_groups, summed
from audit.weighted.scores import crossed, explained, losses, of_cells, rankings, read_rates

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from audit.context import Context, Grouping
    from audit.measurement import Measurement, Message
    from audit.weighted.measurements import Cells, Summed

    Found = dict[str, OverGroups]
    #: One grouping's metrics over groups → its extremes.
    Extremes = Callable[[Grouping, Found, dict[str, int]], Iterator[Measurement]]


def metrics(ctx: Context, extremes: Extremes, most_classes: int) -> Iterator[Measurement | Message]:
    """Each group's size and losses, then the extremes; `extremes` names them as the check does."""
    from audit.counting import CELLS, cell_coding, rates

    labelled = ctx.facts.target_sql is not None and ctx.settled.task != "regression"
    names = ["pred", *(["y"] if labelled else [])]
    by_decision = over_groups(ctx, cell_coding(ctx), CELLS, names, lambda cells: rates(ctx, cells))
    names_of_rates = list(rates(ctx, np.zeros((1, CELLS), np.int64)))
    by_outcome = {g.columns: cells for g, cells in crossed(ctx) if g} if labelled and len(ctx.settled.classes) <= most_classes else {}
    seen = False
    for grouping in ctx.groupings():
        known = [i for i in range(len(grouping.slices)) if i not in grouping.unknown]
        found: Found = {}
        rows: dict[str, int] = {}
        own = by_decision[grouping.columns]
        for name in names_of_rates:
            found[name], rows[name] = own.over(name, known), sum(own.plain(name, [i]).counts[1] for i in known)
        if grouping.columns in by_outcome:
            cells = by_outcome[grouping.columns]
            for i, slice_ in enumerate(grouping.slices):
                yield from of_cells(ctx, cells, i, slice_, ["f1_score", "balanced_accuracy_score"])
            _of_decisions(ctx, cells, known, found, rows)
        if ctx.facts.target_sql is not None:
            yield from _of_rows(ctx, grouping, known, found, rows)
        for m in in_one_table(extremes(grouping, found, rows)):
            seen = seen or m.estimate is not None
            yield m
    yield (
        message("Extremes over groups are given by weight; how large they get among equal groups is not simulated.") if seen
        else message("No two groups have rows that can be compared.")
    )  # fmt: skip


def _of_decisions(ctx: Context, cells: Cells, known: list[int], found: Found, rows: dict[str, int]) -> None:
    """Metrics of outcome by decision, over the known groups."""
    size = len(ctx.settled.classes)
    event = ctx.settled.classes.index(ctx.settled.positive) if ctx.settled.positive is not None else None
    right = cells.rates(read_rates(size, 0 if event is None else event))
    found["accuracy_score"] = right.over("accuracy", known)
    found["zero_one_loss"] = right.over("accuracy", known, complement=True)
    ways: dict[str, Callable[[confusion.Tallies], NDArray[np.float64]]] = {
        "balanced_accuracy_score": confusion.balanced_accuracy, "f1_score": lambda t: confusion.f1(t, event),
        "precision_score": lambda t: confusion.precision(t, event), "recall_score": lambda t: confusion.recall(t, event),
    }  # fmt: skip
    sums = cells.codes.sums[known]
    for name, of in ways.items():
        found[name] = OverGroups(of(confusion.tallies(sums)), float(of(confusion.tallies(sums.sum(axis=0)))))
    usable = int(cells.codes.rows[known].sum())
    rows |= dict.fromkeys(["accuracy_score", "zero_one_loss", *ways], usable)


def _of_rows(ctx: Context, grouping: Grouping, known: list[int], found: Found, rows: dict[str, int]) -> Iterator[Measurement]:
    """Losses, errors and rank metrics of the groups; the means of each are yielded."""
    if ctx.settled.task == "regression":
        yield from _errors(ctx, grouping, known, found, rows)
        return
    if not ctx.settled.has_scores:
        return
    if ctx.settled.has_forecasts:
        yield from _means(ctx, {"log_loss": 1}, losses(ctx, grouping), grouping, known, found, rows)
    classes = (
        [ctx.settled.classes.index(ctx.settled.positive)]
        if ctx.settled.task == "binary" and ctx.settled.positive
        else range(len(ctx.settled.classes))
    )
    aucs = np.array([[np.nan if t.delong is None else t.delong[0] for t in rankings(ctx, grouping, c)] for c in classes])
    found["roc_auc_score"] = OverGroups(aucs.mean(axis=0)[known], np.nan)
    rows["roc_auc_score"] = sum(t.rows for i, t in enumerate(rankings(ctx, grouping, classes[0])) if i in known)


def _means(
    ctx: Context, places: dict[str, int], totals: Summed, grouping: Grouping, known: list[int], found: Found, rows: dict[str, int]
) -> Iterator[Measurement]:
    """The weighted means of these columns of the totals."""
    from audit.stats.weighted_sums import ratio_of_sums

    for metric, place in places.items():
        with np.errstate(divide="ignore", invalid="ignore"):
            means = totals.sums[:, place] / totals.sums[:, 0]
        together = totals.sums[known].sum(axis=0)
        found[metric] = OverGroups(means[known], float(together[place] / together[0]) if together[0] else np.nan)
        rows[metric] = int(totals.rows[known].sum())
        if metric == "mean_absolute_error":
            continue  # `performance.groups` reports it
        for i, slice_ in enumerate(grouping.slices):
            yield measured(ctx, metric, totals, i, ratio_of_sums, slice_, pick=[0, place])


def _errors(ctx: Context, grouping: Grouping, known: list[int], found: Found, rows: dict[str, int]) -> Iterator[Measurement]:
    totals = summed(ctx, grouping, lambda r: [abs(r["y"] - r["pred"]), (r["y"] - r["pred"]) ** 2], outcome=True)
    yield from _means(ctx, {"mean_absolute_error": 1, "mean_squared_error": 2}, totals, grouping, known, found, rows)
    shares = list(explained(ctx, grouping))
    yield from (m.model_copy(update={"metric": "r2_score"}) for m in shares)
    values = np.array([m.estimate.value if m.estimate else np.nan for m in shares])
    found["r2_score"], rows["r2_score"] = OverGroups(values[known], np.nan), int(totals.rows[known].sum())


def sizes(ctx: Context) -> Iterator[Measurement]:
    """fairlearn's `count` is of rows, weighted or not."""
    for grouping in ctx.groupings():
        counts: NDArray[np.int64] = np.zeros(len(grouping.slices), np.int64)
        for block in ctx.scored.blocks(["pred", *(f"g{i}" for i in grouping.places)]):
            held = block.predicted()
            counts += np.bincount(ctx.place(held, grouping), minlength=len(counts))
        for slice_, n in zip(grouping.slices, counts.tolist(), strict=True):
            yield value("count", exact(float(n), n), slice_=slice_)


def printed(found: Found, rows: dict[str, int]) -> dict[str, tuple[OverGroups, int, OverGroups]]:
    """Each metric with its rows and as fairlearn would print it, a rate of no rows counted as 0."""
    return {
        name: (over, rows[name], as_printed(name, over, np.where(np.isnan(found.get("accuracy_score", over).values), 0, 1)))
        for name, over in found.items()
    }
