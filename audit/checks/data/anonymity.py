"""How alone people stand in the audited table: k-anonymity, l-diversity, t-closeness, small cells, and columns that name somebody directly."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated

from audit.registry import Field, check

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from audit.context import Context
    from audit.measurement import Evidence, Measurement, Message
    from audit.privacy.identifiers import Looks
    from audit.stats.privacy.anonymity import Classes


@check(
    "data.anonymity",
    title="How easily people are recognised in the audited table",
    meaning=(
        "Rows that are equal in what others may know of a person (quasi-identifiers: the sensitive columns, and columns whose names speak of age, place, work and the like, unless the plan names them) form a "
        "class. The smallest class says how alone somebody stands (k-anonymity); a class whose rows all have one outcome gives it away (l-diversity); how far a class's outcomes differ from "
        "everybody's says what it tells (t-closeness). Columns are named that look like direct identifiers."
    ),
    limits=(
        "Which columns others know is a guess where the plan does not name them. This is about the table as it was given to the audit, and not about the model: the report itself holds no rows. Equal rows are "
        "found by 64-bit fingerprints. Values are looked at in the first 100,000 rows, and what looks like an identifier need not be one. Data that are k-anonymous can still be linked."
    ),
    unit="rows",
    direction="higher",
    references=["Sweeney 2002", "Machanavajjhala et al. 2007", "Li, Li and Venkatasubramanian 2007"],
    lists=["quasi_identifiers"],
)
def anonymity(
    ctx: Context, *, quasi_identifiers: list[str] | None = None, k: Annotated[int, Field(ge=2, le=10_000)] = 5
) -> Iterable[Measurement | Message]:
    """Classes by the quasi-identifiers over all rows; `k` is the size below which a class counts as small."""
    from audit.measure import exact, undefined, value
    from audit.privacy import identifiers
    from audit.text import message

    dataset, roles = ctx.dataset, ctx.facts.roles
    scalar = [name for name in dataset.columns if dataset.is_scalar(name)]
    looks = identifiers.direct(dataset, [name for name in scalar if name != roles.target])
    rows = ctx.facts.rows
    yield value("identifier_columns", exact(float(len(looks)), rows), evidence=[_direct(looks)] if looks else [])
    said = (
        message("These columns look like direct identifiers: {names}.", names=[look.column for look in looks]) if looks
        else message("No column looks like a direct identifier.")
    )  # fmt: skip
    chosen = quasi_identifiers or identifiers.quasi_identifiers(scalar, roles.sensitive, roles.target)
    if not chosen:
        why = message("No quasi-identifier is known: name them under quasi_identifiers in the plan.")
        yield undefined("k_anonymity", why)
        yield message("{first} {rest}", first=said, rest=why)
        return
    found = _classes(ctx, chosen)
    yield from _measured(found, k)
    yield value("small_cells", exact(float(_small_cells(ctx, chosen)), rows), evidence=[_sizes(found, chosen)])
    alone, small = found.smaller_than(2), found.smaller_than(k)
    yield message(
        "By {names}, {alone:count} of {rows:count} rows are alone and {small:count} stand in classes of fewer than {k:count}. {rest}",
        names=chosen, alone=alone, rows=rows, small=small, k=k, rest=said,
    )  # fmt: skip


def _classes(ctx: Context, chosen: list[str]) -> Classes:
    """Classes of all rows: DuckDB hashes the quasi-identifiers, and only the hash and the outcome's code leave it."""
    import numpy as np

    from audit.coding import coded, codes
    from audit.dataset import MISSING
    from audit.prepare import levels_of
    from audit.stats.privacy.anonymity import classes

    dataset, target = ctx.dataset, ctx.facts.roles.target
    asked = {"key": f"hash({', '.join(dataset.text(name) for name in chosen)})"}
    levels: list[str] = []
    if target is not None and dataset.is_scalar(target):
        sql, counted = levels_of(dataset, target, ctx.plan.bins)
        levels = [level for level in counted if level != MISSING]
        asked |= {"y": coded(sql, levels)} if levels else {}
    keys: list[NDArray[np.uint64]] = []
    outcomes: list[NDArray[np.int64]] = []
    for batch in dataset.stream(asked):
        keys.append(batch.column(0).to_numpy(zero_copy_only=False).astype(np.uint64))
        if levels:
            outcomes.append(codes(batch.column(1)).astype(np.int64))
    return classes(np.concatenate(keys), np.concatenate(outcomes) if outcomes else None, len(levels))


def _measured(found: Classes, k: int) -> Iterable[Measurement]:
    from audit.measure import exact, undefined, value
    from audit.stats.privacy.anonymity import k_anonymity, l_diversity, t_closeness
    from audit.text import message

    rows = found.rows
    yield value("k_anonymity", exact(float(k_anonymity(found)), rows))
    yield value("unique_row_share", exact(found.smaller_than(2) / rows, rows))
    yield value("small_class_row_share", exact(found.smaller_than(k) / rows, rows))
    diversity, distance = l_diversity(found), t_closeness(found)
    if diversity is None or distance is None:
        yield undefined("l_diversity", message("No outcome is known of these rows."))
        return
    yield value("l_diversity", exact(float(diversity), rows))
    yield value("one_outcome_row_share", exact(found.one_outcome() / rows, rows))
    yield value("t_closeness", exact(distance, rows))


def _small_cells(ctx: Context, chosen: list[str]) -> int:
    """Values of single quasi-identifiers that fewer rows have than may be printed."""
    limit, dataset = ctx.plan.disclosure.min_group_size, ctx.dataset
    total = 0
    for name in chosen:
        text = dataset.text(name)
        counted = dataset.ask(
            {"n": "count(*) OVER ()"}, tail=f"WHERE {text} IS NOT NULL GROUP BY hash({text}) HAVING count(*) < {int(limit)} LIMIT 1"
        )
        total += int(counted[0][0]) if counted else 0
    return total


def _sizes(found: Classes, chosen: list[str]) -> Evidence:
    """Rows by the size of their class."""
    from audit.measurement import Column, Table
    from audit.text import message, render

    caption = message("Rows by the size of their class: equal in {names}", names=chosen)
    columns = [
        Column(name="size", label="rows in the class"),
        Column(name="rows", label="rows", kind="integer"),
        Column(name="share", label="share", kind="percent"),
    ]
    edges = [(1, 1), (2, 4), (5, 9), (10, 99), (100, None)]
    body: list[list[str | int | float | None]] = []
    for low, high in edges:
        inside = found.sizes[(found.sizes >= low) & (found.sizes <= (high or found.rows))]
        n = int(inside.sum())
        body.append([str(low) if low == high else f"{low}–{high}" if high else f"≥ {low}", n, n / found.rows])
    return Table(caption=render(caption), caption_msg=caption, columns=columns, rows=body)


def _direct(looks: list[Looks]) -> Evidence:
    from audit.measurement import Column, Table
    from audit.text import message, render

    caption = message("Columns that look like direct identifiers")
    columns = [Column(name="column", label="column"), Column(name="sign", label="by")]
    return Table(caption=render(caption), caption_msg=caption, columns=columns, rows=[[look.column, look.sign] for look in looks])
