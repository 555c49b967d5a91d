"""Whether the model does as well in every period, and whether it drifts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, NamedTuple

from audit.registry import check

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from audit.context import Context
    from audit.measurement import Cell, Estimate, Measurement, Message, Table


@check(
    "performance.period",
    title="How well it predicts in each period",
    meaning=(
        "The rows are divided by their time column: how many there are, how often the event happens, how often the model is right, how well its score ranks, and how far the mean probability lies "
        "from what happened, for each period; and whether the periods differ by more than chance."
    ),
    limits=(
        "It describes the periods that the rows cover and forecasts none. A difference between periods can come from other people, other outcomes or other ways of recording, and not only from the "
        "model. The model may have been trained on some of these periods."
    ),
    unit="share of rows, or the unit of the outcome for errors",
    direction="higher",
    needs=["labels", "time"],
    references=["Cochran 1954", "Paule and Mandel 1982", "Viechtbauer 2007", "DeLong, DeLong and Clarke-Pearson 1988"],
)
def period(ctx: Context) -> Iterable[Measurement | Message]:
    """Per period size, base rate, accuracy, AUC, selection rate and calibration (or error and R²); heterogeneity and trend of the headline figure."""
    import numpy as np

    from audit.dataset import MISSING
    from audit.text import message

    facts = ctx.facts.period
    assert facts is not None
    code = ctx.scored.column("t")
    usable = ctx.scored.usable
    found = [_measure(ctx, np.flatnonzero(usable & (code == i)), {facts.name: level}) for i, level in enumerate(facts.levels)]
    table = _table(ctx, facts.name, facts.levels, found)
    first = True
    for metric in dict.fromkeys(name for f in found for name in f.measured):
        for f in found:
            m = f.measured[metric]
            yield m.model_copy(update={"evidence": [table]}) if first else m
            first = False
    timed = [f for f, level in zip(found, facts.levels, strict=True) if level != MISSING]
    headline = _headline(timed)
    if headline is None:
        yield message("Fewer than two periods have enough rows to be compared.")
    else:
        yield from _compared(ctx, timed, headline)


class _Period(NamedTuple):
    """The measurements of one period by metric, and (value, variance) of those that are compared over the periods."""

    measured: dict[str, Measurement]
    errors: dict[str, tuple[float, float]]
    rows: int


def _measure(ctx: Context, rows: NDArray[np.int64], slice_: dict[str, str]) -> _Period:
    if ctx.settled.task == "regression":
        return _quantity(ctx, rows, slice_)
    return _classes(ctx, rows, slice_)


def _quantity(ctx: Context, rows: NDArray[np.int64], slice_: dict[str, str]) -> _Period:
    import numpy as np

    from audit.measure import value
    from audit.stats import losses
    from audit.stats.compare import mean_interval
    from audit.stats.sums import moments
    from audit.text import message

    y, pred = ctx.scored.y[rows], ctx.scored.pred[rows]
    absolute = moments(np.abs(y - pred))
    few = message("Too few rows, or no spread among them.")
    mae = mean_interval(*absolute, level=ctx.level("mean_absolute_error")) if absolute else None
    r2 = losses.r2(y, pred, level=ctx.level("r2")) if len(y) > 1 and np.ptp(y) > 0 else None
    measured = {
        "mean_absolute_error": value("mean_absolute_error", mae, slice_=slice_, reason=few),
        "r2": value("r2", r2, slice_=slice_, reason=few),
    }
    errors = {"mean_absolute_error": (absolute.mean, absolute.variance / absolute.n)} if absolute and absolute.variance > 0 else {}
    return _Period(measured, errors, len(y))


def _classes(ctx: Context, rows: NDArray[np.int64], slice_: dict[str, str]) -> _Period:

    from audit.measure import rate, value
    from audit.stats.auc import delong, roc_auc_ranked
    from audit.stats.losses import from_influence
    from audit.stats.ranked import rank
    from audit.text import message

    settled, y, pred = ctx.settled, ctx.scored.y[rows], ctx.scored.pred[rows]
    n, right = len(rows), int((y == pred).sum())
    measured, errors = {}, {}
    event = settled.classes.index(settled.positive) if settled.positive is not None else None
    if event is not None:
        measured["base_rate"] = rate(ctx, "base_rate", int((y == event).sum()), n, slice_=slice_)
    if (selected := ctx.scored.selection) is not None:
        measured["selection_rate"] = rate(ctx, "selection_rate", int(selected(pred).sum()), n, slice_=slice_)
    measured["accuracy"] = rate(ctx, "accuracy", right, n, slice_=slice_)
    if n:
        errors["accuracy"] = (right / n, 1 / n)
    if event is not None and settled.has_scores:
        score, one = ctx.scored.score[rows], y == event
        table = rank(score, one)
        parts = delong(table)
        why = message("All outcomes are the same on these rows.")
        measured["roc_auc"] = value("roc_auc", roc_auc_ranked(table, level=ctx.level("roc_auc")), slice_=slice_, reason=why)
        if parts is not None and parts[1]:
            errors["roc_auc"] = (parts[0], parts[1])
    if event is not None and settled.has_forecasts:
        gap = ctx.scored.score[rows] - (y == event)
        large = from_influence(float(gap.mean()), gap, level=ctx.level("calibration_in_the_large"), method="normal") if n > 1 else None
        few = message("Fewer than two rows: nothing can be said of their mean.")
        measured["calibration_in_the_large"] = value("calibration_in_the_large", large, slice_=slice_, reason=few)
    return _Period(measured, errors, n)


def _headline(found: list[_Period]) -> str | None:
    """The figure that is compared over the periods: AUC, else accuracy, else the error, where at least two periods have it."""
    return next((m for m in ("roc_auc", "accuracy", "mean_absolute_error") if sum(m in f.errors for f in found) > 1), None)


#: Of the figure compared: the spread between periods, and the change per period.
SPREADS = {
    "roc_auc": ("roc_auc_spread", "roc_auc_trend"), "accuracy": ("accuracy_spread", "accuracy_trend"),
    "mean_absolute_error": ("mean_absolute_error_spread", "mean_absolute_error_trend"),
}  # fmt: skip
WORDS = {
    "roc_auc": "the ranking of the score (ROC AUC)",
    "accuracy": "the share of right decisions (accuracy)",
    "mean_absolute_error": "the mean absolute error",
}


def _compared(ctx: Context, found: list[_Period], metric: str) -> Iterator[Measurement | Message]:
    import numpy as np

    from audit.measure import undefined, value
    from audit.measurement import Test
    from audit.stats.heterogeneity import heterogeneity, slope
    from audit.text import message

    kept = [(f.errors[metric], f.rows) for f in found if metric in f.errors]
    values, rows = np.array([e[0] for e, _ in kept]), sum(n for _, n in kept)
    if metric == "accuracy":  # under equality all periods have one rate, which makes Q Pearson's chi-square
        common = float(sum(v * n for (v, _), n in kept)) / rows
        variances = np.array([common * (1 - common) / n for _, n in kept])
    else:
        variances = np.array([e[1] for e, _ in kept])
    spread, trend = SPREADS[metric]
    if not (variances > 0).all():
        yield undefined(spread, message("Every decision is right, or every one is wrong: there is no spread to compare."))
        yield message("Every decision is right, or every one is wrong, in every period.")
        return
    between = heterogeneity(values, variances, rows=rows, level=ctx.level(spread))
    assert between is not None
    yield value(spread, between.spread).model_copy(
        update={"test": Test(null="all periods are alike", method="cochran_q", p_value=min(1.0, between.p_value))}
    )
    drift = slope(values, variances, rows=rows, level=ctx.level(trend))
    if drift is not None:
        yield value(trend, drift)
    numbers = {
        "what": message(WORDS[metric]),
        "low": float(values.min()),
        "high": float(values.max()),
        "p": min(1.0, between.p_value),
        "k": len(kept),
    }
    steady = drift is not None and not drift.low <= 0 <= drift.high
    said = (
        message("Over {k:count} periods {what} lies between {low:number} and {high:number}; the periods differ by more than chance (p {p:p}).", **numbers) if between.p_value < 0.05
        else message("Over {k:count} periods {what} lies between {low:number} and {high:number}; as a whole they do not differ beyond chance (p {p:p}), but they follow a trend.", **numbers) if steady
        else message("Over {k:count} periods {what} lies between {low:number} and {high:number}; no difference beyond chance was found (p {p:p}).", **numbers)
    )  # fmt: skip
    yield message("{said} {trend}", said=said, trend=_trend(drift))


def _trend(drift: Estimate | None) -> Message:
    from audit.text import message

    if drift is None:
        return message("Two periods show no trend.")
    numbers = {"value": drift.value, "low": drift.low, "high": drift.high, "level": drift.level}
    if drift.low > 0:
        return message("It rises by {value:number} a period ({level:percent} interval {low:number} to {high:number}).", **numbers)
    if drift.high < 0:
        return message("It falls by {fall:number} a period ({level:percent} interval {least:number} to {most:number}).",
                       fall=-drift.value, least=-drift.high, most=-drift.low, level=drift.level)  # fmt: skip
    return message(
        "No steady rise or fall was found: {value:signed} a period ({level:percent} interval {low:signed} to {high:signed}).", **numbers
    )


def _table(ctx: Context, column: str, levels: list[str], found: list[_Period]) -> Table:
    from audit.measurement import Column, Table
    from audit.text import message, render

    regression = ctx.settled.task == "regression"
    heads = {
        "base_rate": "event happened", "selection_rate": "favourable decision", "accuracy": "right decisions", "roc_auc": "ROC AUC",
        "calibration_in_the_large": "probability minus outcome", "mean_absolute_error": "mean absolute error", "r2": "R²",
    }  # fmt: skip
    kinds = {"roc_auc": "number", "mean_absolute_error": "number", "r2": "number"}
    names = [name for name in heads if any(name in f.measured for f in found)]
    rows: list[list[Cell]] = []
    for text, f in zip(levels, found, strict=True):
        cells = [f.measured[name].estimate for name in names]
        rows.append([text, f.rows, *(e.value if e else None for e in cells)])
    columns = [Column(name="period", label=column), Column(name="rows", label="rows", kind="integer")]
    columns += [Column(name=name, label=heads[name], kind=kinds.get(name, "percent")) for name in names]
    caption = (
        message("Errors by period of {column}", column=column)
        if regression
        else message("Performance by period of {column}", column=column)
    )
    return Table(caption=render(caption), caption_msg=caption, columns=columns, rows=rows)
