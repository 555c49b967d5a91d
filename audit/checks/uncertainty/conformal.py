"""Sets that promise to hold the outcome: whether they do for each group, and how large they must be for it."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from typing import TYPE_CHECKING, Annotated, NamedTuple

from audit.registry import Field, check

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from audit.context import Context, Grouping
    from audit.measurement import Measurement, Message, Slice
    from audit.table import Block

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

#: Rows of the measured half below which nothing is said of a group, and how far below the promise its coverage may lie.
ENOUGH, SLACK = 50, 0.02


@check(
    "uncertainty.conformal",
    title="Whether sets that promise to hold the outcome do so for each group",
    meaning=(
        "Half of the rows set a cutoff so that the classes above it (for a quantity: an interval around the prediction) hold the outcome as often as promised; the other half measures. "
        "Coverage is how often they do, and set size how many classes that takes: where the model is less sure of a group, its sets are larger. Overall the promise is kept by its "
        "construction, and for a group it need not be. The intervals of groups are widened for their number, and a test asks whether a group is covered 2 points less often than promised."
    ),
    limits=(
        "The promise holds on average over rows like these, and for no single one. A set may be empty, where no class is likely enough. A cutoff for each group would equalise coverage and may "
        "widen what people decide from the sets; equal set sizes went with smaller differences. The halves are drawn by chance: another division gives slightly other figures."
    ),
    unit="share of rows, or classes in a set",
    direction="target",
    needs=["labels", "forecasts"],
    references=[
        "Vovk, Gammerman and Shafer 2005",
        "Vovk 2012",
        "Sadinle, Lei and Wasserman 2019",
        "Romano, Barber, Sabatti and Candès 2020",
        "Cresswell, Kumar, Sui and Belbahri 2025",
        "Clopper and Pearson 1934",
    ],
)
def conformal(ctx: Context, *, coverage: Annotated[float, Field(ge=0.5, le=0.999)] = 0.9) -> Iterable[Measurement | Message]:
    """Split conformal sets that promise `coverage`; two passes over the rows, one for the cutoff and one that counts."""
    from audit.stats.conformal import cutoff
    from audit.text import message

    regression = ctx.settled.task == "regression"
    if not regression and not ctx.settled.has_scores:
        yield message("The model returns labels only: there are no probabilities to make sets from.")
        return
    calibrating = _calibrating(ctx)
    limit = cutoff(calibrating, coverage)
    counted = [] if limit is None else _counted(ctx, limit)
    if limit is None or not counted[0][1].rows.any():
        yield message("{n:count} rows are too few to set a cutoff that promises {coverage:percent}.", n=len(calibrating), coverage=coverage)
        return
    whole = counted[0][1]
    found = list(_measured(ctx, {}, whole, 0, ctx.level("conformal_coverage"), regression))
    found[0] = _tested(found[0], whole, len(calibrating), coverage)
    yield from found
    if regression:
        from audit.measure import exact, value

        yield value("interval_width", exact(2 * limit, len(calibrating)))
    lowest = yield from _groups(ctx, counted[1:], coverage, regression)
    yield _said(found, lowest, coverage, regression)


class Counts(NamedTuple):
    """By slice: rows, those whose set holds the outcome, both (slices,), and the rows by the size of their set, (slices, classes + 1)."""

    rows: Ints
    covered: Ints
    sizes: Ints


def _read(ctx: Context, second: bool) -> Iterator[tuple[Block, Floats]]:
    """The usable rows of one half with the score of each class, (k, classes): one minus its probability; of a quantity the error, (k, 1)."""
    import numpy as np

    from audit import ordered
    from audit.slicing import levelled
    from audit.table import Block

    regression = ctx.settled.task == "regression"
    names = ["y", "pred", *([] if regression else ordered.columns(ctx)), *(f"g{i}" for i in range(len(ctx.facts.groups)))]
    for block, _, half, _ in levelled(ctx, [], names):
        own = Block({name: block[name][half == second] for name in names}, regression).usable()
        if not len(own):
            continue
        scores = np.abs(own["y"] - own["pred"])[:, None] if regression else 1 - np.clip(ordered.probabilities(own, ctx), 0, 1)
        kept = np.isfinite(scores).all(axis=1)
        yield Block({name: column[kept] for name, column in own.columns.items()}, regression), scores[kept]


def _true(block: Block, scores: Floats) -> Floats:
    """The score of what happened, (k,)."""
    import numpy as np

    return scores[:, 0] if block.regression else scores[np.arange(len(scores)), block["y"].astype(np.int64)]


def _calibrating(ctx: Context) -> Floats:
    """The scores of what happened, in the half that sets the cutoff."""
    import numpy as np

    parts = [np.zeros(0), *(_true(block, scores) for block, scores in _read(ctx, False))]
    return np.concatenate(parts)


def _counted(ctx: Context, limit: float) -> list[tuple[Grouping | None, Counts]]:
    """Everybody, then each sensitive column, counted on the half that measures."""
    import numpy as np

    width = 2 if ctx.settled.task == "regression" else len(ctx.settled.classes) + 1
    groupings: list[Grouping | None] = [None, *ctx.groupings(intersection=False)]
    sizes = [1 if g is None else len(g.slices) for g in groupings]
    found = [Counts(np.zeros(k, np.int64), np.zeros(k, np.int64), np.zeros((k, width), np.int64)) for k in sizes]
    for block, scores in _read(ctx, True):
        size, covered = (scores <= limit).sum(axis=1), _true(block, scores) <= limit
        for grouping, counts in zip(groupings, found, strict=True):
            place = np.zeros(len(size), np.int64) if grouping is None else ctx.place(block, grouping)
            counts.rows[:] += np.bincount(place, minlength=len(counts.rows))
            counts.covered[:] += np.bincount(place[covered], minlength=len(counts.rows))
            counts.sizes.reshape(-1)[:] += np.bincount(place * width + size, minlength=counts.sizes.size)
    return list(zip(groupings, found, strict=True))


def _measured(ctx: Context, slice_: Slice, counts: Counts, i: int, level: float, regression: bool) -> Iterator[Measurement]:
    """Coverage, mean size and share of sets of one class of one slice."""
    from audit.measure import rate, undefined, value
    from audit.measurement import Part
    from audit.stats.conformal import mean_size
    from audit.stats.rates import clopper_pearson
    from audit.text import message

    n, covered = int(counts.rows[i]), int(counts.covered[i])
    metrics = ["conformal_coverage"] + ([] if regression else ["set_size", "singleton_rate"])
    if n < (ENOUGH if slice_ else 1):
        why = message("Fewer than {n:count} rows of this group are in the half that measures.", n=ENOUGH)
        yield from (undefined(metric, why, slice_=slice_) for metric in metrics)
        return
    part = Part(slice=slice_, k=covered, n=n)
    yield value("conformal_coverage", clopper_pearson(covered, n, level=level), slice_=slice_, parts=[part])
    if regression:
        return
    few = message("Fewer than two rows are in the half that measures.")
    yield value("set_size", mean_size(counts.sizes[i], level=ctx.level("set_size")), slice_=slice_, reason=few)
    yield rate(ctx, "singleton_rate", int(counts.sizes[i, 1]), n, slice_=slice_)
    if not slice_:
        yield rate(ctx, "empty_set_rate", int(counts.sizes[i, 0]), n)


def _tested(m: Measurement, counts: Counts, n: int, coverage: float) -> Measurement:
    """Everybody's coverage with the test that both halves are drawn alike, which holds unless something is wrong with the rows."""
    from audit.measurement import Test
    from audit.stats.conformal import promise_p

    p = promise_p(int(counts.covered[0]), int(counts.rows[0]), n, coverage)
    return m if p is None else m.model_copy(update={"test": Test(null="both halves are drawn alike", method="beta_binomial", p_value=p)})


