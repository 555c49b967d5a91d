"""The scored table: one pass of the rows through the model, then group-bys over narrow columns.

Columns, in row order: `y` (class code, -1 missing; or the value), `pred` (class code after the decision rule, -1 unknown; or the value),
`score` or `score_0`… (probability of the event, or of each class), one code column per sensitive column (`g0`…) and per legitimate factor
(`f0`…), `t` (code of the period) where there is a time column, and `c` (cluster code) where clusters were declared, and `w` (survey
weight) where weights were. It holds people: it lives in a private cache outside the audit folder.
"""

from __future__ import annotations

import json
import os
import socket
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audit import recorded
from audit.coding import coded, codes
from audit.dataset import BATCH, MISSING
from audit.dependence import Coder, hashed
from audit.features import batch_rows, expressions, to_frame
from audit.measurement import Frozen
from audit.outputs import Settled, interpret
from audit.prepare import Facts
from audit.roles import Decision

if TYPE_CHECKING:
    import numpy as np
    import pyarrow
    from numpy.typing import NDArray

    from audit.subject.client import Client, Prediction
    from audit.subject.frame import Frame

MIN_BATCH = 64
_Y, _DECISION, _CLUSTER, _WEIGHT = "__y", "__decision", "__cluster", "__weight"


class Scoring(Frozen):
    """What one pass over the rows found: `clusters` were declared (0 without a cluster column); `seconds` is the wall time of the model's answers, in all;
    `peak_memory` is the most resident memory of its process, in bytes, None where it did not say."""

    table: str
    sample: str
    rows: int
    missing_outcome: int
    undefined_score: int
    seconds: float
    halved: bool
    peak_memory: int | None = None
    decision_cutoff: float | None = None
    clusters: int = 0


def cache_folder() -> Path:
    """The private cache for scored tables: `$XDG_STATE_HOME/witnessmark/scored`, mode 0700."""
    base = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state")
    folder = base / "witnessmark" / "scored"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return folder


def sample_rows(rows: int, size: int, seed: int) -> NDArray[np.int64]:
    """The `size` rows with the smallest keyed hash of (seed, row), sorted: the same rows whatever the order of work."""
    import numpy as np

    kept_hash, kept_row = np.zeros(0, np.uint64), np.zeros(0, np.int64)
    for start in range(0, rows, 1 << 20):
        row = np.arange(start, min(rows, start + (1 << 20)), dtype=np.int64)
        kept_hash, kept_row = np.concatenate([kept_hash, _hash(row, seed)]), np.concatenate([kept_row, row])
        if len(kept_row) > size:
            best = np.argsort(kept_hash, kind="stable")[:size] if len(kept_row) < 4 * size else np.argpartition(kept_hash, size)[:size]
            kept_hash, kept_row = kept_hash[best], kept_row[best]
    return np.sort(kept_row)


def halves(ids: NDArray[np.int64], seed: int) -> NDArray[np.int64]:
    """0 or 1 for each row (or cluster) of these ids, (k,): the last bit of the hash that draws the sample, so each id keeps its half in every audit of one seed."""
    import numpy as np

    return (_hash(ids, seed) & np.uint64(1)).astype(np.int64)


def _hash(row: NDArray[np.int64], seed: int) -> NDArray[np.uint64]:
    """splitmix64 (Steele, Lea and Flood, 2014) of the row, keyed by the seed; a bijection of the row, so there are no ties."""
    import numpy as np

    with np.errstate(over="ignore"):
        key = np.uint64((seed * 0x9E3779B97F4A7C15 + 0x632BE59BD9B4E019) & (2**64 - 1))
        z = (row.astype(np.uint64) ^ key) + np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return z ^ (z >> np.uint64(31))


