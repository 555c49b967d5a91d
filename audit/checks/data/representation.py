"""Who is in the audited rows: how many of each group, how often the outcome occurs among them, and what so many rows can show."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Annotated

from audit.registry import Field, check

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from audit.context import Context, Grouping
    from audit.measurement import Cell, Column, Estimate, Measurement, Message, Part, Table, Test
    from audit.prepare import Groups
    from audit.table import Block

#: Cells of an intersection that are listed; the others are counted.
MOST = 60


@check(
    "data.representation",
    title="Who is in the data",
    meaning=(
        "The share of each group and of each combination of groups, how often the event happens among them, and the smallest difference to the reference group that so many rows "
        "would show: computed from sizes and the rate over everybody, before any group's own outcomes are looked at."
    ),
    limits=(
        "A group can be large and still not be represented: who is missing from the data altogether cannot be seen here unless population shares are declared. The smallest detectable difference "
        "is a planning figure by the normal approximation, for one comparison alone; the audit's own verdicts correct for several."
    ),
    unit="share of rows",
    direction="none",
    needs=["sensitive"],
    references=["Wilson 1927", "Newcombe 1998", "Pearson 1900", "Fleiss 1981"],
)
def representation(
    ctx: Context,
    *,
    small: Annotated[int, Field(ge=1, le=100_000)] = 30,
    alpha: Annotated[float, Field(gt=0, lt=1)] = 0.05,
    power: Annotated[float, Field(gt=0, lt=1)] = 0.8,
    population: dict[str, dict[str, Annotated[float, Field(gt=0, lt=1)]]] = {},  # noqa: B006 - read only
) -> Iterable[Measurement | Message]:
    """Shares, base rates and detectable differences per group; shares of a population and of the training rows where they are known."""
    common = _common_rate(ctx)
    tiny: list[tuple[dict[str, str], int]] = []
    combined = 0
    for grouping, cells in ctx.counted({"event": _events(ctx)}, _names(ctx)):
        sizes = [int(n) for n in cells["event"].sum(axis=1)]
        few = [(s, n) for i, (s, n) in enumerate(zip(grouping.slices, sizes, strict=True)) if n < small and i not in grouping.unknown]
        tiny, combined = (tiny + few, combined) if grouping.single else (tiny, len(few))
        yield from _shares(ctx, grouping, cells["event"], sizes, common, alpha, power)
    for group in ctx.facts.groups:
        yield from _unknown(ctx, group)
        yield from _against_training(ctx, group)
        if group.name in population:
            yield from _against_population(ctx, group, population[group.name])
    yield _said(ctx, tiny, combined, small)


def _said(ctx: Context, tiny: list[tuple[dict[str, str], int]], combined: int, small: int) -> Message:
    """The groups about whom little can be said, by name; of combinations how many there are."""
    from audit.text import message, who

    largest = max(((s, n) for g in ctx.facts.groups for s, n in _known(g)), key=lambda x: x[1], default=None)
    if largest is None:
        return message("Membership is unknown for every row.")
    if tiny:
        names = [message("{who} ({n:count} rows)", who=who(s), n=n) for s, n in sorted(tiny, key=lambda t: t[1])]
        said = message("Groups with fewer than {small:count} rows, about whom little can be said: {names}.", small=small, names=names)
    else:
        said = message("Every group has at least {small:count} rows; the largest is {who} with {n:count} of {rows:count}.",
                       small=small, who=who(largest[0]), n=largest[1], rows=ctx.facts.rows)  # fmt: skip
    if not combined:
        return said
    more = message("Combinations of groups with fewer than {small:count} rows: {n:count}.", small=small, n=combined)
    return message("{first} {second}", first=said, second=more)


def _known(group: Groups) -> list[tuple[dict[str, str], int]]:
    from audit.dataset import MISSING

    return [({group.name: level}, n) for level, n in zip(group.levels, group.sizes, strict=True) if level != MISSING]


def _names(ctx: Context) -> list[str]:
    return ["y"] if _has_event(ctx) else ["pred"]


def _has_event(ctx: Context) -> bool:
    return ctx.facts.target_sql is not None and ctx.settled.positive is not None


def _events(ctx: Context) -> tuple[Callable[[Block], NDArray[np.int64]], int]:
    """0 for rows without a known outcome, 1 without and 2 with the event."""
    import numpy as np

    event = ctx.settled.classes.index(ctx.settled.positive) if ctx.settled.positive is not None else -1

    def coding(block: Block) -> NDArray[np.int64]:
        if not _has_event(ctx):
            return np.zeros(len(block), np.int64)
        known: NDArray[np.int64] = (block["y"] >= 0).astype(np.int64)
        known += block["y"] == event
        return known

    return coding, 3


def _common_rate(ctx: Context) -> tuple[int, int] | None:
    """How many of how many get the favourable decision, or where none is declared have the event: over everybody, never by group."""
    selected = ctx.scored.selection
    chosen = n = 0
    if selected is not None and ctx.settled.task != "regression":
        for block in ctx.scored.blocks(["pred"]):
            pred = block.predicted()["pred"]
            chosen, n = chosen + int(selected(pred).sum()), n + len(pred)
    elif _has_event(ctx):
        event = ctx.settled.classes.index(str(ctx.settled.positive))
        for block in ctx.scored.blocks(["y"]):
            chosen, n = chosen + int((block["y"] == event).sum()), n + int((block["y"] >= 0).sum())
    return (chosen, n) if n else None


def _shares(
    ctx: Context,
    grouping: Grouping,
    cells: NDArray[np.int64],
    sizes: list[int],
    common: tuple[int, int] | None,
    alpha: float,
    power: float,
) -> Iterator[Measurement]:
    """Share, base rate and detectable difference of each slice, and the table of them."""
    from audit.measure import rate, undefined, value
    from audit.text import message

    order = sorted(range(len(sizes)), key=lambda i: (-sizes[i], i))[:MOST]
    reference = sizes[grouping.reference] if grouping.reference is not None else 0
    shown = _table(ctx, grouping, cells, sizes, order, common, alpha, power)
    for place, i in enumerate(order):
        share = rate(ctx, "group_share", sizes[i], ctx.facts.rows, slice_=grouping.slices[i])
        yield share.model_copy(update={"evidence": [shown]}) if place == 0 else share
    for i in order if grouping.single else []:  # of combinations the table has the rest
        if _has_event(ctx):
            yield rate(ctx, "base_rate", int(cells[i, 2]), int(cells[i, 1] + cells[i, 2]), slice_=grouping.slices[i])
    for i in order if grouping.single else []:
        if i == grouping.reference or i in grouping.unknown or not reference or common is None:
            continue
        estimate = _detectable(sizes[i], reference, common, alpha, power, ctx.level("detectable_difference"))
        if estimate is None:
            yield undefined(
                "detectable_difference",
                message("The rate over everybody is 0 or 1: there is no spread to compute with."),
                slice_=grouping.slices[i],
            )
        else:
            yield value("detectable_difference", estimate, slice_=grouping.slices[i])


def _detectable(n1: int, n0: int, common: tuple[int, int], alpha: float, power: float, level: float) -> Estimate | None:
    """The smallest detectable difference at the common rate; its interval is that over the common rate's own interval."""
    from audit.measurement import Estimate
    from audit.stats.power import minimal_detectable_difference
    from audit.stats.rates import wilson

    k, n = common
    if k in (0, n) or not n1 or not n0:
        return None
    p = wilson(k, n, level=level)
    assert p is not None
    at = [
        minimal_detectable_difference(n1, n0, x, alpha=alpha, power=power) or 0.0
        for x in (p.value, p.low, p.high, *([0.5] if p.low < 0.5 < p.high else []))
    ]
    return Estimate(value=at[0], low=min(at), high=max(at), level=level, method="detectable", n=n1 + n0)


