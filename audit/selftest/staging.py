"""What a scene is made of: arrays as the columns of a scored table, the data and the training rows on disk, and what the audit knows of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import ArrayLike, NDArray

from audit.bases import Base
from audit.dataset import MISSING, Dataset, data_digest, open_dataset
from audit.dependence import Cluster
from audit.features import FeatureSpec
from audit.outputs import Settled
from audit.prepare import Facts, Groups
from audit.roles import Roles, parse_decision
from audit.scored import Scoring, described
from audit.training import Training
from audit.weighted.column import Weight

TYPES = {pa.int64(): "BIGINT", pa.float64(): "DOUBLE", pa.string(): "VARCHAR"}


@dataclass(frozen=True)
class Told:
    """What the model said of each row and what happened: class codes (n,), -1 missing or undefined, or values; `score` (n,) or (n, classes)."""

    regression: bool
    names: list[str]
    pred: NDArray[Any]
    y: NDArray[Any] | None
    score: NDArray[np.float64] | None

    @property
    def rows(self) -> int:
        """How many."""
        return len(self.pred)

    def missing(self, values: NDArray[Any] | None) -> int:
        """Rows without an outcome, or without a prediction."""
        if values is None:
            return self.rows
        return int((~(np.isfinite(values) if self.regression else values >= 0)).sum())

    def columns(self) -> dict[str, Any]:
        """Of the scored table."""
        out: dict[str, Any] = ({} if self.y is None else {"y": self.y}) | {"pred": self.pred}
        if self.score is not None and self.score.ndim == 1:
            out["score"] = self.score
        elif self.score is not None:
            out |= {f"score_{i}": np.ascontiguousarray(self.score[:, i]) for i in range(self.score.shape[1])}
        return out


def read(task: str, classes: Sequence[str] | None, pred: ArrayLike, y: ArrayLike | None, score: ArrayLike | None) -> Told:
    """Plain arrays as the scored table holds them."""
    regression = task == "regression"
    dtype: Any = np.float64 if regression else np.int16
    return Told(
        regression, [] if regression else list(classes or ["0", "1"]), np.asarray(pred, dtype=dtype), None if y is None else np.asarray(y, dtype=dtype),
        None if score is None else np.asarray(score, dtype=np.float64),
    )  # fmt: skip


@dataclass(frozen=True)
class Divided:
    """Rows by some columns: each row's value as text, and the levels."""

    values: dict[str, list[str]]
    groups: list[Groups]

    def columns(self, letter: str) -> dict[str, Any]:
        """Of the scored table: codes of the levels."""
        return {f"{letter}{i}": codes(self.values[group.name], group.levels) for i, group in enumerate(self.groups)}


def divided(columns: Mapping[str, Sequence[str] | NDArray[Any]], reference: Mapping[str, str]) -> Divided:
    """None among the values is a missing one."""
    values = {name: [MISSING if v is None else str(v) for v in column] for name, column in columns.items()}
    return Divided(values, [_group(name, column, reference.get(name)) for name, column in values.items()])


def codes(values: ArrayLike | Sequence[str], levels: Sequence[str]) -> NDArray[np.int16]:
    """Texts as positions in `levels`, -1 where they are not among them."""
    place = {level: i for i, level in enumerate(levels)}
    return np.array([place.get(str(v), -1) for v in np.asarray(values, dtype=object)], dtype=np.int16)


def _group(name: str, values: Sequence[str], reference: str | None) -> Groups:
    counted = sorted((-values.count(v), v) for v in set(values))
    levels = [v for _, v in counted]
    known = [v for v in levels if v != MISSING]
    return Groups(
        name=name, sql=f'"{name}"', levels=levels, sizes=[-n for n, _ in counted], reference=reference or (known[0] if known else None),
        reference_declared=reference is not None,
    )  # fmt: skip


def periods(values: Sequence[str]) -> Groups:
    """The periods of a time column, in their order."""
    levels = sorted(set(values))
    return Groups(
        name="when", sql='"when"', levels=levels, sizes=[values.count(v) for v in levels], reference=None, reference_declared=False
    )


def training(folder: Path, known: Facts, given: Mapping[str, ArrayLike] | None) -> Training:
    """Training rows on disk, as the audit would find them."""
    rows = pq.read_table(folder / "data.parquet")
    table = (
        rows.append_column("more", pa.array(range(len(rows)))) if given is None else pa.table({k: np.asarray(v) for k, v in given.items()})
    )
    pq.write_table(table, folder / "train.parquet")
    dataset = open_dataset(str(folder / "train.parquet"))
    target = "outcome" if known.target_sql else None
    sizes = {g.name: {level: n for level, n in zip(g.levels, g.sizes, strict=True) if level != MISSING} for g in known.groups}
    return Training(
        source="scene", files=[str(f) for f in dataset.files], sha256=data_digest(dataset.files), rows=len(table), types=dataset.types, target=target,
        target_sql=dataset.text(target) if target else None, sizes=sizes,
    )  # fmt: skip


