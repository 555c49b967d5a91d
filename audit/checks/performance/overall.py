"""How often and how well the model is right, over all rows with a known outcome."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Annotated

from audit.registry import NEEDS, Field, check

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from audit.context import Context
    from audit.measurement import Estimate, Evidence, Measurement, Message
    from audit.stats.sums import Summing


@check(
    "performance.overall",
    title="How well the model predicts",
    meaning=(
        "Accuracy is how often the decision matches the outcome; balanced accuracy weighs each class equally; precision is how often a predicted event "
        "happened; recall is how many events were predicted; ROC AUC is how often an event is scored above a non-event; average precision (PR AUC) sums precision over the "
        "events; log loss and Brier score measure the probabilities. For a quantity: the mean absolute error, the root mean squared error and R²."
    ),
    limits=(
        "It says how well the model repeats the outcomes that were recorded, not whether these are right, and nothing about rows whose outcome was never seen. "
        "One number over everybody can hide a group for whom the model fails."
    ),
    unit="share of rows, or the unit of the outcome for errors",
    direction="higher",
    needs=["labels"],
    weighs="weighted",
    references=["DeLong, DeLong and Clarke-Pearson 1988", "Newcombe 2006", "Wilson 1927", "scikit-learn metrics"],
)
def overall(ctx: Context, *, replicates: Annotated[int, Field(ge=25, le=100_000)] = 2000) -> Iterable[Measurement | Message]:
    """Classification metrics of the decisions and scores, or regression errors, as scikit-learn defines them."""
    from audit.weighted.performance import overall as by_weight

    if ctx.settled.task == "regression":
        return _regression(ctx)
    if ctx.facts.weight is not None:
        return by_weight(ctx)
    return _classification(ctx, replicates)


def _regression(ctx: Context) -> Iterator[Measurement | Message]:
    import numpy as np

    from audit.calibrating import fit_curve, fits, read
    from audit.measure import value
    from audit.stats.losses import mean_size_of, root_of
    from audit.stats.skill import explained
    from audit.stats.sums import Grouped
    from audit.text import message

    if ctx.facts.weight is not None:
        yield from _by_weight(ctx)
        return
    absolute, squared = Grouped(1), Grouped(1)
    for place, prediction, outcome in read(ctx, None):
        absolute.add(place, np.abs(outcome - prediction))
        squared.add(place, (outcome - prediction) ** 2)
    (error,), (square,) = absolute.moments(), squared.moments()
    if error is None or square is None or error.n < 2:
        yield message("Fewer than two rows have an outcome and a prediction: nothing can be measured.")
        return
    (share,) = explained(lambda: read(ctx, None), 1, level=ctx.level("r2"))
    yield value("mean_absolute_error", mean_size_of(error, level=ctx.level("mean_absolute_error")))
    yield value("root_mean_squared_error", root_of(square, level=ctx.level("root_mean_squared_error")))
    flat = message("All outcomes are the same on these rows, so there is no variance to explain.")
    yield value("r2", share, reason=flat, evidence=fit_curve([line for line in fits(ctx, None, 1) if line]))
    if share is None:
        yield message("On average the prediction is off by {mae:number} ({n:count} rows).", mae=error.mean, n=error.n)
        return
    yield message(
        "On average the prediction is off by {mae:number}; it explains {r2:percent} of the variance of the outcome ({n:count} rows).",
        mae=error.mean, r2=share.value, n=error.n,
    )  # fmt: skip


def _by_weight(ctx: Context) -> Iterator[Measurement | Message]:
    """Errors of a quantity where rows carry survey weights."""
    from audit.text import message
    from audit.weighted.measurements import means
    from audit.weighted.scores import explained

    (error,) = means(ctx, "mean_absolute_error", None, lambda rows: abs(rows["y"] - rows["pred"]), outcome=True)
    yield error
    yield from means(ctx, "root_mean_squared_error", None, lambda rows: (rows["y"] - rows["pred"]) ** 2, outcome=True, root=True)
    (share,) = explained(ctx, None)
    yield share
    if error.estimate is None:
        yield message("Fewer than two rows have an outcome and a prediction: nothing can be measured.")
    elif share.estimate is None:
        yield message("On average the prediction is off by {mae:number} ({n:count} rows).", mae=error.estimate.value, n=error.estimate.n)
    else:
        yield message(
            "On average the prediction is off by {mae:number}; it explains {r2:percent} of the variance of the outcome ({n:count} rows).",
            mae=error.estimate.value, r2=share.estimate.value, n=error.estimate.n,
        )  # fmt: skip


def _classification(ctx: Context, replicates: int) -> Iterator[Measurement | Message]:
    import numpy as np

    from audit.measure import rate, value
    from audit.measurement import Part
    from audit.stats.rates import wilson
    from audit.text import message

    settled = ctx.settled
    size = len(settled.classes)
    counts = np.zeros(size * size, np.int64)
    for block in ctx.scored.blocks(["y", "pred"]):
        rows = block.usable()
        counts += np.bincount(rows["y"].astype(np.int64) * size + rows["pred"], minlength=size * size)
    cells, n = counts.reshape(size, size), int(counts.sum())
    if n == 0:
        yield message("No row has both an outcome and a prediction: nothing can be measured.")
        return
    right = int(np.trace(cells))
    accuracy = wilson(right, n, level=ctx.level("accuracy"))
    yield value("accuracy", accuracy, parts=[Part(slice={}, k=right, n=n)], evidence=[_confusion(cells, settled.classes)])
    for metric, estimate in _from_cells(ctx, cells, replicates).items():
        yield value(metric, estimate, reason=message("The class that it speaks of was never predicted, or never happened, on these rows."))
    if settled.task == "multiclass":
        for i, name in enumerate(settled.classes):
            yield rate(ctx, "recall", int(cells[i, i]), int(cells[i].sum()), slice_={"(class)": name}, what="rows with this outcome")
            yield rate(
                ctx, "precision", int(cells[i, i]), int(cells[:, i].sum()), slice_={"(class)": name}, what="rows with this prediction"
            )
    assert accuracy is not None
    numbers = {"accuracy": accuracy.value, "low": accuracy.low, "high": accuracy.high, "n": n, "level": accuracy.level}
    if not settled.has_scores:
        yield message(
            "The decision matches the outcome in {accuracy:percent} of {n:count} rows ({level:percent} interval {low:percent} to {high:percent}). "
            "The model returns labels only, so nothing is said about its scores.", **numbers,
        )  # fmt: skip
        return
    auc = None
    for measurement in _from_scores(ctx) if settled.task == "binary" else _from_classes(ctx):
        auc = measurement.estimate if measurement.metric == "roc_auc" else auc
        yield measurement
    if auc is None:
        yield message(
            "The decision matches the outcome in {accuracy:percent} of {n:count} rows ({level:percent} interval {low:percent} to {high:percent}).",
            **numbers,
        )
    elif auc.value < 0.5:
        yield message(
            "The decision matches the outcome in {accuracy:percent} of {n:count} rows, and events are scored BELOW non-events more often than above "
            "(ROC AUC {auc:number}): check that the event and the order of the classes are as declared.", **numbers, auc=auc.value,
        )  # fmt: skip
    else:
        yield message(
            "The decision matches the outcome in {accuracy:percent} of {n:count} rows ({level:percent} interval {low:percent} to {high:percent}); "
            "an event is scored above a non-event {auc:percent} of the time (ROC AUC; {auc_low:percent} to {auc_high:percent}).", **numbers, auc=auc.value, auc_low=auc.low, auc_high=auc.high,
        )  # fmt: skip


def _confusion(cells: NDArray[np.int64], classes: list[str]) -> Evidence:
    from audit.measurement import Heatmap

    return Heatmap(
        caption="Outcomes and decisions",
        row_label="outcome",
        column_label="decision",
        rows=classes,
        columns=classes,
        values=[[float(v) for v in row] for row in cells],
    )


def _from_cells(ctx: Context, cells: NDArray[np.int64], replicates: int) -> dict[str, Estimate | None]:
    """Balanced accuracy, precision, recall and F1: of the event for two classes (macro for more), intervals by Wilson or the bootstrap over cells."""
    import numpy as np

    from audit.stats.cells import bootstrap
    from audit.stats.rates import macro_scores, wilson

    settled, size = ctx.settled, len(cells)
    out: dict[str, Estimate | None] = {}

    def macro(counts: NDArray[np.int64]) -> NDArray[np.float64]:
        table = counts.reshape(-1, size, size)
        scores = macro_scores(table)
        if settled.positive is None:
            return scores
        event = settled.classes.index(settled.positive)
        hit, seen = table[:, event, event], table[:, event].sum(axis=1) + table[:, :, event].sum(axis=1)
        ever = cells[event].any() or cells[:, event].any()  # if so, F1 is 0 in a resampled table without the event, as scikit-learn has it
        f1 = np.where(seen > 0, 2 * hit / np.maximum(seen, 1), 0.0 if ever else np.nan)
        return np.stack([scores[:, 0], f1], axis=1)

    names = ["balanced_accuracy", "f1"] + ([] if settled.positive is not None else ["precision", "recall"])
    estimates = bootstrap(cells.ravel(), macro, replicates=replicates, rng=ctx.rng("cells"), level=ctx.level("f1")).estimates
    out |= dict(zip(names, estimates, strict=True))
    if settled.positive is not None:
        event = settled.classes.index(settled.positive)
        hit, predicted, actual = int(cells[event, event]), int(cells[:, event].sum()), int(cells[event].sum())
        out["precision"] = wilson(hit, predicted, level=ctx.level("precision")) if predicted else None
        out["recall"] = wilson(hit, actual, level=ctx.level("recall")) if actual else None
    return out


def _from_scores(ctx: Context) -> Iterator[Measurement]:
    """Rank metrics and losses of the event's score, in one pass over the rows and one over their scores in order."""
    import numpy as np

    from audit.curves import roc_curve
    from audit.measure import value
    from audit.stats import losses
    from audit.stats.ranking import Ranking
    from audit.stats.runs import Runs
    from audit.stats.sums import Summing
    from audit.text import message

    code = ctx.settled.classes.index(ctx.settled.positive or "")
    log_loss, brier = Summing(), Summing()
    with Runs(ctx.scored.path.parent) as runs:
        for block in ctx.scored.blocks(["y", "pred", "score"]):
            rows = block.usable()
            event, score = rows["y"] == code, rows["score"]
            runs.add(score, event)
            given = np.where(event, score, 1 - score)
            log_loss.add(losses.log_losses(given))
            brier.add((1 - given) ** 2)
        ranking = Ranking(runs.positives, runs.negatives, runs.ranked())
    one_class = message("All outcomes are of one class on these rows.")
    yield value("roc_auc", ranking.roc_auc(level=ctx.level("roc_auc")), reason=one_class, evidence=roc_curve(ranking.roc()))
    yield value("average_precision", ranking.average_precision(level=ctx.level("average_precision")), reason=one_class)
    yield from _losses(ctx, log_loss, brier)


