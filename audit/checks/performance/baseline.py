"""Whether the model is better than a forecast that knows nothing but the base rate."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from audit.registry import check

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from audit.context import Context, Grouping
    from audit.measurement import Estimate, Measurement, Message, Slice
    from audit.stats.sums import Moments
    from audit.table import Block


@check(
    "performance.baseline",
    title="Better than a trivial forecast",
    meaning=(
        "Skill compares the model's loss with that of the best constant forecast on the same rows, which is the base rate (or the mean): 1 is perfect, 0 is no better, below 0 "
        "is worse. A group is held against its own base rate, so its skill says whether the model tells its members apart. For a model that returns labels only, or a score made for its decision, informedness (recall plus specificity minus 1) takes its place."
    ),
    limits=(
        "It shows that the scores carry information about the recorded outcomes, not that they are good enough for a use. A badly calibrated model can rank well and still have "
        "no skill. Other simple models may do as well."
    ),
    unit="skill, at most 1",
    direction="higher",
    needs=["labels"],
    weighs="weighted",
    references=["Brier 1950", "Murphy 1973", "Gneiting and Raftery 2007", "Youden 1950"],
)
def baseline(ctx: Context) -> Iterable[Measurement | Message]:
    """Skill overall and per group (against the group's own base rate), in log loss and Brier score, R² or informedness; in blocks of rows."""
    from audit import clustered
    from audit.measure import SKILLS
    from audit.text import message
    from audit.weighted import performance as weighted_performance

    if ctx.facts.weight is not None:
        measured = weighted_performance.baseline(ctx)
    else:
        measured = _explained(ctx) if ctx.settled.task == "regression" else _skills(ctx) if ctx.settled.has_forecasts else _decisions(ctx)
    headline: tuple[str, Estimate] | None = None
    for measurement in measured:
        if not measurement.slice:
            measurement = clustered.skill(ctx, measurement)
        yield measurement
        if not measurement.slice and measurement.estimate:
            headline = headline or (measurement.metric, measurement.estimate)
    if headline is None:
        yield message("Nothing can be compared with a trivial forecast on these rows.")
    else:
        metric, estimate = headline
        numbers = {"skill": estimate.value, "low": estimate.low, "high": estimate.high, "level": estimate.level}
        yield message(
            "The model's decisions tell the outcomes apart with an informedness of {skill:number} (recall plus specificity minus 1: guessing is 0, perfect is 1; {level:percent} interval {low:number} to {high:number}).",
            **numbers,
        ) if metric == "informedness" else message(
            "Against a forecast that knows only the base rate, the model gains {skill:percent} ({metric}; {level:percent} interval {low:percent} to {high:percent}).",
            metric=message(SKILLS[metric]), **numbers,
        )  # fmt: skip


NOTHING_TO_BEAT = "All outcomes are the same on these rows, so there is no trivial forecast to beat."
NO_LIMIT = "Every row is right with certainty: a loss without bound has no lower limit then."


def _sets(ctx: Context) -> tuple[list[Grouping | None], list[str]]:
    """Everybody, then each sensitive column; and the columns that tell who is in which group."""
    groupings: list[Grouping | None] = [None, *ctx.groupings(intersection=False)]
    return groupings, [f"g{i}" for i in range(len(ctx.facts.groups))]


def _place(ctx: Context, rows: Block, grouping: Grouping | None) -> NDArray[np.int64]:
    import numpy as np

    return ctx.place(rows, grouping) if grouping else np.zeros(len(rows), np.int64)


def _skills(ctx: Context) -> Iterator[Measurement]:
    """Skill of the scores: one pass gives the moments of both losses among the rows of each slice and true class."""
    import numpy as np

    from audit.measure import exact, value
    from audit.ordered import columns, probabilities
    from audit.stats.losses import log_losses
    from audit.stats.skill import Kind, constant_skill, skill_by_class
    from audit.stats.sums import Grouped
    from audit.text import message

    groupings, names = _sets(ctx)
    classes = len(ctx.settled.classes)
    sums: list[dict[Kind, Grouped]] = [
        {kind: Grouped(len(g.slices if g else [0]) * classes) for kind in ("brier", "log")} for g in groupings
    ]
    ends = np.array([[np.inf] * classes, [-np.inf] * classes])  # smallest and largest probability of each class
    for block in ctx.scored.blocks(["y", "pred", *columns(ctx), *names]):
        rows = block.usable()
        if not len(rows):
            continue
        scores, y = probabilities(rows, ctx), rows["y"].astype(np.int64)
        given = scores[np.arange(len(y)), y]
        losses: dict[Kind, NDArray[np.float64]] = {
            "brier": (1 - given) ** 2 if classes == 2 else (scores**2).sum(axis=1) - 2 * given + 1,
            "log": log_losses(given),
        }
        ends = np.array([np.minimum(ends[0], scores.min(axis=0)), np.maximum(ends[1], scores.max(axis=0))])
        for grouping, held in zip(groupings, sums, strict=True):
            place = _place(ctx, rows, grouping) * classes + y
            for kind, loss in losses.items():
                held[kind].add(place, loss)
    # Scores that never change say nothing, exactly; their last digits may depend on a row's place in its batch.
    constant = bool((ends[1] - ends[0] <= 1e-6).all())
    for grouping, held in zip(groupings, sums, strict=True):
        found: dict[Kind, list[Moments | None]] = {kind: grouped.moments() for kind, grouped in held.items()}
        for i, slice_ in enumerate(grouping.slices if grouping else [{}]):
            for kind, moments in found.items():
                metric = f"{'brier' if kind == 'brier' else 'log_loss'}_skill"
                own = moments[i * classes : (i + 1) * classes]
                varied = constant_skill(own, kind)
                if constant:
                    estimate = None if varied is None else exact(varied, sum(m.n for m in own if m))
                else:
                    estimate = skill_by_class(own, kind, level=ctx.level(metric))
                yield value(metric, estimate, slice_=slice_, reason=message(NOTHING_TO_BEAT) if varied is None else message(NO_LIMIT))


def _explained(ctx: Context) -> Iterator[Measurement]:
    """R² of a quantity: against the mean of all, and of each group against the group's own mean."""
    from functools import partial

    import numpy as np

    from audit.measure import exact, value
    from audit.stats.skill import explained
    from audit.text import message

    groupings, names = _sets(ctx)
    ends = np.array([[np.inf, np.inf], [-np.inf, -np.inf]])  # smallest and largest prediction and outcome

    def read(grouping: Grouping | None) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]]:
        for block in ctx.scored.blocks(["y", "pred", *(names if grouping else ())]):
            rows = block.usable()
            if len(rows):
                yield _place(ctx, rows, grouping), rows["pred"], rows["y"]

    for _, prediction, outcome in read(None):
        ends[0] = np.minimum(ends[0], [prediction.min(), outcome.min()])
        ends[1] = np.maximum(ends[1], [prediction.max(), outcome.max()])
    constant = bool(np.isfinite(ends).all() and ends[1, 0] - ends[0, 0] <= 1e-6 * (ends[1, 1] - ends[0, 1]))
    for grouping in groupings:
        slices: list[Slice] = grouping.slices if grouping else [{}]
        for slice_, estimate in zip(slices, explained(partial(read, grouping), len(slices), level=ctx.level("r2")), strict=True):
            if constant and estimate is not None:
                estimate = exact(min(0.0, estimate.value), estimate.n)
            yield value("r2", estimate, slice_=slice_, reason=message(NOTHING_TO_BEAT))


