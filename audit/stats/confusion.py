"""Metrics that are functions of how often each outcome met each decision, for any number of tables at once; the values are scikit-learn's.

A value is NaN where it is undefined, and there scikit-learn and fairlearn warn and print 0.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from audit.stats._inputs import Floats, Ints


class Tallies(NamedTuple):
    """Per class, arrays of shape (…, K): rows that are right, that have this outcome, and that got this decision."""

    hit: Ints | Floats
    actual: Ints | Floats
    predicted: Ints | Floats


def tallies(cells: Ints | Floats) -> Tallies:
    """From counts (…, K·K), or sums of weights, the decision running fastest."""
    classes = round(cells.shape[-1] ** 0.5)
    table: Any = cells.reshape(*cells.shape[:-1], classes, classes)
    return Tallies(np.diagonal(table, axis1=-2, axis2=-1), table.sum(axis=-1), table.sum(axis=-2))


def share(k: Ints | Floats, n: Ints | Floats) -> Floats:
    """k / n, NaN where n is 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(k / n)


def accuracy(t: Tallies) -> Floats:
    """Share of rows whose decision is the outcome."""
    return share(t.hit.sum(axis=-1), t.actual.sum(axis=-1))


def balanced_accuracy(t: Tallies) -> Floats:
    """Mean over the classes that happened of how often each was found."""
    happened = t.actual > 0
    return share(np.where(happened, share(t.hit, t.actual), 0.0).sum(axis=-1), happened.sum(axis=-1))


def precision(t: Tallies, event: int | None) -> Floats:
    """Of the decisions for `event`, how many are right; for None the mean over the classes seen, 0 for one that was never decided for."""
    return _of(share(t.hit, t.predicted), t, event)


def recall(t: Tallies, event: int | None) -> Floats:
    """Of the rows with outcome `event`, how many were found; for None the mean over the classes seen, 0 for one that never happened."""
    return _of(share(t.hit, t.actual), t, event)


def f1(t: Tallies, event: int | None) -> Floats:
    """Harmonic mean of precision and recall of `event`, 2 hits / (outcomes + decisions); for None the mean over the classes seen."""
    return _of(share(2 * t.hit, t.actual + t.predicted), t, event)


def _of(values: Floats, t: Tallies, event: int | None) -> Floats:
    if event is not None:
        return np.asarray(values[..., event])
    seen = (t.actual + t.predicted) > 0
    return share(np.where(seen, np.nan_to_num(values), 0.0).sum(axis=-1), seen.sum(axis=-1))
