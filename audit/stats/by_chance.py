"""How large calibration errors are where every probability is right: what chance alone makes of them, and what is left beyond it.

Outcomes are drawn anew from the probabilities themselves, so that nothing but the number of rows and where they lie makes the error.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.random import Generator

from audit.measurement import Estimate
from audit.stats._inputs import Floats, check_share, estimate
from audit.stats.ranked import Table
from audit.stats.reliability import MESH, Bins, expected_calibration_error, fixed_widths, on_mesh


class Excess(NamedTuple):
    """An error less its mean by chance, from that less the upper to that less the lower quantile by chance; p of "every probability is right"."""

    beyond: Estimate
    p: float


def _beyond(observed: float, drawn: Floats, n: int, level: float) -> Excess | None:
    low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2])
    beyond = estimate(
        observed - float(drawn.mean()), observed - float(high), observed - float(low), level=level, method="simulated_null", n=n
    )
    p = (1 + int(np.count_nonzero(drawn >= observed - 1e-12))) / (drawn.size + 1)
    return None if beyond is None else Excess(beyond, p)


def plain_excess(parts: Bins, *, level: float, rng: Generator, draws: int = 1000) -> Excess | None:
    """ECE over bins beyond chance, in [−1, 1]; around 0 where every probability is right, at any number of rows. None for no rows.

    Outcomes are drawn as binomial of a bin's mean p, which scatters no less than single probabilities do, so that the excess is not made too large.
    """
    check_share("level", level)
    n, observed = int(parts.rows.sum()), expected_calibration_error(parts)
    if observed is None:
        return None
    events = rng.binomial(parts.rows, np.clip(parts.means, 0, 1), size=(draws, parts.rows.size))
    drawn = np.sum(np.abs(parts.rows * parts.means - events), axis=1) / n
    return _beyond(observed, drawn, n, level)


def smooth_excess(table: Table, *, level: float, rng: Generator, draws: int = 100) -> Excess | None:
    """smECE beyond chance, likewise; outcomes are drawn on the mesh. None for no rows."""
    check_share("level", level)
    n = table.rows
    if not n:
        return None
    rows, sums, events = on_mesh(table)
    kept = rows > 0
    meshes = np.zeros((draws + 1, MESH))
    meshes[0] = events - sums
    means = np.clip(sums[kept] / rows[kept], 0, 1)
    meshes[1:, kept] = rng.binomial(rows[kept].astype(np.int64), means, size=(draws, int(kept.sum()))) - sums[kept]
    widths = fixed_widths(meshes / n, steps=16)
    return _beyond(float(widths[0]), widths[1:], n, level)