def score(arguments: dict[str, Any], worker: socket.socket | None) -> dict[str, Any]:
    """Job: every row through the model once, in order; writes the table and the sample. Recorded predictions are read instead."""
    import numpy as np
    import pyarrow.parquet as pq

    from audit.subject.client import Client

    facts, settled = Facts.model_validate(arguments["facts"]), Settled.model_validate(arguments["settled"])
    table, sample = Path(arguments["table"]), Path(arguments["sample"])
    chosen = sample_rows(facts.rows, arguments["sample_rows"], arguments["seed"])
    model = _Model(Client(worker), arguments.get("batch_timeout")) if worker is not None else None
    missing = undefined = position = 0
    samples: list[pyarrow.RecordBatch] = []
    coder = Coder()
    columns = _columns(facts, settled)
    with _PrivateFile(table) as sink:
        writer: pq.ParquetWriter | None = None
        for batch in facts.dataset().stream(columns, size=batch_rows(facts.features)):
            prediction = model.predict(to_frame(batch, facts.features)) if model else recorded.prediction(batch, facts, settled)
            scored = _scored(batch, prediction, facts, settled)
            if facts.cluster is not None:
                scored["c"] = coder.codes(batch.column(batch.schema.get_field_index(_own(_CLUSTER, facts))))
            nobody = (
                int(np.count_nonzero(scored["w"] == 0)) if facts.weight is not None else 0
            )  # they lack both, and are counted by themselves
            missing += int(_count(scored["y"], "missing")) - nobody if facts.target_sql else len(batch)
            undefined += int(_count(scored["pred"], "undefined")) - nobody
            narrow = _record(scored)
            writer = writer or pq.ParquetWriter(
                sink,
                narrow.schema.with_metadata(described(facts, settled)),
                compression="none",
                use_dictionary=False,
                write_statistics=False,
            )
            writer.write_batch(narrow)
            inside = chosen[(chosen >= position) & (chosen < position + len(batch))] - position
            samples.append(_with_rows([batch.column(f.name) for f in facts.features], narrow, inside, position))
            position += len(batch)
        assert writer is not None
        writer.close()
    cutoff = _apply_quota(table, facts, settled)
    _write_sample(sample, samples, table if cutoff is not None else None, np.asarray(chosen))
    return Scoring(
        table=str(table), sample=str(sample), rows=position, missing_outcome=missing, undefined_score=undefined,
        seconds=model.seconds if model else 0.0, halved=bool(model and model.halved), peak_memory=model.peak_memory() if model else None, decision_cutoff=cutoff, clusters=coder.clusters,
    ).model_dump(mode="json")  # fmt: skip


#: Key of what a scored table says of itself, in its schema.
SELF = b"witnessmark"


def described(facts: Facts, settled: Settled) -> dict[bytes, bytes]:
    """What the codes of the table mean, so that two audits of the same rows can be compared without either's model."""
    said = {
        "settled": settled.model_dump(mode="json"), "target": facts.roles.target, "model_id": facts.model_id,
        "groups": [{"name": g.name, "levels": g.levels, "reference": g.reference} for g in facts.groups],
    }  # fmt: skip
    return {SELF: json.dumps(said).encode()}


class _Model:
    """Predictions of any number of rows; a batch that does not fit in the worker's memory is halved, down to `MIN_BATCH` rows."""

    def __init__(self, client: Client, timeout: float | None) -> None:
        self.client, self.timeout = client, timeout
        self.seconds, self.halved, self.size = 0.0, False, BATCH

    def peak_memory(self) -> int | None:
        """Most resident memory of the model's process up to now, in bytes, as it says itself."""
        return self.client.usage(timeout=self.timeout).peak_memory or None

    def predict(self, frame: Frame) -> Prediction:
        import numpy as np

        from audit.asking import predict
        from audit.subject.client import Prediction, WorkerError
        from audit.subject.frame import rows, take

        parts, start, n = [], 0, rows(frame)
        while start < n:
            part = take(frame, slice(start, start + self.size)) if self.size < n else frame
            began = time.monotonic()
            try:
                parts.append(predict(self.client, part, timeout=self.timeout))
            except WorkerError as error:
                if error.kind != "memory" or self.size <= MIN_BATCH:
                    raise
                self.size, self.halved = self.size // 2, True
                continue
            self.seconds += time.monotonic() - began
            start += rows(part)
        if len(parts) == 1:
            return parts[0]
        predicted = [p.predicted for p in parts if p.predicted is not None]
        return Prediction(np.concatenate([p.values for p in parts]), np.concatenate(predicted) if predicted else None)


