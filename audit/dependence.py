"""Whether rows belong together: columns that look like identifiers with repeats, and the column of clusters that was declared.

A column is taken for an identifier in two cases, and repeats where some value stands in more than one row:

- its **name** says so ("patient_nbr", "StudentID", "hospital"), it holds whole numbers or texts, at least `FEW` different ones, and no value has
  more than `LARGEST` of the rows: codes with a table of their own (an admission type of eight values) are no identifiers;
- it holds **texts** that are neither dates nor numbers, and at least `DENSE` as many different ones as rows, none of which has more than `RARE` of
  the rows: names, addresses, hashes. Diagnoses and job titles have a few frequent values.

A number column whose name does not say so is never taken for an identifier: an income, an age or a survey weight repeats as well. The target,
the decision, sensitive columns and texts that the model reads are none. A row key that was logged with the model is one whatever its name.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import TYPE_CHECKING

from audit.dataset import BATCH, MISSING_LIST, Dataset
from audit.errors import AuditError
from audit.measurement import Frozen
from audit.roles import Decision, Roles

if TYPE_CHECKING:
    import numpy as np
    import pyarrow
    from numpy.typing import NDArray

FEW, LARGEST = 20, 0.10
DENSE, RARE = 0.20, 0.01
#: Parts of a name that mean an identifier by themselves.
KEYS = frozenset(["id", "ids", "uid", "uuid", "guid", "pid", "nbr", "key", "identifier", "mrn", "ssn", "psu"])
#: Who or what is counted: identifiers where nothing else, or only words of `BESIDE`, stands in the name.
ENTITIES = frozenset([
    "patient", "customer", "client", "person", "user", "member", "subject", "participant", "respondent", "applicant", "borrower", "student", "pupil",
    "employee", "worker", "candidate", "household", "hh", "family", "school", "hospital", "clinic", "account", "policyholder", "provider", "physician",
    "doctor", "teacher", "driver", "farm", "firm", "company", "merchant", "passenger", "claimant", "defendant", "offender", "donor", "tenant", "cluster",
    "encounter", "case",
])  # fmt: skip
BESIDE = frozenset(["no", "nr", "num", "number", "code", "ref", "hash", "name", "token", "the"])


class Repeats(Frozen):
    """A column that looks like an identifier: so many different `values` in so many `rows` (missing ones left out), at most `largest` each."""

    name: str
    values: int
    rows: int
    largest: int


class Cluster(Frozen):
    """The column whose equal values mark rows that belong together; rows in which it is missing stand alone."""

    name: str
    sql: str
    missing: int


def says_identifier(name: str) -> bool:
    """Whether a column's name is that of an identifier."""
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", " ", name)
    parts = [p for p in re.split(r"[^a-z]+", spaced.lower()) if p]
    if KEYS & set(parts):
        return True
    if any(part[: -len(end)] in ENTITIES for part in parts for end in ("id", "no", "nr", "nbr", "key") if part.endswith(end)):
        return True
    return bool(ENTITIES & set(parts)) and set(parts) <= ENTITIES | BESIDE


def repeating(dataset: Dataset, roles: Roles, decision: Decision, read: Collection[str] = ()) -> list[Repeats]:
    """The columns that look like identifiers and repeat; texts that the model reads (`read`) are none unless their name says so."""
    out = []
    others = {roles.target, decision.column, *roles.sensitive}
    for name in dataset.columns:
        kind = dataset.types[name]
        if name in others or not dataset.is_scalar(name):
            continue
        if name == roles.row_key:
            found = _counted(dataset, name)
        elif says_identifier(name) and (kind in ("VARCHAR", "UUID") or dataset.is_whole(name)):
            found = _counted(dataset, name)
            if found.values < FEW or found.largest > LARGEST * dataset.rows:
                continue
        elif kind in ("VARCHAR", "UUID") and name not in read and _mostly_different(dataset, name, BATCH):
            found = _counted(dataset, name)
            if found.values < max(FEW, DENSE * dataset.rows) or found.largest > max(2, RARE * dataset.rows):
                continue
        else:
            continue
        if found.values < found.rows:
            out.append(found)
    return out


def _mostly_different(dataset: Dataset, name: str, rows: int) -> bool:
    """Whether the first rows have texts that are neither dates nor numbers, many of them different: what the whole column is counted for."""
    x = f"nullif(CAST({dataset.value(name)} AS VARCHAR), '')"
    known = f"{x} IS NOT NULL AND {x} NOT IN ({MISSING_LIST})"
    asked = {
        "known": f"count_if({known})", "different": f"count(DISTINCT {x})",
        "other": f"count_if({known} AND TRY_CAST({x} AS DOUBLE) IS NULL AND TRY_CAST({x} AS TIMESTAMP) IS NULL AND TRY_CAST({x} AS TIME) IS NULL)",
    }  # fmt: skip
    known_rows, different, other = dataset.ask(asked, first=rows, columns=[name])[0]
    return bool(different >= DENSE / 2 * min(rows, dataset.rows) and other > known_rows / 2)


