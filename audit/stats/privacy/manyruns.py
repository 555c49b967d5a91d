"""Lower bounds on ε from an attack's error rates: runs with and without one canary, or members and others at one threshold settled beforehand.

Jagielski, Ullman and Oprea 2020; Nasr et al. 2023. Rates are bounded by Clopper–Pearson, each on one side at half of `beta`.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from scipy.special import betaincinv, ndtri

from audit.stats._inputs import check_count
from audit.stats.privacy.gaussian import epsilon_of


class Rates(NamedTuple):
    """The least true-positive and the largest false-positive rate at confidence 1 − β together."""

    hit: float
    alarm: float


def at_least(k: int, n: int, *, beta: float) -> float:
    """Clopper and Pearson's lower bound of a rate, one-sided at confidence 1 − β."""
    k, n = check_count(k, n)
    return 0.0 if k == 0 else float(betaincinv(k, n - k + 1, beta))


def at_most(k: int, n: int, *, beta: float) -> float:
    """Clopper and Pearson's upper bound of a rate, one-sided at confidence 1 − β."""
    k, n = check_count(k, n)
    return 1.0 if k == n else float(betaincinv(k + 1, n - k, 1.0 - beta))


def rates(hits: int, inside: int, alarms: int, outside: int, *, beta: float) -> Rates:
    """Bounds of both rates: `hits` of `inside` runs with the canary were called so, and `alarms` of `outside` runs without it."""
    return Rates(at_least(hits, inside, beta=beta / 2), at_most(alarms, outside, beta=beta / 2))


def epsilon_at_least(hits: int, inside: int, alarms: int, outside: int, *, delta: float, beta: float) -> float:
    """max(ln((TPR − δ)/FPR), ln((TNR − δ)/FNR)) at the bounds of the rates, at least 0: no (ε, δ) below it is possible with confidence 1 − β."""
    hit, alarm = rates(hits, inside, alarms, outside, beta=beta)
    found = [0.0]
    for above, below in ((hit, alarm), (1 - alarm, 1 - hit)):
        if above > delta and below > 0:
            found.append(math.log((above - delta) / below))
    return max(found)


def gaussian_epsilon_at_least(hits: int, inside: int, alarms: int, outside: int, *, delta: float, beta: float) -> float:
    """The ε at `delta` of μ >= Φ⁻¹(1 − FPR) − Φ⁻¹(FNR) at the bounds of the rates; it assumes a Gaussian trade-off. 0 where nothing is shown."""
    hit, alarm = rates(hits, inside, alarms, outside, beta=beta)
    if not (hit > 0 and alarm < 1):
        return 0.0
    mu = float(ndtri(1 - alarm) - ndtri(1 - hit))
    return epsilon_of(mu, delta) if mu > 0 else 0.0


def attainable(inside: int, outside: int, *, beta: float) -> float:
    """The largest ε that so many runs can show at δ = 0: that of no error at all."""
    return epsilon_at_least(inside, inside, 0, outside, delta=0.0, beta=beta)
