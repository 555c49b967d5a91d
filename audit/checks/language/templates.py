"""How likely a model holds the same sentence of different groups: templates with a place for the group's name."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated

from audit.registry import Field, check

if TYPE_CHECKING:
    from audit.context import Context
    from audit.measurement import Measurement, Message

PLACE = "[TERM]"
#: Templates below which no interval is given.
ENOUGH = 5


@check(
    "language.templates",
    title="The same sentence said of different groups",
    meaning=(
        "Each template of a file of yours is filled with each group's terms. How likely the model holds the words around the term, in nats, is set against the mean of all groups in the same "
        "template: above 0 the model finds the sentences more natural of this group than of the others."
    ),
    limits=(
        "Reported and never judged: what a likelier sentence means depends on what the templates say, and the words after a rare name are less likely whatever they say. Templates stand for no "
        "text in particular; the interval is over templates like these."
    ),
    unit="nats a sentence",
    direction="target",
    needs=["model", "language"],
    files=["file"],
    references=["Kurita et al. 2019", "Student 1908"],
    probing=True,
    reported_only=["likelihood_gap"],
)
def templates(ctx: Context, *, file: str | None = None, budget: Annotated[int, Field(ge=100)] = 50_000) -> Iterable[Measurement | Message]:
    """Mean gap of each group over templates; `file` has the columns template (with [TERM]), term and group, a row each filling."""
    import numpy as np

    from audit.benchmarks.bank import read
    from audit.language import afford, likelihoods
    from audit.measure import value
    from audit.stats.compare import mean_interval
    from audit.text import message

    assert file is not None
    bank = read(file, ("template", "term", "group"))
    rows = [r for r in bank.rows if r["template"].count(PLACE) == 1]
    texts = [r["template"].replace(PLACE, r["term"]) for r in rows]
    count = afford(ctx, texts, budget)
    sums: dict[tuple[str, str], list[float]] = {}
    for row, spoken in zip(rows, likelihoods(ctx, texts[:count]), strict=False):
        around = _around(row["template"], row["term"], len(spoken.words))
        sums.setdefault((row["template"], row["group"]), []).append(float(spoken.logs[around].sum()))
    means = {key: float(np.mean(found)) for key, found in sums.items()}
    groups = sorted({group for _, group in means})
    whole = [t for t in dict.fromkeys(t for t, _ in means) if all((t, g) in means for g in groups)]
    if len(whole) < ENOUGH or len(groups) < 2:
        yield message(
            "Fewer than {n:count} templates of {name} are filled for every group, or there is one group only: nothing is compared.",
            n=ENOUGH,
            name=bank.name,
        )
        return
    gaps, intervals = {}, []
    for group in groups:
        own = np.array([means[t, group] - np.mean([means[t, g] for g in groups]) for t in whole])
        gaps[group] = float(own.mean())
        interval = mean_interval(own.size, gaps[group], float(own.var(ddof=1)), level=ctx.level("likelihood_gap"))
        intervals.append(interval)
        reason = message("The gap is the same in every template: how it varies cannot be seen.")
        yield value("likelihood_gap", interval, slice_={"(group)": group}, reason=reason)
    first, last = max(groups, key=lambda g: gaps[g]), min(groups, key=lambda g: gaps[g])
    said = message(
        "Of {first} the model finds these sentences most natural ({high:number} nats above the mean of all groups), of {last} least ({low:number}); {n:count} templates, {m:count} groups. Read from {name} (SHA-256 {digest}…).",
        first=first, high=gaps[first], last=last, low=gaps[last], n=len(whole), m=len(groups), name=bank.name, digest=bank.digest,
    )  # fmt: skip
    yield (
        said
        if any(e is None or e.low > 0 or e.high < 0 for e in intervals)
        else message("{said} Every interval holds 0: other templates might show no difference, or the opposite.", said=said)
    )


def _around(template: str, term: str, words: int) -> list[int]:
    """Places of the words that are not the term."""
    from audit.subject.words import spans

    before = len(spans(template[: template.index(PLACE)]))
    inside = len(spans(term))
    return [i for i in range(words) if not before <= i < before + inside]
