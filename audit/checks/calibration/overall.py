"""Whether the model's probabilities mean what they say."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Annotated

from audit.registry import Field, check

if TYPE_CHECKING:
    from audit.context import Context
    from audit.measurement import Measurement, Message
    from audit.stats.runs import Runs


@check(
    "calibration.overall",
    title="Whether probabilities mean what they say",
    meaning=(
        "Calibration in the large is the mean probability minus the observed rate. The slope says whether scores are too extreme (below 1) or too timid (above 1). The debiased "
        "calibration error is the typical gap over bins of the score less what chance adds: 0 means indistinguishable from calibrated at this number of rows. The excess of the plain "
        "and of the smooth calibration error is what is left of them beyond what chance makes where every probability is right. The Brier score "
        "is split into reliability (0 is best), resolution (higher is better) and the outcome's own uncertainty. Temperature is what one rescaling of all scores would be, and the "
        "gain what it would save on rows that it was not fitted on; the model is not changed. For several classes: the probability of the predicted class, then each class "
        "against the rest. For a quantity, which has no probabilities: the mean of prediction minus outcome, and the slope of outcome on prediction."
    ),
    limits=(
        "It is seen only as finely as the bins, and over everybody: a model can be calibrated on average and wrong for a group. The plain and the smooth calibration error are "
        "biased upwards at few rows, and are never judged."
    ),
    unit="probability, or the unit of the outcome",
    direction="target",
    weighs="weighted",
    needs=["labels", "forecasts"],
    references=[
        "Cox 1958",
        "Murphy 1973",
        "Bröcker and Smith 2007",
        "Bröcker 2012",
        "Naeini, Cooper and Hauskrecht 2015",
        "Guo et al. 2017",
        "Kumar, Liang and Ma 2019",
        "Błasiok and Nakkiran 2024",
        "White 1980",
    ],
    reported_only=["expected_calibration_error", "smooth_calibration_error"],
)
def overall(
    ctx: Context, *, bins: Annotated[int, Field(ge=1, le=1000)] = 15, draws: Annotated[int, Field(ge=1, le=10_000)] = 100
) -> Iterable[Measurement | Message]:
    """Calibration of the event's probability, of the top label, or the bias of a regression; `draws` is for the excess of the smooth error."""
    from audit.text import message

    if ctx.settled.task == "regression":
        return _bias(ctx)
    if not ctx.settled.has_scores:
        return [message("The model returns labels only: there are no probabilities to calibrate.")]
    return _probabilities(ctx, bins, draws)


def _bias(ctx: Context) -> Iterator[Measurement | Message]:
    from audit.calibrating import fit_curve, of_quantity
    from audit.text import message
    from audit.weighted import calibration as weighted_calibration

    ((_, (bias, line), drawn),) = of_quantity(ctx, None)
    if ctx.facts.weight is not None:
        bias, line = weighted_calibration.calibrated(ctx, [bias, line])
    if bias.estimate is None:
        yield message("Fewer than two rows have an outcome and a prediction: nothing can be measured.")
        return
    yield bias.model_copy(update={"evidence": fit_curve([drawn] if drawn else [])})
    yield line
    e = bias.estimate
    yield message("On average the prediction differs from the outcome by {bias:signed} ({level:percent} interval {low:signed} to {high:signed}).",
                  bias=e.value, low=e.low, high=e.high, level=e.level)  # fmt: skip


