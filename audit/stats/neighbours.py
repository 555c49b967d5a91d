"""Nearest neighbours among rows of numbers and categories: how alike two rows are decided on is held against how alike they are."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from audit.stats._inputs import Floats

#: Rows whose distances to all others are held at once.
BLOCK = 256


def standardised(columns: Sequence[NDArray[np.generic]]) -> Floats:
    """Rows (n, d) whose absolute differences add up to Gower's distance (1971): numbers over their range between the 1st and 99th percentile.

    Missing numbers take the middle value. A column that never varies is left out.
    """
    out = []
    for column in columns:
        x = np.asarray(column, dtype=np.float64)
        known = x[np.isfinite(x)]
        if not known.size:
            continue
        low, high = np.quantile(known, [0.01, 0.99])
        if high <= low:
            low, high = known.min(), known.max()
        if high > low:
            out.append(np.clip((np.where(np.isfinite(x), x, np.median(known)) - low) / (high - low), 0, 1))
    rows = len(columns[0]) if len(columns) else 0
    return np.stack(out, axis=1) if out else np.zeros((rows, 0))


def nearest(numbers: tuple[Floats, Floats], codes: tuple[NDArray[np.int64], NDArray[np.int64]], k: int) -> tuple[NDArray[np.int64], Floats]:
    """For each asked row its `k` nearest of the others, nearest first, and their distances, (n, k) each; ties go to the earlier row.

    `numbers` and `codes` are those of the asked rows (n, d) and of the others (m, d). A distance is the mean over the columns of the absolute
    difference of numbers and of whether categories differ, in [0, 1].
    """
    (asked, others), (mine, theirs) = numbers, codes
    width = max(1, asked.shape[1] + mine.shape[1])
    places, distances = [], []
    for start in range(0, len(asked), BLOCK):
        rows = slice(start, start + BLOCK)
        total = np.zeros((len(asked[rows]), len(others)))
        for j in range(asked.shape[1]):
            total += np.abs(asked[rows, j, None] - others[None, :, j])
        for j in range(mine.shape[1]):
            total += mine[rows, j, None] != theirs[None, :, j]
        order = np.argsort(total, axis=1, kind="stable")[:, :k]
        places.append(order)
        distances.append(np.take_along_axis(total, order, axis=1) / width)
    return np.concatenate(places), np.concatenate(distances)
