"""Rows as named columns of arrays: what goes to a model, and what explainers move about."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Categories:
    """A column of strings: `codes` int32 (n,), -1 where missing; code i stands for `vocabulary[i]`."""

    codes: NDArray[np.int32]
    vocabulary: tuple[str, ...]


Column = NDArray[Any] | Categories
Frame = dict[str, Column]


def rows(frame: Frame) -> int:
    """Number of rows; 0 for a frame without columns."""
    for column in frame.values():
        return len(column.codes) if isinstance(column, Categories) else len(column)
    return 0


def take(frame: Frame, index: NDArray[np.intp] | slice) -> Frame:
    """The rows at `index`, in its order."""
    return {
        name: Categories(column.codes[index], column.vocabulary) if isinstance(column, Categories) else column[index] for name, column in frame.items()
    }


def label_text(value: Any) -> str:
    """A label as text, as DuckDB casts it: "1" for 1 and 1.0, "true" and "false" for booleans."""
    if isinstance(value, bool | np.bool_):
        return "true" if value else "false"
    if isinstance(value, float | np.floating) and float(value).is_integer():
        return str(int(value))
    return str(value)
