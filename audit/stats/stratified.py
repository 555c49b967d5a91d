"""Group against reference within strata of legitimate factors: Mantel and Haenszel's difference and odds ratio, and their tests.

Arguments are counts of shape (strata,): k1 of n1 in the group, k0 of n0 in the reference. Conditioning on a factor that itself carries bias
hides bias: show the raw comparison beside these.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from audit.measurement import Estimate
from audit.stats._inputs import Floats, check_share, estimate, normal_quantile
from audit.stats.cells import check_counts


class Tables(NamedTuple):
    """Checked counts of the strata that have rows of both, as floats, and how much of each side they hold."""

    k1: Floats
    n1: Floats
    k0: Floats
    n0: Floats
    overlap_group: float
    overlap_reference: float

    @property
    def rows(self) -> int:
        return int(self.n1.sum() + self.n0.sum())


def stratify(k1: ArrayLike, n1: ArrayLike, k0: ArrayLike, n0: ArrayLike) -> Tables | None:
    """Leaves out strata where one side has no rows, which compare nobody with nobody; None where none is left.

    The overlaps are the shares of group and of reference that are in the strata kept, in (0, 1]. ValueError unless 0 <= k <= n.
    """
    a, m, c, n = (check_counts(v, 1) for v in (k1, n1, k0, n0))
    if len({v.shape for v in (a, m, c, n)}) > 1 or np.any(a > m) or np.any(c > n):
        raise ValueError("expected 0 <= k <= n in arrays of one shape")
    kept = (m > 0) & (n > 0)
    if not kept.any():
        return None
    parts = [v[kept].astype(np.float64) for v in (a, m, c, n)]
    return Tables(parts[0], parts[1], parts[2], parts[3], float(m[kept].sum() / m.sum()), float(n[kept].sum() / n.sum()))


def mantel_haenszel_difference(tables: Tables, *, level: float) -> Estimate | None:
    """Weighted mean over strata of p1 − p0, in [−1, 1], weights n1 n0 / n; 0 means none within strata on average.

    Normal interval with the variance of Sato, Greenland and Robins 1989, valid for few large and many small strata. None where it is 0
    (everybody alike within each stratum).
    """
    z = normal_quantile(level)
    a, m, c, n, *_ = tables
    total = m + n
    weight = float(np.sum(m * n / total))
    value = float(np.sum((a * n - c * m) / total)) / weight
    p = (m**2 * c - n**2 * a + m * n * (n - m) / 2) / total**2
    q = (a * (n - c) + c * (m - a)) / (2 * total)
    variance = (value * float(np.sum(p)) + float(np.sum(q))) / weight**2
    if variance <= 1e-18:
        return None
    half = z * math.sqrt(variance)
    return estimate(value, max(value - half, -1.0), min(value + half, 1.0), level=level, method="mantel_haenszel_sato", n=tables.rows)


def mantel_haenszel_ratio(tables: Tables, *, level: float) -> Estimate | None:
    """Common ratio p1 / p0 over strata; 1 means equal rates within strata. Variance of its log: Greenland and Robins 1985.

    None where it is 0, infinite or undefined, and where everybody counts in every stratum (its width would be 0).
    """
    z = normal_quantile(level)
    a, m, c, n, *_ = tables
    total = m + n
    up, down = float(np.sum(a * n / total)), float(np.sum(c * m / total))
    if up == 0 or down == 0:
        return None
    variance = float(np.sum(((a + c) * m * n - a * c * total) / total**2)) / (up * down)
    if variance <= 1e-18:
        return None
    value, spread = up / down, math.exp(z * math.sqrt(variance))
    return estimate(value, value / spread, value * spread, level=level, method="mantel_haenszel_greenland_robins", n=tables.rows)


def mantel_haenszel_odds_ratio(tables: Tables, *, level: float) -> Estimate | None:
    """Common odds ratio over strata; 1 means equal odds within strata. Mantel and Haenszel 1959; variance: Robins, Breslow, Greenland 1986.

    None where it is 0, infinite or undefined.
    """
    check_share("level", level)
    a, m, c, n, *_ = tables
    b, d, total = m - a, n - c, m + n
    r, s, p, q = a * d / total, b * c / total, (a + d) / total, (b + c) / total
    up, down = float(np.sum(r)), float(np.sum(s))
    if up == 0 or down == 0:
        return None
    variance = float(np.sum(p * r)) / up**2 + float(np.sum(p * s + q * r)) / (up * down) + float(np.sum(q * s)) / down**2
    spread = math.exp(normal_quantile(level) * math.sqrt(variance / 2))
    value = up / down
    return estimate(value, value / spread, value * spread, level=level, method="mantel_haenszel", n=tables.rows)


def large_enough(tables: Tables) -> bool:
    """Whether the tests over strata may be read as χ²: the expected count lies 5 or more from the least and from the most that the margins allow.

    Mantel and Fleiss 1980.
    """
    a, m, c, n, *_ = tables
    events = a + c
    expected = float(np.sum(m * events / (m + n)))
    return min(expected - float(np.sum(np.maximum(0.0, events - n))), float(np.sum(np.minimum(events, m))) - expected) >= 5


def cochran_mantel_haenszel(tables: Tables) -> tuple[float, str] | None:
    """(p, method) of equal odds in every stratum, against a common odds ratio; no continuity correction. Mantel and Haenszel 1959.

    None where no stratum has both outcomes: nothing can differ.
    """
    from scipy.special import chdtrc

    a, m, c, n, *_ = tables
    total, events = m + n, a + c
    variance = m * n * events * (total - events) / (total**2 * np.maximum(total - 1, 1))
    if not np.sum(variance) > 0:
        return None
    excess = float(np.sum(a - m * events / total))
    return float(chdtrc(1, excess**2 / float(np.sum(variance)))), "Cochran–Mantel–Haenszel"


def _expected(odds: float, m: Floats, n: Floats, events: Floats) -> Floats:
    """Expected k1 given the margins at this odds ratio: the root of A e² + B e + C = 0 within the margins."""
    if abs(odds - 1) < 1e-9:
        return m * events / (m + n)
    a, b, c = odds - 1, -(odds * (m + events) + n - events), odds * m * events
    return np.asarray(2 * c / (-b + np.sqrt(np.maximum(b * b - 4 * a * c, 0.0))))


def tarone(tables: Tables) -> tuple[float, str] | None:
    """(p, method) of one odds ratio for all strata: Breslow and Day's test with Tarone's correction, 1985. A small p: strata differ.

    Not reliable where strata are small. None with fewer than 2 strata that have both outcomes, or without a finite common odds ratio.
    """
    from scipy.special import chdtrc

    common = mantel_haenszel_odds_ratio(tables, level=0.95)
    a, m, c, n, *_ = tables
    events = a + c
    kept = (events > 0) & (events < m + n)
    if common is None or np.count_nonzero(kept) < 2:
        return None
    a, m, n, events = a[kept], m[kept], n[kept], events[kept]
    e = _expected(common.value, m, n, events)
    variance = 1 / (1 / e + 1 / (m - e) + 1 / (events - e) + 1 / (n - events + e))
    statistic = float(np.sum((a - e) ** 2 / variance)) - float(np.sum(a - e)) ** 2 / float(np.sum(variance))
    return float(chdtrc(a.size - 1, max(statistic, 0.0))), "Breslow–Day, Tarone"
