"""Whether probabilities are right for groups and scores together, as far as errors can be found by looking for them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Annotated

from audit.registry import Field, check

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from audit.context import Context, Grouping
    from audit.measurement import Measurement, Message
    from audit.stats.multicalibration import Cells, Repeated, Worst


@check(
    "calibration.multi",
    title="Whether probabilities hold for groups and scores together",
    meaning=(
        "Two screens. Multiaccuracy: on half of the rows a rule is fitted that says from a person's groups, pairs of groups and tenth of the score where outcomes lie above or below "
        "the probability; on the other half it is measured how much of that is found again, in probability (0: nothing; it is at most about the typical error of the "
        "probabilities over such cells). Multicalibration: in every group and intersection, within each tenth of the score, the mean probability minus the observed rate; "
        "the largest gap, in either direction, is held against the largest that chance makes where every probability is right. For several classes: of the predicted class's probability."
    ),
    limits=(
        "The rule is linear (ridge regression) and scaled to a mean square of 1, so an error that follows neither groups nor scores is not found, and another division into "
        "halves gives another figure. Cells of few rows are left out, and of those that count the smaller ones vary most, so that a smaller gap in a large cell may stay hidden. "
        "The interval of the widest cell is of that cell alone: that it was chosen after looking is in the p-value and not in the interval. Rows are taken to be independent."
    ),
    unit="probability",
    direction="target",
    needs=["labels", "scores", "classes", "sensitive", "forecasts"],
    references=["Hébert-Johnson, Kim, Reingold and Rothblum 2018", "Kim, Ghorbani and Zou 2019", "Phipson and Smyth 2010"],
    reported_only=["multicalibration_error", "widest_cell_gap"],
)
def multi(
    ctx: Context,
    *,
    rows: Annotated[int, Field(ge=2, le=1_000_000_000)] = 100,
    draws: Annotated[int, Field(ge=25, le=100_000)] = 2000,
) -> Iterable[Measurement | Message]:
    """Both screens from one table of cells; `rows` is the fewest that a group, a half or a cell needs, `draws` are of the null distribution."""
    from audit.stats.multicalibration import indicators, multiaccuracy, multicalibration

    least = max(rows, ctx.plan.disclosure.min_group_size)
    groupings = list(ctx.groupings())
    members = _members(groupings)
    cells = _cells(ctx, groupings[-1])
    features = indicators([m for m, g in zip(members, groupings, strict=True) if g.single], cells.rows.sum(axis=(0, 2)), least=least)
    repeated = multiaccuracy(cells, features, level=ctx.level("multiaccuracy_error"), rng=ctx.rng("halves"), least=least)
    worst = multicalibration(cells, members, least=least, level=ctx.level("widest_cell_gap"), rng=ctx.rng("null"), draws=draws)
    yield from _measured(groupings, cells, repeated, worst, least)


def _members(groupings: list[Grouping]) -> list[NDArray[np.int64]]:
    """For each grouping, the group that each slice of the finest (the last) belongs to; −1 where membership is unknown."""
    import numpy as np

    out = []
    for grouping in groupings:
        place = {tuple(s[c] for c in grouping.columns): i for i, s in enumerate(grouping.slices) if i not in grouping.unknown}
        out.append(np.array([place.get(tuple(s[c] for c in grouping.columns), -1) for s in groupings[-1].slices], dtype=np.int64))
    return out


def _cells(ctx: Context, finest: Grouping) -> Cells:
    """The rows with an outcome and a probability, counted by slice and score; two passes, the first for the edges of the bins."""
    from audit.ordered import claimed, columns, in_order, subject
    from audit.stats.multicalibration import Cells, edges_of

    what = subject(ctx)
    with in_order(ctx, what) as (table,):
        cells = Cells(len(finest.slices), edges_of(table))
    for block in ctx.scored.blocks(["y", "pred", *columns(ctx), *(f"g{i}" for i in finest.places)]):
        known = block.usable()
        p, true = claimed(known, ctx, what)
        cells.add(ctx.place(known, finest), p, true)
    return cells


def _measured(
    groupings: list[Grouping], cells: Cells, repeated: Repeated | None, worst: Worst | None, least: int
) -> Iterator[Measurement | Message]:
    from audit.measure import exact, value
    from audit.measurement import Column, Part, Table, Test
    from audit.text import message, who

    few = message("Fewer than {n:count} rows in a half, or no error to be found in the first.", n=least)
    accuracy = value("multiaccuracy_error", repeated.estimate if repeated else None, reason=few)
    if repeated and repeated.p_value is not None:
        null = "what one half of the rows shows, the other does not repeat"
        accuracy = accuracy.model_copy(update={"test": Test(null=null, method="normal", p_value=repeated.p_value)})
    yield accuracy
    if worst is None:
        yield value("multicalibration_error", None, reason=message("No group has {n:count} rows in a tenth of the score.", n=least))
        yield message(
            "No group has {n:count} rows in a tenth of the score: errors cannot be looked for cell by cell. {repeated}",
            n=least,
            repeated=_again(repeated),
        )
        return
    table = Table(
        caption="What chance alone gives for cells of these sizes",
        columns=[
            Column(name="cells", label="cells of group and score", kind="integer"), Column(name="seen", label="observed", kind="percent"),
            Column(name="chance", label="95 % quantile where every probability is right", kind="percent"),
        ],
        rows=[[worst.cells, abs(worst.gap.value), worst.quantile]],
    )  # fmt: skip
    largest = value("multicalibration_error", exact(abs(worst.gap.value), int(cells.rows.sum())), evidence=[table])
    test = Test(null="every probability is right on average in its cell", method="simulation", p_value=worst.p_value)
    yield largest.model_copy(update={"test": test})
    slice_ = groupings[worst.division].slices[worst.group] | {"(score)": cells.between(worst.tenth)}
    yield value("widest_cell_gap", worst.gap, slice_=slice_, parts=[Part(slice=slice_, k=worst.events, n=worst.gap.n)])
    e = worst.gap
    numbers = {
        "who": who(slice_), "gap": e.value, "low": e.low, "high": e.high, "level": e.level, "n": e.n, "cells": worst.cells, "p": worst.p_value,
        "quantile": 100 * worst.quantile,
    }  # fmt: skip
    yield message(
        "Of {cells:count} cells of group and score the widest gap between mean probability and observed rate: {who}, {gap:points} points "
        "({level:percent} interval {low:points} to {high:points}; {n:count} rows). Where every probability is right, the widest is below "
        "{quantile:number} points in 95 of 100 cases (p {p:p}). {repeated}", **numbers, repeated=_again(repeated),
    )  # fmt: skip


def _again(repeated: Repeated | None) -> Message:
    """What the first screen found."""
    from audit.text import message

    if repeated is None or repeated.p_value is None:
        return message("What one half of the rows shows could not be looked for in the other.")
    e = repeated.estimate
    return message(
        "Of the errors that one half of the rows shows, the other repeats {error:points} points ({level:percent} interval {low:points} to {high:points}; {n:count} rows; p {p:p}).",
        error=e.value, low=e.low, high=e.high, level=e.level, n=e.n, p=repeated.p_value,
    )  # fmt: skip
