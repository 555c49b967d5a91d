"""Roots of many functions at once."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from audit.stats._inputs import Floats


def find_roots(function: Callable[[Floats], Floats], low: Floats, high: Floats, *, tolerance: float = 1e-13) -> Floats:
    """Per element, x in [low, high] with function(x) = 0 for a continuous function that changes its sign there.

    Inverse quadratic interpolation that falls back on halving: Chandrupatla 1997. Where the sign does not change, the end with the smaller
    absolute value is returned.
    """
    a, b = np.array(high, dtype=np.float64), np.array(low, dtype=np.float64)
    fa, fb = function(a), function(b)
    c, fc = a.copy(), fa.copy()
    t = np.full(a.shape, 0.5)
    inside = np.sign(fa) * np.sign(fb) <= 0
    live = inside.copy()
    for _ in range(200):
        x = np.where(live, a + t * (b - a), a)
        fx = function(x)
        same = np.sign(fx) == np.sign(fa)
        c, fc = np.where(same, a, b), np.where(same, fa, fb)
        b, fb = np.where(same, b, a), np.where(same, fb, fa)
        a, fa = x, fx
        width = np.abs(b - a)
        room = tolerance * (1.0 + np.minimum(np.abs(a), np.abs(b)))
        live &= (width > room) & (fa != 0) & (fb != 0)
        if not live.any():
            break
        with np.errstate(all="ignore"):
            xi, phi = (a - b) / (c - b), (fa - fb) / (fc - fb)
            quadratic = (phi**2 < xi) & ((1 - phi) ** 2 < 1 - xi)
            step = fa / (fb - fa) * fc / (fb - fc) + (c - a) / (b - a) * fa / (fc - fa) * fb / (fc - fb)
            edge = np.where(width > 0, 0.5 * room / np.where(width > 0, width, 1.0), 0.5)
            t = np.where(quadratic & np.isfinite(step), step, 0.5)
        t = np.clip(t, np.minimum(edge, 0.5), np.maximum(1 - edge, 0.5))
    return np.where(np.abs(fa) < np.abs(fb), a, b)
