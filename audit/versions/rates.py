"""A rate under the old and the new model: over the same rows (`Pair`) or over two samples (`Two`), and limits of what became of it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from audit.measurement import Estimate
from audit.stats.compare import newcombe
from audit.stats.paired import Limits, Pair, growth, limits_of, mover, tango


class Two(NamedTuple):
    """k of n rows under the new model and, on other rows or on rows that cannot be matched, under the old one."""

    new: int
    new_rows: int
    old: int
    old_rows: int

    @property
    def n(self) -> int:
        """Rows of the smaller side: what a comparison can rest on."""
        return min(self.new_rows, self.old_rows)


Rate = Pair | Two


def values(rate: Rate) -> tuple[float, float]:
    """(old, new), each in [0, 1]; the rate has rows."""
    if isinstance(rate, Two):
        return rate.old / rate.old_rows, rate.new / rate.new_rows
    return (rate.both + rate.old) / rate.n, (rate.both + rate.new) / rate.n


def pooled(rates: Iterable[Rate]) -> Rate:
    """Groups of one kind as one group."""
    first, *rest = rates
    made = type(first)(*(sum(column) for column in zip(first, *rest, strict=True)))
    return made


def change(rate: Rate, level: float) -> Estimate | None:
    """New minus old: Tango's interval over the same rows, else Newcombe's; None without rows."""
    if isinstance(rate, Two):
        return newcombe(rate.new, rate.new_rows, rate.old, rate.old_rows, level=level)
    return tango(rate, level=level)


def _total(rate: Rate, level: float) -> Limits | None:
    """New plus old: one more than new minus the share of rows that the old model does not count."""
    if isinstance(rate, Two):
        found = newcombe(rate.new, rate.new_rows, rate.old_rows - rate.old, rate.old_rows, level=level)
    else:
        found = tango(Pair(rate.new, rate.both, rate.neither, rate.old), level=level)
    return None if found is None else Limits(found.value + 1, found.low + 1, found.high + 1)


def gap_change(group: Rate, reference: Rate, level: float) -> Estimate | None:
    """How the signed gap, rate of the group minus rate of the reference, changed from old to new."""
    ours, theirs = change(group, level), change(reference, level)
    if ours is None or theirs is None:
        return None
    found = mover(limits_of(ours), limits_of(theirs))
    return Estimate(value=found.value, low=found.low, high=found.high, level=level, method=f"{ours.method}_mover", n=group.n + reference.n)


def gap_growth(group: Rate, reference: Rate) -> Estimate | None:
    """How much farther, either way, the group's rate lies from the reference's under the new model; negative: nearer.

    Each side holds one-sided at 95 %: the limits that it is made of hold at 97.5 %, since the gap may be on either side (see `growth`).
    """
    level = 0.95
    d1, d0, s1, s0 = change(group, level), change(reference, level), _total(group, level), _total(reference, level)
    if d1 is None or d0 is None or s1 is None or s0 is None:
        return None
    found = growth(mover(limits_of(d1), limits_of(d0)), mover(s1, s0))
    low, high = min(found.low, found.value), max(found.high, found.value)
    return Estimate(value=found.value, low=low, high=high, level=0.90, method=f"{d1.method}_growth", n=group.n + reference.n)
