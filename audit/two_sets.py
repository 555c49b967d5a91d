"""Two sets of rows with the same inputs side by side: as one frame, and as points whose distances mean something."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from audit.subject.frame import Array, Categories, Frame

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

#: Values of a category beyond which the rarer ones are one.
LEVELS = 30


def single(frame: Frame) -> Frame:
    """The inputs that hold one value a row."""
    return {name: column for name, column in frame.items() if isinstance(column, Categories) or column.ndim == 1}


def together(one: Frame, two: Frame) -> Frame:
    """The rows of both, the first set's first; categories with one vocabulary for both, dates as days, numbers as float64."""
    return {name: _both(one[name], two[name]) for name in one}


def _both(one: Array | Categories, two: Array | Categories) -> Array | Categories:
    if isinstance(one, Categories) and isinstance(two, Categories):
        vocabulary = tuple(sorted({*one.vocabulary, *two.vocabulary}))
        place = {value: i for i, value in enumerate(vocabulary)}
        codes = [np.array([*(place[v] for v in c.vocabulary), -1], dtype=np.int32)[c.codes] for c in (one, two)]
        return Categories(np.concatenate(codes), vocabulary)
    return np.concatenate([numbers(c) for c in (one, two)])


def numbers(column: Array | Categories) -> Floats:
    """A column that is no category as float64 with NaN for what is missing or infinite; dates in days."""
    assert not isinstance(column, Categories)
    if column.dtype.kind == "M":
        return np.where(np.isnat(column), np.nan, column.astype("datetime64[s]").astype(np.int64) / 86_400)
    x = column.astype(np.float64)
    return np.where(np.isfinite(x), x, np.nan)


class _Number(NamedTuple):
    """A column of numbers: the middle and spread of the rows that the space was made of, and whether some lack it."""

    mean: float
    sd: float
    gaps: bool


class Space:
    """Rows as points: numbers in standard deviations of the rows given here, categories so that two different values are a distance of 1 apart.

    A missing number is at the mean with a column that says so. Rows of other sets are placed by the same means and deviations.
    """

    def __init__(self, frame: Frame) -> None:
        self._made: dict[str, _Number | Array] = {}
        for name, column in frame.items():
            if isinstance(column, Categories):
                sizes = np.bincount(column.codes + 1, minlength=len(column.vocabulary) + 1)
                kept = np.argsort(-sizes, kind="stable")[:LEVELS]
                self._made[name] = np.sort(kept[sizes[kept] > 0]) - 1
            else:
                x = numbers(column)
                known = x[np.isfinite(x)]
                self._made[name] = _Number(
                    float(known.mean()) if len(known) else 0.0, float(known.std()) or 1.0 if len(known) else 1.0, len(known) < len(x)
                )

    def points(self, frame: Frame) -> Floats:
        """Rows (n, d); the frame's categories have the vocabulary of the frame that the space was made of."""
        columns: list[Floats] = []
        for name, how in self._made.items():
            column = frame[name]
            if isinstance(how, _Number):
                x = (numbers(column) - how.mean) / how.sd
                columns.append(np.nan_to_num(x)[:, None])
                if how.gaps:
                    columns.append(np.isnan(x).astype(np.float64)[:, None])
            else:
                assert isinstance(column, Categories)
                columns.append((column.codes[:, None] == how).astype(np.float64) / np.sqrt(2.0))
        return np.concatenate(columns, axis=1)
