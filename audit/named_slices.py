"""Slices that the plan names: `[slices.NAME]` says which rows they are, by values and ranges of columns, whether the model takes these or not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Discriminator, Field, Tag, ValidationError, model_validator

from audit.cohorts.named import MOST_VALUES, Cohort, Condition
from audit.cohorts.predicate import predicate
from audit.errors import AuditError
from audit.measurement import Frozen

if TYPE_CHECKING:
    from audit.dataset import Dataset

#: More are a search, which `performance.slices` is for: its tests are corrected for what it looked at.
MOST = 50
#: In findings, what a slice is known by.
KEY = "(slice)"


class Span(BaseModel):
    """Numbers from `low` up to below `high`; either may be left out."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, strict=True)

    low: float | None = None
    high: float | None = None

    @model_validator(mode="after")
    def _has_room(self) -> Span:
        if self.low is None and self.high is None:
            raise ValueError("a range needs low, high or both")
        if self.low is not None and self.high is not None and self.low >= self.high:
            raise ValueError(f"the range is empty: low {self.low:g} is not below high {self.high:g}")
        return self


def _listed(said: Any) -> Any:
    """One value is a list of one; numbers and truth values become the texts by which a document names them."""
    if isinstance(said, (dict, Span)):
        return said
    each = said if isinstance(said, list) else [said]
    return [_text(v) if isinstance(v, (bool, int, float)) else v for v in each]


def _text(value: float) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(int(value)) if value == int(value) else repr(value)


Values = Annotated[list[str], Field(min_length=1, max_length=MOST_VALUES)]
#: What a row has in a column: one of these values, or a number in this range.
Which = Annotated[
    Annotated[Values, Tag("values")] | Annotated[Span, Tag("range")],
    Discriminator(lambda said: "values" if isinstance(said, list) else "range"),
    BeforeValidator(_listed),
]
#: Column → what a row has in it; a row of the slice has all of them.
Rows = dict[str, Which]


class NamedRows(Frozen):
    """A slice in these data: `sql` is true of its `rows` rows, and `told` says in a line which they are."""

    name: str
    sql: str
    told: str
    rows: int


def cohorts(slices: Mapping[str, Rows]) -> list[Cohort]:
    """The slices as cohorts; AuditError for a name or a number of columns that no cohort can have."""
    found = []
    for name, rows in slices.items():
        conditions = [
            Condition(column=column, low=which.low, high=which.high) if isinstance(which, Span) else Condition(column=column, values=which)
            for column, which in rows.items()
        ]
        try:
            found.append(Cohort(name=name, conditions=conditions))
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(["slices", name[:80], *map(str, first["loc"])])
            raise AuditError(f"{where} is not valid: {first['msg']}", "correct [slices] in the plan") from None
    return found


def of_cohort(cohort: Cohort) -> dict[str, Any]:
    """What stands in a plan under `[slices.NAME]` for a cohort."""
    return {
        c.column: {k: v for k, v in (("low", c.low), ("high", c.high)) if v is not None} if c.ranged else list(c.values)
        for c in cohort.conditions
    }


def named_rows(dataset: Dataset, found: list[Cohort], target: str | None) -> list[NamedRows]:
    """The slices in these data, counted; AuditError where one names a column that is not there, or that cannot say so."""
    every = [(cohort, " AND ".join(_sql(dataset, cohort.name, condition, target) for condition in cohort.conditions)) for cohort in found]
    if not every:
        return []
    counted = dataset.ask({f"s{i}": f"count_if({sql})" for i, (_, sql) in enumerate(every)})[0]
    return [
        NamedRows(name=cohort.name, sql=sql, told=", ".join(map(_said, cohort.conditions)), rows=int(n))
        for (cohort, sql), n in zip(every, counted, strict=True)
    ]


def _sql(dataset: Dataset, name: str, condition: Condition, target: str | None) -> str:
    column, where = condition.column, f"[slices.{name}]"
    if column not in dataset.types:
        raise AuditError(f"{where} names {column!r}, which is no column of the data", f"its columns are {', '.join(dataset.columns[:40])}")
    if column == target:
        raise AuditError(
            f"{where} names {column!r}, which is the target: rows that are chosen by their outcome are right or wrong by the choice",
            "name columns that are known before the outcome; the rates of error by outcome stand under group fairness",
        )
    if not dataset.is_scalar(column):
        raise AuditError(f"{where} names {column!r}, which holds {dataset.types[column]} values", "name columns with one value a row")
    numbers = dataset.is_number(column)
    if condition.ranged and not numbers:
        raise AuditError(f"{where} gives a range of {column!r}, which holds no numbers", "list its values instead")
    return predicate(condition, dataset.number(column) if numbers else dataset.text(column), numbers=numbers)


def _said(condition: Condition) -> str:
    """Which values a row has: "race = black | hispan", "age ≥ 18, age < 30"."""
    if condition.values:
        return f"{condition.column} = {' | '.join(condition.values)}"
    ends = [f"{condition.column} {sign} {end:.10g}" for sign, end in (("≥", condition.low), ("<", condition.high)) if end is not None]
    return ", ".join(ends)
