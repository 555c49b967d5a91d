"""Sums, means and variances of columns that have the same digits however many threads read them and however they arrived in pieces."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from audit.stats._inputs import Floats, finite

BLOCK = 65_536


class Moments(NamedTuple):
    """Rows, their mean, and their variance with n − 1 (0 for fewer than 2 rows, which is why n travels along)."""

    n: int
    mean: float
    variance: float


def _blocks(pieces: Iterable[ArrayLike]) -> Iterator[Floats]:
    """The rows of all pieces in order, cut anew every 65,536 rows."""
    held: list[Floats] = []
    size = 0
    for piece in pieces:
        rest = finite("values", piece).astype(np.float64, copy=False)
        while size + rest.size >= BLOCK:
            yield np.concatenate([*held, rest[: BLOCK - size]])
            rest, held, size = rest[BLOCK - size :], [], 0
        if rest.size:
            held.append(rest)
            size += rest.size
    if held:
        yield np.concatenate(held)


def _finite_sum(name: str, terms: list[float]) -> float:
    try:
        total = math.fsum(terms)
    except (OverflowError, ValueError):
        total = math.inf
    if not math.isfinite(total):
        raise ValueError(f"expected a finite {name}, got one beyond the range of floats")
    return total


def moments_of_pieces(pieces: Iterable[ArrayLike]) -> Moments | None:
    """Mean and variance of the rows of all pieces, in their order; where the pieces were cut does not matter. None for no rows.

    Sums of blocks of 65,536 rows and their squared deviations, each added up exactly (Shewchuk 1997, `math.fsum`); blocks are merged after
    Chan, Golub and LeVeque 1983. ValueError where a value is not finite or a sum is beyond the range of floats.
    """
    sizes: list[int] = []
    sums: list[float] = []
    squares: list[float] = []
    with np.errstate(over="ignore", invalid="ignore"):
        for block in _blocks(pieces):
            total = float(np.sum(block))
            sizes.append(block.size)
            sums.append(total)
            squares.append(float(np.sum((block - total / block.size) ** 2)))
    n = sum(sizes)
    if n == 0:
        return None
    mean = _finite_sum("sum", sums) / n
    if n == 1:
        return Moments(1, mean, 0.0)
    between = [size * (total / size - mean) * (total / size - mean) for size, total in zip(sizes, sums, strict=True)]
    return Moments(n, mean, _finite_sum("sum of squares", [*squares, *between]) / (n - 1))


def moments(values: ArrayLike) -> Moments | None:
    """Mean and variance of one column of shape (n,); see `moments_of_pieces`."""
    return moments_of_pieces([values])


def total(values: ArrayLike) -> float:
    """Sum of one column by the same blocks; 0 for no rows. ValueError as for `moments_of_pieces`."""
    with np.errstate(over="ignore", invalid="ignore"):
        return _finite_sum("sum", [float(np.sum(block)) for block in _blocks([values])])
