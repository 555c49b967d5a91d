"""Rows as they are beside the same rows disturbed: how much less often the model is right, for everybody and for each group."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from audit.flips import Asked, ask
from audit.measurement import Estimate, Message, Slice
from audit.stats.paired import Pair, mean_change, tango
from audit.stats.sums import moments
from audit.subject.client import WorkerError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from audit.context import Context
    from audit.subject.frame import Frame

    Bools = NDArray[np.bool_]

#: Rows of a group below which it has no line of its own and is not called the worst.
OF_GROUP = 50
BROKE_OFF = (
    "The model broke off over {n:count} rows disturbed at severity {severity:count}, and answers undisturbed rows as before: left out."
)
GONE = "The model broke off over {n:count} rows disturbed at severity {severity:count} and has answered none since: left out."


@dataclass(frozen=True)
class Undisturbed:
    """What the model says of the n rows of `frame` as they are (`before`) and when asked again; outcomes `y` (n,) as in the scored table, where any are known.

    `slices` are everybody, then each known group, each with its rows (n,).
    """

    ctx: Context
    frame: Frame
    before: Asked
    again: Asked
    y: NDArray[Any] | None
    slices: list[tuple[Slice, Bools]]

    @property
    def metric(self) -> str:
        """What is compared: accuracy, of a quantity R²."""
        return "r2" if self.ctx.settled.task == "regression" else "accuracy"

    @property
    def large(self) -> list[tuple[Slice, Bools]]:
        """The groups with rows enough to be set beside each other."""
        return [(slice_, inside) for slice_, inside in self.slices if slice_ and int(inside.sum()) >= OF_GROUP]

    def unanswered(self, after: Asked | None) -> int:
        """Rows that got a usable answer before and get none disturbed; `after` is None where the model refuses them all."""
        own = np.isfinite(self.before.number).all(axis=1)
        return int(own.sum()) if after is None else int((own & ~np.isfinite(after.number).all(axis=1)).sum())

    def moved(self, after: Asked) -> Bools | None:
        """Rows (n,) whose decision is another one; None where nobody decides."""
        if after.decision is None or self.before.decision is None:
            return None
        return np.asarray(after.decision != self.before.decision)

    def change(self, after: Asked, inside: Bools) -> Estimate | None:
        """Accuracy of the disturbed rows minus that of the same rows undisturbed (Tango's interval); of a quantity the same of R², the spread of the
        outcomes taken as it is. 0 means no change. None where no outcome is known or all are alike."""
        level = self.ctx.level(self.metric, "difference")
        if self.y is None:
            return None
        if self.metric == "r2":
            known = inside & np.isfinite(self.y)
            y = np.asarray(self.y[known], dtype=np.float64)
            if len(y) < 2 or not np.ptp(y):
                return None
            old, new = ((y - asked.number[known, 0]) ** 2 / np.var(y) for asked in (self.before, after))
            lost = moments(old - new)
            return None if lost is None else mean_change(lost, level=level)
        assert self.before.decision is not None
        assert after.decision is not None
        known = inside & (self.y >= 0)
        new_, old_ = after.decision[known] == self.y[known], self.before.decision[known] == self.y[known]
        return tango(
            Pair(*(int(np.count_nonzero(x & y)) for x, y in ((new_, old_), (new_, ~old_), (~new_, old_), (~new_, ~old_)))), level=level
        )

    def accuracy(self, after: Asked) -> float | None:
        """How often the model is right about the disturbed rows; None where no outcome is known, and of a quantity."""
        if self.y is None or after.decision is None or self.metric == "r2":
            return None
        known = self.y >= 0
        return float(np.mean(after.decision[known] == self.y[known])) if known.any() else None


def undisturbed(ctx: Context, frame: Frame, y: NDArray[Any] | None, groups: dict[str, NDArray[np.int16]]) -> Undisturbed:
    """The rows of `frame`, asked twice; `groups` are codes (n,) of the sensitive columns."""
    from audit.dataset import MISSING
    from audit.subject.frame import rows

    slices: list[tuple[Slice, Bools]] = [({}, np.ones(rows(frame), np.bool_))]
    slices += [(slice_, inside) for slice_, inside in ctx.within(groups) if MISSING not in slice_.values()]
    return Undisturbed(ctx, frame, ask(ctx, frame), ask(ctx, frame), y, slices)


class Lost(NamedTuple):
    """Why there are no answers to disturbed rows; `gone` is the model's failure where it answers undisturbed rows no more either."""

    reason: Message
    gone: WorkerError | None = None


def ask_disturbed(ctx: Context, clean: Undisturbed, frame: Frame, severity: int) -> Asked | Lost:
    """What the model says of the rows of `clean` disturbed; Lost where it refuses some, or breaks off over them.

    Whether the rows or the way to the model are to blame is told by asking an undisturbed row again: it is answered in the first case only.
    """
    from audit.subject.frame import take
    from audit.text import message

    n = len(clean.before.number)
    try:
        asked = ask(ctx, frame)
        lost = clean.unanswered(asked)
    except WorkerError as error:
        if error.kind == "memory":
            raise
        if error.kind != "model":
            try:
                ask(ctx, take(clean.frame, slice(0, 1)))
            except WorkerError as after:
                return Lost(message(GONE, n=n, severity=severity), after)
            return Lost(message(BROKE_OFF, n=n, severity=severity))
        asked, lost = clean.before, clean.unanswered(None)
    if not lost:
        return asked
    return Lost(
        message(
            "The model gives no usable answer to {lost:count} of {n:count} rows disturbed at severity {severity:count}.",
            lost=lost, n=n, severity=severity,
        )
    )  # fmt: skip
