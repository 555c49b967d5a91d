"""Whom making the model smaller harms: the smaller version against the one that it was made from, on the same rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Annotated

from audit.registry import Field, check

if TYPE_CHECKING:
    from audit.context import Context
    from audit.measurement import Measurement, Message
    from audit.stats.paired import Pair
    from audit.versions.rows import Joint, Rows

#: How a model was made smaller, by the word that stands in its record.
WAYS = {"int8": "weights in 8 bits", "prune": "weights set to zero", "distill": "a student of its answers"}
OTHERWISE = "in another way"


@check(
    "efficiency.compression",
    title="Whom making the model smaller harms",
    meaning=(
        "A version that was made smaller (weights in 8 bits, weights set to zero, a student of the model) against the model that it was made from, on the same rows: how much accuracy and "
        "the share of positives that are found change, overall and for each group, with McNemar's test adjusted over all groups; and by how much a group's accuracy falls more than everybody's, with "
        "intervals widened for the number of groups, so that the worst of them may be read off."
    ),
    limits=(
        "Accuracy can stay while other people are decided wrongly. One smaller version says nothing of another made with another seed. Decisions of both are those of the rule that was in force "
        "when each was audited. Small groups show large harm only."
    ),
    unit="share of rows",
    direction="higher",
    needs=["labels", "classes", "sensitive", "base"],
    references=[
        "Hooker, Moorosi, Clark, Bengio and Denton 2020",
        "Tran, Fioretto, Kim and Naidu 2022",
        "McNemar 1947",
        "Tango 1998",
        "Zou and Donner 2008",
    ],
)
def compression(ctx: Context, *, rows: Annotated[int, Field(ge=2, le=1_000_000)] = 30) -> Iterable[Measurement | Message]:
    """Both scored tables side by side in one pass; groups of fewer than `rows` rows are left open."""
    from audit.bases import scored_table
    from audit.text import message
    from audit.versions.rows import Rows, Table, UnmatchedError

    base = ctx.facts.base
    assert base is not None, "a check that needs a base declares it"
    path = scored_table(ctx.scored.path.parent, ctx.facts.sha256, base.model_id) if base.model_id else None
    if path is None:
        yield message(
            "The model that this one was made from, {uri}, was not audited on these rows here: audit it first, then this one again.",
            uri=base.uri,
        )
        return
    try:
        both = Rows(Table.open(path), Table.open(ctx.scored.path))
    except UnmatchedError:
        yield message(
            "The scored rows of the model that this one was made from, {uri}, are not the same rows: audit it again on these.", uri=base.uri
        )
        return
    found = [m.model_copy(update={"repeatable": False}) for m in _measured(ctx, both, rows)]
    yield from found
    yield _said(found, both, base.uri, base.method)


def _measured(ctx: Context, both: Rows, least: int) -> Iterator[Measurement]:
    from audit.measure import undefined
    from audit.paired_groups import changes, excess
    from audit.text import message
    from audit.versions.rows import Joint

    whole = Joint(both.overall)
    declared = {group.name for group in ctx.facts.groups}
    groups = [(slice_, joint) for name, slice_, joint in both.groups() if name in declared]
    shown = [(slice_, joint) for slice_, joint in groups if joint.right().n >= max(least, ctx.plan.disclosure.min_group_size)]
    metrics = ["accuracy_change"] + (["true_positive_rate_change"] if both.event is not None else [])
    none = message("No row here has this outcome and both decisions.")
    for metric in metrics:
        pair = Joint.right if metric == "accuracy_change" else _positives
        yield from changes(ctx, metric, [({}, pair(whole))], adjusted=False, why=none)
        yield from changes(ctx, metric, [(slice_, pair(joint)) for slice_, joint in shown], adjusted=True, why=none)
    few = message("Fewer than {n:count} rows of this group have an outcome and both decisions.", n=least)
    for slice_, _ in (g for g in groups if g not in shown):
        yield from (undefined(metric, few, slice_=slice_) for metric in [*metrics, "excess_accuracy_drop"])
    level = 1 - (1 - ctx.level("excess_accuracy_drop")) / max(1, len(shown))
    for slice_, joint in shown:
        yield excess(slice_, joint.right(), Joint(both.overall - joint.cells).right(), level)


def _positives(joint: Joint) -> Pair:
    """Decided for the event, over rows in which it happened."""
    return joint.decided(2)


def _said(found: list[Measurement], both: Rows, uri: str, method: str) -> Message:
    from audit.paired_groups import beyond
    from audit.text import message

    (whole,) = [m.estimate for m in found if m.metric == "accuracy_change" and not m.slice]
    if whole is None:
        return message("No row has an outcome and a decision of both versions: nothing can be measured.")
    said = message(
        "Against {uri}, which it was made from ({method}), accuracy changes by {change:points} points ({level:percent} interval {low:points} to {high:points}; {n:count} rows).",
        uri=uri, method=message(WAYS[method]) if method in WAYS else message(OTHERWISE), change=whole.value, low=whole.low, high=whole.high, level=whole.level, n=whole.n,
    )  # fmt: skip
    return beyond(said, found)
