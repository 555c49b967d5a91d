"""Attributions for a sample of rows by the method that fits the model, measured against the model's own answers.

Trees and networks are explained beside the model (Tree SHAP, Integrated Gradients), so those numbers are its own testimony and say so; every
other model is explained from here by SHAP over its answers alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from audit.explain.permutation import permutation_shap
from audit.subject.frame import Categories, Frame, rows, take

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from audit.context import Context

    Floats = NDArray[np.float64]

Method = Literal["tree_shap", "integrated_gradients", "permutation_shap"]
#: Where an output hardly moves from the base value, the miss is taken relative to this share of the output's standard deviation.
FLOOR = 0.01
#: Permutations of the features that permutation SHAP averages over, each walked forwards and backwards.
PERMUTATIONS = 10


class Explained(NamedTuple):
    """`values` (n, d) over the input columns; values.sum(1) + base should equal `answer` (n,), which the model was asked for separately."""

    features: list[str]
    values: Floats
    base: Floats
    answer: Floats
    unit: str
    method: Method
    background: int

    @property
    def gaps(self) -> Floats:
        """Relative miss of completeness per row, (n,): |Σφ + base − f(x)| / max(|f(x) − base|, 1 % of the spread of f)."""
        moved = np.abs(self.answer - self.base)
        floor = max(FLOOR * float(np.std(self.answer)), 1e-12)
        miss: Floats = np.abs(self.values.sum(axis=1) + self.base - self.answer) / np.maximum(moved, floor)
        return miss


def explain(ctx: Context, size: int, background: int) -> list[Explained]:
    """Attributions of up to `size` sampled rows against `background` others: of the event, of the value, or of each class in turn."""
    drawn = ctx.sample(ctx.plan.audit.sample)
    defined = np.isfinite(drawn.pred) if ctx.settled.task == "regression" else drawn.pred >= 0
    whole = take(drawn.frame, np.flatnonzero(defined))  # what the model refuses cannot be explained
    total = rows(whole)
    order = ctx.rng("background").permutation(total)
    reference, explained = order[: min(background, max(1, total // 2))], np.sort(order[min(background, total // 2) :][:size])
    frame, base = take(whole, explained), take(whole, reference)
    if ctx.settled.task == "regression" or not ctx.settled.has_scores:
        outputs = [0]
    elif ctx.settled.positive is not None:
        outputs = [ctx.settled.classes.index(ctx.settled.positive)]
    else:
        outputs = list(range(len(ctx.settled.classes)))
    if "tree_shap" in ctx.settled.methods:
        return [_beside(ctx, "tree_shap", frame, base, output) for output in outputs]
    if "integrated_gradients" in ctx.settled.methods:
        few = take(base, slice(0, 10))
        return [_beside(ctx, "integrated_gradients", frame, few, output) for output in outputs]
    return _from_answers(ctx, frame, base, outputs)


def affordable(ctx: Context, wanted: int, background: int, budget: int) -> int:
    """Rows that fit into `budget` model evaluations, fixed before anything is explained (forward and backward count as three)."""
    d = max(1, len(ctx.facts.features))
    if "tree_shap" in ctx.settled.methods:
        cost = background
    elif "integrated_gradients" in ctx.settled.methods:
        cost = 3 * 10 * 400
    else:
        cost = 2 * PERMUTATIONS * d * background
    return max(10, min(wanted, budget // cost))


def _beside(ctx: Context, method: Method, frame: Frame, background: Frame, output: int) -> Explained:
    """Attributions from the worker, held against the answers that it gave when asked to predict."""
    column = output if ctx.settled.positive is None else (output if ctx.settled.task != "binary" else _raw_column(ctx, output))
    found = ctx.client.attribute(frame, background, method=method, output=column)
    answer = _answer(ctx, frame, output, found.unit)
    return Explained(list(frame), found.values, found.base, answer, found.unit, method, rows(background))


def _raw_column(ctx: Context, output: int) -> int:
    """The event's place among the raw outputs: a model with one column has it there, whichever class it is."""
    one = ctx.client.predict(take(ctx.sample(1).frame, slice(0, 1))).values.shape[1] == 1
    return 1 if one else output


def _answer(ctx: Context, frame: Frame, output: int, unit: str) -> Floats:
    """The model's answer in the unit that was explained."""
    raw = ctx.client.predict(frame).values
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


def _from_answers(ctx: Context, frame: Frame, background: Frame, outputs: list[int]) -> list[Explained]:
    """Permutation SHAP (Castro 2009; Mitchell 2022) from the answers alone; categories travel as codes and are decoded before the model sees them."""
    both = {name: _joined(frame[name], background[name]) for name in frame}
    n = rows(frame)
    table, decode = _as_matrix(both)

    def answers(x: Floats) -> Floats:
        found = ctx.answer(decode(x))
        return found[:, None] if found.ndim == 1 else found[:, outputs]

    values, base = permutation_shap(answers, table[:n], table[n:], permutations=PERMUTATIONS, rng=ctx.rng("permutations"))
    own = answers(table[:n])
    unit = "value" if ctx.settled.task == "regression" else "probability" if ctx.settled.has_scores else "label"
    return [
        Explained(list(frame), values[:, :, i], np.full(n, base[i]), own[:, i], unit, "permutation_shap", len(table) - n)
        for i in range(values.shape[2])
    ]


def _joined(a: Any, b: Any) -> Any:
    if not isinstance(a, Categories):
        return np.concatenate([a, b])
    vocabulary = tuple(dict.fromkeys((*a.vocabulary, *b.vocabulary)))
    place = np.array([vocabulary.index(v) for v in b.vocabulary] + [-1], dtype=np.int32)
    return Categories(np.concatenate([a.codes, place[b.codes]]).astype(np.int32), vocabulary)


def _as_matrix(frame: Frame) -> tuple[Floats, Any]:
    """The frame as float64 (n, d), and the way back."""
    columns = [c.codes.astype(np.float64) if isinstance(c, Categories) else c.astype(np.float64) for c in frame.values()]

    def decode(x: Floats) -> Frame:
        out: Frame = {}
        for i, (name, column) in enumerate(frame.items()):
            values = x[:, i]
            if isinstance(column, Categories):
                out[name] = Categories(values.astype(np.int32), column.vocabulary)
            else:
                out[name] = values.astype(column.dtype)
        return out

    return np.stack(columns, axis=1), decode
