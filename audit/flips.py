"""What the model answers when one input takes the value of another row and all others are held, on sampled rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from audit.subject.frame import Array, Categories, Frame

if TYPE_CHECKING:
    from numpy.random import Generator
    from numpy.typing import NDArray

    from audit.context import Context

    Floats = NDArray[np.float64]
    Rows = NDArray[np.int64]

#: How often a donor row is drawn again where it has the same value; an input of very few other values is then left as it is.
REDRAWS = 20


class Asked(NamedTuple):
    """Answers to n rows: decisions (n,), None where they are not the model's to take, and scores or values (n, outputs).

    Decisions are class codes, -1 undefined; of a quantity, whether it is favourable."""

    decision: Array | None
    number: Floats


class Changed(NamedTuple):
    """Rows (n,) whose decision changed for any of the values tried, and how far the answer moved on average over them, in its own unit."""

    decision: NDArray[np.bool_] | None
    moved: Floats


def ask(ctx: Context, frame: Frame) -> Asked:
    """Decisions by the declared rule, and the numbers behind them."""
    from audit.scored import cut, decided_by

    codes, scores = ctx.interpreted(frame)
    number = np.asarray(codes, dtype=np.float64)[:, None] if scores is None else scores
    if ctx.settled.task == "regression":
        return Asked(None if ctx.scored.selection is None else ctx.scored.selection(codes), number)
    decision = decided_by(ctx.facts, ctx.settled)
    cutoff = decision.value if decision.kind == "threshold" else ctx.scoring.decision_cutoff
    if decision.kind == "column":
        return Asked(None, number)
    if cutoff is not None and scores is not None and ctx.settled.positive is not None:
        return Asked(cut(scores[:, ctx.settled.classes.index(ctx.settled.positive)] >= cutoff, codes, ctx.settled), number)
    return Asked(codes, number)


def with_values_of(frame: Frame, name: str, donors: Rows) -> Frame:
    """The rows with the input `name` taken from the rows `donors` (n,)."""
    column = frame[name]
    changed = Categories(column.codes[donors], column.vocabulary) if isinstance(column, Categories) else column[donors]
    return {**frame, name: changed}


def differing(column: Array | Categories, tries: int, rng: Generator) -> Rows:
    """Donors (tries, n): for every row other rows at random, of another value where there is one."""
    values = column.codes if isinstance(column, Categories) else np.unique(column, return_inverse=True)[1].reshape(-1)
    donors = rng.integers(0, len(values), size=(tries, len(values)))
    for _ in range(REDRAWS):
        same = values[donors] == values
        donors[same] = rng.integers(0, len(values), size=int(np.count_nonzero(same)))
    return donors


def to_other_groups(column: Array | Categories, groups: NDArray[np.int16], most: int) -> tuple[Rows, NDArray[np.int16]]:
    """Donors and their groups, both (tries, n): for every row, one of the middle value of each other group, of the `most` largest ones.

    `groups` (n,) are codes, none missing. A group's middle value is its lower median; of a category, which is one value, any row's.
    """
    values = column.codes if isinstance(column, Categories) else column
    sizes = np.bincount(groups)
    levels = np.array(sorted(np.flatnonzero(sizes), key=lambda g: (-sizes[g], g))[: most + 1], dtype=np.int16)
    members = {g: np.flatnonzero(groups == g) for g in levels}
    middle = {g: m[np.argsort(values[m], kind="stable")[(len(m) - 1) // 2]] for g, m in members.items()}
    tries = len(levels) - 1
    chosen = np.empty((tries, len(groups)), dtype=np.int16)
    for g in np.unique(groups):
        chosen[:, groups == g] = levels[levels != g][:tries, None]
    return np.vectorize(middle.__getitem__, otypes=[np.int64])(chosen) if chosen.size else np.zeros(chosen.shape, np.int64), chosen


def changes(ctx: Context, frame: Frame, before: Asked, name: str, donors: Rows) -> tuple[Changed, list[Asked]]:
    """What changes against `before` when the input is replaced, for each of the tries in `donors` (tries, n); and the answers themselves."""
    answers = [ask(ctx, with_values_of(frame, name, row)) for row in donors]
    return changed(before, answers), answers


def changed(before: Asked, answers: list[Asked]) -> Changed:
    """Decisions that differ in any of the answers, and the mean distance of the numbers: half the sum over classes, which for two is |Δp|."""
    half = 2 if before.number.shape[1] > 1 else 1
    moved = np.mean([np.abs(a.number - before.number).sum(axis=1) / half for a in answers], axis=0)
    if before.decision is None:
        return Changed(None, moved)
    return Changed(np.any([a.decision != before.decision for a in answers], axis=0), moved)
