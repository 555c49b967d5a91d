"""Whom a ranking serves well: what users want at the top of their own list, by group of users."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Annotated, NamedTuple

from audit.registry import Field, check

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from audit.context import Context
    from audit.measurement import Estimate, Evidence, Measurement, Message, Slice
    from audit.ranked_lists import Lists
    from audit.stats.lists import Quality


@check(
    "fairness.ranking",
    title="Whom a ranking serves well",
    meaning=(
        "Each list (a user's items) is put in the order of the score. Of what the user wants, how much stands at the top (recall), and how high (NDCG)? And how often the user's rows are decided wrongly (error). Means over users, for everybody and for each "
        "group of users against the reference. Groups differ in how long their lists are, and short lists are easy: so compared is NDCG above that of a random order of the same list."
    ),
    limits=(
        "Ranked are the items of a user that stand in the data, not all that could have been shown: what has no outcome is not looked at. A user without a wanted row has no best order and is left out of recall and NDCG. Users are taken to be independent of each other. "
        "A difference is not yet a cause: groups differ in what they like and in how much is known of it."
    ),
    unit="mean over users",
    direction="higher",
    needs=["labels", "classes", "scores", "sensitive", "lists"],
    lists=["by"],
    references=["Järvelin and Kekäläinen 2002", "Ekstrand et al. 2018", "Welch 1947"],
)
def ranking(
    ctx: Context, *, by: list[str] | None = None, at: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
) -> Iterable[Measurement | Message]:
    """NDCG, recall and error at the top `at` of each list; `by` are the columns that tell lists apart, where training logged none."""
    import numpy as np

    from audit.ranked_lists import lists_of, of_list
    from audit.stats.lists import quality
    from audit.text import message

    if ctx.settled.positive is None:
        yield message("Rows are ranked by the score of one event, and this model has none.")
        return
    lists = lists_of(ctx, by, at)
    y = ctx.scored.y[lists.row]
    known = y >= 0
    lists = lists._replace(
        row=lists.row[known], score=lists.score[known], code=np.unique(lists.code[known], return_inverse=True)[1].reshape(-1)
    )
    wanted = y[known] == ctx.settled.classes.index(ctx.settled.positive)
    if not wanted.any():
        yield message("No list holds a wanted row, so no order of it is better than another.")
        return
    found = _of_users(ctx, lists, quality(lists.code, lists.score, wanted, at=lists.at))
    groups = {g.name: of for i, g in enumerate(ctx.facts.groups) if (of := of_list(lists, ctx.scored.group(i))) is not None}
    whole = np.ones(len(found["user_error"].values), bool)
    measured = [*_values(ctx, found, {}, whole)]
    differences: list[Measurement] = []
    for name, of in groups.items():
        made, compared = _groups(ctx, found, name, of)
        measured, differences = [*measured, *made], [*differences, *compared]
    measured[0] = measured[0].model_copy(update={"evidence": [_table(ctx, found, groups)]})
    yield from [*measured, *differences]
    yield _said(lists, measured, differences)


class OfUsers(NamedTuple):
    """One figure of each list (L,), NaN where it is not defined; for a random order likewise, None where chance has no say."""

    values: NDArray[np.float64]
    by_chance: NDArray[np.float64] | None = None


def _of_users(ctx: Context, lists: Lists, found: Quality) -> dict[str, OfUsers]:
    """Metric → its figure for each list."""
    import numpy as np

    size = int(lists.code.max()) + 1

    def spread(values: NDArray[np.float64]) -> NDArray[np.float64]:
        out = np.full(size, np.nan)
        out[found.code] = values
        return out

    usable = ctx.scored.usable[lists.row]
    wrong = (ctx.scored.pred[lists.row] != ctx.scored.y[lists.row]) & usable
    with np.errstate(invalid="ignore"):
        errors = np.bincount(lists.code, weights=wrong, minlength=size) / np.bincount(lists.code, weights=usable, minlength=size)
    return {
        "ndcg_at_k": OfUsers(spread(found.ndcg), spread(found.ndcg_by_chance)),
        "recall_at_k": OfUsers(spread(found.recall), spread(found.recall_by_chance)),
        "ndcg_gain": OfUsers(spread(found.ndcg - found.ndcg_by_chance)),
        "user_error": OfUsers(errors),
    }


def _mean(values: NDArray[np.float64], level: float) -> Estimate | None:
    """The mean of the defined figures with a normal interval; where all are 0 or all are 1, Wilson's; None for fewer than 2."""
    import numpy as np

    from audit.stats.losses import mean_loss
    from audit.stats.rates import wilson

    held = values[np.isfinite(values)]
    if len(held) < 2:
        return None
    if np.ptp(held) == 0 and held[0] in (0.0, 1.0):
        return wilson(int(held.sum()), len(held), level=level)
    return mean_loss(held, level=level)


