"""Randomised smoothing: within what radius the class that noise votes for cannot change (Cohen, Rosenfeld and Kolter 2019)."""

from __future__ import annotations

from typing import NamedTuple

from audit.stats._inputs import check_count, check_share


class Certificate(NamedTuple):
    """`p_low`: lower bound of the chance that noise leaves the class; `radius`: L2 distance in the unit of sigma, None where the vote abstains."""

    p_low: float
    radius: float | None


def certify(k: int, n: int, *, sigma: float, alpha: float = 0.001) -> Certificate:
    """For a class that won k of n votes under noise of `sigma` > 0: p_low is the exact lower bound at confidence 1 - alpha (Clopper and Pearson
    1934), radius = sigma · Φ⁻¹(p_low), and the vote abstains where p_low is below one half. The class must have been chosen on other draws.

    ValueError unless 0 <= k <= n, n >= 1, sigma > 0 and 0 < alpha < 1.
    """
    from scipy.special import betaincinv, ndtri

    k, n = check_count(k, n)
    check_share("alpha", alpha)
    if n < 1 or not sigma > 0:
        raise ValueError(f"expected votes and a sigma above 0, got n = {n!r} and sigma = {sigma!r}")
    low = 0.0 if k == 0 else float(betaincinv(k, n - k + 1, alpha))
    return Certificate(low, None if low < 0.5 else sigma * float(ndtri(low)))
