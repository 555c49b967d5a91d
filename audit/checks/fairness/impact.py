"""Impact ratios against the group with the highest rate, read by the four-fifths rule and its significance clause."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Annotated, NamedTuple

from audit.registry import Field, check

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from audit.context import Context, Grouping
    from audit.measurement import Estimate, Evidence, Measurement, Message, Slice


class Pair(NamedTuple):
    """A group against the one with the highest rate: x of n selected, and what the rule asks of them."""

    place: int
    x: int
    n: int
    x0: int
    n0: int
    ratio: Estimate | None
    z: float
    fisher: float
    p: tuple[float, str]
    adjusted: float
    reading: str


@check(
    "fairness.impact",
    title="Impact ratios and the four-fifths rule",
    meaning=(
        "Each group's rate of favourable decisions as a share of the highest rate, with what the four-fifths rule (29 CFR 1607.4(D)) asks for together: the ratio in exact fractions "
        "(0.80 itself is not below), the pooled z, Fisher's p, p adjusted by Holm within each table, by how many selections the group is short of its share, how many more bring it to four "
        "fifths, and the ratio had one selection moved to it: where that reaches 0.80, do not conclude. A group under 2 % of all is shown and is not taken as the highest."
    ),
    limits=(
        "The rule is a rule of thumb of United States employment law and settles nothing by itself; rescinding parts of the guidelines that it stands in was on the agency's agenda in 2026, so look up their state. It "
        "speaks of race, sex and ethnic groups, and these guidelines do not apply to age or disability (29 CFR 1607.2(D)): for other columns it is an analogy. The "
        "regulation names no test: which one is used, the adjustment and the words of the reading are policy of this audit. Intervals and tests take the group with the highest rate as "
        "given; the ratio to a highest rate chosen anew in every bootstrap draw stands beside them, and is pulled down where several rates are close; groups under 2 % are not taken as the highest there either. \"Not indicated\" does not say that there is no discrimination."
    ),
    unit="ratio to the highest rate",
    direction="higher",
    needs=["sensitive", "favourable"],
    reported_only=["impact_ratio", "rechosen_impact_ratio"],
    references=["29 CFR 1607.4(D)", "44 FR 11996 (1979), Questions and Answers 10 to 24", "Miettinen and Nurminen 1985", "Fisher 1934", "Holm 1979", "Efron 1979"],
)  # fmt: skip
def impact(
    ctx: Context,
    *,
    alpha: Annotated[float, Field(gt=0, lt=1)] = 0.05,
    least_share: Annotated[float, Field(ge=0, lt=1)] = 0.02,
    replicates: Annotated[int, Field(ge=1, le=100_000)] = 2000,
) -> Iterable[Measurement | Message]:
    """Ratios to the highest rate per sensitive column and for their intersection; reported, never judged."""
    from fractions import Fraction

    from audit.text import beside, message, who

    lowest: tuple[tuple[bool, Fraction], Pair, Slice, Slice] | None = None
    for grouping, counted in ctx.counted({"chosen": (ctx.chosen(), 3)}, ["pred"]):
        x, n = counted["chosen"][:, 1], counted["chosen"][:, :2].sum(axis=1)
        known = [i for i in range(len(n)) if n[i] and i not in grouping.unknown]
        if len(known) < 2:
            continue
        large = _large(n, known, least_share)
        top = _top(x, n, large)
        pairs = _pairs(ctx, x, n, known, top, alpha)
        yield from _measured(ctx, grouping, pairs, x, n, known, large, top, replicates)
        for pair in pairs:
            if grouping.single and pair.ratio and pair.n >= ctx.plan.disclosure.min_group_size:
                # A group of less than the least share is shown and heads nothing while there is a larger one.
                key = (bool(pair.n < least_share * n[known].sum()), Fraction(pair.x * pair.n0, pair.n * pair.x0))
                if lowest is None or key < lowest[0]:
                    lowest = (key, pair, grouping.slices[pair.place], grouping.slices[top])
    if lowest is None:
        yield message("No two groups of at least {n:count} rows can be compared.", n=ctx.plan.disclosure.min_group_size)
        return
    (small, _), pair, mine, other = lowest
    assert pair.ratio is not None
    yield message(
        "{group}: {rate:percent} get the favourable decision, {ratio:ratio} times the highest rate ({other}: {rate0:percent}; {level:percent} interval {low:ratio} to "
        "{high:ratio}; {n:count} and {n0:count} rows); Holm-adjusted p {p:p}. {law}: {reading}. No other group of a single column with at least {share:percent} of the rows has a lower ratio.",
        group=who(mine), other=beside(mine, other), rate=pair.x / pair.n, rate0=pair.x0 / pair.n0, ratio=pair.ratio.value, p=pair.adjusted,
        law=_law(ctx), reading=message(READINGS[pair.reading]), level=pair.ratio.level, low=pair.ratio.low, high=pair.ratio.high, n=pair.n, n0=pair.n0,
        share=0.0 if small else least_share,
    )  # fmt: skip


#: The readings as a sentence has them.
READINGS = {
    "indicated by both": "adverse impact is indicated by both the ratio and the test",
    "ratio only, small-number caution": "below four fifths by the ratio only, small-number caution",
    "one selection decides": "below four fifths and statistically significant, but one selection moved would lift the ratio to four fifths, so nothing is concluded",
    "statistical, check practical": "statistically significant above four fifths, check whether it matters in practice",
    "not indicated": "adverse impact is not indicated, which is no proof of none",
}


def _law(ctx: Context) -> Message:
    """The rule's name: law where the declared domain is employment, and an analogy everywhere else."""
    from audit.text import message

    domain = ctx.facts.roles.context.get("domain")
    if "employment" in (domain if isinstance(domain, list) else [domain]):
        return message(
            "Four-fifths rule (29 CFR 1607.4(D), for employment decisions by race, sex and ethnic group; by analogy for anything else)"
        )
    return message("By analogy to the four-fifths rule, which is employment law")


