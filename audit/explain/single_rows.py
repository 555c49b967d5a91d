"""Single rows of what `explanation.local` explained, for `rows.json`: drawn by seed, with their values, the answer and what moved it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from audit.asking import predict
from audit.explain.explained import PARTIAL, Explained
from audit.explain.pieces import Events, Piece, Regions, Single, Words
from audit.explain.rows_file import LONGEST, MOST, MOST_COLUMNS, MOST_PARTS, SIDE, Account, Drawn, Part, Picture, Row, Value
from audit.outputs import interpret
from audit.subject.frame import Categories, Frame, label_text, rows, take

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from audit.context import Context
    from audit.explain.of_pieces import Seen
    from audit.features import FeatureSpec
    from audit.outputs import Settled
    from audit.subject.frame import Array

    Floats = NDArray[np.float64]
    Places = NDArray[np.int64]


def of_table(ctx: Context, found: list[Explained]) -> Drawn:
    """Rows of a table; of several classes each row's own answer is explained."""
    chosen = _chosen(ctx, len(found[0].values))
    asked = _ask(ctx, found[0], chosen)

    def accounts(k: int) -> list[Account]:
        i, code = int(chosen[k]), int(asked.own[k])
        e = found[code if len(found) > 1 else 0]
        parts = [_part(e, i, j, name, name, asked.text(name, k)) for j, name in enumerate(e.features)]
        return [_account(e, i, parts, ctx.settled.positive or (ctx.settled.classes[code] if len(found) > 1 else None))]

    return asked.drawn(len(found[0].values), [asked.row(k, accounts(k), []) for k in range(len(chosen))])


def of_pieces(ctx: Context, ways: list[Seen]) -> Drawn:
    """Rows that are no table, by their parts; sequences by event and, where they were explained so too, by field."""
    first = ways[0].explained
    chosen = _chosen(ctx, len(first.values))
    asked = _ask(ctx, first, chosen)
    named = ctx.settled.classes if ctx.settled.task != "regression" else []

    def accounts(k: int) -> list[Account]:
        told = []
        for seen in ways:
            for i in np.flatnonzero(_ids(seen.explained) == asked.ids[k]).tolist():
                own = ctx.settled.positive or (named[int(asked.own[k])] if named else None)
                told.append(_account(seen.explained, i, _parts(seen, i), own, by_field=bool(seen.way and seen.way.by_field)))
        return told

    def pictures(k: int) -> list[Picture]:
        made = (_picture(piece, int(chosen[k])) for piece in ways[0].pieces.inputs if isinstance(piece, Regions))
        return [picture for picture in made if picture is not None]

    return asked.drawn(len(first.values), [asked.row(k, accounts(k), pictures(k)) for k in range(len(chosen))])


def _chosen(ctx: Context, n: int) -> Places:
    """Which of n explained rows, in their order."""
    return np.sort(ctx.rng("single rows").permutation(n)[:MOST])


def _ids(found: Explained) -> Places:
    assert found.row is not None, "what is explained for a check knows its rows"
    return found.row


@dataclass(frozen=True)
class _Asked:
    """Rows (k,) by their ids: inputs, decisions, outcomes (None: no target), the scores (k,) where there are any, and whose answer is explained."""

    features: Sequence[FeatureSpec]
    settled: Settled
    ids: Places
    frame: Frame
    pred: Array
    y: Array | None
    score: Floats | None
    own: Places

    def text(self, name: str, k: int) -> str | None:
        """An input as text; None where it is missing, or where the name is that of a group of columns."""
        return written(self.frame[name], k) if name in self.frame else None

    def row(self, k: int, accounts: list[Account], pictures: list[Picture]) -> Row:
        """One row of the file."""
        told = [f.name for f in self.features if f.read != "decoded"]
        outcome = None if self.y is None else _label(self.settled, self.y[k])
        answer = _label(self.settled, self.pred[k])
        assert answer is not None, "what the model gives no answer for is not explained"
        comparable = outcome is not None and self.settled.task != "regression"
        return Row(
            row=int(self.ids[k]), answer=answer, score=None if self.score is None else float(self.score[k]), outcome=outcome,
            agrees=answer == outcome if comparable else None,
            inputs=[Value(column=cut(name), value=self.text(name, k)) for name in told[:MOST_COLUMNS]],
            inputs_left_out=max(0, len(told) - MOST_COLUMNS), pictures=pictures, accounts=accounts,
        )  # fmt: skip

    def drawn(self, explained: int, found: list[Row]) -> Drawn:
        """All of them."""
        event = self.settled.positive if self.score is not None else None
        return Drawn(explained=explained, score_of=None if event is None else cut(event), rows=found)


