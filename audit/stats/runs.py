"""Scores with a yes/no outcome in rising order, however many rows there are: sorted runs in a file, merged by ranges of the score.

Memory holds one run or one range at a time (a few MB), not the rows; the result is that of `ranked.rank`, cut into pieces between scores.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from audit.stats._inputs import Floats, Ints, binary, finite
from audit.stats.ranked import Ranked

Keys = NDArray[np.uint64]
ROWS = 262_144  # of one run, and about as many keys in one range
STEP = 1024  # keys between two that memory keeps of a run
TIES = 16  # a run in which a score occurs more often holds counts
_ZERO, _ONE = np.uint64(1 << 62), np.uint64(1)


class _Run(NamedTuple):
    """Keys in rising order at `offset` of the file, behind them their counts where a key may stand for several rows; every `STEP`-th key."""

    offset: int
    size: int
    counted: bool
    marks: Keys


class Runs:
    """Takes scores in (-2, 2), such as probabilities, in any order and number; use it as a context manager.

    The file has no name, so nobody else can open it and nothing remains of it.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._file = tempfile.TemporaryFile(dir=folder, buffering=0)  # noqa: SIM115 -- `__exit__` closes it
        self._runs: list[_Run] = []
        self.positives = self.negatives = 0

    def __enter__(self) -> Runs:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._file.close()

    @property
    def rows(self) -> int:
        """Rows so far."""
        return self.positives + self.negatives

    def pieces(self) -> Iterator[Ranked]:
        """As `ranked`: what a `ranked.Table` offers."""
        return self.ranked()

    def add(self, scores: ArrayLike, y: ArrayLike) -> None:
        """More rows: scores and outcomes in {0, 1}, both of shape (n,). ValueError where one is not finite or out of range."""
        values = finite("scores", scores).astype(np.float64, copy=False)
        one = binary("y", y, values.size)
        if values.size and not (values.min() > -2.0 and values.max() < 2.0):
            raise ValueError(f"expected scores in (-2, 2), got [{values.min()}, {values.max()}]")
        events = int(np.count_nonzero(one))
        self.positives, self.negatives = self.positives + events, self.negatives + values.size - events
        for start in range(0, values.size, ROWS):
            keys = _packed(values[start : start + ROWS], one[start : start + ROWS])
            keys.sort()
            self._write(keys)

    def _write(self, keys: Keys) -> None:
        offset, counts = self._file.seek(0, os.SEEK_END), None
        if keys.size > TIES and bool((keys[TIES:] == keys[:-TIES]).any()):
            last = _last(keys)
            keys, counts = keys[last], np.diff(last, prepend=-1)
        self._file.write(keys.data)
        if counts is not None:
            self._file.write(counts.astype(np.int64).data)
        self._runs.append(_Run(offset, keys.size, counts is not None, keys[::STEP].copy()))

    def ranked(self) -> Iterator[Ranked]:
        """The table of all rows, in pieces of rising scores; no score stands in two of them."""
        if not self._runs:
            return
        marks = np.sort(np.concatenate([run.marks for run in self._runs]))
        bounds = np.unique(marks[ROWS // STEP :: ROWS // STEP] & ~_ONE)  # both outcomes of a score lie on one side
        starts = [0] * len(self._runs)
        for bound in [*bounds, None]:
            ends = [run.size if bound is None else self._place(run, bound) for run in self._runs]
            table = self._merged(starts, ends)
            if table is not None:
                yield table
            starts = ends

    def _place(self, run: _Run, bound: np.uint64) -> int:
        """How many keys of a run lie below a bound."""
        after = int(np.searchsorted(run.marks, bound))
        if after == 0:
            return 0
        start = (after - 1) * STEP
        part = np.empty(min(STEP, run.size - start), dtype=np.uint64)
        self._read(part, run.offset + 8 * start)
        return start + int(np.searchsorted(part, bound))

    def _read(self, into: NDArray[np.uint64] | NDArray[np.int64], offset: int) -> None:
        """Fill an array from the file."""
        if into.size and os.preadv(self._file.fileno(), [into.data], offset) != into.nbytes:
            raise OSError("the file of sorted scores was cut short")

    def _merged(self, starts: list[int], ends: list[int]) -> Ranked | None:
        """The keys of all runs between two places of each."""
        size = sum(ends) - sum(starts)
        if size == 0:
            return None
        keys = np.empty(size, dtype=np.uint64)
        chosen = [(run, a, b) for run, a, b in zip(self._runs, starts, ends, strict=True) if b > a]
        counts = np.ones(size, dtype=np.int64) if any(run.counted for run, _, _ in chosen) else None
        at = 0
        for run, a, b in chosen:
            self._read(keys[at : at + b - a], run.offset + 8 * a)
            if run.counted and counts is not None:
                self._read(counts[at : at + b - a], run.offset + 8 * (run.size + a))
            at += b - a
        if counts is None:
            keys.sort()
        else:
            order = np.argsort(keys)
            keys, counts = keys[order], counts[order]
        return _table(keys, counts)


def _packed(values: Floats, one: NDArray[np.bool_]) -> Keys:
    """Keys that rise with the score, then with the outcome: below 2 the highest bit of the exponent is free, and the sign moves into it."""
    bits: Keys = (values + 0.0).view(np.uint64)  # −0.0 becomes 0.0
    if values.size and values.min() < 0:
        bits = np.where(values < 0, _ZERO - _ONE - (bits & (_ZERO - _ONE)), bits | _ZERO)
    else:
        bits |= _ZERO
    bits <<= _ONE
    bits |= one
    return bits


def _scores(bits: Keys) -> Floats:
    """The scores that the keys without outcome were made of."""
    positive = bits & (_ZERO - _ONE)
    if bits[0] < _ZERO:
        return np.where(bits < _ZERO, -(_ZERO - _ONE - positive).view(np.float64), positive.view(np.float64))
    return positive.view(np.float64)


def _last(keys: Keys) -> NDArray[np.intp]:
    """The last place of each distinct key."""
    return np.append(np.flatnonzero(keys[1:] != keys[:-1]), keys.size - 1)


def _table(keys: Keys, counts: Ints | None) -> Ranked:
    bits = keys >> _ONE
    keys &= _ONE
    events: Ints = keys.view(np.int64)
    last = _last(bits)
    if counts is not None:
        positives = np.diff(np.cumsum(counts * events)[last], prepend=0)
        return Ranked(_scores(bits[last]), positives, np.diff(np.cumsum(counts)[last], prepend=0) - positives)
    if last.size == keys.size:  # all scores differ
        return Ranked(_scores(bits), events, 1 - events)
    positives = np.diff(np.cumsum(events)[last], prepend=0)
    return Ranked(_scores(bits[last]), positives, np.diff(last, prepend=-1) - positives)
