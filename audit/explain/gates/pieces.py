"""Explanations of rows that are no table, on trial: texts, pictures, sequences and recordings by their parts, and rows of several inputs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from audit.asking import predict
from audit.explain.explained import PARTIAL
from audit.explain.gates.completeness import gaps
from audit.explain.gates.controls import GRADIENT
from audit.explain.gates.measured import MOST, PER_CHANGE, Near, shaken
from audit.explain.gates.randomised import RandomFunction
from audit.explain.gates.second import FEWEST
from audit.explain.gates.second import MOST as MOST_ROWS
from audit.explain.gates.stability import moved
from audit.explain.of_pieces import Seen, Way, answers_of, picked, played, seen
from audit.explain.pieces import Events, Fields, Piece, Regions, Single, Stretches, Words
from audit.subject.client import WorkerError
from audit.subject.frame import Array, Categories, Frame, rows, take

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from audit.explain.explained import Explained, Method
    from audit.explain.gates.trial import PerRow
    from audit.explain.parts import Game
    from audit.measurement import Slice

    Span = slice
    Floats = NDArray[np.float64]
    Bools = NDArray[np.bool_]
    Places = NDArray[np.int64]

#: Rows that a gate has at least where there are so many.
LEAST = 10


@dataclass(frozen=True)
class PiecesBench:
    """Rows explained by their parts, and the game that the explanation is about: parts switched off as explainers from answers do it.

    `own` (n,) is the column of answers that was explained of each row; `explanations` how many of all rows the budget allows.
    """

    way: Way
    seen: Seen
    own: Places
    explanations: int = 1

    @property
    def slice(self) -> Slice:
        """The method; of sequences, also how they were divided."""
        return {"(method)": f"({self.method})" if self.division is None else f"({self.method}, {self.division})"}

    @property
    def division(self) -> str | None:
        """How sequences were divided; None where a row has none."""
        if not any(isinstance(piece, Events | Fields) for piece in self.seen.pieces.inputs):
            return None
        return "fields" if self.way.by_field else "events"

    @property
    def beside(self) -> bool:
        """Whether the method runs where the model is."""
        return self.way.beside

    @property
    def method(self) -> Method:
        """The method as it was used."""
        return self.seen.explained.method

    @property
    def n(self) -> int:
        """Rows."""
        return len(self.seen.explained.values)

    @cached_property
    def values(self) -> list[Floats]:
        """The attributions of each row, (parts, 1)."""
        return self._by_row(self.seen.explained)

    def _by_row(self, found: Explained) -> list[Floats]:
        return [found.values[i, self.seen.pieces.at(i)][:, None] for i in range(self.n)]

    def play(self, row: int) -> Game:
        """The game of one row's own answer."""
        return played(self.way, self.seen.pieces, row, int(self.own[row]))

    def gaps(self) -> Floats:
        """The relative miss of completeness per row, (n,); NaN for methods that do not claim to add up."""
        if self.method in PARTIAL:
            return np.full(self.n, np.nan)
        return gaps(self.seen.explained.values.sum(axis=1), self.way.of(self.seen.frame, self.own), self.bases())

    def bases(self) -> Floats:
        """What each row's attributions start from, (n,): asked for apart from the explanation, but where a text starts from itself without its words,
        for that row is the worker's own."""
        if not self.beside:
            return np.array([float(self.play(i)(np.zeros((1, len(v)), bool))[0, 0]) for i, v in enumerate(self.values)])
        if any(isinstance(piece, Words) for piece in self.seen.pieces.inputs):
            return self.seen.explained.base
        mean = self.way.answers(self.way.start).mean(axis=0)
        return picked(np.tile(mean, (self.n, 1)), self.own)

    def gradient(self) -> dict[str, PerRow]:
        """The gradient times the input, by part, under its name; nothing for models without one."""
        if self.way.by_field or "gradient_x_input" not in self.way.ctx.settled.methods:
            return {}
        found = replace(self.way, method="gradient_x_input").explain(self.seen.frame, self.own)
        return {GRADIENT: self._by_row(found)}

    def again(self, run: int) -> list[Floats]:
        """The same rows explained with other random numbers."""
        return self._by_row(self.way.explain(self.seen.frame, self.own, stream=f"/seed {run}"))

    def randomised(self, seed: int) -> list[Floats]:
        """The same rows and answers explained over a model that learned nothing."""
        if self.beside:
            return self._by_row(self.way.explain(self.seen.frame, self.own, randomise=seed))
        return self._by_row(replace(self.way, ask=self._meaningless(seed)).explain(self.seen.frame, self.own))

    def _meaningless(self, seed: int) -> Callable[[Frame], Floats]:
        """Answers of the model with its weights drawn again where it has some, else of a random function."""
        ctx = self.way.ctx
        try:
            ctx.client.predict(take(self.seen.frame, slice(0, 1)), randomise=seed)
        except WorkerError as error:
            if error.kind != "contract":
                raise
            outputs = self.way.answers(take(self.seen.frame, slice(0, 1))).shape[1]
            texts = frozenset(piece.name for piece in self.seen.pieces.inputs if isinstance(piece, Words))
            return RandomFunction(self.way.background, outputs, seed, texts)
        return lambda frame: answers_of(ctx, ctx.client.predict(frame, randomise=seed))[0]

    def other(self, budget: int) -> list[Floats] | None:
        """SHAP from the model's answers of the first rows, within the budget; None where that is the method on trial."""
        if not self.beside:
            return None
        way = replace(self.way, method=None)
        parts = way.parts(self.seen.frame)
        costs = np.cumsum([way.cost(parts, i) for i in range(min(self.n, MOST_ROWS))])
        some = slice(0, max(FEWEST, int(np.searchsorted(costs, budget, side="right"))))
        frame = take(self.seen.frame, some)
        found, parts = way.explain(frame, self.own[some]), way.parts(frame)
        return [found.values[i, parts.at(i)][:, None] for i in range(rows(frame))]

    def near(self, neighbours: int, radius: float, rng: np.random.Generator) -> Near:
        """Each number of a row moves by up to `radius` of its spread, evenly and on its own; of a text, the least important word is left out, then
        the next one. What is left is compared. See `measured.near`."""
        answer = self.way.of(self.seen.frame, self.own)
        distance = np.maximum(np.abs(answer - self.seen.explained.base), 1e-12)
        said = self._classes(self.seen.frame)
        worst, excess = np.full(self.n, np.nan), np.full(self.n, np.nan)
        for which in range(neighbours):
            frame, kept = self._neighbour(which, radius, rng)
            found, parts = self.way.explain(frame, self.own), self.way.parts(frame)
            same = self._classes(frame) == said
            change = np.abs(found.answer - answer) / distance
            for i in range(self.n):
                at, left = parts.at(i), kept[i]
                if left is None or not same[i] or len(at) != left.sum() or not np.isfinite(found.values[i, at]).all():
                    continue
                move = min(float(moved(self.values[i][left].T, found.values[i, at][None])[0]), MOST)
                worst[i] = np.fmax(worst[i], move)
                excess[i] = np.fmax(excess[i], max(move - PER_CHANGE * float(change[i]), 0.0))
        return Near(worst, excess)

    def _classes(self, frame: Frame) -> Array:
        if self.way.ctx.settled.task == "regression":
            return np.zeros(rows(frame))
        from audit.outputs import interpret

        return np.asarray(interpret(predict(self.way.ctx.client, frame), self.way.ctx.settled)[0])

    def _neighbour(self, which: int, radius: float, rng: np.random.Generator) -> tuple[Frame, list[Bools | None]]:
        """Every row with its inputs moved a little, and which of its parts are still there; None for a row that nothing could be moved of."""
        kept: list[Bools] = [np.ones(len(v), dtype=bool) for v in self.values]
        changed = np.zeros(self.n, dtype=bool)
        frame: Frame = {}
        for piece, places in self.seen.pieces.divided():
            if isinstance(piece, Words):
                frame[piece.name] = self._shorter(piece, places, which, kept, changed)
            else:
                column = _shaken(piece, self.seen.frame[piece.name], radius, rng)
                changed |= column is not self.seen.frame[piece.name]
                frame[piece.name] = column
        return frame, [one if moved_ else None for one, moved_ in zip(kept, changed.tolist(), strict=True)]

    def _shorter(self, piece: Words, places: Span, which: int, kept: list[Bools], changed: Bools) -> Categories:
        """The texts without their least important word, or the one after it; a text of two words stays."""
        texts: list[str | None] = []
        for row in range(self.n):
            at = self.seen.pieces.at(row)
            inside = np.flatnonzero((at >= places.start) & (at < places.stop))
            mask = np.ones((1, len(inside)), dtype=bool)
            if len(inside) > which + 2:
                drop = np.argsort(np.abs(self.values[row][inside, 0]), kind="stable")[which]
                mask[0, drop], kept[row][inside[drop]], changed[row] = False, False, True
            one = piece.switched(row, mask)
            texts.append(None if one.codes[0] < 0 else one.vocabulary[one.codes[0]])
        return Categories.of(texts)


