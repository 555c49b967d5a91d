"""Selection, error and predictive rates per group, each against the reference group."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Annotated

from audit.registry import Field, check

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from audit.clustered import Rates
    from audit.context import Coding, Context, Grouping
    from audit.result import Evidence, Measurement, Message, Part
    from audit.table import Block

    Pair = tuple[NDArray[np.int64], NDArray[np.int64]]

#: fairlearn's extremes over groups → the rates that they are taken from.
EXTREMES = {
    "demographic_parity_difference": ("selection_rate",),
    "demographic_parity_ratio": ("selection_rate",),
    "equalized_odds_difference": ("true_positive_rate", "false_positive_rate"),
    "equalized_odds_ratio": ("true_positive_rate", "false_positive_rate"),
    "equal_opportunity_difference": ("true_positive_rate",),
    "equal_opportunity_ratio": ("true_positive_rate",),
}


@check(
    "fairness.group",
    title="Differences between groups",
    meaning=(
        "How often each group gets the favourable decision (selection rate), and how often the decision is wrong for it in each way: true and false positive and negative "
        "rates, precision and accuracy. Each group is held against the reference group by ratio, difference and odds ratio. The adverse ratio compares how often the "
        "unfavourable decision falls."
    ),
    limits=(
        "A difference is not yet a cause: it is not adjusted for what may legitimately differ between the groups, and no difference found is not proof of none. Error rates take "
        "the recorded outcomes at their word. Extremes over all groups grow with the number of groups by chance alone; they are shown with what chance gives and never judged."
    ),
    unit="share of rows; ratios against the reference",
    direction="target",
    needs=["sensitive"],
    reported_only=EXTREMES,
    references=[
        "Miettinen and Nurminen 1985", "Newcombe 1998", "Wilson 1927", "Hardt, Price and Srebro 2016", "Bird et al. 2020 (fairlearn)", "29 CFR 1607.4(D)",
    ],
)  # fmt: skip
def group(ctx: Context, *, draws: Annotated[int, Field(ge=25, le=100_000)] = 2000) -> Iterable[Measurement | Message]:
    """Rates per group with intervals and comparisons; fairlearn's extremes with their chance quantile and permutation p."""
    from audit.text import beside, message, who

    worst: tuple[float, Part, Part] | None = None
    has_scores = ctx.settled.task == "binary" and ctx.settled.has_scores
    codings = {"cells": (_cells(ctx), UNDECIDED + 1)} | ({"bands": (_band, 101)} if has_scores else {})
    names = ["pred", *(["y"] if _events(ctx) is not None else []), *(["score"] if has_scores else [])]
    clustered = _clustered(ctx, codings["cells"][0], names)
    for grouping, counted in ctx.counted(codings, names):
        rates, over_clusters = _rates(ctx, counted["cells"]), clustered.get(grouping.columns)
        shown = _shown(ctx, grouping, counted["bands"][:, :100]) if has_scores and grouping.single else []
        for name, pair in rates.items():
            for measurement in _rate(ctx, name, pair, grouping, shown if name == "selection_rate" else [], over_clusters):
                yield measurement
                if (
                    (name, measurement.compare) == ("selection_rate", "ratio")
                    and measurement.metric == name
                    and grouping.single
                    and measurement.estimate
                ):
                    ratio = min(measurement.estimate.value, 1 / measurement.estimate.value) if measurement.estimate.value else 0.0
                    if measurement.parts[0].n >= ctx.plan.disclosure.min_group_size and (worst is None or ratio < worst[0]):
                        worst = (ratio, measurement.parts[0], measurement.parts[1])
        if over_clusters is not None:
            yield from _pooled(ctx, over_clusters, grouping, rates)
        if grouping.single:
            yield from _extremes(ctx, grouping, rates, draws)
            if ctx.settled.task == "regression":
                yield from _means(ctx, grouping)
    if ctx.scored.selection is None:
        yield from _classes(ctx)
        yield message(
            "Nobody declared which decision is favourable, so the rates of each class are reported and no difference is judged: name it with --favourable."
        )
    elif worst is None:
        yield message("No two groups of at least {n:count} rows can be compared.", n=ctx.plan.disclosure.min_group_size)
    else:
        _, mine, other = worst
        yield message(
            "{group}: {rate:percent} get the favourable decision, against {other_rate:percent} for {other} ({n:count} and {other_n:count} rows). "
            "No other group is further from its reference.",
            rate=mine.k / mine.n, group=who(mine.slice), other_rate=other.k / other.n, other=beside(mine.slice, other.slice), n=mine.n, other_n=other.n,
        )  # fmt: skip


