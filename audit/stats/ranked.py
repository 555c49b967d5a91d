"""Scores with a yes/no outcome, counted per distinct score: enough for every rank metric and every calibration figure.

The table does not depend on the order of the rows, so nothing that is computed from it does.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from audit.stats._inputs import Floats, Ints, binary, finite
from audit.stats.sums import Moments


class Table(Protocol):
    """Rows by rising score, in pieces that may be read again: a `Ranked` held in memory, or `runs.Runs` from a file."""

    @property
    def rows(self) -> int:
        """Number of rows."""
        ...

    def pieces(self) -> Iterator[Ranked]:
        """The table in pieces of rising scores; no score stands in two of them."""
        ...


class Ranked(NamedTuple):
    """Distinct scores in rising order, and how many rows with outcome 1 and 0 have each; arrays of shape (distinct,)."""

    scores: Floats
    positives: Ints
    negatives: Ints

    @property
    def rows(self) -> int:
        return int(self.positives.sum() + self.negatives.sum())

    def pieces(self) -> Iterator[Ranked]:
        """Itself, where it has rows."""
        if self.scores.size:
            yield self


def moments_of(table: Table, value: Callable[[Floats, int], Floats]) -> Moments | None:
    """Mean and variance over the rows of value(score, outcome), in any number of pieces; None for no rows. Chan, Golub and LeVeque 1983."""
    parts: list[tuple[int, float, float]] = []
    for piece in table.pieces():
        n, one, zero = piece.rows, value(piece.scores, 1), value(piece.scores, 0)
        mean = (float(np.sum(piece.positives * one)) + float(np.sum(piece.negatives * zero))) / n
        squares = float(np.sum(piece.positives * (one - mean) ** 2)) + float(np.sum(piece.negatives * (zero - mean) ** 2))
        parts.append((n, mean, squares))
    rows = sum(n for n, _, _ in parts)
    if not rows:
        return None
    mean = parts[0][1] if len(parts) == 1 else math.fsum(n * m for n, m, _ in parts) / rows
    squares = math.fsum([*(s for _, _, s in parts), *(n * (m - mean) ** 2 for n, m, _ in parts)])
    return Moments(rows, mean, squares / (rows - 1) if rows > 1 else 0.0)


def rank_two(pos: ArrayLike, neg: ArrayLike) -> Ranked:
    """The table of two samples of scores: rows with outcome 1 and rows with outcome 0. Ties are exact.

    float32 and float64 are kept apart only if both samples are float32; ValueError where a score is not finite.
    """
    ones, zeros = finite("pos", pos), finite("neg", neg)
    ones = np.sort(ones.astype(np.result_type(ones, zeros), copy=False)) + 0.0  # −0.0 becomes 0.0
    both = np.concatenate([ones, zeros.astype(ones.dtype, copy=False)])
    both += 0.0
    both.sort()
    if both.size == 0:
        return Ranked(np.zeros(0), np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64))
    last = np.flatnonzero(np.append(both[1:] != both[:-1], True))
    distinct = both[last]
    positives = np.diff(np.searchsorted(ones, distinct, side="right"), prepend=0)
    negatives = np.diff(last, prepend=-1) - positives
    return Ranked(distinct.astype(np.float64), positives.astype(np.int64), negatives.astype(np.int64))


def rank(scores: ArrayLike, y: ArrayLike) -> Ranked:
    """The table of scores and outcomes y in {0, 1}, both of shape (n,). ValueError where a score is not finite or y something else."""
    values = finite("scores", scores)
    one = binary("y", y, values.size)
    if values.size and values.dtype == np.float64 and values.min() >= 0:
        return _rank_packed(values, one)
    return rank_two(values[one], values[~one])


def _rank_packed(values: Floats, one: NDArray[np.bool_]) -> Ranked:
    """The table of scores >= 0 by one sort: their bits rise with them and leave the sign bit free for the outcome."""
    keys = (values + 0.0).view(np.uint64)  # −0.0 becomes 0.0
    keys <<= np.uint64(1)
    keys |= one
    keys.sort()
    bits = keys >> np.uint64(1)
    last = np.flatnonzero(bits[1:] != bits[:-1])
    last = np.append(last, keys.size - 1)
    keys &= np.uint64(1)
    if last.size == keys.size:  # all scores differ
        positives = keys.view(np.int64)
        return Ranked(bits.view(np.float64), positives, 1 - positives)
    positives = np.diff(np.cumsum(keys.view(np.int64))[last], prepend=0)
    return Ranked(bits[last].view(np.float64), positives, np.diff(last, prepend=-1) - positives)
