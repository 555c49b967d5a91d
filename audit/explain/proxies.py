"""Inputs that go so strongly with a sensitive column that they may stand for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from audit.context import Context
    from audit.measurement import Estimate
    from audit.subject.frame import Frame


class Proxy(NamedTuple):
    """An input, the sensitive column that it may stand for, and how strongly the two go together (Cramér's V)."""

    name: str
    column: str
    v: Estimate


def flagged(ctx: Context, frame: Frame, groups: dict[str, NDArray[np.int16]], least: float) -> list[Proxy]:
    """Inputs whose Cramér's V with a sensitive column is at least `least` with its whole interval; the rows are those of `frame` (n, ·)."""
    from audit.dataset import MISSING
    from audit.fitted import coded_inputs
    from audit.stats.association import cramers_v

    out = []
    for group in ctx.facts.groups:
        known = np.array([level != MISSING for level in group.levels])[groups[group.name]]
        for name, codes in coded_inputs(frame).items():
            width, size = int(codes.max(initial=0)) + 1, len(group.levels)
            counts = np.bincount(codes[known] * size + groups[group.name][known], minlength=width * size).reshape(-1, size)
            found = cramers_v(counts, level=ctx.plan.audit.level)
            if found is not None and found.low >= least:
                out.append(Proxy(name, group.name, found))
    return out
