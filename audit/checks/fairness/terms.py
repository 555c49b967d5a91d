"""Whether what a model makes of a text hangs on who it speaks of."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated

from audit.registry import Field, check

if TYPE_CHECKING:
    from audit.context import Context
    from audit.measurement import Measurement, Message


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

    from audit import flips
    from audit.subject.frame import Categories
    from audit.swapped_terms import kinds_of, measured, neutral, swap
    from audit.text import message

    kinds = kinds_of(words)
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

    def ask(asked: list[str]) -> flips.Asked:
        return flips.ask(ctx, {name: Categories.of(asked)})

    event = ctx.settled.classes.index(ctx.settled.positive) if ctx.settled.positive in ctx.settled.classes else 0
    scored = ctx.settled.has_scores
    worst: tuple[float, str, int, int] | None = None
    for kind, given in kinds.items():
        found = swap(ask, texts, given, budget // len(kinds))
        yield from measured(ctx, kind, "(sampled texts)", found, scored=scored)
        plain, table = neutral(ask, kind, given, event=event, scored=scored)
        yield from measured(ctx, kind, "(neutral sentences)", plain, scored=scored, evidence=table)
        for source in (found, plain):
            n, k = len(source.changed), int(source.changed.sum())
            if n and (worst is None or (k / n, n) > (worst[0], worst[3])):
                worst = k / n, kind, k, n
    if worst is None:
        yield message("No text could be changed.")
        return
    yield _most(ctx, len(kinds), *worst)


def _most(ctx: Context, kinds: int, rate: float, kind: str, changed: int, n: int) -> Message:
    """The sentence of the kind whose words change most decisions: `changed` of `n`."""
    from audit.stats.rates import clopper_pearson
    from audit.text import level, message

    e = clopper_pearson(changed, n, level=ctx.level("term_flip_rate"))
    assert e is not None
    if changed == n == 1:
        return message(
            "Of {kinds:count} kinds of words, swapping those of kind {kind} changes most decisions: that of the only text that holds one. One text says little ({level:percent} interval of the rate {low:percent} to {high:percent}).",
            kinds=kinds, kind=level(kind), level=e.level, low=e.low, high=e.high,
        )  # fmt: skip
    return message(
        "Of {kinds:count} kinds of words, swapping those of kind {kind} changes most decisions: {rate:percent} of {n:count} texts ({level:percent} interval {low:percent} to {high:percent}). The largest of several looks larger than it is.",
        kinds=kinds, kind=level(kind), rate=rate, n=n, level=e.level, low=e.low, high=e.high,
    )  # fmt: skip
