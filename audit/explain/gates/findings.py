"""What the five checks have in common: how a gate's numbers become findings about a method."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from audit.measure import undefined, value
from audit.result import Measurement, Message, Slice
from audit.stats.losses import mean_loss
from audit.stats.quantiles import quantile

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from audit.context import Context
    from audit.explain.attribute import Explainer
    from audit.explain.gates.trial import Trial

    Floats = NDArray[np.float64]


class Gate:
    """Makes the findings of one check about one method."""

    def __init__(self, ctx: Context, explainer: Explainer, tried: Trial) -> None:
        self.ctx = ctx
        self.slice: Slice = {"(method)": f"({tried.method})"}
        self._where = "worker" if explainer.beside else "parent"

    def _placed(self, measurement: Measurement) -> Measurement:
        return measurement.model_copy(update={"computed_in": self._where})

    def quantile(self, metric: str, values: Floats, q: float, reason: Message, *, of: str | None = None) -> Measurement:
        """The q-quantile of what is known of values (n,); undefined for `reason` where nothing is. `of` names a control."""
        known = values[np.isfinite(values)]
        found = quantile(known, q, level=self.ctx.level(metric), clamped=True) if len(known) else None
        return self._placed(value(metric, found, slice_={"(method)": of} if of else self.slice, reason=reason))

    def mean(self, metric: str, values: Floats, *, of: str | None = None) -> Measurement:
        """The mean of values (n,)."""
        found = mean_loss(values, level=self.ctx.level(metric))
        return self._placed(value(metric, found, slice_={"(method)": of} if of else self.slice))

    def against(self, metric: str, mine: Floats, control: str, theirs: Floats) -> Measurement | None:
        """Mean of mine − theirs over the rows where both are known, (n,) each; None where there is none."""
        apart = (mine - theirs)[np.isfinite(mine) & np.isfinite(theirs)]
        if not len(apart):
            return None
        found = mean_loss(apart, level=self.ctx.level(metric, "difference"))
        return self._placed(
            Measurement(metric=metric, compare="difference", slice=self.slice, against={"(method)": control}, estimate=found)
        )

    def none(self, metric: str, reason: Message) -> Measurement:
        """No number, and why."""
        return self._placed(undefined(metric, reason, slice_=self.slice))
