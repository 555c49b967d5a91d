"""Two rates under Jeffreys' prior: what can be said of their difference as a probability."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from audit.measurement import Estimate
from audit.stats._inputs import Floats, check_count, check_share, estimate
from audit.stats._roots import find_roots

POINTS = 4000


class Posterior(NamedTuple):
    """p1 − p0 with its equal-tailed interval, and the probability that p1 > p0."""

    difference: Estimate
    probability_above: float


def beta_difference(k1: int, n1: int, k0: int, n0: int, *, level: float) -> Posterior | None:
    """p1 − p0 where p is Beta(½ + k, ½ + n − k) in each group, independently; None where a group is empty.

    The value is the observed difference. Integrated over 4,000 quantiles of p0, not simulated. Jeffreys 1946.
    ValueError unless 0 <= k <= n.
    """
    from scipy.special import betainc, betaincinv

    (k1, n1), (k0, n0) = check_count(k1, n1), check_count(k0, n0)
    check_share("level", level)
    if n1 == 0 or n0 == 0:
        return None
    reference = betaincinv(k0 + 0.5, n0 - k0 + 0.5, (np.arange(POINTS) + 0.5) / POINTS)

    def below(difference: Floats) -> Floats:
        shifted = np.clip(reference + difference[:, None], 0.0, 1.0)
        return np.asarray(betainc(k1 + 0.5, n1 - k1 + 0.5, shifted).mean(axis=1))

    tails = np.array([(1 - level) / 2, (1 + level) / 2])
    low, high = find_roots(lambda d: below(d) - tails, np.full(2, -1.0), np.full(2, 1.0), tolerance=1e-9)
    difference = estimate(k1 / n1 - k0 / n0, float(low), float(high), level=level, method="jeffreys_posterior", n=n1 + n0)
    return None if difference is None else Posterior(difference, 1.0 - float(below(np.zeros(1))[0]))
