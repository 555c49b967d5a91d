"""Attributions of rows that are no table: of each row's own answer where there are several classes, of the event's where one is declared.

Beside the model where its layers allow it, and added up by region, word, event or stretch. Where the sums miss by far, as behind a step, or no
gradient gets through, the model's answers alone are asked, which is said.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from audit.asking import predict
from audit.explain.attribute import AUTO, draw, draw_known, refuse_method, runs_beside, wanted
from audit.explain.explained import FROM_ANSWERS, PARTIAL, Explained, Method
from audit.explain.gap import METHODS
from audit.explain.kept import as_maker
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
    from audit.measurement import ComputedIn, Message

    Floats = NDArray[np.float64]
    Bools = NDArray[np.bool_]
    Places = NDArray[np.int64]

#: Methods beside the model, the cheapest of those that add up first.
BESIDE: tuple[Method, ...] = ("deep_shap", "integrated_gradients")
#: An upper quartile of the miss above this on the first rows: the method does not see how this model works (methods.md, XAI-01).
TOO_FAR = 0.05
PROBED, START = 10, 50
#: Up to so many parts every coalition is asked: 2⁹ is what a row costs at least where they are drawn.
FEW = 9
#: Steps of Integrated Gradients that a row is taken to cost before any is asked; forward and backward count as three.
STEPS = 200
#: Passes forward and backward of other methods beside the model.
ONE = {"grad_cam": 1, "lrp": 1, "gradient_x_input": 1, "gradient_shap": 100}


class Seen(NamedTuple):
    """`explained` by place (n, d); `present` (n, d): the parts that each row has; `instead`: why another method stands in; `way`: what explained."""

    explained: Explained
    pieces: Pieces
    present: Bools
    frame: Frame
    instead: Message | None
    way: Way | None = None

    @property
    def where(self) -> ComputedIn:
        """Whose testimony the values are."""
        return "parent" if self.explained.method in FROM_ANSWERS else "worker"


def is_table(ctx: Context) -> bool:
    """Whether every input is one value a row."""
    return all(spec.kind in ("number", "category", "datetime") for spec in ctx.facts.features)


@dataclass(frozen=True)
class Way:
    """One method for rows that are no table, ready for any of them: beside the model, or from its answers (`method` None).

    `ask` answers in its place (rows → answers (n, outputs) in the explained unit); None for the model itself.
    """

    ctx: Context
    method: Method | None
    background: Frame
    by_field: bool = False
    ask: Callable[[Frame], Floats] | None = None

    @property
    def beside(self) -> bool:
        """Whether the method runs where the model is, and not from its answers alone."""
        return self.method is not None

    @cached_property
    def start(self) -> Frame:
        """What the lines of a method beside the model start from."""
        assert self.method is not None
        return _start(self.ctx, self.method, self.background)

    def parts(self, frame: Frame) -> Pieces:
        """The parts of these rows."""
        return pieces_of(self.ctx.facts.features, frame, self.background, by_field=self.by_field)

    def own(self, frame: Frame) -> Places:
        """The column of each row's answers that is explained, (n,)."""
        return _own(self.ctx, predict(self.ctx.client, frame))

    def answers(self, frame: Frame) -> Floats:
        """Answers (n, outputs) in the unit that is explained."""
        return self.ask(frame) if self.ask is not None else answers_of(self.ctx, predict(self.ctx.client, frame))[0]

    def of(self, frame: Frame, own: Places) -> Floats:
        """The answer (n,) of each row's own column."""
        return picked(self.answers(frame), own)

    def cost(self, parts: Pieces, row: int) -> int:
        """Model evaluations that one row takes at most; forward and backward count as three."""
        if self.method == "deep_shap":
            return 3 * rows(self.start)
        if self.method is not None:
            return 3 * ONE.get(self.method, STEPS)
        d = len(parts.at(row))
        return parts.copies * (1 << d if d <= FEW else 2 * wanted(d))

    def numbers(self, frame: Frame) -> Floats:
        """Attributions (n, numbers of a row) before they are added up by part, as of single pixels; for methods beside the model."""
        return _numbers(self, frame, self.parts(frame), predict(self.ctx.client, frame), None, self._params())[0]

    def explain(self, frame: Frame, own: Places | None = None, *, stream: str = "", randomise: int | None = None) -> Explained:
        """Attributions by place (n, d), of the column `own` (n,) of each row's answers, or the one that is its own.

        `stream` names the random numbers of a method that draws. `randomise`: a seed with which the model is made meaningless for this call; only
        for methods beside the model.
        """
        if self.method is None:
            return _fromanswers_of(self, frame, own, stream)
        return _beside(self, frame, own, self._params(stream) | ({} if randomise is None else {"randomise": randomise}))

    def _params(self, stream: str = "") -> dict[str, int]:
        """What a method that draws is told of its draws."""
        if self.method != "gradient_shap":
            return {}
        return {"draws": ONE["gradient_shap"], "seed": int(self.ctx.rng(f"draws{stream}").integers(2**31))}