def _table(
    ctx: Context,
    grouping: Grouping,
    cells: NDArray[np.int64],
    sizes: list[int],
    order: list[int],
    common: tuple[int, int] | None,
    alpha: float,
    power: float,
) -> Table:
    from audit.measurement import Column, Table
    from audit.text import message, render

    reference = sizes[grouping.reference] if grouping.reference is not None else 0
    rows: list[list[Cell]] = []
    for i in order:
        known, n = int(cells[i, 1] + cells[i, 2]), sizes[i]
        # The normal approximation says nothing of a handful of rows.
        compared = bool(reference) and i != grouping.reference and i not in grouping.unknown and n >= ctx.plan.disclosure.min_group_size
        found = _detectable(n, reference, common, alpha, power, 0.95) if compared and common else None
        rows.append([*grouping.slices[i].values(), n, n / ctx.facts.rows, int(cells[i, 2]) / known if known and _has_event(ctx) else None,
                     round(2 * n * reference / (n + reference)) if compared and n else None, found.value if found else None])  # fmt: skip
    columns = [*(Column(name=c, label=c) for c in grouping.columns), *_heads(ctx)]
    of = {"columns": list(grouping.columns), "power": power, "alpha": alpha, "rate": common[0] / common[1]} if common else {}
    if not common:
        caption = message("Groups of {columns}", columns=list(grouping.columns))
    elif ctx.scored.selection is not None and ctx.settled.task != "regression":
        caption = message(
            "Groups of {columns}: the difference to the reference that {power:percent} of audits of these sizes would find at p {alpha:p}, if {rate:percent} of everybody get the "
            "favourable decision", **of,
        )  # fmt: skip
    else:
        caption = message(
            "Groups of {columns}: the difference to the reference that {power:percent} of audits of these sizes would find at p {alpha:p}, if the event happens to {rate:percent} of "
            "everybody", **of,
        )  # fmt: skip
    return Table(caption=render(caption), caption_msg=caption, columns=columns, rows=rows)


def _heads(ctx: Context) -> list[Column]:
    from audit.measurement import Column

    return [
        Column(name="rows", label="rows", kind="integer"), Column(name="share", label="share of the rows", kind="percent"),
        Column(name="event", label="event happened", kind="percent"), Column(name="effective", label="rows of an evenly split comparison", kind="integer"),
        Column(name="detectable", label="smallest detectable difference, in points", kind="points"),
    ]  # fmt: skip


