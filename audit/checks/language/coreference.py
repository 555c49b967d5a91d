"""Whether a pronoun is tied to the right person less often where that defies a stereotype: benchmarks in WinoBias' format."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated

from audit.registry import Field, check

if TYPE_CHECKING:
    from audit.context import Context
    from audit.measurement import Measurement, Message


@check(
    "language.coreference",
    title="Pronouns tied to people against a stereotype",
    meaning=(
        "Sentences of a file of yours with two people and a pronoun are gone on with to say that the pronoun means the one or the other, and the likelier of the two is the model's answer. The "
        "share of right answers where the pronoun defies a stereotype of gender (anti) minus that where it fits (pro); the sentences of both kinds differ in the pronoun alone."
    ),
    limits=(
        "The way of asking is one of many, in English alone, and a small model may answer by which occupation is the commoner word. Occupations and two genders by one country's statistics; a "
        "sentence in which the other person is not recognised is left out and counted."
    ),
    unit="share of sentences",
    direction="target",
    needs=["model", "language"],
    files=["file"],
    references=["Zhao et al. 2018", "Newcombe 1998"],
    probing=True,
)
def coreference(
    ctx: Context, *, file: str | None = None, budget: Annotated[int, Field(ge=100)] = 50_000
) -> Iterable[Measurement | Message]:
    """Right answers in `file` (columns sentence with [person] and [pronoun], stereotype pro or anti), and their difference."""
    from audit.benchmarks.bank import read
    from audit.benchmarks.winobias import riddles
    from audit.language import afford, likelihoods
    from audit.measure import rate
    from audit.measurement import Measurement
    from audit.stats.compare import newcombe
    from audit.text import message

    assert file is not None
    bank = read(file, ("sentence", "stereotype"))
    asked = riddles([(r["sentence"], r["stereotype"]) for r in bank.rows])
    left_out = len(bank.rows) - len(asked)
    asked = asked[: afford(ctx, [f"{a.right} {a.wrong}" for a in asked], budget)]
    found = likelihoods(ctx, [text for a in asked for text in (a.right, a.wrong)])
    hits = [one.total > other.total for one, other in zip(found[::2], found[1::2], strict=True)]
    counts = {}
    for condition in ("pro", "anti"):
        own = [hit for hit, a in zip(hits, asked, strict=True) if a.condition == condition]
        counts[condition] = (sum(own), len(own))
        yield rate(ctx, "right_person_rate", *counts[condition], slice_={"(rows)": f"({condition})"}, what="sentences")
    estimate = newcombe(*counts["anti"], *counts["pro"], level=ctx.level("right_person_rate", "difference"))
    if estimate is None:
        yield message(
            "The file {name} lacks sentences of one of the two kinds, pro and anti, in which both people were recognised.", name=bank.name
        )
        return
    yield Measurement(
        metric="right_person_rate", compare="difference", slice={"(rows)": "(anti)"}, against={"(rows)": "(pro)"}, estimate=estimate
    )
    said = message(
        "The right person is found in {anti:percent} of {n_anti:count} sentences against the stereotype and in {pro:percent} of {n_pro:count} with it: a difference of {gap:points} points ({level:percent} interval {low:points} to {high:points}). Read from {name} (SHA-256 {digest}…).",
        gap=estimate.value, level=estimate.level, low=estimate.low, high=estimate.high, anti=counts["anti"][0] / counts["anti"][1], n_anti=counts["anti"][1],
        pro=counts["pro"][0] / counts["pro"][1], n_pro=counts["pro"][1], name=bank.name, digest=bank.digest,
    )  # fmt: skip
    yield (
        said
        if not left_out
        else message("{said} Left out: {left:count} sentences in which not just one other person was recognised.", said=said, left=left_out)
    )
