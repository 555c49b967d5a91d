"""Whether small moves to other rows that may be change what the model decides of a row of a table."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Annotated, Any

from audit.registry import Field, check

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from audit.context import Context
    from audit.measurement import Evidence, Measurement, Message
    from audit.stress.asked import Rows
    from audit.stress.feasible import Attacker, Ground

    Bools = NDArray[np.bool_]

#: Shares of a standard deviation of each number.
EPSILONS = [0.1, 0.25, 0.5]
#: Rows below which a group is no worst group.
NAMED = 30
ATTACKS = {"gradients": "by gradients", "search": "search by answers"}


@check(
    "robustness.feasible",
    title="Small moves of inputs that change the decision",
    meaning=(
        "Every number of a sampled row that the model decides rightly may move by at most epsilon of its standard deviations, within what the plan declares of columns (immutable, monotone, range, integer, one_hot) and the middle "
        "98 % of the data; sensitive inputs stay. Attacks by gradient, where there are gradients, and a search by answers look for moves with which the model decides otherwise. The robust accuracy is the share of rows that "
        "are decided rightly and that no attack turned, for everybody and for each group. Each turned row is held against the declarations again: the share that breaks one must be 0."
    ),
    limits=(
        "A move is feasible as far as the plan says so: inputs that life ties to each other move by themselves here, and what nobody declared counts as changeable. That no attack was found is no proof that there is none: "
        "the true share can only be lower. Many rows that can be turned lie near the cutoff, as some rows must of any model."
    ),
    unit="share of rows",
    direction="higher",
    needs=["labels", "classes", "features", "table"],
    references=["Simonetto, Ghamizi and Cordy 2024", "Croce and Hein 2020", "Clopper and Pearson 1934"],
    probing=True,
)  # fmt: skip
def feasible(
    ctx: Context,
    *,
    rows: Annotated[int, Field(ge=1, le=100_000)] = 200,
    epsilons: list[float] = EPSILONS,
    switches: Annotated[int, Field(ge=0, le=20)] = 0,
    steps: Annotated[int, Field(ge=1, le=1000)] = 20,
    budget: Annotated[int, Field(ge=1_000)] = 5_000_000,
) -> Iterable[Measurement | Message]:
    """Robust accuracy at each epsilon, per group at the middle one; `switches` categories may change in a row too."""
    from audit.columns import rules
    from audit.explain.space import space_of
    from audit.stress.asked import Model, rows_of
    from audit.stress.feasible import Attacker, evaluations, ground_of
    from audit.text import message

    if not epsilons or min(epsilons) <= 0:
        yield message("The plan's epsilons are not above 0, so no row was changed.")
        return
    sample, model = ctx.sample(ctx.plan.audit.sample), Model(ctx)
    ground = ground_of(space_of(sample.frame, rules(ctx.facts.roles.columns), ctx.facts.roles.sensitive))
    if not ground.numbers and not (switches and ground.categories):
        yield message("No number of the model's inputs may change by what is declared of columns, so no row was changed.")
        return
    levels = tuple(sorted(set(epsilons)))
    cost = evaluations(ground, steps, model.has_gradients) * len(levels)
    chosen = rows_of(ctx, model, max(1, min(rows, ctx.plan.audit.sample, budget // cost)))
    if not len(chosen):
        yield message("No sampled row has both an outcome and a prediction.")
        return
    attacker = Attacker(model, ground, ground.space.coding.matrix(chosen.frame), chosen.own, switches, steps, ctx.rng("attacks"))
    left = attacker.run(levels, chosen.right, model.has_gradients)
    yield from _measured(ctx, chosen, left, levels, attacker)
    yield _summary(ctx, chosen, left, levels, ground)


def _measured(ctx: Context, chosen: Rows, left: Bools, epsilons: tuple[float, ...], attacker: Attacker) -> Iterator[Measurement]:
    from audit.measure import exact, undefined, value
    from audit.text import message

    yield _rate(ctx, "accuracy_unattacked", chosen.right, {}, [])
    for place, epsilon in enumerate(epsilons):
        yield _rate(
            ctx,
            "robust_accuracy",
            left[place],
            {"(deviations)": f"{epsilon:g}"},
            [_tries(attacker), *_moves(attacker)] if place == 0 else [],
        )
    middle = len(epsilons) // 2
    for slice_, own in ctx.within(chosen.groups):
        yield _rate(ctx, "accuracy_unattacked", chosen.right[own], slice_, [])
        yield _rate(ctx, "robust_accuracy", left[middle][own], slice_ | {"(deviations)": f"{epsilons[middle]:g}"}, [])
    broken, turned = attacker.violations
    if turned:
        yield value("constraint_violation_rate", exact(broken / turned, turned))
    else:
        yield undefined("constraint_violation_rate", message("No row was turned."))


def _rate(ctx: Context, metric: str, rows: Any, slice_: dict[str, str], evidence: list[Evidence]) -> Measurement:
    from audit.measure import value
    from audit.measurement import Part
    from audit.stats.rates import clopper_pearson

    k, n = int(rows.sum()), len(rows)
    return value(
        metric, clopper_pearson(k, n, level=ctx.level(metric)), slice_=slice_, evidence=evidence, parts=[Part(slice=slice_, k=k, n=n)]
    )


def _tries(attacker: Attacker) -> Evidence:
    from audit.measurement import Column, Table

    columns = [
        Column(name="epsilon", label="standard deviations", kind="number"), Column(name="attack", label="attack"),
        Column(name="rows", label="rows it was tried on", kind="integer"), Column(name="turned", label="rows turned", kind="integer"),
    ]  # fmt: skip
    rows = [[t.epsilon, ATTACKS[t.attack], t.rows, t.turned] for t in attacker.tries]
    return Table(caption="What each attack turned of what the ones before had left", columns=columns, rows=[[*row] for row in rows])


def _moves(attacker: Attacker) -> list[Evidence]:
    """How far each input moved in the rows that were turned."""
    import numpy as np

    from audit.measurement import Cell, Column, Table

    own, moved = (np.concatenate([pair[i] for pair in attacker.found]) for i in (0, 1)) if attacker.found else (None, None)
    if own is None or moved is None or not len(own):
        return []
    facts, changed = attacker.ground.space.facts, attacker.ground.space.changed(own, moved)
    rows: list[list[Cell]] = []
    for f in sorted(range(len(facts)), key=lambda f: (-int(changed[:, f].sum()), facts[f].name)):
        if k := int(changed[:, f].sum()):
            column = facts[f].columns[0]
            spread = float(np.nanstd(attacker.ground.space.reference[:, column])) if facts[f].numeric else 0.0
            rows.append(
                [facts[f].name, k, k / len(own), float(np.mean(np.abs(moved - own)[changed[:, f], column])) / spread if spread else None]
            )
    columns = [
        Column(name="feature", label="input"), Column(name="n", label="turned rows that move it", kind="integer"), Column(name="share", label="share", kind="percent"),
        Column(name="moved", label="mean move in standard deviations", kind="number"),
    ]  # fmt: skip
    return [Table(caption="What moved in the rows that were turned", columns=columns, rows=rows)]


def _summary(ctx: Context, chosen: Rows, left: Bools, epsilons: tuple[float, ...], ground: Ground) -> Message:
    from audit.dataset import MISSING
    from audit.stats.rates import clopper_pearson
    from audit.text import message, who

    middle, n = len(epsilons) // 2, len(chosen)
    rate = clopper_pearson(int(left[middle].sum()), n, level=ctx.level("robust_accuracy"))
    assert rate is not None, "there are rows"
    said = message(
        "Of {n:count} rows {clean:percent} are decided rightly, and {robust:percent} ({level:percent} interval {low:percent} to {high:percent}) where {m:count} numbers may each move by {epsilon:ratio} of their standard deviations.",
        n=n, clean=float(chosen.right.mean()), robust=rate.value, level=rate.level, low=rate.low, high=rate.high, m=len(ground.numbers), epsilon=epsilons[middle],
    )  # fmt: skip
    groups = [
        (float(left[middle][own].mean()), int(own.sum()), slice_)
        for slice_, own in ctx.within(chosen.groups)
        if own.sum() >= NAMED and MISSING not in slice_.values()
    ]
    if len(groups) > 1:
        share, size, slice_ = min(groups, key=lambda g: g[0])
        said = message("{said} Lowest for {who}: {rate:percent} of {n:count}.", said=said, who=who(slice_), rate=share, n=size)
    if not ctx.facts.roles.columns:
        said = message(
            "{said} Nobody declared what of the inputs can change ([columns] in the plan), so every number counts as changeable.", said=said
        )
    return said
