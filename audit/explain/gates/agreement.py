"""Do two methods say the same (Krishna, Han, Gu, Wu, Jabbari and Lakkaraju 2024)? Reported and never judged: they answer different questions."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]


class Agreement(NamedTuple):
    """Per row, (n,): shares of the k largest that two methods have in common, with the same rank, sign, or both; rank correlations over all parts."""

    feature: Floats
    rank: Floats
    sign: Floats
    signed_rank: Floats
    spearman: Floats
    pairwise: Floats


def agreement(a: Floats, b: Floats, k: int) -> Agreement:
    """Of two attributions of the same rows, both (n, d): 1 is full agreement, −1 in `spearman` opposite order.

    `pairwise` is the share of pairs of parts that both put in the same order of size.
    """
    n, d = a.shape
    orders = [np.argsort(-np.abs(x), axis=1, kind="stable") for x in (a, b)]
    places = [np.argsort(o, axis=1) for o in orders]
    in_both = (places[0] < k) & (places[1] < k)
    same_rank = in_both & (places[0] == places[1])
    same_sign = in_both & (np.sign(a) == np.sign(b))
    centred = [p - (d - 1) / 2 for p in places]
    spread = (d**3 - d) / 12
    first, second = np.triu_indices(d, 1)
    alike = [np.sign(p[:, first] - p[:, second]) for p in places]
    return Agreement(
        in_both.sum(axis=1) / k,
        same_rank.sum(axis=1) / k,
        same_sign.sum(axis=1) / k,
        (same_rank & same_sign).sum(axis=1) / k,
        (centred[0] * centred[1]).sum(axis=1) / spread if d > 1 else np.ones(n),
        (alike[0] == alike[1]).mean(axis=1) if d > 1 else np.ones(n),
    )
