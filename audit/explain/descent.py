"""The nearest change by gradient, for models whose gradients can be had: asked of the model's own process, and believed only after asking the model.

What comes back lies between values; here it is brought to values that can be: rounded, one of a one-hot group, within the declared limits. A model
of texts or of codes alone, and any that is no network, is searched by its answers only.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from audit.explain.decisions import Decider
    from audit.explain.space import Fact, Space

    Floats = NDArray[np.float64]
    Bools = NDArray[np.bool_]

#: Steps at most; each goes through the net and back, which counts as three evaluations.
STEPS, EACH = 1000, 3
#: Rows (n, d) → the nearest rows of the wanted decision that a gradient leads to; a row that it leads nowhere stays as it is.
Descent = Callable[["Floats"], "Floats"]


def descent(judge: Decider, space: Space) -> Descent | None:
    """The way by gradient in this space; None where the model offers none."""
    wanted = _wanted(judge)
    moving = [fact for fact in space.facts if len(fact.targets) and (fact.numeric or len(fact.columns) > 1)]
    free = [j for fact in moving for j in fact.columns]
    if wanted is None or not free:
        return None
    scale = [s for fact in moving for s in _scales(fact, space.reference)]
    at = np.cumsum([0, *(len(fact.columns) for fact in moving)])
    groups = [list(range(at[i], at[i + 1])) for i, fact in enumerate(moving) if not fact.numeric]

    def nearest(own: Floats) -> Floats:
        low, high = _box(moving, own)
        found = judge.ctx.client.attack(
            space.coding.frame(own), method="nearest", wanted=wanted, free=free, low=low.tolist(), high=high.tolist(), scale=scale, groups=groups, steps=STEPS
        )  # fmt: skip
        return _settled(moving, own, found)

    return nearest


def _wanted(judge: Decider) -> dict[str, Any] | None:
    """The wanted decision as the model's process looks for it; None where it has no gradients, or gives labels only."""
    settled = judge.ctx.settled
    if "gradient_x_input" not in settled.methods:
        return None
    if settled.task == "regression":
        return {"value": True, "sign": judge.sign, "cutoff": judge.cutoff}
    if settled.outputs not in ("logit", "probability"):
        return None
    event, cutoff = settled.classes.index(settled.favourable[0]), 0.0
    if judge.cutoff is not None:
        inside = min(max(judge.cutoff, 1e-9), 1 - 1e-9)
        cutoff = math.log(inside / (1 - inside))
    return {"probability": settled.outputs == "probability", "event": event, "cutoff": cutoff}


def _scales(fact: Fact, reference: Floats) -> list[float]:
    """What a unit of distance is: a number's median absolute deviation, its standard deviation where that is 0; 1 for a share of a one-hot group."""
    if not fact.numeric:
        return [1.0] * len(fact.columns)
    known = reference[:, fact.columns[0]]
    known = known[np.isfinite(known)]
    spread = float(np.median(np.abs(known - np.median(known)))) or float(np.std(known))
    return [spread or 1.0]


def _box(moving: list[Fact], own: Floats) -> tuple[Floats, Floats]:
    """The ends (n, f) between which each free number may go; what is missing stays where it is."""
    low, high = [], []
    for fact in moving:
        for j in fact.columns:
            here = np.nan_to_num(own[:, j])
            ends = (fact.low, fact.high) if fact.numeric else (0.0, 1.0)
            fixed = ~np.isfinite(own[:, j])
            low.append(np.where(fixed | (fact.direction > 0), here, np.minimum(here, ends[0])))
            high.append(np.where(fixed | (fact.direction < 0), here, np.maximum(here, ends[1])))
    return np.stack(low, axis=1), np.stack(high, axis=1)


def _settled(moving: list[Fact], own: Floats, found: Floats) -> Floats:
    """Rows with the free facts at values that can be."""
    out = own.copy()
    for fact in moving:
        if not fact.numeric:
            known = np.isfinite(own[:, fact.columns]).all(axis=1)
            shares = np.nan_to_num(found[:, fact.columns]) @ fact.targets.T
            out[np.ix_(known, np.array(fact.columns))] = fact.targets[np.argmax(shares[known], axis=1)]
            continue
        (j,) = fact.columns
        after = fact.rounded(np.clip(found[:, j], fact.low, fact.high), own[:, j])
        moved = np.isfinite(own[:, j]) & (np.abs(found[:, j] - own[:, j]) > 1e-6 * np.maximum(1, np.abs(own[:, j])))
        out[:, j] = np.where(moved & (fact.direction * (after - own[:, j]) >= 0), after, own[:, j])
    return out