def _spec(name: str, values: NDArray[Any]) -> FeatureSpec:
    """Texts are texts, rows of (channels, height, width) pictures, all else numbers."""
    if values.dtype.kind in "OU":
        return FeatureSpec(name=name, kind="text", read="text")
    if values.ndim == 4:
        return FeatureSpec(name=name, kind="image", read="decoded", shape=values.shape[1:])
    return FeatureSpec(name=name, kind="number", read="float64")


def _stored(values: NDArray[Any]) -> Any:
    """As a column of a table: pictures as lists."""
    return values.reshape(len(values), -1).tolist() if values.ndim > 1 else values


def belonging(cluster: ArrayLike | None, weight: ArrayLike | None) -> dict[str, Any]:
    """What the audit knows of rows that belong together, and of survey weights."""
    out: dict[str, Any] = {} if cluster is None else {"cluster": Cluster(name="school", sql='"school"', missing=0)}
    if weight is not None:
        w = np.asarray(weight, dtype=np.float64)
        out["weight"] = Weight(name="weight", sql="1", effective=float(w.sum() ** 2 / (w**2).sum()), zero=0)
    return out


def beside(cluster: ArrayLike | None, weight: ArrayLike | None) -> dict[str, Any]:
    """The same as columns of the scored table."""
    out: dict[str, Any] = {} if cluster is None else {"c": np.asarray(cluster, dtype=np.int32)}
    return out | ({} if weight is None else {"w": np.asarray(weight, dtype=np.float64)})


def facts(folder: Path, inputs: Mapping[str, NDArray[Any]], told: Told, members: Divided, strata: Divided, roles: dict[str, Any]) -> Facts:
    """The audited rows on disk, and what is known of them."""
    data: dict[str, Any] = {name: _stored(values) for name, values in inputs.items()}
    data |= {name: [None if v == MISSING else v for v in values] for name, values in members.values.items() if name not in data}
    if told.y is not None:
        by_code = (
            [None if v < 0 else told.names[v] for v in told.y] if not told.regression else [v if np.isfinite(v) else None for v in told.y]
        )
        data["outcome"] = by_code
    table = pa.table(data)
    pq.write_table(table, folder / "data.parquet")
    dataset = Dataset([folder / "data.parquet"])
    if set(table.schema.types) <= set(TYPES):  # what DuckDB would say, without starting it
        dataset.types = {f.name: TYPES[f.type] for f in table.schema}
    return Facts(
        source="scene", files=[str(f) for f in dataset.files], sha256=data_digest(dataset.files), rows=len(next(iter(data.values()))),
        columns=dataset.columns, types=dataset.types, roles=Roles.model_validate(roles), decision=parse_decision(roles["decision"] or "predict"),
        features=[_spec(name, values) for name, values in inputs.items()], target_sql=None if told.y is None else '"outcome"', labels=told.names,
        target_is_number=told.regression, target_missing=0 if told.y is None else int(sum(v is None for v in data["outcome"])), groups=members.groups,
        factors=strata.groups, notes=[],
    )  # fmt: skip


def scored(
    folder: Path,
    known: Facts,
    settled: Settled,
    inputs: Mapping[str, NDArray[Any]],
    columns: dict[str, Any],
    told: Told,
    rows: NDArray[np.int64],
) -> Scoring:
    """The scored table and the sample of `rows` on disk."""
    sample = {f"x{i}": _stored(v[rows]) for i, v in enumerate(inputs.values())} | {k: v[rows] for k, v in columns.items()} | {"row": rows}
    pq.write_table(pa.table(sample), folder / "sample.parquet")
    _write(folder / "scored.parquet", columns, known, settled)
    return Scoring(
        table=str(folder / "scored.parquet"), sample=str(folder / "sample.parquet"), rows=told.rows, missing_outcome=told.missing(told.y),
        undefined_score=told.missing(told.pred), seconds=1.0, halved=False, clusters=0,
    )  # fmt: skip


def with_base(folder: Path, known: Facts, settled: Settled, columns: dict[str, Any], base: ArrayLike) -> Facts:
    """The scored table of the model that this one was made smaller from, and what is then known."""
    known = known.model_copy(update={"base": Base(uri="models:/scene/0", model_id="m-base", method="int8")})
    before = columns | {"pred": np.asarray(base, dtype=columns["pred"].dtype)}
    _write(folder / f"base-{known.sha256[:12]}-0.parquet", before, known.model_copy(update={"model_id": "m-base"}), settled)
    return known


def _write(path: Path, columns: dict[str, Any], known: Facts, settled: Settled) -> None:
    pq.write_table(pa.table(columns).replace_schema_metadata(described(known, settled)), path, compression="none", use_dictionary=False)