UNDECIDED = 12


def _events(ctx: Context) -> NDArray[np.int64] | None:
    """Class code → 1 for the event of a classification: the positive class, or for several classes the favourable ones; -1 reads the last entry."""
    import numpy as np

    settled = ctx.settled
    named = [settled.positive] if settled.positive is not None else settled.favourable
    if settled.task == "regression" or not named or ctx.facts.target_sql is None:
        return None
    return np.array([*(name in named for name in settled.classes), False], dtype=np.int64)


def _cells(ctx: Context) -> Coding:
    """A coding of rows: 4 · outcome (no event, event, not known) + 2 · decision (no event, event) + selected, or `UNDECIDED`."""
    import numpy as np

    events, selection, classes = _events(ctx), ctx.scored.selection, len(ctx.settled.classes)
    if ctx.settled.task == "regression":

        def of_value(block: Block) -> NDArray[np.int64]:
            chosen = np.zeros(len(block), np.int64) if selection is None else selection(block["pred"]).astype(np.int64)
            return np.where(np.isfinite(block["pred"]), 8 + chosen, UNDECIDED)

        return of_value
    table = np.full((classes + 1, classes + 1), 8, dtype=np.int64)  # outcome × decision; code -1 reads the last entry
    if events is not None:
        table[:-1] = 4 * events[:-1, None] + 2 * events
    if selection is not None:
        table += selection(np.arange(classes + 1))
    table[:, -1] = UNDECIDED
    flat = np.roll(table, 1, axis=(0, 1)).ravel()  # now -1 reads the first

    def of_class(block: Block) -> NDArray[np.int64]:
        place = block["pred"].astype(np.int64) + 1
        if events is not None:
            place += (block["y"].astype(np.int64) + 1) * (classes + 1)
        return flat[place]

    return of_class


def _band(block: Block) -> NDArray[np.int64]:
    """Hundredths of the score, and 100 where it is undefined."""
    import numpy as np

    with np.errstate(invalid="ignore"):
        band = np.minimum((block["score"] * 100).astype(np.int64), 99)
    return np.where(block["pred"] >= 0, band, 100)


def _rates(ctx: Context, cells: NDArray[np.int64]) -> dict[str, Pair]:
    """Rate name → (k, n) per group, int64, from rows counted by `_cells` (groups, 13); fairlearn's names."""
    cells, out = cells[:, :UNDECIDED], {}
    if ctx.scored.selection is not None:
        out["selection_rate"] = (cells[:, 1::2].sum(axis=1), cells.sum(axis=1))
    if _events(ctx) is None:
        return out
    tn, fp, fn, tp = cells[:, :8].reshape(len(cells), 4, 2).sum(axis=2).T
    out |= {
        "true_positive_rate": (tp, tp + fn), "false_negative_rate": (fn, tp + fn), "false_positive_rate": (fp, fp + tn), "true_negative_rate": (tn, fp + tn),
        "precision": (tp, tp + fp), "negative_predictive_value": (tn, tn + fn),
    }  # fmt: skip
    if ctx.settled.task == "binary":
        out["accuracy"] = (tp + tn, tp + tn + fp + fn)
    return out


def _clustered(ctx: Context, coding: Coding, names: list[str]) -> dict[tuple[str, ...], Rates]:
    """Sensitive column → its rates over clusters; nothing where none were declared."""
    from audit.clustered import Rates

    clustering, size = ctx.clustering, UNDECIDED + 1
    if clustering is None:
        return {}

    def by_cluster(block: Block) -> NDArray[np.int64]:
        return clustering.of(block["c"]) * size + coding(block)

    out = {}
    for grouping, counted in ctx.counted({"cells": (by_cluster, clustering.size * size)}, [*names, "c"], intersection=False):
        shape = (len(grouping.slices), clustering.size)
        rates = _rates(ctx, counted["cells"].reshape(-1, size))
        if rates:
            out[grouping.columns] = Rates(clustering, {name: (k.reshape(shape), n.reshape(shape)) for name, (k, n) in rates.items()})
    return out


