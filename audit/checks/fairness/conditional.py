"""Differences between groups within strata of the declared legitimate factors, beside the raw ones."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Annotated, NamedTuple

from audit.registry import Field, check

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from audit.context import Context
    from audit.measurement import Cell, Compare, Estimate, Evidence, Measurement, Message, Part, Slice

    Counts = NDArray[np.int64]
    Tested = tuple[float, str] | None


class Within(NamedTuple):
    """A group against its reference within strata of some factors: how many strata, how much of both they compare, and how they differ there."""

    factors: list[str]
    strata: int
    holding_both: int
    overlap: float
    difference: Estimate | None
    odds_ratio: Estimate | None
    equal: Tested
    one_odds_ratio: Tested
    least_overlap: float


class Found(NamedTuple):
    """What was found of one group: counts, within all factors together, and within each alone."""

    part: Part
    reference: Part
    joint: Within
    alone: list[Within]

    @property
    def raw(self) -> float:
        """Difference of the rates as they are."""
        return self.part.k / self.part.n - self.reference.k / self.reference.n

    @property
    def plainness(self) -> float:
        """The raw difference in standard errors of equal rates, >= 0; 0 where all or none are selected."""
        rows = self.part.n * self.reference.n / (self.part.n + self.reference.n)
        common = (self.part.k + self.reference.k) / (self.part.n + self.reference.n)
        return abs(self.raw) * (rows / (common * (1 - common))) ** 0.5 if 0 < common < 1 else 0.0


@check(
    "fairness.conditional",
    title="Differences among people who are alike in the declared factors",
    meaning=(
        "Each group against its reference, raw and within strata of the legitimate factors that the context declares: the Mantel–Haenszel difference and odds ratio with their intervals, the "
        "Cochran–Mantel–Haenszel test, Tarone's test of one odds ratio for all strata, and the overlap: the share of the rows of both groups in strata that hold both, below half of which nothing is stated. Numbers of many values are cut "
        "at the plan's bins or at quintiles; each factor is also taken alone."
    ),
    limits=(
        "Conditioning on a factor that itself carries bias hides bias: a declared factor is not thereby a legitimate one. Strata that hold one group only compare nobody, so where the overlap is "
        "small the figures speak of few people. Where too few decisions could have fallen otherwise for the tests to hold (Mantel and Fleiss), no p is given. "
        "What remains within wide bins is not adjusted for."
    ),
    unit="share of rows; ratio of odds",
    direction="target",
    needs=["sensitive", "favourable", "factors"],
    references=[
        "Mantel and Haenszel 1959", "Robins, Breslow and Greenland 1986", "Sato, Greenland and Robins 1989", "Tarone 1985", "Mantel and Fleiss 1980", "Bickel, Hammel and O'Connell 1975",
    ],
)  # fmt: skip
def conditional(
    ctx: Context, *, least_overlap: Annotated[float, Field(ge=0, le=1)] = 0.5, most_strata: Annotated[int, Field(ge=1)] = 20_000
) -> Iterable[Measurement | Message]:
    """Raw and conditional differences of the selection rate, each group against its reference."""
    from audit.text import message

    factors = [factor.name for factor in ctx.facts.factors]
    if len(ctx.strata) > most_strata:
        yield from _too_many(ctx, most_strata)
        yield message("The declared factors divide the rows into {n:count} strata, too many to compare within: name fewer, or set their bins in the plan.",
                      n=len(ctx.strata))  # fmt: skip
        return
    widest: Found | None = None
    for grouping, cells in ctx.stratified(ctx.chosen(), 3, ["pred"]):
        if grouping.reference is None:
            continue
        for i, slice_ in enumerate(grouping.slices):
            if i == grouping.reference or i in grouping.unknown:
                continue
            mine, other = cells[i], cells[grouping.reference]
            part, reference = _part(slice_, mine), _part(grouping.slices[grouping.reference], other)
            joint = _within(ctx, factors, mine, other, None, least_overlap)
            alone = [_within(ctx, [name], mine, other, f, least_overlap) for f, name in enumerate(factors)] if len(factors) > 1 else []
            yield from _measured(ctx, part, reference, joint, _table(ctx, part, reference, [*alone, joint]))
            if min(part.n, reference.n) >= ctx.plan.disclosure.min_group_size:
                found = Found(part, reference, joint, alone)
                widest = found if widest is None or found.plainness > widest.plainness else widest
    yield _summary(ctx, factors, widest)


def _part(slice_: Slice, counts: Counts) -> Part:
    from audit.measurement import Part

    return Part(slice=slice_, k=int(counts[:, 1].sum()), n=int(counts[:, :2].sum()))


def _within(ctx: Context, names: list[str], mine: Counts, other: Counts, factor: int | None, least_overlap: float) -> Within:
    """Group against reference, both counted (strata, 3), within all strata or, for one factor, within its levels."""
    import numpy as np

    from audit.stats import stratified

    def by_level(counts: Counts) -> Counts:
        if factor is None:
            return counts
        sums = np.zeros((len(ctx.facts.factors[factor].levels), counts.shape[1]), np.int64)
        np.add.at(sums, ctx.levels(factor), counts)
        return sums

    (k1, n1), (k0, n0) = ((c[:, 1], c[:, :2].sum(axis=1)) for c in (by_level(mine), by_level(other)))
    strata = int(np.count_nonzero(n1 + n0))
    tables = stratified.stratify(k1, n1, k0, n0)
    if tables is None:
        return Within(names, strata, 0, 0.0, None, None, None, None, least_overlap)
    overlap = tables.rows / int(n1.sum() + n0.sum())
    if overlap < least_overlap:  # what few can be compared would stand for all the others
        return Within(names, strata, len(tables.k1), overlap, None, None, None, None, least_overlap)
    level = ctx.level("conditional_selection_rate", "difference"), ctx.level("conditional_selection_rate", "odds_ratio")
    sparse = not stratified.large_enough(tables)  # then neither test has the distribution that its p is read from
    tests = (None, None) if sparse else (stratified.cochran_mantel_haenszel(tables), stratified.tarone(tables))
    return Within(
        names, strata, len(tables.k1), overlap, stratified.mantel_haenszel_difference(tables, level=level[0]),
        stratified.mantel_haenszel_odds_ratio(tables, level=level[1]), *tests, least_overlap,
    )  # fmt: skip


def _why_undefined(within: Within, compare: str) -> Message:
    from audit.text import message

    if not within.holding_both:
        return message("No stratum holds people of both groups, so nobody can be compared with anybody.")
    if within.overlap < within.least_overlap:
        return message(
            "The strata that hold both groups cover {overlap:percent} of their rows, fewer than {least:percent}: those few would stand for all.",
            overlap=within.overlap, least=within.least_overlap,
        )  # fmt: skip
    if compare == "difference":
        return message("Within every stratum everybody gets the same decision.")
    return message("Within the strata that hold both groups the odds ratio is 0, infinite or undefined.")


def _measured(ctx: Context, part: Part, reference: Part, within: Within, table: Evidence) -> Iterator[Measurement]:
    """The comparison within strata, its tests, and how many of the rows it speaks of."""
    from audit.measure import exact, undefined, value
    from audit.measurement import Measurement, Test
    from audit.text import message

    name, parts, evidence = "conditional_selection_rate", [part, reference], [table]
    tests = {
        "difference": (within.equal, "equality within every stratum"),
        "odds_ratio": (within.one_odds_ratio, "one odds ratio for all strata"),
    }
    found: list[tuple[Compare, Estimate | None]] = [("difference", within.difference), ("odds_ratio", within.odds_ratio)]
    for compare, estimate in found:
        tested, null = tests[compare]
        if estimate is None:
            reason = _why_undefined(within, compare)
            measured = undefined(name, reason, slice_=part.slice, against=reference.slice, compare=compare, parts=parts)
        else:
            measured = Measurement(
                metric=name, compare=compare, slice=part.slice, against=reference.slice, parts=parts, estimate=estimate,
                test=Test(null=null, method=tested[1], p_value=tested[0]) if tested else None,
            )  # fmt: skip
        yield measured.model_copy(update={"evidence": evidence})
        evidence = []
    rows, nobody = part.n + reference.n, message("Neither group has rows.")
    yield value("overlap_share", exact(within.overlap, rows) if rows else None, slice_=part.slice, reason=nobody, parts=parts)


def _table(ctx: Context, part: Part, reference: Part, within: list[Within]) -> Evidence:
    """Raw and conditional side by side, a row per choice of factors."""
    from audit.measurement import Column, Table
    from audit.stats.compare import equality_test, newcombe, odds_ratio
    from audit.text import beside, message, render, who

    counts, level = (part.k, part.n, reference.k, reference.n), ctx.level("selection_rate", "difference")
    raw = newcombe(*counts, level=level), odds_ratio(*counts, level=level)
    tested = equality_test(*counts)

    def numbers(*estimates: Estimate | None) -> list[Cell]:
        return [v for e in estimates for v in ((e.value, e.low, e.high) if e else (None, None, None))]

    rows: list[list[Cell]] = [["none (raw)", None, None, None, *numbers(*raw), tested[0] if tested else None, None]]
    for w in within:
        name = "all of them together" if len(w.factors) > 1 else w.factors[0]
        p = [t[0] if t else None for t in (w.equal, w.one_odds_ratio)]
        rows.append([name, w.strata, w.holding_both, w.overlap, *numbers(w.difference, w.odds_ratio), *p])
    columns = [
        Column(name="factors", label="within strata of"),
        Column(name="strata", label="strata", kind="number"),
        Column(name="both", label="with both", kind="number"),
        Column(name="overlap", label="overlap", kind="percent"),
        Column(name="difference", label="points", kind="points"),
        Column(name="difference_low", label="from", kind="points"),
        Column(name="difference_high", label="to", kind="points"),
        Column(name="odds", label="odds ratio", kind="ratio"),
        Column(name="odds_low", label="from", kind="ratio"),
        Column(name="odds_high", label="to", kind="ratio"),
        Column(name="p", label="p", kind="p_value"),
        Column(name="tarone", label="Tarone's p", kind="p_value"),
    ]
    text = message("{group} against {other}, raw and among people alike in declared factors; conditioning on a factor that itself carries bias hides bias",
                   group=who(part.slice), other=beside(part.slice, reference.slice))  # fmt: skip
    return Table(caption=render(text), caption_msg=text, columns=columns, rows=rows)


def _summary(ctx: Context, factors: list[str], widest: Found | None) -> Message:
    """The group whose difference is plainest as it is, and what is left of that among people who are alike."""
    from audit.text import beside, message, who

    warned = message("Conditioning on a factor that itself carries bias hides bias.")
    if widest is None:
        return message(
            "No two groups of at least {n:count} rows can be compared within strata of {factors}. {warned}",
            n=ctx.plan.disclosure.min_group_size, factors=factors, warned=warned,
        )  # fmt: skip
    part, reference, joint, alone = widest
    raw = message("{group} against {other}: {raw:points} points in the favourable decision as it is",
                  group=who(part.slice), other=beside(part.slice, reference.slice), raw=widest.raw)  # fmt: skip
    if (e := joint.difference) is not None:
        return message(
            "{raw}, {within:points} points ({level:percent} interval {low:points} to {high:points}) among people alike in {factors}; the strata that hold both groups cover {overlap:percent} "
            "of their rows. {warned}",
            raw=raw, within=e.value, low=e.low, high=e.high, level=e.level, factors=factors, overlap=joint.overlap, warned=warned,
        )  # fmt: skip
    single = sorted((w.difference.value, w.factors[0]) for w in alone if w.difference)
    if not single:
        return message("{raw}. {why} {warned}", raw=raw, why=_why_undefined(joint, "difference"), warned=warned)
    return message(
        "{raw}; among people alike in one declared factor at a time, from {low:points} ({first}) to {high:points} ({last}). For all factors together nothing is stated. {why} {warned}",
        raw=raw, low=single[0][0], first=single[0][1], high=single[-1][0], last=single[-1][1], why=_why_undefined(joint, "difference"), warned=warned,
    )  # fmt: skip


def _too_many(ctx: Context, most: int) -> Iterator[Measurement]:
    from audit.measure import undefined
    from audit.text import message

    for grouping in ctx.groupings(intersection=False):
        for i, slice_ in enumerate(grouping.slices):
            if grouping.reference is not None and i != grouping.reference and i not in grouping.unknown:
                reason = message("There are {n:count} strata, more than {most:count}.", n=len(ctx.strata), most=most)
                against = grouping.slices[grouping.reference]
                yield undefined("conditional_selection_rate", reason, slice_=slice_, against=against, compare="difference")
