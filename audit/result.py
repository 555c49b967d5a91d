"""The document: what an audit found, how sure it is, and what it was held against.

Everything that people read is drawn from `AuditResult`, which is `audit.json`. Like `audit.measurement`, whose measurements it judges and gathers, this
module is a leaf.
"""

from __future__ import annotations

import hashlib
import json
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, model_validator

from audit.measurement import Estimate, Frozen, Measurement, Message, Real, Slice

SCHEMA_VERSION = 1

Verdict = Literal["pass", "fail", "inconclusive", "not_judged"]
AuditVerdict = Literal["pass", "fail", "inconclusive", "error"]
Status = Literal["completed", "skipped", "errored"]
Rule = Literal["screen", "margin"]
Role = Literal["decides", "warns", "reports"]
Severity = Literal["critical", "major", "minor"]
Basis = Literal["law", "standard", "policy"]
About = Literal["model", "evidence"]


class Criterion(Frozen):
    """What an estimate is held against; `min` and `max` are the fail limits, `soft` is named in the text and never judged."""

    min: Real | None = None
    max: Real | None = None
    rule: Rule = "margin"
    role: Role = "reports"
    soft: Real | None = None
    severity: Severity = "minor"
    basis: Basis = "policy"
    source: str = ""


class Finding(Measurement):
    """A measurement with the criterion it was held against, the verdict, and one sentence for people."""

    key: str
    criterion: Criterion | None = None
    verdict: Verdict = "not_judged"
    sentence: str | None = None
    sentence_msg: Message | None = None
    no_pass: Message | None = Field(default=None, exclude=True)  # once judged, it is the reason


class Tried(Frozen):
    """One size of data, at one base rate, with the defect planted and without; `source` is "generated" or the name of real data.

    Shares of runs, `n` is their number: of those with it, that fail (`found`) or are `left_open`; of those without, that fail all the same or pass.
    `promised`: the check promises to find it here in at least 80 % of the runs.
    """

    source: str
    rows: Annotated[int, Field(ge=1)]
    base: Annotated[float, Field(gt=0, lt=1)]
    found: Estimate
    left_open: Estimate
    false_alarms: Estimate
    passes: Estimate
    promised: bool = False


class SelfTest(Frozen):
    """How often a check found a defect that `audit.selftest` planted, `plant` of this `size`, and cried wolf where there was none.

    `date` is YYYY-MM-DD, `digest` that of the sources it was measured with, and `stale` says that they have changed since. `replayed` is when the first runs
    were made again with changed sources and came out the same.
    """

    plant: str
    size: Real
    date: str
    digest: str
    stale: bool
    replayed: str | None = None
    tried: list[Tried]


class CheckInfo(Frozen):
    """What a check is: copied into each result, so that a reader needs no registry."""

    id: Annotated[str, Field(pattern=r"^[a-z]+\.[a-z0-9_]+$")]
    title: str
    meaning: str
    limits: str
    unit: str
    direction: Literal["higher", "lower", "target", "none"]
    references: list[str] = []
    provider: str = "audit"
    needs: list[str] = []
    about: About = "model"
    probing: bool = False
    self_tests: list[SelfTest] = []


class CheckResult(Frozen):
    """One check of the plan, whether or not it could run.

    `rejected` says why the evidence that it shows is not to be believed (a gate that the plan requires fails), and `rejected_by` are the keys
    of the findings that say so; None where it stands.
    """

    info: CheckInfo
    status: Status
    reason: str | None = None
    reason_msg: Message | None = None
    verdict: Verdict = "not_judged"
    summary: str
    summary_msg: Message | None = None
    params: dict[str, Any] = {}
    seconds: Annotated[float, Field(ge=0)] = 0.0
    about: About = "model"
    findings: list[Finding] = []
    rejected: str | None = None
    rejected_msg: Message | None = None
    rejected_by: list[str] = []

    @model_validator(mode="after")
    def _whole(self) -> CheckResult:
        if self.status != "completed" and (not self.reason or self.verdict == "pass"):
            raise ValueError(f"{self.info.id}: a check that did not complete needs a reason and is never a pass")
        return self


class Question(Frozen):
    """One of the few questions that decide, with its answer and the findings that answer it."""

    id: str
    check: str
    title: str
    title_msg: Message | None = None
    verdict: Literal["pass", "fail", "inconclusive", "error"]
    answered: bool
    reason: str | None = None
    reason_msg: Message | None = None
    findings: list[str] = []


class Answered(Frozen):
    """How many questions decide, and how they were answered; never shown apart from the verdict."""

    decides: int
    passed: int = Field(alias="pass")
    fail: int
    inconclusive: int
    not_run: int

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True, serialize_by_alias=True)


class Feature(Frozen):
    """A model input: `kind` is number, category, text, image, sequence or audio."""

    name: str
    kind: str


class ModelInfo(Frozen):
    """The audited model. `parameters` counts trained numbers, None where unknown; `sha256` is that of the sorted manifest of its files."""

    uri: str
    name: str | None
    version: str | None
    flavor: str
    task: str
    classes: list[str]
    features: list[Feature]
    outputs: str | None = None
    score_of: str | None = None
    parameters: int | None
    sha256: str | None
    sha256_reason: str | None = None
    model_id: str | None = None
    run_id: str | None = None
    load_risk: Literal["data_only", "code"] | None = None
    load_evidence: list[str] = []


