"""What people would have to change to get the favourable decision, and whether that is dearer for some groups."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Annotated

from audit.registry import Field, check

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from audit.context import Context
    from audit.explain.recourse import Way
    from audit.explain.space import Space
    from audit.measurement import Evidence, Measurement, Message
    from audit.prepare import Groups

    Floats = NDArray[np.float64]
    Bools = NDArray[np.bool_]


@check(
    "explanation.recourse",
    title="What would change an adverse decision, and for whom that is dearer",
    meaning=(
        "For sampled people who do not get the favourable decision: the nearest change of their inputs with which the model would give it, within what the plan declares changeable "
        "(immutable, monotone, range, integer, one_hot) and between the 1st and 99th percentile of the data. Of networks the gradient leads to the first way, of every other model "
        "the search for it needs answers only. Every way is rounded and asked again. Its cost is fixed beforehand: the percentiles by which numbers move, summed, and 1/3 for "
        "another category. Reported are the cost and the share without any way, for everybody and for each group against the reference, and how often a way still holds where each "
        "changed number misses by up to 2 %."
    ),
    limits=(
        "Found by search, so a cheaper way may exist. Inputs are changed one by one although in life they move together, and nothing says how hard or how lawful a change is unless "
        "the plan does. Equal cost in percentiles can be unequal burden. The nearest way ends where the decision turns, so it seldom holds where it is missed. It holds for this "
        "model as it is, is tried on others trained anew only where reference models are at hand, and is no promise."
    ),
    unit="percentiles moved, as a share of the whole range; share of adverse decisions",
    direction="lower",
    needs=["model", "features", "table", "favourable"],
    references=["Ustun, Spangher and Liu 2019", "Wachter, Mittelstadt and Russell 2018", "Brughmans, Leyman and Martens 2024", "Kavouras et al. 2023"],
    probing=True,
)  # fmt: skip
def recourse(
    ctx: Context,
    *,
    rows: Annotated[int, Field(ge=2, le=100_000)] = 300,
    depth: Annotated[int, Field(ge=1, le=6)] = 4,
    least: Annotated[int, Field(ge=2)] = 50,
    draws: Annotated[int, Field(ge=25)] = 2000,
    budget: Annotated[int, Field(ge=1_000)] = 3_000_000,
) -> Iterable[Measurement | Message]:
    """Cost of the nearest way and share without one, overall and per group, and which inputs the ways change."""
    import numpy as np

    from audit.columns import rules
    from audit.explain.decisions import Refused, refused
    from audit.explain.descent import descent
    from audit.explain.recourse import Search, evaluations
    from audit.explain.retrained import retrained
    from audit.explain.space import space_of
    from audit.measure import rate
    from audit.text import message

    found = refused(ctx)
    if not isinstance(found, Refused):
        yield found
        return
    judge, (frame, groups, decided), _ = found
    space = space_of(frame, rules(ctx.facts.roles.columns), ctx.facts.roles.sensitive)
    down = descent(judge, space)
    chosen = found.first(max(2, min(rows, budget // evaluations(space, depth, down))))
    search = Search(space, lambda matrix: judge(space.coding.frame(matrix)).asked, space.reference[decided.favourable], depth, down)
    own = space.reference[chosen]
    ways = [ways[0] if ways else None for ways in search.ways(own)]
    has = np.array([way is not None for way in ways])
    members = {name: codes[chosen] for name, codes in groups.items()}
    table = _table(space, own, ways)
    yield rate(ctx, "no_recourse_rate", int(np.count_nonzero(~has)), len(chosen)).model_copy(
        update={"evidence": [table] if has.any() else []}
    )
    for group in ctx.facts.groups:
        yield from _shares(ctx, group, ~has, members[group.name])
    if not has.any():
        yield message(
            "For none of {n:count} people who do not get the favourable decision was a change found that would give it, within what the plan declares changeable.",
            n=len(chosen),
        )  # fmt: skip
        return
    kept = [way for way in ways if way is not None]
    after = np.stack([way.values for way in kept])
    yield from _lasting(ctx, "robust_recourse_rate", search.holds(own[has], after, ctx.rng("noise")))
    anew = retrained(judge, space.coding.frame(after))
    if anew is not None:
        yield from _lasting(ctx, "retrained_recourse_rate", anew)
    yield from _of_the_ways(ctx, kept, len(chosen), {name: codes[has] for name, codes in members.items()}, least, draws)


def _lasting(ctx: Context, metric: str, holds: Floats) -> Iterator[Measurement]:
    """The mean over ways of the share of trials (n,) in which each still has the decision."""
    from audit.measure import value
    from audit.stats.losses import mean_loss

    kept = mean_loss(holds, level=ctx.level(metric))
    yield value(metric, kept.model_copy(update={"low": max(0.0, kept.low), "high": min(1.0, kept.high)}))


def _of_the_ways(
    ctx: Context, ways: list[Way], n: int, members: dict[str, NDArray[np.int16]], least: int, draws: int
) -> Iterator[Measurement | Message]:
    """What the nearest ways cost, how many inputs they change, and whether people are there."""
    import numpy as np

    from audit.measure import rate, value
    from audit.stats.losses import mean_size

    cost = np.array([way.cost for way in ways])
    mean = mean_size(cost, level=ctx.level("recourse_cost"))
    yield value("recourse_cost", mean)
    dearest: list[tuple[str, Measurement]] = []
    for group in ctx.facts.groups:
        found = list(_costs(ctx, group, cost, members[group.name], least, draws))
        yield from found
        dearest += [(group.name, m) for m in found if m.compare == "ratio" and m.estimate is not None]
    changes = mean_size(np.array([float(way.changes) for way in ways]), level=ctx.level("recourse_changes"))
    yield value("recourse_changes", changes)
    yield rate(ctx, "plausible_recourse_rate", sum(way.plausible for way in ways), len(ways))
    yield _summary(len(ways), n, mean.value, changes.value, dearest)


def _shares(ctx: Context, group: Groups, without: Bools, codes: NDArray[np.int16]) -> Iterator[Measurement]:
    """The share without a way in each group, against the reference."""
    import numpy as np

    from audit.dataset import MISSING
    from audit.measure import comparisons, rate
    from audit.measurement import Part

    parts = {
        level: Part(slice={group.name: level}, k=int(np.count_nonzero(without & (codes == code))), n=int(np.count_nonzero(codes == code)))
        for code, level in enumerate(group.levels)
    }
    for level, part in parts.items():
        if not part.n:
            continue
        yield rate(ctx, "no_recourse_rate", part.k, part.n, slice_=part.slice)
        if group.reference is not None and level not in (group.reference, MISSING) and parts[group.reference].n:
            yield from (m for m in comparisons(ctx, "no_recourse_rate", part, parts[group.reference]) if m.compare == "difference")


def _costs(ctx: Context, group: Groups, cost: Floats, codes: NDArray[np.int16], least: int, draws: int) -> Iterator[Measurement]:
    """The mean cost in each group, and its ratio to the reference's; of those for whom a way was found."""
    from audit.dataset import MISSING
    from audit.measure import undefined, value
    from audit.measurement import Measurement
    from audit.stats.compare import mean_ratio
    from audit.stats.losses import mean_size
    from audit.text import message

    costs = {level: cost[codes == code] for code, level in enumerate(group.levels)}
    for level, own in costs.items():
        at = {group.name: level}
        if not len(own):
            continue
        yield value("recourse_cost", mean_size(own, level=ctx.level("recourse_cost")), slice_=at)
        if group.reference is None or level in (group.reference, MISSING):
            continue
        theirs, against = costs[group.reference], {group.name: group.reference}
        if min(len(own), len(theirs)) < least:
            few = message("Fewer than {least:count} people of one of the two groups were refused and have a way.", least=least)
            yield undefined("recourse_cost", few, slice_=at, against=against, compare="ratio")
            continue
        ratio = mean_ratio(own, theirs, level=ctx.level("recourse_cost", "ratio"), draws=draws, rng=ctx.rng(f"ratio/{group.name}={level}"))
        yield Measurement(metric="recourse_cost", compare="ratio", slice=at, against=against, estimate=ratio)