def _pooled(ctx: Context, clustered: Rates, grouping: Grouping, rates: dict[str, Pair]) -> Iterator[Measurement]:
    """Where rows belong together: the groups that are too small to be judged, taken together, for the two questions that pool them."""
    settled = ctx.settled
    recall = "true_positive_rate" if settled.task == "multiclass" or settled.positive in settled.favourable else "true_negative_rate"
    if "selection_rate" in rates:
        yield from clustered.pooled(ctx, "fairness_selection", "selection_rate", grouping, always_difference=False)
    if recall in rates:
        yield from clustered.pooled(ctx, "fairness_opportunity", recall, grouping, always_difference=True)


def _rate(ctx: Context, name: str, pair: Pair, grouping: Grouping, shown: list[Evidence], clustered: Rates | None) -> Iterator[Measurement]:
    from audit.measure import comparisons, rate
    from audit.result import Part

    parts = [Part(slice=s, k=int(pair[0][i]), n=int(pair[1][i])) for i, s in enumerate(grouping.slices)]
    for i, part in enumerate(parts):
        measured = rate(ctx, name, part.k, part.n, slice_=part.slice, what="rows that this rate counts")
        if clustered is not None:
            measured = clustered.of(measured, name, [i])
        if shown and i == grouping.reference:
            measured = measured.model_copy(update={"evidence": shown})
        yield measured
        if grouping.reference is None or i == grouping.reference or i in grouping.unknown:
            continue
        found = comparisons(ctx, name, part, parts[grouping.reference], adverse=name == "selection_rate")
        if clustered is not None:
            found = [clustered.of(m, name, [i], grouping.reference) for m in found]
        yield from found if grouping.single else (m for m in found if m.compare in ("ratio", "difference"))


def _extremes(ctx: Context, grouping: Grouping, rates: dict[str, Pair], draws: int) -> Iterator[Measurement]:
    """fairlearn's differences and ratios between the extremes, over the known groups, with what chance gives under exact equality."""
    import numpy as np

    from audit.measure import exact
    from audit.result import Measurement, Test
    from audit.stats.extremes import extremes

    found = {}
    for name, (k, n) in rates.items():
        members = [i for i in range(len(n)) if n[i] > 0 and i not in grouping.unknown]
        result = (
            extremes(k[members], n[members], rng=ctx.rng(f"extremes/{grouping.columns[0]}/{name}"), draws=draws)
            if len(members) > 1
            else None
        )
        if result is not None:
            found[name] = (result, int(n[members].sum()))
    slice_ = {grouping.columns[0]: "*"}
    for metric, names in EXTREMES.items():
        if not all(name in found for name in names):
            continue
        difference = metric.endswith("_difference")
        values = [(r.difference if difference else r.ratio, r, n) for r, n in (found[name] for name in names)]
        defined = [(v, r, n) for v, r, n in values if v is not None]
        if not defined:
            continue
        value, result, size = max(defined, key=lambda d: d[0]) if difference else min(defined, key=lambda d: d[0])
        quantile, p_value = (result.quantile_difference, result.p_difference) if difference else (result.quantile_ratio, result.p_ratio)
        test = Test(null="equality", method="permutation", p_value=p_value) if p_value is not None else None
        yield Measurement(
            metric=metric,
            slice=slice_,
            estimate=exact(float(np.float64(value)), size),
            test=test,
            evidence=[] if quantile is None else [_chance(value, quantile)],
        )


def _chance(value: float, quantile: float) -> Evidence:
    from audit.result import Column, Table

    columns = [
        Column(name="seen", label="observed", kind="number"),
        Column(name="chance", label="95 % quantile under exact equality", kind="number"),
    ]
    return Table(caption="What chance alone gives for groups of these sizes", columns=columns, rows=[[value, quantile]])


def _means(ctx: Context, grouping: Grouping) -> Iterator[Measurement]:
    """Regression: mean prediction per group and its difference to the reference."""
    from audit.measure import value
    from audit.result import Measurement, Test
    from audit.stats.compare import mean_difference, mean_test
    from audit.stats.losses import mean_loss
    from audit.text import message

    codes = ctx.codes(grouping)
    members = [ctx.scored.pred[ctx.scored.predicted & (codes == i)] for i in range(len(grouping.slices))]
    triples = [(len(m), float(m.mean()), float(m.var(ddof=1))) if len(m) > 1 else (len(m), 0.0, 0.0) for m in members]
    for i, slice_ in enumerate(grouping.slices):
        estimate = mean_loss(members[i], level=ctx.level("mean_prediction")) if len(members[i]) > 1 else None
        yield value("mean_prediction", estimate, slice_=slice_, reason=message("Fewer than two rows belong to this group."))
        if grouping.reference is None or i == grouping.reference or i in grouping.unknown:
            continue
        difference = mean_difference(triples[i], triples[grouping.reference], level=ctx.level("mean_prediction", "difference"))
        tested = mean_test(triples[i], triples[grouping.reference])
        if difference is not None:
            test = Test(null="equality", method=tested[1], p_value=tested[0]) if tested else None
            yield Measurement(
                metric="mean_prediction",
                compare="difference",
                slice=slice_,
                against=grouping.slices[grouping.reference],
                estimate=difference,
                test=test,
            )


