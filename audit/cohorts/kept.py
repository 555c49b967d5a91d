"""The scored rows of an audit where this machine still has them, counted by cohort: DuckDB answers with counts, and no row reaches a page.

Sensitive columns stand in the scored table, which has all rows; the model's other inputs only in its sample (`--sample`).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audit.cohorts.named import About, Cohort, Condition, Offer
from audit.cohorts.predicate import predicate
from audit.dataset import MISSING, Dataset

if TYPE_CHECKING:
    from audit.outputs import Settled

STOPS = 10  # parts of a number column between whose ends a range can be chosen
MOST_LEVELS = 100


class NotHereError(Exception):
    """A condition is on a column, or on values of it, that the kept rows do not have."""


@dataclass(frozen=True)
class Kept:
    """The scored table of an audit, and its sample, whose columns `x0`… are the model's inputs."""

    table: Path
    sample: Path
    settled: Settled
    groups: dict[str, tuple[str, list[str]]]  # sensitive column → its column of codes, and their values
    inputs: dict[str, tuple[str, bool]]  # input of one value a row → its column in the sample, and whether it holds numbers
    target: bool

    @cached_property
    def rows(self) -> Dataset:
        """All rows."""
        return Dataset([self.table])

    @cached_property
    def sampled(self) -> Dataset:
        """The rows of the sample."""
        return Dataset([self.sample])

    def source(self, cohort: Cohort | None) -> Dataset:
        """Where a cohort can be counted: among all rows where it is one of sensitive columns, else in the sample."""
        whole = cohort is None or all(self._by_group(c) for c in cohort.conditions)
        return self.rows if whole else self.sampled

    def _by_group(self, condition: Condition) -> bool:
        return condition.column in self.groups and not condition.ranged

    def sql(self, condition: Condition) -> str:
        """The condition over the columns of the table or the sample, true or false and never unknown; `NotHereError` where they lack its column."""
        if self._by_group(condition):
            column, levels = self.groups[condition.column]
            codes = [levels.index(v) for v in condition.values if v in levels]
            return f"coalesce({column} IN ({', '.join(map(str, codes))}), false)" if codes else "false"
        if condition.column not in self.inputs:
            raise NotHereError(condition.column)
        column, numbers = self.inputs[condition.column]
        if condition.ranged and not numbers:
            raise NotHereError(condition.column)
        return predicate(condition, column, numbers=numbers)

    @property
    def columns(self) -> list[str]:
        """The columns that a cohort can be made of."""
        return list(dict.fromkeys([*self.groups, *self.inputs]))

    def offer(self, name: str, least: int) -> Offer:
        """What of a column a cohort can be made of: values of at least `least` rows, or stops between which at least so many lie."""
        if name in self.groups:
            column, levels = self.groups[name]
            counted = dict(self.rows.ask({"code": column, "n": "count(*)"}, tail="GROUP BY 1"))
            return Offer(name=name, values=[v for i, v in enumerate(levels) if counted.get(i, 0) >= least])
        column, numbers = self.inputs[name]
        if not numbers or len(self.sampled.levels(column, limit=STOPS)) <= STOPS:
            tail = f"GROUP BY 1 HAVING count(*) >= {least} ORDER BY 2 DESC, 1 LIMIT {MOST_LEVELS}"
            found = self.sampled.ask({"value": self.sampled.text(column), "n": "count(*)"}, tail=tail)
            return Offer(name=name, values=[MISSING if v is None else str(v) for v, _ in found])
        return Offer(name=name, stops=self._stops(column, least))

    def _stops(self, column: str, least: int) -> list[float]:
        shares = ", ".join(str(i / STOPS) for i in range(1, STOPS))
        cuts = sorted(set(self.sampled.ask({"q": f"quantile_disc({column}, [{shares}])"}, tail=f"WHERE isfinite({column})")[0][0] or []))
        stops: list[float] = []
        for stop in cuts:
            low = f"{column} >= {stops[-1]!r} AND " if stops else ""
            inside, above = self.sampled.ask(
                {"inside": f"count_if({low}{column} < {stop!r})", "above": f"count_if({column} >= {stop!r})"},
                tail=f"WHERE isfinite({column})",
            )[0]
            if min(inside, above) >= least:
                stops.append(float(stop))
        return stops


def kept(about: About) -> Kept | None:
    """The rows of an audit; None where this machine does not have them, or they do not say what their codes mean."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from audit.outputs import Settled
    from audit.scored import SELF, cache_folder
    from audit.versions.pairing import scored_table

    table = scored_table(about.scored, cache_folder())
    sample = table.with_name(f"{table.stem}.sample.parquet") if table else None
    if table is None or sample is None or not sample.is_file():
        return None
    try:
        said: dict[str, Any] = json.loads((pq.read_schema(table).metadata or {})[SELF])
        columns = set(pq.read_schema(sample).names)
    except (OSError, KeyError, ValueError, pa.ArrowException):
        return None
    groups = {g["name"]: (f"g{i}", list(g["levels"])) for i, g in enumerate(said["groups"])}
    kinds = {f.name: (f"x{i}", f.kind == "number") for i, f in enumerate(about.features) if f.kind in ("number", "category")}
    inputs = {name: own for name, own in kinds.items() if own[0] in columns}
    return Kept(table, sample, Settled.model_validate(said["settled"]), groups, inputs, said["target"] is not None)
