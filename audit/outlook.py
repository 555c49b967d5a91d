"""What the rows can show, settled from group sizes and the common rate alone, before the groups' outcomes are looked at (verdicts.md §5)."""

from __future__ import annotations

from typing import NamedTuple

from audit.measurement import Cell, Column, Compare, Table
from audit.text import message, render

#: The stated truth that should fail: a ratio of 0.70, or a difference of twice the margin.
TRUE_RATIO = 0.70


class Prospect(NamedTuple):
    """One comparison before its outcome is known: rows of the group and of the reference, the common rate, and the limits."""

    group: str
    n1: int
    n0: int
    common: float
    compare: Compare
    low: float
    high: float


class Foreseen(NamedTuple):
    """The comparisons of one column; made into a table only when a document is written, because the chances take a moment.

    `level` is that of the two-sided interval that a pass needs, `alpha` the level of one question's fails before the correction for several groups.
    """

    column: str
    what: str
    prospects: list[Prospect]
    level: float
    alpha: float


def outlook(foreseen: Foreseen) -> Table | None:
    """For each group of a column the chance to pass under exact equality, the chance to fail under a stated truth, and the rows that pass with 80 % chance.

    None where there is nothing to compare.
    """
    rows = [row for p in foreseen.prospects if (row := _row(p, foreseen.level, foreseen.alpha)) is not None]
    if not rows:
        return None
    what = foreseen.what
    caption = message(
        "What these rows can show by {column} for {what}, settled from sizes and the common rate before the outcomes of single groups were looked at",
        column=foreseen.column, what=message(what),
    )  # fmt: skip
    columns = [
        Column(name="group", label="group"),
        Column(name="n", label="rows", kind="integer"),
        Column(name="n0", label="rows of the reference", kind="integer"),
        Column(name="equal", label="chance to pass if the groups are in truth equal", kind="percent"),
        Column(name="truth", label="stated truth: × ratio, or points"),
        Column(name="fails", label="chance to fail if the stated truth holds", kind="percent"),
        Column(name="needed", label="rows of both that pass with 80 % chance if equal, about", kind="integer"),
    ]
    return Table(caption=render(caption), caption_msg=caption, columns=columns, rows=rows)


def _row(p: Prospect, level: float, alpha: float) -> list[Cell] | None:
    from audit.stats.power import (
        chance_to_fail_difference,
        chance_to_fail_ratio,
        chance_to_pass_difference,
        chance_to_pass_ratio,
        rows_to_pass,
        rows_to_pass_difference,
    )

    if not (p.n1 and p.n0 and 0 < p.common < 1):
        return None
    share = p.n1 / (p.n1 + p.n0)
    if p.compare == "ratio":
        equal = chance_to_pass_ratio(p.n1, p.n0, p.common, low=p.low, high=p.high, level=level)
        fails = chance_to_fail_ratio(p.n1, p.n0, p.common, low=p.low, high=p.high, alpha=alpha, true_ratio=TRUE_RATIO)
        needed = rows_to_pass(p.common, share, low=p.low, high=p.high, level=level)
        truth = f"× {TRUE_RATIO:.2f}"
    else:
        below = -min(2 * p.high, p.common)
        equal = chance_to_pass_difference(p.n1, p.n0, p.common, margin=p.high, level=level)
        fails = chance_to_fail_difference(p.n1, p.n0, p.common, margin=p.high, alpha=alpha, true_difference=below)
        needed = rows_to_pass_difference(p.common, share, margin=p.high, level=level)
        truth = f"−{-100 * below:.0f}"
    return [p.group, p.n1, p.n0, equal, truth, fails, None if needed is None else two_digits(needed)]


def two_digits(rows: float) -> int:
    """Two significant digits: the figure is an order of magnitude, not a promise."""
    return int(float(f"{rows:.2g}"))
