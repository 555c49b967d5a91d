"""Square Attack for L∞ (Andriushchenko, Croce, Flammarion and Hein 2020): a search that asks for answers only, so no gradient can mislead it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.random import Generator
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]

#: Share of the picture that the first square covers, and of all queries after how many it is halved.
SHARE = 0.8
HALVED = (0.001, 0.005, 0.02, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8)


class Box(NamedTuple):
    """What a picture (channels, height, width) may become: moves by at most `reach`, between `low` and `high`."""

    shape: tuple[int, int, int]
    reach: float
    low: float
    high: float

    def inside(self, x: Floats, own: Floats) -> Floats:
        """Pictures brought back to within reach of `own`."""
        near = np.clip(x, own - np.float32(self.reach), own + np.float32(self.reach))
        return np.asarray(np.clip(near, self.low, self.high), dtype=np.float32)


def square(
    own: Floats, box: Box, ahead: Callable[[Floats, NDArray[np.int64]], NDArray[np.float64]], queries: int, rng: Generator
) -> Floats:
    """Pictures like `own` (n, channels · height · width) after at most `queries` questions each.

    `ahead` of pictures and their places among the rows is how far the right class leads; a row with less than 0 is done.
    """
    n, (channels, height, width) = len(own), box.shape
    stripes = np.repeat(rng.choice([-1.0, 1.0], (n, channels, 1, width)), height, axis=2).reshape(n, -1).astype(np.float32)
    best = box.inside(own + np.float32(box.reach) * stripes, own)
    lead = ahead(best, np.arange(n))
    for query in range(1, queries):
        left = np.flatnonzero(lead >= 0)
        if not len(left):
            break
        share = SHARE / 2 ** sum(query > h * queries for h in HALVED)
        side = int(np.clip(round(np.sqrt(share * height * width)), 1, min(height, width)))
        down, across = rng.integers(0, height - side + 1, len(left)), rng.integers(0, width - side + 1, len(left))
        signs = rng.choice([-2.0, 2.0], (len(left), channels, 1, 1)).astype(np.float32) * np.float32(box.reach)
        tried = best[left].reshape(-1, channels, height, width).copy()
        for i, (top, start) in enumerate(zip(down.tolist(), across.tolist(), strict=True)):
            tried[i, :, top : top + side, start : start + side] += signs[i]
        new = box.inside(tried.reshape(len(left), -1), own[left])
        found = ahead(new, left)
        gained = found < lead[left]
        best[left[gained]], lead[left[gained]] = new[gained], found[gained]
    return best
