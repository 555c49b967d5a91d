"""The completeness gap as a measurement: do the parts add up to the whole?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from audit.result import Estimate, Measurement

if TYPE_CHECKING:
    from audit.context import Context
    from audit.explain.attribute import Explained


def quantile_interval(values: np.ndarray, q: float, *, level: float) -> Estimate:
    """A quantile of (n,) values with the distribution-free interval of order statistics (binomial ranks; Conover 1999)."""
    from scipy.stats import binom

    ordered = np.sort(values)
    n = len(ordered)
    low = int(binom.ppf((1 - level) / 2, n, q))
    high = int(binom.ppf((1 + level) / 2, n, q))
    value = float(ordered[min(n - 1, int(np.ceil(q * n)) - 1)])
    bounds = float(ordered[max(0, min(low - 1, n - 1))]), float(ordered[min(high, n - 1)])
    return Estimate(value=value, low=min(bounds[0], value), high=max(bounds[1], value), level=level, method="order_statistics", n=n)


def gap(ctx: Context, found: list[Explained]) -> Measurement:
    """95th percentile of the relative miss over the explained rows (the worst of the classes, where there are several)."""
    worst = np.max([e.gaps for e in found], axis=0)
    return Measurement(metric="completeness_gap", estimate=quantile_interval(worst, 0.95, level=ctx.level("completeness_gap")))
