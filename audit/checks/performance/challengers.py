"""The model against simple models that the audit fits itself to the model's training rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Annotated, Any

from audit.registry import Field, check

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from audit.context import Context
    from audit.measurement import Estimate, Measurement, Message

    Floats = NDArray[np.float64]

AUDITED = {"(model)": "(audited)"}


@check(
    "performance.challengers",
    title="Against simple models",
    meaning=(
        "A penalised linear model and a decision tree of depth 3 are fitted to the model's own training rows and inputs, and all three are held against the same audited rows: ROC AUC and Brier score for two "
        "classes, accuracy for several or where there are labels only, R² for a quantity. The difference is paired, row by row: the challenger minus the model."
    ),
    limits=(
        "Challengers are fitted with standard settings and no tuning, to a bounded number of rows: a simple model made with care may do better than they do. That a simple model does as well says "
        "nothing against the model, except that its complexity was not needed on these rows."
    ),
    unit="ROC AUC, Brier score, share of rows, or R²",
    direction="higher",
    needs=["labels", "training", "features", "table"],
    references=["DeLong, DeLong and Clarke-Pearson 1988", "Rudin 2019"],
)
def challengers(
    ctx: Context, *, rows: Annotated[int, Field(ge=20, le=10_000_000)] = 10_000, judged: Annotated[int, Field(ge=2, le=10_000_000)] = 20_000
) -> Iterable[Measurement | Message]:
    """Fitted to at most `rows` training rows and held against at most `judged` audited rows, both by their hash order."""
    import numpy as np

    from audit.fitted import challengers as fit
    from audit.fitted import table
    from audit.rows import evaluation_rows, training_rows
    from audit.subject.frame import take
    from audit.text import message

    regression = ctx.settled.task == "regression"
    learnt = training_rows(ctx, rows)
    assert learnt.y is not None
    known = np.flatnonzero(np.isfinite(learnt.y) if regression else learnt.y >= 0)
    if len(known) < 20 or len(np.unique(learnt.y[known])) < 2:
        yield message("Fewer than 20 training rows have an outcome, or all have the same: no challenger can be fitted.")
        return
    fitted = fit(table(take(learnt.frame, known)), learnt.y[known], regression=regression, rng=ctx.rng("fit"))
    held = evaluation_rows(ctx, judged)
    usable = np.flatnonzero(ctx.scored.usable[held.row])
    if len(usable) < 2:
        yield message("Fewer than two rows have an outcome and a prediction: nothing can be measured.")
        return
    x, ids = table(take(held.frame, usable)), held.row[usable]
    found = dict(_answers(ctx, fitted, x))
    yield from _compare(ctx, ctx.scored.y[ids], _own(ctx, ids), found, len(known))


def _answers(ctx: Context, fitted: dict[str, Any], x: Any) -> Iterator[tuple[str, Any]]:
    """What each challenger says of the rows: values, scores of all classes (n, classes), or labels."""
    import numpy as np

    for name, model in fitted.items():
        if ctx.settled.task == "regression" or not ctx.settled.has_scores:
            yield name, model.predict(x)
        else:
            scores = np.zeros((len(x), len(ctx.settled.classes)))  # a class that no training row has gets 0
            scores[:, model.classes_.astype(int)] = model.predict_proba(x)
            yield name, scores


def _own(ctx: Context, ids: NDArray[np.int64]) -> Any:
    """The same of the audited model."""
    if ctx.settled.task == "regression" or not ctx.settled.has_scores:
        return ctx.scored.pred[ids]
    return ctx.scored.scores()[ids]


def _compare(ctx: Context, y: NDArray[Any], own: Any, found: dict[str, Any], fitted: int) -> Iterator[Measurement | Message]:
    from audit.measure import undefined, value
    from audit.measurement import Measurement
    from audit.text import level, message

    metrics = _metrics(ctx)
    why = message("All outcomes are the same on these rows, or the two models say the same of all of them.")
    differences: dict[str, Estimate] = {}
    for place, metric in enumerate(metrics):
        yield value(metric, _figure(ctx, metric, y, own), slice_=AUDITED, reason=why)
        for name, answers in found.items():
            yield value(metric, _figure(ctx, metric, y, answers), slice_={"(model)": name}, reason=why)
        for name, answers in found.items():
            estimate = _difference(ctx, metric, y, answers, own)
            mine = {"(model)": name}
            if estimate is None:
                yield undefined(metric, why, slice_=mine, against=AUDITED, compare="difference")
                continue
            yield Measurement(metric=metric, compare="difference", slice=mine, against=AUDITED, estimate=estimate)
            if place == 0:
                differences[name] = estimate
    training, headline = ctx.facts.training, _figure(ctx, metrics[0], y, own)
    assert training is not None
    rows = {"fitted": fitted, "all": training.rows, "n": len(y)}
    if not differences or headline is None:
        yield message(
            "The challengers, fitted to {fitted:count} of the {all:count} training rows, cannot be told from the model on {n:count} rows.",
            **rows,
        )
        return
    said = [_said(level(name), estimate) for name, estimate in differences.items()]
    yield message(
        "{metric} of the model on {n:count} audited rows: {own:number}. Challengers fitted to {fitted:count} of the {all:count} training rows differ from it by: {said}.",
        metric=message(NAMES[metrics[0]]), own=headline.value, said=said, **rows,
    )  # fmt: skip


NAMES = {"roc_auc": "ROC AUC", "accuracy": "accuracy", "r2": "share of the variation explained (R²)"}


def _said(name: Message, e: Estimate) -> Message:
    from audit.text import message

    if e.method == "ranked_alike":
        return message("{value:signed} ({name}, which ranks these rows alike; {level:percent} interval for others {low:signed} to {high:signed})",
                       name=name, value=e.value, low=e.low, high=e.high, level=e.level)  # fmt: skip
    return message("{value:signed} ({name}; {level:percent} interval {low:signed} to {high:signed})",
                   name=name, value=e.value, low=e.low, high=e.high, level=e.level)  # fmt: skip


def _metrics(ctx: Context) -> list[str]:
    if ctx.settled.task == "regression":
        return ["r2"]
    ranked = ctx.settled.has_scores and ctx.settled.task == "binary"
    return ["roc_auc" if ranked else "accuracy", *(["brier_score"] if ctx.settled.has_forecasts else [])]


def _brier(ctx: Context, y: NDArray[Any], scores: Floats) -> Floats:
    """Squared error of the probabilities per row: of the event for two classes, summed over the classes for more."""
    import numpy as np

    given = scores[np.arange(len(y)), y]
    return np.asarray((1 - given) ** 2 if ctx.settled.task == "binary" else (scores**2).sum(axis=1) - 2 * given + 1)


def _right(y: NDArray[Any], answers: Any) -> NDArray[np.bool_]:
    import numpy as np

    return np.asarray((answers.argmax(axis=1) if answers.ndim == 2 else answers) == y)


def _event(ctx: Context) -> int:
    return ctx.settled.classes.index(str(ctx.settled.positive))


def _figure(ctx: Context, metric: str, y: NDArray[Any], answers: Any) -> Estimate | None:
    import numpy as np

    from audit.stats.auc import roc_auc
    from audit.stats.losses import mean_size, r2
    from audit.stats.rates import wilson

    level = ctx.level(metric)
    if metric == "roc_auc":
        one, score = y == _event(ctx), answers[:, _event(ctx)]
        return roc_auc(score[one], score[~one], level=level)
    if metric == "brier_score":
        return mean_size(_brier(ctx, y, answers), level=level)
    if metric == "accuracy":
        return wilson(int(_right(y, answers).sum()), len(y), level=level)
    return r2(y, np.asarray(answers), level=level) if np.ptp(y) > 0 else None


def _difference(ctx: Context, metric: str, y: NDArray[Any], other: Any, own: Any) -> Estimate | None:
    """The challenger's figure less the model's on the same rows; None where the differences have no spread."""
    import numpy as np

    from audit.stats.losses import from_influence
    from audit.stats.paired import auc_change

    level = ctx.level(metric, "difference")
    if metric == "roc_auc":
        change = auc_change(y == _event(ctx), other[:, _event(ctx)], own[:, _event(ctx)], level=level)
        return None if change is None else change[2]
    if metric == "brier_score":
        each = _brier(ctx, y, other) - _brier(ctx, y, own)
    elif metric == "accuracy":
        each = _right(y, other).astype(np.float64) - _right(y, own)
    else:
        if np.ptp(y) == 0:
            return None
        spread = (y - y.mean()) ** 2
        mean = float(spread.mean())
        each = ((y - own) ** 2 - (y - other) ** 2) / mean
        value = float(each.mean())
        return from_influence(value, each - value * spread / mean, level=level, method="delta") if np.ptp(each) > 0 else None
    each = np.where(np.abs(each) < 1e-12, 0.0, each)  # what rounding leaves where both say the same
    return from_influence(float(each.mean()), each, level=level, method="normal_paired") if np.ptp(each) > 0 else None
