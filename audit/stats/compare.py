"""Two independent groups: difference, ratio and odds ratio of their rates, difference of their means, and tests of equality.

Always group (1) against reference (0). `None` means that the quantity is not defined for these counts.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.random import Generator
from numpy.typing import ArrayLike

from audit.measurement import Estimate
from audit.stats import scores
from audit.stats._inputs import check_count, check_share, estimate, normal_quantile

Triple = tuple[int, float, float]  # n, mean, variance with n − 1


def newcombe(k1: int, n1: int, k0: int, n0: int, *, level: float) -> Estimate | None:
    """p1 − p0 in [−1, 1] with the hybrid score interval; 0 means equal rates; None where a group is empty.

    Newcombe 1998, method 10. ValueError unless 0 <= k <= n.
    """
    (k1, n1), (k0, n0) = check_count(k1, n1), check_count(k0, n0)
    check_share("level", level)
    if n1 == 0 or n0 == 0:
        return None
    low, high = scores.difference_limits(k1, n1, k0, n0, level=level)
    return estimate(k1 / n1 - k0 / n0, float(low), float(high), level=level, method="newcombe", n=n1 + n0)


def _score_ratio(k1: int, n1: int, k0: int, n0: int, *, level: float, corrected: bool) -> Estimate | None:
    (k1, n1), (k0, n0) = check_count(k1, n1), check_count(k0, n0)
    check_share("level", level)
    if n1 == 0 or k0 == 0:
        return None
    low, high = scores.ratio_limits(k1, n1, k0, n0, level=level, corrected=corrected)
    method = "miettinen_nurminen" if corrected else "koopman"
    return estimate((k1 * n0) / (n1 * k0), float(low), float(high), level=level, method=method, n=n1 + n0)


def miettinen_nurminen(k1: int, n1: int, k0: int, n0: int, *, level: float) -> Estimate | None:
    """p1 / p0 with the score interval whose variance is multiplied by N/(N−1); 1 means equal rates, 0 that nobody in the group counts.

    None where a group is empty or k0 = 0: the ratio is then infinite or undefined, and so is the upper limit (`scores.ratio_limits` still
    gives the lower one). Wherever k0 > 0 both limits are finite. Miettinen and Nurminen 1985. ValueError unless 0 <= k <= n.
    """
    return _score_ratio(k1, n1, k0, n0, level=level, corrected=True)


def koopman(k1: int, n1: int, k0: int, n0: int, *, level: float) -> Estimate | None:
    """p1 / p0 with the score interval; None and errors as for `miettinen_nurminen`. Koopman 1984."""
    return _score_ratio(k1, n1, k0, n0, level=level, corrected=False)


def _log_ratio(k1: float, n1: float, k0: float, n0: float, *, level: float) -> tuple[float, float]:
    half = normal_quantile(level) * math.sqrt(1 / k1 - 1 / n1 + 1 / k0 - 1 / n0)
    middle = math.log(k1 / n1) - math.log(k0 / n0)
    return math.exp(middle - half), math.exp(middle + half)


def katz(k1: int, n1: int, k0: int, n0: int, *, level: float) -> Estimate | None:
    """p1 / p0 with the log interval, exp(ln r ± z √(1/k1 − 1/n1 + 1/k0 − 1/n0)). Katz et al. 1978.

    None where k1 or k0 is 0 or a group is empty, and where everybody counts in both (its width would be 0). ValueError unless 0 <= k <= n.
    """
    (k1, n1), (k0, n0) = check_count(k1, n1), check_count(k0, n0)
    check_share("level", level)
    if k1 == 0 or k0 == 0 or (k1 == n1 and k0 == n0):
        return None
    low, high = _log_ratio(k1, n1, k0, n0, level=level)
    return estimate((k1 * n0) / (n1 * k0), low, high, level=level, method="katz", n=n1 + n0)


def adjusted_log(k1: int, n1: int, k0: int, n0: int, *, level: float) -> Estimate | None:
    """p1 / p0 after ½ was added to each k and n, with its log interval. Walter 1975, Pettigrew et al. 1986.

    The value is that of the adjusted counts: never 0 or infinite, and not the observed ratio. None where a group is empty and where
    everybody counts in both. ValueError unless 0 <= k <= n.
    """
    (k1, n1), (k0, n0) = check_count(k1, n1), check_count(k0, n0)
    check_share("level", level)
    if n1 == 0 or n0 == 0 or (k1 == n1 and k0 == n0):
        return None
    a, m, b, n = k1 + 0.5, n1 + 0.5, k0 + 0.5, n0 + 0.5
    low, high = _log_ratio(a, m, b, n, level=level)
    return estimate((a * n) / (m * b), low, high, level=level, method="adjusted_log", n=n1 + n0)


def odds_ratio(k1: int, n1: int, k0: int, n0: int, *, level: float) -> Estimate | None:
    """Odds of group over odds of reference, with the score interval; 1 means equal rates.

    None where it is infinite or undefined: a group is empty, k0 = 0, or k1 = n1. Wherever it is finite both limits are.
    Miettinen and Nurminen 1985; Cornfield 1956. ValueError unless 0 <= k <= n.
    """
    (k1, n1), (k0, n0) = check_count(k1, n1), check_count(k0, n0)
    check_share("level", level)
    if n1 == 0 or k0 == 0 or k1 == n1:
        return None
    low, high = scores.odds_ratio_limits(k1, n1, k0, n0, level=level)
    value = (k1 * (n0 - k0)) / ((n1 - k1) * k0)
    return estimate(value, float(low), float(high), level=level, method="miettinen_nurminen_odds", n=n1 + n0)


def pooled_score_test(k1: int, n1: int, k0: int, n0: int) -> tuple[float, float] | None:
    """(z, two-sided p) of equal rates, variance pooled, no continuity correction.

    (0, 1) where nobody or everybody counts; None if a group is empty. ValueError unless 0 <= k <= n.
    """
    from scipy.special import ndtr

    (k1, n1), (k0, n0) = check_count(k1, n1), check_count(k0, n0)
    if n1 == 0 or n0 == 0:
        return None
    z = float(scores.pooled_z(k1, n1, k0, n0))
    return z, float(2 * ndtr(-abs(z)))


def fisher_exact(k1: int, n1: int, k0: int, n0: int) -> float | None:
    """Two-sided p of equal rates given both margins: the tables that are no likelier than this one. Fisher 1934.

    None if a group is empty; 1 where nobody or everybody counts. ValueError unless 0 <= k <= n.
    """
    from scipy.stats import fisher_exact as exact

    (k1, n1), (k0, n0) = check_count(k1, n1), check_count(k0, n0)
    if n1 == 0 or n0 == 0:
        return None
    if k1 + k0 in (0, n1 + n0):
        return 1.0
    return min(float(exact(np.array([[k1, n1 - k1], [k0, n0 - k0]]))[1]), 1.0)


#: Below this p the pooled score test is not trusted on small counts.
TAIL = 0.01


def equality_test(k1: int, n1: int, k0: int, n0: int) -> tuple[float, str] | None:
    """(p, method) of equal rates: Fisher's exact test where a count expected under equality is below 5, else the pooled score test.

    Far in the tail (p below .01) the score test is too small by a quarter to twice where a count expected is below 100, and tests adjusted for
    many groups live there: the larger of both p is taken then. p near 1 is no proof of equality: look at the interval. None where a group is empty. ValueError unless 0 <= k <= n.
    """
    (k1, n1), (k0, n0) = check_count(k1, n1), check_count(k0, n0)
    events = k1 + k0
    expected = min(n1, n0) * min(events, n1 + n0 - events) / (n1 + n0) if n1 and n0 else 0.0
    score = pooled_score_test(k1, n1, k0, n0) if expected >= 5 else None
    if score is not None and (score[1] >= TAIL or expected >= 100):
        return score[1], "score"
    exact = fisher_exact(k1, n1, k0, n0)
    if exact is None:
        return None
    return (score[1], "score") if score is not None and score[1] > exact else (exact, "fisher_exact")


def higher_test(k1: int, n1: int, k0: int, n0: int) -> tuple[float, str] | None:
    """(one-sided p, method) of a rate in the group that is no higher than the reference's, given both margins. Fisher 1934.

    Exact throughout: far out in the longer tail, where a search ends up, the score test's p is several times too small (k = 12 of 34 at a
    rate of .15: .0005 for .0028). None where a group is empty. ValueError unless 0 <= k <= n.
    """
    from scipy.stats import hypergeom

    (k1, n1), (k0, n0) = check_count(k1, n1), check_count(k0, n0)
    if n1 == 0 or n0 == 0:
        return None
    return min(1.0, float(hypergeom.sf(k1 - 1, n1 + n0, k1 + k0, n1))), "fisher_exact"


def _welch(group: Triple, reference: Triple) -> tuple[float, float, float] | None:
    """Difference, its standard error and Satterthwaite's degrees of freedom; None where the rows do not show their spread."""
    (n1, m1, v1), (n0, m0, v0) = group, reference
    if min(v1, v0) < 0 or not all(map(math.isfinite, (m1, v1, m0, v0))):
        raise ValueError(f"expected finite means and variances >= 0, got {group} and {reference}")
    if n1 < 2 or n0 < 2 or v1 + v0 == 0:
        return None
    s1, s0 = v1 / n1, v0 / n0
    share = s1 / (s1 + s0)
    return m1 - m0, math.sqrt(s1 + s0), 1 / (share**2 / (n1 - 1) + (1 - share) ** 2 / (n0 - 1))


