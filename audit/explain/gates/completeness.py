"""Gate 1: do the parts add up to the whole (Sundararajan, Taly and Yan 2017, axiom of completeness; Shapley's efficiency)?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

#: Where an answer hardly moves from the base, the miss is taken relative to this share of the answers' standard deviation.
FLOOR = 0.01
#: What is half a step of single precision near 1.
HALF_STEP = float(np.finfo(np.float32).eps) / 2


def gaps(total: Floats, answer: Floats, base: float | Floats, *, log_odds: bool = False) -> Floats:
    """Relative miss per row, (n,): |total − (answer − base)| / max(|answer − base|, 1 % of the spread of the answers); 0 is complete.

    `total` (n,) are sums of attributions, `answer` (n,) the model's answers and `base` its mean answer to what stands in for absent parts, one or (n,), both
    asked for apart from the explanation: one that brings its own base adds up whatever it says. With `log_odds` the answers were
    probabilities, and what rounding a probability to single precision does to its log-odds is no miss.
    """
    moved = answer - base
    floor = max(FLOOR * float(np.std(answer)), 1e-12)
    rounding = HALF_STEP * (1 + np.exp(np.clip(np.abs(answer), 0, 50))) if log_odds else 0.0
    miss: Floats = np.maximum(np.abs(total - moved) - rounding, 0) / np.maximum(np.abs(moved), floor)
    return miss
