"""Association of two sets of vectors with two others (WEAT: Caliskan, Bryson and Narayanan 2017)."""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
#: Divisions up to which all are looked at, and how many are drawn beyond.
ALL, DRAWN = 100_000, 10_000


def differential(targets: Floats, a: Floats, b: Floats) -> Floats:
    """(n,): mean cosine of each target with `a` minus that with `b`."""
    unit = [v / np.maximum(np.linalg.norm(v, axis=1, keepdims=True), 1e-300) for v in (targets, a, b)]
    return np.asarray((unit[0] @ unit[1].T).mean(axis=1) - (unit[0] @ unit[2].T).mean(axis=1))


def effect(x: Floats, y: Floats, a: Floats, b: Floats) -> float | None:
    """Effect size in standard deviations (ddof 1 over x and y together), at most 2 in size; None where all targets are alike."""
    s, t = differential(x, a, b), differential(y, a, b)
    spread = float(np.std(np.concatenate([s, t]), ddof=1))
    return float((s.mean() - t.mean()) / spread) if spread > 0 else None


def permutation_p(x: Floats, y: Floats, a: Floats, b: Floats, *, rng: np.random.Generator) -> float:
    """Two-sided share of the divisions of all targets with as large a difference of means: all where they are few enough, else of those drawn."""
    both = np.concatenate([differential(x, a, b), differential(y, a, b)])
    n, k = len(both), len(x)
    whole = float(both.sum())
    seen = abs(float(both[:k].mean() - both[k:].mean()))

    def gap(chosen: NDArray[np.int64]) -> float:
        inside = float(both[chosen].sum())
        return abs(inside / k - (whole - inside) / (n - k))

    slack = 1e-12 * (1 + seen)
    if math.comb(n, k) <= ALL:
        gaps = [gap(np.array(chosen)) for chosen in combinations(range(n), k)]
        return float(np.mean([g >= seen - slack for g in gaps]))
    hits = sum(gap(rng.permutation(n)[:k]) >= seen - slack for _ in range(DRAWN))
    return (1 + hits) / (1 + DRAWN)
