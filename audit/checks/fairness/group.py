"""Selection, error and predictive rates per group, each against the reference group."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

from audit.registry import Field, check

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from audit.clustered import GroupRates
    from audit.context import Coding, Context, Grouping
    from audit.counting import Pair
    from audit.measurement import Evidence, Measurement, Message
    from audit.table import Block

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
        "the recorded outcomes at their word. Extremes over all groups grow with the number of groups by chance alone; they are shown with what chance gives and never judged. Intervals and tests are "
        "methods of their own: with few rows an interval can leave equality out where Fisher's exact test does not reject it."
    ),
    unit="share of rows; ratios against the reference",
    direction="target",
    needs=["sensitive"],
    reported_only=EXTREMES,
    weighs="weighted",
    references=[
        "Miettinen and Nurminen 1985", "Newcombe 1998", "Wilson 1927", "Hardt, Price and Srebro 2016", "Bird et al. 2020 (fairlearn)", "29 CFR 1607.4(D)",
    ],
)  # fmt: skip
def group(ctx: Context, *, draws: Annotated[int, Field(ge=25, le=100_000)] = 2000) -> Iterable[Measurement | Message]:
    """Rates per group with intervals and comparisons; fairlearn's extremes with their chance quantile and permutation p."""
    from audit.counting import CELLS, cell_coding, rates
    from audit.cutoffs import SIZE, Bands
    from audit.over_groups import in_one_table
    from audit.text import message

    compared: list[Measurement] = []
    # Rates over cutoffs are of rows: beside a weighted comparison they would be another quantity.
    bands = Bands(ctx) if ctx.settled.task == "binary" and ctx.settled.has_scores and ctx.facts.weight is None else None
    codings: dict[str, tuple[Coding, int]] = {"cells": (cell_coding(ctx), CELLS)} | ({"bands": (bands, SIZE)} if bands else {})
    names = [
        "pred",
        *(["y"] if ctx.facts.target_sql is not None and ctx.settled.task != "regression" else []),
        *(["score"] if bands else []),
    ]
    of_their_own = _of_their_own(ctx, codings["cells"][0], [name for name in names if name != "score"])
    for grouping, counted in ctx.counted(codings, names):
        pairs, over = rates(ctx, counted["cells"]), of_their_own.get(grouping.columns)
        scores = Scores(counted["bands"][:, :-1].reshape(-1, 3, 100), bands.current(ctx)) if bands and grouping.single else None
        for name, pair in pairs.items():
            for measurement in _rate(ctx, name, pair, grouping, scores, over):
                yield measurement
                if (
                    (name, measurement.compare) == ("selection_rate", "ratio")
                    and measurement.metric == name
                    and grouping.single
                    and measurement.estimate
                ):
                    compared.append(measurement)
        if over is not None and grouping.single:
            yield from _pooled(ctx, over, grouping, pairs)
        if grouping.single:
            yield from in_one_table(_extremes(ctx, grouping, pairs, over, draws))
            if ctx.settled.task == "regression":
                yield from _means(ctx, grouping)
    if ctx.scored.selection is None:
        yield from _classes(ctx)
        yield message(
            "Nobody declared which decision is favourable, so the rates of each class are reported and no difference is judged: name it with --favourable."
        )
        return
    smallest = ctx.plan.disclosure.min_group_size
    large = [m for m in compared if m.parts[0].n >= smallest]
    yield _said(large, smallest) if large else message("No two groups of at least {n:count} rows can be compared.", n=smallest)


def _apart(m: Measurement) -> tuple[float, float]:
    """How near to 1 a ratio may lie by its interval, and how near it lies by its estimate, each as a ratio of at most 1: the smaller, the further apart."""
    e = m.estimate
    assert e is not None
    nearest = e.high if e.high < 1 else 1 / e.low if e.low > 1 else 1.0
    return nearest, min(e.value, 1 / e.value) if e.value else 0.0


