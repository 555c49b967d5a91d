"""Where the model is wrong: the exact worst slices of the rows, searched on one half and tested on the other."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Literal

from audit.registry import Field, check

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from audit.context import Context
    from audit.measurement import Measurement, Message
    from audit.mistakes import Rows, Suspect
    from audit.slicing import Attribute

    Bools = NDArray[np.bool_]

#: Passes over the rows of one half that a search may take, in rows; a pass costs at least as much as so many rows.
WORK, PASS = 5_000_000_000, 20_000
#: Slices that rank highest are kept up to this number before those that say the same again are left out.
KEPT = 200
#: Two slices of which more than this share of the rows of both are the same say the same.
ALIKE = 0.8


@check(
    "performance.slices",
    title="Where the model is wrong: the worst slices",
    meaning=(
        "Every slice of the rows that one, two or three columns define (the model's inputs, sensitive columns and declared factors; numbers cut into intervals) is scored by how far its error lies above that of all rows "
        "and by its size. The slices that score highest on one half of the rows are tested on the other half, which had no part in choosing them. Differences, intervals and p values are of that other half alone, against all "
        "other rows; the p values are adjusted for all slices that were tested. The error is a wrong prediction for classes and the squared error for quantities, unless the plan names the log loss."
    ),
    limits=(
        "A slice can have a higher error because its outcomes are harder to foretell, and not because the model neglects it. Slices below the smallest size are not looked at. A slice that lies inside one that ranks higher, or around it, or that has nearly the same rows, is "
        "left out. Which half a row falls into depends on the seed. What is found is a place to look, not a cause: this is a screen, reported and judged only where the plan sets a limit."
    ),
    unit="error, against everybody else",
    direction="target",
    needs=["labels", "divided"],
    lists=["columns"],
    references=["Sagadeeva and Boehm 2021 (SliceLine)", "Newcombe 1998", "Welch 1947", "Holm 1979", "Cox 1975"],
)
def slices(
    ctx: Context,
    *,
    columns: list[str] | None = None,
    depth: Annotated[int, Field(ge=1, le=3)] = 3,
    rows: Annotated[int, Field(ge=2, le=1_000_000_000)] = 50,
    share: Annotated[float, Field(ge=0, lt=1)] = 0.01,
    most: Annotated[int, Field(ge=1, le=100)] = 10,
    alpha: Annotated[float, Field(gt=0, lt=1)] = 0.99,
    error: Literal["auto", "zero_one", "log_loss", "squared"] = "auto",
) -> Iterable[Measurement | Message]:
    """Slices by at most `depth` columns of at least `rows` rows and `share` of all; the `most` highest by SliceLine's score, the error weighing `alpha`, are tested.

    `columns` are searched beside the sensitive ones in the place of all; `error` is what a row's error is.
    """
    from audit import mistakes
    from audit.mistakes import WORDS
    from audit.slicing import attributes, every_column
    from audit.text import message

    smallest = ctx.plan.disclosure.min_group_size
    support = max(rows, round(share * ctx.scored.rows), 2 * smallest)
    divided = every_column(ctx, support) if columns is None else attributes(ctx, columns, support)
    held = mistakes.read(ctx, divided, error)
    first, second = held.half(False), held.half(True)
    within = _affordable(len(divided), len(first.errors), depth)
    suspects, tried = _search(first, second, divided, within, -(-support // 2), smallest, most, alpha)
    found = mistakes.compare(ctx, suspects, second)
    caption = message("The slices of the highest score ({what}), as they ranked on the searched half", what=message(WORDS[held.metric]))
    for m in mistakes.measured(found, held.metric, caption):
        yield m if columns is not None or ctx.facts.recorded is None else _unjudged(m)
    numbers = {"tried": tried, "support": support, "tests": len(found), "columns": len(divided), "depth": within}
    if not tried:
        yield message(
            "No slice that these columns define has {support:count} rows and known errors, so none was searched for.", support=support
        )
        return
    told = mistakes.said(ctx, found, held.metric)
    if not found:
        said = message(
            "Of {tried:count} slices by up to {depth:count} of {columns:count} columns none stood out on the searched half.", **numbers
        )
    elif told is None:
        said = message(
            "Of {tried:count} slices by up to {depth:count} of {columns:count} columns, the {tests:count} that stood out most on one half of the rows were tested on the other: for none is a higher error established there (smallest adjusted p {p:p}).",
            p=min(c.held for c in found), **numbers,
        )  # fmt: skip
    else:
        said = message(
            "Of {tried:count} slices by up to {depth:count} of {columns:count} columns, the {tests:count} that stood out most on one half of the rows were tested on the other. For {held:count} of them a higher error is established there, the plainest being: {named}",
            held=sum(c.held <= ctx.plan.judge.alpha_fail for c in found), named=told, **numbers,
        )  # fmt: skip
    yield mistakes.drawn(held, said)


def _unjudged(m: Measurement) -> Measurement:
    """Of recorded predictions nobody said what was known beforehand: a column that follows the outcome divides by the outcome, which fails no model."""
    from audit.text import message, render

    if m.estimate is None or m.reason:
        return m
    why = message(
        "Which columns were known before the outcome is not declared, and one that follows it divides by it: not judged until the plan names columns."
    )
    return m.model_copy(update={"reason": render(why), "reason_msg": why})


def _affordable(columns: int, rows: int, depth: int) -> int:
    """The greatest depth that the work allows."""
    from math import comb

    spent = 0
    for size in range(1, depth + 1):
        spent += comb(columns, size) * (rows + PASS)
        if size > 1 and spent > WORK:
            return size - 1
    return depth


def _search(
    first: Rows, second: Rows, divided: list[Attribute], depth: int, support: int, smallest: int, most: int, alpha: float
) -> tuple[list[Suspect], int]:
    """The slices of the highest score, without those that say the same again or are too small on the second half; and how many were counted."""
    from audit.mistakes import Suspect
    from audit.slicing import named
    from audit.stats.sliceline import Search
    from audit.stats.slices import nested

    ranked, tried = Search(support, depth, KEPT, alpha).among(first.levels, [a.size for a in divided], first.errors)
    taken: list[tuple[dict[int, int], Bools]] = []
    suspects: list[Suspect] = []
    for slice_ in ranked:
        if len(suspects) == most:
            break
        own = _inside(first, slice_.levels)
        if any(nested(slice_.levels, levels) or (own & rows).sum() > ALIKE * (own | rows).sum() for levels, rows in taken):
            continue
        inside = _inside(second, slice_.levels)
        n = int(inside.sum())
        if min(n, len(inside) - n) >= smallest:
            taken.append((slice_.levels, own))
            suspects.append(Suspect(named(slice_.levels, divided), inside, slice_.n, slice_.error, slice_.score))
    return suspects, tried


def _inside(half: Rows, levels: dict[int, int]) -> Bools:
    """The rows of a half that a slice holds."""
    import numpy as np

    return np.asarray(np.logical_and.reduce([half.levels[i] == level for i, level in levels.items()]))
