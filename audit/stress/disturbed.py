"""Rows as they arrive when something went wrong on the way: numbers measured with noise, values that are missing, categories mistaken for others.

What is drawn for a row is drawn once: a higher severity adds to what a lower one did, so that lines over severities do not jump by chance.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal

import numpy as np

from audit.columns import ColumnRule
from audit.flips import differing, with_values_of
from audit.subject.frame import Array, Categories, Frame, rows

if TYPE_CHECKING:
    from numpy.random import Generator

Kind = Literal["noise", "missing", "swapped"]
#: What each severity from 1 to 5 does: standard deviations of noise, share of values missing, share of categories swapped (Hendrycks and Dietterich 2019
#: use five severities for pictures; the amounts are a convention of ours).
AMOUNTS: dict[Kind, tuple[float, ...]] = {
    "noise": (0.10, 0.25, 0.50, 0.75, 1.00),
    "missing": (0.05, 0.10, 0.20, 0.35, 0.50),
    "swapped": (0.010, 0.025, 0.050, 0.075, 0.100),
}
SEVERITIES = range(1, 6)


@dataclass(frozen=True)
class Disturber:
    """Disturbs the rows of `frame`. `rules` are what is declared of columns; `draws` gives a random stream for a name."""

    frame: Frame
    rules: Mapping[str, ColumnRule]
    draws: Callable[[str], Generator]

    def at(self, kind: Kind, severity: int) -> Frame:
        """The rows at a severity from 0 to 5; at 0 the frame itself."""
        if severity == 0:
            return self.frame
        amount = AMOUNTS[kind][severity - 1]
        if kind == "noise":
            return self.frame | {name: self._noisy(name, amount) for name in self.measured}
        out = dict(self.frame)
        for name, members in (self.facts if kind == "missing" else self.categories).items():
            hit = self.draws(f"{kind}/{name}").random(rows(self.frame)) < amount
            for member in members:
                out[member] = _without(out[member], hit) if kind == "missing" else self._swapped(name, member, hit)
        return out

    def touches(self, kind: Kind) -> list[str]:
        """The inputs that this kind changes."""
        if kind == "noise":
            return self.measured
        return [member for members in (self.facts if kind == "missing" else self.categories).values() for member in members]

    @cached_property
    def facts(self) -> dict[str, list[str]]:
        """Each fact with its inputs: the columns of one one-hot group are one fact, any other input is its own."""
        groups: dict[str, list[str]] = {}
        for name in self.frame:
            group = self.rules[name].one_hot if name in self.rules else None
            groups.setdefault(name if group is None else f"one_hot/{group}", []).append(name)
        return groups

    @cached_property
    def categories(self) -> dict[str, list[str]]:
        """The facts that are categories: texts, one-hot groups, and numbers of two values; not those of one value."""
        return {
            name: members
            for name, members in self.facts.items()
            if (len(members) > 1 or _is_category(self.frame[members[0]])) and len(np.unique(self._codes(members))) > 1
        }

    @cached_property
    def measured(self) -> list[str]:
        """The inputs that are measured: numbers of more than two values."""
        return [
            members[0]
            for members in self.facts.values()
            if len(members) == 1
            and not isinstance(c := self.frame[members[0]], Categories)
            and c.dtype.kind in "fiu"
            and not _is_category(c)
        ]

    def _codes(self, members: list[str]) -> Array:
        """The value of a fact in each row (n,), as a code."""
        columns = [
            c.codes if isinstance(c := self.frame[m], Categories) else np.unique(c, return_inverse=True)[1].reshape(-1) for m in members
        ]
        return np.asarray(np.unique(np.stack(columns, axis=1), axis=0, return_inverse=True)[1].reshape(-1))

    def _noisy(self, name: str, amount: float) -> Array:
        """Normal noise of `amount` standard deviations; whole numbers stay whole, and nothing leaves the range that occurs (or is declared)."""
        column = np.asarray(self.frame[name])
        known = column[np.isfinite(column)].astype(np.float64)
        rule = self.rules.get(name)
        low, high = (rule.range if rule and rule.range else (known.min(), known.max())) if len(known) else (0.0, 0.0)
        noisy = column + amount * (known.std() if len(known) else 0.0) * self.draws(f"noise/{name}").standard_normal(len(column))
        whole = column.dtype.kind in "iu" or (rule is not None and rule.integer) or bool((known == np.trunc(known)).all())
        # A value that lies outside a declared range already is not moved into it: that would be no noise.
        noisy = np.clip(np.rint(noisy) if whole else noisy, np.minimum(low, column), np.maximum(high, column))
        return noisy.astype(column.dtype)

    def _swapped(self, fact: str, member: str, hit: Array) -> Array | Categories:
        """The rows that are hit take the value that another row has, one that differs where there is one."""
        donors = np.where(hit, self._donors[fact], np.arange(len(hit)))
        return with_values_of({member: self.frame[member]}, member, donors)[member]

    @cached_property
    def _donors(self) -> dict[str, Array]:
        return {name: differing(self._codes(members), 1, self.draws(f"donors/{name}"))[0] for name, members in self.categories.items()}


def _is_category(column: Array | Categories) -> bool:
    """Texts, truth values, and numbers of at most two values; dates are neither category nor measured."""
    if isinstance(column, Categories) or column.dtype.kind == "b":
        return True
    return column.dtype.kind in "fiu" and column.ndim == 1 and len(np.unique(column[np.isfinite(column)])) <= 2


def _without(column: Array | Categories, hit: Array) -> Array | Categories:
    """The values at `hit` (n,) missing; whole numbers and truth values become numbers where one is."""
    if isinstance(column, Categories):
        return Categories(np.where(hit, np.int32(-1), column.codes), column.vocabulary)
    if column.dtype.kind == "M":
        return np.where(hit, np.datetime64("NaT", "ns"), column)
    return column if not hit.any() else np.where(hit, np.nan, column.astype(np.float64))
