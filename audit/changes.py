"""Rows with one input changed as a declared rule says, and what the model then says of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from audit.columns import ColumnRule
from audit.declared_rules import DeclaredRule
from audit.flips import Asked, ask, differing, with_values_of
from audit.measurement import Message
from audit.registry import NEEDS
from audit.subject.frame import Array, Categories, Frame, column_rows, take
from audit.text import message

if TYPE_CHECKING:
    from numpy.random import Generator
    from numpy.typing import NDArray

    from audit.context import Context

    Floats = NDArray[np.float64]
    Bools = NDArray[np.bool_]

#: A score that moves by less did not move but for rounding.
ROUNDING = 1e-9


class Try(NamedTuple):
    """A frame with the column changed, and which of its rows (n,) have a value to change to."""

    frame: Frame
    changed: Bools


def tries(rule: DeclaredRule, limits: ColumnRule | None, frame: Frame, times: int, rng: Generator) -> Iterator[Try]:
    """The ways in which the rule's column is changed: `times` of them drawn, or one for each value that the rule names."""
    column = frame[rule.column]
    if rule.to is not None:
        for value in rule.to:
            yield _set_to(frame, rule.column, value)
    elif isinstance(column, Categories) or rule.change == "any":
        for donors in differing(column, times, rng):
            changed = with_values_of(frame, rule.column, donors)
            yield Try(changed, _differs(column, changed[rule.column]))
    else:
        for step in range(times):
            yield _moved(rule, limits, frame, column, step, rng)


def _differs(old: Array | Categories, new: Array | Categories) -> Bools:
    """Rows whose value is another; one that was or gets missing is not counted."""
    if isinstance(old, Categories) and isinstance(new, Categories):
        return np.asarray((old.codes != new.codes) & (old.codes >= 0) & (new.codes >= 0))
    a, b = np.asarray(old, dtype=np.float64), np.asarray(new, dtype=np.float64)
    return np.asarray(np.isfinite(a) & np.isfinite(b) & (a != b))


def _set_to(frame: Frame, name: str, value: str | float) -> Try:
    column, n = frame[name], column_rows(frame[name])
    new: Array | Categories
    if isinstance(column, Categories):
        words = column.vocabulary if value in column.vocabulary else (*column.vocabulary, str(value))
        new = Categories(np.full(n, words.index(str(value)), dtype=np.int32), words)
    else:
        new = np.full(n, value).astype(column.dtype)
    return Try({**frame, name: new}, _differs(column, new))


def _moved(rule: DeclaredRule, limits: ColumnRule | None, frame: Frame, column: Array, step: int, rng: Generator) -> Try:
    """Up or down: by the most, by the least, then by anything between; without an amount, to a value beyond it that some row has."""
    x, sign = column.astype(np.float64), 1 if rule.change == "increase" else -1
    if rule.by is None:
        known = np.sort(sign * x[np.isfinite(x)])
        beyond = np.searchsorted(known, sign * x, side="right")  # values beyond a row's own begin here
        there = beyond < len(known)
        place = beyond + np.floor(rng.random(len(x)) * (len(known) - beyond)).astype(np.int64)
        new = np.where(there & np.isfinite(x), sign * known[np.minimum(place, max(len(known) - 1, 0))] if len(known) else x, x)
    else:
        least, most = rule.by
        amount = np.full(len(x), (most, least)[step]) if step < 2 else rng.uniform(least, most, len(x))
        new = x + sign * amount
        known = x[np.isfinite(x)]
        if column.dtype.kind in "iu" or (limits is not None and limits.integer) or bool((known == np.trunc(known)).all()):
            new = np.where(np.isfinite(new), x + sign * np.maximum(np.rint(amount), 1), new)
        if limits is not None and limits.range is not None:
            new = np.where((new < limits.range[0]) | (new > limits.range[1]), x, new)
    return Try({**frame, rule.column: new.astype(column.dtype)}, _differs(x, new))


class Ranked(NamedTuple):
    """What a rule is about, for n rows: larger is nearer to the favourable decision (or a larger value); equal means unchanged."""

    value: Floats


def ranked(ctx: Context, rule: DeclaredRule, said: Asked) -> Ranked | Message:
    """What the rule is about in these answers; a message where that is not to be had."""
    settled = ctx.settled
    if rule.of == "score":
        if settled.task == "regression":
            return Ranked(said.number[:, 0])
        if not settled.has_scores:
            return message(NEEDS["scores"])
        wanted = settled.favourable or ([settled.positive] if settled.positive is not None else [])
        if not wanted:
            return message(NEEDS["favourable"])
        return Ranked(said.number[:, [settled.classes.index(c) for c in wanted]].sum(axis=1))
    if said.decision is None and settled.task != "regression":
        return message("The decisions are a column of the data and not the model's, so no rule can be put to it.")
    if rule.never == "changes" and settled.task != "regression":
        assert said.decision is not None
        return Ranked(said.decision.astype(np.float64))
    if said.decision is None or ctx.scored.selection is None:
        return message(NEEDS["favourable"])
    chosen = said.decision if settled.task == "regression" else ctx.scored.selection(said.decision)
    return Ranked(np.asarray(chosen, dtype=np.float64))


class Held(NamedTuple):
    """How a rule fares on n rows: which of them could be changed at all, and for which it is broken by any of the changes."""

    changed: Bools
    broken: Bools


def held(
    ctx: Context, rule: DeclaredRule, limits: ColumnRule | None, frame: Frame, before: Asked, times: int, rng: Generator
) -> Held | Message:
    """The rule put to the model, `before` being its answers to the rows as they are. An answer that gets undefined breaks it."""
    own = ranked(ctx, rule, before)
    if isinstance(own, Message):
        return own
    changed = broken = np.zeros(len(own.value), np.bool_)
    allowed = ROUNDING + rule.tolerance
    for attempt in tries(rule, limits, frame, times, rng):
        rows = np.flatnonzero(attempt.changed)
        changed = changed | attempt.changed
        if not len(rows):
            continue
        after = ranked(ctx, rule, ask(ctx, take(attempt.frame, rows)))
        assert not isinstance(after, Message)
        move = after.value - own.value[rows]
        wrong = {"lowers": move < -allowed, "raises": move > allowed, "changes": np.abs(move) > allowed}[rule.never] | ~np.isfinite(move)
        broken = broken.copy()
        broken[rows] |= wrong
    return Held(changed, broken)
