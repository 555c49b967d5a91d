"""Gaussian differential privacy (Dong, Roth and Su 2022): μ, and the (ε, δ) that it implies.

μ-GDP means: telling whether a row was there is at most as easy as telling N(0, 1) from N(μ, 1). 0 means that nothing can be told.
"""

from __future__ import annotations

import math

from scipy.optimize import brentq
from scipy.special import log_ndtr, ndtr, ndtri

#: ε beyond which a promise says nothing any more; searches end there.
ENDLESS = 1e6


def delta_of(mu: float, epsilon: float) -> float:
    """The least δ in [0, 1] with which a μ-GDP mechanism is (ε, δ)-private: Φ(−ε/μ + μ/2) − e^ε Φ(−ε/μ − μ/2)."""
    if mu <= 0:
        return 0.0 if epsilon >= 0 else 1.0 - math.exp(epsilon)
    return float(ndtr(-epsilon / mu + mu / 2) - math.exp(min(700.0, epsilon + float(log_ndtr(-epsilon / mu - mu / 2)))))


def epsilon_of(mu: float, delta: float) -> float:
    """The least ε >= 0 with which a μ-GDP mechanism is (ε, δ)-private; 0 < δ < 1."""
    if delta_of(mu, 0.0) <= delta:
        return 0.0
    high = 1.0
    while delta_of(mu, high) > delta:
        high *= 2
    return float(brentq(lambda e: delta_of(mu, e) - delta, 0.0, high, xtol=1e-12))


def mu_of(epsilon: float, delta: float) -> float:
    """The largest μ whose mechanism is (ε, δ)-private; ε >= 0, 0 < δ < 1. 0 where none is, but for what δ allows alone."""
    high = 1.0
    while delta_of(high, epsilon) < delta:
        high *= 2
        if high > ENDLESS:
            return math.inf
    return float(brentq(lambda mu: delta_of(mu, epsilon) - delta, 0.0, high, xtol=1e-13))


def power_bound(x: float, mu: float) -> float:
    """Φ(Φ⁻¹(x) − μ): the least chance that an event of chance x has in the neighbouring world, x in [0, 1]."""
    return 0.0 if x <= 0 else 1.0 if x >= 1 else float(ndtr(ndtri(x) - mu))


def composed_mu(noise: float, times: int) -> float:
    """μ of `times` Gaussian mechanisms of noise multiplier `noise` on the same row: √times / σ."""
    return math.sqrt(times) / noise


def approximate_mu(noise: float, rate: float, steps: int) -> float:
    """μ of the central-limit approximation of DP-SGD, q √(T (e^{1/σ²} − 1)) (Bu, Dong, Long and Su 2020): no bound, it under-reports."""
    return rate * math.sqrt(steps * math.expm1(min(700.0, noise**-2)))
