"""Which group, by up to three columns at once, fares worst: searched on one half of the rows and tested on the other."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Annotated, Literal

from audit.registry import Field, check

if TYPE_CHECKING:
    from audit.context import Context
    from audit.measurement import Cell, Column, Measurement, Message, Table, Test
    from audit.slicing import Attribute, Question
    from audit.stats.slices import Found

#: What happens to people more often, in a sentence.
WORDS = {
    "zero_one_loss": "wrong predictions", "large_error_rate": "errors above the median error", "false_positive_rate": "negatives taken for positives",
    "false_negative_rate": "positives that are missed", "selection_rate": "favourable decisions",
}  # fmt: skip
#: So many groups are named in the sentence; all are in the table.
NAMED = 3


@check(
    "fairness.subgroups",
    title="The worst subgroup",
    meaning=(
        "Every group that one, two or three columns define (the sensitive columns, and others that the plan names) is held against everybody else: how often the model is wrong about it, takes negatives for "
        "positives, misses positives, and how often it gets the favourable decision. The groups that stand out most on one half of the rows are tested on the other half, which had no part in choosing them. "
        "Differences, intervals and p values are of that other half alone; the p values are adjusted for all groups that were tested."
    ),
    limits=(
        "A search finds what is large enough to be seen: groups below the smallest size are not looked at, and a group that stood out by little may be missed. A group that lies inside one that ranks higher, or "
        "around it, is left out. Which half a row falls into depends on the seed. What is found is a place to look, not a cause: this is a screen, reported and judged only where the plan sets a limit."
    ),
    unit="share of rows, against everybody else",
    direction="target",
    needs=["sensitive"],
    lists=["columns"],
    references=[
        "Sagadeeva and Boehm 2021 (SliceLine)", "Chung et al. 2019 (Slice Finder)", "Pastor, de Alfaro and Baralis 2021", "Newcombe 1998", "Holm 1979", "Cox 1975",
    ],
)  # fmt: skip
def subgroups(
    ctx: Context,
    *,
    columns: list[str] | None = None,
    depth: Annotated[int, Field(ge=1, le=3)] = 3,
    rows: Annotated[int, Field(ge=2, le=1_000_000_000)] = 50,
    share: Annotated[float, Field(ge=0, lt=1)] = 0.01,
    most: Annotated[int, Field(ge=1, le=100)] = 10,
    both: bool = False,
    rank: Literal["bound", "z", "sliceline"] = "bound",
    alpha: Annotated[float, Field(gt=0, lt=1)] = 0.99,
) -> Iterable[Measurement | Message]:
    """Groups by at most `depth` columns of at least `rows` rows and `share` of all; `most` are tested for each metric.

    `both`: also groups that fare better than everybody else.     `rank`: by the lower bound of the difference to everybody else, by z, or by SliceLine's score with weight `alpha` of the error.
    """
    from audit.slicing import attributes, counted, median_error, questions
    from audit.stats.multiplicity import holm
    from audit.stats.slices import Search, divisions
    from audit.text import message

    smallest = ctx.plan.disclosure.min_group_size
    support = max(rows, round(share * ctx.scored.rows), 2 * smallest)
    divided = attributes(ctx, columns or [], support)
    tables, everybody = counted(ctx, divided, depth, median_error(ctx))
    slices, search = list(divisions(tables, depth)), Search(support, smallest, most, rank, alpha)
    found: list[tuple[Question, list[Found]]] = []
    tried = 0
    for question in questions(ctx, both=both):
        best, ranked = search.among(slices, question.read, everybody)
        tried = max(tried, ranked)
        found.append((question, best))
    tested = [(q, f, *_tested(f)) for q, best in found for f in best]
    adjusted = holm([p for _, _, p, _ in tested]).tolist()
    tests = [_test(p, method, a, len(tested)) for (_, _, p, method), a in zip(tested, adjusted, strict=True)]
    place = 0
    for question, best in found:
        mine = tests[place : place + len(best)]
        yield from _measured(ctx, question, best, mine, divided)
        place += len(best)
    if not tried:
        yield message("No group that these columns define has {support:count} rows, so none was searched for.", support=support)
        return
    yield _said(ctx, [(q, f) for q, f, *_ in tested], adjusted, divided, tried, support)


def _tested(found: Found) -> tuple[float, str]:
    """(p, method): on the second half the slice is no further in the direction found than everybody else."""
    from audit.stats.compare import higher_test

    tested = higher_test(*found.second)
    assert tested is not None, "a slice and everybody else have rows in both halves"
    return tested


def _test(p: float, method: str, adjusted: float, family: int) -> Test:
    from audit.measurement import Test

    return Test(null="no difference in the direction found", method=method, p_value=p, adjusted_p_value=adjusted, tests_in_family=family)


def _counts(question: Question, counts: tuple[int, int, int, int]) -> tuple[int, int, int, int]:
    """The metric's own counts: the complement is turned back."""
    k1, n1, k0, n0 = counts
    return (n1 - k1, n1, n0 - k0, n0) if question.low else counts


def _measured(ctx: Context, question: Question, best: list[Found], tests: list[Test], divided: list[Attribute]) -> Iterator[Measurement]:
    """The difference of each slice to everybody else, on the second half."""
    from audit.dataset import REST
    from audit.measurement import Measurement, Part
    from audit.slicing import named
    from audit.stats.compare import newcombe

    rest = {"(rows)": REST}
    for place, (f, test) in enumerate(zip(best, tests, strict=True)):
        k1, n1, k0, n0 = _counts(question, f.second)
        slice_ = named(f.levels, divided)
        estimate = newcombe(k1, n1, k0, n0, level=ctx.level(question.metric, "difference"))
        yield Measurement(
            metric=question.metric, compare="difference", slice=slice_, against=rest, estimate=estimate, test=test,
            parts=[Part(slice=slice_, k=k1, n=n1), Part(slice=rest, k=k0, n=n0)],
            evidence=[] if place else [_table(question, best, tests, divided)],
        )  # fmt: skip


