"""Permutation SHAP from answers alone: antithetic permutations of the parts (Castro 2009; Mitchell 2022).

The same estimator as `shap.explainers.Permutation`, which stays the reference in the tests; this one has nothing to compile, which costs
shap about nine CPU-seconds in every process, and sends a row's masked copies to the model in one batch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from audit.explain.parts import Game

    Floats = NDArray[np.float64]


def permutation_shap(play: Game, d: int, *, permutations: int, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Shapley values (d, k) of a game of d players, and the value of the empty coalition (k,).

    For each of `permutations` orders, players join one by one, and again in the reverse order; a player's value is the mean change. Values and
    base add up to the value of the full coalition exactly, up to rounding. With at most two-way interactions one pair is already exact; otherwise
    the error falls with 1/√permutations. Cost: 2·permutations·(d − 1) + 2 coalitions.
    """
    orders = np.stack([rng.permutation(d) for _ in range(permutations)])
    orders = np.concatenate([orders, orders[:, ::-1]])
    # A coalition per order and step: who has joined already; the empty and the full one are the same for all orders.
    rank = np.argsort(orders, axis=1)
    masks = (rank[:, None, :] <= np.arange(d - 1)[None, :, None]).reshape(-1, d)
    found = play(np.concatenate([np.zeros((1, d), dtype=bool), np.ones((1, d), dtype=bool), masks]))
    base, full, inner = found[0], found[1], found[2:].reshape(len(orders), d - 1, -1)
    ends = [np.broadcast_to(end, (len(orders), 1, len(end))) for end in (base, full)]
    steps = np.diff(np.concatenate([ends[0], inner, ends[1]], axis=1), axis=1)
    return np.take_along_axis(steps, rank[:, :, None], axis=1).mean(axis=0), base
