"""Rows on their way to a model: plain arrays by feature, strings as integer codes (NumPy only)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


@dataclass(frozen=True)
class Categories:
    """A column of strings: `codes` int32 of shape (n,), -1 = missing; code c stands for vocabulary[c]."""

    codes: Array
    vocabulary: tuple[str, ...]

    def __post_init__(self) -> None:
        if self.codes.dtype != np.int32 or self.codes.ndim != 1:
            raise TypeError(f"codes are int32 of shape (n,), got {self.codes.dtype} of shape {self.codes.shape}")

    @classmethod
    def of(cls, texts: Sequence[str | None]) -> Categories:
        """A column of these texts, n in their order; None is missing."""
        place = {text: code for code, text in enumerate(dict.fromkeys(text for text in texts if text is not None))}
        return cls(np.array([-1 if text is None else place[text] for text in texts], dtype=np.int32), tuple(place))


Frame = dict[str, Array | Categories]
"""Columns by feature, in the order of the features: arrays (n,) of float64, float32, int64, bool or datetime64[ns], (n, d) for lists."""


def column_rows(column: Array | Categories) -> int:
    """Number of rows of one column."""
    return len(column.codes) if isinstance(column, Categories) else len(column)


def rows(frame: Frame) -> int:
    """Number of rows; raises where the columns do not agree. A frame without columns has 0."""
    counts = {name: column_rows(column) for name, column in frame.items()}
    if len(set(counts.values())) > 1:
        raise ValueError(f"columns of one frame have the same number of rows, got {counts}")
    return next(iter(counts.values()), 0)


def take(frame: Frame, index: Any) -> Frame:
    """The rows at `index` (positions, a boolean mask or a slice), as a new frame."""
    return {
        name: Categories(column.codes[index], column.vocabulary) if isinstance(column, Categories) else column[index]
        for name, column in frame.items()
    }


def label_text(value: Any) -> str:
    """The canonical text of a label: "1" for 1, 1.0 and np.int64(1); "true" and "false" for booleans; str() of all else."""
    if isinstance(value, bool | np.bool_):
        return "true" if value else "false"
    if isinstance(value, int | np.integer):
        return str(int(value))
    if isinstance(value, float | np.floating):
        number = float(value)
        return str(int(number)) if number.is_integer() else repr(number)
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return str(value)


def label_codes(values: Any, classes: Iterable[str]) -> Array:
    """Position of each label in `classes` as float64 of shape (n,), -1 where it is not among them."""
    place = {name: code for code, name in enumerate(classes)}
    array = np.asarray(values).reshape(-1)
    if array.dtype == object:
        return np.fromiter((place.get(label_text(v), -1) for v in array), dtype=np.float64, count=len(array))
    unique, inverse = np.unique(array, return_inverse=True)
    codes = np.array([place.get(label_text(v), -1) for v in unique], dtype=np.float64)
    return codes[inverse.reshape(-1)] if len(unique) else np.empty(0)
