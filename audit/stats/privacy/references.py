"""Membership scores that compare the audited model with reference models, each trained on some of the rows.

`keep` (K, n) says which reference was trained on which row. Scores are (n,), high means "was in"; NaN where a row was in (or out of) none
or all of the references that a score needs.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr
from scipy.stats import norm

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
#: Least standard deviation, so that equal references divide nothing by 0.
TINY = 1e-30
#: Slope of the line that makes of the mean over models without a row the mean over all models (Zarifzadeh, Liu and Shokri 2024).
SLOPE = 0.3


def _parts(phi_references: ArrayLike, keep: ArrayLike) -> tuple[Floats, Mask]:
    phi, mask = np.asarray(phi_references, dtype=np.float64), np.asarray(keep, dtype=np.bool_)
    if phi.shape != mask.shape or phi.ndim != 2:
        raise ValueError(f"expected scores and keep of one shape (K, n), got {phi.shape} and {mask.shape}")
    return phi, mask


def _mean(values: Floats, mask: Mask) -> Floats:
    """Mean over the references of `mask`, (n,); NaN where there is none."""
    count = mask.sum(axis=0)
    return np.asarray(np.where(count > 0, (values * mask).sum(axis=0) / np.maximum(count, 1), np.nan))


def _pooled(values: Floats, mask: Mask) -> float:
    """The standard deviation of what is left over each row's own mean, over all rows together."""
    count = mask.sum(axis=0)
    used = mask & (count > 1)
    freedom = int(used.sum()) - int((count > 1).sum())
    if freedom < 1:
        return TINY
    rest = np.where(used, values - np.where(count > 0, _mean(values, mask), 0.0), 0.0)
    return max(TINY, float(np.sqrt(np.sum(rest**2) / freedom)))


def surprise(phi: ArrayLike, phi_references: ArrayLike, keep: ArrayLike) -> Floats:
    """(φ − μ_out) / σ_out, with one σ for all rows: `lira_offline` before Φ, which makes ties of all that is far out. 0 is what is expected."""
    values, mask = _parts(phi_references, keep)
    return np.asarray((np.asarray(phi, dtype=np.float64) - _mean(values, ~mask)) / _pooled(values, ~mask))


def lira_offline(phi: ArrayLike, phi_references: ArrayLike, keep: ArrayLike) -> Floats:
    """Φ((φ − μ_out) / σ_out), one-sided, with one σ for all rows: how surprising the audited model's log odds are for a model without the row.

    Carlini et al. 2022, equation 4. In [0, 1]; ½ is what a model without the row gives on average.
    """
    return np.asarray(ndtr(surprise(phi, phi_references, keep)))


def lira_online(phi: ArrayLike, phi_references: ArrayLike, keep: ArrayLike) -> Floats:
    """ln N(φ; μ_in, σ_in²) − ln N(φ; μ_out, σ_out²), each σ pooled over the rows. Carlini et al. 2022, equation 3."""
    values, mask = _parts(phi_references, keep)
    given = np.asarray(phi, dtype=np.float64)
    within = norm.logpdf(given, _mean(values, mask), _pooled(values, mask))
    return np.asarray(within - norm.logpdf(given, _mean(values, ~mask), _pooled(values, ~mask)))


def rmia(p: ArrayLike, p_references: ArrayLike, keep: ArrayLike, *, slope: float = SLOPE) -> Floats:
    """ln of the ratio p_y(x) / P(x), P(x) = ½((1 + a) mean_out p_y(x) + 1 − a): the ranking of RMIA for one fixed model.

    Zarifzadeh, Liu and Shokri 2024: counting over population rows makes ties of it and no other order. A single reference that was trained
    on a row stands for one that was not by (p + a − 1) / a.
    """
    values, mask = _parts(p_references, keep)
    if len(values) == 1:
        values, mask = np.where(mask, np.maximum((values + slope - 1) / slope, 1e-7), values), np.zeros_like(mask)
    out = _mean(values, ~mask)
    return np.asarray(np.log(np.maximum(np.asarray(p, dtype=np.float64), TINY)) - np.log(((1 + slope) * out + 1 - slope) / 2))


def rmia_share(ratios: ArrayLike, population: ArrayLike, *, gamma: float) -> Floats:
    """The share of population rows z (k,) with r(x) / r(z) >= γ, for ratios r(x) (n,): the score as published, with ties of 1/k."""
    others = np.sort(np.asarray(population, dtype=np.float64))
    return np.asarray(np.searchsorted(others, np.asarray(ratios, dtype=np.float64) / gamma, side="right") / len(others))
