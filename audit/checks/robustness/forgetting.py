"""What fine-tuning cost on the task that the model could do before: the same rows, asked of both."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

from audit.registry import Field, check

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from audit.context import Context
    from audit.measurement import Evidence, Measurement, Message
    from audit.paired_groups import Group
    from audit.rows import Rows
    from audit.source_task import SourceTask


@check(
    "robustness.forgetting",
    title="What fine-tuning made the model forget",
    meaning=(
        "The model before fine-tuning and the fine-tuned one decide the same rows of the task that the first was made for: how much accuracy changes, overall and for each group, with McNemar's test adjusted "
        "over all groups; and by how much a group's accuracy falls more than everybody's, with intervals widened for the number of groups, so that the worst of them may be read off."
    ),
    limits=(
        "It speaks of these source rows only; what else the model could do before is not looked at. Both decide by their own highest score, not by a declared cutoff. Where the fine-tuned model has a new head, the "
        "head of the source task is put back on it, unchanged: a head fitted anew would find more of what the layers below still hold. One fine-tuning says nothing of another with another seed."
    ),
    unit="share of rows",
    direction="higher",
    needs=["classes", "scores", "features", "source"],
    references=["McCloskey and Cohen 1989", "Li and Hoiem 2016", "McNemar 1947", "Tango 1998", "Zou and Donner 2008"],
    probing=True,
)
def forgetting(
    ctx: Context,
    *,
    base: str | None = None,
    source: str | None = None,
    rows: Annotated[int, Field(ge=2, le=1_000_000)] = 10_000,
    group_rows: Annotated[int, Field(ge=2, le=1_000_000)] = 30,
) -> Iterable[Measurement | Message]:
    """At most `rows` rows of the source task asked of both models; groups of fewer than `group_rows` are left open. `base` and `source` name the model
    before fine-tuning and its rows; without them what training logged is taken."""
    import numpy as np

    from audit.rows import once, other_rows
    from audit.text import message

    task = ctx.facts.source_task
    assert task is not None, "a check that needs a source task declares it"
    classes = list(task.classes) or ctx.settled.classes
    found = other_rows(ctx, task.rows, classes, once(ctx, rows), groups=True)
    assert found.y is not None, "rows of a source task without an outcome are refused when they are found"
    answers = _answers(ctx, task, classes, found)
    if answers is None:
        yield message(
            "The model before fine-tuning does not choose between the same classes as the audited one, so the two cannot be compared on its rows."
        )
        return
    known = (found.y >= 0) & (answers.before >= 0) & (answers.after >= 0)
    if not known.any():
        yield message("No row of the source task has an outcome and a decision of both models: nothing can be measured.")
        return
    right = Answers(answers.before[known] == found.y[known], answers.after[known] == found.y[known])
    inside = {name: np.asarray(codes)[known] for name, codes in found.groups.items()}
    measured = list(_measured(ctx, right, inside, group_rows))
    yield from measured
    yield _said(measured, task)


class Answers(NamedTuple):
    """Of n rows what the model before and the one after fine-tuning decide, as class codes with -1 for none; or whether each is right."""

    before: NDArray[Any]
    after: NDArray[Any]


def _answers(ctx: Context, task: SourceTask, classes: list[str], found: Rows) -> Answers | None:
    """Both models' own decisions; None where the base gives another number of outputs than there are classes."""
    from pathlib import Path

    import numpy as np

    from audit.outputs import interpret
    from audit.privacy.reference_models import beside, described, in_parts
    from audit.subject.client import Prediction
    from audit.subject.inspect import inspect_model

    assert ctx.launching is not None, "a probing check knows how the audited model was launched"
    settled = ctx.settled
    if task.path is None:
        members = [{"graph": path} for path in task.graphs]
        settled = settled.model_copy(
            update={"classes": classes, "positive": classes[-1] if len(classes) == 2 else None, "outputs": "logit"}
        )
    else:
        own = inspect_model(Path(task.path)).metadata.get("classes")
        if own and [str(c) for c in own] != classes:
            return None
        folder = Path(task.path)
        members = described(folder.parent, [folder.name], trust_pickle=ctx.launching["trust_pickle"])
    parts: list[list[NDArray[Any]]] = []
    with beside(ctx, members, classes) as client:
        for each in in_parts(client, found.frame, len(members), len(classes)):
            if each[0].shape[1] not in ({len(classes), 1} if len(classes) == 2 else {len(classes)}):
                return None
            parts.append([interpret(Prediction(values, None), settled)[0] for values in each])
    decided = [np.concatenate(column) for column in zip(*parts, strict=True)]
    return Answers(decided[0], decided[1] if task.path is None else ctx.interpreted(found.frame)[0])


