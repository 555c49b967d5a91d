"""Whether the model's probabilities mean what they say."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Annotated

from audit.registry import Field, check

if TYPE_CHECKING:
    from audit.context import Context
    from audit.result import Evidence, Measurement, Message
    from audit.stats.ranked import Ranked


@check(
    "calibration.overall",
    title="Whether probabilities mean what they say",
    meaning=(
        "Calibration in the large is the mean probability minus the observed rate. The slope says whether scores are too extreme (below 1) or too timid (above 1). The expected "
        "calibration error averages the gap over bins; the debiased error takes away what chance adds, so that 0 means indistinguishable from calibrated at this number of rows. "
        "For a quantity: the mean of prediction minus outcome. For several classes: the probability of the predicted class."
    ),
    limits=(
        "It is seen only as finely as the bins, and over everybody: a model can be calibrated on average and wrong for a group. The plain expected calibration error is biased "
        "upwards when bins hold few rows, and is never judged."
    ),
    unit="probability, or the unit of the outcome",
    direction="target",
    needs=["labels"],
    references=["Cox 1958", "Guo et al. 2017", "Kumar, Liang and Ma 2019", "Naeini, Cooper and Hauskrecht 2015"],
)
def overall(ctx: Context, *, bins: Annotated[int, Field(ge=1, le=1000)] = 15) -> Iterable[Measurement | Message]:
    """Calibration of the event's probability, of the top label, or the bias of a regression."""
    from audit.text import message

    if ctx.settled.task == "regression":
        return _bias(ctx)
    if not ctx.settled.has_scores:
        return [message("The model returns labels only: there are no probabilities to calibrate.")]
    return _probabilities(ctx, bins)


def _bias(ctx: Context) -> Iterator[Measurement | Message]:
    from audit.measure import value
    from audit.stats.losses import mean_loss
    from audit.text import message

    residual = (ctx.scored.pred - ctx.scored.y)[ctx.scored.usable]
    if len(residual) < 2:
        yield message("Fewer than two rows have an outcome and a prediction: nothing can be measured.")
        return
    bias = mean_loss(residual, level=ctx.level("mean_error"))
    yield value("mean_error", bias)
    yield message("On average the prediction differs from the outcome by {bias:signed} ({level:percent} interval {low:signed} to {high:signed}).",
                  bias=bias.value, low=bias.low, high=bias.high, level=bias.level)  # fmt: skip


def _table(ctx: Context) -> Ranked:
    """Probabilities and outcomes: of the event, or of the predicted class for several."""
    import numpy as np

    from audit.stats.ranked import rank

    keep = ctx.scored.usable
    if ctx.settled.task == "binary":
        return rank(np.clip(ctx.scored.score[keep], 0, 1), ctx.scored.y[keep] == ctx.settled.classes.index(ctx.settled.positive or ""))
    scores = ctx.scored.scores()[keep]
    return rank(np.clip(scores.max(axis=1), 0, 1), scores.argmax(axis=1) == ctx.scored.y[keep])


def _probabilities(ctx: Context, bins: int) -> Iterator[Measurement | Message]:
    from audit.measure import exact, value
    from audit.stats import calibration
    from audit.text import message

    table = _table(ctx)
    if table.rows < 2:
        yield message("Fewer than two rows have an outcome and a score: nothing can be measured.")
        return
    large = calibration.in_the_large_ranked(table, level=ctx.level("calibration_in_the_large"))
    yield value("calibration_in_the_large", large, evidence=_reliability(ctx, table, bins))
    line = calibration.slope_and_intercept(table, level=ctx.level("calibration_slope"))
    reason = message("The outcomes are separated by the score, or do not vary: a slope cannot be fitted.")
    yield value("calibration_slope", line.slope if line else None, reason=reason)
    yield value("calibration_intercept", line.intercept if line else None, reason=reason)
    plain = calibration.expected_calibration_error(table, bins=bins)
    yield value("expected_calibration_error", None if plain is None else exact(plain, table.rows))
    level = ctx.level("debiased_calibration_error")
    debiased = calibration.calibration_error(table, level=level, rng=ctx.rng("bins"), bins=bins)
    yield value("debiased_calibration_error", debiased)
    if large is None:
        yield message("Calibration cannot be measured on these rows.")
        return
    numbers = {"gap": large.value, "low": large.low, "high": large.high, "level": large.level, "n": table.rows}
    yield message(
        "The mean probability differs from the observed rate by {gap:points} points ({level:percent} interval {low:points} to {high:points}; {n:count} rows).",
        **numbers,
    )


def _reliability(ctx: Context, table: Ranked, bins: int) -> list[Evidence]:
    from audit.result import Curve, Series
    from audit.stats.calibration import reliability_curve

    points = [p for p in reliability_curve(table, level=ctx.plan.audit.level, bins=bins) if p.rate.n >= ctx.plan.disclosure.min_group_size]
    if not points:
        return []
    series = Series(
        name="observed", x=[p.mean for p in points], y=[p.rate.value for p in points], low=[p.rate.low for p in points],
        high=[p.rate.high for p in points], n=[p.rate.n for p in points],
    )  # fmt: skip
    return [
        Curve(
            name="reliability", caption="Observed rate by predicted probability", x_label="predicted probability", y_label="observed rate",
            x_kind="percent", y_kind="percent", series=[series],
        )
    ]  # fmt: skip