def _classes(ctx: Context) -> Iterator[Measurement]:
    """Without a favourable decision: how often each class is predicted for each group."""
    import numpy as np

    from audit.measure import rate

    if ctx.settled.task == "regression":
        return
    classes = len(ctx.settled.classes)

    def coding(block: Block) -> NDArray[np.int64]:
        return block["pred"].astype(np.int64) + 1

    for grouping, counted in ctx.counted({"classes": (coding, classes + 1)}, ["pred"], intersection=False):
        cells = counted["classes"][:, 1:]
        for i, slice_ in enumerate(grouping.slices):
            for j, name in enumerate(ctx.settled.classes):
                yield rate(ctx, "prediction_rate", int(cells[i, j]), int(cells[i].sum()), slice_={**slice_, "(prediction)": name})


def _shown(ctx: Context, grouping: Grouping, counts: NDArray[np.int64]) -> list[Evidence]:
    """What is drawn of the scores in `counts` (groups, 100 bins): groups that are large enough to show."""
    large = counts.sum(axis=1) >= max(50, ctx.plan.disclosure.min_group_size)
    return [*_thresholds(ctx, grouping, counts, large), *_histogram(ctx, grouping, counts, large)]


def _thresholds(ctx: Context, grouping: Grouping, counts: NDArray[np.int64], large: NDArray[np.bool_]) -> list[Evidence]:
    """The selection rate of each group over all cutoffs of the score, with Wilson bands."""
    import numpy as np

    from audit.result import Curve, Series
    from audit.stats.rates import wilson_limits
    from audit.text import message, render

    if ctx.scored.selection is None:
        return []
    event_is_favourable = ctx.settled.positive in ctx.settled.favourable
    series = []
    for i in np.flatnonzero(large):
        above = np.cumsum(counts[i][::-1])[::-1][::5]
        n = int(counts[i].sum())
        k = above if event_is_favourable else n - above
        low, high = wilson_limits(k, np.full(len(k), n), level=ctx.plan.audit.level)
        name = next(iter(grouping.slices[i].values()))
        x = [float(v) / 20 for v in range(len(k))]
        series.append(Series(name=name, x=x, y=[float(v) for v in k / n], low=[float(v) for v in low], high=[float(v) for v in high]))
    if not series:
        return []
    caption = message("Favourable decisions over all cutoffs of the score, by {column}", column=grouping.columns[0])
    return [
        Curve(
            name="cutoffs",
            caption=render(caption),
            caption_msg=caption,
            x_label="cutoff",
            y_label="selection rate",
            y_kind="percent",
            series=series,
        )
    ]


def _histogram(ctx: Context, grouping: Grouping, counts: NDArray[np.int64], large: NDArray[np.bool_]) -> list[Evidence]:
    """Scores per group in 100 bins, merged until each holds enough rows of every group shown."""
    import numpy as np

    from audit.result import Histogram
    from audit.text import message, render

    if not large.any():
        return []
    edges, kept, smallest = [0], [], ctx.plan.disclosure.min_group_size
    running = np.zeros(int(large.sum()), dtype=np.int64)
    for bin_ in range(100):
        running += counts[large][:, bin_]
        if (running >= smallest).all() or (((running >= smallest) | (running == 0)).all() and running.any()):
            kept.append(running.copy())
            edges.append(bin_ + 1)
            running[:] = 0
    if running.any() and kept:
        kept[-1] += running
        edges[-1] = 100
    if not kept:
        return []
    if edges[-1] != 100:
        edges[-1] = 100
    names = [next(iter(grouping.slices[i].values())) for i in np.flatnonzero(large)]
    series = {name: [int(column[j]) for column in kept] for j, name in enumerate(names)}
    caption = message("Scores by {column}", column=grouping.columns[0])
    return [Histogram(caption=render(caption), caption_msg=caption, x_label="score", edges=[e / 100 for e in edges], series=series)]