class Lowest(NamedTuple):
    """The group that is covered least often, with the p of its shortfall adjusted over the `tests` groups of all columns."""

    measurement: Measurement
    p: float
    tests: int


def _groups(
    ctx: Context, counted: list[tuple[Grouping | None, Counts]], coverage: float, regression: bool
) -> Generator[Measurement, None, Lowest | None]:
    """Each group's figures, the test of its coverage adjusted over all groups by Holm, and differences against the reference."""
    from audit.measurement import Test
    from audit.stats.conformal import shortfall_p
    from audit.stats.multiplicity import holm

    found: list[Measurement] = []
    tested: dict[int, float] = {}
    for grouping, counts in counted:
        assert grouping is not None
        enough = [i for i in range(len(grouping.slices)) if counts.rows[i] >= ENOUGH]
        level = 1 - (1 - ctx.level("conformal_coverage")) / max(1, len(enough))
        for i, slice_ in enumerate(grouping.slices):
            if i in enough and i not in grouping.unknown:
                tested[len(found)] = shortfall_p(int(counts.covered[i]), int(counts.rows[i]), coverage - SLACK)
            found += _measured(ctx, slice_, counts, i, level, regression)
            if not regression and i in enough and i not in grouping.unknown and grouping.reference in enough and i != grouping.reference:
                found += _apart(ctx, grouping, counts, i)
    adjusted = holm(list(tested.values())).tolist() if tested else []
    for (place, p), held in zip(tested.items(), adjusted, strict=True):
        test = Test(
            null="coverage is at most 2 points below the promise",
            method="binomial",
            p_value=p,
            adjusted_p_value=held,
            tests_in_family=len(tested),
        )
        found[place] = found[place].model_copy(update={"test": test})
    yield from found
    if not tested:
        return None
    covered = {place: e.value for place in tested if (e := found[place].estimate)}
    least = min(covered, key=lambda place: covered[place])
    return Lowest(found[least], adjusted[list(tested).index(least)], len(tested))