def _losses(ctx: Context, log_loss: Summing, brier: Summing) -> Iterator[Measurement]:
    from audit.measure import undefined, value
    from audit.stats.losses import mean_size_of
    from audit.text import message

    for name, summing in (("log_loss", log_loss), ("brier_score", brier)):
        if not ctx.settled.has_forecasts:
            yield undefined(name, message(NEEDS["forecasts"]))
            continue
        moments = summing.moments()
        yield value(name, mean_size_of(moments, level=ctx.level(name)) if moments else None)


def _from_classes(ctx: Context) -> Iterator[Measurement]:
    """Losses over several classes, and the AUC of each class against the rest: one pass over the rows for each."""
    import numpy as np

    from audit.curves import macro_auc
    from audit.measure import undefined, value
    from audit.stats import losses
    from audit.stats.ranking import Ranking
    from audit.stats.runs import Runs
    from audit.stats.sums import Summing
    from audit.text import message

    names = ctx.settled.classes
    log_loss, brier = Summing(), Summing()
    for block in ctx.scored.blocks(["y", "pred", *(f"score_{i}" for i in range(len(names)))]):
        rows = block.usable()
        scores = np.stack([rows[f"score_{i}"] for i in range(len(names))], axis=1)
        given = scores[np.arange(len(scores)), rows["y"]]
        log_loss.add(losses.log_losses(given))
        brier.add((scores**2).sum(axis=1) - 2 * given + 1)
    yield from _losses(ctx, log_loss, brier)
    parts = []
    for i, name in enumerate(names):
        with Runs(ctx.scored.path.parent) as runs:
            for block in ctx.scored.blocks(["y", "pred", f"score_{i}"]):
                rows = block.usable()
                runs.add(rows[f"score_{i}"], rows["y"] == i)
            parts.append(Ranking(runs.positives, runs.negatives, runs.ranked(), precision=False).roc_auc(level=ctx.level("roc_auc")))
        yield value("roc_auc", parts[-1], slice_={"(class)": name}, reason=message("This class never happened, or nothing else did."))
    if any(part is None for part in parts):
        yield undefined("roc_auc_ovr_macro", message("At least one class never happened on these rows."))
    else:
        yield macro_auc([part for part in parts if part is not None])
