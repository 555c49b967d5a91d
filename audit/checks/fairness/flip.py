"""Whether changing a sensitive column alone changes decisions."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from typing import TYPE_CHECKING, Annotated, NamedTuple

from audit.registry import Field, check

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from audit.context import Context
    from audit.flips import Asked, Changed
    from audit.measurement import Evidence, Measurement, Message, Slice
    from audit.subject.frame import Frame

#: What a flip is held against: the same rows asked again.
AGAIN = "(asked again)"


class Other(NamedTuple):
    """Another input, changed in the same way as the sensitive one."""

    name: str
    changed: Changed


@check(
    "fairness.flip",
    title="Decisions that change with a sensitive column alone",
    meaning=(
        "For a sensitive column that the model takes: on sampled rows it is set to the middle value of every other group while all else is held, and the model is asked again. The share of rows "
        "whose decision changes for any of them, and how far the score moves, beside two controls: the same rows asked again unchanged, and every other input given the value of another row as "
        "often. Of these the one that changes fewest decisions stands in for an irrelevant input; it is chosen on one half of the rows and compared on the other."
    ),
    limits=(
        "Not a counterfactual of a person: what goes along with the column in life stays as it was, and a changed row may be one that never occurs. A model that does not take the column can still "
        "tell groups apart by others, and a sensitive column that is an input under another name is not recognised."
    ),
    unit="share of rows; the score's own unit",
    direction="lower",
    needs=["model", "features", "table", "sensitive"],
    references=["Kusner et al. 2017", "Galhotra, Brun and Meliou 2017", "Tango 1998", "Wilson 1927"],
    probing=True,
)  # fmt: skip
def flip(
    ctx: Context,
    *,
    rows: Annotated[int, Field(ge=1)] = 2000,
    values: Annotated[int, Field(ge=1)] = 5,
    inputs: Annotated[int, Field(ge=0)] = 20,
    budget: Annotated[int, Field(ge=1)] = 5_000_000,
) -> Iterable[Measurement | Message]:
    """Flip rate of each sensitive input against asking again and against the other inputs."""
    import numpy as np

    from audit.flips import ask, changed
    from audit.measure import exact, rate, value
    from audit.subject.frame import take
    from audit.text import message

    features = {f.name for f in ctx.facts.features}
    sensitive = [g.name for g in ctx.facts.groups]
    taken = [name for name in sensitive if name in features]
    for name in (name for name in sensitive if name not in features):
        yield value("flip_rate", exact(0.0, ctx.facts.rows), slice_={"(feature)": name})
    if not taken:
        yield message(
            "The model takes none of the sensitive columns ({names}): that changing one alone changes nothing is known without asking.",
            names=sensitive,
        )
        return
    cost = 2 + values * (len(taken) + len(taken) * inputs)
    sample = ctx.sample(max(2, min(rows, ctx.plan.audit.sample, budget // cost)))
    defined = np.flatnonzero(np.isfinite(sample.pred) if ctx.settled.task == "regression" else sample.pred >= 0)
    frame = take(sample.frame, defined)
    if not len(defined):
        yield message("No sampled row has a usable prediction, so nothing could be changed.")
        return
    before, again = ask(ctx, frame), ask(ctx, frame)
    noise = changed(before, [again])
    if noise.decision is not None:
        yield rate(ctx, "repeat_rate", int(noise.decision.sum()), len(defined), what="rows with a usable prediction")
    said: list[tuple[float, Message]] = []
    for name in taken:
        said += yield from _column(ctx, name, frame, sample.groups[name][defined], before, noise, values, inputs)
    if said:
        yield max(said, key=lambda pair: pair[0])[1]
    else:
        yield message("Nothing could be said of decisions when {names} alone is changed: see the reasons.", names=taken)


def _column(
    ctx: Context, name: str, frame: Frame, groups: NDArray[np.int16], before: Asked, noise: Changed, values: int, inputs: int
) -> Generator[Measurement, None, list[tuple[float, Message]]]:
    """One sensitive input; hands back what is to be said of it, with the rate to rank it by."""
    import numpy as np

    from audit.dataset import MISSING
    from audit.flips import Asked, Changed, changes, to_other_groups
    from audit.measure import exact, rate, undefined, value
    from audit.stats.losses import mean_size
    from audit.subject.frame import take
    from audit.text import message

    at = {"(feature)": name}
    group = next(g for g in ctx.facts.groups if g.name == name)
    known = np.flatnonzero(np.array([level != MISSING for level in group.levels])[groups])
    frame, groups = take(frame, known), groups[known]
    before = Asked(None if before.decision is None else before.decision[known], before.number[known])
    noise = Changed(None if noise.decision is None else noise.decision[known], noise.moved[known])
    if len(np.unique(groups)) < 2:
        yield undefined("flip_rate", message("The sampled rows hold one value of it only, so there is nothing to change it to."), slice_=at)
        return []
    donors, chosen = to_other_groups(frame[name], groups, values)
    found, answers = changes(ctx, frame, before, name, donors)
    others = _others(ctx, frame, before, len(donors), inputs)
    scored = ctx.settled.has_scores or ctx.settled.task == "regression"
    moved = found.moved[np.isfinite(found.moved)] if scored else np.zeros(0)
    if len(moved):
        size = mean_size(moved, level=ctx.level("flip_score_change")) if moved.any() else exact(0.0, len(moved))
        yield value("flip_score_change", size, slice_=at)
    if found.decision is None or noise.decision is None:
        reason = message(
            "The decisions are not the model's to change: they are a column of the data, or nobody declared which value is favourable."
        )
        yield undefined("flip_rate", reason, slice_=at)
        return []
    n, k = len(known), int(found.decision.sum())
    measured = rate(ctx, "flip_rate", k, n, slice_=at)
    tables = [_by_value(group.levels, before, answers, chosen), *_by_input(name, found, others)]
    yield measured.model_copy(update={"evidence": tables})

    yield _excess(ctx, "flip_rate", at, AGAIN, noise.decision, found.decision)
    estimate = measured.estimate
    assert estimate is not None
    text = message(
        "Changing {column} alone changes the decision for {rate:percent} of {n:count} rows ({level:percent} interval {low:percent} to {high:percent}); asking them again unchanged, for {noise:percent}.",
        column=name, rate=k / n, n=n, level=estimate.level, low=estimate.low, high=estimate.high, noise=float(noise.decision.mean()),
    )  # fmt: skip
    if others and n >= 2:
        least, rate_of_least = _least_used(others, n)
        yield _excess(ctx, "flip_rate_over_input", at, least, rate_of_least, found.decision[1::2])
        share = float(rate_of_least.mean())
        text = message("{said} Of the other inputs, {least} changes fewest: {rate:percent}.", said=text, least=least, rate=share)
    return [(k / n, text)]


def _excess(ctx: Context, metric: str, at: Slice, against: str, control: NDArray[np.bool_], mine: NDArray[np.bool_]) -> Measurement:
    """How much oftener decisions change for the sensitive input (n,) than for the control (n,) on the same rows."""
    import numpy as np

    from audit.measurement import Measurement
    from audit.stats.paired import Pair, tango

    pair = Pair(*(int(np.count_nonzero(x & y)) for x, y in ((mine, control), (mine, ~control), (~mine, control), (~mine, ~control))))
    estimate = tango(pair, level=ctx.level(metric, "difference"))
    return Measurement(metric=metric, compare="difference", slice=at, against={"(feature)": against}, estimate=estimate)


def _least_used(others: list[Other], n: int) -> tuple[str, NDArray[np.bool_]]:
    """The input that changes fewest decisions on every second row of n, and what it changes on the rows between, which did not choose it."""
    least = min(others, key=lambda o: (int(o.changed.decision[::2].sum()) if o.changed.decision is not None else n, o.name))
    assert least.changed.decision is not None
    return least.name, least.changed.decision[1::2]


def _others(ctx: Context, frame: Frame, before: Asked, tries: int, most: int) -> list[Other]:
    """The inputs that are not sensitive, each changed as often; a random choice of `most` where there are more."""
    from audit.flips import changes, differing

    sensitive = {g.name for g in ctx.facts.groups}
    names = [name for name in frame if name not in sensitive]
    if len(names) > most:
        names = sorted(ctx.rng("inputs").choice(names, size=most, replace=False).tolist())
    return [
        Other(name, changes(ctx, frame, before, name, differing(frame[name], tries, ctx.rng(f"differing/{name}")))[0]) for name in names
    ]


def _by_value(levels: list[str], before: Asked, answers: list[Asked], chosen: NDArray[np.int16]) -> Evidence:
    """How many decisions change when the column is set to each value."""
    import numpy as np

    from audit.measurement import Cell, Column, Table
    from audit.text import level, render

    rows: list[list[Cell]] = []
    for g in np.unique(chosen):
        n = int(np.count_nonzero(chosen == g))
        k = sum(int(np.count_nonzero((a.decision != before.decision) & (row == g))) for a, row in zip(answers, chosen, strict=True))
        rows.append([render(level(levels[g])), n, k, k / n])
    columns = [
        Column(name="value", label="set to"),
        Column(name="n", label="rows", kind="integer"),
        Column(name="k", label="decisions changed", kind="integer"),
        Column(name="rate", label="share", kind="percent"),
    ]
    return Table(caption="Decisions changed by the value that the column is set to", columns=columns, rows=rows)


def _by_input(name: str, found: Changed, others: list[Other]) -> list[Evidence]:
    """The sensitive input among the others, by how many decisions each changes."""
    import numpy as np

    from audit.measurement import Cell, Column, Table

    if not others:
        return []
    every = [Other(name, found), *others]
    rows: list[list[Cell]] = [
        [
            o.name,
            float(o.changed.decision.mean()),
            float(np.mean(moved)) if len(moved := o.changed.moved[np.isfinite(o.changed.moved)]) else None,
        ]
        for o in every
        if o.changed.decision is not None
    ]
    rows.sort(key=lambda row: (-float(row[1] or 0), str(row[0])))
    columns = [
        Column(name="input", label="input"),
        Column(name="rate", label="decisions changed", kind="percent"),
        Column(name="moved", label="mean change of the answer", kind="number"),
    ]
    return [Table(caption="Every input changed as often as the sensitive one, by how many decisions change", columns=columns, rows=rows)]
