"""Class prototypes: where gradients of log p of a class lead from the average row, and how alike that is to a class's mean and to single records.

Rows are compared by the cosine between their deviations from the average row, in standard deviations, over the numbers that may move; what is
missing deviates by 0. 1 is the same direction, 0 none in common, −1 the opposite.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from audit.measurement import Estimate
from audit.stats.clusters import Draws
from audit.subject.frame import Categories, rows

if TYPE_CHECKING:
    from numpy.random import Generator
    from numpy.typing import NDArray

    from audit.subject.frame import Frame

    Floats = NDArray[np.float64]

#: A gradient costs as much as so many answers.
GRADIENT = 3
REPLICATES = 500


@dataclass(frozen=True)
class Start:
    """The average row of a frame: categories at their most frequent value. `free` are the places (f,) of the d numbers of a row that vary, `mean`,
    `deviation`, `low` and `high` (f,) what is known of them."""

    values: dict[str, Any]
    free: NDArray[np.int64]
    mean: Floats
    deviation: Floats
    low: Floats
    high: Floats

    def frame(self, count: int) -> Frame:
        """So many copies of it."""
        return {
            name: Categories(np.full(count, code, np.int32), vocabulary)
            if vocabulary is not None
            else np.repeat(value[None], count, axis=0)
            for name, (value, code, vocabulary) in self.values.items()
        }

    def moved(self, found: Floats) -> Frame:
        """Rows (n, d) as an attack hands them back, as the model takes them: numbers that may move, brought between their ends; all else as it was."""
        out, place = self.frame(len(found)), 0
        inside = np.clip(found[:, self.free], self.low, self.high)
        for name, (value, _, vocabulary) in self.values.items():
            width = 1 if vocabulary is not None else value.size
            here = np.flatnonzero((self.free >= place) & (self.free < place + width))
            if len(here):
                column = np.asarray(out[name]).reshape(len(found), -1)
                column[:, self.free[here] - place] = inside[:, here]
            place += width
        return out

    def deviations(self, frame: Frame) -> Floats:
        """(n, f)."""
        found = (_matrix(frame)[:, self.free] - self.mean) / self.deviation
        return np.where(np.isfinite(found), found, 0.0)


def start_of(frame: Frame) -> Start:
    """The average of these rows."""
    matrix = _matrix(frame)
    known = np.isfinite(matrix).any(axis=0)
    spread, mean = np.zeros(matrix.shape[1]), np.full(matrix.shape[1], np.nan)
    spread[known], mean[known] = np.nanstd(matrix[:, known], axis=0), np.nanmean(matrix[:, known], axis=0)
    values: dict[str, Any] = {}
    place, numbers = 0, []
    for name, column in frame.items():
        if isinstance(column, Categories):
            code = int(np.bincount(column.codes[column.codes >= 0], minlength=1).argmax()) if (column.codes >= 0).any() else -1
            values[name], width = (None, code, column.vocabulary), 1
        else:
            width = 1 if column.ndim == 1 else column.shape[1]
            kind = column.dtype if column.dtype.kind == "f" else np.dtype(np.float64)
            values[name] = (mean[place : place + width].astype(kind).reshape(column.shape[1:]), None, None)
            numbers += list(range(place, place + width))
        place += width
    free = np.array([j for j in numbers if spread[j] > 0], dtype=np.int64)
    inside = matrix[:, free]
    return Start(values, free, mean[free], spread[free], np.nanmin(inside, axis=0), np.nanmax(inside, axis=0))


def _matrix(frame: Frame) -> Floats:
    """(n, d): numbers as they are, of categories 0."""
    parts = [
        np.zeros((rows(frame), 1)) if isinstance(c, Categories) else np.asarray(c, dtype=np.float64).reshape(len(c), -1)
        for c in frame.values()
    ]
    return np.concatenate(parts, axis=1)


def cosines(one: Floats, others: Floats) -> Floats:
    """Cosine (n,) of a row (f,) with each of others (n, f); 0 with one that does not deviate."""
    length = np.linalg.norm(one) * np.linalg.norm(others, axis=1)
    return np.asarray(others @ one / np.where(length > 0, length, 1.0))


def to_mean(one: Floats, members: Floats, *, level: float, rng: Generator) -> Estimate:
    """Cosine of a row (f,) with the mean of two members or more (n, f), percentile bootstrap over the members. Efron and Tibshirani 1993, §13.3."""
    n = len(members)
    value = float(cosines(one, members.mean(axis=0)[None])[0])
    drawn = cosines(one, Draws(n, rng, REPLICATES).of(members) / n)
    low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2])
    return Estimate(value=value, low=min(float(low), value), high=max(float(high), value), level=level, method="bootstrap", n=n)
