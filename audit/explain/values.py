"""The values of one row: read from a frame, put in the place of others, and held against what is usual."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from audit.errors import AuditError
from audit.explain.given import Given, column_of
from audit.features import FeatureSpec
from audit.measurement import Message
from audit.registry import SINGLE
from audit.subject.frame import Categories, Frame, label_text
from audit.text import message


def plain(column: Any) -> str | float | bool | None:
    """The one value of a column of one row; None where it is missing."""
    if isinstance(column, Categories):
        return column.vocabulary[column.codes[0]] if column.codes[0] >= 0 else None
    if column.dtype.kind == "M":
        return None if np.isnat(column[0]) else str(column[0].astype("datetime64[s]"))
    if column.dtype.kind == "b":
        return bool(column[0])
    return float(column[0]) if np.isfinite(column[0]) else None


def changed(
    frame: Frame, features: list[FeatureSpec], values: Mapping[str, Any], brightest: Mapping[str, float | None]
) -> tuple[Frame, list[Message]]:
    """A frame of one row with some inputs replaced, and what was done to them; AuditError where a value is not what the input holds, or an input has none.

    `brightest` says of each picture input what white is.
    """
    names = [f.name for f in features]
    for name in values:
        if name not in names:
            raise AuditError(f"{name!r} is no input of the model", f"its inputs are {', '.join(names[:40])}")
    without = [name for name in names if name not in values and name not in frame]
    if without:
        raise AuditError(f"no value was given for {', '.join(without[:10])}", "give every input, or a row to start from")
    given = {f.name: _given(f, values[f.name], brightest.get(f.name)) for f in features if f.name in values}
    notes = [note for one in given.values() for note in one.notes]
    return {f.name: given[f.name].column if f.name in given else frame[f.name] for f in features}, notes


def _given(spec: FeatureSpec, value: Any, brightest: float | None) -> Given:
    return Given(_column(spec, value), []) if spec.kind in SINGLE else column_of(spec, value, brightest)


def _column(spec: FeatureSpec, value: Any) -> Any:
    wrong = AuditError(
        f"{str(value)[:60]!r} is no value for the input {spec.name!r}", f"it holds a {spec.kind}, or null where it is not known"
    )
    if spec.read == "text":
        if value is None:
            return Categories(np.array([-1], np.int32), ())
        if isinstance(value, bool | int | float):
            value = label_text(value)
        if not isinstance(value, str) or len(value) > 10_000:
            raise wrong
        return Categories(np.array([0], np.int32), (value,))
    if spec.read == "datetime":
        try:
            return np.array([value], dtype="datetime64[ns]")
        except (ValueError, TypeError):
            raise wrong from None
    if value is not None and not isinstance(value, bool | int | float):
        raise wrong
    number = np.nan if value is None else float(value)
    if np.isinf(number) or (spec.read == "int64" and np.isfinite(number) and (number != np.rint(number) or abs(number) >= 2**53)):
        raise wrong
    if spec.read in ("int64", "bool") and np.isfinite(number):
        return np.array([number]).astype(spec.read)
    return np.array([number])


def strange(name: str, column: Any, known: Any, training: bool) -> list[Message]:
    """Notes on a value that no row of the data has, or that lies beyond all of them."""
    where = message("the training rows") if training else message("the sampled rows")
    if isinstance(column, Categories):
        seen = {known.vocabulary[c] for c in np.unique(known.codes) if c >= 0}
        value = column.vocabulary[column.codes[0]]
        return [] if value in seen else [message("{name} is {value}, which none of {where} has.", name=name, value=value, where=where)]
    if column.dtype.kind not in "iuf":
        return []
    numbers = np.asarray(known, dtype=np.float64)
    numbers = numbers[np.isfinite(numbers)]
    value, low, high = float(column[0]), float(numbers.min(initial=np.inf)), float(numbers.max(initial=-np.inf))
    if not len(numbers) or low <= value <= high:
        return []
    return [
        message(
            "{name} is {value:number}, outside what {where} have ({low:number} to {high:number}): the model was not fitted to such values.",
            name=name, value=value, where=where, low=low, high=high,
        )
    ]  # fmt: skip
