"""What counts, levels and arrays must satisfy before any of them is used: expected, got."""

from __future__ import annotations

import math
from operator import index
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from audit.measurement import Estimate

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def normal_quantile(level: float) -> float:
    """z such that a standard normal lies within ±z with probability `level`, which is strictly between 0 and 1."""
    from scipy.special import ndtri

    check_share("level", level)
    return float(-ndtri((1.0 - level) / 2.0))


def check_share(name: str, value: float) -> None:
    """Refuse what is not strictly between 0 and 1."""
    if not 0.0 < value < 1.0:
        raise ValueError(f"expected {name} strictly between 0 and 1, got {value!r}")


def check_count(k: int, n: int) -> tuple[int, int]:
    """k of n as Python integers; refuses k > n and anything negative or fractional."""
    k, n = index(k), index(n)
    if not 0 <= k <= n:
        raise ValueError(f"expected 0 <= k <= n, got k={k}, n={n}")
    return k, n


def finite(name: str, values: ArrayLike) -> NDArray[Any]:
    """A one-dimensional array of finite numbers; float32 stays float32, all else becomes float64."""
    array = np.asarray(values)
    if array.dtype not in (np.float32, np.float64):
        array = array.astype(np.float64)
    if array.ndim != 1:
        raise ValueError(f"expected {name} of shape (n,), got {array.shape}")
    if array.size and not (math.isfinite(array.min()) and math.isfinite(array.max())):
        raise ValueError(f"expected finite {name}, got {int(np.count_nonzero(~np.isfinite(array)))} of {array.size} that are not")
    return array


def binary(name: str, values: ArrayLike, n: int) -> NDArray[np.bool_]:
    """An array of n outcomes in {0, 1} (or booleans) as booleans."""
    array = np.asarray(values)
    if array.shape != (n,):
        raise ValueError(f"expected {name} of shape ({n},), got {array.shape}")
    if array.dtype == np.bool_:
        return array
    true = array == 1
    if not np.all(true | (array == 0)):
        raise ValueError(f"expected {name} in {{0, 1}}, got other values")
    return np.asarray(true, dtype=np.bool_)


def estimate(value: float, low: float, high: float, *, level: float, method: str, n: int) -> Estimate | None:
    """An `Estimate` whose interval holds its value in spite of rounding; None where one of the three is not finite."""
    if not (math.isfinite(value) and math.isfinite(low) and math.isfinite(high)):
        return None
    return Estimate(value=float(value), low=float(min(low, value)), high=float(max(high, value)), level=level, method=method, n=int(n))