def _said(compared: list[Measurement], smallest: int) -> Message:
    """The group whose whole interval lies furthest from its reference, and beside it the one whose estimate does, where that is another."""
    from audit.measure import NAMED
    from audit.text import beside, message, who

    named = [m for m in compared if m.parts[0].n >= NAMED]
    found = min(named or compared, key=_apart)
    (mine, other), e = found.parts, found.estimate
    assert e is not None
    (k, w), (other_k, other_w) = found.masses
    first = message(
        "{group}: {rate:percent} get the favourable decision, against {other_rate:percent} for {other}; that is {value:ratio} times as often ({level:percent} interval "
        "{low:ratio} to {high:ratio}; {n:count} and {other_n:count} rows).",
        rate=k / w, group=who(mine.slice), other_rate=other_k / other_w, other=beside(mine.slice, other.slice), n=mine.n, other_n=other.n,
        value=e.value, low=e.low, high=e.high, level=e.level,
    )  # fmt: skip
    further = min(named or compared, key=lambda m: _apart(m)[1])
    if _apart(further)[1] < _apart(found)[1]:
        f = further.estimate
        assert f is not None
        second = message(
            "Further from its reference by the estimate, with an interval that comes nearer to it: {group}, {value:ratio} times ({low:ratio} to {high:ratio}; {n:count} rows).",
            group=who(further.slice), value=f.value, low=f.low, high=f.high, n=further.parts[0].n,
        )  # fmt: skip
    else:
        second = message(
            "No other group of a single column with at least {least:count} rows is further from its reference.",
            least=NAMED if named else smallest,
        )
    return message("{first} {second}", first=first, second=second)


class Scores(NamedTuple):
    """Rows by group, outcome (no event, event, not known) and hundredth of the score, (groups, 3, 100), and the cutoff in force."""

    counts: NDArray[np.int64]
    current: float | None


def _of_their_own(ctx: Context, coding: Coding, names: list[str]) -> Mapping[tuple[str, ...], GroupRates]:
    """Sensitive columns → their rates where rows do not count one by one: over clusters, or with weights. Nothing where neither was declared."""
    from audit.clustered import Rates, piled
    from audit.counting import CELLS, rates
    from audit.weighted.measurements import over_groups

    def read(cells: Any) -> dict[str, Pair]:
        return rates(ctx, cells)

    if ctx.facts.weight is not None:
        return over_groups(ctx, coding, CELLS, names, read)
    if ctx.clustering is None:
        return {}
    groupings = list(ctx.groupings(intersection=False))
    piles = piled(ctx, coding, CELLS, names, groupings)
    return {g.columns: Rates(ctx.clustering, p, read, weighed=False) for g, p in zip(groupings, piles, strict=True)}


def _pooled(ctx: Context, over: GroupRates, grouping: Grouping, rates: dict[str, Pair]) -> Iterator[Measurement]:
    """Where rows belong together or carry weights: the groups that are too small to be judged, taken together, for the two questions that pool them."""
    settled = ctx.settled
    recall = "true_positive_rate" if settled.task == "multiclass" or settled.positive in settled.favourable else "true_negative_rate"
    if "selection_rate" in rates:
        yield from over.pooled(ctx, "fairness_selection", "selection_rate", grouping, always_difference=False)
    if recall in rates:
        yield from over.pooled(ctx, "fairness_opportunity", recall, grouping, always_difference=True)


def _rate(ctx: Context, name: str, pair: Pair, grouping: Grouping, scores: Scores | None, over: GroupRates | None) -> Iterator[Measurement]:
    from audit.cutoffs import with_curve
    from audit.measure import comparisons, rate
    from audit.measurement import Part

    decides, about = _decides(ctx, name, pair, grouping, scores)
    parts = [Part(slice=s, k=int(pair[0][i]), n=int(pair[1][i])) for i, s in enumerate(grouping.slices)]
    for i, part in enumerate(parts):
        measured = rate(ctx, name, part.k, part.n, slice_=part.slice, what="rows that this rate counts")
        if over is not None:
            measured = over.of(measured, name, [i])
        if name == "selection_rate" and scores is not None and i == grouping.reference:
            measured = measured.model_copy(update={"evidence": _shown(ctx, grouping, scores)})
        yield measured
        if grouping.reference is None or i == grouping.reference or i in grouping.unknown:
            continue
        for found in comparisons(ctx, name, part, parts[grouping.reference], adverse=name == "selection_rate"):
            if over is not None:
                found = over.of(found, name, [i], grouping.reference)
            if scores is not None and (found.metric, found.compare) == (name, decides):
                yield with_curve(ctx, found, grouping, about, i, scores.current)
            elif grouping.single or found.compare in ("ratio", "difference"):
                yield found


