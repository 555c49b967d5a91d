"""Texts of a benchmark that stand in the training data: a model that has read the answers is not examined."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Annotated

from audit.registry import Field, check

if TYPE_CHECKING:
    from audit.context import Context
    from audit.measurement import Measurement, Message


@check(
    "language.contamination",
    title="Benchmark texts that stand in the training data",
    meaning=(
        "The share of a benchmark's texts of which any run of so many words stands in a training text, in the same order, without regard to case and punctuation. Texts that are shorter than the "
        "run are left out and counted."
    ),
    limits=(
        "Only the training data named to the audit are searched: what a model was pre-trained on is not among them. A translation or another wording is not found, and a common phrase may be taken "
        "for the benchmark."
    ),
    unit="share of texts",
    direction="lower",
    needs=["training", "features", "texts"],
    files=["file"],
    references=["Brown et al. 2020", "Clopper and Pearson 1934"],
)
def contamination(
    ctx: Context, *, file: str | None = None, column: str = "text", run: Annotated[int, Field(ge=3, le=100)] = 13
) -> Iterable[Measurement | Message]:
    """Share of the texts in `column` of `file` that share a run of `run` words with a training text."""
    from audit.benchmarks.bank import read
    from audit.dataset import quoted
    from audit.language import text_column
    from audit.measure import undefined, value
    from audit.stats.rates import clopper_pearson
    from audit.text import message

    assert file is not None
    training = ctx.facts.training
    assert training is not None
    bank = read(file, (column,))
    wanted: dict[int, set[int]] = {}
    long_enough = 0
    for i, row in enumerate(bank.rows):
        runs = set(_runs(row[column], run))
        long_enough += bool(runs)
        for found in runs:
            wanted.setdefault(found, set()).add(i)
    if not long_enough:
        yield undefined("contaminated_rate", message("No text of {name} has {run:count} words or more.", name=bank.name, run=run))
        yield message("No text of {name} has {run:count} words or more.", name=bank.name, run=run)
        return
    hit: set[int] = set()
    short = searched = 0
    for batch in training.dataset().stream({"text": f"CAST({quoted(text_column(ctx))} AS VARCHAR)"}):
        for text in batch.column(0).to_pylist():
            there = set(_runs(str(text or ""), run))
            short, searched = short + (not there), searched + bool(there)
            for found in there:
                hit |= wanted.get(found, set())
    if not searched:
        none = message(
            "No training text has {run:count} words or more: nothing could be found in them. A smaller run may be set in the plan.", run=run
        )
        yield undefined("contaminated_rate", none)
        yield none
        return
    estimate = clopper_pearson(len(hit), long_enough, level=ctx.level("contaminated_rate"))
    yield value("contaminated_rate", estimate)
    assert estimate is not None
    said = message(
        "{k:count} of {n:count} texts share {run:count} words in a row with a training text ({share:percent}; {level:percent} interval {low:percent} to {high:percent}); {short:count} are shorter. Read from {name} (SHA-256 {digest}…).",
        k=len(hit), n=long_enough, run=run, share=estimate.value, level=estimate.level, low=estimate.low, high=estimate.high, short=len(bank.rows) - long_enough,
        name=bank.name, digest=bank.digest,
    )  # fmt: skip
    yield (
        said
        if not short
        else message(
            "{said} Of {n:count} training texts {short:count} have fewer words: nothing can be found in those.",
            said=said,
            n=short + searched,
            short=short,
        )
    )


def _runs(text: str, run: int) -> Iterator[int]:
    """A number for each run of so many words; numbers of different runs are different but for about one pair in 2⁶⁴."""
    import hashlib

    from audit.subject.words import spans

    words = [text[a:b].casefold() for a, b in spans(text) if text[a:b].isalnum() or len(text[a:b]) > 1]
    for i in range(len(words) - run + 1):
        yield int.from_bytes(hashlib.blake2b("\x1f".join(words[i : i + run]).encode(), digest_size=8).digest(), "little")
