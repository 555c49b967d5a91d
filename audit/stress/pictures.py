"""Pictures as rows of numbers: which column they are, and between which ends a pixel lies."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from audit.text import message

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from audit.context import Context
    from audit.features import FeatureSpec
    from audit.measurement import Message
    from audit.subject.frame import Frame


class Bounds(NamedTuple):
    """The least and the greatest value of a pixel."""

    low: float
    high: float

    @property
    def width(self) -> float:
        """From one to the other."""
        return self.high - self.low


def picture(ctx: Context) -> FeatureSpec:
    """The first input that is a picture."""
    return next(f for f in ctx.facts.features if f.kind == "image")


def pixels(frame: Frame, spec: FeatureSpec) -> NDArray[np.float32]:
    """(n, channels · height · width)."""
    return np.asarray(frame[spec.name], dtype=np.float32)


def between(ctx: Context, spec: FeatureSpec, x: NDArray[np.float32], given: list[float] | None) -> Bounds | Message:
    """Between which values pixels lie: as the plan says; 0 to 255 for encoded pictures; else [0, 1] or whole numbers to 255 by the sampled pictures.

    A message where they fit none of these, or lie outside what the plan says.
    """
    known = x[np.isfinite(x)]
    least, most = (float(known.min()), float(known.max())) if len(known) else (0.0, 0.0)
    if given:
        if len(given) != 2 or not given[0] < given[1]:
            return message("The plan's bounds are no two rising numbers, so no picture was changed: give bounds = [low, high].")
        if least < given[0] or most > given[1]:
            return message(
                "The pictures hold numbers from {least:number} to {most:number}, outside the plan's bounds of {low:number} to {high:number}: no picture was changed. Correct bounds = [low, high] in the plan.",
                least=least, most=most, low=given[0], high=given[1],
            )  # fmt: skip
        return Bounds(given[0], given[1])
    if ctx.facts.types.get(spec.name) == "BLOB":
        return Bounds(0.0, 255.0)
    if least >= 0 and most <= 1:
        return Bounds(0.0, 1.0)
    if least >= 0 and most <= 255 and bool(np.all(known == np.rint(known))):
        return Bounds(0.0, 255.0)
    return message(
        "The pictures hold numbers from {least:number} to {most:number}, neither within [0, 1] nor whole numbers to 255, and the plan gives no bounds: no picture was changed. Name the ends of a pixel's range in the plan, as bounds = [low, high].",
        least=least, most=most,
    )  # fmt: skip
