"""Pictures moved by at most ε in every pixel so that the model decides otherwise: attacks from cheap to dear, each on what the ones before left right.

A row that is turned at one ε is turned at every larger one, so it is not attacked again. What an attack beside the model hands back is brought into
the box again and held against the model's own answer: only that counts.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from audit.stress.square import Box, square

if TYPE_CHECKING:
    from numpy.random import Generator
    from numpy.typing import NDArray

    from audit.features import FeatureSpec
    from audit.stress.asked import Model, Rows
    from audit.stress.pictures import Bounds
    from audit.subject.frame import Frame

    Floats = NDArray[np.float32]
    Places = NDArray[np.int64]
    Bools = NDArray[np.bool_]

#: Numbers in one request, and pictures at least: small pictures go together, so that a step costs arithmetic and not one call for each.
NUMBERS, LEAST = 2**21, 64
#: A gradient costs as much as so many answers.
GRADIENT = 3
#: A move that can turn almost any picture grey: what gradients cannot turn even so, they do not lead anywhere on; rows that this is tried on.
HALF, TRIED = 0.5, 10


class Effort(NamedTuple):
    """How hard is tried: moves as shares of the range of a pixel in rising order; steps and restarts of PGD; queries of Square; evaluations in all."""

    epsilons: tuple[float, ...]
    steps: int
    restarts: int
    queries: int
    budget: int

    @property
    def first(self) -> int:
        """Evaluations for one row at one ε by FGSM and one run of PGD."""
        return GRADIENT * (1 + self.steps)

    def rows(self, most: int, gradients: bool) -> int:
        """Rows that the budget is enough for, whatever the attacks find."""
        each = len(self.epsilons) * (self.first if gradients else self.queries)
        return max(1, min(most, self.budget // each))


class Try(NamedTuple):
    """One attack at one ε: rows that it was tried on, and those that it turned."""

    epsilon: float
    attack: str
    rows: int
    turned: int


@dataclass
class Outcome:
    """`right` (ε, n): which rows are still decided rightly; `tries` in order; how many rows that gradients left Square turned, of how many;
    rows that FGSM turned and those that PGD turned of the same ones; rows still right after moves by half the range, of how many."""

    right: Bools
    tries: list[Try] = field(default_factory=list)
    square: tuple[int, int] = (0, 0)
    fgsm_and_pgd: tuple[int, int] = (0, 0)
    half: tuple[int, int] = (0, 0)


@dataclass
class Attacker:
    """All attacks on some rows of pictures."""

    model: Model
    rows: Rows
    spec: FeatureSpec
    bounds: Bounds
    effort: Effort
    gradients: bool
    rng: Generator
    spent: int = 0

    def __post_init__(self) -> None:
        self._own = np.asarray(self.rows.frame[self.spec.name], dtype=np.float32)

    def run(self) -> Outcome:
        """Every ε in turn."""
        effort, n = self.effort, len(self.rows)
        left = np.flatnonzero(self.rows.right & np.isfinite(self._own).all(axis=1))
        out = Outcome(np.zeros((len(effort.epsilons), n), dtype=bool))
        for place, epsilon in enumerate(effort.epsilons):
            later = len(effort.epsilons) - place - 1
            if self.gradients:
                left = self._plain(out, epsilon, left)
            each = effort.first if self.gradients else effort.queries
            share = (effort.budget - self.spent - later * len(left) * each) // (later + 1)
            left = self._hard(out, epsilon, left, share)
            out.right[place, left] = True
            out.right[place] |= self.rows.right & ~np.isfinite(self._own).all(axis=1)
        if self.gradients and len(left):
            out.half = self._half(left)
        return out

    def _plain(self, out: Outcome, epsilon: float, left: Places) -> Places:
        """FGSM and one run of PGD on the same rows."""
        if not len(left):
            return left
        fast = self._turned(epsilon, left, method="fgsm")
        slow = self._turned(epsilon, left, method="pgd", steps=self.effort.steps)
        out.tries += [Try(epsilon, "FGSM", len(left), int(fast.sum())), Try(epsilon, "PGD", len(left), int(slow.sum()))]
        out.fgsm_and_pgd = (out.fgsm_and_pgd[0] + int(fast.sum()), out.fgsm_and_pgd[1] + int(slow.sum()))
        self.spent += len(left) * self.effort.first
        return left[~(fast | slow)]

    def _hard(self, out: Outcome, epsilon: float, left: Places, share: int) -> Places:
        """Restarts, APGD and Square on as many of the rows that are left as `share` evaluations are enough for."""
        effort = self.effort
        restarts = effort.restarts - 1 if self.gradients else 0
        each = effort.queries + (GRADIENT * effort.steps * (restarts + 1) if self.gradients else 0)
        some, rest = np.split(left, [max(0, share // each)])
        if len(some) and restarts:
            hit = self._turned(epsilon, some, method="pgd", steps=effort.steps, restarts=effort.restarts, skip=1)
            out.tries.append(Try(epsilon, "PGD, further starts", len(some), int(hit.sum())))
            self.spent += len(some) * GRADIENT * effort.steps * restarts
            some = some[~hit]
        if len(some) and self.gradients:
            hit = self._turned(epsilon, some, method="apgd", steps=effort.steps)
            out.tries.append(Try(epsilon, "APGD", len(some), int(hit.sum())))
            self.spent += len(some) * GRADIENT * effort.steps
            some = some[~hit]
        if len(some):
            hit = self._square(epsilon, some)
            out.tries.append(Try(epsilon, "Square", len(some), int(hit.sum())))
            out.square = (out.square[0] + int(hit.sum()), out.square[1] + len(some))
            self.spent += len(some) * effort.queries
            some = some[~hit]
        return np.sort(np.concatenate([some, rest]))

    def _half(self, left: Places) -> tuple[int, int]:
        some = left[:TRIED]
        hit = self._turned(HALF, some, method="pgd", steps=self.effort.steps)
        return int((~hit).sum()), len(some)

    def _frame(self, at: Places, x: Floats) -> Frame:
        from audit.subject.frame import take

        return {**take(self.rows.frame, at), self.spec.name: x}

    def _turned(self, epsilon: float, at: Places, *, method: str, **params: int) -> Bools:
        """Which of the rows `at` the model decides otherwise, after an attack beside it."""
        reach, low, high = epsilon * self.bounds.width, *self.bounds
        hit = []
        for part in self._batches(at):
            own = self._own[part]
            seed = int(self.rng.integers(2**31))
            found = self.model.attack(self._frame(part, own), method=method, reach=reach, low=low, high=high, seed=seed, **params)
            moved = Box(self._shape, reach, low, high).inside(np.asarray(found, dtype=np.float32), own)
            hit.append(self.model(self._frame(part, moved))[0] != self.rows.own[part])
        return np.concatenate(hit) if hit else np.zeros(0, dtype=bool)

    @property
    def _shape(self) -> tuple[int, int, int]:
        channels, height, width = self.spec.shape
        return channels, height, width

    def _square(self, epsilon: float, at: Places) -> Bools:
        """Which of the rows `at` a search by answers turns."""
        box = Box(self._shape, epsilon * self.bounds.width, *self.bounds)
        hit = []
        for part in self._batches(at):

            def ahead(x: Floats, which: Places, part: Places = part) -> NDArray[np.float64]:
                _, scores = self.model(self._frame(part[which], x))
                assert scores is not None, "the check needs scores"
                return self.model.ahead(scores, self.rows.own[part[which]])

            found = square(self._own[part], box, ahead, self.effort.queries, self.rng)
            hit.append(self.model(self._frame(part, found))[0] != self.rows.own[part])
        return np.concatenate(hit)

    def _batches(self, at: Places) -> Iterator[Places]:
        size = together(self._own.shape[1])
        for start in range(0, len(at), size):
            yield at[start : start + size]


def together(width: int) -> int:
    """How many pictures of `width` numbers each go in one request."""
    return max(LEAST, NUMBERS // max(1, width))
