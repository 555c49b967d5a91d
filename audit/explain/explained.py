"""What every explainer gives: the parts of an answer, what they should add up to, how far they miss it, and how sure they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple, get_args

import numpy as np

from audit.explain.shapley import unsettled

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

Method = Literal[
    "tree_shap", "integrated_gradients", "deep_shap", "exact_shap", "kernel_shap", "leverage_shap", "lime", "gradient_x_input", "gradient_shap", "lrp",
    "grad_cam",
]  # fmt: skip
METHODS: tuple[Method, ...] = get_args(Method)
#: Methods that need nothing but answers.
FROM_ANSWERS: tuple[Method, ...] = ("exact_shap", "kernel_shap", "leverage_shap", "lime")
#: Methods that do not claim to add up to the answer.
PARTIAL: frozenset[Method] = frozenset({"lrp", "grad_cam", "gradient_x_input"})
#: What stands in for an input that is switched off: its values in background rows, or the rows that went each way when the trees were grown.
Estimand = Literal["background", "path_dependent"]
#: Where an output hardly moves from the base value, the miss is taken relative to this share of the output's standard deviation.
FLOOR = 0.01


class Explained(NamedTuple):
    """`values` (n, d) over the input columns; values.sum(1) + base should equal `answer` (n,), which the model was asked for separately.

    `background` counts the rows that stood in for what was switched off, 0 for path-dependent values. `error` (n, d) are standard errors of
    methods that draw coalitions, None where nothing was drawn. `left_out` counts rows that are not among these n because the model gave no
    answer for some of their variants. `fit` (n,) is the R² of a surrogate model, None where there is none. `row` (n,) are the rows' ids, where they
    are known.
    """

    features: list[str]
    values: Floats
    base: Floats
    answer: Floats
    unit: str
    method: Method
    background: int
    error: Floats | None = None
    estimand: Estimand = "background"
    left_out: int = 0
    fit: Floats | None = None
    row: NDArray[np.int64] | None = None

    @property
    def computed_in(self) -> Literal["parent", "worker"]:
        """Whose testimony the values are: the auditor's own, from answers, or that of the process where the model is."""
        return "parent" if self.method in FROM_ANSWERS else "worker"

    @property
    def gaps(self) -> Floats:
        """Relative miss of completeness per row, (n,): |Σφ + base − f(x)| / max(|f(x) − base|, 1 % of the spread of f)."""
        moved = np.abs(self.answer - self.base)
        floor = max(FLOOR * float(np.std(self.answer)), 1e-12)
        miss: Floats = np.abs(self.values.sum(axis=1) + self.base - self.answer) / np.maximum(moved, floor)
        return miss

    @property
    def unsettled(self) -> Floats:
        """Largest standard error per row in the range of its values, (n,); 0 where nothing was drawn."""
        return np.zeros(len(self.values)) if self.error is None else unsettled(self.values[:, :, None], self.error[:, :, None])

    @property
    def tied(self) -> NDArray[np.bool_]:
        """Rows (n,) whose largest attribution is within two standard errors of the next one; none where nothing was drawn."""
        n, d = self.values.shape
        if self.error is None or d < 2:
            return np.zeros(n, dtype=bool)
        order = np.argsort(-np.abs(self.values), axis=1)[:, :2]
        size = np.take_along_axis(np.abs(self.values), order, axis=1)
        error = np.take_along_axis(self.error, order, axis=1)
        found: NDArray[np.bool_] = size[:, 0] - size[:, 1] <= 2 * np.hypot(error[:, 0], error[:, 1])
        return found

    def summed(self, groups: Mapping[str, Sequence[str]]) -> Explained:
        """The same with the columns of each group added up."""
        place = {name: i for i, name in enumerate(self.features)}
        values = np.stack([self.values[:, [place[c] for c in columns]].sum(axis=1) for columns in groups.values()], axis=1)
        return self._replace(features=list(groups), values=values)


def defined(found: list[Explained]) -> list[Explained]:
    """Without the rows that have no values, or values of which the draw says nothing, for some output."""
    whole = np.ones(len(found[0].values), dtype=bool)
    for e in found:
        whole &= np.isfinite(e.values).all(axis=1) & np.isfinite(e.base) & np.isfinite(e.answer)
        whole &= True if e.error is None else np.isfinite(e.error).all(axis=1)
    left = int((~whole).sum())
    return [
        e._replace(
            values=e.values[whole], base=e.base[whole], answer=e.answer[whole], left_out=left,
            error=None if e.error is None else e.error[whole], fit=None if e.fit is None else e.fit[whole],
            row=None if e.row is None else e.row[whole],
        )
        for e in found
    ]  # fmt: skip
