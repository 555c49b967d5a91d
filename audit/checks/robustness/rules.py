"""Whether the model keeps the rules that the plan declares of it, such as "a higher income never lowers approval"."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

from audit.registry import Field, check

if TYPE_CHECKING:
    from audit.changes import Held
    from audit.context import Context
    from audit.declared_rules import DeclaredRule
    from audit.measurement import Estimate, Evidence, Measurement, Message

#: A rule in words, by what is changed and what must not follow.
CHANGES = {"increase": "a larger value", "decrease": "a smaller value", "any": "another value"}
NEVERS = {
    "lowers": "never turns a favourable decision into another", "raises": "never brings the favourable decision", "changes": "never changes the decision",
    "score lowers": "never lowers the score", "score raises": "never raises the score", "score changes": "never moves the score",
}  # fmt: skip


@check(
    "robustness.rules",
    title="Rules that the plan declares",
    meaning=(
        "For each rule under [rules] its column is changed on sampled rows as the rule says, all else held, and the model is asked again, several times a row. A row for which any of the changes leads to "
        "what must never follow breaks the rule. Shown is the share of such rows, with an exact interval, for everybody and for each group; rows that have no value to change to are not counted."
    ),
    limits=(
        "A changed row may be one that never occurs, as what goes along with the column stays as it was. Only some of the possible changes are tried, so a rule that no row breaks here can still be broken. "
        "Whether the rules are the right ones is not asked."
    ),
    unit="share of rows",
    direction="lower",
    needs=["model", "features", "table", "rules"],
    references=["Clopper and Pearson 1934", "Sill 1998"],
    probing=True,
)
def rules(
    ctx: Context,
    *,
    rules: dict[str, dict[str, Any]] | None = None,
    rows: Annotated[int, Field(ge=1)] = 2000,
    times: Annotated[int, Field(ge=2)] = 4,
    budget: Annotated[int, Field(ge=10)] = 5_000_000,
) -> Iterable[Measurement | Message]:
    """Violation rate of each declared rule, with an exact interval, overall and per group."""
    import numpy as np

    from audit.changes import held
    from audit.columns import rules as limits
    from audit.declared_rules import parsed
    from audit.flips import ask
    from audit.subject.frame import take
    from audit.text import message

    declared = parsed(rules or {})
    cost = 1 + sum(len(rule.to) if rule.to is not None else times for rule in declared.values())
    sample = ctx.sample(max(2, min(rows, ctx.plan.audit.sample, budget // cost)))
    defined = np.flatnonzero(np.isfinite(sample.pred) if ctx.settled.task == "regression" else sample.pred >= 0)
    if not len(defined):
        yield message("No sampled row has a usable prediction, so nothing could be changed.")
        return
    frame = take(sample.frame, defined)
    before, groups = ask(ctx, frame), {name: codes[defined] for name, codes in sample.groups.items()}
    told: list[Told] = []
    for name, rule in declared.items():
        found = held(ctx, rule, limits(ctx.facts.roles.columns).get(rule.column), frame, before, times, ctx.rng(name))
        told += yield from _rule(ctx, name, rule, found, groups)
    yield _summary(told, len(declared))


class Told(NamedTuple):
    """What is to be said of one rule that could be put to the model."""

    name: str
    rule: DeclaredRule
    estimate: Estimate
    broken: int


def _rule(
    ctx: Context, name: str, rule: DeclaredRule, found: Held | Message, groups: dict[str, Any]
) -> Generator[Measurement, None, list[Told]]:
    """One rule, for everybody and for each known group."""
    from audit.dataset import MISSING
    from audit.measure import undefined, value
    from audit.measurement import Message, Part
    from audit.stats.rates import clopper_pearson
    from audit.text import message

    at = {"(rule)": name}
    if isinstance(found, Message):
        yield undefined("violation_rate", found, slice_=at)
        return []
    level, told = ctx.level("violation_rate"), []
    slices: list[tuple[dict[str, str], Any]] = [({}, found.changed)]
    known = ((slice_, found.changed & inside) for slice_, inside in ctx.within(groups) if MISSING not in slice_.values())
    slices += [(slice_, inside) for slice_, inside in known if inside.any()]
    for slice_, inside in slices:
        n, k = int(inside.sum()), int((found.broken & inside).sum())
        estimate = clopper_pearson(k, n, level=level)
        reason = message("No sampled row has a value of {column} that it could be changed to.", column=rule.column)
        evidence = [] if slice_ else [_in_words(rule)]
        yield value(
            "violation_rate",
            estimate,
            slice_=slice_ | at,
            reason=reason,
            evidence=evidence,
            parts=[Part(slice=slice_ | at, k=k, n=n)] if n else [],
        )
        if estimate is not None and not slice_:
            told.append(Told(name, rule, estimate, k))
    return told


def _in_words(rule: DeclaredRule) -> Evidence:
    """The rule as it was put to the model."""
    from audit.measurement import Column, Table

    by = "" if rule.by is None else f"{rule.by[0]:g} – {rule.by[1]:g}"
    to = "" if rule.to is None else ", ".join(f"{v:g}" if isinstance(v, float) else v for v in rule.to)
    columns = [
        Column(name="column", label="input"), Column(name="rule_change", label="what is changed"), Column(name="by", label="by or to"),
        Column(name="never", label="what must not follow"),
    ]  # fmt: skip
    never = NEVERS[rule.never if rule.of == "decision" else f"score {rule.never}"]
    return Table(caption="The rule", columns=columns, rows=[[rule.column, CHANGES[rule.change], by or to, never]])


def _summary(told: list[Told], declared: int) -> Message:
    from audit.text import message

    if not told:
        return message("None of the declared rules could be put to the model: see the reasons.")
    worst = max(told, key=lambda t: (t.estimate.value, t.broken))
    broken = sum(t.broken > 0 for t in told)
    e = worst.estimate
    values = {"declared": declared, "n": e.n, "low": e.low, "high": e.high, "level": e.level}
    if not broken:
        return message(
            "Declared rules that some row breaks, on the changes that were tried: none of {declared:count}. At most {high:percent} of rows would break one ({n:count} rows, {level:percent} interval).", **values,
        )  # fmt: skip
    return message(
        "Declared rules that some row breaks: {broken:count} of {declared:count}. Most often {name}: for {rate:percent} of {n:count} rows ({level:percent} interval {low:percent} to {high:percent}).",
        broken=broken, name=worst.name, rate=e.value, **values,
    )  # fmt: skip
