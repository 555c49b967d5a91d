"""Whose rows smaller models decide otherwise: several trainings of one recipe against the smaller version of each, row by row."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Annotated, NamedTuple

from audit.registry import Field, check

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from audit.context import Context
    from audit.measurement import Cell, Evidence, Measurement, Message, Part, Slice
    from audit.rows import Rows


@check(
    "efficiency.exemplars",
    title="Whose rows smaller models decide otherwise",
    meaning=(
        "Several models trained as the base was, each with another seed, and the smaller version of each are asked about the same rows. Rows on which the most frequent decision of the one differs from "
        "that of the other (compression-identified exemplars) do not hang on the luck of one training. Told are their share of all rows, and for each group its share of them over its share of all rows: "
        "above 1 it has more of them than its size says; with a test of equality with everybody else, adjusted over all groups."
    ),
    limits=(
        "Another decision is no worse decision: which of the two is right is not looked at. The rule in force decides for every model, or its highest score where decisions are a column of the data, so rows near "
        "the cutoff are the first to change. Where models tie, a row counts only if no most frequent decision is shared. Intervals and tests speak of other rows like these and take the models as they are: "
        "other seeds would give other rows. The audited model itself is none of those asked."
    ),
    unit="share of rows",
    direction="lower",
    needs=["classes", "scores", "features", "sensitive", "seeds"],
    references=[
        "Hooker, Courville, Clark, Dauphin and Frome 2019",
        "Hooker, Moorosi, Clark, Bengio and Denton 2020",
        "Koopman 1984",
        "Holm 1979",
    ],
    probing=True,
)
def exemplars(
    ctx: Context, *, rows: Annotated[int, Field(ge=2, le=1_000_000)] = 10_000, group_rows: Annotated[int, Field(ge=2, le=1_000_000)] = 30
) -> Iterable[Measurement | Message]:
    """At most `rows` rows asked of every model; groups of fewer than `group_rows` are left open."""
    from audit.rows import evaluation_rows, once
    from audit.text import message

    found = _answered(ctx, evaluation_rows(ctx, once(ctx, rows)))
    if not len(found.differ):
        yield message("There is no row to which every model gives an answer: nothing can be measured.")
        return
    measured = list(_measured(ctx, found, group_rows))
    yield from measured
    yield _said(ctx, measured, found)


class Answered(NamedTuple):
    """Of the rows (n,) that every model answers: whether the most frequent decision differs, whether models tie on either side, and the rows' codes by
    sensitive column; `without` rows have no answer of some model."""

    differ: NDArray[np.bool_]
    tied: NDArray[np.bool_]
    groups: dict[str, NDArray[np.int64]]
    without: int


def _answered(ctx: Context, found: Rows) -> Answered:
    from pathlib import Path

    import numpy as np

    from audit.privacy.reference_models import asked
    from audit.stats.exemplars import exemplars, modes, tied

    seeds, classes = ctx.facts.seeds, len(ctx.settled.classes)
    assert seeds is not None, "a check that needs models of other seeds declares it"
    names = [f"{side}/{name}" for side in ("base", "small") for name in seeds.files]
    decided = _decided(ctx, asked(ctx, Path(seeds.folder), names, [found.frame]).probabilities[0])
    known = np.asarray((decided >= 0).all(axis=0)) & (ctx.scored.pred[found.row] >= 0)
    before, after = (modes(side, classes) for side in np.split(decided[:, known], 2))
    groups = {g.name: ctx.scored.group(i)[found.row][known].astype("int64") for i, g in enumerate(ctx.facts.groups)}
    return Answered(exemplars(before, after), tied(before) | tied(after), groups, int((~known).sum()))


def _decided(ctx: Context, scores: NDArray[np.float64]) -> NDArray[np.integer]:
    """Class codes (k, n) of probabilities (k, n, classes) by the rule in force, −1 for none."""
    import numpy as np

    from audit.scored import cut, decided_by

    highest = np.where(np.isfinite(scores).all(axis=2), scores.argmax(axis=2), -1)
    rule = decided_by(ctx.facts, ctx.settled)
    cutoff = rule.value if rule.kind == "threshold" else ctx.scoring.decision_cutoff
    if cutoff is None or ctx.settled.positive is None:
        return highest
    return cut(scores[:, :, ctx.settled.classes.index(ctx.settled.positive)] >= cutoff, highest, ctx.settled)


class Group(NamedTuple):
    """A group, how many of its rows differ, how many it has, and the same of everybody else."""

    slice: Slice
    k: int
    n: int
    others: tuple[int, int]


def _measured(ctx: Context, found: Answered, least: int) -> Iterator[Measurement]:
    from audit.dataset import MISSING
    from audit.measure import undefined, value
    from audit.stats.rates import clopper_pearson
    from audit.text import message

    total, every = int(found.differ.sum()), len(found.differ)
    groups = []
    for column in ctx.facts.groups:
        for code, level in enumerate(column.levels):
            inside = found.groups[column.name] == code
            k, n = int(found.differ[inside].sum()), int(inside.sum())
            if level != MISSING and n:
                groups.append(Group({column.name: level}, k, n, (total - k, every - n)))
    shown = [g for g in groups if g.n >= max(least, ctx.plan.disclosure.min_group_size)]
    for group in [Group({}, total, every, (0, 0)), *shown]:
        share = clopper_pearson(group.k, group.n, level=ctx.level("exemplar_share"))
        evidence = [] if group.slice else [_table(shown, total, every)]
        yield value("exemplar_share", share, slice_=group.slice, evidence=evidence, parts=[_part(group)])
    yield from _ratios(ctx, shown)
    few = message("Fewer than {n:count} rows of this group were answered by every model.", n=least)
    for group in groups:
        if group not in shown:
            yield from (undefined(metric, few, slice_=group.slice) for metric in ("exemplar_share", "exemplar_share_ratio"))


def _ratios(ctx: Context, shown: list[Group]) -> Iterator[Measurement]:
    """Each group's share of the rows that differ over its share of all, with the test of equality with everybody else, adjusted by Holm."""
    from audit.measure import value
    from audit.measurement import Test
    from audit.stats.compare import equality_test
    from audit.stats.exemplars import share_ratio
    from audit.stats.multiplicity import holm
    from audit.text import message

    why = message("No row is decided otherwise, or nobody else has rows, so there is no share to compare.")
    estimates = [share_ratio(g.k, g.n, *g.others, level=ctx.level("exemplar_share_ratio")) for g in shown]
    tests = [equality_test(g.k, g.n, *g.others) if e else None for g, e in zip(shown, estimates, strict=True)]
    held = holm([test[0] for test in tests if test]).tolist()
    adjusted = iter(held)
    for group, estimate, tested in zip(shown, estimates, tests, strict=True):
        test = tested and Test(
            null="equality", method=tested[1], p_value=tested[0], adjusted_p_value=next(adjusted), tests_in_family=len(held)
        )
        yield value("exemplar_share_ratio", estimate, slice_=group.slice, reason=why, parts=[_part(group)]).model_copy(
            update={"test": test}
        )


