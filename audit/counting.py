"""Rows counted by outcome, decision and selection: the cells that every rate of a group is read off."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from audit.context import Coding, Context
    from audit.table import Block

    Pair = tuple[NDArray[np.int64], NDArray[np.int64]]

#: The code of rows without a decision; codes below it are 4 · outcome (no event, event, not known) + 2 · decision (no event, event) + selected.
UNDECIDED = 12
CELLS = UNDECIDED + 1


def events(ctx: Context) -> NDArray[np.int64] | None:
    """Class code → 1 for the event of a classification: the positive class, or for several classes the favourable ones; -1 reads the last entry."""
    import numpy as np

    settled = ctx.settled
    named = [settled.positive] if settled.positive is not None else settled.favourable
    if settled.task == "regression" or not named or ctx.facts.target_sql is None:
        return None
    return np.array([*(name in named for name in settled.classes), False], dtype=np.int64)


def cell_coding(ctx: Context) -> Coding:
    """A coding of rows into `CELLS` codes."""
    import numpy as np

    event, selection, classes = events(ctx), ctx.scored.selection, len(ctx.settled.classes)
    if ctx.settled.task == "regression":

        def of_value(block: Block) -> NDArray[np.int64]:
            chosen = np.zeros(len(block), np.int64) if selection is None else selection(block["pred"]).astype(np.int64)
            return np.where(np.isfinite(block["pred"]), 8 + chosen, UNDECIDED)

        return of_value
    table = np.full((classes + 1, classes + 1), 8, dtype=np.int64)  # outcome × decision; code -1 reads the last entry
    if event is not None:
        table[:-1] = 4 * event[:-1, None] + 2 * event
    if selection is not None:
        table += selection(np.arange(classes + 1))
    table[:, -1] = UNDECIDED
    flat = np.roll(table, 1, axis=(0, 1)).ravel()  # now -1 reads the first

    def of_class(block: Block) -> NDArray[np.int64]:
        place = block["pred"].astype(np.int64) + 1
        if event is not None:
            place += (block["y"].astype(np.int64) + 1) * (classes + 1)
        return flat[place]

    return of_class


def by_event(cells: NDArray[np.int64]) -> NDArray[np.int64]:
    """Counts (…, `CELLS`) as (…, 4): true negatives, false positives, false negatives, true positives of the event."""
    summed: NDArray[np.int64] = cells[..., :8].reshape(*cells.shape[:-1], 4, 2).sum(axis=-1)
    return summed


def rates(ctx: Context, cells: NDArray[np.int64]) -> dict[str, Pair]:
    """Rate name → (k, n) per group, int64, from rows counted by `cell_coding` (groups, `CELLS`); fairlearn's names."""
    out: dict[str, Pair] = {}
    if ctx.scored.selection is not None:
        out["selection_rate"] = (cells[:, 1:UNDECIDED:2].sum(axis=1), cells[:, :UNDECIDED].sum(axis=1))
    if events(ctx) is None:
        return out
    tn, fp, fn, tp = by_event(cells).T
    out |= {
        "true_positive_rate": (tp, tp + fn), "false_negative_rate": (fn, tp + fn), "false_positive_rate": (fp, fp + tn), "true_negative_rate": (tn, fp + tn),
        "precision": (tp, tp + fp), "negative_predictive_value": (tn, tn + fn),
    }  # fmt: skip
    if ctx.settled.task == "binary":
        out["accuracy"] = (tp + tn, tp + tn + fp + fn)
    return out
