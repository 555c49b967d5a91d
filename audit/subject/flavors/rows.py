"""Rows as a model wants them: a DataFrame of the signature's types, or one matrix. Everything is copied out of the shared memory."""

from __future__ import annotations

import mmap
from typing import Any

import numpy as np

from audit.subject.frame import Array, label_codes, label_text

BLOCK = 8192
DTYPES = {"double": "float64", "float": "float32", "long": "int64", "integer": "int32", "boolean": "bool", "datetime": "datetime64[ns]"}


class Rows:
    """n rows as they lie in the input memory; `columns` is (name, read-only array, vocabulary or None)."""

    def __init__(self, memory: mmap.mmap, layout: list[list[Any]], n: int, spec: dict[str, Any]) -> None:
        self.n = n
        self.inputs: list[dict[str, Any]] = spec["inputs"]
        self._metadata = spec["metadata"].get("columns")
        self.columns: list[tuple[str, Array, list[str] | None]] = []
        for name, kind, offset, width, vocabulary in layout:
            array = np.frombuffer(memory, dtype=kind, count=n * (width or 1), offset=offset)
            self.columns.append((name, array.reshape(n, width) if width else array, vocabulary))

    def missing(self, what: str) -> Exception:
        """The error for a column that the model wants and the rows lack."""
        from audit.subject.flavors.base import ContractError

        return ContractError(what)

    def table(self, categorical: dict[str, list[Any] | None] | None = None) -> Any:
        """A pandas DataFrame (n, columns of the signature, else all), each column of the signature's type.

        `categorical` names columns that become pandas categories, with their categories in order (None: those that occur).
        """
        import pandas as pd

        found = {name: (array, vocabulary) for name, array, vocabulary in self.columns}
        wanted = [i for i in self.inputs if i["name"] and i["shape"] is None]
        named = [(i["name"], i["type"], i["required"]) for i in wanted] or [(name, None, True) for name in found]
        data: dict[str, Any] = {}
        for name, kind, required in named:
            if name not in found:
                if required:
                    raise self.missing(f"the model needs the column {name!r}, which the rows do not have")
                data[name] = np.full(self.n, np.nan) if kind != "string" else pd.Series([None] * self.n, dtype="str")
                continue
            column = _typed(name, *found[name], kind, self)
            if categorical is not None and name in categorical:
                column = _category(column, categorical[name])
            data[name] = column
        return pd.DataFrame(data, index=pd.RangeIndex(self.n))

    def matrix(self, dtype: Any = np.float32) -> Array:
        """One array (n, d) of all columns in order; categories as their codes in the model's own vocabulary, -1 where it lacks them."""
        widths = [array.shape[1] if array.ndim == 2 else 1 for _, array, _ in self.columns]
        parts = [self._numbers(*column).reshape(self.n, step) for column, step in zip(self.columns, widths, strict=True)]
        out = np.empty((self.n, sum(widths)), dtype=dtype)
        for start in range(0, self.n, BLOCK):  # a block of rows stays in the processor's cache while its columns are filled
            place = 0
            for part in parts:
                out[start : start + BLOCK, place : place + part.shape[1]] = part[start : start + BLOCK]
                place += part.shape[1]
        return out

    def tensor(self) -> Array:
        """The matrix in the type and shape that the signature states, float32 where it states none."""
        spec = self.inputs[0] if self.inputs else {}
        dtype = spec.get("type") if spec.get("shape") is not None else "float32"
        shape = spec.get("shape") or []
        matrix = self.matrix(np.dtype(dtype or "float32"))
        return matrix.reshape(self.n, *shape[1:]) if len(shape) > 2 and all(s > 0 for s in shape[1:]) else matrix

    def _numbers(self, name: str, array: Array, vocabulary: list[str] | None) -> Array:
        known = self._known(name)
        if vocabulary is not None:
            if known is None:
                raise self.missing(
                    f"the column {name!r} holds text and the model does not say how it is coded; choose others with --features"
                )
            place = {label: code for code, label in enumerate(known)}
            codes = np.array([*(place.get(label, -1) for label in vocabulary), -1], dtype=np.int64)  # the last one is what -1 picks
            return codes[array]
        if known is not None and array.ndim == 1:
            blank = np.isnan(array) if array.dtype.kind == "f" else np.zeros(self.n, dtype=bool)
            return np.where(blank, -1.0, label_codes(array, known))
        if array.dtype.kind == "M":
            raise self.missing(f"the column {name!r} holds dates, which a matrix of numbers cannot take")
        return array

    def _known(self, name: str) -> list[str] | None:
        """The model's vocabulary of a category, from the metadata that were logged with it."""
        for column in self._metadata if isinstance(self._metadata, list) else []:
            if isinstance(column, dict) and column.get("name") == name and isinstance(column.get("vocabulary"), list):
                return [label_text(v) for v in column["vocabulary"]]
        return None


def _typed(name: str, array: Array, vocabulary: list[str] | None, kind: str | None, rows: Rows) -> Any:
    """One column as pandas takes it: strings as `str` with missing values, numbers in the signature's type."""
    import pandas as pd

    if array.ndim == 2:
        return pd.Series(list(array.copy()), dtype=object)
    if vocabulary is not None:
        if kind not in (None, "string"):
            raise rows.missing(f"the column {name!r} holds text where the model wants {kind}")
        words = pd.array([*vocabulary, None], dtype="str")
        return pd.Series(words.take(np.where(array < 0, len(vocabulary), array)))
    if kind == "string":
        texts = np.array([None if v != v else label_text(v) for v in array], dtype=object)
        return pd.Series(texts, dtype="str")
    dtype = DTYPES.get(kind or "")
    if dtype is None or (dtype.startswith(("int", "bool")) and array.dtype.kind == "f" and np.isnan(array).any()):
        return array.copy()
    return array.astype(dtype)


def _category(column: Any, categories: list[Any] | None) -> Any:
    import pandas as pd

    series = pd.Series(column)
    if categories is not None and categories and not isinstance(categories[0], str) and series.dtype == "str":
        series = pd.to_numeric(series)
    return series.astype("category") if categories is None else pd.Series(pd.Categorical(series, categories=categories))
