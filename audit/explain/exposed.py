"""Coalitions asked of a model that need not be shown the mixed rows: its first layer tells what each column adds (`audit.subject.flavors.mixed`).

What comes back is the worker's word about rows that it mixed itself, so it is held against plain answers: at several coalitions before the first of it
is used, and in every later call at one that is drawn after the answers are there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from audit.outputs import UnreadableError
from audit.subject.client import WorkerError
from audit.subject.frame import Frame, take
from audit.text import message

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from audit.explain.parts import Answers, Columns
    from audit.measurement import Message

    Floats = NDArray[np.float64]
    Bools = NDArray[np.bool_]

#: Kinds of models whose first layer may tell; others are not asked.
KINDS = frozenset({"module", "graph"})
#: Coalitions that are asked twice before the first answers are used, and in each later call.
FIRST, LATER = 8, 1
#: Rows below which a call is not worth the second look.
FEW = 1_000
#: The two may differ by this share of the range of the plain answers, and of their size: single precision, added up in another order.
OF_RANGE, OF_SIZE = 1e-4, 1e-5


@dataclass
class Standing:
    """What has become of a model's own mixing within one check: untried, tried, not to be had, or found to differ from plain answers."""

    rng: np.random.Generator
    tell: Callable[[Message], None]
    tried: bool = False
    useless: bool = False

    def caught(self, miss: float, range_: float) -> None:
        """It is not asked again, and the check says why."""
        self.useless = True
        self.tell(message(
            "Answers that the model adds up by columns missed its plain answers by {miss:number} (range {range:number}), so every variant was asked for itself.",
            miss=miss, range=range_,
        ))  # fmt: skip


@dataclass(frozen=True)
class Exposed:
    """`ask` gives raw outputs (n, m, b, k) of rows, background rows and masks by column; `read` makes answers (rows, k) of raw outputs (rows, k), and
    `plain` gives the same answers of rows."""

    standing: Standing
    ask: Callable[[Frame, Frame, Bools], Floats]
    read: Callable[[Floats], Floats]
    plain: Answers = field(compare=False)

    def __call__(self, parts: Columns, at: Sequence[int], masks: Bools) -> Floats | None:
        """Answers (rows · masks · copies, k) of the rows `at` for masks (m, parts); None where the rows have to be made and asked about."""
        count = len(at) * len(masks) * parts.copies
        if self.standing.useless or count < FEW:
            return None
        try:
            raw = self.ask(take(parts.frame, list(at)), parts.background, parts.by_column(masks))
            told = self.read(raw.reshape(count, -1))
        except (WorkerError, UnreadableError) as error:
            if error.kind not in ("contract", "model", "memory"):
                raise
            self.standing.useless = True  # most models do not tell; what is wrong with the others shows when they are asked plainly
            return None
        return told if self._holds(parts, at, masks, told.reshape(len(at), len(masks), parts.copies, -1)) else None

    def _holds(self, parts: Columns, at: Sequence[int], masks: Bools, told: Floats) -> bool:
        """Whether plain answers about some of these coalitions are the same."""
        from audit.explain.parts import joined

        rng, several = self.standing.rng, LATER if self.standing.tried else FIRST
        rows, kept = rng.integers(len(at), size=several), rng.integers(len(masks), size=several)
        mixed = joined([parts.mixed(at[i], masks[j : j + 1]) for i, j in zip(rows.tolist(), kept.tolist(), strict=True)])
        assert mixed is not None, "rows of one table"
        plain = self.plain(mixed).reshape(several, parts.copies, -1)
        miss, range_ = float(np.abs(told[rows, kept] - plain).max()), float(np.ptp(plain, axis=(0, 1)).max())
        if not miss <= OF_RANGE * range_ + OF_SIZE * float(np.abs(plain).max()):
            self.standing.caught(miss, range_)
            return False
        self.standing.tried = True
        return True
