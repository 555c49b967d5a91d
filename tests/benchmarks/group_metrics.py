"""Six group metrics over three sensitive columns and their intersection, beside fairlearn's MetricFrame on the same rows in the same run.

    python -m tests.benchmarks.group_metrics [--rows 1000000] [--boot-rows 10000] [--boot 100]

The rows come as text columns (pandas `str`) and two columns of 0 and 1. Timed is CPU time of this process, after imports and one warm-up on 1,000
rows: ours is the least of five, fairlearn's a single run. Ours is `audit.stats.crosstab`, which `fairness.metrics` uses, with the metrics of
`audit.stats.confusion`; fairlearn's is one `MetricFrame` per column and one for the intersection. A future fairlearn may be faster: most of its
time goes into one line that walks each column in Python.

Intervals are compared at `--boot-rows` rows: percentile intervals of fairlearn's `n_boot` and of our 1,000 replicates resample the same rows, so
each end differs by Monte-Carlo error only. The standard error of a 2.5 % quantile of B normal draws is √(0.025·0.975/B)/φ(1.96) = 2.67/√B standard
errors of the metric; the two together, 2.67·√(1/B + 1/1000). Printed are the deviations in units of that: their root mean square should be near 1
(the ends of small groups are discrete), and no mean of them far from 0. Numerical libraries are held to one thread.
"""

from __future__ import annotations

import os

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import argparse
import math
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from audit.stats.confusion import accuracy, precision, recall, share, tallies
from audit.stats.crosstab import Crosstab, Metric, crosstab

COLUMNS = {"sex": ["female", "male"], "race": ["asian", "black", "other", "white"], "age": ["18-29", "30-44", "45-59", "60-74", "75+"]}
GROUPINGS: list[list[str]] = [["sex"], ["race"], ["age"], ["sex", "race", "age"]]
METRICS: dict[str, Metric] = {
    "accuracy": lambda c: accuracy(tallies(c)),
    "selection_rate": lambda c: share(c[..., 1] + c[..., 3], c.sum(axis=-1)),
    "true_positive_rate": lambda c: recall(tallies(c), 1),
    "false_positive_rate": lambda c: share(c[..., 1], c[..., 0] + c[..., 1]),
    "precision": lambda c: precision(tallies(c), 1),
    "false_negative_rate": lambda c: share(c[..., 2], c[..., 2] + c[..., 3]),
}
REPLICATES, LEVEL, REPEATS = 1000, 0.95, 5


def make(n: int, seed: int = 0) -> tuple[pd.DataFrame, np.ndarray, np.ndarray]:
    """Text columns of unequal groups, outcomes and decisions that depend on them."""
    rng = np.random.default_rng(seed)
    codes = [rng.choice(len(v), n, p=(w := np.linspace(1, 3, len(v))) / w.sum()) for v in COLUMNS.values()]
    frame = pd.DataFrame(
        {k: pd.Series(np.array(v, dtype=object)[c], dtype="str") for (k, v), c in zip(COLUMNS.items(), codes, strict=True)}
    )
    y = (rng.random(n) < 0.3 + 0.03 * codes[1]).astype(np.int64)
    pred = (rng.random(n) < np.where(y == 1, 0.7, 0.2) + 0.02 * codes[2]).astype(np.int64)
    return frame, y, pred


def count(frame: pd.DataFrame, y: np.ndarray, pred: np.ndarray) -> Crosstab:
    """The one pass over the rows."""
    return crosstab({name: frame[name] for name in frame.columns}, 2 * y + pred, 4)


def points(table: Crosstab) -> dict[tuple[Any, ...], list[float]]:
    """(columns, levels) → the six metrics."""
    out: dict[tuple[Any, ...], list[float]] = {}
    for columns in GROUPINGS:
        names, counts = table.by(columns)
        values = np.stack([metric(counts) for metric in METRICS.values()], axis=1)
        out |= {(tuple(columns), name): row for name, row in zip(names, values.tolist(), strict=True)}
    return out


def theirs(frame: pd.DataFrame, y: np.ndarray, pred: np.ndarray, **given: Any) -> list[Any]:
    """fairlearn's frames, one per grouping."""
    import fairlearn.metrics as fm
    import sklearn.metrics as sm

    metrics = {name: getattr(fm, name, None) or getattr(sm, f"{name}_score") for name in METRICS}
    return [fm.MetricFrame(metrics=metrics, y_true=y, y_pred=pred, sensitive_features=frame[c], **given) for c in GROUPINGS]


