"""Impact ratios against the highest rate, and what the four-fifths rule's significance clause (29 CFR 1607.4(D)) asks beside them.

Arguments are whole counts: x of n in a group, x0 of n0 in the group with the highest rate. Where a rule draws a line, counts are compared as
integers: 6 of 10 against 15 of 20 is exactly four fifths, and divided as floats it is less.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Literal

from audit.stats._inputs import check_count

Reading = Literal[
    "indicated by both", "ratio only, small-number caution", "statistical, check practical", "not indicated", "one selection decides"
]


def highest(x: Sequence[int], n: Sequence[int]) -> int | None:
    """Position of the highest rate x / n, exactly; of equal rates the group with more rows, then the earlier one. None where no group has rows."""
    known = [i for i in range(len(n)) if check_count(x[i], n[i])[1] > 0]
    return max(known, key=lambda i: (Fraction(x[i], n[i]), n[i], -i), default=None)


def below_four_fifths(x: int, n: int, x0: int, n0: int) -> bool:
    """Whether the rate is less than four fifths of the reference's: 5 x n0 < 4 x0 n in integers, so exactly 0.80 is not."""
    (x, n), (x0, n0) = check_count(x, n), check_count(x0, n0)
    return 5 * x * n0 < 4 * x0 * n


def shortfall(x: int, n: int, x0: int, n0: int) -> float:
    """Selections that the group is short of its share of those of both, in people; below 0 it has more. ValueError where both are empty."""
    (x, n), (x0, n0) = check_count(x, n), check_count(x0, n0)
    if n + n0 == 0:
        raise ValueError("expected rows in at least one group")
    return float(Fraction(n * (x + x0), n + n0) - x)


def selections_to_four_fifths(x: int, n: int, x0: int, n0: int) -> int:
    """Further selections at which the group reaches four fifths of the reference's rate, that rate unchanged; 0 where it has. n0 >= 1."""
    (x, n), (x0, n0) = check_count(x, n), check_count(x0, n0)
    return max(0, -(-4 * x0 * n // (5 * n0)) - x)


def one_moved(x: int, n: int, x0: int, n0: int) -> Fraction | None:
    """The ratio had one selection gone to the group instead of the reference (Questions and Answers 20 and 21): (x+1)/n over (x0−1)/n0.

    None where that cannot be: the group is full already, or the reference would be left without a selection.
    """
    (x, n), (x0, n0) = check_count(x, n), check_count(x0, n0)
    if x + 1 > n or x0 < 2:
        return None
    return Fraction((x + 1) * n0, n * (x0 - 1))


def reading(below: bool, significant: bool, moved: Fraction | None = None) -> Reading:
    """The cases of ratio and significance test together: the words are policy of this audit, not of the law. None of them clears anybody.

    `moved` is the ratio had one selection gone the other way: where that is four fifths or more, nothing is concluded (Question and Answer 21).
    """
    if below and significant and moved is not None and moved >= Fraction(4, 5):
        return "one selection decides"
    if below:
        return "indicated by both" if significant else "ratio only, small-number caution"
    return "statistical, check practical" if significant else "not indicated"