def _ask(ctx: Context, found: Explained, chosen: Places) -> _Asked:
    """What the audit knows of these of the explained rows, and what the model answers to them."""
    ids = _ids(found)[chosen]
    sample, settled = ctx.sample(ctx.plan.audit.sample), ctx.settled
    at = np.searchsorted(sample.row, ids)
    frame = take(sample.frame, at)
    own, score = np.zeros(len(ids), np.int64), None
    if settled.task != "regression" and rows(frame):
        codes, scores = interpret(predict(ctx.client, frame), settled)
        own = np.maximum(np.asarray(codes, np.int64), 0)
        event = own if settled.positive is None else np.full(len(ids), settled.classes.index(settled.positive))
        score = None if scores is None else scores[np.arange(len(ids)), event]
    y = None if sample.y is None else sample.y[at]
    return _Asked(ctx.facts.features, settled, ids, frame, sample.pred[at], y, score, own)


def _label(settled: Settled, value: float) -> str | None:
    """A class, or a quantity, in words; None where it is not known."""
    if settled.task == "regression":
        return f"{float(value):.6g}" if np.isfinite(value) else None
    return cut(settled.classes[int(value)]) if value >= 0 else None


def _account(e: Explained, i: int, parts: list[Part], output: str | None, *, by_field: bool = False) -> Account:
    """What moved the answer of row i; of more parts than can be listed the largest, in their places."""
    order = sorted(range(len(parts)), key=lambda j: -abs(parts[j].value))
    kept = sorted(order[:MOST_PARTS])
    return Account(
        method=e.method, unit=e.unit, output=None if output is None else cut(output), by_field=by_field, base=float(e.base[i]), answer=float(e.answer[i]),
        gap=None if e.method in PARTIAL or e.fit is not None else float(e.gaps[i]), tied=bool(e.tied[i]), parts=[parts[j] for j in kept],
        left_out=len(parts) - len(kept), rest=float(sum(parts[j].value for j in order[MOST_PARTS:])),
    )  # fmt: skip


def _part(e: Explained, i: int, j: int, column: str, place: str, holds: str | None) -> Part:
    error = None if e.error is None else float(e.error[i, j])
    return Part(column=cut(column), place=cut(place), holds=None if holds is None else cut(holds), value=float(e.values[i, j]), error=error)


def _parts(seen: Seen, i: int) -> list[Part]:
    """The parts that a row has, in the order in which they stand in it."""
    found = []
    for piece, places in seen.pieces.divided():
        for order, j in enumerate(piece.at(i).tolist()):
            found.append(_part(seen.explained, i, places.start + j, piece.name, piece.places[j], _holds(piece, i, order)))
    return found


def _holds(piece: Piece, i: int, order: int) -> str | None:
    """What stands at a part, by its order among those of the row."""
    if isinstance(piece, Words):
        return piece.of(i)[order]
    if isinstance(piece, Single):
        return written(piece.column, i)
    if not isinstance(piece, Events):
        return None
    told = []
    for field, value in zip(piece.spec.fields, piece.events(i)[order], strict=True):
        if field.kind == "category":
            told.append(f"{field.name} = {field.vocabulary[int(value)] if value >= 0 else '–'}")
        else:
            told.append(f"{field.name} = {_number(value) or '–'}")
    return ", ".join(told)


def _picture(piece: Regions, i: int) -> Picture | None:
    """A picture in cells of at most `SIDE` a side; None where it cannot be read."""
    own = piece.column[i].reshape(piece.shape)
    if not np.isfinite(own).all():
        return None
    bright = own.mean(axis=0, dtype=np.float64)
    for axis in (0, 1):
        size = bright.shape[axis]
        cells = min(size, SIDE)
        starts = -(-np.arange(cells) * size // cells)
        bright = np.add.reduceat(bright, starts, axis=axis) / np.diff([*starts, size]).reshape((-1, 1) if axis == 0 else (1, -1))
    down, across = piece.grid
    return Picture(column=cut(piece.name), down=down, across=across, cells=[[float(f"{v:.4g}") for v in line] for line in bright.tolist()])


def written(column: Array | Categories, i: int) -> str | None:
    """One value as text, cut at `LONGEST` characters; None where it is missing."""
    if isinstance(column, Categories):
        return cut(column.vocabulary[column.codes[i]]) if column.codes[i] >= 0 else None
    if column.dtype.kind == "M":
        return None if np.isnat(column[i]) else str(column[i].astype("datetime64[s]"))
    return label_text(column[i]) if column.dtype.kind == "b" else _number(column[i])


def _number(value: np.number) -> str | None:
    """A number, the shortest text that is read as the same one, of single precision where it has no more; None where it is not known."""
    if not np.isfinite(value):
        return None
    if abs(value) < 1e15 and float(value).is_integer():
        return label_text(value)
    with np.errstate(over="ignore"):
        single = np.float32(value)
    return str(single if single == value else value)


def cut(text: str) -> str:
    """A text of at most `LONGEST` characters; of a longer one the beginning, which shows that it goes on."""
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"
