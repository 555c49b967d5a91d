"""What the audited rows are: columns, gaps, groups and outcomes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from audit.registry import check

if TYPE_CHECKING:
    from audit.context import Context
    from audit.measurement import Column, Measurement, Message, Table

    Cell = str | int | float | None


@check(
    "data.profile",
    title="What the data are",
    meaning="Rows, columns, missing values, columns that never change, the size of each group and how often each outcome occurs.",
    limits=(
        "It describes the rows that were given. Whether they are the people on whom the model will be used, and whether the outcomes are recorded rightly, cannot be seen here. "
        "Percentiles are those of the sample; distinct values are approximate beyond a few thousand."
    ),
    unit="rows",
    direction="none",
)
def profile(ctx: Context) -> Iterable[Measurement | Message]:
    """Counts over all rows; percentiles over the sample; categories below the smallest group size are pooled."""
    from audit.measure import exact, rate, value
    from audit.text import message

    rows = ctx.facts.rows
    table, missing_cells, constant = _columns(ctx)
    yield value("rows", exact(float(rows), rows), evidence=[table])
    yield value("columns", exact(float(len(ctx.facts.columns)), rows))
    cells = rows * max(1, len(table.rows))
    share = missing_cells / cells
    yield value("missing_share", exact(share, cells))  # a fact about these rows: cells of one row are not independent
    yield value("constant_columns", exact(float(len(constant)), rows))
    if ctx.facts.target_sql is not None:
        yield rate(ctx, "missing_outcome", ctx.facts.target_missing, rows)
    yield from _outcomes(ctx)
    for group in ctx.facts.groups:
        for level, size in zip(group.levels, group.sizes, strict=True):
            yield rate(ctx, "group_share", size, rows, slice_={group.name: level})
    if constant:
        yield message("{rows:count} rows and {columns:count} columns; {share:percent} of the values are missing; these columns never change: {names}.",
                      rows=rows, columns=len(ctx.facts.columns), share=share, names=constant)  # fmt: skip
    else:
        yield message("{rows:count} rows and {columns:count} columns; {share:percent} of the values are missing.",
                      rows=rows, columns=len(ctx.facts.columns), share=share)  # fmt: skip


def _columns(ctx: Context) -> tuple[Table, int, list[str]]:
    """The table of columns, the number of missing values in all, and the columns that never change."""
    from audit.measurement import Table

    dataset = ctx.dataset
    scalar = [c for c in ctx.facts.columns if dataset.is_scalar(c)]
    asked = {}
    for i, name in enumerate(scalar):
        known = f"TRY_CAST({dataset.value(name)} AS DOUBLE)" if dataset.is_number(name) else dataset.value(name)
        asked[f"known{i}"] = f"count({known})" + (
            f" - coalesce(count_if(isnan({known})), 0)" if ctx.facts.types[name] in ("FLOAT", "DOUBLE") else ""
        )
        asked[f"distinct{i}"] = f"approx_count_distinct({dataset.value(name)})"
    counted = dataset.ask(asked)[0] if asked else ()
    rows: list[list[Cell]] = []
    constant, missing_cells = [], 0
    percentiles = _percentiles(ctx)
    for i, name in enumerate(scalar):
        present = int(counted[2 * i])
        distinct = min(present, int(counted[2 * i + 1]))  # the approximation may exceed what is there
        missing_cells += ctx.facts.rows - present
        if present and distinct == 1:
            constant.append(name)
        low, middle, high = percentiles.get(name, (None, None, None))
        rows.append([name, ctx.facts.types[name].lower(), (ctx.facts.rows - present) / ctx.facts.rows, distinct, low, middle, high])
    for name, kind, present in _inputs_of_many(ctx):
        missing_cells += ctx.facts.rows - present
        rows.append([name, kind, (ctx.facts.rows - present) / ctx.facts.rows, None, None, None, None])
    return Table(caption="Columns of the data", columns=_heads(), rows=rows), missing_cells, constant


def _inputs_of_many(ctx: Context) -> list[tuple[str, str, int]]:
    """The model's inputs that are more than one value, such as pictures and sequences: name, kind, and how many rows have one."""
    named = [f for f in ctx.facts.features if not ctx.dataset.is_scalar(f.name)]
    if not named:
        return []
    counted = ctx.dataset.ask({f"known{i}": f"count({ctx.dataset.value(f.name)})" for i, f in enumerate(named)})[0]
    return [(f.name, f.kind, int(n)) for f, n in zip(named, counted, strict=True)]


def _heads() -> list[Column]:
    from audit.measurement import Column

    return [
        Column(name="column", label="column"), Column(name="type", label="type"), Column(name="missing", label="missing", kind="percent"),
        Column(name="distinct", label="distinct values, about", kind="integer"), Column(name="p01", label="1st percentile", kind="number"),
        Column(name="p50", label="median", kind="number"), Column(name="p99", label="99th percentile", kind="number"),
    ]  # fmt: skip


def _percentiles(ctx: Context) -> dict[str, tuple[float, float, float]]:
    """1st, 50th and 99th percentile of the model's number columns on the sample, where it has enough rows that these are nobody's own values."""
    import numpy as np

    from audit.subject.frame import Categories

    out = {}
    for name, column in ctx.sample(ctx.plan.audit.sample).frame.items():
        if isinstance(column, Categories) or column.ndim != 1 or column.dtype.kind not in "fiu":
            continue
        finite = column[np.isfinite(column)].astype(np.float64)
        if len(finite) >= 100:
            low, middle, high = np.quantile(finite, [0.01, 0.5, 0.99])
            out[name] = (float(low), float(middle), float(high))
    return out


def _outcomes(ctx: Context) -> Iterator[Measurement]:
    import numpy as np

    from audit.measure import rate

    if ctx.facts.target_sql is None or ctx.settled.task == "regression" or ctx.facts.roles.target is None:
        return
    size = len(ctx.settled.classes)
    counts = np.zeros(size + 1, np.int64)
    for block in ctx.scored.blocks(["y"]):
        counts += np.bincount(block["y"].astype(np.int64) + 1, minlength=size + 1)
    counts = counts[1:]
    for name, k in zip(ctx.settled.classes, counts.tolist(), strict=True):
        yield rate(ctx, "outcome_rate", int(k), int(counts.sum()), slice_={ctx.facts.roles.target: name})
