"""The exact worst slices of many rows by up to three of fifteen columns; and on few rows beside a search that looks at every slice by itself.

    python -m tests.benchmarks.slices [--rows 1000000] [--small 3000]

Columns have 2 to 20 levels, one slice of 2 % of the rows has twice the errors of all others. Timed is CPU time of this process after imports:
the search over all rows, for wrong predictions and for an error of any size with a long tail; memory is the peak of the process over that before the
search. Brute force takes a mask of the rows for each slice. Numerical libraries are held to one thread.
"""

from __future__ import annotations

import os

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import argparse
import resource
import time
from itertools import combinations, product

import numpy as np
from numpy.typing import NDArray

from audit.stats.sliceline import Search
from audit.stats.slices import sliceline_score

LEVELS = [2, 3, 4, 5, 5, 5, 5, 5, 5, 5, 6, 8, 12, 20, 10]
ALPHA, SHARE, MOST = 0.99, 0.01, 10
Codes = list[NDArray[np.uint8]]


def make(n: int, levels: list[int], seed: int = 0) -> tuple[Codes, NDArray[np.float64], NDArray[np.float64]]:
    """Columns, wrong predictions, and errors of any size."""
    rng = np.random.default_rng(seed)
    columns = [rng.integers(0, size, n).astype(np.uint8) for size in levels]
    twice = 1.0 + ((columns[-1] == 1) & (columns[3] == 2))
    return columns, (rng.random(n) < 0.15 * twice).astype(float), rng.lognormal(0, 1, n) * twice


def brute_force(columns: Codes, levels: list[int], errors: NDArray[np.float64], search: Search) -> list[tuple[float, dict[int, int]]]:
    found = []
    for size in range(1, search.depth + 1):
        for places in combinations(range(len(levels)), size):
            for values in product(*(range(levels[p]) for p in places)):
                inside = np.logical_and.reduce([columns[p] == v for p, v in zip(places, values, strict=True)])
                if (n := int(inside.sum())) >= search.support:
                    score = sliceline_score(errors[inside].sum(), n, errors=errors.sum(), rows=len(errors), alpha=search.alpha)
                    found.append((-float(score), size, places, values))
    return [(-score, dict(zip(places, values, strict=True))) for score, _, places, values in sorted(found)[: search.most] if score < 0]


def peak() -> float:
    """MiB that this process held at most."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--small", type=int, default=3000)
    given = parser.parse_args()
    columns, wrong, sized = make(given.rows, LEVELS)
    search = Search(round(SHARE * given.rows), 3, MOST, ALPHA)
    print(f"| {given.rows:,} rows × {len(LEVELS)} columns × 3 levels | slices counted | CPU-s | MiB more |\n|---|---|---|---|")
    for name, errors in (("wrong predictions", wrong), ("errors of any size", sized)):
        before, held = time.process_time(), peak()
        found, counted = search.among(columns, [size + 1 for size in LEVELS], errors)
        print(f"| {name} | {counted:,} | {time.process_time() - before:.1f} | {peak() - held:.0f} |", flush=True)
        print(f"  worst: {found[0].levels}, {found[0].n:,} rows, score {found[0].score:.3f}")
    few = LEVELS[:8]
    columns, wrong, sized = make(given.small, few, 1)
    small = Search(round(SHARE * given.small), 3, MOST, ALPHA)
    for errors in (wrong, sized):
        before = time.process_time()
        expected = brute_force(columns, few, errors, small)
        slow, before = time.process_time() - before, time.process_time()
        found, _ = small.among(columns, [size + 1 for size in few], errors)
        fast = time.process_time() - before
        same = [f.levels for f in found] == [levels for _, levels in expected]
        apart = max((abs(f.score - score) for f, (score, _) in zip(found, expected, strict=False)), default=0.0)
        if not same or apart > 1e-9:
            raise SystemExit("brute force finds other slices")
        print(
            f"{given.small:,} rows × {len(few)} columns: the same {len(found)} slices as brute force ({slow / fast:,.0f} times its CPU time)"
        )


if __name__ == "__main__":
    main()
