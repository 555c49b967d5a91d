"""Whether what a model makes of a text hangs on who it speaks of."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Annotated, NamedTuple

from audit.registry import Field, check

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from audit.context import Context
    from audit.result import Evidence, Measurement, Message
    from audit.subject.frame import Frame


class Swapped(NamedTuple):
    """Texts that hold a term, one kind after the other: the position (k,) of each, whether its decision changed for another term, and how far the answer moved."""

    rows: NDArray[np.int64]
    changed: NDArray[np.bool_]
    moved: NDArray[np.float64]


@check(
    "fairness.terms",
    title="Who a text speaks of",
    meaning=(
        "In sampled texts that hold a word saying who somebody is (religion, orientation, ethnicity, gender, age) that word is swapped for every other of its kind, and the model is asked again: the share of "
        "texts whose decision changes, and how far the score moves on average (counterfactual token fairness gap). The same for short neutral sentences that differ in that word alone."
    ),
    limits=(
        "A swap can change what a text truly says (a fact, a slur, a colour), and then another answer is no fault: neutral sentences do not have that weakness, but they are not the texts that the model was made for. Only English words are "
        "swapped, and only those of the list: name others in the plan. Nothing found is no proof for other words."
    ),
    unit="share of texts; the score's own unit",
    direction="lower",
    needs=["features", "texts", "classes"],
    references=["Garg, Perot, Limtiaco, Taly, Chi and Beutel 2019", "Dixon, Li, Sorensen, Thain and Vasserman 2018", "Clopper and Pearson 1934"],
    probing=True,
)  # fmt: skip
def terms(
    ctx: Context,
    *,
    rows: Annotated[int, Field(ge=1, le=1_000_000)] = 2000,
    words: dict[str, list[str]] | None = None,
    budget: Annotated[int, Field(ge=100)] = 20_000,
) -> Iterable[Measurement | Message]:
    """Flip rate and gap by kind of term, in sampled texts and in neutral sentences; `words` (kind → words) take the place of the shipped ones."""
    import numpy as np

    from audit.stats.rates import clopper_pearson
    from audit.stress.terms import TERMS
    from audit.subject.frame import Categories
    from audit.text import level, message

    # The shipped kinds are ours, and have names in every language.
    named = words or {f"({kind})": list(given) for kind, given in TERMS.items()}
    kinds = {kind: tuple(given) for kind, given in named.items() if len(given) > 1}
    if ctx.facts.decision.kind == "column":
        yield message("The decisions are a column of the data and not the model's, so they cannot be had for changed texts.")
        return
    if len(ctx.facts.features) > 1 or not kinds:
        yield message("The model takes more than one text, or the plan names no two words of a kind: nothing was swapped.")
        return
    name = ctx.facts.features[0].name
    sample = ctx.sample(min(rows, ctx.plan.audit.sample))
    column = sample.frame[name]
    assert isinstance(column, Categories), "texts travel as codes"
    usable = np.flatnonzero((sample.pred >= 0) & (column.codes >= 0))
    texts = [column.vocabulary[code] for code in column.codes[usable].tolist()]
    worst: tuple[float, str, int, int] | None = None
    for kind, given in kinds.items():
        found = _swap(ctx, name, texts, given, budget // len(kinds))
        yield from _measured(ctx, kind, "(sampled texts)", found)
        neutral, table = _neutral(ctx, name, kind, given)
        yield from _measured(ctx, kind, "(neutral sentences)", neutral, table)
        for source in (found, neutral):
            n, k = len(source.rows), int(source.changed.sum())
            if n and (worst is None or k / n > worst[0]):
                worst = k / n, kind, k, n
    if worst is None:
        yield message("No text could be changed.")
        return
    rate, kind, changed, n = worst
    e = clopper_pearson(changed, n, level=ctx.level("term_flip_rate"))
    assert e is not None
    yield message(
        "Of {kinds:count} kinds of words, swapping those of kind {kind} changes most decisions: {rate:percent} of {n:count} texts ({level:percent} interval {low:percent} to {high:percent}). The largest of several looks larger than it is.",
        kinds=len(kinds), kind=level(kind), rate=rate, n=n, level=e.level, low=e.low, high=e.high,
    )  # fmt: skip


def _frame(name: str, texts: list[str]) -> Frame:
    from audit.subject.frame import Categories

    return {name: Categories.of(texts)}


def _swap(ctx: Context, name: str, texts: list[str], given: tuple[str, ...], budget: int) -> Swapped:
    """Each text that holds one of the words, with every other word in its place; as many texts as the budget affords."""
    import numpy as np

    from audit.flips import ask
    from audit.stress.terms import swapped

    made = [(i, found) for i, text in enumerate(texts) if (found := swapped(text, given))][: max(1, budget // len(given))]
    if not made:
        return Swapped(np.zeros(0, np.int64), np.zeros(0, bool), np.zeros(0))
    owner = np.repeat(np.arange(len(made)), [len(found) for _, found in made])
    before = ask(ctx, _frame(name, [texts[i] for i, _ in made]))
    after = ask(ctx, _frame(name, [t for _, found in made for t in found]))
    assert before.decision is not None
    assert after.decision is not None
    half = 2 if before.number.shape[1] > 1 else 1
    gap = np.abs(after.number - before.number[owner]).sum(axis=1) / half
    changed = np.bincount(owner, weights=after.decision != before.decision[owner], minlength=len(made)) > 0
    return Swapped(np.array([i for i, _ in made]), changed, np.bincount(owner, weights=gap) / np.bincount(owner))


def _neutral(ctx: Context, name: str, kind: str, given: tuple[str, ...]) -> tuple[Swapped, list[Evidence]]:
    """Neutral sentences with each word; a sentence fails where two words are decided on differently. The table has the answer by word."""
    import numpy as np

    from audit.flips import ask
    from audit.result import Cell, Column, Table
    from audit.stress.terms import TEMPLATES, templates
    from audit.text import level, message, render

    made = templates({kind: given})
    answers = ask(ctx, _frame(name, [sentence for _, _, sentence in made]))
    assert answers.decision is not None
    shape = (len(given), len(TEMPLATES))
    decisions, numbers = answers.decision.reshape(shape), answers.number.reshape(*shape, -1)
    half = 2 if numbers.shape[2] > 1 else 1
    gap = np.abs(numbers[:, None] - numbers[None]).sum(axis=3) / half  # word × word × sentence
    moved = gap.sum(axis=(0, 1)) / (len(given) * (len(given) - 1))
    event = ctx.settled.classes.index(ctx.settled.positive) if ctx.settled.positive in ctx.settled.classes else 0
    scored = ctx.settled.has_scores
    lines: list[list[Cell]] = [
        [word, float((decisions[i] == event).mean()), float(numbers[i, :, event].mean()) if scored else None]
        for i, word in enumerate(given)
    ]
    columns = [Column(name="word", label="word"), Column(name="rate", label="sentences taken for the event", kind="percent")]
    columns += [Column(name="score", label="mean score", kind="number")] if scored else []
    caption = message("Neutral sentences by the word of kind {kind} that they hold", kind=level(kind))
    table = Table(caption=render(caption), caption_msg=caption, columns=columns, rows=[line[: len(columns)] for line in lines])
    return Swapped(np.arange(len(TEMPLATES)), (decisions != decisions[0]).any(axis=0), moved), [table]


def _measured(ctx: Context, kind: str, source: str, found: Swapped, evidence: Iterable[Evidence] = ()) -> Iterator[Measurement]:
    from audit.measure import exact, value
    from audit.result import Part
    from audit.stats.losses import mean_size
    from audit.stats.rates import clopper_pearson
    from audit.text import message

    at = {"(terms)": kind, "(source)": source}
    k, n = int(found.changed.sum()), len(found.rows)
    none = message("No sampled text holds such a word.")
    rate = clopper_pearson(k, n, level=ctx.level("term_flip_rate"))
    yield value("term_flip_rate", rate, slice_=at, reason=none, evidence=evidence, parts=[Part(slice=at, k=k, n=n)])
    if not ctx.settled.has_scores or n < 2:
        return
    gap = mean_size(found.moved, level=ctx.level("term_gap")) if found.moved.any() else exact(0.0, n)
    yield value("term_gap", gap, slice_=at)