def _counted(dataset: Dataset, name: str) -> Repeats:
    """Different values, rows and the largest value of a column, from hashes of its texts: 8 bytes for each row."""
    import numpy as np

    hashes = np.sort(hashes_of(dataset, dataset.text(name)))
    sizes = np.diff(np.flatnonzero(np.concatenate([[True], hashes[1:] != hashes[:-1], [True]]))) if len(hashes) else np.zeros(0, np.int64)
    return Repeats(name=name, values=len(sizes), rows=len(hashes), largest=int(sizes.max(initial=0)))


def hashes_of(dataset: Dataset, sql: str) -> NDArray[np.uint64]:
    """A 64-bit hash of an SQL expression in each row where it is not NULL."""
    import numpy as np

    parts = [np.zeros(0, np.uint64)]
    for batch in dataset.stream({"h": hashed(sql)}):
        parts.append(batch.column(0).drop_null().to_numpy(zero_copy_only=False))
    return np.concatenate(parts)


def hashed(sql: str) -> str:
    """SQL for a 64-bit hash, NULL where the expression is: among ten million different values two are alike with a chance of 3 in a million."""
    return f"CASE WHEN ({sql}) IS NOT NULL THEN hash({sql}) END"


def duplicates(dataset: Dataset) -> int:
    """Rows that are equal, in every column, to a row before them."""
    import numpy as np

    columns = ", ".join(dataset.value(name) for name in dataset.columns)
    hashes = np.sort(hashes_of(dataset, f"hash({columns})"))
    return int(np.count_nonzero(hashes[1:] == hashes[:-1]))


def cluster_of(dataset: Dataset, roles: Roles) -> Cluster | None:
    """The declared column of clusters, refused where it can divide nothing."""
    name = roles.cluster
    if name is None:
        return None
    dataset.require(name, "cluster column")
    mend = "name the column that says which rows belong together, or leave --cluster out"
    if name == roles.target:
        raise AuditError(f"the cluster column {name!r} is the target", mend)
    if not dataset.is_scalar(name):
        raise AuditError(f"the cluster column {name!r} holds {dataset.types[name]} values", mend)
    sql = dataset.text(name)
    values = dataset.levels(name, limit=2)
    if not values:
        raise AuditError(f"the cluster column {name!r} is missing in every row", mend)
    (missing,) = dataset.ask({"missing": f"count(*) - count({sql})"})[0]
    if len(values) == 1:
        raise AuditError(f"the cluster column {name!r} has one value only, {values[0]!r}", mend)
    return Cluster(name=name, sql=sql, missing=int(missing))


class Coder:
    """Hashes of values in, cluster codes out: 0, 1, … in the order in which clusters first appear; a missing value is a cluster of its own.

    Holds 12 bytes for each cluster, in the order of their hashes.
    """

    def __init__(self) -> None:
        import numpy as np

        self.clusters = 0
        self._hashes, self._codes = np.zeros(0, np.uint64), np.zeros(0, np.int32)

    def codes(self, column: pyarrow.Array) -> NDArray[np.int32]:
        """Codes of a batch of hashes, (k,)."""
        import numpy as np

        missing = column.is_null().to_numpy(zero_copy_only=False)
        hashes = column.fill_null(0).to_numpy(zero_copy_only=False).astype(np.uint64)
        values, first, place = np.unique(hashes[~missing], return_index=True, return_inverse=True)
        at = np.searchsorted(self._hashes, values)
        known = at < len(self._hashes)
        known[known] = self._hashes[at[known]] == values[known]
        codes = np.empty(len(values), np.int32)
        codes[known] = self._codes[at[known]]
        rows = np.flatnonzero(~missing)[first[~known]]  # where each new cluster first appears
        alone = np.flatnonzero(missing)
        order = np.argsort(np.concatenate([rows, alone]))
        rank = np.empty(len(order), np.int32)
        rank[order] = np.arange(self.clusters, self.clusters + len(order), dtype=np.int32)
        codes[~known] = rank[: len(rows)]
        out = np.empty(len(hashes), np.int32)
        out[~missing], out[alone] = codes[place], rank[len(rows) :]
        self._hashes = np.insert(self._hashes, at[~known], values[~known])
        self._codes = np.insert(self._codes, at[~known], codes[~known])
        self.clusters += len(order)
        return out
