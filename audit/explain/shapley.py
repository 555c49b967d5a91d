"""Shapley values of cooperative games: by all coalitions, or by regression over pairs of them, with standard errors and a rule when to stop."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from audit.explain.coalitions import KernelPairs, LeveragePairs, Pairs, everything
from audit.explain.parts import together

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from audit.explain.parts import Game

    Floats = NDArray[np.float64]
    Bools = NDArray[np.bool_]

Sampler = Literal["kernel_shap", "leverage_shap"]
#: Up to so many parts every coalition is asked.
MOST_EXACT = 12
#: A row's values have settled where the largest standard error is at most this share of their range (Covert and Lee 2021).
PRECISION = 0.01
#: What a residual is divided by at least: a pair that alone decides its own fit says nothing about its error.
LEFT = 1e-6


class Shapley(NamedTuple):
    """`values` (n, d, k) and `base` (n, k), the value of no parts; values.sum(1) + base is the value of all of them, up to rounding.

    `error` (n, d, k) are standard errors of the draw of coalitions, None where nothing was drawn; infinite where they were too few to tell.
    `asked` counts coalitions for each row, (n,).
    """

    values: Floats
    base: Floats
    error: Floats | None
    asked: NDArray[np.int64]


def exact(games: Sequence[Game], d: int) -> Shapley:
    """Shapley's formula over all 2^d coalitions of each game (Shapley 1953)."""
    masks = everything(d)
    size = masks.sum(axis=1)
    numbers = np.arange(len(masks))
    found = together(games, masks)
    values = np.empty((len(games), d, found.shape[2]))
    for j in range(d):
        without = numbers[~masks[:, j]]
        weight = np.array([1 / (d * math.comb(d - 1, s)) for s in range(d)])[size[without]]
        values[:, j] = np.tensordot(found[:, without | 1 << j] - found[:, without], weight, axes=(1, 0))
    return Shapley(values, found[:, 0], None, np.full(len(games), len(masks), dtype=np.int64))