def mean_difference(group: Triple, reference: Triple, *, level: float) -> Estimate | None:
    """Mean of the group minus mean of the reference, each given as (n, mean, variance), with Welch's interval; 0 means equal means.

    None where a group has fewer than 2 rows or both are constant: rows without spread do not show how far off they may be. Welch 1947.
    ValueError where a mean or variance is not finite or a variance is negative.
    """
    from scipy.special import stdtrit

    check_share("level", level)
    parts = _welch(group, reference)
    if parts is None:
        return None
    difference, error, freedom = parts
    half = error * float(stdtrit(freedom, (1 + level) / 2))
    return estimate(difference, difference - half, difference + half, level=level, method="welch", n=group[0] + reference[0])


def mean_test(group: Triple, reference: Triple) -> tuple[float, str] | None:
    """(p, method) of equal means by Welch's t test; None and errors as for `mean_difference`."""
    from scipy.special import stdtr

    parts = _welch(group, reference)
    return None if parts is None else (float(2 * stdtr(parts[2], -abs(parts[0]) / parts[1])), "welch_t")


def mean_interval(n: int, mean: float, variance: float, *, level: float) -> Estimate | None:
    """A mean with Student's interval, from n rows of this mean and variance (with n − 1); None where n < 2 or the rows are constant.

    Student 1908. ValueError where mean or variance is not finite or the variance is negative.
    """
    from scipy.special import stdtrit

    check_share("level", level)
    if variance < 0 or not (math.isfinite(mean) and math.isfinite(variance)):
        raise ValueError(f"expected a finite mean and a finite variance >= 0, got {mean} and {variance}")
    if n < 2 or variance == 0:
        return None
    half = math.sqrt(variance / n) * float(stdtrit(n - 1, (1 + level) / 2))
    return estimate(mean, mean - half, mean + half, level=level, method="student_t", n=n)


def mean_ratio(group: ArrayLike, reference: ArrayLike, *, level: float, draws: int, rng: Generator) -> Estimate | None:
    """Ratio of the mean of one sample (n,) to that of another (m,), interval by the percentile bootstrap of both; None where a mean is 0.

    1 = alike. Efron and Tibshirani 1993, §13.3.
    """
    own, theirs = np.asarray(group, dtype=np.float64), np.asarray(reference, dtype=np.float64)
    if not len(own) or not len(theirs) or theirs.mean() <= 0:
        return None
    above, below = (np.array([x[rng.integers(0, len(x), size=len(x))].mean() for _ in range(draws)]) for x in (own, theirs))
    value = float(own.mean() / theirs.mean())
    low, high = np.quantile(above / np.maximum(below, np.finfo(np.float64).tiny), ((1 - level) / 2, (1 + level) / 2))
    return Estimate(
        value=value, low=min(float(low), value), high=max(float(high), value), level=level, method="bootstrap", n=len(own) + len(theirs)
    )
