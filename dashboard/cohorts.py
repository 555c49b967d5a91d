"""Cohorts: rows that a person named by values and ranges of columns, so that the same rows can be looked at on every page.

Kept as plain JSON beside the audits (`audits/cohorts.json`; where people log in, one file each). A cohort says which rows are meant and holds none.
"""

from __future__ import annotations

import hashlib
import threading
from pathlib import Path

from pydantic import Field, ValidationError, model_validator

from audit.dataset import MISSING
from audit.result import Frozen, Real, Slice
from reports.write import write_atomically

MOST_COHORTS, MOST_CONDITIONS, MOST_VALUES = 100, 4, 200
#: Pages of one server may save at once.
_SAVING = threading.Lock()


class UnreadableError(Exception):
    """The file of cohorts is not what this program writes: it is neither used nor overwritten."""


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


class _File(Frozen):
    version: int = 1
    cohorts: list[Cohort] = Field(default=[], max_length=MOST_COHORTS)


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


class Shelf:
    """The cohorts of a person in a working folder; without a login all who look share them."""

    def __init__(self, root: Path, person: str = "") -> None:
        mark = f"-{hashlib.sha256(person.encode()).hexdigest()[:16]}" if person else ""
        self.file = root / "audits" / f"cohorts{mark}.json"

    def cohorts(self) -> list[Cohort]:
        """In the order of their names; `UnreadableError` where the file is damaged."""
        try:
            kept = _File.model_validate_json(self.file.read_bytes()).cohorts
        except FileNotFoundError:
            return []
        except (OSError, ValidationError) as error:
            raise UnreadableError(f"{self.file}: {' '.join(str(error).split())[:200]}") from None
        return sorted(kept, key=lambda c: c.name.casefold())

    def save(self, cohort: Cohort) -> None:
        """Under its name, in the place of one that had it; ValueError where there are too many."""
        with _SAVING:
            self._write([*(c for c in self.cohorts() if c.name != cohort.name), cohort])

    def remove(self, name: str) -> None:
        with _SAVING:
            self._write([c for c in self.cohorts() if c.name != name])

    def _write(self, cohorts: list[Cohort]) -> None:
        content = _File(cohorts=cohorts).model_dump_json(indent=1, exclude_none=True)
        self.file.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(self.file, content.encode())
