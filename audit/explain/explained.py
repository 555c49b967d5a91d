"""What every explainer gives: the parts of an answer, what they should add up to, and how far they miss it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

Method = Literal["tree_shap", "integrated_gradients", "permutation_shap"]
#: Where an output hardly moves from the base value, the miss is taken relative to this share of the output's standard deviation.
FLOOR = 0.01


class Explained(NamedTuple):
    """`values` (n, d) over the input columns; values.sum(1) + base should equal `answer` (n,), which the model was asked for separately."""

    features: list[str]
    values: Floats
    base: Floats
    answer: Floats
    unit: str
    method: Method
    background: int

    @property
    def gaps(self) -> Floats:
        """Relative miss of completeness per row, (n,): |Σφ + base − f(x)| / max(|f(x) − base|, 1 % of the spread of f)."""
        moved = np.abs(self.answer - self.base)
        floor = max(FLOOR * float(np.std(self.answer)), 1e-12)
        miss: Floats = np.abs(self.values.sum(axis=1) + self.base - self.answer) / np.maximum(moved, floor)
        return miss
