"""Membership without reference models: what score a row like this would have if it had not been in (Bertran et al. 2023, quantile regression)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
FOLDS = 5


def _regressor(seed: int, **settings: Any) -> Any:
    from sklearn.ensemble import HistGradientBoostingRegressor

    return HistGradientBoostingRegressor(
        max_iter=100, learning_rate=0.1, max_leaf_nodes=15, min_samples_leaf=20, early_stopping=True, random_state=seed, **settings
    )


def _one_thread() -> Any:
    """So few rows are fitted fastest by one thread, and the same to the last digit wherever there are more."""
    from threadpoolctl import threadpool_limits

    return threadpool_limits(1)


def _with_values(x: Floats) -> Floats:
    """Columns in which every row (n, d) is missing as zeros: they tell nothing either way, and the regressor refuses to cut them into bins."""
    return np.where(np.isnan(x).all(axis=0), 0.0, x)


def quantile(inputs: ArrayLike, scores: ArrayLike, *, fpr: float, seed: int) -> Any:
    """A fitted regressor of the (1 − fpr) quantile of the others' scores (n,) on their inputs (n, d), by the pinball loss.

    A row whose score exceeds its own quantile is called a member; of others a share `fpr` are. ValueError for fewer than 20 / fpr rows.
    """
    x, s = np.asarray(inputs, dtype=np.float64), np.asarray(scores, dtype=np.float64)
    if len(s) < 20 / fpr:
        raise ValueError(f"expected at least {20 / fpr:.0f} rows for a quantile at {fpr}, got {len(s)}")
    with _one_thread():
        return _regressor(seed, loss="quantile", quantile=1 - fpr).fit(_with_values(x), s)


def expected(inputs: ArrayLike, scores: ArrayLike, *, seed: int) -> Any:
    """A fitted regressor of the others' mean score (n,) on their inputs (n, d): what is above it is a member's surplus."""
    with _one_thread():
        return _regressor(seed).fit(_with_values(np.asarray(inputs, dtype=np.float64)), np.asarray(scores, dtype=np.float64))


def surplus_out_of_fold(inputs: ArrayLike, scores: ArrayLike, *, seed: int) -> Floats:
    """The others' own surplus (n,), each by a regressor that was fitted without the row, so that it compares with that of members."""
    x, s = np.asarray(inputs, dtype=np.float64), np.asarray(scores, dtype=np.float64)
    fold = np.arange(len(s)) % FOLDS
    out = np.empty(len(s))
    for k in range(FOLDS):
        out[fold == k] = s[fold == k] - expected(x[fold != k], s[fold != k], seed=seed).predict(x[fold == k])
    return out


def excess_out_of_fold(inputs: ArrayLike, scores: ArrayLike, *, fpr: float, seed: int) -> Floats:
    """By how much the others' scores (n,) exceed their own quantiles, each by a regressor that was fitted without the row: above 0 for `fpr` of them."""
    x, s = np.asarray(inputs, dtype=np.float64), np.asarray(scores, dtype=np.float64)
    fold = np.arange(len(s)) % FOLDS
    out = np.empty(len(s))
    for k in range(FOLDS):
        out[fold == k] = s[fold == k] - quantile(x[fold != k], s[fold != k], fpr=fpr, seed=seed).predict(x[fold == k])
    return out
