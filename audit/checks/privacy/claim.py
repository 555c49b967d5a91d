"""A logged claim of differential privacy: counted again, its assumptions read, and an attempt to refute it with canaries."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from typing import TYPE_CHECKING, Annotated, Any

from audit.registry import Field, check

if TYPE_CHECKING:
    from audit.context import Context
    from audit.measurement import Estimate, Evidence, Measurement, Message
    from audit.privacy.assumptions import Assumption, Recount
    from audit.privacy.claims import Claim
    from audit.stats.privacy.onerun import Guessed

#: δ for what is shown where nothing was claimed.
DELTA = 1e-5


@check(
    "privacy.claim",
    title="The privacy claim",
    meaning=(
        "Training that promises differential privacy states an epsilon and a delta: how much, at most, one training row can change what the model is. The claim is counted again by accountants of "
        "our own from the noise, the sampling rate and the steps that were logged, and every assumption that such counting makes is read from the record. Where canaries were planted (rows of "
        "which a coin decided whether they trained), the model is asked about them and guesses are made which were in: too many right guesses refute the claim."
    ),
    limits=(
        "Nothing here verifies a claim: a record can be false, and an attack that fails proves nothing. What refutes a claim does not say why. The canaries show at most as much as their number "
        "allows, which is printed. Layers that mix rows, a second source of data, and settings that were chosen by looking at the data are not seen in the record."
    ),
    unit="epsilon",
    direction="lower",
    weighs="nothing",
    needs=["claim"],
    references=[
        "Abadi et al. 2016",
        "Mironov 2017",
        "Doroshenko et al. 2022",
        "Steinke, Nasr and Jagielski 2023",
        "Mahloujifar, Melis and Chaudhuri 2025",
        "Chua et al. 2024",
    ],
    probing=True,
)
def claim(ctx: Context, *, guesses: Annotated[float, Field(gt=0, le=1)] = 0.5) -> Iterable[Measurement | Message]:
    """The claim counted again, its assumptions, and the bound from the canaries; guesses are made about the share `guesses` of them."""
    from audit.text import message

    privacy = ctx.facts.privacy
    assert privacy is not None
    said: list[Message] = []
    if privacy.claim is not None:
        said += yield from _counted(ctx, privacy.claim)
    else:
        said.append(message("No claim of differential privacy was logged; what canaries show is reported as leakage only."))
    said += yield from _attempted(ctx, guesses)
    whole = said[0]
    for further in said[1:]:
        whole = message("{first} {rest}", first=whole, rest=further)
    yield whole


def _counted(ctx: Context, claim: Claim) -> Generator[Measurement, None, list[Message]]:
    """What the accountants say, and what is broken or not known of the assumptions; returns sentences."""
    from audit.measure import exact, value
    from audit.privacy.assumptions import assumptions, recount
    from audit.text import message

    privacy, rows = ctx.facts.privacy, ctx.facts.training.rows if ctx.facts.training else None
    assert privacy is not None
    counted = recount(claim)
    read = assumptions(privacy, counted, rows)
    n = int(claim.rows or 0)
    record, noise = read[:2]
    differs = record.said if privacy.differ else None
    absent = message("The record holds no epsilon.") if claim.epsilon is None else None
    why = noise.said or message("Too little was logged to count it: noise, sampling rate, steps and delta are needed.")
    claimed = None if differs or claim.epsilon is None else exact(claim.epsilon, n)
    yield value("claimed_epsilon", claimed, reason=differs or absent)
    yield value("accounted_epsilon", _bound(counted.epsilon, counted.method, n), reason=why, evidence=[_table(read)])
    for metric, number, method in (
        ("renyi_epsilon", counted.renyi, "renyi"), ("unamplified_epsilon", counted.unamplified, "gaussian_composition"),
        ("approximate_epsilon", counted.approximate, "central_limit"),
    ):  # fmt: skip
        if number is not None:
            yield value(metric, _bound(number, method, n))
    short = None if claimed is None or counted.epsilon is None else counted.epsilon - claimed.value
    yield value("unsupported_epsilon", None if short is None else exact(short, n), reason=differs or absent or why)
    broken, unknown = ([a for a in read if a.state == state] for state in ("broken", "not known"))
    yield value("broken_assumptions", exact(float(len(broken)), len(read)))
    yield value("unknown_assumptions", exact(float(len(unknown)), len(read)))
    notes = [a for a in read if a.state == "note"]
    return _told(claim, counted, [*broken, *unknown, *notes], settled=claimed is not None)


def _told(claim: Claim, counted: Recount, named: list[Assumption], *, settled: bool) -> list[Message]:
    """Sentences; `settled` is whether the record says one thing, and an epsilon."""
    from audit.text import message

    said = []
    if not settled or claim.epsilon is None or claim.delta is None or counted.epsilon is None:
        said.append(message("The claim cannot be counted again from what was logged."))
    else:
        numbers = {"epsilon": claim.epsilon, "delta": claim.delta, "counted": counted.epsilon}
        said.append(
            message(
                "Claimed: epsilon {epsilon:number} at delta {delta:number}. Counted again: {counted:number}, by an accountant of our own.",
                **numbers,
            )
        )
    said += [a.said for a in named if a.said is not None]
    return said


def _bound(number: float | None, method: str, n: int) -> Estimate | None:
    """A bound that was computed, and not estimated from rows."""
    from audit.measurement import Estimate

    return None if number is None else Estimate(value=number, low=number, high=number, level=0.95, method=method, n=n)


def _table(read: list[Assumption]) -> Evidence:
    from audit.measurement import Column, Table
    from audit.text import message, render

    caption = message("What the claim rests on, as training logged it")
    columns = [Column(name="assumption", label="assumption"), Column(name="state", label="as logged")]
    rows: list[list[Any]] = [[a.name, a.state] for a in read]
    return Table(caption=render(caption), caption_msg=caption, columns=columns, rows=rows)


def _attempted(ctx: Context, share: float) -> Generator[Measurement, None, list[Message]]:
    """The bound from canaries; returns sentences."""
    from audit.measure import undefined, value
    from audit.text import message

    privacy = ctx.facts.privacy
    assert privacy is not None
    claimed = privacy.claim.epsilon if privacy.claim else None
    if privacy.canaries is None:
        why = (
            message("Canaries were logged and cannot be used: {why}.", why=privacy.without) if privacy.without
            else message("No canaries were planted in training: nothing was there to refute the claim with.")
        )  # fmt: skip
        yield undefined("epsilon_at_least", why)
        return [why]
    scores, included = _scored(ctx, privacy.canaries)
    m, inside = len(scores), int(included.sum())
    reason = _unfair(m, inside, privacy.chance)
    if reason is not None:
        yield undefined("epsilon_at_least", reason)
        return [reason]
    delta = privacy.claim.delta if privacy.claim and privacy.claim.delta else DELTA
    from audit.promise import BETA
    from audit.stats.auc import roc_auc
    from audit.stats.privacy import onerun
    from audit.stats.rates import clopper_pearson

    guessed = onerun.guess(scores, included, made=max(2, int(share * m)))
    given = {"delta": delta, "beta": BETA}
    least = onerun.epsilon_at_least(m, guessed.made, guessed.right, **given)
    most = onerun.attainable(m, guessed.made, **given)
    yield value("canary_auc", roc_auc(scores[included], scores[~included], level=ctx.level("canary_auc")))
    yield value("canary_guesses_right", clopper_pearson(guessed.right, guessed.made, level=ctx.level("canary_guesses_right")))
    yield _least(m, guessed, least, claimed, delta)
    yield value(
        "epsilon_at_least_if_gaussian",
        _lower(onerun.gaussian_epsilon_at_least(m, guessed.made, guessed.right, **given), m, "one_run_gaussian"),
    )
    yield value("attainable_epsilon", _lower(most, m, "one_run"))
    numbers = {"right": guessed.right, "made": guessed.made, "m": m, "least": least, "most": most, "level": 1 - BETA}
    return [
        message(
            "Of {made:count} guesses which of {m:count} canaries trained, {right:count} are right: at {level:percent} confidence this needs an epsilon of at least {least:number}; "
            "so many guesses could show {most:number} at most.",
            **numbers,
        )
    ]


def _least(m: int, guessed: Guessed, least: float, claimed: float | None, delta: float) -> Measurement:
    """The lower bound, with the p value of the claim itself."""
    from audit.measurement import Measurement, Part, Test
    from audit.stats.privacy.onerun import p_value

    test = None
    if claimed is not None:
        p = p_value(m, guessed.made, guessed.right, epsilon=claimed, delta=delta)
        test = Test(null="the claimed epsilon and delta hold", method="one_run", p_value=p)
    parts = [Part(slice={}, k=guessed.right, n=guessed.made)]
    return Measurement(metric="epsilon_at_least", estimate=_lower(least, m, "one_run"), test=test, parts=parts)


def _lower(number: float, m: int, method: str) -> Estimate:
    """A bound from below at confidence 1 − β: the value is the bound."""
    from audit.measurement import Estimate
    from audit.promise import BETA

    return Estimate(value=number, low=number, high=number, level=1 - BETA, method=method, n=m)


def _scored(ctx: Context, path: str) -> tuple[Any, Any]:
    """Scores (m,) of the canaries, asked of the model, high where it knows the planted label; and whether each trained, (m,)."""
    import numpy as np

    from audit.rows import canary_rows
    from audit.stats.privacy.membership import log_odds

    rows, included = canary_rows(ctx, path)
    assert rows.y is not None
    codes, probabilities = ctx.interpreted(rows.frame)
    known = rows.y >= 0
    if probabilities is None:
        known &= codes >= 0
        return (codes == rows.y)[known].astype(np.float64), included[known]
    known &= np.isfinite(probabilities).all(axis=1)
    return log_odds(probabilities[known], rows.y[known]), included[known]


def _unfair(m: int, inside: int, chance: float) -> Message | None:
    """Why nothing can be concluded from these canaries; None where it can."""
    from scipy.stats import binomtest

    from audit.text import message

    if inside in (0, m):
        return message("All canaries were in training, or none was: nothing can be guessed.")
    if chance != 0.5 or binomtest(inside, m, 0.5).pvalue < 1e-6:
        return message(
            "The canaries were not drawn by fair coins ({inside:count} of {m:count} trained), and the bound assumes them.",
            inside=inside,
            m=m,
        )
    return None
