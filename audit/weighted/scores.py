"""How well a model predicts, where rows carry survey weights: the figures that the checks of performance, calibration and fairness have in common."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from audit.measure import undefined
from audit.measurement import Measurement, Slice
from audit.ordered import columns, probabilities
from audit.registry import NEEDS
from audit.stats import confusion
from audit.stats.losses import log_losses
from audit.stats.weighted_ranks import WeightedRanking, trivially
from audit.stats.weighted_sums import ratio_of_sums
from audit.text import message
from audit.weighted.measurements import Cells, counted, differences, measured, summed

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from audit.clustered import GroupRates
    from audit.context import Context, Grouping
    from audit.table import Block
    from audit.weighted.measurements import Summed


def crossed(ctx: Context, groupings: Sequence[Grouping | None] | None = None) -> list[tuple[Grouping | None, Cells]]:
    """Everybody, then each grouping (or these): rows by outcome and decision, (slices, classes²), the decision running fastest."""
    size = len(ctx.settled.classes)

    def coding(block: Block) -> NDArray[np.int64]:
        known = (block["y"] >= 0) & (block["pred"] >= 0)
        return np.where(known, block["y"].astype(np.int64) * size + block["pred"], size * size)

    return list(counted(ctx, coding, size * size, ["y", "pred"], groupings))


def read_rates(size: int, event: int | None) -> Any:
    """Accuracy, and of the event precision and recall (of each class where there is none), from (…, classes²) cells."""

    def read(cells: NDArray[Any]) -> dict[str, tuple[NDArray[Any], NDArray[Any]]]:
        table = cells.reshape(-1, size, size)
        out = {"accuracy": (np.trace(table, axis1=1, axis2=2), table.sum(axis=(1, 2)))}
        for c in range(size) if event is None else [event]:
            name = f"/{c}" if event is None else ""
            out[f"precision{name}"] = (table[:, c, c], table[:, :, c].sum(axis=1))
            out[f"recall{name}"] = (table[:, c, c], table[:, c].sum(axis=1))
        return out

    return read


def rate(ctx: Context, rates: GroupRates, name: str, i: int, slice_: Slice) -> Measurement:
    """The weighted rate `name` of slice i; undefined where no row counts for it."""
    from audit.measure import rate as of_rows

    return rates.of(of_rows(ctx, name.partition("/")[0], *rates.plain(name, [i]).counts, slice_=slice_), name, [i])


def of_cells(ctx: Context, cells: Cells, i: int, slice_: Slice, metrics: Sequence[str]) -> Iterator[Measurement]:
    """Balanced accuracy, F1 and macro means of one slice: smooth functions of its cells."""
    event = ctx.settled.classes.index(ctx.settled.positive) if ctx.settled.positive is not None and ctx.settled.task == "binary" else None
    ways: dict[str, Callable[[confusion.Tallies], NDArray[np.float64]]] = {
        "balanced_accuracy": confusion.balanced_accuracy, "informedness": informedness, "f1": lambda t: confusion.f1(t, event),
        "balanced_accuracy_score": confusion.balanced_accuracy, "f1_score": lambda t: confusion.f1(t, event),
        "precision": lambda t: confusion.precision(t, event), "recall": lambda t: confusion.recall(t, event),
    }  # fmt: skip
    for metric in metrics:
        reason = message("The class that it speaks of was never predicted, or never happened, on these rows.")
        low = -1.0 if metric == "informedness" else 0.0
        yield measured(ctx, metric, cells.codes, i, partial(_read, ways[metric]), slice_, reason=reason, low=low, high=1.0, ends=True)


def _read(of: Callable[[confusion.Tallies], NDArray[np.float64]], sums: NDArray[np.float64]) -> NDArray[np.float64]:
    return of(confusion.tallies(sums))


def informedness(t: confusion.Tallies) -> NDArray[np.float64]:
    """Mean recall over the classes that happened, rescaled so that guessing is 0 and perfection 1."""
    classes = (t.actual > 0).sum(axis=-1)
    return np.asarray((confusion.balanced_accuracy(t) * classes - 1) / np.maximum(classes - 1, 1))


def rankings(ctx: Context, grouping: Grouping | None, what: int | None = None) -> list[WeightedRanking]:
    """Scores of the event (or of class `what`) with outcomes, weights and clusters, of each slice."""
    usable, w, clustering = ctx.scored.usable, ctx.scored.column("w"), ctx.clustering
    event = ctx.settled.classes.index(ctx.settled.positive or "") if what is None else what
    score = ctx.scored.score if ctx.settled.task == "binary" else ctx.scored.column(f"score_{event}")
    codes = np.zeros(ctx.scored.rows, np.int32) if grouping is None else ctx.codes(grouping)
    units = clustering.of(ctx.scored.column("c")) if clustering else None
    kept = [usable & (codes == i) for i in range(len(grouping.slices) if grouping else 1)]
    return [
        WeightedRanking(score[k], ctx.scored.y[k] == event, w[k], None if units is None else units[k], clustering.size if clustering else 0)
        for k in kept
    ]


def losses(ctx: Context, grouping: Grouping | None = None) -> Summed:
    """Weighted sums of log loss, Brier score and each class, by slice."""
    size = len(ctx.settled.classes)

    def of(rows: Block) -> list[NDArray[Any]]:
        scores, y = probabilities(rows, ctx), rows["y"].astype(np.int64)
        given = scores[np.arange(len(y)), y]
        brier = (1 - given) ** 2 if size == 2 else (scores**2).sum(axis=1) - 2 * given + 1
        return [log_losses(given), brier, *(y == c for c in range(size))]

    return summed(ctx, grouping, of, outcome=True, names=columns(ctx))


def mean_losses(ctx: Context, sums: Summed, i: int, slice_: Slice) -> Iterator[Measurement]:
    """Log loss and Brier score of one slice."""
    for place, metric in ((1, "log_loss"), (2, "brier_score")):
        if not ctx.settled.has_forecasts:
            yield undefined(metric, message(NEEDS["forecasts"]), slice_=slice_)
            continue
        yield mean(ctx, metric, sums, i, place, slice_)


def mean(ctx: Context, metric: str, sums: Summed, i: int, place: int, slice_: Slice, *, low: float = 0.0) -> Measurement:
    """The weighted mean of one column of the sums, which is never below `low`."""
    return measured(ctx, metric, sums, i, ratio_of_sums, slice_, low=low, pick=[0, place])


def skills(ctx: Context, sums: Summed, i: int, slice_: Slice) -> Iterator[Measurement]:
    """Skill of one slice against the best constant forecast of its own weighted base rate."""
    for metric, place, kind in (("brier_skill", 2, "brier"), ("log_loss_skill", 1, "log")):

        def skill(sums: NDArray[np.float64], place: int = place, kind: str = kind) -> NDArray[np.float64]:
            with np.errstate(divide="ignore", invalid="ignore"):
                trivial = trivially(np.maximum(sums[:, 3:], 0) / sums[:, :1], kind)
                return np.asarray(np.where(trivial > 1e-15, 1 - sums[:, place] / sums[:, 0] / trivial, np.nan))

        reason = message("All outcomes are the same on these rows, or all forecasts are equally wrong.")
        yield measured(ctx, metric, sums, i, skill, slice_, reason=reason, high=1.0)


def explained(ctx: Context, grouping: Grouping | None, *, compared: bool = False) -> Iterator[Measurement]:
    """R² of each slice, against its own weighted mean; where `compared` then the differences to the reference's."""
    middle = float(np.mean(ctx.scored.y[ctx.scored.usable])) if ctx.scored.usable.any() else 0.0
    sums = summed(
        ctx, grouping, lambda rows: [rows["y"] - middle, (rows["y"] - middle) ** 2, (rows["y"] - rows["pred"]) ** 2], outcome=True
    )

    def share(sums: NDArray[np.float64]) -> NDArray[np.float64]:
        with np.errstate(divide="ignore", invalid="ignore"):
            spread = sums[:, 2] - sums[:, 1] ** 2 / sums[:, 0]
            return np.asarray(np.where(spread > 1e-18 * np.abs(sums[:, 2]), 1 - sums[:, 3] / spread, np.nan))

    slices = grouping.slices if grouping else [{}]
    reason = message("All outcomes are the same on these rows, or every prediction is exact.")
    found = [measured(ctx, "r2", sums, i, share, slice_, reason=reason, high=1.0) for i, slice_ in enumerate(slices)]
    yield from found
    if grouping is not None and compared:
        for i in range(len(slices)):
            yield from differences(ctx, "r2", grouping, sums, share, found, i)