def _part(group: Group) -> Part:
    from audit.measurement import Part

    return Part(slice=group.slice, k=group.k, n=group.n)


def _table(shown: list[Group], total: int, every: int) -> Evidence:
    from audit.measurement import Column, Table
    from audit.text import message, render, who

    lines: list[list[Cell]] = [[render(who(g.slice)), g.n, g.k, g.k / total if total else None, g.n / every] for g in shown]
    columns = [
        Column(name="group", label="group"), Column(name="n", label="rows", kind="integer"), Column(name="k", label="decided otherwise", kind="integer"),
        Column(name="share", label="share of rows decided otherwise", kind="percent"), Column(name="size", label="share of all rows", kind="percent"),
    ]  # fmt: skip
    caption = message("Rows that smaller models decide otherwise, by group")
    return Table(caption=render(caption), caption_msg=caption, columns=columns, rows=lines)


def _said(ctx: Context, measured: list[Measurement], found: Answered) -> Message:
    from audit.text import message, who

    seeds, e = ctx.facts.seeds, measured[0].estimate
    assert seeds is not None
    assert e is not None, "rows are left, so their share is defined"
    said = message(
        "Of {n:count} rows, {share:percent} ({level:percent} interval {low:percent} to {high:percent}) are decided otherwise: {models:count} models trained with different seeds most often give one decision, and their smaller versions another.",
        n=e.n, share=e.value, level=e.level, low=e.low, high=e.high, models=len(seeds.files),
    )  # fmt: skip
    ratios = [(m.slice, m.estimate, m.test) for m in measured if m.metric == "exemplar_share_ratio" and m.estimate]
    if ratios:
        slice_, ratio, test = max(ratios, key=lambda found: found[1].value)
        assert test is not None, "whose ratio is defined is tested"
        said = message(
            "{said} For its size {group} has most of them: its share of them is {ratio:ratio} times its share of all rows ({level:percent} interval {low:ratio} to {high:ratio}; p {p:p}, adjusted for {tests:count} groups).",
            said=said, group=who(slice_), ratio=ratio.value, level=ratio.level, low=ratio.low, high=ratio.high, p=test.adjusted_p_value, tests=test.tests_in_family,
        )  # fmt: skip
    if ties := int(found.tied.sum()):
        said = message(
            "{said} On {ties:count} rows models tie: such a row counts only if no most frequent decision is shared.", said=said, ties=ties
        )
    if found.without:
        said = message("{said} Left out are {k:count} rows to which some model gives no answer.", said=said, k=found.without)
    return said