def _large(n: NDArray[np.int64], known: list[int], least_share: float) -> list[int]:
    """The groups that are large enough to be the one with the highest rate, or all where none is."""
    pool = sum(int(n[i]) for i in known)
    return [i for i in known if n[i] >= least_share * pool] or known


def _top(x: NDArray[np.int64], n: NDArray[np.int64], large: list[int]) -> int:
    """The group with the highest rate among those that are large enough."""
    from audit.stats.impact import highest

    place = highest([int(x[i]) for i in large], [int(n[i]) for i in large])
    assert place is not None
    return large[place]


def _pairs(ctx: Context, x: NDArray[np.int64], n: NDArray[np.int64], known: list[int], top: int, alpha: float) -> list[Pair]:
    from audit.stats.compare import equality_test, fisher_exact, miettinen_nurminen, pooled_score_test
    from audit.stats.impact import below_four_fifths, one_moved, reading
    from audit.stats.multiplicity import holm

    found = []
    for i in known:
        if i == top:
            continue
        counts = (int(x[i]), int(n[i]), int(x[top]), int(n[top]))
        score, fisher, tested = pooled_score_test(*counts), fisher_exact(*counts), equality_test(*counts)
        assert score is not None
        assert fisher is not None
        assert tested is not None
        found.append((i, counts, score[0], fisher, tested))
    adjusted = holm([tested[0] for *_, tested in found]).tolist()
    level = ctx.level("impact_ratio", "ratio")
    read = [reading(below_four_fifths(*counts), p <= alpha, one_moved(*counts)) for (_, counts, *_), p in zip(found, adjusted, strict=True)]
    return [
        Pair(i, *counts, miettinen_nurminen(*counts, level=level), z, fisher, tested, p, said)
        for (i, counts, z, fisher, tested), p, said in zip(found, adjusted, read, strict=True)
    ]


