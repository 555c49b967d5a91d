"""From a source to rows that a learner takes: clean, joined, split, and each column with its kind."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from models.canaries import plant
from models.encoding import Column, as_text, events_of, text_of
from models.errors import TrainingError
from models.settings import DataSettings, Signal, Split

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

Part = Literal["train", "validation", "evaluation"]
PARTS: tuple[Part, ...] = ("train", "validation", "evaluation")
#: A text column of more values, or of more than half as many as rows, is no category; it is left out, and the training says so.
MAX_CATEGORIES = 200


@dataclass(frozen=True)
class Dataset:
    """The rows of each part: raw inputs (missing as NaN), target and sensitive columns, in that order, without an index.

    `settings` are the preset's with classes and positive settled; `cleaning` counts what was found missing or not finite; `notes` say what a
    user must know of the columns; `canaries` are the rows planted for a privacy audit, in or out, with `included` (models/canaries.py).
    """

    parts: dict[Part, pd.DataFrame]
    columns: tuple[Column, ...]
    settings: DataSettings
    cleaning: dict[str, float]
    notes: tuple[str, ...] = ()
    canaries: pd.DataFrame | None = None

    @property
    def features(self) -> list[str]:
        return [column.name for column in self.columns]

    @property
    def classes(self) -> int:
        """How many there are; 0 for a quantity."""
        return len(self.settings.classes)

    def inputs(self, part: Part) -> pd.DataFrame:
        """(rows, raw columns), as the file has them."""
        return self.parts[part][self.features]

    def y(self, part: Part) -> NDArray[Any]:
        """(rows,): the place of each row's label in `classes` (int64), or the quantity (float32)."""
        import numpy as np

        values = self.parts[part][self.settings.target]
        if not self.classes:
            return values.to_numpy(dtype=np.float32)
        place = {label: i for i, label in enumerate(self.settings.classes)}
        return np.array([place[str(text_of(label))] for label in values], dtype=np.int64)


def load(settings: DataSettings) -> Dataset:
    """Read the source and give every column its role; vocabularies are learned from the training rows only."""
    from models.sources import read

    raw = read(settings)
    rows, cleaning = clean(raw, settings)
    kept = rows[settings.target].notna().to_numpy()
    cleaning["data_rows_without_outcome"] = float((~kept).sum())
    raw, rows = raw[kept], rows[kept].reset_index(drop=True)
    settings = _classes(rows[settings.target], settings)
    places = _places(raw, rows, settings)
    parts = {part: rows.iloc[places[part]].reset_index(drop=True) for part in PARTS}
    canaries = None
    if settings.canaries:
        parts["train"], canaries = plant(parts["train"], settings)
    others = {settings.target, *settings.sensitive, settings.split.group}
    found = [_column(parts["train"], name, settings) for name in rows.columns if name not in others]
    columns = tuple(c for c in found if isinstance(c, Column))
    dropped = [c for c in found if isinstance(c, str)]
    if not columns:
        raise TrainingError("no column of the data is left as an input", "check --target, --sensitive and --group")
    parts = {part: frame.drop(columns=dropped) for part, frame in parts.items()}
    notes = tuple(f"column {name} is left out: its texts have too many different values for categories" for name in dropped)
    canaries = None if canaries is None else canaries.drop(columns=dropped)
    return Dataset(parts, columns, settings, cleaning, notes, canaries)


def _places(raw: pd.DataFrame, rows: pd.DataFrame, settings: DataSettings) -> dict[Part, NDArray[np.int64]]:
    """Positions of the rows of each part, as the settings have it."""
    shares = settings.split
    if shares.history is not None:
        return split_histories(raw[shares.history].to_numpy(), raw[shares.time].to_numpy(), shares)
    strata = rows[settings.target].to_numpy() if settings.classes else None
    return split(strata, shares, rows=len(rows), group=None if shares.group is None else raw[shares.group].to_numpy())


def clean(raw: pd.DataFrame, settings: DataSettings) -> tuple[pd.DataFrame, dict[str, float]]:
    """Inputs, target and sensitive columns in the order of the source, and counts of what was cleaned.

    Codes of missing values become missing, and so do numbers that are not finite.
    """
    import numpy as np
    import pandas as pd

    own = {name for name, parts in settings.sensitive.items() if not parts}
    named = {settings.target, *settings.exclude, *settings.missing, *settings.categories, *settings.signals, *own}
    named |= {column for parts in settings.sensitive.values() for column in parts}
    named |= {name for name in (settings.split.group, settings.split.history, settings.split.time) if name}
    named |= {settings.ranking.user, settings.ranking.item} if settings.ranking else set()
    if absent := sorted(named - set(raw.columns)):
        have = f"; it has {', '.join(map(str, raw.columns[:30]))}"
        raise TrainingError(f"source {settings.source} has no columns {', '.join(absent)}{have}", "name columns that are there")
    out = {settings.target, *settings.exclude, *own} | ({settings.split.group} if settings.split.group else set())
    inputs = raw.drop(columns=list(out))
    coded = infinite = 0
    for name, codes in settings.missing.items():
        hit = inputs[name].isin(codes)
        coded += int(hit.sum())
        inputs[name] = inputs[name].mask(hit)
    for name in inputs.select_dtypes("number").columns:
        hit = np.isinf(inputs[name].to_numpy(dtype=float, na_value=np.nan))
        infinite += int(hit.sum())
        if hit.any():
            inputs[name] = inputs[name].mask(hit)
    joined = {name: join_indicators(raw, columns) if columns else raw[name] for name, columns in settings.sensitive.items()}
    counts = {
        "data_coded_missing": float(coded), "data_not_finite": float(infinite), "data_missing_values": float(inputs.isna().to_numpy().sum()),
    }  # fmt: skip
    beside = [name for name in (settings.split.group,) if name and name not in (settings.target, *settings.sensitive)]
    return pd.concat([inputs, raw[[settings.target, *beside]], pd.DataFrame(joined)], axis=1), counts


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


