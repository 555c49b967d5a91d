"""A cohort: rows that a person named by values and ranges of columns; and what is answered about one. No data and no library is needed to read this."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from audit.dataset import MISSING
from audit.measurement import Estimate, Frozen, Real, Slice
from audit.result import Feature

MOST_CONDITIONS, MOST_VALUES = 4, 200
#: Why nothing is shown: nobody meets the conditions; too few do; all but too few do; without some of its conditions too few more do.
Withheld = Literal["nobody", "few", "nearly_all", "near_another"]


class Condition(Frozen):
    """Values of a column as a document names them (intervals such as "[25, 37)" and "(missing)" among them), or numbers from `low` up to below `high`."""

    column: str = Field(max_length=500)
    values: list[str] = Field(default=[], max_length=MOST_VALUES)
    low: Real | None = None
    high: Real | None = None

    @model_validator(mode="after")
    def _one_kind(self) -> Condition:
        if bool(self.values) == self.ranged:
            raise ValueError(f"{self.column}: either values or a range")
        if self.low is not None and self.high is not None and self.low >= self.high:
            raise ValueError(f"{self.column}: the range is empty")
        return self

    @property
    def ranged(self) -> bool:
        return self.low is not None or self.high is not None

    def may_hold(self, level: str) -> bool:
        """Whether rows of a level of the column may meet the condition: an interval may where it overlaps the range."""
        if not self.ranged:
            return level in self.values
        ends = interval(level)
        if ends is None:
            return False
        low, high, closed = ends
        return (self.high is None or low < self.high) and (self.low is None or high > self.low or (closed and high == self.low))


class Cohort(Frozen):
    """Rows that meet every condition."""

    name: str = Field(min_length=1, max_length=80)
    conditions: list[Condition] = Field(min_length=1, max_length=MOST_CONDITIONS)

    @model_validator(mode="after")
    def _each_once(self) -> Cohort:
        if len({c.column for c in self.conditions}) < len(self.conditions):
            raise ValueError("a column has one condition")
        return self

    def speaks_of(self, slice_: Slice) -> bool:
        """Whether a finding about this slice is about people of the cohort: the slice divides by one of its columns and contradicts none."""
        shared = [c for c in self.conditions if c.column in slice_]
        return bool(shared) and all(c.may_hold(slice_[c.column]) for c in shared)

    def further(self, column: str, value: str) -> Cohort:
        """Those of one value of another column."""
        return self.model_copy(update={"conditions": [*self.conditions, Condition(column=column, values=[value])]})


def interval(level: str) -> tuple[float, float, bool] | None:
    """The ends of a level and whether the upper one belongs to it; of a number the number twice; None for what is neither."""
    if level == MISSING:
        return None
    try:
        if level.startswith("[") and level[-1] in ")]":
            low, high = level[1:-1].split(", ")
            return float(low), float(high), level.endswith("]")
        return float(level), float(level), True
    except ValueError:
        return None


def of_slice(name: str, slice_: Slice) -> Cohort:
    """The rows of a slice of a document; ValueError where it has too many columns."""
    return Cohort(name=name, conditions=[Condition(column=column, values=[level]) for column, level in slice_.items()])


class About(Frozen):
    """What must be known of an audit to count its rows: the name of its scored table, the model's inputs, the level of intervals, the least rows to be printed."""

    scored: str | None
    features: list[Feature]
    level: float
    least: int


class Offer(Frozen):
    """What of a column a cohort can be made of: values with enough rows, or the numbers at which a range may start and end."""

    name: str
    values: list[str] = Field(default=[])
    stops: list[Real] = Field(default=[])


class Figure(Frozen):
    """A metric of the cohort and of everybody else, and the difference of the two; None where it is withheld or nobody counts for it."""

    metric: str
    inside: Estimate | None = None
    outside: Estimate | None = None
    apart: Estimate | None = None
    withheld: bool = False


class Measured(Frozen):
    """The figures of a cohort: `n` of `rows` rows, which are the sample where `sampled`; nothing else is known where it is `withheld`."""

    n: int
    rows: int
    sampled: bool
    withheld: Withheld | None = None
    figures: list[Figure] = Field(default=[])


class Question(Frozen):
    """What is asked of the kept rows; each needs the fields after it.

    "columns": the columns that a cohort can be made of, and of which groups are known. "offer": `column`. "measure": `cohort`. "groups": `cohort`
    and `column`. "members": `cohort`; the numbers of its rows in the sample. "changes": `cohort` and `old`, an older audit of the same rows.
    """

    do: Literal["columns", "offer", "measure", "groups", "members", "changes"]
    about: About
    cohort: Cohort | None = None
    column: str = ""
    old: About | None = None


class Columns(Frozen):
    """The columns that a cohort can be made of; the sensitive ones among them with their groups."""

    names: list[str]
    groups: dict[str, list[str]]


class Groups(Frozen):
    """The figures of the groups that may be shown."""

    found: dict[str, Measured]


class Members(Frozen):
    """The numbers of rows in the sample, rising."""

    rows: list[int]


class Moved(Frozen):
    """A rate of the same rows under two models, the change new − old, and the p value of no change; None where it is withheld."""

    metric: str
    old: Estimate | None = None
    new: Estimate | None = None
    change: Estimate | None = None
    p: Real | None = None
    withheld: bool = False


class Changes(Frozen):
    """The rates of a cohort under two models; `n` paired rows."""

    n: int
    withheld: Withheld | None = None
    moved: list[Moved] = Field(default=[])


Answer = Columns | Offer | Measured | Groups | Members | Changes
#: What answers each question.
ANSWERS: dict[str, type[Answer]] = {
    "columns": Columns, "offer": Offer, "measure": Measured, "groups": Groups, "members": Members, "changes": Changes,
}  # fmt: skip


class Reply(Frozen):
    """A line back: an answer, or why there is none; `kept` is false where these rows are not on this machine, `column` one that they lack."""

    kept: bool = True
    answer: dict[str, object] | None = None
    column: str | None = None
    refused: str | None = None
