"""Lower bounds on ε from one training run: canaries in by fair coins, and guesses which are in.

Steinke, Nasr and Jagielski 2023 (arXiv:2305.08846), and Mahloujifar, Melis and Chaudhuri 2025 (arXiv:2410.22235) for a Gaussian trade-off.
Of `m` canaries, `r` were guessed about (how many: settled before scores are seen, or paid for by `beta`), `v` of them rightly.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import brentq
from scipy.special import expit
from scipy.stats import binom

from audit.stats.privacy.gaussian import mu_of, power_bound

#: (m, r, v, ε, δ, β) → positive where the promise (ε, δ) is rejected at level β.
Rejects = Callable[[float], float]


def p_value(m: int, r: int, v: int, *, epsilon: float, delta: float) -> float:
    """The chance, at most, of v or more right guesses of r under (ε, δ)-privacy, in [0, 1]; small values refute the promise.

    f(v) + 2mδ max_i (f(v−i) − f(v)) / i, with f(v) = P[Bin(r, e^ε/(1+e^ε)) >= v].
    """
    _checked(m, r, v)
    tail = binom.sf(np.arange(v, -1, -1) - 1, r, expit(epsilon))  # f(v), f(v−1), …, f(0)
    more = float(np.max((tail[1:] - tail[0]) / np.arange(1, v + 1), initial=0.0)) if delta > 0 else 0.0
    return float(min(1.0, tail[0] + 2 * m * delta * more))


def epsilon_at_least(m: int, r: int, v: int, *, delta: float, beta: float) -> float:
    """The largest ε whose promise (ε, δ) is refuted at level `beta`; 0 where none is. It is a lower bound with confidence 1 − β."""
    _checked(m, r, v)
    return _largest(lambda e: beta - p_value(m, r, v, epsilon=e, delta=delta))


def gaussian_epsilon_at_least(m: int, r: int, v: int, *, delta: float, beta: float) -> float:
    """As `epsilon_at_least` where the mechanism's trade-off is Gaussian: the ε at `delta` of the largest μ that is refuted; 0 where none is."""
    _checked(m, r, v)

    def rejected(epsilon: float) -> float:
        mu = mu_of(epsilon, delta)
        right, wrong = beta * v / m, beta * (r - v) / m
        for i in range(v - 1, -1, -1):
            further = max(wrong, power_bound(right, mu))
            if further == wrong:
                break
            right, wrong = min(1.0, right + i / (r - i) * (further - wrong)), further
        return right + wrong - r / m

    return _largest(rejected)


def attainable(m: int, r: int, *, delta: float, beta: float) -> float:
    """The largest ε that r guesses about m canaries can refute: that of r right ones."""
    return epsilon_at_least(m, r, r, delta=delta, beta=beta)


def guesses_needed(epsilon: float, *, beta: float) -> int:
    """The fewest guesses that can refute ε at δ = 0, all of them right: ln β / ln(e^ε / (1 + e^ε)), rounded up."""
    return math.ceil(math.log(beta) / -math.log1p(math.exp(-epsilon)))


class Guessed(NamedTuple):
    """Guesses made and right ones among them."""

    made: int
    right: int


def guess(scores: ArrayLike, included: ArrayLike, *, made: int) -> Guessed:
    """Guess "in" for the canaries with the highest scores (m,), and "out" for as many with the lowest; `made` in all, rounded down to be even.

    Ties are broken by place, which knows nothing of the coin.
    """
    order = np.argsort(np.asarray(scores, dtype=np.float64), kind="stable")
    inside = np.asarray(included, dtype=np.bool_)[order]
    half = made // 2
    return Guessed(2 * half, int(inside[len(inside) - half :].sum()) + int((~inside[:half]).sum()))


def over_thresholds(inside: ArrayLike, outside: ArrayLike, bound: Callable[..., float], *, delta: float, beta: float) -> float:
    """The best bound over the corners of the convex ROC of the scores of included and left-out canaries, `beta` shared among them.

    How many corners there are depends on the scores, so this is a published yardstick (jax_privacy's) and no strict guarantee: an audit
    settles its guesses beforehand.
    """
    positive, negative = np.sort(np.asarray(inside, dtype=np.float64)), np.sort(np.asarray(outside, dtype=np.float64))
    cuts = np.append(np.union1d(positive, negative), np.inf)
    missed, spared = np.searchsorted(positive, cuts), np.searchsorted(negative, cuts)
    corners = _hull(np.stack([missed, spared], axis=1))
    m, share, best = len(positive) + len(negative), beta / len(corners), 0.0
    right, wrong = len(positive) - missed[corners], len(negative) - spared[corners]
    for v, r in sorted(zip(right.tolist(), (right + wrong).tolist(), strict=True), key=lambda c: -c[0] / max(1, c[1])):
        if r and v / r > expit(best):
            best = max(best, bound(m, r, v, delta=delta, beta=share))
    return best


def _hull(points: NDArray[np.int64]) -> NDArray[np.int64]:
    """Places of the points (k, 2), sorted by x, that lie on their upper convex hull."""
    kept = np.arange(len(points))
    while len(kept) > 2:
        step = np.diff(points[kept], axis=0)
        turn = step[:-1, 1] * step[1:, 0] - step[1:, 1] * step[:-1, 0]
        if (turn > 0).all():
            break
        kept = kept[np.concatenate([[True], turn > 0, [True]])]
    return kept


def _largest(rejected: Callable[[float], float]) -> float:
    """Where a falling function crosses 0; 0 where it never was above."""
    if rejected(0.0) <= 0:
        return 0.0
    low, high = 0.0, 1.0
    while rejected(high) > 0:
        low, high = high, 2 * high
        if high > 1e4:
            return high
    return float(brentq(rejected, low, high, xtol=1e-9))


def _checked(m: int, r: int, v: int) -> None:
    if not 0 <= v <= r <= m or r < 1:
        raise ValueError(f"expected 0 <= v <= r <= m and a guess at least, got m={m}, r={r}, v={v}")
