"""A cohort under two models: the same sampled rows, paired."""

from __future__ import annotations

from typing import TYPE_CHECKING

from audit.cohorts.kept import Kept
from audit.cohorts.measured import states, tally, withheld
from audit.cohorts.named import About, Changes, Cohort, Moved
from reports.disclose import small

if TYPE_CHECKING:
    from audit.stats.paired import Pair

#: Rates that are compared, with the state that a row counts by.
PAIRED = {"zero_one_loss": "wrong", "selection_rate": "chosen"}


def changes(old: Kept, new: Kept, about: About, cohort: Cohort) -> Changes:
    """The rates of the cohort's rows in both samples; the cohort is read off the new audit's columns."""
    from audit.stats.paired import mcnemar, tango
    from audit.stats.rates import wilson

    why = withheld(tally(new, cohort, new.sampled), 2 ** len(cohort.conditions) - 1, about.least)
    if why is not None:
        return Changes(n=0, withheld=why)
    inside = " AND ".join(f"({new.sql(c)})" for c in cohort.conditions)
    before = {row: state for row, *state in old.sampled.ask({"row": "row", **{k: states(old)[v] for k, v in PAIRED.items()}})}
    counts: dict[str, dict[tuple[int, int], int]] = {metric: {} for metric in PAIRED}
    n = 0
    for row, *now in new.sampled.ask({"row": "row", **{k: states(new)[v] for k, v in PAIRED.items()}}, tail=f"WHERE {inside}"):
        if row in before:
            n += 1
            for metric, was, is_ in zip(PAIRED, before[row], now, strict=True):
                if was >= 0 and is_ >= 0:
                    counts[metric][was, is_] = counts[metric].get((was, is_), 0) + 1
    if n < about.least:
        return Changes(n=0, withheld="few")
    moved = []
    for metric, cells in counts.items():
        pair = _pair(cells)
        if not pair.n:
            continue
        own = [(pair.both + pair.old, pair.n), (pair.both + pair.new, pair.n)]
        if any(small(rows, k, about.least) for k, rows in own):
            moved.append(Moved(metric=metric, withheld=True))
            continue
        was, is_ = (wilson(k, rows, level=about.level) for k, rows in own)
        moved.append(Moved(metric=metric, old=was, new=is_, change=tango(pair, level=about.level), p=mcnemar(pair)[0]))
    return Changes(n=n, moved=moved)


def _pair(cells: dict[tuple[int, int], int]) -> Pair:
    from audit.stats.paired import Pair

    return Pair(both=cells.get((1, 1), 0), new=cells.get((0, 1), 0), old=cells.get((1, 0), 0), neither=cells.get((0, 0), 0))
