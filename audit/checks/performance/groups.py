"""For whom the model is wrong: accuracy, ranking and error per group, each against the reference."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from audit.registry import check

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from audit.context import Context, Grouping
    from audit.result import Measurement, Message
    from audit.table import Block


@check(
    "performance.groups",
    title="For whom the model is wrong",
    meaning="Accuracy and ROC AUC per group (for a quantity: mean absolute error), and how far each lies from the reference group.",
    limits=(
        "A group's figure depends on how hard its cases are, not only on the model. Equal accuracy can hide unequal kinds of error: see the error rates under "
        "group fairness. Small groups have wide intervals."
    ),
    unit="share of rows, or the unit of the outcome for errors",
    direction="higher",
    needs=["labels", "sensitive"],
    references=["Wilson 1927", "Newcombe 1998", "DeLong, DeLong and Clarke-Pearson 1988", "Welch 1947"],
)
def groups(ctx: Context) -> Iterable[Measurement | Message]:
    """Accuracy and AUC, or mean absolute error, per group with the difference to the reference."""
    if ctx.settled.task == "regression":
        return _errors(ctx)
    return _accuracies(ctx)


def _accuracies(ctx: Context) -> Iterator[Measurement | Message]:
    import numpy as np

    from audit.measure import comparisons, rate
    from audit.result import Part
    from audit.text import message, who

    def coding(block: Block) -> NDArray[np.int64]:
        """0 for rows without outcome or prediction, 1 for wrong, 2 for right."""
        known = (block["y"] >= 0) & (block["pred"] >= 0)
        code: NDArray[np.int64] = known.astype(np.int64)
        code += known & (block["y"] == block["pred"])
        return code

    worst: tuple[float, dict[str, str], int] | None = None
    for grouping, cells in ctx.counted({"right": (coding, 3)}, ["y", "pred"]):
        k = cells["right"][:, 2]
        n = k + cells["right"][:, 1]
        parts = [Part(slice=s, k=int(k[i]), n=int(n[i])) for i, s in enumerate(grouping.slices)]
        for i, part in enumerate(parts):
            yield rate(ctx, "accuracy", part.k, part.n, slice_=part.slice, what="rows with an outcome")
            if grouping.single and i not in grouping.unknown and part.n >= ctx.plan.disclosure.min_group_size:
                worst = min(worst or (2.0, {}, 0), (part.k / part.n, part.slice, part.n), key=lambda w: w[0])
            if grouping.reference is not None and i != grouping.reference and i not in grouping.unknown:
                yield from (m for m in comparisons(ctx, "accuracy", part, parts[grouping.reference]) if m.compare == "difference")
        if grouping.single and ctx.settled.has_scores and ctx.settled.task == "binary":
            yield from _aucs(ctx, grouping)
    if worst is None:
        yield message("No group has enough rows to be shown.")
    else:
        yield message(
            "{group}: the decision matches the outcome least often, in {rate:percent} of {n:count} rows.",
            group=who(worst[1]),
            rate=worst[0],
            n=worst[2],
        )


def _aucs(ctx: Context, grouping: Grouping) -> Iterator[Measurement]:
    from audit.measure import value
    from audit.result import Measurement
    from audit.stats.auc import auc_difference, roc_auc_ranked
    from audit.stats.ranked import rank
    from audit.text import message

    event = ctx.scored.y == ctx.settled.classes.index(ctx.settled.positive or "")
    usable = ctx.scored.usable
    codes = ctx.codes(grouping)
    tables = [rank(ctx.scored.score[m], event[m]) for m in (usable & (codes == i) for i in range(len(grouping.slices)))]
    for i, slice_ in enumerate(grouping.slices):
        reason = message("All outcomes of this group are of one class.")
        yield value("roc_auc", roc_auc_ranked(tables[i], level=ctx.level("roc_auc")), slice_=slice_, reason=reason)
        if grouping.reference is None or i == grouping.reference or i in grouping.unknown:
            continue
        difference = auc_difference(tables[i], tables[grouping.reference], level=ctx.level("roc_auc", "difference"))
        if difference is not None:
            yield Measurement(
                metric="roc_auc", compare="difference", slice=slice_, against=grouping.slices[grouping.reference], estimate=difference
            )


def _errors(ctx: Context) -> Iterator[Measurement | Message]:
    import numpy as np

    from audit.measure import value
    from audit.result import Measurement, Test
    from audit.stats import losses
    from audit.stats.compare import mean_difference, mean_test
    from audit.text import message, who

    error = np.abs(ctx.scored.y - ctx.scored.pred)
    worst: tuple[float, dict[str, str], int] = (-1.0, {}, 0)
    for grouping in ctx.groupings():
        codes = ctx.codes(grouping)
        members = [error[ctx.scored.usable & (codes == i)] for i in range(len(grouping.slices))]
        triples = [_triple(m) for m in members]
        for i, slice_ in enumerate(grouping.slices):
            level = ctx.level("mean_absolute_error")
            estimate = losses.mean_loss(members[i], level=level) if len(members[i]) > 1 else None
            yield value(
                "mean_absolute_error", estimate, slice_=slice_, reason=message("Fewer than two rows of this group have an outcome.")
            )
            if grouping.single and i not in grouping.unknown and len(members[i]) >= ctx.plan.disclosure.min_group_size:
                worst = max(worst, (triples[i][1], slice_, len(members[i])), key=lambda w: w[0])
            if not grouping.single or grouping.reference is None or i == grouping.reference or i in grouping.unknown:
                continue
            difference = mean_difference(triples[i], triples[grouping.reference], level=ctx.level("mean_absolute_error", "difference"))
            tested = mean_test(triples[i], triples[grouping.reference])
            if difference is not None:
                test = Test(null="equality", method=tested[1], p_value=tested[0]) if tested else None
                against = grouping.slices[grouping.reference]
                yield Measurement(
                    metric="mean_absolute_error", compare="difference", slice=slice_, against=against, estimate=difference, test=test
                )
    if worst[0] < 0:
        yield message("No group has enough rows to be shown.")
    else:
        yield message(
            "{group}: the prediction is furthest off, on average by {error:number} ({n:count} rows).",
            group=who(worst[1]),
            error=worst[0],
            n=worst[2],
        )


def _triple(values: NDArray[np.float64]) -> tuple[int, float, float]:
    if len(values) < 2:
        return len(values), float(values[0]) if len(values) else 0.0, 0.0
    return len(values), float(values.mean()), float(values.var(ddof=1))
