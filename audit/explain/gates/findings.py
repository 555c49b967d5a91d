"""What the five checks have in common: how a gate's numbers become findings about a method."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from audit.explain.gap import METHODS
from audit.measure import undefined, value
from audit.measurement import Measurement, Message, Slice
from audit.stats.losses import mean_loss
from audit.stats.quantiles import quantile
from audit.text import message

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from audit.context import Context
    from audit.explain.gates.bench import Bench

    Floats = NDArray[np.float64]


#: Rows below which nothing is said.
FEWEST = 10


def unfit(bench: Bench) -> Message | None:
    """Why a gate that shares answers out between parts cannot be asked; None where it can."""
    if bench.n < FEWEST:
        return message("Fewer than ten rows could be explained.")
    several = sum(len(own) > 1 for own in bench.values)
    if not several:
        return message("There is one input only, so there is nothing to share out.")
    return message("Fewer than ten rows have two parts or more to share an answer out between.") if several < FEWEST else None


def called(bench: Bench) -> Message:
    """The method in words; of sequences, also how they were divided."""
    name = message(METHODS[bench.method])
    if bench.division is None:
        return name
    return message("{method} by event", method=name) if bench.division == "events" else message("{method} by field", method=name)


class Gate:
    """Makes the findings of one check about one method."""

    def __init__(self, ctx: Context, bench: Bench) -> None:
        self.ctx = ctx
        self.slice: Slice = bench.slice
        self._where = "worker" if bench.beside else "parent"
        self._division = bench.division

    def of(self, control: str | None = None) -> Slice:
        """How a control of this method is named; the method itself without one."""
        if control is None:
            return self.slice
        return {"(method)": control if self._division is None else f"{control[:-1]}, {self._division})"}

    def _placed(self, measurement: Measurement) -> Measurement:
        return measurement.model_copy(update={"computed_in": self._where})

    def quantile(self, metric: str, values: Floats, q: float, reason: Message, *, of: str | None = None) -> Measurement:
        """The q-quantile of what is known of values (n,); undefined for `reason` where nothing is. `of` names a control."""
        known = values[np.isfinite(values)]
        found = quantile(known, q, level=self.ctx.level(metric), clamped=True) if len(known) else None
        return self._placed(value(metric, found, slice_=self.of(of), reason=reason))

    def mean(self, metric: str, values: Floats, *, of: str | None = None) -> Measurement:
        """The mean of values (n,)."""
        found = mean_loss(values, level=self.ctx.level(metric))
        return self._placed(value(metric, found, slice_=self.of(of)))

    def against(self, metric: str, mine: Floats, control: str, theirs: Floats) -> Measurement | None:
        """Mean of mine − theirs over the rows where both are known, (n,) each; None where there is none."""
        apart = (mine - theirs)[np.isfinite(mine) & np.isfinite(theirs)]
        if not len(apart):
            return None
        found = mean_loss(apart, level=self.ctx.level(metric, "difference"))
        return self._placed(Measurement(metric=metric, compare="difference", slice=self.slice, against=self.of(control), estimate=found))

    def none(self, metric: str, reason: Message) -> Measurement:
        """No number, and why."""
        return self._placed(undefined(metric, reason, slice_=self.slice))