def _shaken(piece: Piece, column: Array | Categories, radius: float, rng: np.random.Generator) -> Array | Categories:
    """A column with noise of up to `radius` of the spread of what it holds; the same object where it holds no numbers that could move."""
    if isinstance(column, Categories) or column.dtype.kind not in "fi":
        return column
    if isinstance(piece, Events | Fields):
        return _steps_shaken(piece, column, radius, rng)
    known = column[np.isfinite(column)]
    spread = float(np.std(known)) if len(np.unique(known)) > 2 else 0.0
    if isinstance(piece, Single):
        return shaken(column, radius * spread, rng)
    assert isinstance(piece, Regions | Stretches)
    return column if spread == 0 else (column + rng.uniform(-radius * spread, radius * spread, column.shape)).astype(column.dtype)


def _steps_shaken(piece: Events | Fields, column: Array, radius: float, rng: np.random.Generator) -> Array:
    """Events whose numbers moved, each field by its own spread; codes of categories stay, and whole numbers stay whole."""
    steps = column.reshape(len(column), *piece.spec.shape)
    noise = np.zeros(steps.shape)
    for j, field in enumerate(piece.spec.fields):
        known = steps[:, :, j][np.isfinite(steps[:, :, j])]
        if field.kind != "number" or len(np.unique(known)) < 3:
            continue
        by = radius * float(np.std(known))
        drawn = rng.uniform(-by, by, steps.shape[:2])
        noise[:, :, j] = np.round(drawn) if (known == np.round(known)).all() else drawn
    return (steps + noise).reshape(column.shape).astype(column.dtype) if noise.any() else column


