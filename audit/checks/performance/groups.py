"""For whom the model is wrong: accuracy, ranking and error per group, each against the reference."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Annotated

from audit.registry import Field, check

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from audit.context import Context, Grouping
    from audit.measurement import Estimate, Measurement, Message, Part
    from audit.table import Block


@check(
    "performance.groups",
    title="For whom the model is wrong",
    meaning=(
        "Accuracy and ROC AUC per group (for several classes: also macro F1, balanced accuracy and the recall of each class; for a quantity: mean absolute error, root mean squared "
        "error and R²), and how far each lies from the reference group."
    ),
    limits=(
        "A group's figure depends on how hard its cases are, not only on the model. Equal accuracy can hide unequal kinds of error: see the error rates under "
        "group fairness. Small groups have wide intervals."
    ),
    unit="share of rows, or the unit of the outcome for errors",
    direction="higher",
    needs=["labels", "sensitive"],
    weighs="weighted",
    references=["Wilson 1927", "Newcombe 1998", "DeLong, DeLong and Clarke-Pearson 1988", "Welch 1947"],
)
def groups(ctx: Context, *, replicates: Annotated[int, Field(ge=25, le=100_000)] = 2000) -> Iterable[Measurement | Message]:
    """Accuracy and AUC, macro F1 and recall of each class, or errors and R², per group with the difference to the reference; in blocks of rows."""
    if ctx.facts.weight is not None:
        return _by_weight(ctx)
    if ctx.settled.task == "regression":
        return _errors(ctx)
    return _accuracies(ctx, replicates)


def _by_weight(ctx: Context) -> Iterator[Measurement | Message]:
    """The same where rows carry survey weights."""
    from audit.weighted import performance as scores

    quantity = ctx.settled.task == "regression"
    found = list(scores.errors_by_group(ctx) if quantity else scores.by_group(ctx))
    yield from found
    yield scores.largest_error(ctx, found) if quantity else scores.worst_accuracy(ctx, found)


def _accuracies(ctx: Context, replicates: int) -> Iterator[Measurement | Message]:
    import numpy as np

    from audit.measure import NAMED, comparisons, rate
    from audit.measurement import Part
    from audit.text import message, who

    def coding(block: Block) -> NDArray[np.int64]:
        """0 for rows without outcome or prediction, 1 for wrong, 2 for right."""
        known = (block["y"] >= 0) & (block["pred"] >= 0)
        code: NDArray[np.int64] = known.astype(np.int64)
        code += known & (block["y"] == block["pred"])
        return code

    worst: tuple[tuple[bool, float], Part, Estimate] | None = None
    size = len(ctx.settled.classes)

    def crossed(block: Block) -> NDArray[np.int64]:
        """Outcome and decision as one number; the last for rows that lack one of them."""
        known = (block["y"] >= 0) & (block["pred"] >= 0)
        return np.where(known, block["y"].astype(np.int64) * size + block["pred"], size * size)

    codings = {"right": (coding, 3)} | ({"crossed": (crossed, size * size + 1)} if ctx.settled.task == "multiclass" else {})
    for grouping, cells in ctx.counted(codings, ["y", "pred"]):
        k = cells["right"][:, 2]
        n = k + cells["right"][:, 1]
        parts = [Part(slice=s, k=int(k[i]), n=int(n[i])) for i, s in enumerate(grouping.slices)]
        for i, part in enumerate(parts):
            own = rate(ctx, "accuracy", part.k, part.n, slice_=part.slice, what="rows with an outcome")
            yield own
            if grouping.single and i not in grouping.unknown and part.n >= ctx.plan.disclosure.min_group_size and own.estimate:
                key = (part.n < NAMED, own.estimate.value)
                worst = (key, part, own.estimate) if worst is None or key < worst[0] else worst
            if grouping.reference is not None and i != grouping.reference and i not in grouping.unknown:
                yield from (m for m in comparisons(ctx, "accuracy", part, parts[grouping.reference]) if m.compare == "difference")
        if grouping.single and ctx.settled.has_scores and ctx.settled.task == "binary":
            yield from _aucs(ctx, grouping)
        if grouping.single and ctx.settled.task == "multiclass":
            yield from _recalls(ctx, grouping, cells["crossed"][:, :-1].reshape(-1, size, size), replicates)
    if worst is None:
        yield message("No group has enough rows to be shown.")
    else:
        yield message(
            "{group}: of groups of at least {least:count} rows, the decision matches the outcome least often, in {rate:percent} of {n:count} rows ({level:percent} interval "
            "{low:percent} to {high:percent}).",
            group=who(worst[1].slice), rate=worst[2].value, n=worst[1].n, level=worst[2].level, low=worst[2].low, high=worst[2].high,
            least=ctx.plan.disclosure.min_group_size if worst[0][0] else NAMED,
        )  # fmt: skip


def _recalls(ctx: Context, grouping: Grouping, cells: NDArray[np.int64], replicates: int) -> Iterator[Measurement]:
    """Several classes, from cells (slices, classes, classes) of outcome and decision: macro F1 and balanced accuracy of each group, and how many of
    each class's outcomes are recognised in each group, against the reference; at most the first twenty classes."""
    from audit.measure import comparisons, rate, value
    from audit.measurement import Part
    from audit.stats.cells import bootstrap
    from audit.stats.rates import macro_scores
    from audit.text import message

    size, reason = cells.shape[1], message("No row of this group has an outcome and a prediction.")
    for i, slice_ in enumerate(grouping.slices):
        name = "/".join(f"{k}={v}" for k, v in slice_.items())
        found = bootstrap(
            cells[i].ravel(), lambda counts: macro_scores(counts.reshape(-1, size, size))[:, :2], replicates=replicates, rng=ctx.rng(f"macro/{name}"),
            level=ctx.level("f1"),
        ).estimates if cells[i].sum() else [None, None]  # fmt: skip
        yield value("balanced_accuracy", found[0], slice_=slice_, reason=reason)
        yield value("f1", found[1], slice_=slice_, reason=reason)
    for c, label in enumerate(ctx.settled.classes[:20]):
        parts = [
            Part(slice={**s, "(class)": label}, k=int(cells[i, c, c]), n=int(cells[i, c].sum())) for i, s in enumerate(grouping.slices)
        ]
        for i, part in enumerate(parts):
            yield rate(ctx, "recall", part.k, part.n, slice_=part.slice, what="rows with this outcome")
            if grouping.reference is not None and i != grouping.reference and i not in grouping.unknown:
                yield from (m for m in comparisons(ctx, "recall", part, parts[grouping.reference]) if m.compare == "difference")


