"""What a person who types in values of an input is offered: where it starts, between which values it usually lies, which values it has.

Nothing here is a value of a few: percentiles stand on enough rows, and a value is named where the smallest group that may be shown has it.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from audit.explain.given import brightness, neutral
from audit.features import FeatureSpec
from audit.subject.frame import Categories

#: Rows on which percentiles stand, as in the profile of the data.
ENOUGH = 100
#: Values named of one input, and of one that holds numbers.
MOST, MOST_NUMBERS = 100, 12


class Offered(NamedTuple):
    """Of one input that is one value: 1st, 50th and 99th percentile of a number (None where too few rows have one), whether it is whole; the values that enough rows
    have, most frequent first, where these are all that occur of a number; and whether some rows have none.

    Of a picture `shape` is (channels, height, width) and `start` one to begin from, a PNG in base64; `given`: others can be given. Of a sequence `shape` is
    (steps, fields), `fields` say of each field its name, kind and the same as of one value, and `start` is one event of what is usual.
    """

    low: float | None = None
    middle: float | None = None
    high: float | None = None
    whole: bool = False
    levels: tuple[str | float | bool, ...] = ()
    missing: bool = False
    shape: tuple[int, ...] = ()
    start: str | list[dict[str, Any]] | None = None
    given: bool = True
    fields: tuple[dict[str, Any], ...] = ()


def offered(spec: FeatureSpec, column: Any, least: int) -> Offered:
    """Of the sampled rows' values of one input; `least` rows make a group that may be shown."""
    if spec.kind == "text":
        return Offered(missing=bool((column.codes < 0).any()))
    if spec.kind == "image":
        given = spec.shape[0] in (1, 3) and brightness(column) is not None
        return Offered(shape=spec.shape, start=neutral(spec, column, max(ENOUGH, least)), given=given)
    if spec.kind == "sequence":
        return _events(spec, column, least)
    if spec.kind == "audio":
        return Offered(shape=spec.shape, given=False)
    if isinstance(column, Categories):
        counts = np.bincount(column.codes[column.codes >= 0], minlength=len(column.vocabulary) or 1)
        chosen = [int(i) for i in np.argsort(-counts, kind="stable")[:MOST] if counts[i] >= max(1, least)]
        return Offered(levels=tuple(column.vocabulary[i] for i in chosen), missing=bool((column.codes < 0).any()))
    if column.dtype.kind == "b":
        return Offered(levels=(True, False))
    if column.dtype.kind not in "iuf":
        return Offered(missing=bool(np.isnat(column).any()))
    numbers = np.asarray(column, dtype=np.float64)
    known = numbers[np.isfinite(numbers)]
    values, counts = np.unique(known, return_counts=True)
    few = 0 < len(values) <= MOST_NUMBERS and bool(np.all(counts >= least))
    low = middle = high = None
    if len(known) >= ENOUGH:
        low, high = (float(q) for q in np.quantile(known, (0.01, 0.99)))  # between two rows' values, so nobody's own
        middle = float(np.quantile(known, 0.5, method="inverted_cdf"))
    return Offered(
        low, middle, high, whole=spec.read == "int64" or bool(len(known) and np.all(known == np.rint(known))),
        levels=tuple(float(v) for v in values) if few else (), missing=len(known) < len(numbers),
    )  # fmt: skip


def _events(spec: FeatureSpec, column: Any, least: int) -> Offered:
    """Of each field what the rows' last events hold, one value a row."""
    steps = column.reshape(-1, *spec.shape)
    known = ~np.isnan(steps).all(axis=2)
    some = known.any(axis=1)
    last = steps[some, spec.shape[0] - 1 - known[some, ::-1].argmax(axis=1)]
    fields: list[dict[str, Any]] = []
    event: dict[str, Any] = {}
    for j, field in enumerate(spec.fields):
        numbers = last[:, j].astype(np.float64)
        if field.kind == "number":
            found = offered(FeatureSpec(name=field.name, kind="number", read="float64"), numbers, least)._replace(levels=())
            event[field.name] = found.middle
        else:
            codes = np.where(np.isfinite(numbers), numbers, -1).astype(np.int32)
            frequent = offered(FeatureSpec(name=field.name, kind="category", read="text"), Categories(codes, field.vocabulary), least)
            event[field.name] = frequent.levels[0] if frequent.levels else None
            found = Offered(levels=field.vocabulary, missing=frequent.missing)
        fields.append({"name": field.name, "kind": field.kind, "low": found.low, "high": found.high, "whole": found.whole, "levels": found.levels, "missing": found.missing})  # fmt: skip
    return Offered(missing=not bool(some.all()), shape=spec.shape, start=[event], fields=tuple(fields))
