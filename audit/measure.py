"""Shorthand for the measurements that many checks make: counts in, `Measurement` out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from audit.measurement import Estimate, Evidence, Measurement, Message, Part, Slice, Test
from audit.text import message, render

if TYPE_CHECKING:
    from audit.context import Context
    from audit.stats.compare import Triple

NOT_DEFINED = "It is not defined on these rows."
#: Groups of fewer rows head a summary only where there is none that is larger.
NAMED = 30
#: How skill and what takes its place are called in a sentence.
SKILLS = {
    "brier_skill": "skill in the Brier score",
    "log_loss_skill": "skill in log loss",
    "r2": "share of the variation explained (R²)",
    "informedness": "recall and specificity above guessing (informedness)",
}


def undefined(
    metric: str,
    reason: Message,
    *,
    slice_: Slice | None = None,
    against: Slice | None = None,
    compare: str = "value",
    parts: Iterable[Part] = (),
) -> Measurement:
    """A measurement without a number, and why."""
    return Measurement(
        metric=metric, compare=compare, slice=slice_ or {}, against=against, parts=list(parts), reason=render(reason), reason_msg=reason
    )


def value(
    metric: str,
    estimate: Estimate | None,
    *,
    slice_: Slice | None = None,
    reason: Message | None = None,
    evidence: Iterable[Evidence] = (),
    parts: Iterable[Part] = (),
) -> Measurement:
    """A measurement of one slice; without an estimate it is undefined for `reason`."""
    if estimate is None:
        return undefined(metric, reason or message(NOT_DEFINED), slice_=slice_, parts=parts)
    return Measurement(metric=metric, slice=slice_ or {}, estimate=estimate, evidence=list(evidence), parts=list(parts))


def exact(number: float, n: int) -> Estimate:
    """A quantity that was counted and not estimated."""
    return Estimate(value=number, low=number, high=number, level=0.95, method="exact", n=n)


def rate(ctx: Context, metric: str, k: int, n: int, *, slice_: Slice | None = None, what: str = "rows") -> Measurement:
    """k of n with Wilson's interval; undefined where n is 0."""
    from audit.stats.rates import wilson

    part = Part(slice=slice_ or {}, k=k, n=n)
    reason = message("There are no {what} here.", what=message(what))
    return value(metric, wilson(k, n, level=ctx.level(metric)) if n else None, slice_=slice_, reason=reason, parts=[part])


def mean_comparison(ctx: Context, metric: str, group: tuple[Slice, Triple], reference: tuple[Slice, Triple]) -> Iterator[Measurement]:
    """Difference of a mean against the reference with Welch's test, each given as (slice, (n, mean, variance)); nothing where rows show no spread."""
    from audit.stats.compare import mean_difference, mean_test

    difference = mean_difference(group[1], reference[1], level=ctx.level(metric, "difference"))
    tested = mean_test(group[1], reference[1])
    if difference is not None:
        test = Test(null="equality", method=tested[1], p_value=tested[0]) if tested else None
        yield Measurement(metric=metric, compare="difference", slice=group[0], against=reference[0], estimate=difference, test=test)


def independent_difference(
    ctx: Context, metric: str, group: tuple[Slice, Estimate | None], reference: tuple[Slice, Estimate | None]
) -> Iterator[Measurement]:
    """Difference of two estimates from different rows, each with a normal interval: variances add (z test); nothing where one is undefined or exact."""
    from scipy.stats import norm

    (slice_, own), (against, theirs) = group, reference
    if own is None or theirs is None:
        return
    errors = [(e.value - e.low) / float(norm.ppf((1 + e.level) / 2)) for e in (own, theirs)]  # the upper end may be cut at a bound
    error, level = float((errors[0] ** 2 + errors[1] ** 2) ** 0.5), ctx.level(metric, "difference")
    if error == 0:
        return
    value_, half = own.value - theirs.value, error * float(norm.ppf((1 + level) / 2))
    estimate = Estimate(value=value_, low=value_ - half, high=value_ + half, level=level, method="delta", n=own.n + theirs.n)
    test = Test(null="equality", method="normal", p_value=float(2 * norm.sf(abs(value_) / error)))
    yield Measurement(metric=metric, compare="difference", slice=slice_, against=against, estimate=estimate, test=test)


def no_comparison() -> Message:
    """Why two rates have no ratio or difference."""
    return message("One of the two groups has no rows, the reference has a rate of 0, or, for the odds ratio, the group has a rate of 1.")


def comparisons(ctx: Context, metric: str, group: Part, reference: Part, *, adverse: bool = False) -> list[Measurement]:
    """Ratio, difference and odds ratio of a rate against the reference, each with the test of equality; with `adverse` also the ratio of the complements."""
    from audit.stats.compare import equality_test, miettinen_nurminen, newcombe, odds_ratio

    counts = (group.k, group.n, reference.k, reference.n)
    tested = equality_test(*counts)
    test = Test(null="equality", method=tested[1], p_value=tested[0]) if tested else None
    made = [
        ("ratio", metric, miettinen_nurminen(*counts, level=ctx.level(metric, "ratio"))),
        ("difference", metric, newcombe(*counts, level=ctx.level(metric, "difference"))),
        ("odds_ratio", metric, odds_ratio(*counts, level=ctx.level(metric, "odds_ratio"))),
    ]
    parts = [group, reference]
    if adverse:
        opposite = (group.n - group.k, group.n, reference.n - reference.k, reference.n)
        made.append(("ratio", f"adverse_{metric}", miettinen_nurminen(*opposite, level=ctx.level(f"adverse_{metric}", "ratio"))))
    out = []
    for compare, name, estimate in made:
        if estimate is None:
            out.append(undefined(name, no_comparison(), slice_=group.slice, against=reference.slice, compare=compare, parts=parts))
        else:
            out.append(
                Measurement(
                    metric=name, compare=compare, slice=group.slice, against=reference.slice, parts=parts, estimate=estimate, test=test
                )
            )
    return out