def _table(space: Space, own: Floats, ways: list[Way | None]) -> Evidence:
    """Which inputs the nearest ways change, how often, and by how much."""
    import numpy as np

    from audit.measurement import Cell, Column, Table

    kept = [i for i, way in enumerate(ways) if way is not None]
    before, after = own[kept], np.array([way.values for way in ways if way is not None]).reshape(len(kept), own.shape[1])
    changed = space.changed(before, after)
    rows: list[list[Cell]] = []
    for f in sorted(range(len(space.facts)), key=lambda f: (-int(changed[:, f].sum()), space.facts[f].name)):
        k = int(changed[:, f].sum())
        if k:
            moved = float(space.facts[f].cost(before, after)[changed[:, f]].mean())
            rows.append([space.facts[f].name, k, k / len(kept), moved])
    columns = [
        Column(name="feature", label="input"),
        Column(name="n", label="ways that change it", kind="integer"),
        Column(name="share", label="share", kind="percent"),
        Column(name="cost", label="mean cost where it is changed", kind="number"),
    ]
    return Table(caption="What the nearest ways change", columns=columns, rows=rows)


def _summary(found: int, n: int, cost: float, changes: float, ratios: list[tuple[str, Measurement]]) -> Message:
    from audit.text import message, who

    said = message(
        "For {found:count} of {n:count} people who do not get the favourable decision there is a change that would give it; the nearest moves {changes:number} inputs by {cost:number} percentile ranges in all, on average (1 is from the lowest to the highest value).",
        found=found, n=n, changes=changes, cost=cost,
    )  # fmt: skip
    if not ratios:
        return said
    _, worst = max(ratios, key=lambda pair: pair[1].estimate.value if pair[1].estimate else 0.0)
    assert worst.estimate is not None
    assert worst.against is not None
    return message(
        "{said} It costs {who} {ratio:ratio} times as much as {against} ({level:percent} interval {low:ratio} to {high:ratio}).",
        said=said, who=who(worst.slice), against=who(worst.against), ratio=worst.estimate.value, level=worst.estimate.level, low=worst.estimate.low, high=worst.estimate.high,
    )  # fmt: skip
