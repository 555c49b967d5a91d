"""Integrated Gradients (Sundararajan, Taly and Yan 2017) of nets with a stem, each line walked only as finely as it bends.

Along the line from a reference to a row the first linear layer gives Σ_j w_j e_j(x_j), column j at work in e_j alone. What column j is due is
therefore ∫ g · w_j de_j, with g the gradient at what that layer gives: bends of the encoding (bins, logarithms, codes) are followed exactly, and only
those behind the layer have to be found. On a piece of the line, trapezoids give ½ (g₀ + g₁) · (z₁ − z₀); how far this misses what the score itself
moves there is known, so the pieces that miss most are divided, at the place where the tangents of both ends meet, which is the bend where
there is one only.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch

from audit.subject.flavors.gradients import FLOOR, MEDIAN_GAP, NUMBERS, Attributed, Net, scored
from audit.subject.flavors.stem import Stem
from audit.subject.frame import Array

#: Pieces of each line before any is divided.
PIECES = 16
#: Nodes of a line that are taken to be enough when blocks are cut.
NODES = 128
#: A piece is divided this share of its length to both sides of the bend; one as short as `SHORTEST` is left.
BESIDE, SHORTEST = 1 / 32, 1e-6
#: What moves by less than this share of all that a row's columns are due moves by rounding: a value that lies at the edge of a bin, say.
ROUNDING = 1e-5


def along(net: Net, stem: Stem, x: Any, references: list[Any], target: Any, *, steps: int, max_steps: int) -> Attributed | None:
    """Values (n, columns), averaged over the references (n, columns) each; about `max_steps` gradients a line at most, `PIECES` or `steps` at first.

    None where a number moves of which no column is known to move it. A row is done when its pieces' misses, taken as independent of each other,
    add up to at most `MEDIAN_GAP` of its move with two standard deviations.
    """
    explained = scored(net, [x], target)
    base = np.mean([scored(net, [_held(x, r)], target) for r in references], axis=0)
    moved = np.abs(explained - base)
    enough = MEDIAN_GAP * np.maximum(moved, FLOOR * np.median(moved) + 1e-9) * len(references) / 2
    width = len(stem.owner) + 3 * stem.layer.out_features
    at_once = max(1, 8 * NUMBERS // (width * NODES * len(references)))
    values, taken = np.zeros((len(x), stem.columns)), 0
    for i in range(0, len(x), at_once):
        some = slice(i, i + at_once)
        kind = _Straight if stem.plain else _Lines
        lines = kind(stem, x[some], [r[some] for r in references], target[some], min(PIECES, steps))
        lines.refine(enough[some], max_steps)
        due, strays = lines.due()
        if strays:
            return None
        values[some] = due
        taken += len(lines.line)
    return Attributed(values, base, explained, taken / max(1, len(x) * len(references)))


def _held(x: Any, reference: Any) -> Any:
    """A reference (n, columns) in which what is missing at either end is held at the row's own value."""
    return torch.where(torch.isnan(x) | torch.isnan(reference), x, reference)


class _Grown:
    """Rows that are added at the end of a tensor; room is doubled, so that each is moved twice at most on average."""

    def __init__(self) -> None:
        self._room, self._used = torch.zeros(0), 0

    def add(self, rows: Any) -> None:
        """More of them, (m, …)."""
        need = self._used + len(rows)
        if need > len(self._room):
            room = torch.empty(max(need, 2 * len(self._room)), *rows.shape[1:], dtype=rows.dtype)
            if self._used:
                room[: self._used] = self._room[: self._used]
            self._room = room
        self._room[self._used : need] = rows
        self._used = need

    @property
    def all(self) -> Any:
        """All of them."""
        return self._room[: self._used]


class _Pieces(NamedTuple):
    """Pieces of lines between the nodes `left` and `right` (m,) each; what trapezoids `miss` on them, and where the tangents meet, as a share of the
    length."""

    left: Array
    right: Array
    miss: Array
    bend: Array


