"""What every flavor hands to the worker: a `Subject` that predicts and, where it can, explains."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from audit.subject.flavors.rows import Rows
from audit.subject.frame import Array, label_codes


class ContractError(Exception):
    """The model does not keep to what was agreed; the message is our own and quotes no data."""

    kind = "contract"


class RefusedError(ContractError):
    """The model will not take these rows; others may do."""

    kind = "model"


@dataclass(frozen=True)
class Answer:
    """`values` float64 (n, k); `predicted` float64 (n,): index into the classes, or the value itself where no classes are known."""

    values: Array
    predicted: Array | None = None

    def checked(self, n: int) -> Answer:
        """The same, if it has n rows."""
        if self.values.ndim != 2 or len(self.values) != n or self.values.shape[1] < 1:
            raise ContractError(f"the model returned an array of shape {self.values.shape} for {n} rows")
        if self.predicted is not None and self.predicted.shape != (n,):
            raise ContractError(f"the model returned labels of shape {self.predicted.shape} for {n} rows")
        return self


@dataclass(frozen=True)
class Explained:
    """Attributions (n, d), base (n,) and the output that was explained (n,), in `unit`; `estimand` says what stood in for what was switched off.

    `gradients` is how many were taken for a row and a reference, on average; 0 for methods that walk no path.
    """

    values: Array
    base: Array
    explained: Array
    unit: str
    estimand: str = "background"
    gradients: float = 0.0


class Subject:
    """A loaded model. `packages` are the distributions whose versions matter."""

    kind = "function"
    outputs = "unknown"
    classes: list[str] | None = None
    regression: bool | None = None
    packages: tuple[str, ...] = ()

    def parameters(self) -> int | None:
        """Count of trained numbers, None where unknown."""
        return None

    def flops(self) -> tuple[float | None, list[str]]:
        """(floating-point operations for one row, a multiply-add counted as two; None where they cannot be counted, what is not counted)."""
        return None, []

    def methods(self) -> list[str]:
        """Names that `attribute` takes."""
        return []

    def predict(self, rows: Rows) -> Answer:
        """Outputs for all rows."""
        raise NotImplementedError

    def meaningless(self, rows: Rows, seed: int) -> Answer:
        """Outputs for all rows of the same model with all its weights drawn again with `seed`, as if it had learned nothing."""
        raise ContractError("this model has no weights that could be drawn again")

    def mixed(self, rows: Rows, background: Rows, masks: Array) -> Array:
        """Raw outputs (n, m, b, k) of each of n rows with the columns that each mask (m, columns) keeps, the others those of each of b background rows.

        For models that need not make these rows; what `predict` says of them is the same.
        """
        raise ContractError("the first layer of this model does not tell what each column adds")

    def attribute(self, rows: Rows, background: Rows | None, *, method: str, output: int, **params: Any) -> Explained:
        """Attributions over the raw input columns."""
        raise ContractError(f"the method {method} does not apply to this model")

    def attack(self, rows: Rows, *, method: str, **params: Any) -> Array:
        """The same rows (n, d), moved so that the model may change its answer."""
        raise ContractError("no gradient of this model is known")

    def speak(self, rows: Rows, *, method: str, **params: Any) -> Array:
        """What a language model makes of the one column of texts, (n, k): see `flavors.language`."""
        raise ContractError(f"the method {method} does not apply to this model")


def numeric(raw: Any, n: int) -> Array:
    """Outputs as float64 (n, k); one number per row becomes one column. Objects that are not numbers are a ContractError."""
    try:
        values = np.asarray(raw, dtype=np.float64)
    except (TypeError, ValueError):
        raise ContractError(f"the model returned {type(raw).__name__} that is not an array of numbers") from None
    if values.ndim == 0 or len(values) != n:
        raise ContractError(f"the model returned an array of shape {values.shape} for {n} rows")
    return np.ascontiguousarray(values.reshape(n, -1))


def labels(raw: Any, classes: list[str] | None, n: int) -> Array:
    """Predicted labels as float64 (n,): their index in `classes` (-1 unknown), or their value where no classes are known."""
    array = np.asarray(raw)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.shape != (n,):
        raise ContractError(f"the model returned labels of shape {array.shape} for {n} rows")
    if classes is not None:
        return label_codes(array, classes)
    if array.dtype.kind in "OUSV":
        raise ContractError("the model returns labels that are not numbers and its classes are not known; name them with --classes")
    return array.astype(np.float64)


def is_text(raw: Any) -> bool:
    """Whether an array holds strings or other objects instead of numbers."""
    return bool(np.asarray(raw).dtype.kind in "OUS")