def _apart(ctx: Context, grouping: Grouping, counts: Counts, i: int) -> Iterator[Measurement]:
    """How much larger a group's sets are than the reference's, and how much more often they hold one class."""
    from audit.measure import comparisons, mean_comparison
    from audit.measurement import Part
    from audit.stats.conformal import size_moments

    assert grouping.reference is not None
    own, reference = ((grouping.slices[j], size_moments(counts.sizes[j])) for j in (i, grouping.reference))
    yield from mean_comparison(ctx, "set_size", own, reference)
    parts = [Part(slice=grouping.slices[j], k=int(counts.sizes[j, 1]), n=int(counts.rows[j])) for j in (i, grouping.reference)]
    yield from (m for m in comparisons(ctx, "singleton_rate", *parts) if m.compare == "difference")


def _said(found: list[Measurement], lowest: Lowest | None, coverage: float, regression: bool) -> Message:
    from audit.text import message, who

    whole = found[0].estimate
    assert whole is not None
    numbers = {"coverage": coverage, "found": whole.value, "low": whole.low, "high": whole.high, "level": whole.level, "n": whole.n}
    sizes = found[1].estimate if not regression else None
    single = found[2].estimate if not regression else None
    empty = found[3].estimate if not regression else None
    if sizes is None or single is None or empty is None:
        said = message(
            "Sets that promise to hold the outcome in {coverage:percent} of the rows hold it in {found:percent} of {n:count} others ({level:percent} interval {low:percent} to {high:percent}).",
            **numbers,
        )  # fmt: skip
    else:
        said = message(
            "Sets that promise to hold the outcome in {coverage:percent} of the rows hold it in {found:percent} of {n:count} others ({level:percent} interval {low:percent} to {high:percent}). On average they hold {size:number} classes: exactly one in {single:percent}, none in {empty:percent}.",
            size=sizes.value, single=single.value, empty=empty.value, **numbers,
        )  # fmt: skip
        if sizes.value < 1:  # more sets are empty than hold several classes
            said = message(
                "{said} Empty sets do not mean that nothing fits: the model is right more often than {coverage:percent}, so sets that promise no more than that leave out the rows of which it is least sure.",
                said=said, coverage=coverage,
            )  # fmt: skip
    if lowest is None or lowest.measurement.estimate is None:
        return said
    e = lowest.measurement.estimate
    return message(
        "{said} Least often for {group}: {found:percent} of {n:count} ({level:percent} interval {low:percent} to {high:percent}; that it is more than 2 points below the promise: p {p:p}, adjusted for {tests:count} groups).",
        said=said, group=who(lowest.measurement.slice), found=e.value, low=e.low, high=e.high, level=e.level, n=e.n, p=lowest.p, tests=lowest.tests,
    )  # fmt: skip