def picked(answers: Floats, own: Places) -> Floats:
    """Each row's own column (n,) of answers (n, outputs), or the only one."""
    found: Floats = answers[np.arange(len(own)), own if answers.shape[1] > 1 else 0]
    return found


def by_fields(ctx: Context) -> tuple[bool, ...]:
    """In which ways rows are divided: sequences by event and by field, all else once."""
    return (False, True) if any(spec.kind == "sequence" for spec in ctx.facts.features) else (False,)


def explain_ways(ctx: Context, rows: int, background: int, budget: int, method: str = AUTO) -> list[Seen]:
    """Rows that are no table, explained in every way that their kind allows: sequences by event and by field, all else once. Arguments as of
    `explain_pieces`."""
    return [explain_pieces(ctx, rows, background, budget, by_field=way, method=method) for way in by_fields(ctx)]


def chosen(ctx: Context, background: Frame, *, by_field: bool = False, method: str = AUTO) -> tuple[Way, Message | None]:
    """The method that is named, or the one that does for this model, and why another that was tried first does not.

    It is tried on the rows that `MAKER` draws first, so that every check has the same.
    """
    refuse_method(ctx.settled.methods, method, ("leverage_shap",))
    if (named := runs_beside(ctx.settled.methods, method)) is not None and method != AUTO:
        return Way(ctx, named, background, by_field), None
    instead, maker = None, as_maker(ctx)
    tried, start = draw(maker, PROBED, START)
    # From silence to sound a logarithm of its energy has no slope that steps could follow; fields have no line of their own.
    able = () if by_field or any(spec.kind == "audio" for spec in ctx.facts.features) else BESIDE
    for name in (m for m in able if m in ctx.settled.methods and method == AUTO):
        instead = _misses(Way(maker, name, start), tried)
        if instead is None:
            return Way(ctx, name, background), None
    return Way(ctx, None, background, by_field), instead


def explain_pieces(ctx: Context, size: int, background: int, budget: int, *, by_field: bool = False, method: str = AUTO) -> Seen:
    """Up to `size` sampled rows that fit into `budget` model evaluations, at least 10, explained by their parts."""
    frame, base, row = draw_known(ctx, size, background)
    way, instead = chosen(ctx, base, by_field=by_field, method=method)
    some = take(frame, slice(0, affordable(way, frame, budget)))
    return seen(way, way.explain(some)._replace(row=row[: rows(some)]), some, instead)


def affordable(way: Way, frame: Frame, budget: int, *, explanations: int = 1, masks: Callable[[int], int] = lambda d: 0) -> int:
    """Rows of `frame` that fit into `budget` model evaluations, at least 10, fixed before anything is explained.

    A row takes `explanations` explanations, and answers to `masks(d)` masks of its d parts.
    """
    parts = way.parts(frame)
    each = [explanations * way.cost(parts, i) + parts.copies * masks(len(parts.at(i))) for i in range(rows(frame))]
    return max(10, int(np.searchsorted(np.cumsum(each), budget, side="right")))


def seen(way: Way, found: Explained, frame: Frame, instead: Message | None = None) -> Seen:
    """The rows that could be explained, and what they are made of."""
    whole = np.isfinite(found.values).all(axis=1) & np.isfinite(found.base) & np.isfinite(found.answer)
    parts = way.parts(frame)
    if not whole.all():
        keep = np.flatnonzero(whole)
        frame = take(frame, keep)
        some = way.parts(frame)
        found = found._replace(
            values=_replaced(found.values, parts, some, keep), base=found.base[keep], answer=found.answer[keep], left_out=int((~whole).sum()),
            error=None if found.error is None else _replaced(found.error, parts, some, keep), row=None if found.row is None else found.row[keep],
        )  # fmt: skip
        parts = some
    present = np.zeros(found.values.shape, dtype=bool)
    for i in range(rows(frame)):
        present[i, parts.at(i)] = True
    return Seen(found, parts, present, frame, instead, way)


def _replaced(values: Floats, parts: Pieces, some: Pieces, keep: Places) -> Floats:
    """Values of the kept rows at their places among those rows: without the longest text there are fewer."""
    out = np.zeros((len(keep), len(some.places)))
    for i, row in enumerate(keep.tolist()):
        out[i, some.at(i)] = values[row, parts.at(row)]
    return out


def _start(ctx: Context, method: Method, background: Frame) -> Frame:
    """What the lines start from: background rows; for Integrated Gradients one row that is usual: the mean picture, silence, medians and the
    commonest categories. (A text starts from itself without its words, whatever stands here.)"""
    if method in ("deep_shap", "gradient_shap"):
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


