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


class _Cutter:
    """Pieces of any length in, blocks of 65,536 rows out, in order."""

    def __init__(self) -> None:
        self._held: list[Floats] = []
        self._size = 0

    def cut(self, piece: ArrayLike) -> Iterator[Floats]:
        """The blocks that this piece fills."""
        rest = finite("values", piece).astype(np.float64, copy=False)
        while self._size + rest.size >= BLOCK:
            head = rest[: BLOCK - self._size]
            yield np.concatenate([*self._held, head])
            rest, self._held, self._size = rest[head.size :], [], 0
        if rest.size:
            self._held.append(rest.copy())  # the caller may fill its array anew
            self._size += rest.size

    def rest(self) -> Iterator[Floats]:
        """The last block, where rows are left."""
        if self._held:
            yield np.concatenate(self._held)


def _finite_sum(name: str, terms: list[float]) -> float:
    try:
        total = math.fsum(terms)
    except (OverflowError, ValueError):
        total = math.inf
    if not math.isfinite(total):
        raise ValueError(f"expected a finite {name}, got one beyond the range of floats")
    return total


class Summing:
    """Mean and variance of rows that arrive in pieces, in their order; where the pieces were cut does not matter.

    Sums of blocks of 65,536 rows and their squared deviations, each added up exactly (Shewchuk 1997, `math.fsum`); blocks are merged after
    Chan, Golub and LeVeque 1983. ValueError where a value is not finite or a sum is beyond the range of floats.
    """

    def __init__(self) -> None:
        self._cutter = _Cutter()
        self._blocks: list[tuple[int, float, float]] = []  # rows, sum, squared deviations

    def add(self, piece: ArrayLike) -> None:
        """More rows, of shape (k,)."""
        self._blocks += [_summed(block) for block in self._cutter.cut(piece)]

    def moments(self) -> Moments | None:
        """Of all rows so far; None for no rows."""
        return _merged(self._blocks + [_summed(block) for block in self._cutter.rest()])


class Grouped:
    """Mean and variance per code of rows that arrive in blocks: `size` codes. The blocks are part of the definition, so cut them where the table does."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._blocks: list[tuple[Floats, Floats, Floats]] = []  # rows, sums, squared deviations, each (size,)

    def add(self, codes: ArrayLike, values: ArrayLike) -> None:
        """More rows: the code of each in [0, size) and its value, both of shape (k,). ValueError where a value is not finite."""
        place, x = np.asarray(codes), finite("values", values).astype(np.float64, copy=False)
        rows = np.bincount(place, minlength=self.size).astype(np.float64)
        with np.errstate(over="ignore", invalid="ignore"):
            sums = np.bincount(place, weights=x, minlength=self.size)
            squares = np.bincount(place, weights=(x - (sums / np.maximum(rows, 1))[place]) ** 2, minlength=self.size)
        self._blocks.append((rows, np.asarray(sums, np.float64), np.asarray(squares, np.float64)))

    def moments(self) -> list[Moments | None]:
        """Of all rows so far, a code each; None where a code has no rows."""
        return [self._of(code) for code in range(self.size)]

    def _of(self, code: int) -> Moments | None:
        blocks = [(int(n[code]), float(s[code]), float(q[code])) for n, s, q in self._blocks if n[code]]
        return _merged(blocks)


def together(parts: Iterable[Moments]) -> Moments | None:
    """The moments of several sets of rows as one; None for no rows. Chan, Golub and LeVeque 1983."""
    return _merged([(m.n, m.n * m.mean, max(m.n - 1, 0) * m.variance) for m in parts if m.n])


def _merged(blocks: list[tuple[int, float, float]]) -> Moments | None:
    """Blocks of (rows, sum, squared deviations) as one."""
    n = sum(size for size, _, _ in blocks)
    if n == 0:
        return None
    mean = _finite_sum("sum", [total for _, total, _ in blocks]) / n
    if n == 1:
        return Moments(1, mean, 0.0)
    between = [size * (total / size - mean) * (total / size - mean) for size, total, _ in blocks]
    return Moments(n, mean, _finite_sum("sum of squares", [*(squares for _, _, squares in blocks), *between]) / (n - 1))


def _summed(block: Floats) -> tuple[int, float, float]:
    with np.errstate(over="ignore", invalid="ignore"):
        total = float(np.sum(block))
        return block.size, total, float(np.sum((block - total / block.size) ** 2))


def moments_of_pieces(pieces: Iterable[ArrayLike]) -> Moments | None:
    """Mean and variance of the rows of all pieces, as `Summing` has them. None for no rows."""
    summing = Summing()
    for piece in pieces:
        summing.add(piece)
    return summing.moments()


def moments(values: ArrayLike) -> Moments | None:
    """Mean and variance of one column of shape (n,); see `Summing`."""
    return moments_of_pieces([values])


def total(values: ArrayLike) -> float:
    """Sum of one column by the same blocks; 0 for no rows. ValueError as for `Summing`."""
    cutter = _Cutter()
    with np.errstate(over="ignore", invalid="ignore"):
        sums = [float(np.sum(block)) for block in cutter.cut(values)]
        return _finite_sum("sum", sums + [float(np.sum(block)) for block in cutter.rest()])
