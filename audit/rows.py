"""Rows by their ids, read from a data set as a frame: for checks that fit a small model or ask the audited one about other rows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from audit.coding import coded, codes
from audit.features import FeatureSpec, batch_rows, expressions, to_frame
from audit.scored import sample_rows

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from audit.context import Context
    from audit.dataset import Dataset
    from audit.subject.frame import Frame
    from audit.training import Training


#: Rows that a check takes which asks about each once, for every row of --sample: that many is what those take which ask many times.
ONCE = 5


class Rows(NamedTuple):
    """Some rows: their ids (k,) in rising order, their inputs, and their outcomes (k,) as in the scored table (class codes, -1 missing; or
    values, NaN missing), None where no outcome is known."""

    row: NDArray[np.int64]
    frame: Frame
    y: NDArray[Any] | None
    groups: Mapping[str, NDArray[np.int64]] = MappingProxyType({})


def once(ctx: Context, size: int) -> int:
    """At most `size` rows, each to be asked about once, as --sample allows."""
    return min(size, ONCE * ctx.plan.audit.sample)


def evaluation_rows(ctx: Context, size: int) -> Rows:
    """At most `size` of the audited rows, by their hash order; all of them where there are no more."""
    chosen = sample_rows(ctx.facts.rows, size, ctx.seed)
    frame = _read(ctx.dataset, ctx.facts.features, chosen)[0]
    return Rows(chosen, frame, ctx.scored.y[chosen] if ctx.facts.target_sql else None)


def training_rows(ctx: Context, size: int, *, groups: bool = False) -> Rows:
    """At most `size` of the training rows, by their hash order; all of them where there are no more. With `groups` also the codes (k,) of the
    sensitive columns that the training rows have, by the audited rows' levels; −1 for others."""
    training = ctx.facts.training
    assert training is not None, "a check that needs the training rows declares it"
    return other_rows(ctx, training, ctx.settled.classes, size, groups=groups)


def other_rows(ctx: Context, training: Training, classes: list[str], size: int, *, groups: bool = False) -> Rows:
    """As `training_rows`, of any rows with the model's inputs; their outcomes are codes of `classes`."""
    dataset, sql = training.dataset(), None
    if training.target is not None and training.target_sql is not None:
        regression = ctx.settled.task == "regression"
        sql = dataset.number(training.target) if regression else coded(training.target_sql, classes)
    chosen = sample_rows(training.rows, size, ctx.seed)
    frame, outcome = _read(dataset, readable(dataset, ctx.facts.features), chosen, sql)
    return Rows(chosen, frame, outcome, _groups(ctx, dataset, training.sizes, chosen) if groups else {})


def _groups(ctx: Context, dataset: Dataset, known: Iterable[str], chosen: NDArray[np.int64]) -> dict[str, NDArray[np.int64]]:
    """Codes (k,) of the sensitive columns in `known`, for the rows at `chosen`."""
    import numpy as np

    levels = {g.name: g.levels for g in ctx.facts.groups if g.name in known}
    if not levels:
        return {}
    found: dict[str, list[NDArray[np.int64]]] = {name: [] for name in levels}
    for batch in dataset.stream({f"g{i}": coded(dataset.text(name), levels[name]) for i, name in enumerate(levels)}):
        for i, name in enumerate(levels):
            found[name].append(codes(batch.column(i)).astype(np.int64))
    return {name: np.concatenate(parts)[chosen] for name, parts in found.items()}


def canary_rows(ctx: Context, path: str) -> tuple[Rows, NDArray[np.bool_]]:
    """All canaries of a file, and whether each of them was in training, (m,)."""
    import numpy as np

    from audit.dataset import open_dataset

    dataset, target = open_dataset(path), ctx.facts.roles.target
    assert target is not None, "canaries without an outcome are left aside when they are found"
    every = np.arange(dataset.rows)
    frame, outcome = _read(dataset, readable(dataset, ctx.facts.features), every, coded(dataset.text(target), ctx.settled.classes))
    included = np.concatenate(
        [b.column(0).to_numpy(zero_copy_only=False).astype(np.bool_) for b in dataset.stream({"i": "included IS TRUE"})]
    )
    return Rows(every, frame, outcome), included


def canary_copies(path: str, included: NDArray[np.bool_]) -> NDArray[np.int64]:
    """How often each canary of a file was planted, (m,): 0 where it did not train; 1 where it did and the file has no column `copies`."""
    import numpy as np

    from audit.dataset import open_dataset

    dataset = open_dataset(path)
    if "copies" not in dataset.types:
        return included.astype(np.int64)
    parts = [b.column(0).to_numpy(zero_copy_only=False) for b in dataset.stream({"c": f"coalesce({dataset.number('copies')}, 1)"})]
    return np.where(included, np.maximum(1, np.concatenate(parts).astype(np.int64)), 0)


def single_row(ctx: Context, row: int) -> Frame:
    """The inputs of one audited row, by its place from 0."""
    import numpy as np

    return _read(ctx.dataset, ctx.facts.features, np.array([row], dtype=np.int64))[0]


def readable(dataset: Dataset, features: list[FeatureSpec]) -> list[FeatureSpec]:
    """The inputs as this data set can give them: whole numbers and booleans that it stores as something else are read as numbers."""
    stored = {
        f.name: (f.read == "int64" and not dataset.is_number(f.name)) or (f.read == "bool" and dataset.types[f.name] != "BOOLEAN")
        for f in features
    }
    return [f.model_copy(update={"read": "float64"}) if stored[f.name] else f for f in features]


def _read(
    dataset: Dataset, features: list[FeatureSpec], chosen: NDArray[np.int64], outcome: str | None = None
) -> tuple[Frame, NDArray[Any] | None]:
    import numpy as np
    import pyarrow as pa

    named = expressions(dataset, features)
    asked = {f"x{i}": named[f.name] for i, f in enumerate(features)} | ({"y": outcome} if outcome else {})
    parts, position = [], 0
    for batch in dataset.stream(asked, size=batch_rows(features)):
        inside = chosen[(chosen >= position) & (chosen < position + len(batch))] - position
        parts.append(batch.take(pa.array(inside)))
        position += len(batch)
    table = pa.Table.from_batches(parts).combine_chunks()
    batch = table.to_batches()[0] if table.num_rows else parts[0]
    specs = [f.model_copy(update={"name": f"x{i}"}) for i, f in enumerate(features)]
    frame = {f.name: column for f, column in zip(features, to_frame(batch, specs).values(), strict=True)}
    if outcome is None:
        return frame, None
    column = batch.column(batch.schema.get_field_index("y"))
    if pa.types.is_dictionary(column.type):
        return frame, codes(column)
    return frame, np.asarray(column.cast(pa.float64()).to_numpy(zero_copy_only=False), dtype=np.float64)
