"""Rows that are planted among real ones to see whether anything tells them apart: mixed from others, and moved far outside."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from audit.flips import with_values_of
from audit.stress.disturbed import Disturber
from audit.subject.frame import Frame, rows
from audit.two_sets import numbers

if TYPE_CHECKING:
    from numpy.random import Generator

#: How many standard deviations from the mean a number is moved.
FAR = (4.0, 6.0)


def mixed(disturber: Disturber, rng: Generator) -> Frame:
    """Every fact of each row taken from another row, each from another: values that occur, in combinations that may not."""
    out = dict(disturber.frame)
    for members in disturber.facts.values():
        order = rng.permutation(rows(disturber.frame))
        for member in members:
            out[member] = with_values_of({member: disturber.frame[member]}, member, order)[member]
    return out


def far(disturber: Disturber, rng: Generator) -> Frame | None:
    """Every measured number 4 to 6 standard deviations from its mean, up or down; None where no input is measured."""
    out = dict(disturber.frame)
    for name in disturber.measured:
        column = disturber.frame[name]
        x = numbers(column)
        known = x[np.isfinite(x)]
        moved = known.mean() + known.std() * rng.uniform(*FAR, len(x)) * rng.choice([-1.0, 1.0], len(x))
        kind = np.asarray(column).dtype
        out[name] = (np.rint(moved) if kind.kind in "iu" else moved).astype(kind)
    return out if disturber.measured else None
