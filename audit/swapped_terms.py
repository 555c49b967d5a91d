"""Whether what is made of a text hangs on who it speaks of: texts with one term put for another, asked of the audited model or of one that judges it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from audit.flips import Asked
from audit.measure import exact, value
from audit.measurement import Cell, Column, Part, Table
from audit.stats.losses import mean_size
from audit.stats.rates import clopper_pearson
from audit.stress.terms import TEMPLATES, TERMS, swapped, templates
from audit.text import level, message, render

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from audit.context import Context
    from audit.measurement import Evidence, Measurement

#: What is made of n texts: decisions (n,) and scores (n, outputs).
Ask = Callable[[list[str]], Asked]


class Swapped(NamedTuple):
    """Of k texts that hold a term: whether its decision changed for another term (k,), and how far the answer moved on average (k,)."""

    changed: NDArray[np.bool_]
    moved: NDArray[np.float64]


def kinds_of(words: dict[str, list[str]] | None) -> dict[str, tuple[str, ...]]:
    """Kind → two words or more that can stand in each other's place: those that the plan names, else the shipped ones."""
    # The shipped kinds are ours, and have names in every language.
    named = words or {f"({kind})": list(given) for kind, given in TERMS.items()}
    return {kind: tuple(given) for kind, given in named.items() if len(given) > 1}


def swap(ask: Ask, texts: Sequence[str], given: tuple[str, ...], budget: int) -> Swapped:
    """Each text that holds one of the words, with every other word in its place; as many texts as the budget affords."""
    made = [(text, found) for text in texts if (found := swapped(text, given))][: max(1, budget // len(given))]
    if not made:
        return Swapped(np.zeros(0, bool), np.zeros(0))
    owner = np.repeat(np.arange(len(made)), [len(found) for _, found in made])
    before = ask([text for text, _ in made])
    after = ask([t for _, found in made for t in found])
    assert before.decision is not None
    assert after.decision is not None
    half = 2 if before.number.shape[1] > 1 else 1
    gap = np.abs(after.number - before.number[owner]).sum(axis=1) / half
    changed = np.bincount(owner, weights=after.decision != before.decision[owner], minlength=len(made)) > 0
    return Swapped(changed, np.bincount(owner, weights=gap) / np.bincount(owner))


def neutral(ask: Ask, kind: str, given: tuple[str, ...], *, event: int, scored: bool) -> tuple[Swapped, list[Evidence]]:
    """Neutral sentences with each word; a sentence fails where two words are decided on differently. The table has the answer by word: how often the
    event's class, and where there are scores its mean."""
    made = templates({kind: given})
    answers = ask([sentence for _, _, sentence in made])
    assert answers.decision is not None
    shape = (len(given), len(TEMPLATES))
    decisions, numbers = answers.decision.reshape(shape), answers.number.reshape(*shape, -1)
    half = 2 if numbers.shape[2] > 1 else 1
    gap = np.abs(numbers[:, None] - numbers[None]).sum(axis=3) / half  # word × word × sentence
    moved = gap.sum(axis=(0, 1)) / (len(given) * (len(given) - 1))
    lines: list[list[Cell]] = [
        [word, float((decisions[i] == event).mean()), float(numbers[i, :, event].mean()) if scored else None]
        for i, word in enumerate(given)
    ]
    columns = [Column(name="word", label="word"), Column(name="rate", label="sentences taken for the event", kind="percent")]
    columns += [Column(name="score", label="mean score", kind="number")] if scored else []
    caption = message("Neutral sentences by the word of kind {kind} that they hold", kind=level(kind))
    table = Table(caption=render(caption), caption_msg=caption, columns=columns, rows=[line[: len(columns)] for line in lines])
    return Swapped((decisions != decisions[0]).any(axis=0), moved), [table]


def measured(
    ctx: Context, kind: str, source: str, found: Swapped, *, scored: bool, whose: str = "term", evidence: Iterable[Evidence] = ()
) -> Iterator[Measurement]:
    """The share of texts whose decision changes and, where there are scores, how far they move: `whose`_flip_rate and `whose`_gap."""
    at = {"(terms)": kind, "(source)": source}
    k, n = int(found.changed.sum()), len(found.changed)
    flips, gaps = f"{whose}_flip_rate", f"{whose}_gap"
    none = message("No sampled text holds such a word.")
    rate = clopper_pearson(k, n, level=ctx.level(flips))
    yield value(flips, rate, slice_=at, reason=none, evidence=evidence, parts=[Part(slice=at, k=k, n=n)])
    if not scored or n < 2:
        return
    gap = mean_size(found.moved, level=ctx.level(gaps)) if found.moved.any() else exact(0.0, n)
    yield value(gaps, gap, slice_=at)