def _measured(
    ctx: Context,
    grouping: Grouping,
    pairs: list[Pair],
    x: NDArray[np.int64],
    n: NDArray[np.int64],
    known: list[int],
    large: list[int],
    top: int,
    replicates: int,
) -> Iterator[Measurement]:
    """The highest rate with the whole table, each group's ratio to it, and the ratios with the highest rate chosen anew."""
    import numpy as np

    from audit.measure import rate, undefined, value
    from audit.measurement import Measurement, Part, Test
    from audit.text import message

    part = {i: Part(slice=grouping.slices[i], k=int(x[i]), n=int(n[i])) for i in known}
    highest = rate(ctx, "highest_selection_rate", part[top].k, part[top].n, slice_=part[top].slice)
    # The table hangs on the highest rate: where that may not be printed, the ratios to it may not be either.
    yield highest.model_copy(update={"evidence": [_table(ctx, grouping, pairs, part[top].k, part[top].n, top)]})
    for pair in pairs:
        mine, parts = part[pair.place].slice, [part[pair.place], part[top]]
        if pair.ratio is None:
            reason = message("Nobody got the favourable decision.")
            yield undefined("impact_ratio", reason, slice_=mine, against=part[top].slice, compare="ratio", parts=parts)
            continue
        p_value, method = pair.p
        test = Test(null="equality", method=method, p_value=p_value, adjusted_p_value=pair.adjusted, tests_in_family=len(pairs))
        yield Measurement(
            metric="impact_ratio", compare="ratio", slice=mine, against=part[top].slice, parts=parts, estimate=pair.ratio, test=test
        )
    if grouping.single:
        eligible = np.isin(known, large)
        for i, estimate in zip(known, _redrawn(ctx, grouping, x[known], n[known], eligible, replicates), strict=True):
            reason = message("Nobody got the favourable decision, in these rows or in too many bootstrap draws.")
            yield value("rechosen_impact_ratio", estimate, slice_=part[i].slice, reason=reason, parts=[part[i]])


def _redrawn(
    ctx: Context, grouping: Grouping, x: NDArray[np.int64], n: NDArray[np.int64], eligible: NDArray[np.bool_], replicates: int
) -> list[Estimate | None]:
    """Each rate over the highest of the same draw: counts are drawn anew within each group, and the highest is chosen anew among the `eligible`."""
    import numpy as np

    from audit.stats.cells import bootstrap

    groups = len(n)

    def ratios(counts: NDArray[np.int64]) -> NDArray[np.float64]:
        rates = counts[:, :groups] / n
        best = rates[:, eligible].max(axis=1, keepdims=True)
        return np.where(best > 0, rates / np.where(best > 0, best, 1.0), np.nan)

    rng = ctx.rng("redrawn/" + "/".join(grouping.columns))
    counts, strata = np.concatenate([x, n - x]), np.tile(np.arange(groups), 2)
    level = ctx.level("rechosen_impact_ratio")
    return bootstrap(counts, ratios, level=level, rng=rng, replicates=replicates, strata=strata).estimates


def _table(ctx: Context, grouping: Grouping, pairs: list[Pair], x0: int, n0: int, top: int) -> Evidence:
    """All that the rule asks for beside each ratio, a row per group, the highest rate first."""
    from audit.measurement import Cell, Column, Table
    from audit.stats.impact import one_moved, selections_to_four_fifths, shortfall
    from audit.text import level, message, render

    pool = n0 + sum(pair.n for pair in pairs)

    def name(place: int) -> str:
        return ", ".join(render(level(value)) for value in grouping.slices[place].values())

    rows: list[list[Cell]] = [[name(top), n0, x0, x0 / n0, n0 / pool, 1.0, None, None, None, None, None, None, "highest rate"]]
    for pair in pairs:
        counts = (pair.x, pair.n, pair.x0, pair.n0)
        moved = one_moved(*counts)
        ratio = None if pair.ratio is None else pair.x * pair.n0 / (pair.n * pair.x0)
        rows.append([
            name(pair.place), pair.n, pair.x, pair.x / pair.n, pair.n / pool, ratio, pair.z, pair.fisher, pair.adjusted, shortfall(*counts),
            selections_to_four_fifths(*counts), None if moved is None else float(moved), pair.reading if pair.ratio else "nobody selected",
        ])  # fmt: skip
    columns = [
        Column(name="group", label="group"),
        Column(name="n", label="rows", kind="integer"),
        Column(name="k", label="selected", kind="integer"),
        Column(name="rate", label="rate", kind="percent"),
        Column(name="share", label="of all", kind="percent"),
        Column(name="ratio", label="ratio", kind="ratio3"),
        Column(name="z", label="z", kind="number"),
        Column(name="fisher", label="Fisher's p", kind="p_value"),
        Column(name="adjusted", label="p of the equality test, Holm", kind="p_value"),
        Column(name="shortfall", label="short by", kind="number"),
        Column(name="needed", label="to 4/5", kind="number"),
        Column(name="moved", label="one moved", kind="ratio3"),
        Column(name="reading", label="reading"),
    ]
    text = message("{law}: selection rates against the highest, by {columns}", law=_law(ctx), columns=list(grouping.columns))
    return Table(caption=render(text), caption_msg=text, columns=columns, rows=rows)
