"""What a person who types in values of an input is offered: where it starts, between which values it usually lies, which values it has.

Nothing here is a value of a few: percentiles stand on enough rows, and a value is named where the smallest group that may be shown has it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from audit.subject.frame import Categories

if TYPE_CHECKING:
    from audit.features import FeatureSpec

#: Rows on which percentiles stand, as in the profile of the data.
ENOUGH = 100
#: Values named of one input, and of one that holds numbers.
MOST, MOST_NUMBERS = 100, 12


class Offered(NamedTuple):
    """Of one input: 1st, 50th and 99th percentile of a number (None where too few rows have one), whether it is whole; the values that enough rows
    have, most frequent first, where these are all that occur of a number; and whether some rows have none."""

    low: float | None = None
    middle: float | None = None
    high: float | None = None
    whole: bool = False
    levels: tuple[str | float | bool, ...] = ()
    missing: bool = False


def offered(spec: FeatureSpec, column: Any, least: int) -> Offered:
    """Of the sampled rows' values of one input; `least` rows make a group that may be shown."""
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