def cells(frames: Sequence[pd.DataFrame]) -> dict[tuple[Any, ...], list[float]]:
    """(columns, levels) → the six metrics, from fairlearn's tables; groups without rows left out."""
    return {
        (tuple(columns), levels if isinstance(levels, tuple) else (levels,)): [float(row[name]) for name in METRICS]
        for columns, frame in zip(GROUPINGS, frames, strict=True)
        for levels, row in frame.iterrows()
        if not row.isna().all()
    }


def cpu(do: Callable[[], Any]) -> tuple[float, Any]:
    before = time.process_time()
    done = do()
    return time.process_time() - before, done


def largest_difference(ours: dict[tuple[Any, ...], list[float]], others: dict[tuple[Any, ...], list[float]]) -> float:
    """Over all groups and metrics; the groups must be the same."""
    if set(ours) != set(others):
        raise SystemExit(f"not the same groups: {sorted(set(ours) ^ set(others))[:3]}")
    return max(abs(a - b) for key, row in ours.items() for a, b in zip(row, others[key], strict=True))


def deviations(rows: int, boot: int, seed: int = 1) -> tuple[np.ndarray, float, float]:
    """Ends of intervals, ours less fairlearn's, in Monte-Carlo standard errors, (groups · metrics, 2); CPU-seconds of ours and of fairlearn's.

    Ends that lie at 0 or 1, where the normal approximation says nothing, are left out.
    """
    frame, y, pred = make(rows, seed)
    table = count(frame, y, pred)
    rng = np.random.default_rng(seed)
    own, found = cpu(lambda: table.resample(GROUPINGS, list(METRICS.values()), level=LEVEL, rng=rng, replicates=REPLICATES))
    ends = [(1 - LEVEL) / 2, (1 + LEVEL) / 2]
    other, frames = cpu(lambda: theirs(frame, y, pred, n_boot=boot, ci_quantiles=ends, random_state=seed))
    low, high = (cells([f.by_group_ci[i] for f in frames]) for i in range(2))
    keys = [(tuple(columns), name) for columns in GROUPINGS for name in table.by(columns)[0]]
    error = 2.67 * math.sqrt(1 / boot + 1 / REPLICATES)
    out = []
    for i, key in enumerate(keys):
        for j in range(len(METRICS)):
            e = found.estimates[i * len(METRICS) + j]
            if e is not None and min(e.low, low[key][j]) > 0 and max(e.high, high[key][j]) < 1:
                unit = (e.high - e.low) / (2 * 1.96) * error
                out.append(((e.low - low[key][j]) / unit, (e.high - high[key][j]) / unit))
    return np.array(out), own, other


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--boot-rows", type=int, default=10_000)
    parser.add_argument("--boot", type=int, default=100, help="fairlearn's bootstrap replicates; 0 leaves the comparison of intervals out")
    given = parser.parse_args()
    small = make(1_000)
    points(count(*small))
    theirs(*small)
    rows = make(given.rows)
    table = count(*rows)
    ours, found = min((cpu(lambda: points(count(*rows))) for _ in range(REPEATS)), key=lambda run: run[0])
    statistics = list(METRICS.values())
    boots = [
        cpu(lambda: table.resample(GROUPINGS, statistics, level=LEVEL, rng=np.random.default_rng(0), replicates=REPLICATES))[0]
        for _ in range(REPEATS)
    ]
    print(f"| {given.rows:,} rows, {len(found)} groups, {len(METRICS)} metrics | CPU-s |\n|---|---|")
    print(f"| ours, from text columns | {ours:.4f} |\n| ours, {REPLICATES} bootstrap replicates of all | {min(boots):.4f} |", flush=True)
    spent, frames = cpu(lambda: theirs(*rows))
    print(f"| fairlearn MetricFrame | {spent:.1f} |\n| ratio | {spent / ours:,.0f} |")
    print(f"| largest difference of a value | {largest_difference(found, cells([f.by_group for f in frames])):.1e} |", flush=True)
    if given.boot:
        z, own, other = deviations(given.boot_rows, given.boot)
        print(
            f"\nIntervals at {given.boot_rows:,} rows, fairlearn n_boot = {given.boot}, {len(z)} of them, deviations in Monte-Carlo standard errors:"
        )
        print(
            f"root mean square {np.sqrt((z**2).mean()):.2f}, mean {z[:, 0].mean():+.2f} (low) {z[:, 1].mean():+.2f} (high), largest {np.abs(z).max():.1f}"
        )
        print(f"CPU-s per replicate: fairlearn {other / given.boot:.2f}, ours {own / REPLICATES:.2e}")


if __name__ == "__main__":
    main()
