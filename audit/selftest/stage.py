"""Audits without a model: plain arrays become a scored table, and checks, judge and document work on it in this process."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from audit import plan as plans
from audit.assemble import assemble
from audit.context import Context
from audit.judge import finding
from audit.measurement import Measurement, Message
from audit.named_slices import cohorts, named_rows
from audit.outputs import ScoreOf, Settled
from audit.plan import Plan
from audit.prepare import Facts
from audit.probe import collect
from audit.registry import checks, unmet
from audit.result import AuditResult, Finding, History
from audit.scored import Scoring, sample_rows
from audit.selftest import staging

_numbers = itertools.count()


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
    plan = plan or plans.load(None)
    told = staging.read(task, classes, pred, y, score)
    if told.regression:
        positive, favourable = None, [] if list(favourable) == ["1"] else favourable
    members, strata = staging.divided(groups or {}, reference or {}), staging.divided(factors or {}, {})
    when = None if period is None else staging.periods([str(v) for v in period])
    inputs = {name: np.asarray(v) for name, v in (features or {"x": np.arange(told.rows, dtype=np.float64)}).items()}
    facts = staging.facts(folder, inputs, told, members, strata, {
        "target": None if y is None else "outcome", "positive": positive, "favourable": list(favourable), "decision": decision, "label_source": label_source,
        "task": task, "sensitive": list(members.values), "context": dict(context or {}), "independent": independent,
        "cluster": None if cluster is None else "school", "time": when.name if when else None,
    }).model_copy(update={"period": when, **staging.belonging(cluster, weight)})  # fmt: skip
    facts = facts.model_copy(update={"training": staging.training(folder, facts, training) if trained else None})
    facts = facts.model_copy(update={"slices": tuple(named_rows(facts.dataset(), cohorts(plan.slices), facts.roles.target))})
    columns = told.columns() | members.columns("g") | strata.columns("f") | staging.beside(cluster, weight)
    if when is not None and period is not None:
        columns["t"] = staging.codes(period, when.levels)
    settled = Settled(
        task=task, classes=told.names, outputs="value" if told.regression else "label" if score is None else "probability", positive=positive,
        score_of=score_of, favourable=list(favourable), parameters=3, kind="linear", methods=[], packages={},
    )  # fmt: skip
    scoring = staging.scored(folder, facts, settled, inputs, columns, told, sample_rows(told.rows, plan.audit.sample, seed))
    if cluster is not None:
        scoring = scoring.model_copy(update={"clusters": int(np.max(cluster)) + 1})
    if base is not None:
        facts = staging.with_base(folder, facts, settled, columns, base)
    return Scene(folder, facts, settled, scoring, plan, seed)


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
