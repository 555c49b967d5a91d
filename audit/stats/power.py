"""What so many rows can show: chances to pass and to fail for stated truths, rows needed, smallest detectable difference.

Chances are computed from the binomial distributions, not simulated: the same numbers every time. p is always the reference's rate.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from operator import index

import numpy as np

from audit.stats._binomial import Region, chance_between
from audit.stats._inputs import Ints, check_share, normal_quantile
from audit.stats.scores import difference_limits, pooled_z, ratio_z

MOST_ROWS = 100_000_000


def _never(k1: Ints, k0: Ints) -> np.ndarray:
    return np.zeros(k1.shape, dtype=np.bool_)


def _always(k1: Ints, k0: Ints) -> np.ndarray:
    return np.ones(k1.shape, dtype=np.bool_)


def _check(n1: int, n0: int, *rates: float) -> tuple[int, int]:
    n1, n0 = index(n1), index(n0)
    if n1 < 0 or n0 < 0 or not all(0 <= p <= 1 for p in rates):
        raise ValueError(f"expected sizes >= 0 and rates in [0, 1], got n1={n1}, n0={n0}, rates={rates}")
    return n1, n0


@lru_cache(maxsize=1024)  # adequacy, outlook and groups of one size ask the same again
def chance_to_pass_ratio(n1: int, n0: int, p: float, *, low: float, high: float, level: float, true_ratio: float = 1.0) -> float:
    """Chance that the two-sided `level` Miettinen–Nurminen interval of p1/p0 lies inside [low, high], in [0, 1]; 0 for an empty group.

    `true_ratio` 1 is exact equality; low = 0 and high = infinity leave that side open. ValueError for p · true_ratio above 1.
    """
    n1, n0 = _check(n1, n0, p, p * true_ratio)
    z = normal_quantile(level)
    if not 0 <= low < high:
        raise ValueError(f"expected 0 <= low < high, got {low} and {high}")
    if n1 == 0 or n0 == 0:
        return 0.0

    def enough(k1: Ints, k0: Ints) -> np.ndarray:
        return np.asarray((ratio_z(k1, n1, k0, n0, low) >= z) if low > 0 else k1 >= 0)

    def too_many(k1: Ints, k0: Ints) -> np.ndarray:
        undefined = k0 == 0
        return np.asarray(undefined if math.isinf(high) else undefined | (ratio_z(k1, n1, k0, n0, high) > -z))

    return chance_between(n1, p * true_ratio, n0, p, enough=enough, too_many=too_many)


@lru_cache(maxsize=1024)
def chance_to_pass_difference(n1: int, n0: int, p: float, *, margin: float, level: float, true_difference: float = 0.0) -> float:
    """Chance that the two-sided `level` Newcombe interval of p1 − p0 lies inside ±margin, in [0, 1]; 0 for an empty group.

    `true_difference` 0 is exact equality. ValueError for p + true_difference outside [0, 1].
    """
    n1, n0 = _check(n1, n0, p, p + true_difference)
    check_share("margin", margin)
    check_share("level", level)
    if n1 == 0 or n0 == 0:
        return 0.0

    def enough(k1: Ints, k0: Ints) -> np.ndarray:
        return np.asarray(difference_limits(k1, n1, k0, n0, level=level)[0] >= -margin)

    def too_many(k1: Ints, k0: Ints) -> np.ndarray:
        return np.asarray(difference_limits(k1, n1, k0, n0, level=level)[1] > margin)

    return chance_between(n1, p + true_difference, n0, p, enough=enough, too_many=too_many)


def _chance_beyond(n1: int, p1: float, n0: int, p0: float, below: Region, above: Region, alpha: float) -> float:
    """Chance that `below` (falling in k1) or `above` (rising) holds and the two-sided pooled score test rejects equality at alpha."""
    z = normal_quantile(1 - alpha)

    def not_low(k1: Ints, k0: Ints) -> np.ndarray:
        return np.asarray(~(below(k1, k0) & (pooled_z(k1, n1, k0, n0) <= -z)))

    def high(k1: Ints, k0: Ints) -> np.ndarray:
        return np.asarray(above(k1, k0) & (pooled_z(k1, n1, k0, n0) >= z))

    under = chance_between(n1, p1, n0, p0, enough=_always, too_many=not_low)
    return min(1.0, under + chance_between(n1, p1, n0, p0, enough=high, too_many=_never))


def chance_to_fail_ratio(n1: int, n0: int, p: float, *, low: float, high: float, alpha: float, true_ratio: float) -> float:
    """Chance that the observed ratio is outside [low, high] and equality is rejected at alpha, two-sided (rule "screen"), in [0, 1].

    By the pooled score test; where counts are so small that Fisher's test takes its place the chance is a little lower.
    """
    n1, n0 = _check(n1, n0, p, p * true_ratio)
    if n1 == 0 or n0 == 0:
        return 0.0

    def below(k1: Ints, k0: Ints) -> np.ndarray:
        return np.asarray(k1 / n1 < low * k0 / n0)

    def above(k1: Ints, k0: Ints) -> np.ndarray:
        return np.asarray(k1 / n1 > high * k0 / n0)

    return _chance_beyond(n1, p * true_ratio, n0, p, below, above, alpha)


def chance_to_fail_difference(n1: int, n0: int, p: float, *, margin: float, alpha: float, true_difference: float) -> float:
    """Chance that the observed difference is outside ±margin and equality is rejected at alpha: see `chance_to_fail_ratio`."""
    n1, n0 = _check(n1, n0, p, p + true_difference)
    if n1 == 0 or n0 == 0:
        return 0.0

    def below(k1: Ints, k0: Ints) -> np.ndarray:
        return np.asarray(k1 / n1 - k0 / n0 < -margin)

    def above(k1: Ints, k0: Ints) -> np.ndarray:
        return np.asarray(k1 / n1 - k0 / n0 > margin)

    return _chance_beyond(n1, p + true_difference, n0, p, below, above, alpha)


def _fewest(share: float, chance_of: Callable[[int, int], float], chance: float) -> int | None:
    """Fewest rows, within 1 %, at which chance_of(group, reference) reaches `chance`; None beyond 100 million."""
    check_share("share", share)
    check_share("chance", chance)

    def reached(rows: int) -> bool:
        group = min(max(1, round(rows * share)), rows - 1)
        return chance_of(group, rows - group) >= chance

    high = 16
    while not reached(high):
        high *= 2
        if high > MOST_ROWS:
            return None
    low = high // 2
    while high - low > max(1, high // 100):
        middle = (low + high) // 2
        low, high = (low, middle) if reached(middle) else (middle, high)
    return high


def rows_to_pass(p: float, share: float, *, low: float, high: float, level: float, chance: float = 0.8) -> int | None:
    """Rows of group and reference together (the group's share among them given) that pass with this chance if both have rate p.

    Within 1 %: say "about". None beyond 100 million rows. Passing is that of `chance_to_pass_ratio`.
    """
    return _fewest(share, lambda n1, n0: chance_to_pass_ratio(n1, n0, p, low=low, high=high, level=level), chance)


def rows_to_fail(p: float, true_ratio: float, share: float, *, low: float, high: float, alpha: float, chance: float = 0.8) -> int | None:
    """Rows that fail with this chance if the reference has rate p and the group true_ratio · p; see `rows_to_pass`, `chance_to_fail_ratio`.

    None beyond 100 million rows, as where the true ratio is inside the limits.
    """

    def chance_of(n1: int, n0: int) -> float:
        return chance_to_fail_ratio(n1, n0, p, low=low, high=high, alpha=alpha, true_ratio=true_ratio)

    return _fewest(share, chance_of, chance)


def rows_to_pass_difference(p: float, share: float, *, margin: float, level: float, chance: float = 0.8) -> int | None:
    """As `rows_to_pass`, for the difference within ±margin."""
    return _fewest(share, lambda n1, n0: chance_to_pass_difference(n1, n0, p, margin=margin, level=level), chance)


def rows_to_fail_difference(
    p: float, true_difference: float, share: float, *, margin: float, alpha: float, chance: float = 0.8
) -> int | None:
    """As `rows_to_fail`, for the difference outside ±margin."""

    def chance_of(n1: int, n0: int) -> float:
        return chance_to_fail_difference(n1, n0, p, margin=margin, alpha=alpha, true_difference=true_difference)

    return _fewest(share, chance_of, chance)


def minimal_detectable_difference(n1: int, n0: int, p: float, *, alpha: float, power: float) -> float | None:
    """Smallest true difference that a two-sided test at alpha finds with this power: (z_{1−α/2} + z_{power}) √(p(1−p)(1/n1 + 1/n0)).

    Normal approximation at common rate p. None where a group is empty; 1 at most; 0 at p = 0 or 1 says only that the formula has no spread.
    """
    from scipy.special import ndtri

    n1, n0 = _check(n1, n0, p)
    check_share("power", power)
    if n1 == 0 or n0 == 0:
        return None
    return min(1.0, (normal_quantile(1 - alpha) + float(ndtri(power))) * math.sqrt(p * (1 - p) * (1 / n1 + 1 / n0)))


def rows_per_group(p1: float, p0: float, *, alpha: float, power: float) -> int | None:
    """Rows in each of two equal groups for the two-sided pooled z test at alpha to find p1 against p0 with this power. Fleiss 1981.

    None for equal rates.
    """
    from scipy.special import ndtri

    _check(1, 1, p1, p0)
    check_share("power", power)
    if p1 == p0:
        return None
    pooled = (p1 + p0) / 2
    root = normal_quantile(1 - alpha) * math.sqrt(2 * pooled * (1 - pooled))
    root += float(ndtri(power)) * math.sqrt(p1 * (1 - p1) + p0 * (1 - p0))
    return math.ceil((root / (p1 - p0)) ** 2)
