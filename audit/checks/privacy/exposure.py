"""How exposed planted rows are that trained, beside those that a coin left out."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from audit.registry import check

if TYPE_CHECKING:
    from audit.context import Context
    from audit.measurement import Estimate, Evidence, Measurement, Message

#: Planted rows that did not train below which ranks say too little; bits that are no more than chance; p below which a fitted curve is not believed.
FEWEST, CHANCE, FITS = 20, 2.0, 0.05


@check(
    "privacy.exposure",
    title="How well planted rows are remembered",
    meaning=(
        "Canaries are rows with a wrong label, made at random; a coin decided which of them trained. The model is asked how likely it holds each canary's label. A canary that trained is ranked among those that "
        "did not: its exposure in bits is how many times that rank halves their number. Where nothing is remembered the typical exposure is one bit; a canary likelier than all that did not train has the most "
        "that so many can show."
    ),
    limits=(
        "Canaries are unlike real rows, and easier or harder to remember than these. The exposure cannot exceed the base-two logarithm of the number of canaries left out; what goes beyond is read off a fitted "
        "curve, and only where the curve fits. Planted once, they say nothing of rows that occur several times, unless the record says how often each was planted."
    ),
    unit="bits",
    direction="lower",
    needs=["canaries", "labels", "classes", "scores"],
    references=["Carlini, Liu, Erlingsson, Kos and Song 2019"],
    probing=True,
)
def exposure(ctx: Context) -> Iterable[Measurement | Message]:
    """The median exposure of canaries that trained, for each number of copies that was planted."""
    import numpy as np

    from audit.measure import undefined, value
    from audit.rows import canary_copies, canary_rows
    from audit.stats.privacy.exposure import by_distribution, by_rank
    from audit.stats.quantiles import quantile
    from audit.text import message

    privacy = ctx.facts.privacy
    assert privacy is not None
    if privacy.canaries is None:
        yield message("Canaries were logged and cannot be used: {why}.", why=privacy.without or "")
        return
    rows, included = canary_rows(ctx, privacy.canaries)
    copies = canary_copies(privacy.canaries, included)
    assert rows.y is not None
    _, probabilities = ctx.interpreted(rows.frame)
    assert probabilities is not None, "the check needs scores"
    known = (rows.y >= 0) & np.isfinite(probabilities).all(axis=1)
    loss = -np.log(np.maximum(probabilities[known, rows.y[known]], 1e-30))
    copies = copies[known]
    others = loss[copies == 0]
    if len(others) < FEWEST or not (copies > 0).any():
        reason = message("Of {m:count} canaries {n:count} did not train: too few to rank the others among.", m=len(loss), n=len(others))
        yield undefined("median_exposure", reason)
        yield reason
        return
    most = float(np.log2(len(others)))
    bits = by_rank(loss[copies > 0], others)
    groups = [(int(r), bits[copies[copies > 0] == r]) for r in np.unique(copies[copies > 0])]
    for r, own in groups:
        slice_ = {} if len(groups) == 1 else {"(copies)": str(r)}
        found = quantile(own, 0.5, level=ctx.level("median_exposure"), clamped=True)
        yield value("median_exposure", found, slice_=slice_, evidence=[_table(groups, most)] if r == groups[0][0] else [])
    once = groups[0][1]
    beyond = by_distribution(loss[copies == groups[0][0]], others) if np.ptp(others) > 0 else None
    if beyond is not None and beyond.fit_p > FITS:
        yield value("extrapolated_exposure", quantile(beyond.bits, 0.5, level=ctx.level("extrapolated_exposure"), clamped=True))
    else:
        yield undefined(
            "extrapolated_exposure", message("No curve fits the canaries that did not train, so nothing is read off beyond their ranks.")
        )
    median = quantile(once, 0.5, level=ctx.level("median_exposure"), clamped=True)
    assert median is not None
    yield _told(median, len(once), len(others), most)


def _told(median: Estimate, trained: int, others: int, most: float) -> Message:
    from audit.text import message

    numbers = {
        "bits": median.value,
        "low": median.low,
        "high": median.high,
        "level": median.level,
        "most": most,
        "trained": trained,
        "others": others,
    }
    said = message(
        "The typical one of {trained:count} canaries that trained has an exposure of {bits:number} bits ({level:percent} interval {low:number} to {high:number}), ranked among {others:count} that did not; "
        "without memory it is 1, and so many can show {most:number} at most.", **numbers,
    )  # fmt: skip
    if median.value >= most - 1:
        more = message("The canaries are as exposed as these can show: the model holds single rows by heart.")
    elif median.high < CHANCE:
        more = message("That is no more than chance explains, which does not show that no row is remembered.")
    elif median.low > CHANCE:
        more = message("The model remembers some of what single rows hold.")
    else:
        more = message("Whether that is more than chance is open.")
    return message("{first} {rest}", first=said, rest=more)


def _table(groups: list[tuple[int, Any]], most: float) -> Evidence:
    """Exposure by how often a canary was planted."""
    from audit.measurement import Cell, Column, Table
    from audit.text import message, render

    caption = message("Exposure of canaries by how often each was planted (bits)")
    columns = [
        Column(name="copies", label="planted how often", kind="integer"), Column(name="n", label="canaries", kind="integer"), Column(name="mean", label="mean", kind="number"),
        Column(name="top", label="share at the most that can be shown", kind="percent"),
    ]  # fmt: skip
    rows: list[list[Cell]] = [[r, len(own), float(own.mean()), float((own >= most - 1e-9).mean())] for r, own in groups]
    return Table(caption=render(caption), caption_msg=caption, columns=columns, rows=rows)
