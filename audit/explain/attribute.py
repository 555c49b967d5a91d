"""Attributions by the method that fits the model, measured against the model's own answers.

Trees and networks are explained beside the model (Tree SHAP, Integrated Gradients), so those numbers are its own testimony and say so; every
other model is explained from here by SHAP over its answers alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from audit.explain.explained import Explained, Method
from audit.explain.parts import Columns, game
from audit.explain.permutation import permutation_shap
from audit.subject.frame import Frame, rows, take

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from audit.context import Context

    Floats = NDArray[np.float64]

#: Permutations of the features that permutation SHAP averages over, each walked forwards and backwards.
PERMUTATIONS = 10
#: Background rows from which Integrated Gradients start; each costs a path of its own.
STARTS = 10


@dataclass(frozen=True)
class Explainer:
    """One method against one background, ready for any rows of this subject; `outputs` are explained one by one."""

    ctx: Context
    method: Method
    background: Frame
    outputs: tuple[int, ...]

    def explain(self, frame: Frame, *, stream: str = "") -> list[Explained]:
        """Attributions of rows (n, ·), one entry for each output. `stream` names the random numbers of a method that samples."""
        if self.method == "permutation_shap":
            return self._from_answers(frame, stream)
        return [self._beside(frame, output) for output in self.outputs]

    def answer(self, frame: Frame) -> Floats:
        """The model's answers (n, outputs) in the unit that is explained, asked for through `predict`."""
        if self.method == "permutation_shap":
            found = self.ctx.answer(frame)
            return found[:, None] if found.ndim == 1 else found[:, list(self.outputs)]
        raw = self.ctx.client.predict(frame).values
        return np.stack([_in_unit(self.ctx, raw, output, self.unit) for output in self.outputs], axis=1)

    @cached_property
    def unit(self) -> str:
        """log-odds, logit, probability, value or label."""
        if self.method == "permutation_shap":
            settled = self.ctx.settled
            return "value" if settled.task == "regression" else "probability" if settled.has_scores else "label"
        return self.explain(take(self.background, slice(0, 1)))[0].unit

    def _beside(self, frame: Frame, output: int) -> Explained:
        """Attributions from the worker, held against the answers that it gave when asked to predict."""
        ctx = self.ctx
        column = output if ctx.settled.positive is None else (output if ctx.settled.task != "binary" else _raw_column(ctx, frame, output))
        found = ctx.client.attribute(frame, self.background, method=self.method, output=column)
        answer = _in_unit(ctx, ctx.client.predict(frame).values, output, found.unit)
        return Explained(list(frame), found.values, found.base, answer, found.unit, self.method, rows(self.background))

    def _from_answers(self, frame: Frame, stream: str) -> list[Explained]:
        """Permutation SHAP (Castro 2009; Mitchell 2022)."""
        parts, n = Columns(frame, self.background), rows(frame)
        rng = self.ctx.rng(f"permutations{stream}")
        found = [permutation_shap(game(self.answer, parts, i), len(frame), permutations=PERMUTATIONS, rng=rng) for i in range(n)]
        values, base = np.stack([v for v, _ in found]), np.stack([b for _, b in found])
        own = self.answer(frame)
        return [
            Explained(list(frame), values[:, :, i], base[:, i], own[:, i], self.unit, self.method, parts.copies)
            for i in range(values.shape[2])
        ]


def explainer(ctx: Context, background: Frame) -> Explainer:
    """The method that fits this model, for the event, the value, or each class in turn."""
    settled = ctx.settled
    if settled.task == "regression" or not settled.has_scores:
        outputs: tuple[int, ...] = (0,)
    elif settled.positive is not None:
        outputs = (settled.classes.index(settled.positive),)
    else:
        outputs = tuple(range(len(settled.classes)))
    if "tree_shap" in settled.methods:
        return Explainer(ctx, "tree_shap", background, outputs)
    if "integrated_gradients" in settled.methods:
        return Explainer(ctx, "integrated_gradients", take(background, slice(0, STARTS)), outputs)
    return Explainer(ctx, "permutation_shap", background, outputs)


def draw(ctx: Context, size: int, background: int) -> tuple[Frame, Frame]:
    """Up to `size` sampled rows to explain, and `background` others."""
    drawn = ctx.sample(ctx.plan.audit.sample)
    defined = np.isfinite(drawn.pred) if ctx.settled.task == "regression" else drawn.pred >= 0
    whole = take(drawn.frame, np.flatnonzero(defined))  # what the model refuses cannot be explained
    total = rows(whole)
    order = ctx.rng("background").permutation(total)
    reference, explained = order[: min(background, max(1, total // 2))], np.sort(order[min(background, total // 2) :][:size])
    return take(whole, explained), take(whole, reference)


def explain(ctx: Context, size: int, background: int) -> list[Explained]:
    """Attributions of up to `size` sampled rows against `background` others: of the event, of the value, or of each class in turn."""
    frame, base = draw(ctx, size, background)
    return explainer(ctx, base).explain(frame)


def affordable(ctx: Context, wanted: int, background: int, budget: int) -> int:
    """Rows that fit into `budget` model evaluations, fixed before anything is explained (forward and backward count as three)."""
    d = max(1, len(ctx.facts.features))
    if "tree_shap" in ctx.settled.methods:
        cost = background
    elif "integrated_gradients" in ctx.settled.methods:
        cost = 3 * STARTS * 400
    else:
        cost = 2 * PERMUTATIONS * d * background
    return max(10, min(wanted, budget // cost))


def _raw_column(ctx: Context, frame: Frame, output: int) -> int:
    """The event's place among the raw outputs: a model with one column has it there, whichever class it is."""
    one = ctx.client.predict(take(frame, slice(0, 1))).values.shape[1] == 1
    return 1 if one else output


def _in_unit(ctx: Context, raw: Floats, output: int, unit: str) -> Floats:
    """One output (n,) of raw answers in the unit that was explained."""
    if unit == "value":
        return np.asarray(raw[:, 0])
    column = np.asarray(raw[:, output] if raw.shape[1] > 1 else raw[:, 0])
    if unit == "logit" and ctx.settled.outputs == "logit":
        return column
    if unit in ("log-odds", "logit") and ctx.settled.outputs == "probability" and ctx.settled.task == "binary":
        inside = np.clip(column, 1e-15, 1 - 1e-15)
        return np.asarray(np.log(inside / (1 - inside)))
    if unit in ("log-odds", "logit") and ctx.settled.outputs == "probability":
        return np.asarray(np.log(np.clip(column, 1e-300, None)))
    return column