def _table(question: Question, best: list[Found], tests: list[Test], divided: list[Attribute]) -> Table:
    """All slices that were tested, with what the search saw of them."""
    from audit.measurement import Column, Table
    from audit.stats.slices import sliceline_score
    from audit.text import message, render

    used = sorted({i for f in best for i in f.levels})
    columns = [*(Column(name=divided[i].name, label=divided[i].name) for i in used), *_heads()]
    rows: list[list[Cell]] = []
    for f, test in zip(best, tests, strict=True):
        seen, own = _counts(question, f.first), _counts(question, f.second)
        n, everybody = f.first[1], f.first[0] + f.first[2]
        score = float(sliceline_score(f.first[0], n, errors=everybody, rows=n + f.first[3], alpha=0.99))
        levels: list[Cell] = [divided[i].levels[f.levels[i]] if i in f.levels else None for i in used]
        rows.append(
            [*levels, seen[1] + own[1], seen[0] / seen[1], score, own[0] / own[1], own[2] / own[3], test.p_value, test.adjusted_p_value]
        )
    caption = (
        message("Groups with few {what}, as they ranked on the searched half", what=message(WORDS[question.metric])) if question.low
        else message("Groups with many {what}, as they ranked on the searched half", what=message(WORDS[question.metric]))
    )  # fmt: skip
    return Table(caption=render(caption), caption_msg=caption, columns=columns, rows=rows)


def _heads() -> list[Column]:
    from audit.measurement import Column

    return [
        Column(name="rows", label="rows that count", kind="integer"), Column(name="searched", label="rate, searched half", kind="percent"),
        Column(name="sliceline", label="SliceLine score (α 0.99)", kind="number"), Column(name="tested", label="rate, tested half", kind="percent"),
        Column(name="rest", label="everybody else, tested half", kind="percent"), Column(name="p", label="p", kind="p_value"),
        Column(name="adjusted", label="adjusted p", kind="p_value"),
    ]  # fmt: skip


def _said(
    ctx: Context, tested: list[tuple[Question, Found]], adjusted: list[float], divided: list[Attribute], tried: int, support: int
) -> Message:
    """The groups whose difference held on the other half, and what could have been found."""
    from audit.slicing import named
    from audit.stats.compare import newcombe
    from audit.text import message, who

    numbers = {"tried": tried, "support": support, "tests": len(tested)}
    order = sorted((p, i) for i, p in enumerate(adjusted) if p <= ctx.plan.judge.alpha_fail)
    plainest = {tuple(sorted(tested[i][1].levels.items())): (p, i) for p, i in reversed(order)}  # each group once, by its lowest p
    if not tested:
        return message("Of {tried:count} groups of at least {support:count} rows none stood out on the searched half.", **numbers)
    if not order:
        return message(
            "{tried:count} groups of at least {support:count} rows were held against everybody else, each in several respects; the {tests:count} comparisons that stood out most on one "
            "half of the rows were tested on the other: no difference is established there (smallest adjusted p {p:p}). {power}",
            p=min(adjusted), power=_power(tested, support, ctx.plan.judge.alpha_fail), **numbers,
        )  # fmt: skip
    said_of = []
    for p, i in sorted(plainest.values())[:NAMED]:
        question, f = tested[i]
        k1, n1, k0, n0 = _counts(question, f.second)
        e = newcombe(k1, n1, k0, n0, level=ctx.level(question.metric, "difference"))
        assert e is not None, "a slice and everybody else have rows in both halves"
        said_of.append(message(
            "{who}: {what} {rate:percent}, everybody else {rest:percent} (a difference of {value:points} points, {level:percent} interval {low:points} to {high:points}; {n:count} rows; adjusted p {p:p}).",
            who=who(named(f.levels, divided)), what=message(WORDS[question.metric]), rate=k1 / n1, rest=k0 / n0, p=p, value=e.value, level=e.level, low=e.low, high=e.high, n=n1,
        ))  # fmt: skip
    said = said_of[-1]
    for first in reversed(said_of[:-1]):
        said = message("{first} {rest}", first=first, rest=said)
    return message(
        "{tried:count} groups of at least {support:count} rows were held against everybody else, each in several respects; the {tests:count} comparisons that stood out most on one "
        "half of the rows were tested on the other. Differences that are established there, at adjusted p up to {alpha:p}: {held:count}; the plainest: {named}",
        held=len(order), named=said, alpha=ctx.plan.judge.alpha_fail, **numbers,
    )  # fmt: skip


def _power(tested: list[tuple[Question, Found]], support: int, alpha: float) -> Message:
    """What rate the smallest group that was looked at would need to be found, for the first metric."""
    from audit.stats.power import minimal_detectable_difference
    from audit.text import message

    question, f = tested[0]
    k1, n1, k0, n0 = _counts(question, f.second)
    mine = support // 2
    rate = (k1 + k0) / (n1 + n0)
    # One-sided over all tests, the first step of Holm.
    least = minimal_detectable_difference(mine, n1 + n0 - mine, rate, alpha=2 * alpha / len(tested), power=0.8) or 0.0
    other = max(0.0, rate - least) if question.low else min(1.0, rate + least)
    return message(
        "A group of {support:count} rows would be found in about 80 % of audits if its share of {what} were {other:percent} and not {rate:percent}.",
        what=message(WORDS[question.metric]), support=support, other=other, rate=rate,
    )  # fmt: skip