def bench(
    way: Way, frame: Frame, *, size: int, budget: int, explanations: int, least: int, parts_of: int, masks: Callable[[int], int]
) -> PiecesBench:
    """As many rows on trial as the budget allows, at least ten; fewer explanations of each, down to `least`, rather than fewer rows.

    Rows of fewer than `parts_of` parts say nothing to a gate: the others are taken where there are enough.
    """
    from audit.explain.of_pieces import affordable as fit

    parts = way.parts(frame)
    telling = np.array([i for i in range(rows(frame)) if len(parts.at(i)) >= parts_of], dtype=np.int64)
    if len(telling) >= LEAST:
        frame = take(frame, telling[:size])
    parts = way.parts(take(frame, slice(0, LEAST)))
    first = range(min(LEAST, rows(frame)))
    explained = sum(way.cost(parts, i) for i in first)
    asked = sum(parts.copies * masks(len(parts.at(i))) for i in first)
    while explanations > least and explanations * explained + asked > budget:
        explanations -= 1
    some = take(frame, slice(0, min(size, fit(way, frame, budget, explanations=explanations, masks=masks))))
    found = seen(way, way.explain(some), some)
    own = way.own(found.frame) if len(found.explained.values) else np.zeros(0, dtype=np.int64)
    return PiecesBench(way, found, own, explanations)
