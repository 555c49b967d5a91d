"""Rates and their comparisons where each row carries a survey weight; for smooth functions of sums see `audit.stats.weighted_sums`.

A weighted rate is K / N, the weights of the rows that count over those of all. Its variance is that of the linearised statistic, as if rows were
drawn independently with replacement (Särndal, Swensson and Wretman 1992), Σ w² (y − p)² / N², each term times 1 + 2 w / N, because a row of
large weight draws the rate towards itself (HC3 to first order, MacKinnon and White 1985; the jackknife's variance). The interval is that of the rows of equal weight
with the same variance (Korn and Graubard 1998; Franco, Little, Louis and Slud 2019 for Wilson's): never the binomial one of the rows at hand.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from audit.measurement import Estimate, Weights
from audit.stats import scores
from audit.stats._inputs import estimate
from audit.stats.compare import equality_test
from audit.stats.rates import wilson_limits

#: With fewer rows that count, or that do not, their weights show too little of the spread: the rows are then worth no more than Kish's figure.
SPARSE = 10
#: Expected counts from which the score test is trusted by itself.
MANY = 100


class Share(NamedTuple):
    """Of `rows` rows `hits` count; `n` and `k` are the sums of their weights, `n2` and `k2` of the squares of these, `n3` and `k3` of the
    cubes. Weights are above 0."""

    rows: int
    hits: int
    n: float
    k: float
    n2: float
    k2: float
    n3: float
    k3: float

    def __add__(self, other: tuple[object, ...]) -> Share:
        assert isinstance(other, Share)
        return Share(
            self.rows + other.rows, self.hits + other.hits, self.n + other.n, self.k + other.k, self.n2 + other.n2, self.k2 + other.k2,
            self.n3 + other.n3, self.k3 + other.k3,
        )  # fmt: skip

    def complement(self) -> Share:
        """The rows that do not count."""
        return Share(self.rows, self.rows - self.hits, self.n, self.n - self.k, self.n2, self.n2 - self.k2, self.n3, self.n3 - self.k3)

    @property
    def counts(self) -> tuple[int, int]:
        """Rows that count, and all."""
        return self.hits, self.rows

    @property
    def mass(self) -> tuple[float, float]:
        """Their weights."""
        return self.k, self.n

    @property
    def value(self) -> float:
        """The rate, in [0, 1]; exactly 0 or 1 where no row or every row counts."""
        return 0.0 if self.hits == 0 else 1.0 if self.hits == self.rows else self.k / self.n

    @property
    def effective(self) -> float:
        """The rows of equal weight that have the same variance; no more than there are, and where few count no more than (Σw)² / Σw² (Kish 1965)."""
        if not self.rows:
            return 0.0
        kish, few = self.n**2 / self.n2, min(self.hits, self.rows - self.hits)
        if not few:
            return max(1.0, kish)
        p = self.value
        k2, n2 = self.k2 + 2 * self.k3 / self.n, self.n2 + 2 * self.n3 / self.n
        variance = ((1 - p) ** 2 * k2 + p**2 * (n2 - k2)) / self.n**2
        worth_ = p * (1 - p) / variance
        return max(1.0, min(worth_, kish if few < SPARSE else self.rows))

    @property
    def as_rows(self) -> tuple[float, float]:
        """(k, n) of rows of equal weight."""
        n = self.effective
        return self.value * n, n


def worth(*sides: Share) -> Weights:
    """What the rows behind a rate or a comparison are worth; the design effect is that of the side that is worth fewest."""
    least = min(sides, key=lambda s: s.effective)
    return Weights(
        design_effect=least.rows / least.effective if least.rows else 1.0, effective=[math.floor(s.effective) for s in sides],
        k=[s.k for s in sides], n=[s.n for s in sides],
    )  # fmt: skip


def rate(group: Share, *, level: float) -> Estimate | None:
    """K / N in [0, 1] with Wilson's interval for the rows that these are worth; None without rows."""
    if not group.rows:
        return None
    low, high = wilson_limits(*group.as_rows, level=level)
    return estimate(group.value, float(low), float(high), level=level, method="wilson_weighted", n=group.rows)


def difference(group: Share, reference: Share, *, level: float) -> Estimate | None:
    """Difference of weighted rates with Newcombe's interval for the rows that these are worth; None where a side has no rows."""
    if not group.rows or not reference.rows:
        return None
    low, high = scores.difference_limits(*group.as_rows, *reference.as_rows, level=level)
    value, n = group.value - reference.value, group.rows + reference.rows
    return estimate(value, float(low), float(high), level=level, method="newcombe_weighted", n=n)


def ratio(group: Share, reference: Share, *, level: float) -> Estimate | None:
    """Ratio of weighted rates with Miettinen and Nurminen's interval for the rows that these are worth; None where the reference has none that counts."""
    if not group.rows or not reference.hits:
        return None
    low, high = scores.ratio_limits(*group.as_rows, *reference.as_rows, level=level)
    value, n = group.value / reference.value, group.rows + reference.rows
    return estimate(value, float(low), float(high), level=level, method="miettinen_nurminen_weighted", n=n)


def odds(group: Share, reference: Share, *, level: float) -> Estimate | None:
    """Odds ratio of weighted rates with the score interval for the rows that these are worth; None where it is not finite."""
    if not group.rows or not reference.hits or group.hits == group.rows:
        return None
    low, high = scores.odds_ratio_limits(*group.as_rows, *reference.as_rows, level=level)
    p1, p0 = group.value, reference.value
    value, n = p1 * (1 - p0) / ((1 - p1) * p0), group.rows + reference.rows
    return estimate(value, float(low), float(high), level=level, method="miettinen_nurminen_odds_weighted", n=n)


def equality(group: Share, reference: Share) -> tuple[float, str] | None:
    """(p, method) of equal weighted rates: the score test of the rows that these are worth (Rao and Scott 1992); None where a side has no rows.

    Where a count expected is below 100 the test of as many whole rows, which is Fisher's exact one where they are few.
    """
    from scipy.special import ndtr

    if not group.rows or not reference.rows:
        return None
    (k1, n1), (k0, n0) = group.as_rows, reference.as_rows
    common = (k1 + k0) / (n1 + n0)
    if min(n1, n0) * min(common, 1 - common) >= MANY:
        return float(2 * ndtr(-abs(float(scores.pooled_z(k1, n1, k0, n0))))), "score_weighted"
    m1, m0 = math.floor(n1), math.floor(n0)
    tested = equality_test(round(group.value * m1), m1, round(reference.value * m0), m0)
    return None if tested is None else (tested[0], f"{tested[1]}_weighted")
