"""The completeness gap as a measurement: do the parts add up to the whole?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from audit.result import Measurement
from audit.stats.quantiles import quantile

if TYPE_CHECKING:
    from audit.context import Context
    from audit.explain.explained import Explained


def gap(ctx: Context, found: list[Explained]) -> Measurement:
    """95th percentile of the relative miss over the explained rows (the worst of the classes, where there are several)."""
    worst = np.max([e.gaps for e in found], axis=0)
    return Measurement(metric="completeness_gap", estimate=quantile(worst, 0.95, level=ctx.level("completeness_gap"), clamped=True))
