"""The line of outcomes on predictions, per group, in passes over blocks of rows."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from audit.measurement import Estimate
from audit.stats._inputs import Floats, check_share, estimate
from audit.stats.sums import Grouped

#: Codes in [0, size), predictions and outcomes of a block, each (k,).
Rows = tuple[NDArray[np.int64], Floats, Floats]


def slopes(read: Callable[[], Iterator[Rows]], size: int, *, level: float) -> list[Estimate | None]:
    """Least-squares slope of outcome on prediction for each code; 1: differences between predictions are as large as between outcomes.

    Below 1 predictions are too extreme, above 1 too timid. Interval by Student's t on a variance that holds where errors vary in size
    (White 1980, with n / (n − 2)). None for fewer than 3 rows, where predictions do not vary, and where the line fits every row. `read` starts
    a new pass over the rows; three are made.
    """
    from scipy.special import stdtrit

    check_share("level", level)
    x, y = Grouped(size), Grouped(size)
    for code, prediction, outcome in read():
        x.add(code, prediction)
        y.add(code, outcome)
    of_x, of_y = x.moments(), y.moments()
    centre = np.array([[m.mean if m else 0.0 for m in found] for found in (of_x, of_y)])
    products = Grouped(size)
    for code, prediction, outcome in read():
        products.add(code, (prediction - centre[0, code]) * (outcome - centre[1, code]))
    slope = np.zeros(size)
    for i, (m, product) in enumerate(zip(of_x, products.moments(), strict=True)):
        if m and product and m.n > 2 and math.sqrt(m.variance) > 1e-9 * abs(m.mean):
            slope[i] = product.mean * m.n / ((m.n - 1) * m.variance)
    pulls = Grouped(size)
    for code, prediction, outcome in read():
        away = prediction - centre[0, code]
        pulls.add(code, away * (outcome - centre[1, code] - slope[code] * away))
    out: list[Estimate | None] = []
    for i, (m, pull) in enumerate(zip(of_x, pulls.moments(), strict=True)):
        if not m or not pull or m.n < 3 or not math.sqrt(m.variance) > 1e-9 * abs(m.mean) or pull.variance == 0:
            out.append(None)
            continue
        meat = (m.n - 1) * pull.variance + m.n * pull.mean**2
        error = math.sqrt(meat * m.n / (m.n - 2)) / ((m.n - 1) * m.variance)
        half = error * float(stdtrit(m.n - 2, (1 + level) / 2))
        out.append(estimate(slope[i], slope[i] - half, slope[i] + half, level=level, method="least_squares_robust", n=m.n))
    return out
