"""Several tests made together: adjusted p values."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from audit.stats._inputs import Floats, finite


def _probabilities(p: ArrayLike) -> Floats:
    values = finite("p", p).astype(np.float64)
    if values.size and (values.min() < 0.0 or values.max() > 1.0):
        raise ValueError(f"expected p in [0, 1], got [{values.min()}, {values.max()}]")
    return values


def holm(p: ArrayLike) -> Floats:
    """p values adjusted so that rejecting those at or below α errs at all with probability at most α, in the order given.

    Largest of (m − j + 1) p_(j) over the j-th smallest and those below it, at most 1. Holm 1979; needs no independence. No p, no values.
    ValueError where a p is not a number in [0, 1].
    """
    values = _probabilities(p)
    order = np.argsort(values, kind="stable")
    steps = values[order] * np.arange(values.size, 0, -1)
    adjusted = np.empty_like(values)
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return adjusted


def benjamini_hochberg(p: ArrayLike) -> Floats:
    """p values adjusted so that of those at or below q a share of at most q is expected to be false, in the order given.

    Smallest of m p_(j) / j over the j-th smallest and those above it. Benjamini and Hochberg 1995.
    Holds under independence or positive dependence. A screen, not proof. No p, no values. ValueError where a p is not a number in [0, 1].
    """
    values = _probabilities(p)
    order = np.argsort(values, kind="stable")
    steps = values[order] * (values.size / np.arange(1, values.size + 1))  # a factor of 1 or more: never below p itself, to the last digit
    adjusted = np.empty_like(values)
    adjusted[order] = np.minimum(np.minimum.accumulate(steps[::-1])[::-1], 1.0)
    return adjusted
