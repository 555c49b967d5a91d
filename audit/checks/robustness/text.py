"""Whether what a model decides of a text hangs on its spelling."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Annotated, NamedTuple

from audit.registry import Field, check

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from audit.context import Context
    from audit.measurement import Evidence, Measurement, Message
    from audit.stress.edits import Kind
    from audit.subject.frame import Frame

    Bools = NDArray[np.bool_]

NAMES = {
    "swap": "(typos: swapped letters)", "delete": "(typos: missing letters)", "keyboard": "(typos: wrong keys)", "case": "(case)", "punctuation": "(punctuation)",
    "synonym": "(synonyms)",
}  # fmt: skip
#: Rows below which a group is no worst group.
NAMED = 30


class Tried(NamedTuple):
    """One kind of edit: the rows that had something to change, (n,), those of them whose decision changed for any edit, and how many texts were asked."""

    kind: Kind
    tried: Bools
    failed: Bools
    asked: int


@check(
    "robustness.text",
    title="Typos, case, punctuation and synonyms",
    meaning=(
        "Sampled texts are changed in ways that leave their meaning: two letters of a word swapped, one left out or mistyped (never the first letter, and no word that says who somebody is), all in small or in capital "
        "letters, other punctuation, a synonym from a list. A text fails where any of a few such edits changes the decision. Shown is the share that fails of the texts that had something to change, for each kind of edit, "
        "for everybody and for each group."
    ),
    limits=(
        "Nobody read the edited texts: now and then an edit does change the meaning, and synonyms fit most sentences and not all, so some failures are none; have a person read fifty. Typos are those of an English keyboard; of texts in other "
        "scripts case, punctuation and a few synonyms are tried. That few edits fail does not show that nobody finds one that does: the edits are drawn at random."
    ),
    unit="share of texts",
    direction="lower",
    needs=["features", "texts", "classes"],
    references=["Ribeiro et al. 2020", "Pruthi, Dhingra and Lipton 2019", "Clopper and Pearson 1934"],
    probing=True,
)  # fmt: skip
def text(
    ctx: Context,
    *,
    rows: Annotated[int, Field(ge=1, le=1_000_000)] = 500,
    edits: Annotated[int, Field(ge=1, le=100)] = 3,
    synonyms: list[list[str]] | None = None,
    protected: list[str] | None = None,
    budget: Annotated[int, Field(ge=100)] = 50_000,
) -> Iterable[Measurement | Message]:
    """Failure rates by kind of edit; `synonyms` are pairs of words that stand beside the shipped ones, `protected` words that are left alone too."""
    import numpy as np

    from audit.language import text_column
    from audit.stress.edits import IDENTITY, KINDS, pairs, shipped
    from audit.subject.frame import Categories, take
    from audit.text import message

    if any(len(pair) != 2 for pair in synonyms or []):
        yield message("The plan's synonyms are no pairs of words, so no text was changed.")
        return
    if ctx.facts.decision.kind == "column":
        yield message("The decisions are a column of the data and not the model's, so they cannot be had for changed texts.")
        return
    name = text_column(ctx)
    sample = ctx.sample(max(1, min(rows, ctx.plan.audit.sample, budget // (1 + edits * len(KINDS)))))
    column = sample.frame[name]
    assert isinstance(column, Categories), "texts travel as codes"
    usable = np.flatnonzero((sample.pred >= 0) & (column.codes >= 0))
    if not len(usable):
        yield message("No sampled text has a usable prediction, so nothing could be changed.")
        return
    frame = take(sample.frame, usable)
    groups = {g: codes[usable] for g, codes in sample.groups.items()}
    levels = {level.lower() for g in ctx.facts.groups for level in g.levels}
    known = pairs([*(synonyms or []), *shipped()])
    left = IDENTITY | levels | {word.lower() for word in protected or []}
    done = [_tried(ctx, frame, name, kind, edits, known, left) for kind in KINDS]
    yield from _measured(ctx, done, groups)
    yield _summary(ctx, done, groups)


def _tried(
    ctx: Context, frame: Frame, name: str, kind: Kind, edits: int, synonyms: dict[str, str], protected: set[str] | frozenset[str]
) -> Tried:
    """All edits of one kind, asked in one go."""
    import numpy as np

    from audit.flips import ask
    from audit.stress.edits import edited
    from audit.subject.frame import Categories, take

    column = frame[name]
    assert isinstance(column, Categories)
    rng, n = ctx.rng(kind), len(column.codes)
    made = [edited(column.vocabulary[code], kind, edits, synonyms, protected, rng) for code in column.codes.tolist()]
    owner = np.repeat(np.arange(n), [len(texts) for texts in made])
    tried, failed = np.zeros(n, dtype=bool), np.zeros(n, dtype=bool)
    if len(owner):
        vocabulary = {text: code for code, text in enumerate(dict.fromkeys(t for texts in made for t in texts))}
        codes = np.array([vocabulary[t] for texts in made for t in texts], dtype=np.int32)
        before = ask(ctx, frame).decision
        after = ask(ctx, {**take(frame, owner), name: Categories(codes, tuple(vocabulary))}).decision
        assert before is not None
        assert after is not None
        tried[owner] = True
        failed[owner[after != before[owner]]] = True
    return Tried(kind, tried, failed, len(owner))


def _measured(ctx: Context, done: list[Tried], groups: dict[str, NDArray[np.int16]]) -> Iterator[Measurement]:
    """The failure rate of each kind of edit, exact intervals; the table of all stands with the first."""
    from audit.measure import value
    from audit.measurement import Part
    from audit.stats.rates import clopper_pearson
    from audit.text import message

    evidence = [_table(ctx, done, groups)]
    for one in done:
        for slice_, inside in [({}, one.tried), *_known(ctx, groups)]:
            at = {**slice_, "(edit)": NAMES[one.kind]}
            k, n = int((one.failed & inside).sum()), int((one.tried & inside).sum())
            if n or not slice_:
                rate = clopper_pearson(k, n, level=ctx.level("invariance_failure_rate"))
                reason = message("No sampled text has anything that such an edit could change.")
                yield value("invariance_failure_rate", rate, slice_=at, reason=reason, evidence=evidence, parts=[Part(slice=at, k=k, n=n)])
                evidence = []


def _known(ctx: Context, groups: dict[str, NDArray[np.int16]]) -> list[tuple[dict[str, str], Bools]]:
    from audit.dataset import MISSING

    return [(slice_, inside) for slice_, inside in ctx.within(groups) if MISSING not in slice_.values()]


def _worst(ctx: Context, one: Tried, groups: dict[str, NDArray[np.int16]]) -> tuple[dict[str, str], float] | None:
    """The group of enough texts that fails most, where there are two at least."""
    found = [(slice_, one.failed[own].mean()) for slice_, inside in _known(ctx, groups) if (own := one.tried & inside).sum() >= NAMED]
    return max(((s, float(r)) for s, r in found), key=lambda pair: pair[1]) if len(found) > 1 else None


def _table(ctx: Context, done: list[Tried], groups: dict[str, NDArray[np.int16]]) -> Evidence:
    from audit.measurement import Cell, Column, Table
    from audit.text import level, render, who

    lines: list[list[Cell]] = []
    for one in done:
        n, worst = int(one.tried.sum()), _worst(ctx, one, groups)
        rate = float(one.failed.sum() / n) if n else None
        lines.append(
            [
                render(level(NAMES[one.kind])),
                one.asked,
                n,
                int(one.failed.sum()),
                rate,
                render(who(worst[0])) if worst else None,
                worst[1] if worst else None,
            ]
        )
    columns = [
        Column(name="edit", label="edit"), Column(name="asked", label="edited texts", kind="integer"), Column(name="n", label="texts with something to change", kind="integer"),
        Column(name="k", label="texts that fail", kind="integer"), Column(name="rate", label="share", kind="percent"), Column(name="worst", label="group that fails most"),
        Column(name="worst_rate", label="its share", kind="percent"),
    ]  # fmt: skip
    kept = [i for i in range(len(columns)) if any(line[i] is not None for line in lines)]
    return Table(
        caption="Texts whose decision changes with their spelling",
        columns=[columns[i] for i in kept],
        rows=[[line[i] for i in kept] for line in lines],
    )


def _summary(ctx: Context, done: list[Tried], groups: dict[str, NDArray[np.int16]]) -> Message:
    from audit.stats.rates import clopper_pearson
    from audit.text import level, message, who

    found = [one for one in done if one.tried.any()]
    if not found:
        return message("No sampled text has anything that an edit could change.")
    most = max(found, key=lambda one: one.failed.sum() / one.tried.sum())
    k, n = int(most.failed.sum()), int(most.tried.sum())
    rate = clopper_pearson(k, n, level=ctx.level("invariance_failure_rate"))
    assert rate is not None, "there are texts"
    said = message(
        "Of what was tried, most decisions change with {what}: {rate:percent} of {n:count} texts ({level:percent} interval {low:percent} to {high:percent}).",
        what=level(NAMES[most.kind]), rate=rate.value, n=n, level=rate.level, low=rate.low, high=rate.high,
    )  # fmt: skip
    worst = _worst(ctx, most, groups)
    return (
        said
        if worst is None
        else message("{said} Of the groups it changes most for {who}: {rate:percent}.", said=said, who=who(worst[0]), rate=worst[1])
    )
