"""Whether probabilities mean the same for each group."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from audit.registry import check

if TYPE_CHECKING:
    from audit.context import Context
    from audit.result import Measurement, Message


@check(
    "calibration.groups",
    title="Whether probabilities mean the same for each group",
    meaning="Per group: the mean probability minus the observed rate (for a quantity: the mean of prediction minus outcome), and the calibration slope.",
    limits=(
        "A positive gap means that the model expects the event more often than it happened in this group. Where base rates differ, equal calibration and equal error rates cannot "
        "both hold. Gaps can cancel within a group."
    ),
    unit="probability, or the unit of the outcome",
    direction="target",
    needs=["labels", "sensitive"],
    references=["Cox 1958", "Kleinberg, Mullainathan and Raghavan 2017", "Chouldechova 2017"],
)
def groups(ctx: Context) -> Iterable[Measurement | Message]:
    """Calibration in the large and slope per group of each sensitive column."""
    from audit.text import message

    if ctx.settled.task != "regression" and not (ctx.settled.has_scores and ctx.settled.task == "binary"):
        return [message("There is no probability of one event to calibrate per group: see the overall check.")]
    return _gaps(ctx)


def _gaps(ctx: Context) -> Iterator[Measurement | Message]:
    from audit.text import message, who

    widest: tuple[float, dict[str, str], float, int] | None = None
    for grouping in ctx.groupings(intersection=False):
        codes = ctx.codes(grouping)
        for i, slice_ in enumerate(grouping.slices):
            for measurement in _gap(ctx, codes == i, slice_):
                yield measurement
                e = measurement.estimate
                if (
                    e is None
                    or measurement.metric == "calibration_slope"
                    or i in grouping.unknown
                    or e.n < ctx.plan.disclosure.min_group_size
                ):
                    continue
                if widest is None or abs(e.value) > widest[0]:
                    widest = (abs(e.value), slice_, e.value, e.n)
    if widest is None:
        yield message("No group has enough rows with an outcome to be shown.")
        return
    group = who(widest[1])
    if ctx.settled.task == "regression":
        yield message(
            "{group}: the widest gap between prediction and outcome, {gap:signed} on average ({n:count} rows).",
            gap=widest[2],
            group=group,
            n=widest[3],
        )
    else:
        yield message(
            "{group}: the widest gap between mean probability and observed rate, {gap:points} points ({n:count} rows).",
            gap=widest[2],
            group=group,
            n=widest[3],
        )


def _gap(ctx: Context, members: object, slice_: dict[str, str]) -> Iterator[Measurement]:
    import numpy as np

    from audit.measure import value
    from audit.stats import calibration
    from audit.stats.losses import mean_loss
    from audit.stats.ranked import rank
    from audit.text import message

    keep = ctx.scored.usable & np.asarray(members)
    few = message("Fewer than two rows of this group have an outcome.")
    if ctx.settled.task == "regression":
        residual = (ctx.scored.pred - ctx.scored.y)[keep]
        yield value(
            "mean_error", mean_loss(residual, level=ctx.level("mean_error")) if len(residual) > 1 else None, slice_=slice_, reason=few
        )
        return
    table = rank(np.clip(ctx.scored.score[keep], 0, 1), ctx.scored.y[keep] == ctx.settled.classes.index(ctx.settled.positive or ""))
    yield value(
        "calibration_in_the_large",
        calibration.in_the_large_ranked(table, level=ctx.level("calibration_in_the_large")),
        slice_=slice_,
        reason=few,
    )
    line = calibration.slope_and_intercept(table, level=ctx.level("calibration_slope")) if table.rows > 1 else None
    yield value(
        "calibration_slope", line.slope if line else None, slice_=slice_,
        reason=message("The outcomes are separated by the score, or do not vary: a slope cannot be fitted."),
    )  # fmt: skip