def _values(ctx: Context, found: dict[str, OfUsers], slice_: Slice, inside: NDArray[np.bool_]) -> Iterator[Measurement]:
    from audit.measure import value
    from audit.text import message

    few = message("Fewer than two users here have a wanted row.")
    for metric, of in found.items():
        yield value(metric, _mean(of.values[inside], ctx.level(metric)), slice_=slice_, reason=few)


def _groups(ctx: Context, found: dict[str, OfUsers], name: str, of: NDArray[np.int64]) -> tuple[list[Measurement], list[Measurement]]:
    """Each group of users with its means, and their differences to the reference."""
    import numpy as np

    from audit.dataset import MISSING
    from audit.measure import mean_comparison

    (group,) = [g for g in ctx.facts.groups if g.name == name]
    least = ctx.plan.disclosure.min_group_size
    large = [i for i, level in enumerate(group.levels) if level != MISSING and int((of == i).sum()) >= least]
    made = [m for i in large for m in _values(ctx, found, {name: group.levels[i]}, of == i)]
    if group.reference is None or (reference := group.levels.index(group.reference)) not in large:
        return made, []

    def triple(values: NDArray[np.float64]) -> tuple[int, float, float]:
        held = values[np.isfinite(values)]
        return len(held), float(held.mean()) if len(held) else 0.0, float(held.var(ddof=1)) if len(held) > 1 else 0.0

    compared: list[Measurement] = []
    for metric in ("ndcg_gain", "recall_at_k", "user_error"):
        theirs = triple(found[metric].values[of == reference])
        for i in (i for i in large if i != reference):
            own = triple(found[metric].values[of == i])
            if min(own[0], theirs[0]) >= 2:
                slices: tuple[Slice, Slice] = {name: group.levels[i]}, {name: group.levels[reference]}
                compared += mean_comparison(ctx, metric, (slices[0], own), (slices[1], theirs))
    return made, compared


def _table(ctx: Context, found: dict[str, OfUsers], groups: dict[str, NDArray[np.int64]]) -> Evidence:
    import numpy as np

    from audit.dataset import MISSING
    from audit.measurement import Cell, Column, Table
    from audit.text import message, render, who

    size = len(found["user_error"].values)
    slices: list[tuple[Slice, NDArray[np.bool_]]] = [({}, np.ones(size, bool))]
    for g in (g for g in ctx.facts.groups if g.name in groups):
        slices += [({g.name: level}, groups[g.name] == i) for i, level in enumerate(g.levels) if level != MISSING]
    lines: list[list[Cell]] = []
    for slice_, inside in slices:
        if int(inside.sum()) < ctx.plan.disclosure.min_group_size:
            continue
        line: list[Cell] = [render(who(slice_)), int(inside.sum())]
        for metric in ("ndcg_at_k", "recall_at_k", "user_error"):
            for values in (found[metric].values, found[metric].by_chance):
                if values is not None:
                    held = values[inside & np.isfinite(values)]
                    line.append(float(held.mean()) if len(held) else None)
        lines.append(line)
    columns = [
        Column(name="group", label="group"), Column(name="users", label="users", kind="integer"), Column(name="ndcg", label="NDCG", kind="number"),
        Column(name="ndcg_by_chance", label="NDCG in random order", kind="number"), Column(name="recall", label="recall at the top", kind="percent"),
        Column(name="recall_by_chance", label="recall in random order", kind="percent"), Column(name="error", label="decided wrongly", kind="percent"),
    ]  # fmt: skip
    caption = message("How well lists are ordered, by group of users")
    return Table(caption=render(caption), caption_msg=caption, columns=columns, rows=lines)


def _said(lists: Lists, measured: list[Measurement], differences: list[Measurement]) -> Message:
    from audit.text import beside, message, who

    by_metric = {m.metric: m.estimate for m in measured if not m.slice}
    ndcg, recall = by_metric["ndcg_at_k"], by_metric["recall_at_k"]
    if ndcg is None or recall is None:
        return message("Fewer than two users here have a wanted row.")
    said = message(
        "Of what {n:count} users want, {recall:percent} stand among the first {at:count} of their list ({level:percent} interval {low:percent} to {high:percent}); NDCG {ndcg:number} ({ndcg_low:number} to {ndcg_high:number}).",
        n=recall.n, recall=recall.value, at=lists.at, level=recall.level, low=recall.low, high=recall.high, ndcg=ndcg.value, ndcg_low=ndcg.low, ndcg_high=ndcg.high,
    )  # fmt: skip
    gains = [(m.estimate.value, m) for m in differences if m.metric == "ndcg_gain" and m.estimate is not None]
    if not gains:
        return message("{said} No two groups of users can be compared.", said=said)
    _, m = min(gains, key=lambda pair: pair[0])
    e = m.estimate
    assert e is not None
    assert m.against is not None
    return message(
        "{said} NDCG above a random order is lowest for {group}: {difference:signed} against {reference} ({level:percent} interval {low:signed} to {high:signed}).",
        said=said, group=who(m.slice), reference=beside(m.slice, m.against), difference=e.value, level=e.level, low=e.low, high=e.high,
    )  # fmt: skip
