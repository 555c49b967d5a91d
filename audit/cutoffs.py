"""How groups compare over all cutoffs of a score: counted once by outcome and hundredth of the score, then read off for each cutoff."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from audit.context import Context, Grouping
    from audit.measurement import Evidence, Measurement, Message
    from audit.table import Block

#: Hundredths of the score for rows without the event, with it, and without outcome; the last code is for rows without a score.
SIZE = 301
#: Groups with fewer rows are not drawn, nor cutoffs that leave fewer than `SIDE` rows of a group on a side.
LEAST, SIDE = 50, 3
POINTS = 40


class Bands:
    """A coding of the rows of a binary decision into `SIZE` codes; it keeps between which scores the decisions turn."""

    def __init__(self, ctx: Context) -> None:
        import numpy as np

        self.event = ctx.settled.classes.index(ctx.settled.positive or "")
        self.labelled = ctx.facts.target_sql is not None
        self.offsets = np.array([200, *(100 * (i == self.event) for i in range(len(ctx.settled.classes)))])  # by outcome, the unknown first
        self.lowest, self.highest = np.inf, -np.inf  # score of a decision for the event, and against it

    def __call__(self, block: Block) -> NDArray[np.int64]:
        import numpy as np

        pred, score = block["pred"], block["score"]
        chosen, against = score[pred == self.event], score[pred == 1 - self.event]
        if chosen.size:
            self.lowest = min(self.lowest, float(np.fmin.reduce(chosen)))
        if against.size:
            self.highest = max(self.highest, float(np.fmax.reduce(against)))
        with np.errstate(invalid="ignore"):
            band = np.minimum((score * 100).astype(np.int64), 99)
        band += self.offsets[block["y"].astype(np.int64) + 1] if self.labelled else 200
        return np.where(pred >= 0, band, SIZE - 1)

    def current(self, ctx: Context) -> float | None:
        """The cutoff in force: the declared one, that of a quota, or the one that the decisions show; None where they follow none."""
        decision = ctx.facts.decision
        if decision.kind == "threshold":
            return decision.value
        if ctx.scoring.decision_cutoff is not None:
            return ctx.scoring.decision_cutoff
        if decision.kind != "predict" or not self.highest < self.lowest:
            return None
        if self.highest < 0.5 <= self.lowest:
            return 0.5
        return self.lowest if 0 < self.lowest < 1 else None


def selected(ctx: Context, bands: NDArray[np.int64]) -> NDArray[np.int64]:
    """Counts (groups, 100) of each hundredth → how many rows of each group get the favourable decision at cutoffs 0, 0.01, … 0.99."""
    import numpy as np

    above = np.cumsum(bands[:, ::-1], axis=1)[:, ::-1]
    if ctx.settled.positive in ctx.settled.favourable:
        return np.asarray(above)
    return np.asarray(bands.sum(axis=1)[:, None] - above)


def drawn(ctx: Context, bands: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which groups have rows enough to be drawn, (groups,)."""
    import numpy as np

    return np.asarray(bands.sum(axis=1) >= max(LEAST, ctx.plan.disclosure.min_group_size))


def rates_over_cutoffs(ctx: Context, grouping: Grouping, bands: NDArray[np.int64], current: float | None) -> list[Evidence]:
    """The selection rate of each group over all cutoffs of the score, with Wilson bands."""
    import numpy as np

    from audit.measurement import Curve, Series
    from audit.stats.rates import wilson_limits
    from audit.text import message, render

    if ctx.scored.selection is None:
        return []
    series = []
    for i in np.flatnonzero(drawn(ctx, bands)):
        n, k = int(bands[i].sum()), selected(ctx, bands)[i, ::5]
        low, high = wilson_limits(k, np.full(len(k), n), level=ctx.plan.audit.level)
        x = [float(v) / 20 for v in range(len(k))]
        series.append(Series(name=next(iter(grouping.slices[i].values())), x=x, y=(k / n).tolist(), low=low.tolist(), high=high.tolist()))
    if not series:
        return []
    caption = message("Favourable decisions over all cutoffs of the score, by {column}", column=grouping.columns[0])
    return [
        Curve(
            name="cutoffs", caption=render(caption), caption_msg=caption, x_label="cutoff", y_label="selection rate", y_kind="percent",
            current=current, series=series,
        )
    ]  # fmt: skip


