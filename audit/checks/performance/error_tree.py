"""Which columns tell where the model is wrong: a small tree of the errors, grown on one half of the rows and measured on the other."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Literal

from audit.registry import Field, check

if TYPE_CHECKING:
    from audit.context import Context
    from audit.measurement import Measurement, Message


@check(
    "performance.error_tree",
    title="What errors depend on",
    meaning=(
        "A small decision tree of the errors: it divides the rows by the columns (the model's inputs, sensitive columns and declared factors; numbers cut into intervals) so that errors gather on one side. It is grown on one half of "
        "the rows and cut back to what a third of that half repeats; every figure is of the other half, which had no part in it. Beside it: how much of the variation of the error each column alone foretells, and how much the tree, on that other half. "
        "The error is a wrong prediction for classes and the squared error for quantities, unless the plan names the log loss."
    ),
    limits=(
        "Errors that depend on what no column tells look like chance here. A column that goes together with the true cause can take its place in the tree, and a small tree leaves out what its branches are too few to show. Errors of "
        "single rows vary by chance, so the share that is foretold is small even where the groups differ plainly."
    ),
    unit="share of the variation of the error",
    direction="target",
    needs=["labels", "divided"],
    lists=["columns"],
    references=["Breiman, Friedman, Olshen and Stone 1984", "Quinlan 1987 (reduced error pruning)", "Athey and Imbens 2016 (honest trees)", "Wilson 1927"],
)  # fmt: skip
def error_tree(
    ctx: Context,
    *,
    columns: list[str] | None = None,
    depth: Annotated[int, Field(ge=1, le=5)] = 3,
    rows: Annotated[int, Field(ge=2, le=1_000_000_000)] = 50,
    share: Annotated[float, Field(ge=0, lt=0.5)] = 0.02,
    error: Literal["auto", "zero_one", "log_loss", "squared"] = "auto",
) -> Iterable[Measurement | Message]:
    """A tree of at most `depth` divisions on a path, whose parts have about `rows` rows and `share` of all; `columns` and `error` as for the slices."""
    from audit import mistakes
    from audit.divided_errors import Divided
    from audit.measure import value
    from audit.mistakes import WORDS
    from audit.slicing import attributes, every_column
    from audit.text import message

    smallest = ctx.plan.disclosure.min_group_size
    support = max(rows, round(share * ctx.scored.rows), 2 * smallest)
    divided = every_column(ctx, support) if columns is None else attributes(ctx, columns, support)
    held = mistakes.read(ctx, divided, error)
    first, second = held.half(False), held.half(True)
    if min(len(first.errors), len(second.errors)) < support:
        yield message("A half of the rows with known errors has fewer than {n:count} rows, too few to divide.", n=support)
        return
    tree = Divided(ctx, divided, first, second, depth=depth, least=-(-support // 3), smallest=smallest)
    foretold = tree.foretold()
    if foretold is None:
        yield message("The error is the same in all {n:count} rows that were to be divided.", n=len(second.errors))
        return
    yield value("error_explained_share", foretold, evidence=[tree.drawn(), tree.alone()])
    if len(tree.nodes) == 1:
        said = message(
            "No division by these {columns:count} columns was repeated by rows that had no part in it: what errors depend on, if on anything, is not seen here ({n:count} rows).",
            columns=len(divided), n=foretold.n,
        )  # fmt: skip
        yield mistakes.drawn(held, said)
        return
    found = mistakes.compare(ctx, [tree.worst()], second)
    yield from mistakes.measured(found, held.metric)
    told = mistakes.said(ctx, found, held.metric) or message(
        "That its worst part is worse than all other rows is not established ({what}; adjusted p {p:p}).", what=message(WORDS[held.metric]), p=found[0].held
    )  # fmt: skip
    said = message(
        "The tree divides by {columns} and foretells {share:percent} of the variation of the error on rows that had no part in it ({level:percent} interval {low:percent} to {high:percent}; {n:count} rows). {told}",
        columns=tree.used, told=told, share=foretold.value, low=foretold.low, high=foretold.high, level=foretold.level, n=foretold.n,
    )  # fmt: skip
    yield mistakes.drawn(held, said)
