"""Attributions of rows that are no table: of each row's own answer where there are several classes, of the event's where one is declared.

Beside the model where its layers allow it, and added up by region, word, event or stretch. Where the sums miss by far, as behind a step, or no
gradient gets through, the model's answers alone are asked, which is said.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from audit.asking import predict
from audit.explain.attribute import draw, wanted
from audit.explain.explained import Explained, Method
from audit.explain.gap import METHODS
from audit.explain.parts import Game, game
from audit.explain.pieces import Piece, Pieces, Regions, Single, Stretches, Words, pieces_of, usual
from audit.explain.shapley import exact, sampled
from audit.outputs import interpret
from audit.subject.client import Prediction, WorkerError
from audit.subject.frame import Array, Categories, Frame, rows, take
from audit.text import message

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from audit.context import Context
    from audit.result import ComputedIn, Message

    Floats = NDArray[np.float64]
    Bools = NDArray[np.bool_]
    Places = NDArray[np.int64]

#: Methods beside the model, the cheapest of those that add up first.
BESIDE: tuple[Method, ...] = ("deep_shap", "integrated_gradients")
#: An upper quartile of the miss above this on the first rows: the method does not see how this model works (methods.md, XAI-01).
TOO_FAR = 0.05
PROBED = 10
#: Up to so many parts every coalition is asked: 2⁹ is what a row costs at least where they are drawn.
FEW = 9
#: Steps of Integrated Gradients that a row is taken to cost before any is asked; forward and backward count as three.
STEPS = 200


class Seen(NamedTuple):
    """`explained` by place (n, d); `present` (n, d): the parts that each row has; `instead`: why another method stands in."""

    explained: Explained
    pieces: Pieces
    present: Bools
    frame: Frame
    instead: Message | None

    @property
    def where(self) -> ComputedIn:
        """Whose testimony the values are."""
        return "worker" if self.explained.method in BESIDE else "parent"


def is_table(ctx: Context) -> bool:
    """Whether every input is one value a row."""
    return all(spec.kind in ("number", "category", "datetime") for spec in ctx.facts.features)


def explain_ways(ctx: Context, rows: int, background: int, budget: int) -> list[Seen]:
    """Rows that are no table, explained in every way that their kind allows: sequences by event and by field, all else once. Arguments as of
    `explain_pieces`."""
    ways = (False, True) if any(spec.kind == "sequence" for spec in ctx.facts.features) else (False,)
    return [explain_pieces(ctx, rows, background, budget, by_field=way) for way in ways]


def explain_pieces(ctx: Context, size: int, background: int, budget: int, *, by_field: bool = False) -> Seen:
    """Up to `size` sampled rows that fit into `budget` model evaluations, at least 10, explained by their parts."""
    frame, base = draw(ctx, size, background)
    instead = None
    # From silence to sound a logarithm of its energy has no slope that steps could follow; fields have no line of their own.
    beside = () if by_field or any(spec.kind == "audio" for spec in ctx.facts.features) else BESIDE
    for method in (m for m in beside if m in ctx.settled.methods):
        start = _start(ctx, method, base)
        cost = 3 * rows(start) * (1 if method == "deep_shap" else STEPS)
        some = take(frame, slice(0, max(10, budget // cost)))
        parts = pieces_of(ctx.facts.features, some, base)
        instead = _misses(ctx, method, some, start, parts)
        if instead is None:
            return _seen(ctx, _beside(ctx, method, some, start, parts), some, base, None)
    parts = pieces_of(ctx.facts.features, frame, base, by_field=by_field)
    each = [len(parts.at(i)) for i in range(rows(frame))]
    spent = np.cumsum([parts.copies * (1 << d if d <= FEW else 2 * wanted(d)) for d in each])
    some = take(frame, slice(0, max(10, int(np.searchsorted(spent, budget, side="right")))))
    parts = pieces_of(ctx.facts.features, some, base, by_field=by_field)
    return _seen(ctx, _from_answers(ctx, some, parts), some, base, instead, by_field=by_field)


def _seen(ctx: Context, found: Explained, frame: Frame, base: Frame, instead: Message | None, *, by_field: bool = False) -> Seen:
    parts = pieces_of(ctx.facts.features, frame, base, by_field=by_field)
    present = np.zeros(found.values.shape, dtype=bool)
    for i in range(rows(frame)):
        present[i, parts.at(i)] = True
    whole = np.isfinite(found.values).all(axis=1) & np.isfinite(found.base) & np.isfinite(found.answer)
    if not whole.all():
        keep = np.flatnonzero(whole)
        found = found._replace(
            values=found.values[keep], base=found.base[keep], answer=found.answer[keep], left_out=int((~whole).sum()),
            error=None if found.error is None else found.error[keep],
        )  # fmt: skip
        frame, present = take(frame, keep), present[keep]
        parts = pieces_of(ctx.facts.features, frame, base, by_field=by_field)
    return Seen(found, parts, present, frame, instead)


def _start(ctx: Context, method: Method, background: Frame) -> Frame:
    """What the lines start from: background rows; for Integrated Gradients one row that is usual: the mean picture, silence, medians and the
    commonest categories. (A text starts from itself without its words, whatever stands here.)"""
    if method == "deep_shap":
        return background
    return {piece.name: _usual(piece, background[piece.name]) for piece in pieces_of(ctx.facts.features, background, background).inputs}


def _usual(piece: Piece, column: Array | Categories) -> Array | Categories:
    if isinstance(piece, Regions):
        return piece.mean[None]
    if isinstance(piece, Stretches):
        return np.zeros_like(piece.column[:1])
    if isinstance(column, Categories):
        known = column.codes[column.codes >= 0]
        return Categories(np.array([np.bincount(known).argmax() if len(known) else -1], dtype=np.int32), column.vocabulary)
    return np.array([usual(column, category=False)], dtype=column.dtype) if isinstance(piece, Single) else column[:1]


def _misses(ctx: Context, method: Method, frame: Frame, start: Frame, parts: Pieces) -> Message | None:
    """Why this method does not do for this model, tried on the first rows; None where it does."""
    some = take(frame, slice(0, PROBED))
    try:
        found = _beside(ctx, method, some, start, parts, **({"max_steps": 2 * STEPS} if method == "integrated_gradients" else {}))
    except WorkerError as error:
        if error.kind not in ("contract", "model"):
            raise
        return message("{method} cannot follow this model, so its answers alone were asked.", method=message(METHODS[method]))
    miss = float(np.quantile(found.gaps, 0.75))
    if miss <= TOO_FAR:
        return None
    return message(
        "{method} misses what it should add up to by {miss:percent} or more in a quarter of {n:count} rows, so the model's answers alone were asked.",
        method=message(METHODS[method]), miss=min(miss, 1.0), n=rows(some),
    )  # fmt: skip


def _beside(ctx: Context, method: Method, frame: Frame, start: Frame, parts: Pieces, **params: int) -> Explained:
    """From the worker, held against the answers that it gave when asked to predict."""
    said = predict(ctx.client, frame)
    own = _own(ctx, said)
    one = said.values.shape[1] == 1
    output = 0 if one or ctx.settled.task == "regression" else -1 if ctx.settled.positive is None else int(own[0])
    words = {piece.name: max(1, len(piece.places)) for piece in parts.inputs if isinstance(piece, Words)}
    found = ctx.client.attribute(frame, start, method=method, output=output, words=words, **params)
    widths = [words.get(name) or (1 if isinstance(c, Categories) or c.ndim == 1 else c.shape[1]) for name, c in frame.items()]
    values = parts.pooled(found.values, widths) if parts.places else np.zeros((rows(frame), 0))
    answer, unit = _answers(ctx, said)
    picked = np.take_along_axis(answer, own[:, None] if answer.shape[1] > 1 else np.zeros((len(own), 1), dtype=np.int64), axis=1)[:, 0]
    return Explained(_features(parts), values, found.base, picked, unit, method, rows(start))


def _from_answers(ctx: Context, frame: Frame, parts: Pieces) -> Explained:
    """SHAP over answers; rows of equally many parts share their coalitions. A row without parts is its own base."""
    n, d = rows(frame), len(parts.places)
    said = predict(ctx.client, frame)
    own, (answer, unit) = _own(ctx, said), _answers(ctx, said)
    places = [parts.at(i) for i in range(n)]
    column = own if answer.shape[1] > 1 else np.zeros(n, dtype=np.int64)
    values, error = np.zeros((n, d)), np.zeros((n, d))
    base = answer[np.arange(n), column].copy()
    drawn = False

    def play(i: int) -> Game:
        return game(lambda variants: _answers(ctx, predict(ctx.client, variants))[0][:, column[i], None], parts, i)

    for count in sorted({len(at) for at in places} - {0}):
        those = [i for i in range(n) if len(places[i]) == count]
        games = [play(i) for i in those]
        if count <= FEW:
            found = exact(games, count)
        else:
            rng, drawn = ctx.rng(f"coalitions of {count}"), True
            found = sampled([[play] for play in games], count, sampler="leverage_shap", coalitions=2 * wanted(count), rng=rng)
        for k, i in enumerate(those):
            values[i, places[i]], base[i] = found.values[k, :, 0], found.base[k, 0]
            error[i, places[i]] = 0.0 if found.error is None else found.error[k, :, 0]
    method: Method = "leverage_shap" if drawn else "exact_shap"
    return Explained(
        _features(parts), values, base, answer[np.arange(n), column], unit, method, parts.copies, error=error if drawn else None
    )


def _features(parts: Pieces) -> list[str]:
    several = len(parts.inputs) > 1
    return [f"{name}: {place}" if several and place != name else place for name, place in parts.places]


def _own(ctx: Context, said: Prediction) -> Places:
    """The column of each row's answers that is explained: the event's where one is declared, else the row's greatest; 0 of a quantity."""
    settled = ctx.settled
    if settled.task == "regression":
        return np.zeros(len(said.values), dtype=np.int64)
    if settled.positive is not None:
        return np.full(len(said.values), settled.classes.index(settled.positive), dtype=np.int64)
    codes, _ = interpret(said, settled)
    return np.asarray(np.maximum(codes, 0), dtype=np.int64)


def _answers(ctx: Context, said: Prediction) -> tuple[Floats, str]:
    """Answers (n, outputs) in the unit that is explained: logits where the model gives them, else probabilities, values, or whether a row
    gets a label."""
    settled = ctx.settled
    if settled.task == "regression":
        return said.values[:, :1], "value"
    if settled.outputs == "logit":
        return said.values, "logit"
    codes, scores = interpret(said, settled)
    if scores is None:
        return (codes[:, None] == np.arange(len(settled.classes))).astype(np.float64), "label"
    return scores, "probability"