def _own(name: str, facts: Facts) -> str:
    """A name for a column of ours that none of the model's inputs has (SQL does not tell cases apart)."""
    taken = {f.name.lower() for f in facts.features}
    while name.lower() in taken:
        name = f"_{name}"
    return name


def _columns(facts: Facts, settled: Settled) -> dict[str, str]:
    dataset = facts.dataset()
    columns = expressions(dataset, facts.features)
    if facts.recorded is not None:
        columns |= recorded.expressions(dataset, facts, settled)
    if facts.target_sql and facts.roles.target:
        number = settled.task == "regression"
        columns[_own(_Y, facts)] = dataset.number(facts.roles.target) if number else coded(facts.target_sql, settled.classes)
    for name, group in facts.divisions():
        columns[_own(name, facts)] = coded(group.sql, group.levels)
    if facts.cluster is not None:
        columns[_own(_CLUSTER, facts)] = hashed(facts.cluster.sql)
    if facts.weight is not None:
        columns[_own(_WEIGHT, facts)] = facts.weight.sql
    if facts.decision.column:
        columns[_own(_DECISION, facts)] = coded(dataset.text(facts.decision.column), settled.classes)
    return columns


def _scored(batch: pyarrow.RecordBatch, prediction: Prediction, facts: Facts, settled: Settled) -> dict[str, NDArray[Any]]:
    """The narrow columns of one batch."""
    import numpy as np

    pred, scores = interpret(prediction, settled)
    columns: dict[str, NDArray[Any]] = {}
    if facts.target_sql:
        column = batch.column(batch.schema.get_field_index(_own(_Y, facts)))
        if settled.task == "regression":
            import pyarrow as pa

            columns["y"] = np.asarray(column.cast(pa.float64()).to_numpy(zero_copy_only=False), dtype=np.float64)
        else:
            columns["y"] = codes(column)
    columns["pred"] = pred
    if scores is not None and settled.positive is not None:
        columns["score"] = np.ascontiguousarray(scores[:, settled.classes.index(settled.positive)])
    elif scores is not None:
        columns |= {f"score_{i}": np.ascontiguousarray(scores[:, i]) for i in range(scores.shape[1])}
    decision = decided_by(facts, settled)
    if decision.kind == "threshold":
        columns["pred"] = cut(columns["score"] >= decision.value, pred, settled)
    elif decision.kind == "column":
        chosen = codes(batch.column(batch.schema.get_field_index(_own(_DECISION, facts))))
        columns["pred"] = np.where(pred < 0, -1, chosen).astype(np.int16)
    for name, group in facts.divisions():
        missing = group.levels.index(MISSING) if MISSING in group.levels else -1
        columns[name] = codes(batch.column(batch.schema.get_field_index(_own(name, facts))), missing)
    if facts.weight is not None:
        columns["w"] = batch.column(batch.schema.get_field_index(_own(_WEIGHT, facts))).to_numpy(zero_copy_only=False).astype(np.float64)
        _leave_out(columns, columns["w"] == 0, settled)
    return columns


def _leave_out(columns: dict[str, NDArray[Any]], rows: NDArray[np.bool_], settled: Settled) -> None:
    """Rows of weight 0 stand for nobody: without outcome and prediction no figure counts them, be it weighted or not."""
    import numpy as np

    for name in columns:
        if name in ("y", "pred"):
            nothing: Any = np.nan if settled.task == "regression" else -1
            columns[name] = np.where(rows, nothing, columns[name]).astype(columns[name].dtype)
        elif name.startswith("score"):
            columns[name] = np.where(rows, np.nan, columns[name])


