"""Explainers over plain functions, honest and not, for the gates to tell apart."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from audit.explain.explained import Explained
from audit.explain.gates.trial import Trial, begin
from audit.explain.parts import Columns, game
from audit.subject.frame import Frame, rows


def framed(x: Any) -> Frame:
    """Columns of a matrix (n, d)."""
    return {f"x{j}": column for j, column in enumerate(np.asarray(x, dtype=float).T)}


def matrix(frame: Frame) -> Any:
    """The matrix again."""
    return np.stack([np.asarray(c) for c in frame.values()], axis=1)


@dataclass
class Plain:
    """An explainer of a function (n, d) → (n,); `attribute(self, x, rng)` gives (n, d)."""

    function: Callable[[Any], Any]
    background: Frame
    attribute: Callable[[Plain, Any, np.random.Generator], Any]
    streams: dict[str, int] = field(default_factory=dict)

    def answer(self, frame: Frame) -> Any:
        return self.function(matrix(frame))[:, None]

    def explain(self, frame: Frame, *, stream: str = "") -> list[Explained]:
        rng = np.random.default_rng(self.streams.setdefault(stream, len(self.streams)))
        answer, base = self.answer(frame)[:, 0], self.answer(self.background).mean()
        values = self.attribute(self, matrix(frame), rng)
        return [Explained(list(frame), values, np.full(len(values), base), answer, "value", "exact_shap", rows(self.background))]

    def over(self, function: Callable[[Any], Any]) -> Plain:
        """The same explainer of another function."""
        return Plain(function, self.background, self.attribute)


def exact(own: Plain, x: Any, rng: np.random.Generator) -> Any:
    """Shapley values over all coalitions, by their definition."""
    from itertools import combinations
    from math import comb

    d = x.shape[1]
    members = [np.array(s, dtype=int) for size in range(d + 1) for s in combinations(range(d), size)]
    masks = np.zeros((len(members), d), dtype=bool)
    for mask, s in zip(masks, members, strict=True):
        mask[s] = True
    place = {m.tobytes(): i for i, m in enumerate(masks)}
    out = np.zeros(x.shape)
    for row in range(len(x)):
        v = game(own.answer, Columns(framed(x), own.background), row)(masks)[:, 0]
        for i, mask in enumerate(masks):
            for j in np.flatnonzero(~mask):
                grown = mask.copy()
                grown[j] = True
                out[row, j] += (v[place[grown.tobytes()]] - v[i]) / (d * comb(d - 1, int(mask.sum())))
    return out


def at_random(own: Plain, x: Any, rng: np.random.Generator) -> Any:
    """Knows nothing, and has what is left over in its last input, so that it adds up."""
    values = rng.normal(size=x.shape)
    values[:, -1] += own.function(x) - own.function(matrix(own.background)).mean() - values.sum(axis=1)
    return values


def itself(own: Plain, x: Any, rng: np.random.Generator) -> Any:
    """φ = x, whatever the model is."""
    return x.copy()


def kernel(coalitions: int) -> Callable[[Plain, Any, np.random.Generator], Any]:
    """Kernel SHAP from so many coalitions without their complements, as a library's default would have it; least squares of least norm."""

    def attribute(own: Plain, x: Any, rng: np.random.Generator) -> Any:
        d = x.shape[1]
        size = np.arange(1, d)
        weight = 1 / (size * (d - size))
        out = np.zeros(x.shape)
        for row in range(len(x)):
            drawn = rng.choice(size, coalitions, p=weight / weight.sum())
            masks = rng.random((coalitions, d)).argsort(axis=1).argsort(axis=1) < drawn[:, None]
            v = game(own.answer, Columns(framed(x), own.background), row)(
                np.concatenate([masks, np.zeros((1, d), bool), np.ones((1, d), bool)])
            )[:, 0]
            whole = v[-1] - v[-2]
            reduced = masks[:, :-1].astype(float) - masks[:, -1:]  # the last value is what the sum leaves
            found = np.linalg.lstsq(reduced, v[:-2] - v[-2] - masks[:, -1] * whole, rcond=None)[0]
            out[row] = [*found, whole - found.sum()]
        return out

    return attribute


def tried(function: Callable[[Any], Any], attribute: Any, *, d: int = 6, n: int = 60, background: int = 8, seed: int = 0) -> Trial:
    """A trial of an explainer on normal rows."""
    rng = np.random.default_rng(seed)
    base = framed(rng.normal(size=(background, d)))
    return begin(Plain(function, base, attribute), framed(rng.normal(size=(n, d))), base)