def split(
    target: NDArray[Any] | None, shares: Split, *, rows: int | None = None, group: NDArray[Any] | None = None
) -> dict[Part, NDArray[np.int64]]:
    """Positions of the rows of each part, ascending: drawn at random within each value of the target, where there is one.

    With `group` (rows,) whole groups are drawn, so that no group is in two parts; within each value of the group's first row's target.
    """
    import numpy as np
    import pandas as pd

    rows = len(target) if target is not None else int(rows or 0)
    stream = np.random.default_rng(shares.seed)
    strata = pd.factorize(target, sort=True)[0] if target is not None else np.zeros(rows, dtype=np.int64)
    codes = np.arange(rows) if group is None else pd.factorize(group)[0]
    _, first = np.unique(codes, return_index=True)
    part_of = np.empty(len(first), dtype=np.int64)
    for value in np.unique(strata[first]):
        members = stream.permutation(np.flatnonzero(strata[first] == value))
        one = round(len(members) * shares.train)
        two = one + round(len(members) * shares.validation)
        for i, places in enumerate(np.split(members, [one, two])):
            part_of[places] = i
    return _parts(part_of[codes])


def split_histories(history: NDArray[Any], time: NDArray[Any], shares: Split) -> dict[Part, NDArray[np.int64]]:
    """Positions of the rows of each part, ascending: of the rows with one value of `history` the earliest train and the latest are evaluated.

    history, time: (rows,). Rows of one moment are ordered by the seed, because files often list them in an order that tells something.
    """
    import numpy as np
    import pandas as pd

    codes = pd.factorize(history)[0]
    order = np.lexsort((np.random.default_rng(shares.seed).permutation(len(codes)), time, codes))
    sizes = np.bincount(codes)
    rank = np.empty(len(codes), dtype=np.int64)
    rank[order] = np.arange(len(codes)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    return _parts(np.searchsorted([shares.train, shares.train + shares.validation], (rank + 0.5) / sizes[codes]))


def _parts(of_row: NDArray[np.int64]) -> dict[Part, NDArray[np.int64]]:
    """Positions of each part from the place of each row's part; a part without a row is refused."""
    import numpy as np

    rows = len(of_row)
    empty = [part for i, part in enumerate(PARTS) if not (of_row == i).any()]
    if empty:
        raise TrainingError(f"of {rows} rows none is left for {empty[0]}", "give more rows, or larger shares under data.split")
    return {part: np.flatnonzero(of_row == i) for i, part in enumerate(PARTS)}


def _classes(target: pd.Series[Any], settings: DataSettings) -> DataSettings:
    """The settings with classes and positive settled; labels that are not among the classes are refused."""
    if settings.task == "regression":
        return settings
    found = sorted({str(text_of(v)) for v in target.unique()}, key=lambda label: (len(label), label))
    classes = settings.classes or tuple(found)
    if len(found) < 2:
        raise TrainingError(
            f"the outcome {settings.target!r} has one class only, {', '.join(found) or 'none'}", "give rows of two classes or more"
        )
    if strange := [label for label in found if label not in classes]:
        raise TrainingError(
            f"the outcome {settings.target!r} has the class {strange[0]!r}, which is not among the {len(classes)} of the preset",
            "take these rows out, or give the classes of these data",
        )
    positive = settings.positive or (classes[-1] if len(classes) == 2 else "")
    if positive and positive not in classes:
        raise TrainingError(f"the positive label {positive!r} is none of the classes {', '.join(classes[:20])}", "name one of them")
    return settings.model_copy(update={"classes": classes, "positive": positive})


def _column(train: pd.DataFrame, name: str, settings: DataSettings) -> Column | str:
    """The column with its kind, or its name where it can be no input."""
    import pandas as pd

    if name in settings.signals:
        return _signal(train, name, settings.signals[name])
    if name not in settings.categories and pd.api.types.is_numeric_dtype(train[name].dtype):
        return Column(name, "number")
    known = {text for text in as_text(train[name]) if text is not None}
    if name not in settings.categories and len(known) > min(MAX_CATEGORIES, max(20, len(train) // 2)):
        return name
    return Column(name, "category", _ordered(known))


def _signal(train: pd.DataFrame, name: str, signal: Signal) -> Column:
    if signal.kind != "sequence":
        return Column(name, signal.kind, shape=signal.shape, rate=signal.rate, length=signal.length)
    fields = []
    for field in signal.fields:
        values = (
            {text_of(event[field]) for row in train[name] for event in events_of(row)} - {None} if field in signal.categories else set()
        )
        fields.append(
            Column(field, "category", _ordered({str(v) for v in values})) if field in signal.categories else Column(field, "number")
        )
    return Column(name, "sequence", steps=signal.steps, fields=tuple(fields))


def _ordered(known: set[str]) -> tuple[str, ...]:
    return tuple(sorted(known, key=lambda text: (len(text), text)))
