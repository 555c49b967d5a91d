"""Asking a model about rows that it may refuse: a missing or infinite input is the row's fault, not the batch's."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from audit.subject.client import Client, Prediction, WorkerError
from audit.subject.frame import Categories, Frame, rows, take

if TYPE_CHECKING:
    from numpy.typing import NDArray


def complete(frame: Frame) -> NDArray[np.bool_]:
    """Rows (n,) without a missing or infinite value."""
    whole = np.ones(rows(frame), dtype=bool)
    for column in frame.values():
        if isinstance(column, Categories):
            whole &= column.codes >= 0
        elif column.dtype.kind == "f":
            whole &= np.isfinite(column) if column.ndim == 1 else np.isfinite(column).all(axis=1)
        elif column.dtype.kind == "M":
            whole &= ~np.isnat(column)
    return whole


def predict(client: Client, frame: Frame, *, timeout: float | None = None) -> Prediction:
    """The model's answers; where it refuses a batch, the complete rows are asked alone and the others get NaN (and the label -1).

    WorkerError as the client raises it, also where complete rows are refused.
    """
    try:
        return client.predict(frame, timeout=timeout)
    except WorkerError as error:
        whole = complete(frame)
        if error.kind != "model" or whole.all() or not whole.any():
            raise
        answered = client.predict(take(frame, np.flatnonzero(whole)), timeout=timeout)
    values = np.full((len(whole), answered.values.shape[1]), np.nan)
    values[whole] = answered.values
    if answered.predicted is None:
        return Prediction(values, None)
    predicted = np.full(len(whole), -1.0)
    predicted[whole] = answered.predicted
    return Prediction(values, predicted)
