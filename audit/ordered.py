"""Probabilities in rising order with what happened, for everybody or for each group: sorted through files, so memory does not grow with the rows."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import numpy as np

from audit.stats.runs import Runs

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from audit.context import Context, Grouping
    from audit.table import Block

#: The predicted class's probability against whether it is the outcome: what several classes have in the place of the event.
TOP = "top"


def columns(ctx: Context) -> list[str]:
    """The columns of probabilities in the scored table."""
    return ["score"] if ctx.settled.task == "binary" else [f"score_{i}" for i in range(len(ctx.settled.classes))]


def probabilities(block: Block, ctx: Context) -> NDArray[np.float64]:
    """(k, classes) of a block, in the order of the classes."""
    if ctx.settled.task != "binary":
        return np.stack([block[name] for name in columns(ctx)], axis=1)
    event, score = ctx.settled.classes.index(ctx.settled.positive or ""), block["score"]
    return np.stack([1 - score, score] if event == 1 else [score, 1 - score], axis=1)


def claimed(block: Block, ctx: Context, what: int | str) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """The probability that is looked at and whether it came true, both (k,)."""
    if what == TOP:
        scores = probabilities(block, ctx)
        return np.clip(scores.max(axis=1), 0, 1), scores.argmax(axis=1) == block["y"]
    name = "score" if ctx.settled.task == "binary" else f"score_{what}"
    return np.clip(block[name], 0, 1), block["y"] == what


def subject(ctx: Context) -> int | str:
    """What is calibrated first: the event of two classes, the predicted class of several."""
    return TOP if ctx.settled.positive is None or ctx.settled.task != "binary" else ctx.settled.classes.index(ctx.settled.positive)


@contextmanager
def in_order(ctx: Context, what: int | str, grouping: Grouping | None = None) -> Iterator[list[Runs]]:
    """A table of each slice of the grouping (of everybody where there is none); `what` is a class's place, or `TOP`.

    One pass over the rows; rows without outcome or defined prediction are left out.
    """
    scores = columns(ctx) if what == TOP or ctx.settled.task == "binary" else [f"score_{what}"]
    places = [f"g{i}" for i in grouping.places] if grouping else []
    with ExitStack() as stack:
        tables = [stack.enter_context(Runs(ctx.scored.path.parent)) for _ in (grouping.slices if grouping else [0])]
        for block in ctx.scored.blocks(["y", "pred", *scores, *places]):
            rows = block.usable()
            p, true = claimed(rows, ctx, what)
            if grouping is None:
                tables[0].add(p, true)
                continue
            place = ctx.place(rows, grouping)
            for i in np.unique(place).tolist():
                own = place == i
                tables[i].add(p[own], true[own])
        yield tables
