"""A column of numbers divided into intervals."""

from __future__ import annotations

from audit.dataset import Dataset


def binned(dataset: Dataset, name: str, edges: list[float] | None) -> str:
    """SQL that writes a number as its interval, such as "[25, 37)"; without edges, between quintiles."""
    x = dataset.number(name)
    if edges is None:
        quintiles = dataset.ask({"q": f"quantile_disc({x}, [0.2, 0.4, 0.6, 0.8])"}, tail=f"WHERE isfinite({x})")[0][0]
        edges = sorted(set(quintiles or []))
    low, high = dataset.ask({"low": f"min({x})", "high": f"max({x})"}, tail=f"WHERE isfinite({x})")[0]
    if low is None:
        return "CAST(NULL AS VARCHAR)"
    edges = [e for e in edges if low < e <= high]
    bounds = [low, *edges, high]
    cases = []
    for i in range(len(bounds) - 1):
        last = i == len(bounds) - 2
        label = f"[{bounds[i]:.10g}, {bounds[i + 1]:.10g}{']' if last else ')'}"
        below = f" AND {x} {'<=' if last else '<'} {bounds[i + 1]!r}"  # NaN is above all numbers in DuckDB
        cases.append(f"WHEN {x} >= {bounds[i]!r}{below} THEN '{label}'")
    return f"CASE WHEN NOT isfinite({x}) THEN NULL {' '.join(cases)} END"  # DuckDB sorts NaN above every number


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