def _measured(ctx: Context, right: Answers, inside: dict[str, NDArray[np.int64]], least: int) -> Iterator[Measurement]:
    import numpy as np

    from audit.dataset import MISSING
    from audit.measure import undefined
    from audit.paired_groups import changes, excess
    from audit.stats.paired import Pair
    from audit.text import message

    def pair(rows: NDArray[np.bool_]) -> Pair:
        before, after = right.before[rows].astype(bool), right.after[rows].astype(bool)
        counts = (before & after, ~before & after, before & ~after, ~before & ~after)
        return Pair(*(int(np.count_nonzero(c)) for c in counts))

    everybody = np.ones(len(right.before), bool)
    slices = [
        ({g.name: level}, inside[g.name] == code)
        for g in ctx.facts.groups if g.name in inside
        for code, level in enumerate(g.levels) if level != MISSING
    ]  # fmt: skip
    shown = [(slice_, rows) for slice_, rows in slices if rows.sum() >= max(least, ctx.plan.disclosure.min_group_size)]
    none = message("No row of the source task is here.")
    groups: list[Group] = [(slice_, pair(rows)) for slice_, rows in shown]
    (whole,) = changes(ctx, "accuracy_change", [({}, pair(everybody))], adjusted=False, why=none)
    held = list(changes(ctx, "accuracy_change", groups, adjusted=True, why=none))
    yield whole.model_copy(update={"evidence": [_table([({}, pair(everybody)), *groups], [whole, *held])]})
    yield from held
    few = message("Fewer than {n:count} rows of this group have an outcome and both decisions.", n=least)
    for slice_, rows in slices:
        if rows.any() and slice_ not in [s for s, _ in shown]:
            yield from (undefined(metric, few, slice_=slice_) for metric in ("accuracy_change", "excess_accuracy_drop"))
    level = 1 - (1 - ctx.level("excess_accuracy_drop")) / max(1, len(shown))
    for slice_, rows in shown:
        if not rows.all():
            yield excess(slice_, pair(rows), pair(~rows), level)


def _table(groups: list[Group], found: list[Measurement]) -> Evidence:
    from audit.measurement import Cell, Column, Table
    from audit.text import message, render, who

    lines: list[list[Cell]] = []
    for (slice_, pair), m in zip(groups, found, strict=True):
        e, before, after = m.estimate, pair.both + pair.old, pair.both + pair.new
        change = (e.value, e.low, e.high) if e else (None, None, None)
        lines.append([render(who(slice_)), pair.n, before / pair.n, after / pair.n, pair.old, pair.new, *change])
    columns = [
        Column(name="group", label="group"), Column(name="n", label="rows", kind="integer"),
        Column(name="before", label="accuracy before fine-tuning", kind="percent"), Column(name="after", label="accuracy after", kind="percent"),
        Column(name="lost", label="right before only", kind="integer"), Column(name="gained", label="right after only", kind="integer"),
        Column(name="change", label="change in points", kind="points"), Column(name="low", label="at least", kind="points"),
        Column(name="high", label="at most", kind="points"),
    ]  # fmt: skip
    caption = message("The source task before and after fine-tuning")
    return Table(caption=render(caption), caption_msg=caption, columns=columns, rows=lines)


def _said(found: list[Measurement], task: SourceTask) -> Message:
    from audit.paired_groups import beyond
    from audit.text import message

    e = found[0].estimate
    assert e is not None, "rows are left, so their change is defined"
    said = message(
        "On {n:count} rows of the source task, against {base}, accuracy changes by {change:points} points ({level:percent} interval {low:points} to {high:points}).",
        n=e.n, base=task.base if task.path else message("the model before fine-tuning"), change=e.value, level=e.level, low=e.low, high=e.high,
    )  # fmt: skip
    return beyond(said, found)