def _decides(ctx: Context, name: str, pair: Pair, grouping: Grouping, scores: Scores | None) -> tuple[str | None, NDArray[np.int64]]:
    """Which comparison of a rate answers a deciding question, and the rows that the rate is about, by score; as `audit.screens` chooses it."""
    import numpy as np

    if scores is None or ctx.scored.selection is None:
        return None, np.zeros((0, 100), np.int64)
    if name == "selection_rate":
        known = [i for i in range(len(grouping.slices)) if i not in grouping.unknown]
        common = int(pair[0][known].sum()) / max(1, int(pair[1][known].sum()))
        return "difference" if common > ctx.plan.judge.common_rate else "ratio", scores.counts.sum(axis=1)
    event = ctx.settled.positive in ctx.settled.favourable
    if name == ("true_positive_rate" if event else "true_negative_rate"):
        return "difference", scores.counts[:, int(event)]
    return None, np.zeros((0, 100), np.int64)


def _extremes(ctx: Context, grouping: Grouping, pairs: dict[str, Pair], own: GroupRates | None, draws: int) -> Iterator[Measurement]:
    """fairlearn's differences and ratios between the extremes, over the known groups, with what chance gives under exact equality."""
    from audit.over_groups import as_printed, measured
    from audit.stats.extremes import How, rates_over_groups

    known = [i for i in range(len(grouping.slices)) if i not in grouping.unknown]
    over = (
        {name: own.over(name, known) for name in pairs}
        if own is not None
        else {
            name: rates_over_groups(k[known], n[known], rng=ctx.rng(f"extremes/{grouping.columns[0]}/{name}"), draws=draws)
            for name, (k, n) in pairs.items()
        }
    )
    if "true_positive_rate" in pairs:
        with_outcome = (pairs["true_positive_rate"][1] + pairs["true_negative_rate"][1])[known]
    printed = {name: o if name == "selection_rate" else as_printed(name, o, with_outcome) for name, o in over.items()}
    for metric, names in EXTREMES.items():
        if all(name in over for name in names):
            how: How = "difference" if metric.endswith("_difference") else "ratio"
            rows = sum(int(pairs[name][1][known].sum()) for name in names)  # the rates of one metric count rows of different outcomes
            found = measured(metric, grouping, [over[name] for name in names], how, rows, printed=[printed[name] for name in names])
            if found.estimate is not None:
                yield found


def _means(ctx: Context, grouping: Grouping) -> Iterator[Measurement]:
    """Regression: mean prediction per group and its difference to the reference."""
    from audit.measure import value
    from audit.measurement import Measurement, Test
    from audit.stats.compare import mean_difference, mean_test
    from audit.stats.losses import mean_loss
    from audit.text import message
    from audit.weighted.measurements import means

    if ctx.facts.weight is not None:
        yield from means(ctx, "mean_prediction", grouping, lambda rows: rows["pred"], outcome=False)
        return
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
    from audit.weighted.measurements import over_groups

    if ctx.settled.task == "regression":
        return
    classes = len(ctx.settled.classes)

    def coding(block: Block) -> NDArray[np.int64]:
        return block["pred"].astype(np.int64) + 1

    def of_class(cells: NDArray[Any]) -> dict[str, tuple[NDArray[Any], NDArray[Any]]]:
        return {f"prediction_rate/{j}": (cells[:, j + 1], cells[:, 1:].sum(axis=1)) for j in range(classes)}

    own = over_groups(ctx, coding, classes + 1, ["pred"], of_class)
    for grouping, counted in ctx.counted({"classes": (coding, classes + 1)}, ["pred"], intersection=False):
        cells = counted["classes"][:, 1:]
        for i, slice_ in enumerate(grouping.slices):
            for j, name in enumerate(ctx.settled.classes):
                found = rate(ctx, "prediction_rate", int(cells[i, j]), int(cells[i].sum()), slice_={**slice_, "(prediction)": name})
                yield own[grouping.columns].of(found, f"prediction_rate/{j}", [i]) if own else found


def _shown(ctx: Context, grouping: Grouping, scores: Scores) -> list[Evidence]:
    """What is drawn of the scores: groups that are large enough to show."""
    from audit.cutoffs import drawn, histograms, rates_over_cutoffs

    counts = scores.counts.sum(axis=1)
    return [*rates_over_cutoffs(ctx, grouping, counts, scores.current), *histograms(ctx, grouping, scores.counts, drawn(ctx, counts))]
