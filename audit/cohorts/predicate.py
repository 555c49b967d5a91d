"""A condition as SQL over a column of the data, or over the column of a scored sample that holds it."""

from __future__ import annotations

from audit.cohorts.named import Condition, interval
from audit.dataset import MISSING, literal

#: A label of an interval has ten digits of its ends: a row that lies as near to an end as this is taken to lie on it.
NEAR = 1e-9


def predicate(condition: Condition, column: str, *, numbers: bool) -> str:
    """True or false of each row and never unknown. `column` is SQL that gives doubles where `numbers`, else texts; a range is of numbers only."""
    if condition.ranged:
        assert numbers, "asked only of numbers"
        low = [f"{column} >= {condition.low!r}"] if condition.low is not None else []
        high = [f"{column} < {condition.high!r}"] if condition.high is not None else []
        return f"coalesce({' AND '.join([f'isfinite({column})', *low, *high])}, false)"  # NaN is above all numbers in DuckDB
    return f"({' OR '.join(f'({_is(column, value, numbers)})' for value in condition.values)})"


def _is(column: str, value: str, numbers: bool) -> str:
    if value == MISSING:
        return f"({column} IS NULL OR isnan({column})) IS TRUE" if numbers else f"{column} IS NULL"  # bare, isnan finds none in a WHERE
    if not numbers:
        return f"coalesce({column} = {literal(value)}, false)"
    ends = interval(value)
    if ends is None:
        return "false"
    low, high, closed = ends
    above = high + NEAR * abs(high) if closed else high - NEAR * abs(high)
    return f"coalesce(isfinite({column}) AND {column} >= {low - NEAR * abs(low)!r} AND {column} {'<=' if closed else '<'} {above!r}, false)"