def decided_by(facts: Facts, settled: Settled) -> Decision:
    """The decision rule; recorded scores of one event without a rule and without predictions are cut at `recorded.CUTOFF`."""
    bare = facts.recorded is not None and facts.recorded.prediction is None
    if bare and facts.decision.kind == "predict" and settled.task == "binary":
        return Decision(kind="threshold", value=recorded.CUTOFF)
    return facts.decision


def cut(chosen: NDArray[np.bool_], pred: NDArray[Any], settled: Settled) -> NDArray[np.int16]:
    """Class codes of a binary decision: the event where chosen; undefined stays undefined."""
    import numpy as np

    assert settled.positive is not None
    event = settled.classes.index(settled.positive)
    return np.where(pred < 0, -1, np.where(chosen, event, 1 - event)).astype(np.int16)


def _count(values: NDArray[Any], what: str) -> int:
    import numpy as np

    return int((values < 0).sum()) if values.dtype.kind == "i" else int((~np.isfinite(values)).sum())


def _record(columns: dict[str, NDArray[Any]]) -> pyarrow.RecordBatch:
    import pyarrow as pa

    return pa.RecordBatch.from_arrays([pa.array(c) for c in columns.values()], names=list(columns))


def _index(rows: NDArray[np.int64]) -> pyarrow.Array:
    import pyarrow as pa

    return pa.array(rows)


def _with_rows(features: list[pyarrow.Array], narrow: pyarrow.RecordBatch, rows: NDArray[np.int64], first: int) -> pyarrow.RecordBatch:
    """Those rows of a batch whose first row is `first`: the inputs as x0…, what was scored, and the row's number."""
    import pyarrow as pa

    names = [f"x{i}" for i in range(len(features))]
    taken = [column.take(_index(rows)) for column in (*features, *narrow.columns)]
    return pa.RecordBatch.from_arrays([*taken, pa.array(rows + first)], names=[*names, *narrow.schema.names, "row"])


class _PrivateFile:
    """A file that only its owner may read, written beside its place and moved there when it is whole."""

    def __init__(self, path: Path) -> None:
        self.path, self.temporary = path, path.with_name(f".tmp-{path.name}-{os.getpid()}")

    def __enter__(self) -> Any:
        self.file = os.fdopen(os.open(self.temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb")
        return self.file

    def __exit__(self, kind: Any, *_: object) -> None:
        self.file.close()
        if kind is None:
            self.temporary.replace(self.path)
        else:
            self.temporary.unlink(missing_ok=True)


def _apply_quota(path: Path, facts: Facts, settled: Settled) -> float | None:
    """For top=K and top=P%: the best-scored rows are chosen, ties by the earlier row; returns the score of the last one chosen."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    if facts.decision.kind not in ("top_count", "top_share"):
        return None
    table = pq.read_table(path)
    scores = table["score"].to_numpy()
    defined = np.flatnonzero(np.isfinite(scores))
    wanted = int(facts.decision.value or 0) if facts.decision.kind == "top_count" else round(len(defined) * (facts.decision.value or 0))
    wanted = min(max(wanted, 1), len(defined))
    order = defined[np.argsort(-scores[defined], kind="stable")][:wanted]
    chosen = np.zeros(len(scores), dtype=bool)
    chosen[order] = True
    pred = cut(chosen, table["pred"].to_numpy(), settled)
    with _PrivateFile(path) as sink:
        pq.write_table(
            table.set_column(table.schema.get_field_index("pred"), "pred", pa.array(pred)),
            sink,
            compression="none",
            use_dictionary=False,
            row_group_size=BATCH,
        )
    return float(scores[order[-1]])


def _write_sample(path: Path, parts: list[pyarrow.RecordBatch], scored: Path | None, rows: NDArray[np.int64]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.Table.from_batches(parts)
    if scored is not None:  # a quota moved the predictions after the sample was taken
        pred = pq.read_table(scored, columns=["pred"])["pred"].take(pa.array(rows))
        table = table.set_column(table.schema.get_field_index("pred"), "pred", pred)
    with _PrivateFile(path) as sink:
        pq.write_table(table, sink)
