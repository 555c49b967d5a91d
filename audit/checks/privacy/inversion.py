"""What a model's gradients make of each class: a prototype, set beside the class's mean and beside single records."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

from audit.registry import Field, check

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from audit.context import Context
    from audit.measurement import Estimate, Evidence, Measurement, Message
    from audit.privacy.inversion import Start

    Floats = NDArray[np.float64]


class Climb(NamedTuple):
    """One class: the model's probability of it at the average row and where the climb ended, the cosine with the class's mean, and the greatest with any
    training row and with any of as many others (`compared`), None where they are not known."""

    label: str
    before: float
    after: float
    mean: Estimate | None
    training: float | None
    others: float | None
    compared: int


@check(
    "privacy.inversion",
    title="What the model's gradients make of a class",
    meaning=(
        "Somebody who has the model climbs the gradient of the logarithm of a class's probability from the average row, held near it by a prior and within the observed ranges; categories stay at their most frequent "
        "value. Where that leads is compared with the mean of the class, with the training row that is most like it and with the most alike of as many rows that did not train: the cosine of their deviations from the "
        "average row in standard deviations, 1 for the same direction."
    ),
    limits=(
        "Reported and never judged. What is found is a prototype of a class as the model sees it, and no record of anybody: likeness to the class's mean shows what the model has learnt of people in general. Only a likeness to a "
        "training row that no other row reaches would point to a record, and with few columns some row is always near. Other attacks, with images of one person a class, can find more."
    ),
    unit="cosine",
    direction="none",
    needs=["labels", "classes", "scores", "features", "gradients"],
    references=["Fredrikson, Jha and Ristenpart 2015", "Efron and Tibshirani 1993"],
    probing=True,
    reported_only=["inversion_to_mean", "inversion_to_training", "inversion_to_others"],
)
def inversion(
    ctx: Context,
    *,
    rows: Annotated[int, Field(ge=2, le=100_000)] = 1000,
    classes: Annotated[int, Field(ge=1, le=1000)] = 10,
    prior: Annotated[float, Field(ge=0, le=1e6)] = 1.0,
    steps: Annotated[int, Field(ge=1, le=10_000)] = 100,
    budget: Annotated[int, Field(ge=100)] = 10_000,
) -> Iterable[Measurement | Message]:
    """The first `classes` classes, each climbed to in `steps` steps; compared with at most `rows` rows of each kind."""
    import numpy as np

    from audit.privacy.inversion import GRADIENT, start_of
    from audit.text import message

    sample = ctx.sample(min(rows, ctx.plan.audit.sample))
    assert sample.y is not None, "the check needs labels"
    start = start_of(sample.frame)
    chosen = list(range(len(ctx.settled.classes)))[: min(classes, budget // (2 * GRADIENT))]
    if not len(start.free):
        yield message("No number of the model's inputs varies on the sampled rows, so there is nothing to climb along.")
        return
    found = _ends(ctx, start, chosen, prior, max(1, min(steps, budget // (GRADIENT * len(chosen)) - 1)))
    _, probabilities = ctx.interpreted(found)
    _, at_first = ctx.interpreted(start.frame(1))
    assert probabilities is not None
    assert at_first is not None
    ends, audited = start.deviations(found), start.deviations(sample.frame)
    near = _nearest(ctx, start, ends, audited)
    y = np.asarray(sample.y)
    climbs = [
        Climb(ctx.settled.classes[c], float(at_first[0, c]), float(probabilities[i, c]), _mean(ctx, ends[i], audited[y == c], c), *near[i])
        for i, c in enumerate(chosen)
    ]
    yield from _measured(climbs)
    yield _said(climbs)


def _ends(ctx: Context, start: Start, classes: list[int], prior: float, steps: int) -> Any:
    """Where the climbs end, as rows for the model: the worker's word, brought back between the observed ends."""
    import numpy as np

    positive = ctx.settled.positive
    found = ctx.client.attack(
        start.frame(len(classes)), method="inversion", probability=ctx.settled.outputs == "probability", classes=classes,
        event=1 if positive is None else ctx.settled.classes.index(positive), free=start.free.tolist(), low=start.low.tolist(), high=start.high.tolist(),
        scale=start.deviation.tolist(), prior=prior, steps=steps,
    )  # fmt: skip
    return start.moved(np.nan_to_num(np.asarray(found, dtype=np.float64)))


