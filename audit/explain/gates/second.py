"""Another method beside the one on trial: SHAP from the same answers, in the same unit, for methods that run where the model is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from audit.explain.attribute import Explainer, wanted
from audit.explain.shapley import MOST_EXACT
from audit.subject.frame import rows

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from audit.explain.exposed import Exposed
    from audit.subject.frame import Frame

    Floats = NDArray[np.float64]

#: Rows that two methods explain, at least and at most.
FEWEST, MOST = 5, 10
#: Share of the largest inputs in common below which no single method should speak for the others (Krishna et al. 2024, as a policy).
FAR_APART = 0.4


@dataclass(frozen=True)
class Second(Explainer):
    """SHAP over the answers that another explainer explains."""

    first: Explainer | None = None

    def answer(self, frame: Frame) -> Floats:
        """The first explainer's, (n, outputs)."""
        assert self.first is not None
        return self.first.answer(frame)

    @property
    def exposed(self) -> Exposed | None:
        """The first explainer's."""
        assert self.first is not None
        return self.first.exposed


def second(first: Explainer) -> Second | None:
    """The other method; None where the first sees answers only itself, and is as exact as its draws."""
    return Second(first.ctx, "leverage_shap", first.background, first.outputs, first.groups, first=first) if first.beside else None


def affordable(first: Explainer, d: int, budget: int) -> int:
    """Rows for the other method within a budget of model evaluations."""
    cost = rows(first.background) * (1 << d if d <= MOST_EXACT else wanted(d))
    return max(FEWEST, min(MOST, budget // cost))
