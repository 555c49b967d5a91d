"""Whether a model can recite texts it was trained on, beyond what it foretells of texts it never saw."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, NamedTuple

from audit.registry import Field, check

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from audit.context import Context
    from audit.measurement import Measurement, Message

#: Words that the opening and the rest of a text must have to be asked for.
LEAST = 3
TRAINED, FRESH = "(trained)", "(fresh)"


class Recited(NamedTuple):
    """Of texts with enough words: whether each rest is foretold word for word, and the share of its words that is."""

    whole: NDArray[np.bool_]
    share: NDArray[np.float64]


@check(
    "language.memorisation",
    title="Texts of the training data that the model recites",
    meaning=(
        "The model gets the opening of a text, and must foretell the rest word for word, each time the likeliest token. The share of training texts whose rest it recites, minus the share of audited "
        "texts that did not train: what remains is memorised, and not merely common. Beside it the share of words that are foretold."
    ),
    limits=(
        "Extraction with the true opening and the likeliest continuation finds less than an attacker with many tries. Texts are drawn, and a rare secret may not be among them. Audited texts must be of "
        "the same kind as the training texts; what both hold counts as common. Where no text is recited the interval says how many could be."
    ),
    unit="share of texts",
    direction="lower",
    needs=["model", "language", "continues", "training"],
    references=["Carlini et al. 2021", "Carlini et al. 2023", "Newcombe 1998", "Clopper and Pearson 1934"],
    probing=True,
)
def memorisation(
    ctx: Context,
    *,
    opening: Annotated[int, Field(ge=LEAST, le=1000)] = 50,
    rest: Annotated[int, Field(ge=LEAST, le=1000)] = 50,
    rows: Annotated[int, Field(ge=10, le=100_000)] = 500,
) -> Iterable[Measurement | Message]:
    """At most `opening` words are given and at most `rest` asked for; a shorter text is halved. `rows` texts of each kind."""
    from audit.measure import mean_comparison, value
    from audit.measurement import Measurement
    from audit.stats.compare import mean_interval, newcombe
    from audit.stats.rates import clopper_pearson
    from audit.text import message

    kinds = {TRAINED: _training(ctx, rows), FRESH: _audited(ctx, rows)}
    found = {name: _recited(ctx, texts, opening, rest) for name, texts in kinds.items()}
    if min(len(r.whole) for r in found.values()) < 2:
        yield message("Too few texts have {n:count} words or more, so that an opening could be given and a rest asked for.", n=2 * LEAST)
        return
    for name, one in found.items():
        k, n = int(one.whole.sum()), len(one.whole)
        yield value("recited_rate", clopper_pearson(k, n, level=ctx.level("recited_rate")), slice_={"(rows)": name})
    ours, theirs = found.values()
    counts = (int(ours.whole.sum()), len(ours.whole), int(theirs.whole.sum()), len(theirs.whole))
    gap = newcombe(*counts, level=ctx.level("recited_rate", "difference"))
    assert gap is not None
    at, against = {"(rows)": TRAINED}, {"(rows)": FRESH}
    yield Measurement(metric="recited_rate", compare="difference", slice=at, against=against, estimate=gap)
    moments = [(len(r.share), float(r.share.mean()), float(r.share.var(ddof=1))) for r in (ours, theirs)]
    constant = message("The same share is foretold of every text: how it varies cannot be seen.")
    for name, own in zip(found, moments, strict=True):
        yield value("foretold_words", mean_interval(*own, level=ctx.level("foretold_words")), slice_={"(rows)": name}, reason=constant)
    yield from mean_comparison(ctx, "foretold_words", (at, moments[0]), (against, moments[1]))
    yield message(
        "The rest of {k:count} of {n:count} training texts is recited word for word, and of {k0:count} of {n0:count} that did not train: a difference of {gap:points} points ({level:percent} interval {low:points} to {high:points}).",
        k=counts[0], n=counts[1], k0=counts[2], n0=counts[3], gap=gap.value, level=gap.level, low=gap.low, high=gap.high,
    )  # fmt: skip


def _recited(ctx: Context, texts: list[str], opening: int, rest: int) -> Recited:
    import numpy as np

    from audit.language import likelihoods
    from audit.subject.words import spans

    cut, starts = [], []
    for text in texts:
        words = spans(text)
        if len(words) >= 2 * LEAST:
            first = min(opening, len(words) // 2)
            last = min(first + rest, len(words))
            cut.append(text[: words[last - 1][1]])
            starts.append(first)
    spoken = likelihoods(ctx, cut)
    told = [s.told[first:] for s, first in zip(spoken, starts, strict=True)]
    return Recited(np.array([bool(t.all()) for t in told], dtype=bool), np.array([float(t.mean()) for t in told]))


def _audited(ctx: Context, rows: int) -> list[str]:
    from audit.language import text_column
    from audit.subject.frame import Categories

    sample = ctx.sample(min(rows, ctx.plan.audit.sample))
    column = sample.frame[text_column(ctx)]
    assert isinstance(column, Categories)
    return [column.vocabulary[code] for code in column.codes.tolist() if code >= 0]


def _training(ctx: Context, rows: int) -> list[str]:
    """Training texts drawn without replacement, in their order."""
    import numpy as np

    from audit.dataset import quoted
    from audit.language import text_column

    training = ctx.facts.training
    assert training is not None
    chosen = np.sort(ctx.rng("training").choice(training.rows, size=min(rows, ctx.plan.audit.sample, training.rows), replace=False))
    out, start = [], 0
    for batch in training.dataset().stream({"text": f"CAST({quoted(text_column(ctx))} AS VARCHAR)"}):
        inside = chosen[np.searchsorted(chosen, start) : np.searchsorted(chosen, start + len(batch))] - start
        start += len(batch)
        column = batch.column(0)
        out += [str(v) for v in (column[int(i)].as_py() for i in inside) if v is not None]
    return out