class TrainingInfo(Frozen):
    """The rows that the model was trained on, as far as the audit knows them."""

    source: str
    sha256: str
    rows: int
    same_as_evaluation: bool


#: What an audit says of rows that nobody named, because training logged them with the model.
NOT_NAMED = ("the evaluation data logged with the model", "the training data logged with the model")


class DataInfo(Frozen):
    """The audited rows and what was declared about them; `prediction` and `scores` are columns that stand in for a model."""

    source: str
    sha256: str
    rows: int
    columns: list[str]
    target: str | None
    positive: str | None
    favourable: list[str]
    label_source: str
    decision: str
    decision_declared: bool
    sensitive: list[str]
    reference: dict[str, str]
    excluded: dict[str, int] = {}
    cluster: str | None = None
    clusters: int | None = None
    independent: bool = False
    repeats: list[str] = []
    prediction: str | None = None
    scores: list[str] = []
    training: TrainingInfo | None = None
    time: str | None = None
    weight: str | None = None


class Environment(Frozen):
    """Where the audit ran; `isolation` is what was asked, `observed` what the worker found when it tried.

    `scored` names the scored table in the private cache of the machine, without folder or suffix; None where none was kept.
    """

    python: str
    platform: str
    packages: dict[str, str]
    isolation: str
    observed: dict[str, str] = {}
    scored: str | None = None


class Commitment(Frozen):
    """Whether `audit.commit` recorded the plan before the audit; `date` in UTC, by the clock of the machine that recorded it.

    `other_data`: only for data other than these. `after_first_look`: these data had been audited before the record was made. `context`:
    whether the context file was recorded too, and is the one that was given.
    """

    state: Literal["fixed", "not_fixed", "other_data", "unknown"]
    date: str | None = None
    after_first_look: bool = False
    context: Literal["fixed", "changed", "not_recorded"] = "not_recorded"


class History(Frozen):
    """How often these data have judged, this audit included, as far as the store knows; counts are None, with a reason, where it knows nothing.

    `alpha_fail` and `level_pass` are the levels that were used: the plan's, divided by `models_on_this_data`. `open_since` has, for each finding
    that fails or is open, the date of the first of the unbroken row of audits of this model (by name) in which it did.
    """

    models_on_this_data: int | None = None
    plans_on_this_pair: int | None = None
    first_seen: str | None = None
    reason: str | None = None
    reason_msg: Message | None = None
    alpha_fail: Real | None = None
    level_pass: Real | None = None
    commitment: Commitment | None = None
    open_since: dict[str, str] = {}


class Waiver(Frozen):
    """A finding that a named person accepts until a date. It changes no verdict.

    `state`: `accepted`; `expired` before the audit began, and counts as none; `not_needed`, because the finding neither fails nor is open;
    `unknown`, because no finding has this key.
    """

    key: str
    reason: str
    person: str
    expires: str
    state: Literal["accepted", "expired", "not_needed", "unknown"]


class AuditResult(Frozen):
    """The whole audit: `audit.json`."""

    schema_version: Literal[1] = 1
    id: str
    started: str
    finished: str
    verdict: AuditVerdict
    answered: Answered
    why: str
    why_msg: Message | None = None
    questions: list[Question]
    not_assessed: list[str] = []
    not_assessed_msg: list[Message] = []
    notes: list[str] = []
    notes_msg: list[Message] = []
    context: dict[str, Any]
    history: History
    waivers: list[Waiver] = []
    valid_until: str
    model: ModelInfo
    data: DataInfo
    plan: dict[str, Any]
    plan_sha256: str
    seed: int
    environment: Environment
    checks: list[CheckResult]
    digest: str = ""

    def open_question(self, family: str) -> Question | None:
        """The first deciding question of a family that is open: where there is one, the family does not pass, whatever its checks say."""
        return next((q for q in self.questions if q.check.split(".")[0] == family and q.verdict == "inconclusive"), None)


def finding_key(check: str, metric: str, compare: str, slice_: Slice, against: Slice | None) -> str:
    """A key that names the same question in every audit: 16 hex digits of the SHA-256 of its five parts."""
    parts = json.dumps(
        [check, metric, compare, sorted(slice_.items()), None if against is None else sorted(against.items())], ensure_ascii=True
    )
    return hashlib.sha256(parts.encode()).hexdigest()[:16]


def _without(record: dict[str, Any], keys: set[str]) -> dict[str, Any]:
    return {k: v for k, v in record.items() if k not in keys}


def document_digest(document: dict[str, Any]) -> str:
    """SHA-256 over what a repeated audit must give again: all but ids, times, environment, history, waivers and findings that cannot repeat.

    Canonical form: RFC 8785.
    """
    import rfc8785

    kept = _without(document, {"id", "started", "finished", "valid_until", "environment", "history", "waivers", "digest"})
    kept["checks"] = [
        _without(c, {"seconds", "summary", "summary_msg"} if any(not f["repeatable"] for f in c["findings"]) else {"seconds"})
        | {"findings": [f for f in c["findings"] if f["repeatable"]]}
        for c in document["checks"]
    ]
    return hashlib.sha256(rfc8785.dumps(kept)).hexdigest()
