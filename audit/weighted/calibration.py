"""Whether probabilities mean what they say, where rows carry survey weights: what `calibration.*` measure, by weight."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from audit.measure import undefined, value
from audit.measurement import Clusters, Estimate, Measurement, Weights
from audit.ordered import claimed, columns, subject
from audit.text import message
from audit.weighted.measurements import means, summed
from audit.weighted.scores import losses, mean

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from audit.context import Context, Grouping
    from audit.table import Block

NO_WEIGHTS = "This measure takes no survey weights."


def gaps(ctx: Context, grouping: Grouping | None) -> list[Measurement]:
    """Calibration in the large of each slice: mean probability less rate, both by weight. Where the outcome never varies, less Wilson's interval."""
    from audit.stats.rates import wilson_limits
    from audit.stats.weighted_clusters import Drawn

    what, metric = subject(ctx), "calibration_in_the_large"

    def of(rows: Block) -> list[NDArray[Any]]:
        p, true = claimed(rows, ctx, what)
        return [p - true, true]

    sums, found = summed(ctx, grouping, of, outcome=True, names=columns(ctx)), []
    for i, slice_ in enumerate(grouping.slices if grouping else [{}]):
        measured = mean(ctx, metric, sums, i, 1, slice_, low=-1.0)
        weight, hits, rows = float(sums.sums[i, 0]), float(sums.sums[i, 2]), int(sums.rows[i])
        fewest = sums.clusters(i) if isinstance(sums, Drawn) else None
        if rows > 1 and hits in (0.0, weight) and (fewest is None or fewest > 1):
            rate_, level, worth = float(hits > 0), ctx.level(metric), max(1, int(sums.least(i)))
            mean_ = float(sums.sums[i, 1]) / weight + rate_
            low, high = (float(end) for end in wilson_limits(rate_ * worth, worth, level=level))
            method = "wilson_weighted" if fewest is None else "wilson_clusters"
            estimate = Estimate(value=mean_ - rate_, low=mean_ - high, high=mean_ - low, level=level, method=method, n=rows)
            effect = {"design_effect": rows / worth, "effective": [worth]}
            update = {"weights": Weights(**effect), "clusters": None if fewest is None else Clusters(fewest=fewest, **effect)}
            measured = value(metric, estimate, slice_=slice_).model_copy(update=update)
        found.append(measured)
    return found


def calibrated(ctx: Context, found: Sequence[Measurement], grouping: Grouping | None = None) -> list[Measurement]:
    """What a calibration check found over the rows, by weight: the gap and the Brier score; the other measures take no weights."""
    own: dict[tuple[str, tuple[tuple[str, str], ...]], Measurement] = {}
    by_weight = (
        list(means(ctx, "mean_error", grouping, lambda rows: rows["pred"] - rows["y"], outcome=True))
        if ctx.settled.task == "regression"
        else gaps(ctx, grouping)
    )
    if ctx.settled.task == "binary":
        sums = losses(ctx, grouping)
        by_weight += [mean(ctx, "brier_score", sums, i, 2, s) for i, s in enumerate(grouping.slices if grouping else [{}])]
    for m in by_weight:
        own[m.metric, tuple(m.slice.items())] = m
    out = []
    for m in found:
        mine = own.get((m.metric, tuple(m.slice.items())))
        if mine is None:  # of the rows alone it would be another quantity
            mine = undefined(m.metric, message(NO_WEIGHTS), slice_=m.slice)
        out.append(mine.model_copy(update={"evidence": m.evidence}))
    return out
