"""A column of numbers divided into intervals."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise

from audit.dataset import Dataset

#: Characters up to which a number is shown as it is.
LONG = 7


def binned(dataset: Dataset, name: str, edges: list[float] | None) -> str:
    """SQL that writes a number as its interval, such as "[25, 37)"; without edges, between quintiles, of long numbers rounded ones."""
    x = dataset.number(name)
    quintiles: list[float] = []
    if edges is None:
        found = dataset.ask({"q": f"quantile_disc({x}, [0.2, 0.4, 0.6, 0.8])"}, tail=f"WHERE isfinite({x})")[0][0]
        quintiles = sorted(set(found or []))
    low, high = dataset.ask({"low": f"min({x})", "high": f"max({x})"}, tail=f"WHERE isfinite({x})")[0]
    if low is None:
        return "CAST(NULL AS VARCHAR)"
    inner = [e for e in (quintiles if edges is None else edges) if low < e <= high]
    places = _places([low, *inner, high])
    if edges is None:
        inner = [_short(e, places, round) for e in inner]
    bounds, cases = [low, *inner, high], []
    ends = [
        _short(low, places, math.floor),
        *inner,
        _short(high, places, math.ceil),
    ]  # so that the least and the greatest are said to lie inside
    for i in range(len(bounds) - 1):
        last = i == len(bounds) - 2
        label = f"[{ends[i]:.10g}, {ends[i + 1]:.10g}{']' if last else ')'}"
        below = f" AND {x} {'<=' if last else '<'} {bounds[i + 1]!r}"  # NaN is above all numbers in DuckDB
        cases.append(f"WHEN {x} >= {bounds[i]!r}{below} THEN '{label}'")
    return f"CASE WHEN NOT isfinite({x}) THEN NULL {' '.join(cases)} END"  # DuckDB sorts NaN above every number


def _places(bounds: list[float]) -> int:
    """Decimals at which the narrowest of these intervals is still known to a thousandth."""
    gaps = [b - a for a, b in pairwise(bounds) if b > a]
    return max(0, 3 - math.floor(math.log10(min(gaps)))) if gaps else 0


def _short(x: float, places: int, way: Callable[[float], float]) -> float:
    """A number of more than `LONG` characters at so many decimals."""
    return float(way(x * 10.0**places) / 10.0**places) if len(f"{x:.10g}") > LONG and places < 15 else x


def start(level: str) -> float:
    """Where a level of a number column stands among the others: the number itself, or the lower end of its interval."""
    return float(level[1:].split(", ")[0] if level.startswith("[") else level)


def joined(levels: list[str]) -> list[str]:
    """Levels of a number column in rising order, neighbouring intervals written as one: "[25, 37)" and "[37, 50)" as "[25, 50)"."""
    out: list[str] = []
    for level in levels:
        if out and out[-1].startswith("[") and level.startswith("["):
            (low, end), (begin, high) = (text[1:-1].split(", ") for text in (out[-1], level))
            if end == begin:
                out[-1] = f"[{low}, {high}{level[-1]}"
                continue
        out.append(level)
    return out
