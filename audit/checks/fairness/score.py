"""How scores differ between groups, before any cutoff is chosen."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from audit.registry import check

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from audit.context import Context, Grouping
    from audit.measurement import Estimate, Measurement, Message, Slice

    #: The scores of a slice, and whether each row had the event; None where no outcome is looked at.
    Members = list[tuple[NDArray[np.float64], NDArray[np.bool_] | None]]


@check(
    "fairness.score",
    title="Scores of groups, whatever the cutoff",
    meaning=(
        "How far each group's scores lie from the reference's: the difference of the means; the same divided by the standard deviation of everybody (standardised mean "
        "difference, SMD); the largest gap between the two distributions (Kolmogorov-Smirnov distance); and how often an event of one group is scored above a non-event of the "
        "other (xAUC), against the other way round. For a quantity: of the prediction."
    ),
    limits=(
        "A difference of scores may follow a difference of outcomes; which of the two it is, this check does not say. No law sets a limit for the standardised mean "
        "difference; what counts as large is a matter of policy. xAUC takes the recorded outcomes at their word. The interval of the largest gap holds for any distribution and is wide for that: it can reach 0 where the test finds a difference. "
        "Intervals take rows to be independent."
    ),
    unit="as the score; standard deviations; shares",
    direction="target",
    needs=["sensitive"],
    references=["Cohen 1988", "Hampel 1974", "Welch 1947", "Massart 1990", "Kallus and Zhou 2019", "DeLong, DeLong and Clarke-Pearson 1988"],
)  # fmt: skip
def score(ctx: Context) -> Iterable[Measurement | Message]:
    """Mean, standardised mean difference, Kolmogorov–Smirnov distance and xAUC of each group against its reference."""
    from audit.text import beside, message, who

    scores = _scores(ctx)
    if scores is None:
        yield (
            message("Nobody declared which of several classes is favourable: there is no one score to compare.") if ctx.settled.has_scores
            else message("The model returns labels only: there is no score to compare.")
        )  # fmt: skip
        return
    furthest: tuple[Estimate, Slice, Slice] | None = None
    for grouping in ctx.groupings():
        members = _members(ctx, grouping, scores)
        known = [i for i in range(len(members)) if i not in grouping.unknown]
        for i, slice_ in enumerate(grouping.slices):
            yield from _mean(ctx, slice_, members[i][0])
            if grouping.reference is None or i == grouping.reference or i in grouping.unknown:
                continue
            others = [members[j][0] for j in known if j not in (i, grouping.reference)]
            for m in _against(ctx, grouping, i, members, others):
                yield m
                e = m.estimate
                large = len(members[i][0]) >= ctx.plan.disclosure.min_group_size and grouping.single
                if m.metric == SMD and e and large and (furthest is None or abs(e.value) > abs(furthest[0].value)):
                    furthest = e, slice_, grouping.slices[grouping.reference]
    if furthest is None:
        yield message("No two groups have scores that can be compared.")
        return
    e, mine, other = furthest
    yield message(
        "{group}: the mean score lies {smd:signed} standard deviations from that of {other} ({level:percent} interval {low:signed} to {high:signed}). "
        "No other group of a single column is further from its reference.",
        group=who(mine), smd=e.value, other=beside(mine, other), level=e.level, low=e.low, high=e.high,
    )  # fmt: skip


SMD, GAP = "standardised_mean_difference", "kolmogorov_smirnov_distance"


def _scores(ctx: Context) -> NDArray[np.float64] | None:
    """The score of each row, (n,), NaN where undefined: of the event, of the favourable classes together, or the predicted quantity."""
    import numpy as np

    if ctx.settled.task == "regression":
        return np.asarray(ctx.scored.pred, dtype=np.float64)
    if not ctx.settled.has_scores:
        return None
    if ctx.settled.task == "binary":
        return ctx.scored.score
    favourable = [i for i, name in enumerate(ctx.settled.classes) if name in ctx.settled.favourable]
    return np.asarray(ctx.scored.scores()[:, favourable].sum(axis=1)) if favourable else None


def _members(ctx: Context, grouping: Grouping, scores: NDArray[np.float64]) -> Members:
    """The scores of each slice in row order; of the rows with an outcome also whether the event happened."""
    from itertools import pairwise

    import numpy as np

    held = ctx.scored.predicted & np.isfinite(scores)
    binary = ctx.settled.task == "binary" and ctx.facts.target_sql is not None and ctx.settled.positive is not None
    y = ctx.scored.y[held] if binary else None
    codes = ctx.codes(grouping)[held]
    order = np.argsort(codes, kind="stable")
    bounds = np.searchsorted(codes[order], np.arange(len(grouping.slices) + 1))
    values, outcomes = scores[held][order], None if y is None else y[order]
    return [(values[a:b], None if outcomes is None else outcomes[a:b]) for a, b in pairwise(bounds)]


def _mean(ctx: Context, slice_: Slice, values: NDArray[np.float64]) -> Iterator[Measurement]:
    """The mean score of a slice; that of a predicted quantity stands in `fairness.group`."""
    from audit.measure import value
    from audit.stats.compare import mean_interval
    from audit.stats.sums import moments
    from audit.text import message

    if ctx.settled.task == "regression":
        return
    m = moments(values)
    estimate = mean_interval(m.n, m.mean, m.variance, level=ctx.level("mean_score")) if m else None
    if estimate and values.min() >= 0 and values.max() <= 1:  # no mean of probabilities lies beyond 0 or 1
        estimate = estimate.model_copy(update={"low": max(0.0, estimate.low), "high": min(1.0, estimate.high)})
    yield value(
        "mean_score", estimate, slice_=slice_, reason=message("Fewer than two rows of this group have a score, or all scores are the same.")
    )


def _against(ctx: Context, grouping: Grouping, group: int, members: Members, others: list[NDArray[np.float64]]) -> Iterator[Measurement]:
    """One group against the reference of its grouping."""
    import numpy as np

    from audit.measurement import Measurement, Test
    from audit.stats.compare import mean_difference, mean_test
    from audit.stats.standardised import largest_gap, standardised_difference
    from audit.stats.sums import moments

    assert grouping.reference is not None
    slice_, against = grouping.slices[group], grouping.slices[grouping.reference]
    mine, theirs = members[group][0], members[grouping.reference][0]

    def made(metric: str, estimate: Estimate | None, test: Test | None = None) -> Iterator[Measurement]:
        if estimate is not None:
            yield Measurement(metric=metric, compare="difference", slice=slice_, against=against, estimate=estimate, test=test)

    one, other = moments(mine), moments(theirs)
    if ctx.settled.task != "regression" and one and other:
        tested = mean_test(one, other)
        test = Test(null="equality", method=tested[1], p_value=tested[0]) if tested else None
        yield from made("mean_score", mean_difference(one, other, level=ctx.level("mean_score", "difference")), test)
    rest = np.concatenate(others) if others else np.zeros(0)
    yield from made(SMD, standardised_difference(mine, theirs, rest, level=ctx.level(SMD, "difference")))
    if not grouping.single:
        return
    gap = largest_gap(mine, theirs, level=ctx.level(GAP, "difference"))
    if gap is not None:
        yield from made(GAP, gap[0], Test(null="equality", method="kolmogorov_smirnov", p_value=gap[1]))
    yield from _crossed(ctx, slice_, against, members[group], members[grouping.reference])


def _crossed(
    ctx: Context,
    slice_: Slice,
    against: Slice,
    mine: tuple[NDArray[np.float64], NDArray[np.bool_] | None],
    theirs: tuple[NDArray[np.float64], NDArray[np.bool_] | None],
) -> Iterator[Measurement]:
    """xAUC: events of the group above non-events of the reference, the other way round, and the first less the second.

    The two share no row, so their variances add.
    """
    from audit.measure import value
    from audit.measurement import Measurement
    from audit.stats.auc import auc_difference, roc_auc_ranked
    from audit.stats.ranked import rank_two
    from audit.text import message

    if mine[1] is None or theirs[1] is None:
        return
    event = ctx.settled.classes.index(ctx.settled.positive or "")
    (x1, y1), (x0, y0) = mine, theirs
    forth = rank_two(x1[y1 == event], x0[y0 == 1 - event])
    back = rank_two(x0[y0 == event], x1[y1 == 1 - event])
    reason = message("One of the two groups has no event, or the other no row without it.")
    yield value("xauc", roc_auc_ranked(forth, level=ctx.level("xauc")), slice_=slice_, reason=reason)
    yield value("xauc_reversed", roc_auc_ranked(back, level=ctx.level("xauc_reversed")), slice_=slice_, reason=reason)
    difference = auc_difference(forth, back, level=ctx.level("xauc", "difference"))
    if difference is not None:
        yield Measurement(metric="xauc", compare="difference", slice=slice_, against=against, estimate=difference)
