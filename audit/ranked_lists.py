"""Which list each row stands in, where rows are ranked: the items that a user is shown, the candidates of one query, or all rows of a quota."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from audit.context import Context

#: Places of a list that are looked at where nobody says how many.
AT = 10


class Lists(NamedTuple):
    """The rows (k,) that have a score and a list, by their place in the scored table; the list of each as a code from 0, and its score (k,); how many places of a list
    count; whether all rows are one list."""

    row: NDArray[np.int64]
    code: NDArray[np.int64]
    score: NDArray[np.float64]
    at: int
    single: bool


def lists_of(ctx: Context, by: list[str] | None, at: int | None) -> Lists:
    """The lists that the columns `by` tell apart, or those that training logged; without either all rows are one, cut by the declared quota."""
    import numpy as np

    from audit.dependence import hashed

    logged = ctx.facts.roles.ranking
    columns = by or ([logged["user"]] if logged.get("user") in ctx.facts.columns else [])
    score = ctx.scored.score
    if not columns:
        row = np.flatnonzero(np.isfinite(score))
        return Lists(row, np.zeros(len(row), np.int64), score[row], at or _quota(ctx, len(row)), True)
    texts = [ctx.dataset.text(name) for name in columns]
    whole = hashed(
        texts[0]
        if len(texts) == 1
        else f"CASE WHEN {' AND '.join(f'({t}) IS NOT NULL' for t in texts)} THEN to_json([{', '.join(texts)}]) END"
    )
    parts, known = [], []
    for batch in ctx.dataset.stream({"h": whole}):
        column = batch.column(0)
        known.append(column.is_valid().to_numpy(zero_copy_only=False))
        parts.append(column.fill_null(0).to_numpy(zero_copy_only=False))
    row = np.flatnonzero(np.concatenate(known) & np.isfinite(score))
    code = np.unique(np.concatenate(parts)[row], return_inverse=True)[1].reshape(-1)
    return Lists(row, code.astype(np.int64), score[row], at or int(logged.get("at") or AT), False)


def _quota(ctx: Context, rows: int) -> int:
    """How many rows the declared decision takes."""
    decision = ctx.facts.decision
    assert decision.value is not None, "a check of ranked rows is asked only where a quota or a list is declared"
    return max(1, round(decision.value * rows) if decision.kind == "top_share" else int(decision.value))


def of_list(lists: Lists, codes: NDArray[Any]) -> NDArray[np.int64] | None:
    """The group of each list (L,), from those of all rows (n,), where no list holds rows of two groups; None where one does."""
    import numpy as np

    own = np.asarray(codes)[lists.row].astype(np.int64)
    of = np.zeros(int(lists.code.max(initial=-1)) + 1, np.int64)
    of[lists.code] = own
    return of if np.array_equal(of[lists.code], own) else None


def within(ctx: Context, lists: Lists) -> list[tuple[str, NDArray[np.int64], list[str]]]:
    """The sensitive columns by which rows of one list differ: name, code of each of the rows (k,), levels."""
    import numpy as np

    found = []
    for i, group in enumerate(ctx.facts.groups):
        codes = ctx.scored.group(i)
        if of_list(lists, codes) is None:
            found.append((group.name, np.asarray(codes)[lists.row].astype(np.int64), group.levels))
    return found


def columns_of(ctx: Context, lists: Lists, names: list[str]) -> list[tuple[str, NDArray[np.int64], list[str]]]:
    """Any columns of the data as groups of the rows, as `within` gives them; numbers of many values are cut into bins."""
    import numpy as np

    from audit.coding import coded, codes
    from audit.dataset import MISSING
    from audit.prepare import MAX_GROUPS, levels_of

    found = []
    for name in names:
        sql, levels = levels_of(ctx.dataset, name, ctx.plan.bins)
        kept = [level for level in levels if level != MISSING][:MAX_GROUPS]
        parts = [codes(batch.column(0)) for batch in ctx.dataset.stream({"g": coded(sql, kept)})]
        found.append((name, np.concatenate(parts)[lists.row].astype(np.int64), kept))
    return found
