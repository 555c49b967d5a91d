"""From raw columns to the arrays that a network takes. What happens to a value after this is part of the network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from models.errors import TrainingError

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

TABLE = "table"


@dataclass(frozen=True)
class Column:
    """One raw input. A category's vocabulary is its known values as text; its code is the place in that list.

    An image has `shape` (channels, height, width); sound (samples,) and its `rate` in samples a second; a text `length` tokens; a sequence the
    latest `steps` events, each with the `fields`.
    """

    name: str
    kind: Literal["number", "category", "text", "image", "sequence", "audio"]
    vocabulary: tuple[str, ...] = ()
    shape: tuple[int, ...] = ()
    rate: int = 0
    length: int = 0
    steps: int = 0
    fields: tuple[Column, ...] = ()

    @property
    def single(self) -> bool:
        """Whether a row holds one value of it."""
        return self.kind in ("number", "category")

    def record(self) -> dict[str, Any]:
        """The column as the logged model's metadata have it; the audit reads it in the same way."""
        parts = {
            "vocabulary": list(self.vocabulary) if self.kind == "category" else None,
            "shape": list(self.shape) or None, "rate": self.rate or None, "length": self.length or None, "steps": self.steps or None,
            "fields": [field.record() for field in self.fields] or None,
        }  # fmt: skip
        return {"name": self.name, "kind": self.kind, **{key: value for key, value in parts.items() if value is not None}}


@dataclass(frozen=True)
class Encoder:
    """Arrays for the inputs of a net: one where all columns are single values or one column is all there is, else one for the single values
    (named `table`) and one for each other column (by its name). `tokenizer` is a tokenizers.Tokenizer, where a column holds text."""

    columns: tuple[Column, ...]
    tokenizer: Any = None

    def inputs(self) -> dict[str, tuple[Column, ...]]:
        """Input → its columns, in the order of the net's arguments."""
        single = tuple(c for c in self.columns if c.single)
        return ({TABLE: single} if single else {}) | {c.name: (c,) for c in self.columns if not c.single}

    def record(self) -> list[dict[str, Any]]:
        """`metadata.columns` of the logged model."""
        several = len(self.inputs()) > 1
        of = {c.name: name for name, columns in self.inputs().items() for c in columns}
        pad = {"pad": padding(self.tokenizer)} if self.tokenizer is not None else {}
        return [c.record() | ({"input": of[c.name]} if several else {}) | (pad if c.kind == "text" else {}) for c in self.columns]

    def arrays(self, rows: pd.DataFrame) -> tuple[NDArray[Any], ...]:
        """One array for each input, (rows, …): numbers with NaN for missing, codes with -1 for unknown, tokens as int64."""
        return tuple(self._array(rows, columns) for columns in self.inputs().values())

    def _array(self, rows: pd.DataFrame, columns: tuple[Column, ...]) -> NDArray[Any]:
        first = columns[0]
        if first.single:
            return table(rows, columns)
        values = rows[first.name].tolist()
        if first.kind == "text":
            return tokens(self.tokenizer, values, first.length)
        if first.kind == "sequence":
            return events(values, first)
        return signals(values, first)


def table(rows: pd.DataFrame, columns: tuple[Column, ...]) -> NDArray[np.float32]:
    """(rows, columns): NaN is a missing number, -1 a category that is missing or was never seen."""
    import numpy as np

    out = np.empty((len(rows), len(columns)), dtype=np.float32)
    for i, column in enumerate(columns):
        values = rows[column.name]
        if column.kind == "number":
            out[:, i] = values.to_numpy(dtype=np.float32, na_value=np.nan)
        else:
            code: dict[str | None, int] = {label: j for j, label in enumerate(column.vocabulary)}
            out[:, i] = [code.get(text, -1) for text in as_text(values)]
    return out


def tokens(tokenizer: Any, texts: list[Any], length: int) -> NDArray[np.int64]:
    """(rows, length) token ids, cut or filled with padding; a missing text is all padding."""
    import numpy as np

    assert tokenizer is not None, "a text column needs a tokenizer"
    pad = padding(tokenizer)
    tokenizer.enable_truncation(length, direction=(tokenizer.truncation or {}).get("direction", "right"))
    tokenizer.enable_padding(length=length, pad_id=pad)
    known = [text if isinstance(text, str) else "" for text in texts]
    out = np.array([encoded.ids for encoded in tokenizer.encode_batch(known)], dtype=np.int64).reshape(len(texts), length)
    out[[not isinstance(text, str) for text in texts]] = pad
    return out


def padding(tokenizer: Any) -> int:
    """The id of the token `[PAD]`, or of GPT's end of text where there is none."""
    found = next((i for i in (tokenizer.token_to_id(word) for word in ("[PAD]", "<pad>", "<|endoftext|>")) if i is not None), None)
    if found is None:
        raise TrainingError("the tokenizer has no token for padding", "give one with [PAD]")
    return int(found)


def signals(values: list[Any], column: Column) -> NDArray[np.float32]:
    """(rows, *shape): pictures as stored (encoded ones read), sound cut at the end or filled with NaN; what is missing is NaN."""
    import numpy as np

    from models.pictures import pixels

    size = int(np.prod(column.shape))
    out = np.full((len(values), size), np.nan, dtype=np.float32)
    for i, value in enumerate(values):
        if value is not None and not isinstance(value, float):
            whole = pixels(value, column.shape[0]) if isinstance(value, bytes) else value
            flat = np.asarray(whole, dtype=np.float32).reshape(-1)
            if column.kind == "image" and flat.size != size:
                shape = " × ".join(map(str, column.shape))
                raise TrainingError(f"the picture in row {i} has {flat.size} numbers, expected {shape}", "make all pictures of one size")
            out[i, : min(size, flat.size)] = flat[:size]
    return out.reshape(len(values), *column.shape)


def events(values: list[Any], column: Column) -> NDArray[np.float32]:
    """(rows, steps, fields): the latest events from the first place on, NaN after the last; categories as codes."""
    import numpy as np

    out = np.full((len(values), column.steps, len(column.fields)), np.nan, dtype=np.float32)
    codes = [{label: j for j, label in enumerate(field.vocabulary)} for field in column.fields]
    for i, row in enumerate(values):
        for t, event in enumerate(events_of(row)[-column.steps :]):
            for j, field in enumerate(column.fields):
                value = event[field.name]
                if field.kind == "category":
                    out[i, t, j] = codes[j].get(text_of(value) or "", -1)
                elif value is not None:
                    out[i, t, j] = value
    return out


def events_of(row: Any) -> list[dict[str, Any]]:
    """The events of one row; none where the sequence is missing."""
    return [] if row is None or isinstance(row, float) else list(row)


def text_of(value: Any) -> str | None:
    """A value as text: whole numbers without a point (1.0 is "1"), missing as None."""
    import pandas as pd

    if pd.isna(value):
        return None
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def as_text(values: pd.Series[Any]) -> list[str | None]:
    """Values as text: see `text_of`."""
    return [text_of(value) for value in values]
