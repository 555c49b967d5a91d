"""The column of survey weights: how many people each row stands for."""

from __future__ import annotations

from audit.dataset import Dataset
from audit.errors import AuditError
from audit.measurement import Frozen, Message
from audit.roles import Roles
from audit.text import message


class Weight(Frozen):
    """The weights of the rows: `sql` gives them as numbers; `effective` are the rows of equal weight that all are worth, (Σw)² / Σw² (Kish 1965)."""

    name: str
    sql: str
    effective: float
    zero: int


def weight_of(dataset: Dataset, roles: Roles) -> tuple[Weight | None, list[Message]]:
    """The declared weights and what a reader must know of them; equal weights change nothing, and are none. Refused where they cannot be weights."""
    name = roles.weight
    if name is None:
        return None, []
    dataset.require(name, "weight column")
    mend = "name a column with a finite number of at least 0 in each row, or leave --weight out"
    if name == roles.target or name in roles.sensitive:
        raise AuditError(f"the weight column {name!r} is {'the target' if name == roles.target else 'a sensitive column'}", mend)
    if not dataset.is_scalar(name) or not dataset.is_number(name):
        raise AuditError(f"the weight column {name!r} holds {dataset.types[name]} values", mend)
    w = f"CAST({dataset.number(name)} AS DOUBLE)"
    (known, negative, zero, low, high, rows) = dataset.ask({
        "known": f"count_if({w} IS NOT NULL AND isfinite({w}))", "negative": f"count_if({w} < 0)", "zero": f"count_if({w} = 0)",
        "low": f"min({w}) FILTER ({w} > 0)", "high": f"max({w})", "rows": "count(*)",
    })[0]  # fmt: skip
    if known < rows:
        raise AuditError(f"the weight column {name!r} has no finite number in {rows - known:,} of {rows:,} rows", mend)
    if negative:
        raise AuditError(f"the weight column {name!r} is below 0 in {negative:,} rows", mend)
    if zero == rows:
        raise AuditError(f"the weight column {name!r} is 0 in every row", mend)
    if low == high and not zero:
        return None, [
            message("All weights in column {column} are equal, so they change nothing: every estimate is that of the rows.", column=name)
        ]
    return _measured(dataset, name, w, int(zero))


def _measured(dataset: Dataset, name: str, sql: str, zero: int) -> tuple[Weight, list[Message]]:
    from audit.stats.sums import Summing

    sums, of_squares = Summing(), Summing()
    for batch in dataset.stream({"w": sql}):
        w = batch.column(0).to_numpy(zero_copy_only=False)
        sums.add(w)
        of_squares.add(w**2)
    first, second = sums.moments(), of_squares.moments()
    assert first is not None
    assert second is not None
    effective = first.n * first.mean**2 / second.mean
    notes = [
        message(
            "Rows carry survey weights ({column}): {rows:count} rows are worth {effective:count} of equal weight. Weighted estimates speak of the people whom the rows stand for; "
            "counts of rows, charts and tables of them are not weighted, and each check that takes no weights says so.",
            column=name, rows=dataset.rows - zero, effective=round(effective),
        )
    ]  # fmt: skip
    if zero:
        notes.append(message("Rows of weight 0 stand for nobody and were left out: {n:count}.", n=zero))
    return Weight(name=name, sql=sql, effective=effective, zero=zero), notes