def with_curve(
    ctx: Context, measurement: Measurement, grouping: Grouping, counted: NDArray[np.int64], group: int, current: float | None
) -> Measurement:
    """A comparison that may decide, with its curve over cutoffs; `counted` (groups, 100) are the rows that its rate is about, by score."""
    import numpy as np

    from audit.measurement import Curve, Series
    from audit.stats.scores import difference_limits, ratio_limits
    from audit.text import beside, message, render

    reference = grouping.reference
    if measurement.estimate is None or reference is None or not drawn(ctx, counted)[[group, reference]].all():
        return measurement
    ratio, own = measurement.compare == "ratio", measurement.estimate
    k1, k0 = selected(ctx, counted)[[group, reference]]
    n1, n0 = (int(counted[i].sum()) for i in (group, reference))
    at = np.flatnonzero(np.minimum(np.minimum(k1, n1 - k1), np.minimum(k0, n0 - k0)) >= SIDE)
    at = at[:: max(1, -(-len(at) // POINTS))]
    if len(at) < 2:
        return measurement
    k1, k0 = k1[at], k0[at]
    values = (k1 * n0) / (n1 * k0) if ratio else k1 / n1 - k0 / n0
    # Rows that belong together are worth fewer: as many as where the decisions are taken now.
    worth = measurement.clusters.effective if measurement.clusters is not None else [n1, n0]
    e1, e0 = (max(1.0, min(float(e), n)) for e, n in zip(worth, (n1, n0), strict=True))
    low, high = (ratio_limits if ratio else difference_limits)(k1 * (e1 / n1), e1, k0 * (e0 / n0), e0, level=own.level)
    points = {x / 100: (v, a, b) for x, v, a, b in zip(at.tolist(), values.tolist(), low.tolist(), high.tolist(), strict=True)}
    if current is not None:  # there the decisions themselves were counted, and ties at the cutoff fall as the model has them fall
        points[current] = (own.value, own.low, own.high)
    caption = message(CAPTIONS[measurement.metric, measurement.compare], reference=beside(measurement.slice, grouping.slices[reference]))
    y, lows, highs = (list(v) for v in zip(*(points[x] for x in sorted(points)), strict=True))
    curve = Curve(
        name=f"{measurement.compare}_over_cutoffs", caption=render(caption), caption_msg=caption, x_label="cutoff", y_label=LABELS[measurement.compare],
        y_kind="ratio" if ratio else "points", current=current,
        series=[Series(name=next(iter(measurement.slice.values())), x=sorted(points), y=y, low=lows, high=highs)],
    )  # fmt: skip
    return measurement.model_copy(update={"evidence": [*measurement.evidence, curve]})


LABELS = {"ratio": "ratio", "difference": "difference in percentage points"}
CAPTIONS = {
    ("selection_rate", "ratio"): "Ratio of the selection rate to that of {reference}, over all cutoffs of the score",
    ("selection_rate", "difference"): "Selection rate minus that of {reference}, over all cutoffs of the score",
    ("true_positive_rate", "difference"): "True positive rate minus that of {reference}, over all cutoffs of the score",
    ("true_negative_rate", "difference"): "True negative rate minus that of {reference}, over all cutoffs of the score",
}


def histograms(ctx: Context, grouping: Grouping, counts: NDArray[np.int64], large: NDArray[np.bool_]) -> list[Evidence]:
    """Scores per group, all rows and, where outcomes are known, those of each outcome; `counts` (groups, 3, 100) as in `Bands`.

    Hundredths are merged until each bin holds no row of a group, or enough of them (`min_group_size`); both outcomes have the same edges.
    """
    import numpy as np

    from audit.measurement import Histogram
    from audit.text import message, render

    if not large.any():
        return []
    column = grouping.columns[0]
    names = [next(iter(grouping.slices[i].values())) for i in np.flatnonzero(large)]

    def one(kept: NDArray[np.int64], edges: list[int], caption: Message, outcome: Literal["event", "no_event"] | None) -> Histogram:
        series = {name: kept[i].tolist() for i, name in enumerate(names)}
        places = [e / 100 for e in edges]
        return Histogram(caption=render(caption), caption_msg=caption, x_label="score", edges=places, series=series, outcome=outcome)

    found: list[Evidence] = []
    merged, edges = _merged(counts[large].sum(axis=1)[:, None], ctx.plan.disclosure.min_group_size)
    if edges:
        found.append(one(merged[:, 0], edges, message("Scores by {column}", column=column), None))
    known = counts[large][:, :2]
    if known.any() and not counts[large][:, 2].any():
        merged, edges = _merged(known, ctx.plan.disclosure.min_group_size)
        if edges:
            found.append(one(merged[:, 1], edges, message("Scores by {column}, of rows with the event", column=column), "event"))
            found.append(one(merged[:, 0], edges, message("Scores by {column}, of rows without the event", column=column), "no_event"))
    return found


def _merged(counts: NDArray[np.int64], smallest: int) -> tuple[NDArray[np.int64], list[int]]:
    """(groups, kinds, 100) → counts over merged hundredths and their edges, 0 to 100; no edges where not even one bin is large enough."""
    import numpy as np

    edges, kept, running = [0], [], np.zeros(counts.shape[:2], dtype=np.int64)
    for bin_ in range(100):
        running += counts[:, :, bin_]
        if ((running >= smallest) | (running == 0)).all() and running.any():
            kept.append(running.copy())
            edges.append(bin_ + 1)
            running[:] = 0
    if not kept:
        return np.zeros((*counts.shape[:2], 0), np.int64), []
    kept[-1] += running
    edges[-1] = 100
    return np.stack(kept, axis=2), edges