def _unknown(ctx: Context, group: Groups) -> Iterator[Measurement]:
    from audit.dataset import MISSING
    from audit.measure import rate

    missing = sum(n for level, n in zip(group.levels, group.sizes, strict=True) if level == MISSING)
    yield rate(ctx, "unknown_membership_share", missing, ctx.facts.rows, slice_={"(column)": group.name})


def _against_training(ctx: Context, group: Groups) -> Iterator[Measurement]:
    """Each group's share of the audited rows less its share of the training rows, among rows whose membership is known."""
    from audit.dataset import MISSING
    from audit.measurement import Measurement, Part, Test
    from audit.stats.compare import equality_test, newcombe

    training = ctx.facts.training
    if training is None or group.name not in training.sizes:
        return
    here = {level: n for level, n in zip(group.levels, group.sizes, strict=True) if level != MISSING}
    there = training.sizes[group.name]
    n1, n0 = sum(here.values()), sum(there.values())
    if not n1 or not n0:
        return
    for level in sorted(here.keys() | there.keys(), key=lambda v: (-here.get(v, 0), v)):
        mine: Part = Part(slice={group.name: level}, k=here.get(level, 0), n=n1)
        other: Part = Part(slice={group.name: level, "(rows)": "(training)"}, k=there.get(level, 0), n=n0)
        counts = (mine.k, n1, other.k, n0)
        tested = equality_test(*counts)
        yield Measurement(
            metric="group_share", compare="difference", slice=mine.slice, against={"(rows)": "(training)"}, parts=[mine, other],
            estimate=newcombe(*counts, level=ctx.level("group_share", "difference")),
            test=Test(null="equality", method=tested[1], p_value=tested[0]) if tested else None,
        )  # fmt: skip


def _against_population(ctx: Context, group: Groups, declared: dict[str, float]) -> Iterator[Measurement]:
    """The shares of a column against declared ones: a goodness-of-fit test, the distance in all, and each group's difference."""
    from audit.measure import undefined, value
    from audit.measurement import Part
    from audit.stats.rates import wilson
    from audit.text import message

    here = {s[group.name]: n for s, n in _known(group)}
    n = sum(here.values())
    where = {"(column)": group.name}
    absent = sorted(here.keys() - declared.keys())
    if absent or not n or min(declared.values()) <= 0 or abs(sum(declared.values()) - 1) > 0.01:
        why = (
            message("The declared population shares of {column} do not name these groups of the data: {names}.", column=group.name, names=absent) if absent
            else message("The declared population shares of {column} must be above 0 and sum to 1.", column=group.name)
        )  # fmt: skip
        yield undefined("population_distance", why, slice_=where)
        return
    total = sum(declared.values())
    shares = {level: share / total for level, share in declared.items()}
    counts = [here.get(level, 0) for level in shares]
    distance, test = _distance(ctx, group.name, counts, list(shares.values()))
    yield value("population_distance", distance, slice_=where).model_copy(update={"test": test})
    for level, share in shares.items():
        k = here.get(level, 0)
        found = wilson(k, n, level=ctx.level("share_minus_population"))
        assert found is not None
        shifted = found.model_copy(update={"value": found.value - share, "low": found.low - share, "high": found.high - share})
        yield value("share_minus_population", shifted, slice_={group.name: level}, parts=[Part(slice={group.name: level}, k=k, n=n)])


def _distance(ctx: Context, column: str, counts: list[int], shares: list[float]) -> tuple[Estimate | None, Test]:
    """Half the sum of the absolute differences of shares, and the test that the rows were drawn with the declared ones."""
    import numpy as np
    from scipy.stats import chisquare

    from audit.measurement import Test
    from audit.stats.cells import bootstrap

    observed, expected = np.array(counts), np.array(shares) * sum(counts)

    def half(drawn: NDArray[np.int64]) -> NDArray[np.float64]:
        total = drawn.sum(axis=1, keepdims=True)
        return np.asarray(np.abs(drawn / total - np.array(shares)).sum(axis=1, keepdims=True) / 2)

    estimate = bootstrap(
        observed, half, replicates=2000, rng=ctx.rng(f"population/{column}"), level=ctx.level("population_distance")
    ).estimates[0]
    if expected.min() >= 5 or len(counts) < 2:
        p, method = (float(chisquare(observed, expected).pvalue), "chi_square") if len(counts) > 1 else (1.0, "chi_square")
    else:  # too few expected for the approximation: draws from the declared shares
        drawn = ctx.rng(f"multinomial/{column}").multinomial(int(observed.sum()), shares, size=20_000)
        statistic = ((drawn - expected) ** 2 / expected).sum(axis=1)
        p = (1 + int((statistic >= ((observed - expected) ** 2 / expected).sum() - 1e-9).sum())) / 20_001
        method = "multinomial_draws"
    return estimate, Test(null="the rows were drawn with the declared shares", method=method, p_value=min(1.0, p))