def _nearest(ctx: Context, start: Start, ends: Floats, audited: Floats) -> list[tuple[float | None, float | None, int]]:
    """For each end the greatest cosine with a training row and with one of as many audited rows; None where training rows are not known or are the same."""
    from audit.privacy.inversion import cosines
    from audit.rows import training_rows

    training = ctx.facts.training
    if training is None or training.sha256 == ctx.facts.sha256:
        return [(None, None, 0)] * len(ends)
    known = start.deviations(training_rows(ctx, len(audited)).frame)
    n = min(len(known), len(audited))
    return [(float(cosines(end, known[:n]).max()), float(cosines(end, audited[:n]).max()), n) for end in ends]


def _mean(ctx: Context, end: Floats, members: Floats, code: int) -> Estimate | None:
    from audit.privacy.inversion import to_mean

    if len(members) < max(2, ctx.plan.disclosure.min_group_size) or not end.any():
        return None
    return to_mean(end, members, level=ctx.level("inversion_to_mean"), rng=ctx.rng(f"class {code}"))


def _measured(climbs: list[Climb]) -> Iterable[Measurement]:
    from audit.measure import exact, value
    from audit.text import message

    why = message("Too few sampled rows have this outcome, or the climb leads nowhere from the average row.")
    shown = [_table(climbs)]
    for climb in climbs:
        at = {"(class)": climb.label}
        nearest = [("inversion_to_training", climb.training), ("inversion_to_others", climb.others)]
        found = [("inversion_to_mean", climb.mean), *((metric, exact(x, climb.compared)) for metric, x in nearest if x is not None)]
        for metric, estimate in found:
            yield value(metric, estimate, slice_=at, reason=why, evidence=shown)
            shown = shown if estimate is None else []


def _table(climbs: list[Climb]) -> Evidence:
    from audit.measurement import Cell, Column, Table
    from audit.text import message, render

    columns = [
        Column(name="class", label="class"), Column(name="before", label="probability at the average row", kind="percent"),
        Column(name="after", label="probability where the climb ends", kind="percent"), Column(name="mean", label="cosine with the mean of the class", kind="number"),
    ]  # fmt: skip
    known = all(c.training is not None for c in climbs)
    if known:
        columns += [
            Column(name="training", label="greatest with a training row", kind="number"),
            Column(name="others", label="greatest with another row", kind="number"),
        ]
    lines: list[list[Cell]] = [
        [c.label, c.before, c.after, c.mean.value if c.mean else None, *([c.training, c.others] if known else [])] for c in climbs
    ]
    caption = message("Where the gradients of each class lead")
    return Table(caption=render(caption), caption_msg=caption, columns=columns, rows=lines)


def _said(climbs: list[Climb]) -> Message:
    from audit.text import message

    told = [c for c in climbs if c.mean is not None]
    if not told:
        return message(
            "Too few sampled rows have each outcome to compare with its mean, or the model's answer does not change around the average row."
        )
    # The class whose end lies nearest to a training row beyond what other rows reach; without training rows the one most like its mean.
    most = max(
        told,
        key=lambda c: (c.training - c.others) if c.training is not None and c.others is not None else (c.mean.value if c.mean else 0.0),
    )
    assert most.mean is not None
    e = most.mean
    if most.training is None or most.others is None:
        return message(
            "The gradients of class {name} lead from the average row to a prototype whose cosine with the mean of the class is {value:number} ({level:percent} interval {low:number} to {high:number}). A prototype is no record of anybody; training rows other than the audited ones, to compare it with, are not known.",
            name=most.label, value=e.value, level=e.level, low=e.low, high=e.high,
        )  # fmt: skip
    return message(
        "The gradients of class {name} lead from the average row to a prototype whose cosine with the mean of the class is {value:number} ({level:percent} interval {low:number} to {high:number}), with the training row most like it {training:number}, and with the most alike of as many rows that did not train {others:number}. A prototype of a class is no record of anybody.",
        name=most.label, value=e.value, level=e.level, low=e.low, high=e.high, training=most.training, others=most.others,
    )  # fmt: skip