def _decisions(ctx: Context) -> Iterator[Measurement]:
    """Informedness of the labels, from counts."""
    import numpy as np

    from audit.measure import value
    from audit.text import message

    size = len(ctx.settled.classes)

    def coding(block: Block) -> NDArray[np.int64]:
        """Outcome and decision as one number; the last for rows that lack one of them."""
        known = (block["y"] >= 0) & (block["pred"] >= 0)
        return np.where(known, block["y"].astype(np.int64) * size + block["pred"], size * size)

    total = np.zeros(size * size, np.int64)
    for block in ctx.scored.blocks(["y", "pred"]):
        total += np.bincount(coding(block), minlength=size * size + 1)[:-1]
    reason = message(NOTHING_TO_BEAT)
    yield value("informedness", _informedness(ctx, total, ""), reason=reason)
    for grouping, cells in ctx.counted({"cells": (coding, size * size + 1)}, ["y", "pred"], intersection=False):
        for slice_, counts in zip(grouping.slices, cells["cells"][:, :-1], strict=True):
            name = "/".join(f"{k}={v}" for k, v in slice_.items())
            yield value("informedness", _informedness(ctx, counts, name), slice_=slice_, reason=reason)


def _informedness(ctx: Context, cells: NDArray[np.int64], name: str) -> Estimate | None:
    """Mean recall over the classes, rescaled so that guessing is 0 and perfection 1; interval by the multinomial bootstrap over cells."""
    import numpy as np

    from audit.measure import exact
    from audit.stats.cells import bootstrap

    size = len(ctx.settled.classes)
    actual = cells.reshape(size, size).sum(axis=1)
    if (actual > 0).sum() < 2:
        return None
    if (cells.reshape(size, size).sum(axis=0) > 0).sum() < 2:
        return exact(0.0, int(cells.sum()))

    def statistic(counts: NDArray[np.int64]) -> NDArray[np.float64]:
        table = counts.reshape(-1, size, size).astype(np.float64)
        with np.errstate(invalid="ignore"):
            recall = np.einsum("rii->ri", table) / table.sum(axis=2)
        classes = np.isfinite(recall).sum(axis=1)
        return np.asarray((np.nansum(recall, axis=1) - 1) / np.maximum(classes - 1, 1))[:, None]

    return bootstrap(cells, statistic, replicates=2000, rng=ctx.rng(f"informedness/{name}"), level=ctx.level("informedness")).estimates[0]
