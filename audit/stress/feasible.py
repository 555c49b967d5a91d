"""Rows of a table moved to other rows that may be, so that the model decides otherwise: a gradient attack where there are gradients (after CAPGD), and a
search by answers on what it left (after MOEVA; together CAA, Simonetto, Ghamizi and Cordy 2024).

Each number may move by at most ε of its standard deviations, and what is declared of columns holds: immutable, monotone, range, integer, one-hot. What is
missing stays missing. A move ends between the 1st and 99th percentile of the data, or no farther out than the row is.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.random import Generator
    from numpy.typing import NDArray

    from audit.explain.space import Fact, Space
    from audit.stress.asked import Model

    Floats = NDArray[np.float64]
    Places = NDArray[np.int64]
    Bools = NDArray[np.bool_]

#: Generations of the search, and rows of one.
GENERATIONS, CHILDREN = 5, 16
#: A gradient costs as much as so many answers.
GRADIENT = 3
#: Farther than any number of a table goes.
FAR = 1e30
#: Numbers as near as this to a multiple are one.
NEAR = 1e-6


class Try(NamedTuple):
    """One attack at one ε: rows that it was tried on, and those that it turned."""

    epsilon: float
    attack: str
    rows: int
    turned: int


@dataclass
class Ground:
    """What may move: numbers by their column, their standard deviations (m,), and categories that may be others."""

    space: Space
    numbers: list[Fact]
    categories: list[Fact]

    @property
    def columns(self) -> list[int]:
        """The columns of the numbers."""
        return [fact.columns[0] for fact in self.numbers]

    @property
    def deviations(self) -> Floats:
        """(m,)."""
        return np.asarray(np.nanstd(self.space.reference[:, self.columns], axis=0))

    def ends(self, fact: Fact) -> tuple[float, float]:
        """Between what a number may be moved: the middle 98 % of the data, within the declared range."""
        rule = self.space.rules.get(fact.name)
        least, most = (-np.inf, np.inf) if rule is None or rule.range is None else rule.range
        return max(fact.low, least), min(fact.high, most)

    def box(self, own: Floats, epsilon: float) -> tuple[Floats, Floats]:
        """Between what the numbers of each row may be, both (n, m): whole numbers and shorter ones at their own precision."""
        values = own[:, self.columns]
        low, high = values - epsilon * self.deviations, values + epsilon * self.deviations
        for j, fact in enumerate(self.numbers):
            least, most = self.ends(fact)
            x = values[:, j]
            low[:, j], high[:, j] = np.maximum(low[:, j], np.minimum(x, least)), np.minimum(high[:, j], np.maximum(x, most))
            rule = self.space.rules.get(fact.name)
            if rule is not None and rule.at_least in self.space.coding.names:  # which itself does not move: see `ground_of`
                low[:, j] = np.maximum(low[:, j], np.minimum(x, own[:, self.space.coding.names.index(rule.at_least)]))
            if fact.direction:
                (low if fact.direction > 0 else high)[:, j] = x
            if step := self._step(fact):
                low[:, j] = np.minimum(x, np.ceil(low[:, j] / step - NEAR) * step)
                high[:, j] = np.maximum(x, np.floor(high[:, j] / step + NEAR) * step)
            rule = self.space.rules.get(fact.name)
            if rule is not None and rule.range is not None:  # a row outside the declared range stays where it is
                outside = (x < rule.range[0]) | (x > rule.range[1])
                low[outside, j], high[outside, j] = x[outside], x[outside]
        return low, high

    def _step(self, fact: Fact) -> float:
        """The precision that is declared, or that all known values have; 0 where they have none."""
        rule = self.space.rules.get(fact.name)
        if rule is not None and rule.integer:
            return 1.0
        if fact.grid is None or not fact.step:
            return 0.0
        places = fact.grid / fact.step
        return fact.step if bool(np.all(np.abs(places - np.rint(places)) < NEAR * np.maximum(1, np.abs(places)))) else 0.0

    def repaired(self, moved: Floats, own: Floats, low: Floats, high: Floats) -> Floats:
        """Rows (n, d) with their numbers (n, m) brought into the box and to their precision; what is missing, or not a number here, as in `own`."""
        out, values = own.copy(), np.clip(moved, low, high)
        for j, fact in enumerate(self.numbers):
            before = own[:, fact.columns[0]]
            column = values[:, j]
            if step := self._step(fact):
                near = np.clip(np.rint(column / step) * step, low[:, j], high[:, j])
                column = np.where(np.abs(column - before) < NEAR, before, near)
            out[:, fact.columns[0]] = np.where(np.isfinite(before) & np.isfinite(column), column, before)
        return out


def ground_of(space: Space) -> Ground:
    """The facts that may change; dates and columns without another value are none."""
    free = [f for f in space.facts if f.fixed is None and not space.sources & set(f.columns)]  # what others move with or are held against
    return Ground(
        space, [f for f in free if f.numeric and np.nanstd(space.reference[:, f.columns[0]]) > 0], [f for f in free if not f.numeric]
    )


@dataclass
class Attacker:
    """Attacks on rows `own` (n, d) that the model decides for `decided` (n,); `switches` categories may change in a row."""

    model: Model
    ground: Ground
    own: Floats
    decided: Places
    switches: int
    steps: int
    rng: Generator
    tries: list[Try] = field(default_factory=list)
    found: list[tuple[Floats, Floats]] = field(default_factory=list)

    def run(self, epsilons: tuple[float, ...], right: Bools, gradients: bool) -> Bools:
        """(ε, n): which of the rows that are `right` no attack turned at each ε, in rising order."""
        left, out = np.flatnonzero(right), np.zeros((len(epsilons), len(self.own)), dtype=bool)
        for place, epsilon in enumerate(epsilons):
            for name, attack in [("gradients", self._climbed), ("search", self._searched)][0 if gradients and self.ground.numbers else 1 :]:
                if len(left):
                    moved = attack(left, epsilon)
                    hit = self._asked(moved)[0] != self.decided[left]
                    self.tries.append(Try(epsilon, name, len(left), int(hit.sum())))
                    self.found.append((self.own[left[hit]], moved[hit]))
                    left = left[~hit]
            out[place, left] = True
        return out

    @property
    def violations(self) -> tuple[int, int]:
        """Turned rows that break a declaration, of how many: 0, unless the attacks are wrong."""
        return sum(int(self.ground.space.violations(a, b).sum()) for a, b in self.found), sum(len(a) for a, _ in self.found)

    def _asked(self, rows: Floats) -> tuple[Places, Floats | None]:
        return self.model(self.ground.space.coding.frame(rows))

    def _climbed(self, left: Places, epsilon: float) -> Floats:
        """PGD from the row and APGD from anywhere, beside the model, each repaired."""
        ground, own = self.ground, self.own[left]
        low, high = ground.box(own, epsilon)
        reach, least, most = np.zeros(own.shape[1]), np.full(own.shape[1], -FAR), np.full(own.shape[1], FAR)
        reach[ground.columns] = epsilon * ground.deviations
        least[ground.columns], most[ground.columns] = np.clip(np.array([ground.ends(fact) for fact in ground.numbers]).T, -FAR, FAR)
        down, up = np.ones(own.shape[1]), np.ones(own.shape[1])
        for fact in ground.numbers:
            (up if fact.direction < 0 else down)[fact.columns[0]] = 0.0 if fact.direction else 1.0
        asked = {
            "down": down.tolist(),
            "up": up.tolist(),
            "reach": reach.tolist(),
            "low": least.tolist(),
            "high": most.tolist(),
            "steps": self.steps,
        }
        best = own
        for method in ("pgd", "apgd"):
            frame = ground.space.coding.frame(own)
            found = self.model.attack(frame, method=method, seed=int(self.rng.integers(2**31)), **asked)
            moved = ground.repaired(found[:, ground.columns], own, low, high)
            hit = self._asked(moved)[0] != self.decided[left]
            best = np.where(hit[:, None], moved, best)
        return best

    def _lead(self, rows: Floats, at: Places) -> Floats:
        return np.nan_to_num(self.model.lead(self.ground.space.coding.frame(rows), self.decided[at]), nan=np.inf)

    def _searched(self, left: Places, epsilon: float) -> Floats:
        """Each number to each of its ends; all to the better one; and generations of children of the best so far."""
        ground, own = self.ground, self.own[left]
        low, high = ground.box(own, epsilon)
        best, lead, columns = own.copy(), self._lead(own, left), ground.columns
        if columns:
            corner = np.where(self._down(own, low, high, left), low, high)
            best, lead = self._better(best, lead, ground.repaired(corner, own, low, high), left)
        for _ in range(GENERATIONS):
            open_ = np.flatnonzero(lead >= 0)
            if not len(open_):
                break
            at = np.repeat(open_, CHILDREN)
            children = self._children(best, own, low, high, at)
            found = self._lead(children, left[at]).reshape(-1, CHILDREN)
            first = found.argmin(axis=1)
            chosen = children.reshape(len(open_), CHILDREN, -1)[np.arange(len(open_)), first]
            gained = found.min(axis=1) < lead[open_]
            best[open_[gained]], lead[open_[gained]] = chosen[gained], found.min(axis=1)[gained]
        return best

    def _down(self, own: Floats, low: Floats, high: Floats, left: Places) -> Bools:
        """For each number of each row (n, m) whether its lower end brings the row nearer to another decision than its upper one."""
        leads = []
        for end in (low, high):
            moved = np.repeat(own, len(self.ground.columns), axis=0)
            for j, column in enumerate(self.ground.columns):
                moved[j :: len(self.ground.columns), column] = np.where(np.isfinite(end[:, j]), end[:, j], own[:, column])
            leads.append(self._lead(moved, np.repeat(left, len(self.ground.columns))).reshape(low.shape))
        return np.asarray(leads[0] < leads[1])

    def _better(self, best: Floats, lead: Floats, rows: Floats, left: Places) -> tuple[Floats, Floats]:
        found = self._lead(rows, left)
        return np.where((found < lead)[:, None], rows, best), np.minimum(found, lead)

    def _children(self, best: Floats, own: Floats, low: Floats, high: Floats, at: Places) -> Floats:
        """Of the best row so far, some numbers anywhere in the box or at one of its ends, and up to `switches` other categories than the row's own."""
        shape, rng = (len(at), len(self.ground.columns)), self.rng
        values = best[at][:, self.ground.columns]
        drawn = low[at] + (high[at] - low[at]) * np.where(rng.random(shape) < 0.5, rng.random(shape), rng.integers(0, 2, shape))
        values = np.where(rng.random(shape) < 0.3, drawn, values)
        out = self.ground.repaired(values, own[at], low[at], high[at])
        for _ in range(self.switches if self.ground.categories else 0):
            which = rng.integers(0, len(self.ground.categories), len(at))
            for f, fact in enumerate(self.ground.categories):
                rows = np.flatnonzero((which == f) & (rng.random(len(at)) < 0.7))
                target = fact.targets[rng.integers(0, len(fact.targets), len(rows))]
                known = np.all(own[at[rows]][:, fact.columns] >= 0, axis=1)  # what is missing stays missing
                out[rows[known][:, None], np.array(fact.columns)] = target[known]
        return out


def evaluations(ground: Ground, steps: int, gradients: bool) -> int:
    """Rows that the model is asked about for one row at one ε, at most."""
    return (2 * (GRADIENT * steps + 2) if gradients else 0) + 2 * len(ground.columns) + 3 + GENERATIONS * CHILDREN