def _probabilities(ctx: Context, bins: int, draws: int) -> Iterator[Measurement | Message]:
    from audit import clustered
    from audit.calibrating import of_table, reliability_curve, reliability_series, spread_of
    from audit.ordered import TOP, in_order, subject
    from audit.text import message
    from audit.weighted import calibration as weighted_calibration

    what = subject(ctx)
    with in_order(ctx, what) as (table,):
        if table.rows < 2:
            yield message("Fewer than two rows have an outcome and a score: nothing can be measured.")
            return
        found = list(of_table(ctx, table, {}, bins=bins, name="", whole=True, draws=draws))
        line = reliability_series(ctx, table, "observed")
        caption = (
            message("How often the predicted class is right, by its probability")
            if what == TOP
            else message("Observed rate by predicted probability")
        )
        evidence = [*reliability_curve([line] if line else [], caption), *spread_of(table)]
        found[0] = clustered.gap(ctx, found[0].model_copy(update={"evidence": evidence}), clustered.gaps(ctx)[0])
        found += _temperature(ctx, table)
    if what == TOP:
        found += _classes(ctx, bins)
    if ctx.facts.weight is not None:
        found = weighted_calibration.calibrated(ctx, found)
    yield from found
    large = found[0].estimate
    if large is None:
        yield message("Calibration cannot be measured on these rows.")
        return
    numbers = {"gap": large.value, "low": large.low, "high": large.high, "level": large.level, "n": large.n}
    said = (
        message(
            "The mean probability of the predicted class differs from how often that class is right by {gap:points} points "
            "({level:percent} interval {low:points} to {high:points}; {n:count} rows).", **numbers,
        )
        if what == TOP
        else message(
            "The mean probability differs from the observed rate by {gap:points} points ({level:percent} interval {low:points} to {high:points}; {n:count} rows).",
            **numbers,
        )
    )  # fmt: skip
    tilt = next(m for m in found if m.metric == "calibration_slope" and not m.slice)
    if (slope := tilt.estimate) is None:
        yield message("{first} {second}", first=said, second=tilt.reason_msg or tilt.reason)
        return
    yield message(
        "{said} The slope of what happened over the log odds is {slope:number} ({level:percent} interval {low:number} to {high:number}; 1 is meant, below it probabilities are too extreme).",
        said=said, slope=slope.value, level=slope.level, low=slope.low, high=slope.high,
    )  # fmt: skip


def _classes(ctx: Context, bins: int) -> Iterator[Measurement]:
    """Each class against the rest, one pass over the rows for each; at most the first twenty."""
    from audit.calibrating import MOST_CLASSES, of_table, reliability_curve, reliability_series
    from audit.ordered import in_order
    from audit.text import message

    found: list[Measurement] = []
    lines = []
    for i, name in enumerate(ctx.settled.classes[:MOST_CLASSES]):
        with in_order(ctx, i) as (table,):
            found += of_table(ctx, table, {"(class)": name}, bins=bins, name=f"class {i}", whole=False)
            lines.append(reliability_series(ctx, table, name))
    drawn = [line for line in lines if line][:6]
    caption = (
        message("Observed rate by predicted probability, each class against the rest")
        if len(drawn) == len(ctx.settled.classes)
        else message("Observed rate by predicted probability, {shown:count} of {all:count} classes, each against the rest", shown=len(drawn), all=len(ctx.settled.classes))
    )  # fmt: skip
    evidence = reliability_curve(drawn, caption)
    yield from [found[0].model_copy(update={"evidence": evidence}), *found[1:]]


def _temperature(ctx: Context, table: Runs) -> Iterator[Measurement]:
    """One temperature for all rows, on at most about 200,000 of them."""
    import numpy as np

    from audit.calibrating import cooled
    from audit.ordered import columns, probabilities
    from audit.stats.temperature import cool, cool_binary

    level = ctx.level("temperature")
    if ctx.settled.task == "binary":
        yield from cooled(cool_binary(table, level=level, rng=ctx.rng("temperature")), {}, whole=True)
        return
    rng, most = ctx.rng("temperature"), 200_000
    p, y = [], []
    for block in ctx.scored.blocks(["y", "pred", *columns(ctx)]):
        rows = block.usable()
        kept = rng.random(len(rows)) < most / table.rows
        p.append(probabilities(rows, ctx)[kept])
        y.append(rows["y"][kept].astype(np.int64))
    yield from cooled(cool(np.concatenate(p), np.concatenate(y), level=level, rng=rng), {}, whole=True)
