"""Rényi accounting of the Gaussian mechanism on a Poisson sample (Mironov 2017; Mironov, Talwar and Zhang 2019): an upper bound on ε.

The moment E_{x∼N(0,σ²)} (1 − q + q e^{(2x−1)/2σ²})^α is integrated by the trapezoidal rule, which converges faster than any power for such
functions; so it shares no series with other accountants.
"""

from __future__ import annotations

import math
from functools import cache
from typing import NamedTuple

import numpy as np
from scipy.special import logsumexp

#: Orders: fractions where there is much noise, powers of two beyond.
ORDERS = (1.01, 1.02, 1.05, *(1 + x / 10 for x in range(1, 100)), *range(12, 64), *(2**k for k in range(6, 13)))
POINTS = 20_001


class Spent(NamedTuple):
    """ε at the δ asked for, and the order α that gives it."""

    epsilon: float
    order: float


@cache
def divergence(order: float, noise: float, rate: float) -> float:
    """Rényi divergence of order α > 1 that one step costs, in nats: noise multiplier σ > 0, sampling rate 0 < q <= 1."""
    if rate == 1.0:
        return order / (2 * noise**2)
    # The integrand's mass lies between that of N(0, σ²) and that of N(α, σ²), the highest power of the mixture.
    x = np.linspace(-12 * noise, order + 12 * noise, POINTS)
    ratio = np.logaddexp(math.log1p(-rate), math.log(rate) + (2 * x - 1) / (2 * noise**2))
    density = -(x**2) / (2 * noise**2) - math.log(noise * math.sqrt(2 * math.pi))
    return max(0.0, float(logsumexp(density + order * ratio) + math.log(x[1] - x[0]))) / (order - 1)


def epsilon(noise: float, rate: float, steps: int, *, delta: float) -> Spent:
    """The least ε over `ORDERS` after `steps` steps: T·D(α) + ln((α−1)/α) − (ln δ + ln α)/(α−1) (Canonne, Kamath and Steinke 2020)."""
    found = [
        Spent(steps * divergence(a, noise, rate) + math.log1p(-1 / a) - (math.log(delta) + math.log(a)) / (a - 1), float(a)) for a in ORDERS
    ]
    best = min(found)
    return Spent(max(0.0, best.epsilon), best.order)
