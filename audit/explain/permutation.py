"""Permutation SHAP from answers alone: antithetic permutations against background rows (Castro 2009; Mitchell 2022).

The same estimator as `shap.explainers.Permutation`, which stays the reference in the tests; this one has nothing to compile, which costs
shap about nine CPU-seconds in every process, and sends a row's masked copies to the model in one batch.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

#: Rows sent to the model at once, at most.
BATCH = 65_536


def permutation_shap(
    answers: Callable[[Floats], Floats], x: Floats, background: Floats, *, permutations: int, rng: np.random.Generator
) -> tuple[Floats, Floats]:
    """Shapley values (n, d, k) of the rows x (n, d), and the base value (k,): the mean answer for the `background` rows (b, d).

    `answers` maps rows (m, d) to outputs (m, k). For each of `permutations` orders, features are switched from background to x one by one, and
    again in the reverse order; a feature's value is the mean change. Values and base add up to the answer for x exactly, up to rounding. With
    at most two-way interactions one pair is already exact; otherwise the error falls with 1/√permutations. Cost: 2·permutations·d·b answers a row.
    """
    n, d = x.shape
    base = answers(background).mean(axis=0)
    values = np.zeros((n, d, len(base)))
    own = answers(x)
    for i in range(n):
        orders = np.stack([rng.permutation(d) for _ in range(permutations)])
        orders = np.concatenate([orders, orders[:, ::-1]])
        # A coalition per order and step: which features already have the row's own values; the empty and the full one are known.
        rank = np.argsort(orders, axis=1)
        masks = rank[:, None, :] <= np.arange(d - 1)[None, :, None]
        inner = _means(answers, x[i], background, masks.reshape(-1, d)).reshape(len(orders), d - 1, -1)
        ends = np.broadcast_to(base, (len(orders), 1, len(base))), np.broadcast_to(own[i], (len(orders), 1, len(base)))
        steps = np.diff(np.concatenate([ends[0], inner, ends[1]], axis=1), axis=1)
        placed = np.take_along_axis(steps, rank[:, :, None], axis=1)
        values[i] = placed.mean(axis=0)
    return values, base


def _means(answers: Callable[[Floats], Floats], row: Floats, background: Floats, masks: NDArray[np.bool_]) -> Floats:
    """Mean answer over the background for each coalition (m, d): the features in it are the row's own. Returns (m, k)."""
    b, step = len(background), max(1, BATCH // len(background))
    parts = []
    for start in range(0, len(masks), step):
        some = masks[start : start + step]
        mixed = np.where(some[:, None, :], row, background[None, :, :]).reshape(-1, len(row))
        parts.append(answers(mixed).reshape(len(some), b, -1).mean(axis=1))
    return np.concatenate(parts) if parts else np.zeros((0, 1))
