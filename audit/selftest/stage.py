"""Audits without a model: plain arrays become a scored table, and checks, judge and document work on it in this process."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import ArrayLike, NDArray

from audit import plan as plans
from audit.assemble import assemble
from audit.bases import Base
from audit.context import Context
from audit.dataset import MISSING, Dataset, data_digest, open_dataset
from audit.dependence import Cluster
from audit.features import FeatureSpec
from audit.judge import finding
from audit.outputs import ScoreOf, Settled
from audit.plan import Plan
from audit.prepare import Facts, Groups
from audit.probe import collect
from audit.registry import checks, unmet
from audit.result import AuditResult, Finding, History, Measurement, Message
from audit.roles import Roles, parse_decision
from audit.scored import Scoring, described, sample_rows
from audit.training import Training
from audit.weights import Weight

_numbers = itertools.count()
TYPES = {pa.int64(): "BIGINT", pa.float64(): "DOUBLE", pa.string(): "VARCHAR"}


@dataclass
class Scene:
    """Everything an audit knows of some rows; `y` and `pred` are class codes (-1 missing or undefined), or values for a regression."""

    folder: Path
    facts: Facts
    settled: Settled
    scoring: Scoring
    plan: Plan
    seed: int = 0

    def context(self, check: str) -> Context:
        """What one check sees."""
        return Context(
            check=check,
            facts=self.facts,
            settled=self.settled,
            scoring=self.scoring,
            plan=self.plan,
            seed=self.seed,
            model_files={"m": 1000},
        )

    def measure(self, check: str, **params: Any) -> list[Measurement]:
        """The measurements of a check."""
        return collect(self.context(check), params)[0]

    def summary(self, check: str, **params: Any) -> Message:
        """The sentence of a check."""
        return collect(self.context(check), params)[1]

    def missing(self, check: str) -> str | None:
        """Why the check cannot be asked of these rows, as the runner has it."""
        facts, settled = self.facts.model_dump(mode="json"), self.settled.model_dump(mode="json")
        return unmet(checks()[check], facts, settled, plans.parameters(self.plan, checks()[check]))

    def results(self, *, skip: Iterable[str] = (), errored: Mapping[str, str] | None = None) -> dict[str, dict[str, Any]]:
        """What every check that needs no model gives, as the runner hands it to the judge."""
        out: dict[str, dict[str, Any]] = {}
        for id_, check in checks().items():
            given: dict[str, Any] = {"params": plans.parameters(self.plan, check), "seconds": 0.0}
            if any(id_ == name or id_.split(".")[0] == name for name in skip):
                out[id_] = {"status": "skipped", "reason": "Not asked for.", **given}
            elif errored and id_ in errored:
                out[id_] = {"status": "errored", "reason": errored[id_], **given}
            elif (reason := self.missing(id_)) or check.info.probing:
                out[id_] = {"status": "skipped", "reason": reason or "no model here", **given}
            else:
                out[id_] = completed(*collect(self.context(id_), given["params"])) | given
        return out

    def document(
        self,
        *,
        skip: Iterable[str] = (),
        errored: Mapping[str, str] | None = None,
        history: Mapping[str, Any] | None = None,
        waivers: Sequence[Mapping[str, Any]] = (),
        results: Mapping[str, dict[str, Any]] | None = None,
    ) -> AuditResult:
        """The whole document, judged; `history` is what the store would have known, `results` what the checks gave, where they ran already."""
        past = History.model_validate(history or {"models_on_this_data": 1, "plans_on_this_pair": 1})
        judged_by = replace(self, plan=plans.divided(self.plan, past.models_on_this_data))
        written = self.plan.model_dump(mode="json")
        request = {
            "id": "scene", "uri": "models:/scene/1", "tracking_uri": "", "data": None, "given": {}, "plan": written, "checks": dict.fromkeys(checks(), True),
            "sample": self.plan.audit.sample, "seed": self.seed, "out": "", "lang": "en", "edition": "internal", "log": False, "check_timeout": 900.0,
            "trust_pickle": False, "isolation": "none", "scored_dir": None, "forget": False, "started": "2026-01-01T00:00:00Z", "command": [], "waivers": list(waivers),
        }  # fmt: skip
        arguments = {
            "request": request, "facts": self.facts.model_dump(mode="json"), "settled": self.settled.model_dump(mode="json"),
            "history": past.model_dump(mode="json"), "results": results or judged_by.results(skip=skip, errored=errored), "scoring": self.scoring.model_dump(mode="json"), "plan": written, "plan_sha256": "0" * 64,
            "resolved": {"uri": "models:/scene/1", "name": "scene", "version": "1", "model_id": None, "run_id": None},
            "inspection": {"flavor": "sklearn", "sha256": "0" * 64, "load_risk": "data_only", "load_evidence": []},
            "observed": {}, "python": "3", "platform": "test", "finished": "2026-01-01T00:01:00Z",
        }  # fmt: skip
        return AuditResult.model_validate(assemble(arguments, None))


def completed(measurements: Iterable[Measurement], summary: Message) -> dict[str, Any]:
    """What a check gave, as the runner hands it to the judge."""
    dumped = [m.model_dump(mode="json") for m in measurements]
    return {"status": "completed", "reason": None, "measurements": dumped, "summary": summary.model_dump(mode="json")}


def codes(values: ArrayLike, levels: Sequence[str]) -> NDArray[np.int16]:
    """Texts as positions in `levels`, -1 where they are not among them."""
    place = {level: i for i, level in enumerate(levels)}
    return np.array([place.get(str(v), -1) for v in np.asarray(values, dtype=object)], dtype=np.int16)


def set_scene(
    folder: Path,
    *,
    pred: ArrayLike,
    y: ArrayLike | None = None,
    score: ArrayLike | None = None,
    groups: Mapping[str, Sequence[str] | NDArray[Any]] | None = None,
    task: str = "binary",
    classes: Sequence[str] | None = None,
    positive: str | None = "1",
    favourable: Sequence[str] = ("1",),
    label_source: str | None = "outcome",
    decision: str | None = "predict",
    reference: Mapping[str, str] | None = None,
    features: Mapping[str, ArrayLike] | None = None,
    factors: Mapping[str, Sequence[str] | NDArray[Any]] | None = None,
    context: Mapping[str, Any] | None = None,
    plan: Plan | None = None,
    seed: int = 0,
    cluster: ArrayLike | None = None,
    weight: ArrayLike | None = None,
    independent: bool = False,
    period: Sequence[str] | NDArray[Any] | None = None,
    training: Mapping[str, ArrayLike] | None = None,
    trained: bool = True,
    score_of: ScoreOf = "outcome",
    base: ArrayLike | None = None,
) -> Scene:
    """A scene from arrays. `cluster` are codes 0, 1, … of rows that belong together, `weight` are survey weights above 0. `score` is (n,) for two classes, (n, classes) for more; None in `groups` is a missing value.

    `period` (n,) are the time column's periods; `training` are training rows, by default the scene's own with one column more,
    and none are known where `trained` is false;
    `base` (n,) are the predictions of the model that this one was made smaller from, audited on the same rows."""
    folder = folder / f"scene-{next(_numbers)}"
    folder.mkdir(parents=True)
    regression = task == "regression"
    dtype: Any = np.float64 if regression else np.int16
    predicted: NDArray[Any] = np.asarray(pred, dtype=dtype)
    n = len(predicted)
    if regression:
        names, positive = [], None
        favourable = [] if list(favourable) == ["1"] else favourable
    else:
        names = list(classes or ["0", "1"])
    outcome: NDArray[Any] | None = None if y is None else np.asarray(y, dtype=dtype)
    scores = None if score is None else np.asarray(score, dtype=np.float64)
    members = {name: [MISSING if v is None else str(v) for v in values] for name, values in (groups or {}).items()}
    found = [_group(name, values, (reference or {}).get(name)) for name, values in members.items()]
    columns: dict[str, Any] = {}
    if outcome is not None:
        columns["y"] = outcome
    columns["pred"] = predicted
    if scores is not None and scores.ndim == 1:
        columns["score"] = scores
    elif scores is not None:
        columns |= {f"score_{i}": np.ascontiguousarray(scores[:, i]) for i in range(scores.shape[1])}
    for i, group in enumerate(found):
        columns[f"g{i}"] = codes(members[group.name], group.levels)
    alike = {name: [MISSING if v is None else str(v) for v in values] for name, values in (factors or {}).items()}
    strata = [_group(name, values, None) for name, values in alike.items()]
    for i, factor in enumerate(strata):
        columns[f"f{i}"] = codes(alike[factor.name], factor.levels)
    if cluster is not None:
        columns["c"] = np.asarray(cluster, dtype=np.int32)
    if weight is not None:
        columns["w"] = np.asarray(weight, dtype=np.float64)
    when = None if period is None else _periods([str(v) for v in period])
    if when is not None:
        columns["t"] = codes(np.asarray(period, dtype=object), when.levels)
    inputs = {name: np.asarray(v) for name, v in (features or {"x": np.arange(n, dtype=np.float64)}).items()}
    facts = _facts(folder, inputs, outcome, names, members, found, regression, {
        "target": None if y is None else "outcome", "positive": positive, "favourable": list(favourable), "decision": decision, "label_source": label_source,
        "task": task, "sensitive": list(members), "context": dict(context or {}),
        "independent": independent, "cluster": None if cluster is None else "school",
        "time": when.name if when else None,
    }, strata).model_copy(update={"period": when})  # fmt: skip
    if cluster is not None:
        facts = facts.model_copy(update={"cluster": Cluster(name="school", sql='"school"', missing=0)})
    if weight is not None:
        w = columns["w"]
        facts = facts.model_copy(update={"weight": Weight(name="weight", sql="1", effective=float(w.sum() ** 2 / (w**2).sum()), zero=0)})
    facts = facts.model_copy(update={"training": _training(folder, facts, training) if trained else None})
    plan = plan or plans.load(None)
    rows = sample_rows(n, plan.audit.sample, seed)
    sample = {f"x{i}": _stored(v[rows]) for i, v in enumerate(inputs.values())} | {k: v[rows] for k, v in columns.items()} | {"row": rows}
    pq.write_table(pa.table(sample), folder / "sample.parquet")
    defined = np.isfinite(predicted) if regression else predicted >= 0
    known = np.zeros(n, bool) if outcome is None else np.isfinite(outcome) if regression else outcome >= 0
    settled = Settled(
        task=task, classes=names, outputs="value" if regression else "label" if scores is None else "probability", positive=positive,
        score_of=score_of, favourable=list(favourable), parameters=3, kind="linear", methods=[], packages={},
    )  # fmt: skip
    said = pa.table(columns).replace_schema_metadata(described(facts, settled))
    pq.write_table(said, folder / "scored.parquet", compression="none", use_dictionary=False)
    if base is not None:
        facts = facts.model_copy(update={"base": Base(uri="models:/scene/0", model_id="m-base", method="int8")})
        before = columns | {"pred": np.asarray(base, dtype=dtype)}
        of_base = described(facts.model_copy(update={"model_id": "m-base"}), settled)
        pq.write_table(pa.table(before).replace_schema_metadata(of_base), folder / f"base-{facts.sha256[:12]}-0.parquet")
    scoring = Scoring(
        table=str(folder / "scored.parquet"), sample=str(folder / "sample.parquet"), rows=n, missing_outcome=int((~known).sum()),
        undefined_score=int((~defined).sum()), seconds=1.0, halved=False,
        clusters=0 if cluster is None else int(np.max(cluster)) + 1,
    )  # fmt: skip
    return Scene(folder, facts, settled, scoring, plan, seed)


def _group(name: str, values: Sequence[str], reference: str | None) -> Groups:
    counted = sorted((-values.count(v), v) for v in set(values))
    levels = [v for _, v in counted]
    known = [v for v in levels if v != MISSING]
    return Groups(
        name=name, sql=f'"{name}"', levels=levels, sizes=[-n for n, _ in counted], reference=reference or (known[0] if known else None),
        reference_declared=reference is not None,
    )  # fmt: skip


def _periods(values: Sequence[str]) -> Groups:
    levels = sorted(set(values))
    return Groups(
        name="when", sql='"when"', levels=levels, sizes=[values.count(v) for v in levels], reference=None, reference_declared=False
    )


def _training(folder: Path, facts: Facts, given: Mapping[str, ArrayLike] | None) -> Training:
    """Training rows on disk, as the audit would find them."""
    rows = pq.read_table(folder / "data.parquet")
    table = (
        rows.append_column("more", pa.array(range(len(rows)))) if given is None else pa.table({k: np.asarray(v) for k, v in given.items()})
    )
    pq.write_table(table, folder / "train.parquet")
    dataset = open_dataset(str(folder / "train.parquet"))
    known = "outcome" if facts.target_sql else None
    sizes = {g.name: {level: n for level, n in zip(g.levels, g.sizes, strict=True) if level != MISSING} for g in facts.groups}
    return Training(
        source="scene", files=[str(f) for f in dataset.files], sha256=data_digest(dataset.files), rows=len(table), types=dataset.types, target=known,
        target_sql=dataset.text(known) if known else None, sizes=sizes,
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


def _facts(
    folder: Path,
    inputs: Mapping[str, NDArray[Any]],
    outcome: NDArray[Any] | None,
    names: list[str],
    members: Mapping[str, list[str]],
    groups: list[Groups],
    regression: bool,
    roles: dict[str, Any],
    factors: list[Groups],
) -> Facts:
    data: dict[str, Any] = {name: _stored(values) for name, values in inputs.items()}
    data |= {name: [None if v == MISSING else v for v in values] for name, values in members.items() if name not in data}
    if outcome is not None:
        texts = [None if v < 0 else names[v] for v in outcome] if not regression else [v if np.isfinite(v) else None for v in outcome]
        data["outcome"] = texts
    table = pa.table(data)
    pq.write_table(table, folder / "data.parquet")
    dataset = Dataset([folder / "data.parquet"])
    if set(table.schema.types) <= set(TYPES):  # what DuckDB would say, without starting it
        dataset.types = {f.name: TYPES[f.type] for f in table.schema}
    specs = [_spec(name, values) for name, values in inputs.items()]
    return Facts(
        source="scene", files=[str(f) for f in dataset.files], sha256=data_digest(dataset.files), rows=len(next(iter(data.values()))),
        columns=dataset.columns, types=dataset.types, roles=Roles.model_validate(roles), decision=parse_decision(roles["decision"] or "predict"),
        features=specs, target_sql=None if outcome is None else '"outcome"', labels=[] if regression else names, target_is_number=regression,
        target_missing=0 if outcome is None else int(sum(v is None for v in data["outcome"])), groups=groups, factors=factors, notes=[],
    )  # fmt: skip


@dataclass
class Pick:
    """Find measurements or findings by what they are about."""

    found: Sequence[Measurement]
    slice: dict[str, str] = field(default_factory=dict)

    def __call__(self, metric: str, compare: str = "value", **slice_: str) -> Any:
        """The one measurement of this metric, comparison and slice."""
        (one,) = [m for m in self.found if (m.metric, m.compare, m.slice) == (metric, compare, slice_)]
        return one

    def value(self, metric: str, compare: str = "value", **slice_: str) -> float:
        """Its number."""
        estimate = self(metric, compare, **slice_).estimate
        assert estimate is not None, f"{metric} {compare} {slice_} is undefined"
        return float(estimate.value)


def findings(check: str, measurements: Iterable[Measurement]) -> list[Finding]:
    """Measurements as findings that nothing judged yet."""
    return [finding(check, m) for m in measurements]