class _Lines:
    """The lines of some rows, each from every reference, and the nodes on them at which the net was asked."""

    def __init__(self, stem: Stem, x: Any, references: list[Any], target: Any, pieces: int) -> None:
        self.stem, self.n, self.count = stem, len(x), len(references)
        self.start = torch.cat([_held(x, r) for r in references])
        own = x.repeat(self.count, 1)
        self.way = torch.where(torch.isnan(own), torch.zeros_like(own), own - self.start)
        self.target = target.repeat(self.count)
        lines = self.n * self.count
        self.line, self.place = np.zeros(0, dtype=np.int64), np.zeros(0)
        self.features, self.answers, self.slopes, self.scores = (_Grown() for _ in range(4))
        self._ask(np.repeat(np.arange(lines), pieces + 1), np.tile(np.arange(pieces + 1) / pieces, lines))
        left = np.flatnonzero(np.arange(len(self.line)) % (pieces + 1) < pieces)
        self.pieces = self._measured(left, left + 1)

    def _ask(self, line: Array, place: Array) -> None:
        """New nodes: what the layer takes and gives there, the gradient at the latter, and the score."""
        step = max(1, NUMBERS // len(self.stem.owner))
        for i in range(0, len(line), step):
            at, share = torch.from_numpy(line[i : i + step]), torch.from_numpy(place[i : i + step]).to(self.start.dtype)
            self._ask_some(at, share[:, None])
        self.line, self.place = np.concatenate([self.line, line]), np.concatenate([self.place, place])

    def _ask_some(self, at: Any, share: Any) -> None:
        """A block of new nodes."""
        features = self.stem.features(self.start[at] + share * self.way[at])
        with torch.no_grad():
            answers = self.stem.layer(features)
        self.features.add(features)
        self.answers.add(answers)
        self._slope(at, answers)

    def _slope(self, at: Any, answers: Any) -> Any:
        """Keep the gradient and the score where the layer gives these answers."""
        leaf = answers.detach().requires_grad_()
        with torch.enable_grad():
            score = self.stem.behind(leaf).gather(1, self.target[at].unsqueeze(1)).squeeze(1)
            (slope,) = torch.autograd.grad(score.sum(), leaf)
        self.slopes.add(slope)
        self.scores.add(score.detach().double())
        return slope

    def refine(self, enough: Array, most: int) -> None:
        """Divide the pieces that miss most until the root of a row's summed squares is at most `enough` (n,), or the row has `most` nodes a line."""
        while True:
            pieces = self.pieces
            row, square = self.line[pieces.left] % self.n, pieces.miss**2
            total, used = np.bincount(row, square, self.n), np.bincount(row, minlength=self.n)
            pending = (total > enough**2) & (used < most * self.count)
            share = enough**2 / 2 / np.maximum(used, 1)  # pieces below it do not add up to half of what is enough, even all together
            able = np.flatnonzero(pending[row] & (square > share[row]))
            rest = total - np.bincount(row[able], square[able], self.n)
            order = able[np.lexsort((square[able], row[able]))]
            sums, own = np.cumsum(square[order]), row[order]
            begins = np.flatnonzero(np.diff(own, prepend=-1))
            before = np.repeat((sums - square[order])[begins], np.diff(begins, append=len(own)))
            chosen = order[sums - before + rest[own] > enough[own] ** 2 / 2]  # of a row's pieces, from the smallest up
            chosen = chosen[(self.place[pieces.right] - self.place[pieces.left])[chosen] > SHORTEST]
            if not len(chosen):
                return
            self._divide(chosen)

    def _divide(self, chosen: Array) -> None:
        """Three pieces for each of these, cut close to both sides of the bend, or in thirds where no bend is told."""
        some = _Pieces(*(part[chosen] for part in self.pieces))
        line, start, length = self.line[some.left], self.place[some.left], self.place[some.right] - self.place[some.left]
        inside = (some.bend > 2 * BESIDE) & (some.bend < 1 - 2 * BESIDE)
        cuts = [start + np.where(inside, some.bend + side * BESIDE, third) * length for side, third in ((-1, 1 / 3), (1, 2 / 3))]
        lower = len(self.line) + np.arange(len(chosen))
        upper = lower + len(chosen)
        self._ask(np.concatenate([line, line]), np.concatenate(cuts))
        new = self._measured(np.concatenate([some.left, lower, upper]), np.concatenate([lower, upper, some.right]))
        self.pieces = _Pieces(*(np.concatenate([np.delete(a, chosen), b]) for a, b in zip(self.pieces, new, strict=True)))

    def _measured(self, left: Array, right: Array) -> _Pieces:
        """Pieces between nodes."""
        first, last = self._tangents(torch.from_numpy(left), torch.from_numpy(right))
        scores = self.scores.all.numpy()
        moved = scores[right] - scores[left]
        with np.errstate(divide="ignore", invalid="ignore"):
            bend = np.nan_to_num((moved - last) / (first - last), nan=-1.0, posinf=-1.0, neginf=-1.0)
        return _Pieces(left, right, np.nan_to_num(moved - (first + last) / 2), bend)

    def _tangents(self, a: Any, b: Any) -> tuple[Array, Array]:
        """How far the score would move on pieces (m,) if it went on as at their left and as at their right end."""
        answers, slopes = self.answers.all, self.slopes.all
        way = answers[b] - answers[a]
        first, last = ((slopes[at] * way).sum(dim=1).double().numpy() for at in (a, b))
        return first, last

    def due(self) -> tuple[Array, bool]:
        """What each column is due (n, columns), averaged over the references, and whether something moved that is no column's."""
        left, right = self.pieces.left, self.pieces.right
        out = torch.zeros(self.n, len(self.stem.owner), dtype=torch.float64)
        step = max(1, NUMBERS // len(self.stem.owner))
        for i in range(0, len(left), step):
            a, b = torch.from_numpy(left[i : i + step]), torch.from_numpy(right[i : i + step])
            slope = (self.slopes.all[a] + self.slopes.all[b]) @ self.stem.layer.weight / 2
            rows = torch.from_numpy(self.line[left[i : i + step]] % self.n)
            out.index_add_(0, rows, (slope * torch.nan_to_num(self.features.all[b] - self.features.all[a])).double())
        stray, whole = out[:, self.stem.owner < 0].abs().sum(dim=1), out.abs().sum(dim=1)
        return (self.stem.booked(out) / self.count).numpy(), bool((stray > ROUNDING * whole).any())


class _Straight(_Lines):
    """Lines of a net whose first linear layer takes the row itself, so that what it gives moves straight as well: it is worked out at both ends only,
    and what tangents and trapezoids take of a node's gradient is its mean along the line."""

    def __init__(self, stem: Stem, x: Any, references: list[Any], target: Any, pieces: int) -> None:
        self.tangents = _Grown()
        with torch.no_grad():
            self.begin = stem.layer(torch.cat([_held(x, r) for r in references]))
            self.span = stem.layer(x.repeat(len(references), 1)) - self.begin
        super().__init__(stem, x, references, target, pieces)

    def _ask_some(self, at: Any, share: Any) -> None:
        span = self.span[at]
        slope = self._slope(at, torch.addcmul(self.begin[at], share, span))
        self.tangents.add((slope * span).sum(dim=1).double())

    def _tangents(self, a: Any, b: Any) -> tuple[Array, Array]:
        places, tangents = torch.from_numpy(self.place), self.tangents.all
        length = places[b] - places[a]
        return (tangents[a] * length).numpy(), (tangents[b] * length).numpy()

    def due(self) -> tuple[Array, bool]:
        """As `_Lines` says; no number the layer takes is nobody's."""
        left, right = self.pieces.left, self.pieces.right
        length = (self.place[right] - self.place[left]) / 2
        weight = np.bincount(left, length, len(self.line)) + np.bincount(right, length, len(self.line))
        slope = torch.zeros(len(self.start), self.begin.shape[1], dtype=torch.float64)
        step = max(1, NUMBERS // self.begin.shape[1])
        for i in range(0, len(self.line), step):
            some = slice(i, i + step)
            slope.index_add_(0, torch.from_numpy(self.line[some]), self.slopes.all[some] * torch.from_numpy(weight[some])[:, None])
        values = (slope @ self.stem.layer.weight.double()) * self.way.double()
        return values.reshape(self.count, self.n, -1).mean(dim=0).numpy(), False
