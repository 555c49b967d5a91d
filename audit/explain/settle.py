"""More background and more coalitions for the rows whose reasons are not settled; those that are settled are left alone."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from audit.explain.reasons import Shortfalls, named, shortfalls
from audit.subject.frame import Frame, rows, take

if TYPE_CHECKING:
    from audit.context import Context

#: A row is looked at twice at most, each time at this level, so that naming the wrong reasons by chance keeps to 5 %.
LEVEL = 0.975
#: Times the evaluations of the first look that the second takes at least for a row, and the coalitions it takes at most.
WORTH, MOST_COALITIONS = 4, 8


def settled(
    ctx: Context, frame: Frame, pool: Frame, size: int, name: str, *, output: int = 0, sign: int = 1, budget: int = 0
) -> Shortfalls:
    """As `shortfalls`, and where coalitions were drawn again for the rows whose reasons are open: against as much of `pool` as `budget` model
    evaluations allow, the rest in coalitions. Where they do not suffice for all, the first rows have them."""
    from audit.explain.attribute import wanted

    found = shortfalls(ctx, frame, pool, size, name, output=output, sign=sign)
    if found.drawn is None or not budget:
        return found
    found = replace(found, level=LEVEL)
    still = np.array([i for i in range(rows(frame)) if np.isfinite(found.mean[i]).all() and named(found, i).open], dtype=np.int64)
    each = found.background * wanted(len(found.factors))  # what the first look took for a row
    still = still[: budget // (WORTH * each)]
    if not len(still):
        return found
    share = budget // len(still) // wanted(len(found.factors))
    wider = min(rows(pool), max(found.background, share))
    coalitions = wanted(len(found.factors)) * min(MOST_COALITIONS, max(1, share // wider))
    again = shortfalls(ctx, take(frame, still), pool, wider, name, output=output, sign=sign, coalitions=coalitions)
    return _put(found, again, still)


def _put(found: Shortfalls, again: Shortfalls, at: np.typing.NDArray[np.int64]) -> Shortfalls:
    """`found` with the rows `at` from `again`, which has other coalitions and a background of its own."""
    assert found.drawn is not None
    n, parts = len(found.miss), min(len(found.parts), len(again.parts))
    left = np.broadcast_to(found.left, n).astype(np.float64)
    left[at] = again.left
    values, drawn = found.parts[:parts].copy(), found.drawn[:parts].copy()
    values[:, at], drawn[:, at] = again.parts[:parts], 0.0 if again.drawn is None else again.drawn[:parts]
    whole = {name: getattr(found, name).copy() for name in ("miss", "gaps", "base", "answer")}
    for name, own in whole.items():
        own[at] = getattr(again, name)
    return replace(found, parts=values, drawn=drawn, left=left, **whole)
