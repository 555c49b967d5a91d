"""Of pictures in several classes: what speaks for the class that came second against the one that was answered, over all rows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from audit.asking import predict
from audit.explain.of_pieces import Seen, answers_of
from audit.explain.pieces import Regions
from audit.measure import value
from audit.measurement import Heatmap, Measurement
from audit.stats.losses import mean_loss
from audit.subject.frame import take

if TYPE_CHECKING:
    from audit.context import Context

#: Of the rows that were explained, so many are explained again for their second class; fewer than `FEWEST` show nothing.
SHARE, FEWEST = 0.5, 10


def runner_up(ctx: Context, seen: Seen) -> Iterator[Measurement]:
    """By how much the answered class leads, with the map of what speaks against it: the mean over rows of the positive part of φ₂ − φ₁ by region.

    Only where it is cheap: beside the model, of rows that are one picture, for models of three classes and more.
    """
    way, inputs = seen.way, seen.pieces.inputs
    n = round(SHARE * len(seen.explained.values))
    several = ctx.settled.task == "multiclass" and ctx.settled.positive is None and len(ctx.settled.classes) > 2
    if way is None or not way.beside or not several or n < FEWEST or len(inputs) != 1 or not isinstance(inputs[0], Regions):
        return
    some = take(seen.frame, slice(0, n))
    answers = answers_of(ctx, predict(ctx.client, some))[0]
    second, first = np.argsort(answers, axis=1, kind="stable")[:, -2:].T
    lead = np.take_along_axis(answers, np.stack([first, second], axis=1), axis=1) @ np.array([1.0, -1.0])
    against = way.explain(some, second).values - seen.explained.values[:n]
    down, across = inputs[0].grid
    speaks = np.maximum(0.0, against).mean(axis=0).reshape(down, across)
    shown = Heatmap(
        caption="What speaks for the runner-up against the answered class, by region of the picture", row_label="", column_label="",
        rows=[str(i + 1) for i in range(down)], columns=[str(i + 1) for i in range(across)], unit=seen.explained.unit, values=speaks.tolist(),
    )  # fmt: skip
    found = mean_loss(lead, level=ctx.level("runner_up_lead"))
    yield value("runner_up_lead", found, evidence=[shown]).model_copy(update={"computed_in": seen.where})
