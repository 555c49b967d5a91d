"""The fewest parts of a row whose removal changes what is decided: every one, every two, then one after the other, and none that could be put back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import combinations
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Bools = NDArray[np.bool_]

#: Rows that are asked about for every two parts at once, and again one after the other.
BUDGET = 2_048
#: Masks of what is left (m, d) → whether the decision is another (m,), and how far it is from that (m,): less is nearer.
Ask = Callable[["Bools"], "tuple[Bools, Floats]"]


class Fewest(NamedTuple):
    """Parts whose removal changes the decision, empty where none was found; `proven`: every smaller set was tried; `asked` counts rows."""

    parts: list[int]
    proven: bool
    asked: int


def fewest(ask: Ask, d: int, *, budget: int = BUDGET) -> Fewest:
    """Of d parts. No part of what is found can be put back without the decision that there was."""
    search = _Search(ask, d, budget)
    if d == 0:
        return Fewest([], True, 0)
    found = search.best([[i] for i in range(d)])
    tried = 1
    if not found.changed and d * (d - 1) // 2 <= budget and d > 1:
        found, tried = search.best([list(pair) for pair in combinations(range(d), 2)]), 2
    if not found.changed:
        found = search.minimal(search.greedy(found))
    return Fewest(sorted(found.off), found.changed and len(found.off) <= tried + 1, search.asked)


class _Tried(NamedTuple):
    """Parts taken away, and what that does."""

    off: list[int]
    changed: bool


@dataclass
class _Search:
    ask: Ask
    d: int
    budget: int
    asked: int = 0
    alone: dict[int, float] = field(default_factory=dict)

    def best(self, sets: list[list[int]]) -> _Tried:
        """The set that changes the decision most surely, else the one that comes nearest to it."""
        changed, gap = self._without(sets)
        if not self.alone:
            self.alone = dict(enumerate(gap.tolist()))
        place = int(np.argmin(np.where(changed, gap, np.inf) if changed.any() else gap))
        return _Tried(sets[place], bool(changed[place]))

    def greedy(self, now: _Tried) -> _Tried:
        """The part that brings the change nearest, one after the other; beyond the budget those that did so alone, in that order."""
        spent = self.asked
        while not now.changed and len(now.off) < self.d:
            others = [i for i in range(self.d) if i not in now.off]
            if self.asked - spent + len(others) > self.budget:
                others.sort(key=lambda i: self.alone[i])
                return self.first([[*now.off, *others[: k + 1]] for k in range(len(others))])
            now = self.best([[*now.off, i] for i in others])
        return now

    def first(self, sets: list[list[int]]) -> _Tried:
        """The first set that changes the decision, or the last."""
        changed, _ = self._without(sets)
        place = int(np.argmax(changed)) if changed.any() else len(sets) - 1
        return _Tried(sets[place], bool(changed[place]))

    def _without(self, sets: list[list[int]]) -> tuple[Bools, Floats]:
        left = np.ones((len(sets), self.d), dtype=bool)
        for mask, off in zip(left, sets, strict=True):
            mask[off] = False
        self.asked += len(sets)
        changed, gap = self.ask(left)
        return changed, np.where(np.isfinite(gap), gap, np.inf)

    def minimal(self, now: _Tried) -> _Tried:
        """The same without parts that need not be away; nothing where the decision did not change."""
        if not now.changed:
            return _Tried([], False)
        while len(now.off) > 1:
            less = self.best([[i for i in now.off if i != back] for back in now.off])
            if not less.changed:
                break
            now = less
        return now
