"""How much better the model does on the rows that it was trained on than on the audited ones."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from audit.registry import check

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from audit.context import Context
    from audit.measurement import Estimate, Measurement, Message

TRAINED, AUDITED = {"(rows)": "(training)"}, {"(rows)": "(these)"}


@check(
    "performance.gap",
    title="Training rows against audited rows",
    meaning=(
        "The model is asked about a sample of its training rows and held against the audited rows: the training figure minus the audited one, in ROC AUC for two classes with scores, in accuracy or "
        "R² otherwise. A large gap means that the model has learnt rows by heart, or that the audited rows are of another kind."
    ),
    limits=(
        "A gap does not say which of the two it is, and a small one does not say that the model is good. The training rows are those that were logged or named; rows that are in both narrow the gap "
        "(see the check on leakage). For R² the two sets of rows may differ in how much there is to explain."
    ),
    unit="ROC AUC, share of rows, or R²",
    direction="lower",
    needs=["labels", "model", "training", "features"],
    references=["DeLong, DeLong and Clarke-Pearson 1988", "Newcombe 1998"],
    probing=True,
)
def gap(ctx: Context) -> Iterable[Measurement | Message]:
    """The same figure on a sample of the training rows and on the audited rows, and their difference."""
    import numpy as np

    from audit.rows import training_rows
    from audit.subject.frame import take
    from audit.text import message

    if ctx.facts.decision.kind == "column" and not ctx.settled.has_scores and ctx.settled.task != "regression":
        yield message("The decisions are a column of the data and not the model's, so they cannot be had for the training rows.")
        return
    rows = training_rows(ctx, ctx.plan.audit.sample)
    assert rows.y is not None
    known = np.flatnonzero(np.isfinite(rows.y) if ctx.settled.task == "regression" else rows.y >= 0)
    if not len(known):
        yield message("No training row has an outcome that the model knows.")
        return
    answers = ctx.answer(take(rows.frame, known))
    if ctx.settled.task == "binary" and ctx.settled.has_scores:
        yield from _ranked(ctx, answers, rows.y[known])
    elif ctx.settled.task == "regression":
        yield from _quantity(ctx, answers, rows.y[known])
    else:
        yield from _right(ctx, answers, rows.y[known])


def _ranked(ctx: Context, answers: NDArray[np.float64], y: NDArray[np.int16]) -> Iterator[Measurement | Message]:
    import numpy as np

    from audit.stats.auc import auc_difference, roc_auc_ranked
    from audit.stats.ranked import rank

    event, keep = ctx.settled.classes.index(str(ctx.settled.positive)), np.isfinite(answers)
    usable = ctx.scored.usable
    here = rank(answers[keep], y[keep] == event)
    there = rank(ctx.scored.score[usable], ctx.scored.y[usable] == event)
    own = [roc_auc_ranked(table, level=ctx.level("roc_auc")) for table in (here, there)]
    yield from _told(ctx, "roc_auc", own, auc_difference(here, there, level=ctx.level("roc_auc", "difference")))


def _right(ctx: Context, answers: NDArray[np.float64], y: NDArray[np.int16]) -> Iterator[Measurement | Message]:
    import numpy as np

    from audit.stats.compare import newcombe
    from audit.stats.rates import wilson

    if answers.ndim == 2:  # the class with the highest score on both sides, whatever the decision rule makes of it
        defined = np.asarray(np.isfinite(answers).all(axis=1))
        said = np.where(defined, np.argmax(np.where(defined[:, None], answers, 0), axis=1), -1)
        usable = ctx.scored.usable
        there = np.asarray(np.argmax(ctx.scored.scores()[usable], axis=1) == ctx.scored.y[usable])
    else:
        said = answers
        usable = ctx.scored.usable
        there = ctx.scored.pred[usable] == ctx.scored.y[usable]
    given = said >= 0
    here = np.asarray(said[given] == y[given], dtype=np.bool_)
    counts = (int(here.sum()), len(here), int(there.sum()), len(there))
    own = [wilson(counts[0], counts[1], level=ctx.level("accuracy")), wilson(counts[2], counts[3], level=ctx.level("accuracy"))]
    yield from _told(ctx, "accuracy", own, newcombe(*counts, level=ctx.level("accuracy", "difference")))


def _quantity(ctx: Context, answers: NDArray[np.float64], y: NDArray[np.float64]) -> Iterator[Measurement | Message]:
    import math

    import numpy as np

    from audit.measurement import Estimate
    from audit.stats.losses import r2

    keep, usable = np.isfinite(answers), ctx.scored.usable
    pairs = ((y[keep], answers[keep]), (ctx.scored.y[usable], ctx.scored.pred[usable]))
    own = [r2(a, b, level=ctx.level("r2")) if len(a) > 1 and np.ptp(a) > 0 else None for a, b in pairs]
    difference = None
    if own[0] and own[1]:
        ends = [r2(a, b, level=ctx.level("r2", "difference")) for a, b in pairs]
        half = math.hypot(*(e.high - e.value for e in ends))  # independent rows: the variances add
        gap_ = own[0].value - own[1].value
        difference = Estimate(value=gap_, low=gap_ - half, high=gap_ + half, level=ends[0].level, method="delta", n=ends[0].n + ends[1].n)
    yield from _told(ctx, "r2", own, difference)


WORDS = {"roc_auc": "ROC AUC", "accuracy": "accuracy", "r2": "share of the variation explained (R²)"}


def _told(ctx: Context, metric: str, own: list[Estimate | None], difference: Estimate | None) -> Iterator[Measurement | Message]:
    """Both figures, their difference, and the sentence."""
    from audit.measure import undefined, value
    from audit.measurement import Measurement
    from audit.text import message

    why = message("All outcomes are the same on these rows, or too few rows have one.")
    for estimate, slice_ in zip(own, (TRAINED, AUDITED), strict=True):
        yield value(metric, estimate, slice_=slice_, reason=why)
    if difference is None or own[0] is None or own[1] is None:
        yield undefined(metric, why, slice_=TRAINED, against=AUDITED, compare="difference")
        yield message("The training rows and the audited rows cannot be compared: {why}", why=why)
        return
    yield Measurement(metric=metric, compare="difference", slice=TRAINED, against=AUDITED, estimate=difference)
    training = ctx.facts.training
    assert training is not None
    numbers = {
        "metric": message(WORDS[metric]), "train": own[0].value, "test": own[1].value, "n": own[0].n, "all": training.rows, "n0": own[1].n,
        "gap": difference.value, "low": difference.low, "high": difference.high, "level": difference.level,
    }  # fmt: skip
    yield message(
        "{metric}: {train:number} on {n:count} of the {all:count} training rows and {test:number} on {n0:count} audited rows, a gap of {gap:signed} "
        "({level:percent} interval {low:signed} to {high:signed}).", **numbers,
    )  # fmt: skip
