"""Rows as a model wants them: a DataFrame of the signature's types, or one matrix. Everything is copied out of the shared memory."""

from __future__ import annotations

import copy
import math
import mmap
import os
from typing import Any

import numpy as np

from audit.subject.frame import Array, label_codes, label_text
from audit.subject.words import spans

BLOCK = 8192
TOKENIZER = "tokenizer.json"
#: In place of a length: the tokens of the whole text, however many.
WHOLE = -1
DTYPES = {"double": "float64", "float": "float32", "long": "int64", "integer": "int32", "boolean": "bool", "datetime": "datetime64[ns]"}


class Rows:
    """n rows as they lie in the input memory; `columns` is (name, read-only array, vocabulary or None)."""

    def __init__(self, memory: mmap.mmap, layout: list[list[Any]], n: int, spec: dict[str, Any]) -> None:
        self.n = n
        self._read_by(spec)
        self.columns: list[tuple[str, Array, list[str] | None]] = []
        for name, kind, offset, width, vocabulary in layout:
            array = np.frombuffer(memory, dtype=kind, count=n * (width or 1), offset=offset)
            self.columns.append((name, array.reshape(n, width) if width else array, vocabulary))

    def _read_by(self, spec: dict[str, Any]) -> None:
        self.inputs: list[dict[str, Any]] = spec["inputs"]
        self._metadata = spec["metadata"].get("columns")
        self._tokenizer = next((os.path.join(spec["root"], p) for p in spec["extra_files"] if os.path.basename(p) == TOKENIZER), None)

    def under(self, spec: dict[str, Any]) -> Rows:
        """The same rows as another model reads them."""
        other = copy.copy(self)
        other._read_by(spec)
        return other

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

    def matrix(self, dtype: Any = np.float32, names: list[str] | None = None) -> Array:
        """One array (n, d) of all columns in order, or of those named; categories as their codes in the model's own vocabulary, -1 where it
        lacks them, texts as the model's tokens."""
        chosen = [column for column in self.columns if names is None or column[0] in names]
        parts = [self._numbers(*column) for column in chosen]
        parts = [part.reshape(self.n, -1) if self.n else part.reshape(0, math.prod(part.shape[1:])) for part in parts]
        out = np.empty((self.n, sum(part.shape[1] for part in parts)), dtype=dtype)
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
        return shaped(self.matrix(np.dtype(dtype or "float32")), spec.get("shape") or [])

    def tensors(self) -> list[Array]:
        """One array for each named input: of the columns that the metadata give to it, else of the column of its name."""
        given = {str(c.get("name")): str(c.get("input", c.get("name"))) for c in self._described()}
        out = []
        for port in self.inputs:
            names = [name for name, _, _ in self.columns if given.get(name, name) == port["name"]]
            if not names:
                raise self.missing(f"the model needs the input {port['name']!r}, which the rows do not have")
            out.append(shaped(self.matrix(np.dtype(port["type"]), names), port["shape"]))
        return out

    def placed(self) -> list[list[tuple[str, int]]]:
        """For each tensor that the model gets, the columns in it and how many numbers each becomes."""
        given = {str(c.get("name")): str(c.get("input", c.get("name"))) for c in self._described()}
        several = len(self.inputs) > 1 and all(i["name"] and i["shape"] is not None for i in self.inputs)
        ports = [port["name"] for port in self.inputs] if several else [None]
        return [[(n, self._width(n, a, v)) for n, a, v in self.columns if port is None or given.get(n, n) == port] for port in ports]

    def _width(self, name: str, array: Array, vocabulary: list[str] | None) -> int:
        if self.is_text(name) and vocabulary is not None:
            return int(self._description(name).get("length", 0))
        return array.shape[1] if array.ndim == 2 else 1

    def is_text(self, name: str) -> bool:
        """Whether the model takes this column as tokens."""
        return self._description(name).get("kind") == "text"

    def is_code(self, name: str) -> bool:
        """Whether the model takes this column as the code of a category."""
        return self._description(name).get("kind") == "category"

    def padding(self, name: str) -> int:
        """The token that stands for no token."""
        return int(self._description(name).get("pad", 0))

    def words(self, name: str) -> Array:
        """(n, length) of a text: the word that each token belongs to, by `audit.subject.words`; -1 for what is no part of one."""
        array, vocabulary = next((a, v) for n, a, v in self.columns if n == name)
        length = int(self._description(name).get("length", 0))
        out = np.full((len(vocabulary or []) + 1, length), -1, dtype=np.int64)
        tokenizer = self._tokenizer_for(length, self.padding(name))
        for i, text in enumerate(vocabulary or []):
            starts = np.array([start for start, _ in spans(text)])
            found = tokenizer.encode(text)
            for k, ((first, after), special) in enumerate(zip(found.offsets, found.special_tokens_mask, strict=True)):
                if not special and after > first and len(starts):
                    out[i, k] = max(0, int(np.searchsorted(starts, max(first, after - 1), side="right")) - 1)
        return out[array]

    def _description(self, name: str) -> dict[str, Any]:
        return next((c for c in self._described() if c.get("name") == name), {})

    def _described(self) -> list[dict[str, Any]]:
        """What the metadata say of columns."""
        return [c for c in self._metadata if isinstance(c, dict)] if isinstance(self._metadata, list) else []

    def _numbers(self, name: str, array: Array, vocabulary: list[str] | None) -> Array:
        described = self._description(name)
        if described.get("kind") == "text" and vocabulary is not None:
            return self._tokens(vocabulary, int(described.get("length", 0)), int(described.get("pad", 0)))[array]
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

    def _tokens(self, texts: list[str], length: int, pad: int) -> Array:
        """(texts + 1, length) token ids by the tokenizer that came with the model; the last row, all padding, is what -1 picks."""
        tokenizer = self._tokenizer_for(length, pad)
        out = np.full((len(texts) + 1, length), pad, dtype=np.int64)
        for start in range(0, len(texts), BLOCK):
            found = tokenizer.encode_batch(texts[start : start + BLOCK])
            out[start : start + len(found)] = [encoded.ids for encoded in found]
        return out

    def tokenizer(self) -> Any:
        """The tokenizer that came with the model, giving as many tokens as a text has."""
        return self._tokenizer_for(WHOLE, 0)

    def _tokenizer_for(self, length: int, pad: int) -> Any:
        """The tokenizer that came with the model, giving so many tokens."""
        if self._tokenizer is None or length == 0:
            raise self.missing(f"the model takes text and brings no {TOKENIZER}, or does not say how many tokens it takes")
        from tokenizers import Tokenizer

        tokenizer = Tokenizer.from_file(self._tokenizer)
        if length == WHOLE:
            tokenizer.no_truncation()
            tokenizer.no_padding()
            return tokenizer
        direction = (tokenizer.truncation or {}).get("direction", "right")  # a language model's tokenizer keeps the end of a text
        tokenizer.enable_truncation(length, direction=direction)
        tokenizer.enable_padding(length=length, pad_id=pad)
        return tokenizer

    def _known(self, name: str) -> list[str] | None:
        """The model's vocabulary of a category, from the metadata that were logged with it."""
        for column in self._described():
            if column.get("name") == name and isinstance(column.get("vocabulary"), list):
                return [label_text(v) for v in column["vocabulary"]]
        return None


def shaped(matrix: Array, shape: list[int]) -> Array:
    """(n, d) as (n, *shape[1:]) where the shape has more than two known sizes."""
    return np.ascontiguousarray(matrix.reshape(len(matrix), *shape[1:]) if len(shape) > 2 and all(s > 0 for s in shape[1:]) else matrix)


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