def _misses(way: Way, frame: Frame) -> Message | None:
    """Why this method does not do for this model, tried on some rows; None where it does."""
    assert way.method is not None
    try:
        found = _beside(way, frame, None, {"max_steps": 2 * STEPS} if way.method == "integrated_gradients" else {})
    except WorkerError as error:
        if error.kind not in ("contract", "model"):
            raise
        return message("{method} cannot follow this model, so its answers alone were asked.", method=message(METHODS[way.method]))
    if way.method in PARTIAL:
        return None
    miss = float(np.quantile(found.gaps, 0.75))
    if miss <= TOO_FAR:
        return None
    return message(
        "{method} misses what it should add up to by {miss:percent} or more in a quarter of {n:count} rows, so the model's answers alone were asked.",
        method=message(METHODS[way.method]), miss=min(miss, 1.0), n=rows(frame),
    )  # fmt: skip


def _beside(way: Way, frame: Frame, own: Places | None, params: dict[str, int]) -> Explained:
    """From the worker, held against the answers that it gave when asked to predict; a column that is asked for goes with its rows."""
    assert way.method is not None
    parts, said = way.parts(frame), predict(way.ctx.client, frame)
    column = _own(way.ctx, said) if own is None else own
    values, base = _numbers(way, frame, parts, said, own, params)
    words = _words(parts)
    widths = [words.get(name) or (1 if isinstance(c, Categories) or c.ndim == 1 else c.shape[1]) for name, c in frame.items()]
    pooled = parts.pooled(values, widths) if parts.places else np.zeros((rows(frame), 0))
    answer, unit = answers_of(way.ctx, said)
    return Explained(_features(parts), pooled, base, picked(answer, column), unit, way.method, rows(way.start))


def _words(parts: Pieces) -> dict[str, int]:
    """How many words are asked for of each text."""
    return {piece.name: max(1, len(piece.places)) for piece in parts.inputs if isinstance(piece, Words)}


def _numbers(way: Way, frame: Frame, parts: Pieces, said: Prediction, own: Places | None, params: dict[str, int]) -> tuple[Floats, Floats]:
    """Attributions (n, numbers of a row) and base (n,) from the worker."""
    ctx, words = way.ctx, _words(parts)
    one = said.values.shape[1] == 1 or ctx.settled.task == "regression"
    if own is None or one or ctx.settled.positive is not None:
        column = _own(ctx, said) if own is None else own
        asked = {0 if one else -1 if ctx.settled.positive is None else int(column[0]): np.arange(rows(frame))}
    else:
        asked = {int(output): np.flatnonzero(own == output) for output in np.unique(own)}
    values, base = np.zeros((rows(frame), _width(frame, words))), np.zeros(rows(frame))
    for output, those in asked.items():
        found = ctx.client.attribute(take(frame, those), way.start, method=str(way.method), output=output, words=words, **params)
        values[those], base[those] = found.values, found.base
    return values, base


def _width(frame: Frame, words: dict[str, int]) -> int:
    """Numbers of a row, of a text one for each word that is asked for."""
    return sum(words.get(name, 1 if isinstance(c, Categories) or c.ndim == 1 else c.shape[1]) for name, c in frame.items())


def _fromanswers_of(way: Way, frame: Frame, own: Places | None, stream: str) -> Explained:
    """SHAP over answers; rows of equally many parts share their coalitions. A row without parts is its own base."""
    ctx, parts = way.ctx, way.parts(frame)
    n, d = rows(frame), len(parts.places)
    said = predict(ctx.client, frame)
    unit = answers_of(ctx, said)[1]
    column = _own(ctx, said) if own is None else own
    answer = way.of(frame, column)
    places = [parts.at(i) for i in range(n)]
    values, error = np.zeros((n, d)), np.zeros((n, d))
    base = answer.copy()
    drawn = False
    for count in sorted({len(at) for at in places} - {0}):
        those = [i for i in range(n) if len(places[i]) == count]
        games = [played(way, parts, i, int(column[i])) for i in those]
        if count <= FEW:
            found = exact(games, count)
        else:
            rng, drawn = ctx.rng(f"coalitions of {count}{stream}"), True
            found = sampled([[play] for play in games], count, sampler="leverage_shap", coalitions=2 * wanted(count), rng=rng)
        for k, i in enumerate(those):
            values[i, places[i]], base[i] = found.values[k, :, 0], found.base[k, 0]
            error[i, places[i]] = 0.0 if found.error is None else found.error[k, :, 0]
    method: Method = "leverage_shap" if drawn else "exact_shap"
    return Explained(_features(parts), values, base, answer, unit, method, parts.copies, error=error if drawn else None)


def played(way: Way, parts: Pieces, row: int, column: int) -> Game:
    """The game of one row, whose players are its parts, for one column of its answers."""

    def answers(variants: Frame) -> Floats:
        found = way.answers(variants)
        return found[:, [column if found.shape[1] > 1 else 0]]

    return game(answers, parts, row)


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


def answers_of(ctx: Context, said: Prediction) -> tuple[Floats, str]:
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
