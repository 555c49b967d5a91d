"""What each group would get at another cutoff, read off the score histograms that the document holds: no model, no rows.

The document merges hundredths of the score until each bin holds enough people, so a cutoff can be moved to the edges of those bins only.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from audit.measurement import Curve, Histogram
from audit.result import AuditResult


@dataclass(frozen=True)
class Rate:
    """k of n with its Wilson interval at `level`; low and high are 0 and 1 where n is 0, and the value is unknown (None)."""

    k: int
    n: int
    level: float

    @property
    def value(self) -> float | None:
        return self.k / self.n if self.n else None

    @property
    def limits(self) -> tuple[float, float]:
        from scipy.stats import binomtest

        if not self.n:
            return 0.0, 1.0
        low, high = binomtest(self.k, self.n).proportion_ci(self.level, method="wilson")
        return float(low), float(high)


@dataclass(frozen=True)
class Costs:
    """What an error costs, in the unit of whoever declared it."""

    false_positive: float
    false_negative: float


@dataclass(frozen=True)
class AtCutoff:
    """One group at one cutoff: who gets the favourable decision, and how often the decision is wrong for those with and without the event.

    `cost` is the mean over the group's rows, None where no costs were declared.
    """

    group: str
    selection: Rate
    true_positive: Rate
    false_positive: Rate
    cost: float | None


@dataclass(frozen=True)
class Scores:
    """The scores of a sensitive column's groups by outcome: counts between `edges`, the same for both outcomes.

    Where the outcomes are unknown, or too few people have them to be told apart (`by_outcome` is False), all rows are counted under `event`: only who is
    selected is known then.
    """

    column: str
    edges: list[float]
    event: dict[str, list[int]]
    no_event: dict[str, list[int]]
    current: float | None
    favours_event: bool
    by_outcome: bool = True

    def at(self, edge: int, level: float, costs: Costs | None) -> list[AtCutoff]:
        """Each group where scores from `edges[edge]` up are decided for the event."""
        return [self._one(group, edge, level, costs) for group in self.event]

    def _one(self, group: str, edge: int, level: float, costs: Costs | None) -> AtCutoff:
        with_, without = self.event[group], self.no_event[group]
        hits, alarms, events, others = sum(with_[edge:]), sum(without[edge:]), sum(with_), sum(without)
        chosen = hits + alarms
        selected = chosen if self.favours_event else events + others - chosen
        cost = (
            (alarms * costs.false_positive + (events - hits) * costs.false_negative) / (events + others)
            if costs and events + others
            else None
        )
        return AtCutoff(group, Rate(selected, events + others, level), Rate(hits, events, level), Rate(alarms, others, level), cost)

    def nearest(self) -> int:
        """The edge that lies nearest to the cutoff in force; the middle where that is unknown."""
        aim = 0.5 if self.current is None else self.current
        return min(range(len(self.edges) - 1), key=lambda i: abs(self.edges[i] - aim))


def scores(document: AuditResult) -> list[Scores]:
    """One per sensitive column whose scores were stored with at least two cutoffs to move to, by outcome where that is so."""
    return list(_found(document))


STOPS = 4  # edges below which there is no choice of cutoffs


def _found(document: AuditResult) -> Iterator[Scores]:
    favours = document.data.positive in document.data.favourable
    for check in document.checks:
        for f in check.findings if check.info.id == "fairness.group" else []:
            kept = {e.outcome: e for e in f.evidence if isinstance(e, Histogram)}
            if len(f.slice) != 1:
                continue
            column = next(iter(f.slice))
            current = next((e.current for e in f.evidence if isinstance(e, Curve) and e.name == "cutoffs"), None)
            if kept.keys() >= {"event", "no_event"} and len(kept["event"].edges) >= STOPS:
                edges = [float(x) for x in kept["event"].edges]
                yield Scores(column, edges, kept["event"].series, kept["no_event"].series, current, favours)
            elif None in kept and len(kept[None].edges) >= STOPS:
                nobody = {group: [0] * len(counts) for group, counts in kept[None].series.items()}
                yield Scores(column, [float(x) for x in kept[None].edges], kept[None].series, nobody, current, favours, by_outcome=False)


def costs(document: AuditResult) -> Costs | None:
    """The costs that the context declares, where it declares them as numbers."""
    declared = document.context.get("cost_of_errors")
    if not isinstance(declared, dict):
        return None
    amounts = [declared.get(name) for name in ("false_positive", "false_negative")]
    return Costs(*(float(a) for a in amounts if isinstance(a, int | float))) if all(isinstance(a, int | float) for a in amounts) else None