def sampled(
    games: Sequence[Sequence[Game]],
    d: int,
    *,
    sampler: Sampler,
    coalitions: int,
    rng: np.random.Generator,
    shares: Sequence[float] = (1.0,),
    precision: float = PRECISION,
) -> Shapley:
    """Shapley values by regression over pairs of coalitions, from at most about `coalitions` a game on average.

    Each game is given as those of which it is the mean with weights `shares`: one for each part of the background, say. As Shapley values are
    linear, each is solved on a draw of its own, and what one draw leaves open averages out over the others; the draws are the same for all
    games. A coalition asked of a part counts as that share of one.

    The draws are doubled for the games whose values have not settled: where the largest standard error exceeds `precision` times the range of
    the values. What games that settled early leave is at the others' disposal. A game with an undefined answer is given up at once: its
    values are NaN. With interactions of at most two parts any draw of full rank is exact.
    """
    n, share = len(games), np.asarray(shares) / np.sum(shares)
    draws: list[Pairs] = [LeveragePairs(d, rng) if sampler == "leverage_shap" else KernelPairs(d, rng) for _ in share]
    none_and_all = np.array([[False] * d, [True] * d])
    ends = np.stack([together([row[g] for row in games], none_and_all) for g in range(len(share))], axis=1)
    k = ends.shape[3]
    base, moved = np.tensordot(ends[:, :, 0], share, (1, 0)), ends[:, :, 1] - ends[:, :, 0]
    values, error = np.full((n, d, k), np.nan), np.full((n, d, k), np.inf)
    asked = np.full(n, 2, dtype=np.int64)
    left, pending = n * max(0, coalitions - 2), np.flatnonzero(np.isfinite(ends).all(axis=(1, 2, 3)))
    masks, odd = [np.zeros((0, d), dtype=bool) for _ in share], [np.zeros((n, 0, k)) for _ in share]
    wanted = min(first(d), left // (2 * n))
    while len(pending) and wanted > len(masks[0]):
        new = [pairs.grow(wanted) for pairs in draws]
        if not len(new[0]):
            break
        left -= 2 * len(new[0]) * len(pending)
        asked[pending] += 2 * len(new[0])
        parts = []
        for g, some in enumerate(new):
            odd[g] = np.concatenate([odd[g], _odd_parts([row[g] for row in games], some, pending, k)], axis=1)
            masks[g] = np.concatenate([masks[g], some])
            parts.append(regression(masks[g], *draws[g].weights(), odd[g][pending], moved[pending, g]))
        values[pending] = sum(part * v for part, (v, _) in zip(share, parts, strict=True))
        error[pending] = np.sqrt(sum((part * e) ** 2 for part, (_, e) in zip(share, parts, strict=True)))
        pending = pending[unsettled(values[pending], error[pending]) > precision]  # NaN is not: what is undefined stays so
        wanted = len(masks[0]) + min(len(masks[0]), left // (2 * max(1, len(pending))))
    return Shapley(values, base, error, asked)


def _odd_parts(games: Sequence[Game], masks: Bools, pending: NDArray[np.intp], k: int) -> Floats:
    """Half of v(z) − v(complement) of the pending games, (n, m, k); NaN for the others."""
    found = np.full((len(games), len(masks), k), np.nan)
    both = np.concatenate([masks, ~masks])
    answers = together([games[i] for i in pending.tolist()], both)
    found[pending] = (answers[:, : len(masks)] - answers[:, len(masks) :]) / 2
    return found


def first(d: int) -> int:
    """Pairs of the first draw: four for each part, and 64 at least."""
    return max(4 * d, 64)


def unsettled(values: Floats, error: Floats) -> Floats:
    """The largest standard error in the range of the values (n, d, k), worst over the outputs, (n,); 0 where nothing is left to chance."""
    spread, worst = np.ptp(values, axis=1), error.max(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(worst == 0, 0.0, worst / spread)
    found: Floats = np.where(np.isnan(values).any(axis=1), np.nan, np.where(np.isnan(ratio), np.inf, ratio)).max(axis=1)
    return found


def regression(masks: Bools, weight: Floats, chance: Floats, odd: Floats, moved: Floats) -> tuple[Floats, Floats]:
    """Values and their standard errors, both (n, d, k), from m pairs: `odd` (n, m, k) is half of v(z) − v(complement), `moved` (n, k) is
    v(all) − v(none), to which the values of a row add up.

    Kernel SHAP's weighted least squares (Lundberg and Lee 2017) with its constraint solved for: in a pair only the odd part speaks of the values,
    as the even part is the same for all of them. The errors are a jackknife over pairs (HC3: MacKinnon and White 1985), reduced for sizes of
    which all or many coalitions were drawn.
    """
    n, m, k = odd.shape
    d = masks.shape[1]
    x = masks - 0.5
    basis = _without_ones(d)
    design = x @ basis
    even = moved.reshape(1, n * k) / d
    target = odd.transpose(1, 0, 2).reshape(m, n * k) - x.sum(axis=1)[:, None] * even
    weighted = design * weight[:, None]
    gram = weighted.T @ design
    inverse = np.linalg.pinv(gram, hermitian=True)
    slope = inverse @ (weighted.T @ target)
    values = even + basis @ slope
    if np.linalg.matrix_rank(design) < d - 1 or (m <= d - 1 and chance.any()):
        error = np.full_like(values, np.inf)
    else:
        own = np.einsum("ij,ij->i", weighted @ inverse, design)
        scale = weight * np.sqrt(chance) / np.maximum(1 - own, LEFT)
        error = np.sqrt((basis @ inverse @ design.T) ** 2 @ (scale[:, None] * (target - design @ slope)) ** 2)
    shape = (d, n, k)
    return values.reshape(shape).transpose(1, 0, 2), error.reshape(shape).transpose(1, 0, 2)


def _without_ones(d: int) -> Floats:
    """Orthonormal columns (d, d − 1) that are all orthogonal to (1, …, 1)."""
    from scipy.linalg import helmert

    return np.asarray(helmert(d), dtype=np.float64).T
