"""Skill over the best constant forecast, from the moments of losses: 1 is perfect, 0 no better, below 0 worse.

The constant is the base rate (the mean) of the very rows; as it is the optimum, choosing it adds no first-order error to the interval.
Gneiting and Raftery 2007.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from audit.measurement import Estimate
from audit.stats._inputs import Floats, estimate, normal_quantile
from audit.stats.rates import wilson_limits
from audit.stats.sums import Grouped, Moments

Kind = Literal["brier", "log"]


def trivial_losses(rows: Sequence[int], kind: Kind) -> list[float]:
    """Loss by class of guessing the share of each class, from the rows of each class; 0 for a class without rows.

    Brier: (1 − share)² for two classes, as scikit-learn has it, Σ share² − 2 share + 1 for more; log loss: −ln share.
    """
    n = sum(rows)
    shares = [k / n for k in rows]
    if kind == "log":
        return [-math.log(s) if s else 0.0 for s in shares]
    if len(shares) == 2:
        return [(1 - s) ** 2 if s else 0.0 for s in shares]
    square = math.fsum(s * s for s in shares)
    return [square - 2 * s + 1 if s else 0.0 for s in shares]


def constant_skill(losses: Sequence[Moments | None], kind: Kind) -> float | None:
    """Skill of scores that never change: never above 0. None where fewer than two classes occur."""
    found = _means(losses, kind)
    return None if found is None else min(0.0, found[0])


def _means(losses: Sequence[Moments | None], kind: Kind) -> tuple[float, float, list[float]] | None:
    """(skill, mean trivial loss, trivial loss by class)."""
    rows = [m.n if m else 0 for m in losses]
    n = sum(rows)
    if sum(k > 0 for k in rows) < 2:
        return None
    trivial = trivial_losses(rows, kind)
    base = math.fsum(k * t for k, t in zip(rows, trivial, strict=True)) / n
    mean = math.fsum(m.n * m.mean for m in losses if m) / n
    return 1 - mean / base, base, trivial


def skill_by_class(losses: Sequence[Moments | None], kind: Kind, *, level: float) -> Estimate | None:
    """1 − mean loss / mean trivial loss, from the moments of the loss among the rows of each true class; interval by the delta method.

    Where every row is right with certainty the Brier skill has the lower limit of no error in n rows (Wilson), and the log loss, which has
    no bound, gives None; so does an outcome that does not vary.
    """
    found = _means(losses, kind)
    if found is None:
        return None
    value, base, trivial = found
    n = sum(m.n for m in losses if m)
    within = math.fsum((m.n - 1) * m.variance for m in losses if m)
    between = math.fsum(m.n * (m.mean - (1 - value) * t) ** 2 for m, t in zip(losses, trivial, strict=True) if m)
    variance = (within + between) / (n - 1) / base**2
    if 1 - value < 1e-12:
        if kind == "log":
            return None
        return estimate(value, 1 - float(wilson_limits(0, n, level=level)[1]) / base, 1.0, level=level, method="wilson", n=n)
    half = normal_quantile(level) * math.sqrt(variance / n)
    return estimate(value, value - half, min(value + half, 1.0), level=level, method="delta", n=n)


def explained(read: Callable[[], Iterator[tuple[NDArray[np.int64], Floats, Floats]]], size: int, *, level: float) -> list[Estimate | None]:
    """R² = 1 − Σ(y − prediction)² / Σ(y − mean)² for each of `size` codes, interval by the delta method; at most 1, 0 as good as the mean.

    `read` starts a pass over blocks of (code, prediction, outcome); three are made. None for fewer than 2 rows or an outcome that does not
    vary; where every row is predicted exactly the interval has no width.
    """
    of_y = Grouped(size)
    for code, _, y in read():
        of_y.add(code, y)
    centre = [m.mean if m else 0.0 for m in of_y.moments()]
    means = np.array(centre)
    errors = Grouped(size)
    for code, prediction, y in read():
        errors.add(code, (y - prediction) ** 2)
    value, base = np.zeros(size), np.ones(size)
    defined = [False] * size
    for i, (m, e) in enumerate(zip(of_y.moments(), errors.moments(), strict=True)):
        defined[i] = m is not None and e is not None and m.n > 1 and math.sqrt(m.variance) > 1e-9 * abs(m.mean)
        if defined[i] and m is not None and e is not None:
            base[i] = m.variance * (m.n - 1) / m.n
            value[i] = 1 - e.mean / base[i]
    moves = Grouped(size)
    for code, prediction, y in read():
        moves.add(code, ((y - prediction) ** 2 - (1 - value[code]) * (y - means[code]) ** 2) / base[code])
    z = normal_quantile(level)
    out: list[Estimate | None] = []
    for i, m in enumerate(moves.moments()):
        half = z * math.sqrt(m.variance / m.n) if m else 0.0
        out.append(
            estimate(value[i], value[i] - half, min(value[i] + half, 1.0), level=level, method="delta", n=m.n) if m and defined[i] else None
        )
    return out
