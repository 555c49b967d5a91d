"""Whether the model is better than a forecast that knows nothing but the base rate."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from audit.registry import check

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from audit.context import Context
    from audit.result import Estimate, Measurement, Message, Slice


@check(
    "performance.baseline",
    title="Better than a trivial forecast",
    meaning=(
        "Skill compares the model's loss with that of the best constant forecast on the same rows, which is the base rate (or the mean): 1 is perfect, 0 is no better, below 0 "
        "is worse. For a model that returns labels only, informedness (recall plus specificity minus 1) takes its place."
    ),
    limits=(
        "It shows that the scores carry information about the recorded outcomes, not that they are good enough for a use. A badly calibrated model can rank well and still have "
        "no skill. Other simple models may do as well."
    ),
    unit="skill, at most 1",
    direction="higher",
    needs=["labels"],
    references=["Brier 1950", "Murphy 1973", "Gneiting and Raftery 2007", "Youden 1950"],
)
def baseline(ctx: Context) -> Iterable[Measurement | Message]:
    """Skill overall and per group, in log loss and Brier score, R² or informedness."""
    import numpy as np

    from audit.measure import SKILLS
    from audit.text import message

    losses = _losses(ctx)
    everybody = np.ones(int(ctx.scored.usable.sum()), dtype=bool)
    headline: tuple[str, Estimate] | None = None
    for metric, measurement in _of(ctx, losses, everybody, {}):
        yield measurement
        headline = headline or ((metric, measurement.estimate) if measurement.estimate else None)
    for grouping in ctx.groupings(intersection=False):
        codes = ctx.codes(grouping)[ctx.scored.usable]
        for i, slice_ in enumerate(grouping.slices):
            yield from (m for _, m in _of(ctx, losses, codes == i, slice_))
    if headline is None:
        yield message("Nothing can be compared with a trivial forecast on these rows.")
    else:
        metric, estimate = headline
        yield message(
            "Against a forecast that knows only the base rate, the model gains {skill:percent} ({metric}; {level:percent} interval {low:percent} to {high:percent}).",
            metric=message(SKILLS[metric]), skill=estimate.value, low=estimate.low, high=estimate.high, level=estimate.level,
        )  # fmt: skip


def _losses(ctx: Context) -> dict[str, tuple[NDArray[np.float64], NDArray[np.float64] | None]]:
    """Metric → (losses, outcome matrix or values): per-row losses of the model over rows that can be used."""
    import numpy as np

    from audit.stats.losses import log_losses

    keep = ctx.scored.usable
    y = ctx.scored.y[keep]
    if ctx.settled.task == "regression":
        return {"r2": ((y - ctx.scored.pred[keep]) ** 2, y)}
    if not ctx.settled.has_scores:
        return {"informedness": (ctx.scored.pred[keep].astype(np.float64), y.astype(np.float64))}
    scores = ctx.scored.scores()[keep]
    given = scores[np.arange(len(y)), y]
    brier = (1 - given) ** 2 if ctx.settled.task == "binary" else (scores**2).sum(axis=1) - 2 * given + 1
    return {"brier_skill": (brier, y.astype(np.float64)), "log_loss_skill": (log_losses(given), y.astype(np.float64))}


def _of(
    ctx: Context, losses: dict[str, tuple[NDArray[np.float64], NDArray[np.float64] | None]], mask: NDArray[np.bool_], slice_: Slice
) -> Iterator[tuple[str, Measurement]]:
    import numpy as np

    from audit.measure import exact, value
    from audit.stats.losses import skill
    from audit.text import message

    constant = _constant(ctx) if not slice_ else False
    for metric, (loss, outcome) in losses.items():
        assert outcome is not None
        y, own = outcome[mask], loss[mask]
        if metric == "informedness":
            estimate = _informedness(ctx, y, own)
        elif len(y) < 2 or len(np.unique(y)) < 2:
            estimate = None
        elif constant:  # scores that never change say nothing, exactly: no interval is needed
            estimate = exact(min(0.0, 1 - float(own.mean()) / float(_trivial(metric, y, ctx).mean())), len(y))
        else:
            estimate = skill(own, _trivial(metric, y, ctx), level=ctx.level(metric))
        yield (
            metric,
            value(
                metric,
                estimate,
                slice_=slice_,
                reason=message("All outcomes are the same on these rows, so there is no trivial forecast to beat."),
            ),
        )


def _constant(ctx: Context) -> bool:
    """Whether the model says the same of every row, but for rounding: the last digits of a constant may depend on a row's place in its batch."""
    import numpy as np

    keep = ctx.scored.usable
    if not keep.any():
        return False
    if ctx.settled.task == "regression":
        return bool(np.ptp(ctx.scored.pred[keep]) <= 1e-6 * np.ptp(ctx.scored.y[keep]))
    values = ctx.scored.scores() if ctx.settled.has_scores else ctx.scored.pred[:, None]
    return bool((np.ptp(values[keep], axis=0) <= 1e-6).all())


def _trivial(metric: str, y: NDArray[np.float64], ctx: Context) -> NDArray[np.float64]:
    """Per-row losses of the best constant forecast on these rows."""
    import numpy as np

    from audit.stats.losses import log_losses

    if metric == "r2":
        return np.asarray((y - y.mean()) ** 2)
    share = np.bincount(y.astype(np.int64), minlength=len(ctx.settled.classes)) / len(y)
    given = share[y.astype(np.int64)]
    if metric == "log_loss_skill":
        return log_losses(given)
    return np.asarray((1 - given) ** 2 if ctx.settled.task == "binary" else (share**2).sum() - 2 * given + 1)


def _informedness(ctx: Context, y: NDArray[np.float64], pred: NDArray[np.float64]) -> Estimate | None:
    """Mean recall over the classes, rescaled so that guessing is 0 and perfection 1; interval by the multinomial bootstrap over cells."""
    import numpy as np

    from audit.measure import exact
    from audit.stats.cells import bootstrap

    size = len(ctx.settled.classes)
    cells = np.bincount(y.astype(np.int64) * size + pred.astype(np.int64), minlength=size * size)
    actual = cells.reshape(size, size).sum(axis=1)
    if (actual > 0).sum() < 2:
        return None
    if (cells.reshape(size, size).sum(axis=0) > 0).sum() < 2:
        return exact(0.0, len(y))

    def statistic(counts: NDArray[np.int64]) -> NDArray[np.float64]:
        table = counts.reshape(-1, size, size).astype(np.float64)
        with np.errstate(invalid="ignore"):
            recall = np.einsum("rii->ri", table) / table.sum(axis=2)
        classes = np.isfinite(recall).sum(axis=1)
        return np.asarray((np.nansum(recall, axis=1) - 1) / np.maximum(classes - 1, 1))[:, None]

    return bootstrap(cells, statistic, replicates=2000, rng=ctx.rng(f"informedness/{len(y)}"), level=ctx.level("informedness")).estimates[0]
