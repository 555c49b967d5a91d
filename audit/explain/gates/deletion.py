"""Gate 3: does the order of the parts matter (Bach et al. 2015; Samek et al. 2017; Petsiuk, Das and Saenko 2018)?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from audit.explain.parts import Game

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]
    Bools = NDArray[np.bool_]

#: Steps of a curve at most: of more parts than that, several go at once.
STEPS = 20


def order(values: Floats) -> Ints:
    """Parts (d,) by falling attribution; equal ones in their own order."""
    return np.argsort(-values, kind="stable")


def left(order: Ints, *, insertion: bool = False, steps: int = STEPS) -> Bools:
    """Masks (s + 1, d) of what is there after 0, 1, … s steps along an order (d,), s = min(d, steps); deletion starts with all parts."""
    d = len(order)
    rank = np.empty(d, dtype=np.int64)
    rank[order] = np.arange(d)
    s = min(d, steps)
    gone = np.round(np.arange(s + 1) * d / s).astype(np.int64)
    there: Bools = (rank[None, :] < gone[:, None]) == insertion
    return there


def area(curve: Floats) -> Floats:
    """Area under curves (s + 1, …) over a path of length 1, by trapezoids."""
    inner: Floats = (curve[:-1] + curve[1:]).mean(axis=0) / 2
    return inner


def areas(play: Game, orders: list[Ints]) -> Floats:
    """Area under the deletion curve of each order, (orders, k), in the unit of the answer."""
    masks = [left(o) for o in orders]
    found = play(np.concatenate(masks))
    ends = np.cumsum([len(m) for m in masks])[:-1]
    return np.stack([area(curve) for curve in np.split(found, ends)])
