"""What a rate is held against, and which groups are large enough to be judged by it: settled from sizes and the common rate (verdicts.md §5)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from audit.answering import criterion_of
from audit.measurement import Clusters, Compare, Part, Weights
from audit.plan import Plan
from audit.result import Criterion

OTHERS = "(all other groups)"
#: Fewer clusters than this on a side are too few to judge: tests over them are too optimistic (Cameron, Gelbach and Miller 2008).
FEWEST = 20


class Held(NamedTuple):
    """How the groups of a column are compared, the limits, and the rate of all of them together."""

    compare: Compare
    criterion: Criterion
    common: float


def held(plan: Plan, id_: str, known: Sequence[tuple[float, float]], *, always_difference: bool) -> Held | None:
    """The comparison that a question judges; `known` are (k, n) of the groups with known membership, as counts or sums of weights. None where they have no rows."""
    total = sum(n for _, n in known)
    if not total:
        return None
    common = sum(k for k, _ in known) / total
    compare: Compare = "difference" if always_difference or common > plan.judge.common_rate else "ratio"
    tier = plan.materiality
    low, high = (-tier.rate, tier.rate) if compare == "difference" else (tier.ratio, 1 / tier.ratio)
    decides = plan.decides[id_]
    if compare == "difference" and decides.margin is not None:
        low, high = -decides.margin, decides.margin
    criterion = criterion_of(plan, id_, "screen", low, high)
    if compare == "difference" and not always_difference:
        # min and max of [decides.fairness_selection] are ratios; above the common rate the tier's margin for rates takes their place.
        source = "difference within the tier's margin, because the common rate exceeds 0.8"
        criterion = criterion.model_copy(update={"min": low, "max": high, "source": source})
    return Held(compare, criterion, common)


def adequate(group: Part, reference: Part, held: Held, plan: Plan, worth: Clusters | Weights | None = None) -> bool:
    """Whether the comparison would pass with the plan's chance if both rates were exactly equal.

    Where rows belong together or carry weights the rows count that they are worth; of clusters `FEWEST` must stand on each side.
    """
    from audit.stats.power import chance_to_pass_difference, chance_to_pass_ratio

    n1, n0 = worth.effective if worth else (group.n, reference.n)
    if too_few(worth):
        return False
    level, criterion = round(2 * plan.judge.level_pass - 1, 12), held.criterion
    if held.compare == "difference":
        chance = chance_to_pass_difference(n1, n0, held.common, margin=criterion.max or 0.0, level=level)
    else:
        chance = chance_to_pass_ratio(n1, n0, held.common, low=criterion.min or 0.0, high=criterion.max or float("inf"), level=level)
    return chance >= plan.judge.adequacy


def too_few(worth: Clusters | Weights | None) -> bool:
    """Whether an estimate over clusters stands on too few of them to be judged."""
    return isinstance(worth, Clusters) and worth.fewest < FEWEST