def _aucs(ctx: Context, grouping: Grouping) -> Iterator[Measurement]:
    """ROC AUC of each group against the reference; scores are sorted through files."""
    from audit.measure import value
    from audit.measurement import Measurement
    from audit.ordered import in_order, subject
    from audit.stats.auc import difference_of
    from audit.stats.ranking import Ranking
    from audit.text import message

    with in_order(ctx, subject(ctx), grouping) as tables:
        ranked = [Ranking(t.positives, t.negatives, t.pieces(), precision=False) for t in tables]
    for i, slice_ in enumerate(grouping.slices):
        reason = message("All outcomes of this group are of one class: an area needs rows of both.")
        yield value("roc_auc", ranked[i].roc_auc(level=ctx.level("roc_auc")), slice_=slice_, reason=reason)
        if grouping.reference is None or i == grouping.reference or i in grouping.unknown:
            continue
        rows = sum(r.positives + r.negatives for r in (ranked[i], ranked[grouping.reference]))
        difference = difference_of(ranked[i].delong(), ranked[grouping.reference].delong(), rows, level=ctx.level("roc_auc", "difference"))
        if difference is not None:
            yield Measurement(
                metric="roc_auc", compare="difference", slice=slice_, against=grouping.slices[grouping.reference], estimate=difference
            )


def _errors(ctx: Context) -> Iterator[Measurement | Message]:
    """Mean absolute error, root mean squared error and R² of each group, in passes over blocks of rows."""
    from functools import partial

    from audit.measure import independent_difference, mean_comparison, value
    from audit.stats.losses import mean_size_of, root_of
    from audit.stats.skill import explained
    from audit.stats.sums import Grouped
    from audit.text import message, who

    few = message("Fewer than two rows of this group have an outcome.")
    flat = message("Fewer than two rows of this group have an outcome, or all their outcomes are the same.")
    worst: tuple[float, dict[str, str], int] = (-1.0, {}, 0)
    for grouping in ctx.groupings():

        def read(grouping: Grouping) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]]:
            for block in ctx.scored.blocks(["y", "pred", *(f"g{i}" for i in grouping.places)]):
                rows = block.usable()
                yield ctx.place(rows, grouping), rows["pred"], rows["y"]

        size = len(grouping.slices)
        absolute, squared = Grouped(size), Grouped(size)
        for place, prediction, outcome in read(grouping):
            absolute.add(place, abs(outcome - prediction))
            squared.add(place, (outcome - prediction) ** 2)
        errors, squares = absolute.moments(), squared.moments()
        shares = explained(partial(read, grouping), size, level=ctx.level("r2")) if grouping.single else []
        level = ctx.level("root_mean_squared_error")
        roots = [root_of(m, level=level) if m and m.n > 1 else None for m in squares]
        for i, slice_ in enumerate(grouping.slices):
            own = errors[i]
            known = own is not None and own.n > 1
            yield value(
                "mean_absolute_error",
                mean_size_of(own, level=ctx.level("mean_absolute_error")) if own and known else None,
                slice_=slice_,
                reason=few,
            )
            if not grouping.single:
                continue
            yield value("root_mean_squared_error", roots[i], slice_=slice_, reason=few)
            yield value("r2", shares[i], slice_=slice_, reason=flat)
            if own and i not in grouping.unknown and own.n >= ctx.plan.disclosure.min_group_size:
                worst = max(worst, (own.mean, slice_, own.n), key=lambda w: w[0])
            if grouping.reference is None or i == grouping.reference or i in grouping.unknown:
                continue
            against, theirs = grouping.slices[grouping.reference], errors[grouping.reference]
            if own and theirs:
                yield from mean_comparison(ctx, "mean_absolute_error", (slice_, own[:]), (against, theirs[:]))
            for metric, found in (("root_mean_squared_error", roots), ("r2", shares)):
                yield from independent_difference(ctx, metric, (slice_, found[i]), (against, found[grouping.reference]))
    if worst[0] < 0:
        yield message("No group has enough rows to be shown.")
    else:
        yield message(
            "{group}: the prediction is furthest off, on average by {error:number} ({n:count} rows).",
            group=who(worst[1]),
            error=worst[0],
            n=worst[2],
        )
