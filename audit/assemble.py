"""The document from what the checks measured: findings judged, questions answered, everything declared or said to be missing."""

from __future__ import annotations

import importlib.metadata
import socket
from collections.abc import Iterable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from audit.answering import Case
from audit.explain import rows_file
from audit.judge import Answer, audit_verdict, judge_reported, worst
from audit.measurement import Measurement, Message
from audit.notes import declared, notes_of, single_rows, undeclared, unruled
from audit.outlook import outlook
from audit.outputs import Settled
from audit.plan import Plan, divided
from audit.prepare import Facts
from audit.questions import answer_all
from audit.registry import checks
from audit.request import Request
from audit.result import (
    AuditResult,
    CheckResult,
    DataInfo,
    Environment,
    Feature,
    Finding,
    History,
    ModelInfo,
    Question,
    TrainingInfo,
    document_digest,
)  # fmt: skip
from audit.selftested import documented
from audit.text import message, render
from audit.waivers import match
from audit.weighted.column import Weight
from audit.withdraw import Rejection, rejections, withdrawn

Json = dict[str, Any]
#: What verdicts.md §6 wants declared; what is absent is printed as not stated.
CONTEXT = (
    "intended_use", "people_affected", "owner", "auditor", "independence", "domain", "jurisdictions", "tier", "population", "period", "sampling", "unit_of_row",
    "human_role", "legitimate_factors", "allowed_inputs", "cost_of_errors", "known_limits",
)  # fmt: skip
#: Checks whose findings take the recorded outcome for the truth: judged only where the label is an observed outcome.
LABEL_BASED = (
    "calibration.overall",
    "calibration.groups",
    "calibration.multi",
    "performance.groups",
    "performance.slices",
    "performance.error_tree",
)
#: Checks that judge rates of decisions on any rows, and rates of errors on outcomes only.
MIXED = ("fairness.group", "fairness.subgroups")
#: What they measure without an outcome; the rest of it is judged on outcomes only, and nothing without a favourable decision.
LABEL_FREE = ("selection_rate", "adverse_selection_rate", "mean_prediction")
PACKAGES = (
    "numpy",
    "scipy",
    "statsmodels",
    "scikit-learn",
    "fairlearn",
    "duckdb",
    "pyarrow",
    "mlflow",
    "torch",
    "shap",
    "captum",
    "pydantic",
)


def assemble(arguments: Json, worker: socket.socket | None) -> Json:
    """Job: the whole document, as JSON."""
    request, facts = Request.model_validate(arguments["request"]), Facts.model_validate(arguments["facts"])
    settled = Settled.model_validate(arguments["settled"]) if arguments["settled"] else None
    plan, results = Plan.model_validate(request.plan), arguments["results"]
    label_source, favourable = facts.roles.label_source, bool(settled.favourable if settled else facts.roles.favourable)
    past = History.model_validate(arguments["history"])
    judged_by = divided(plan, past.models_on_this_data)
    findings = {id_: _findings(id_, result, judged_by, label_source, favourable) for id_, result in results.items()}
    rejected = rejections(judged_by, findings)
    findings |= {id_: withdrawn(findings[id_], rejection) for id_, rejection in rejected.items()}
    answers = answer_all(_case(judged_by, facts, settled, results), findings)
    for answer in answers:
        _merge(findings, answer)
    questions = [a.question() for a in answers]
    verdict, answered = audit_verdict(questions)
    why = _why(questions, findings, verdict)
    not_assessed = _not_assessed(m for a in answers for m in a.not_assessed)
    notes = notes_of(facts, arguments["scoring"], settled, plan, arguments["inspection"], resumed=bool(arguments.get("resumed")))
    if plan.audit.rows:
        notes.append(single_rows(results[rows_file.CHECK], arguments.get("single_rows", 0)))
    finished = arguments["finished"]
    document = AuditResult(
        id=request.id, started=request.started, finished=finished, verdict=verdict, answered=answered, why=render(why), why_msg=why, questions=questions,
        not_assessed=[render(m) for m in not_assessed], not_assessed_msg=not_assessed, notes=[render(m) for m in notes], notes_msg=notes,
        context=_context(facts, plan), history=_history(past, judged_by, findings, request.started), waivers=match(request.waivers, findings, request.started[:10]),
        valid_until=str(date.fromisoformat(finished[:10]) + timedelta(days=365)), model=_model(arguments, facts, settled), data=_data(facts, settled, arguments["scoring"]),
        plan=arguments["plan"], plan_sha256=arguments["plan_sha256"], seed=request.seed, environment=_environment(arguments, request),
        checks=[_check(id_, results[id_], findings[id_], rejected.get(id_), facts.weight) for id_ in results],
    )  # fmt: skip
    written = document.model_dump(mode="json")
    written["digest"] = document_digest(written)
    return written


def _history(past: History, judged_by: Plan, findings: dict[str, list[Finding]], started: str) -> History:
    """What the store knew, with the levels that were used and since when each finding that is not settled has been so."""
    unsettled = [f.key for found in findings.values() for f in found if f.verdict in ("fail", "inconclusive")]
    since = {key: past.open_since.get(key, started[:10]) for key in unsettled}
    return past.model_copy(update={"alpha_fail": judged_by.judge.alpha_fail, "level_pass": judged_by.judge.level_pass, "open_since": since})


def _findings(id_: str, result: Json, plan: Plan, label_source: str | None, favourable: bool) -> list[Finding]:
    measurements = [Measurement.model_validate(m) for m in result.get("measurements", [])]
    outcome = label_source == "outcome"
    if id_ in MIXED and id_ in plan.checks and not outcome:
        kept = [c for c in plan.checks[id_].criteria if c.metric in LABEL_FREE]
        plan = plan.model_copy(update={"checks": plan.checks | {id_: plan.checks[id_].model_copy(update={"criteria": kept})}})
    judgeable = favourable if id_ == "fairness.group" else id_ not in LABEL_BASED or outcome
    return judge_reported(id_, measurements, plan, judgeable=judgeable)


def _case(plan: Plan, facts: Facts, settled: Settled | None, results: dict[str, Json]) -> Case:
    favourable = settled.favourable if settled else facts.roles.favourable
    return Case(
        plan=plan, task=settled.task if settled else facts.roles.task or "binary", has_scores=bool(settled and settled.has_scores),
        label_source=facts.roles.label_source, favourable=bool(favourable), event_is_favourable=bool(settled and settled.positive in favourable),
        sensitive=bool(facts.groups), target=facts.target_sql is not None, decision_declared=declared(facts) or bool(settled and settled.task == "regression"),
        undeclared=unruled(facts, settled), claim=facts.privacy is not None and facts.privacy.claim is not None,
        unjudged={id_: _reason(r) for id_, r in results.items() if r["status"] != "completed"},
        errored=frozenset(id_ for id_, r in results.items() if r["status"] == "errored"),
        repeats=tuple(r.name for r in facts.repeats) if undeclared(facts) else (), cluster=facts.roles.cluster,
        weight=facts.weight.name if facts.weight else None,
    )  # fmt: skip


def _reason(result: Json) -> Message:
    return message(str(result["reason"]))


def _merge(findings: dict[str, list[Finding]], answer: Answer) -> None:
    """Put the judged findings of a question in the place of the unjudged ones, with what their rows can show, and add the pooled ones."""
    for key, foreseen in answer.foreseen.items():
        if (table := outlook(foreseen)) is not None:
            judged = answer.judged[key]
            answer.judged[key] = judged.model_copy(update={"evidence": [*judged.evidence, table]})
    for id_, found in findings.items():
        findings[id_] = [answer.judged.get(f.key, f) for f in found]
    findings[answer.check] = findings.get(answer.check, []) + answer.added


def _not_assessed(messages: Iterable[Message]) -> list[Message]:
    """Groups that are too small for several questions are named once, with the most rows that any of them could use."""
    merged: dict[str, Message] = {}
    for m in messages:
        names = render(message("{names}", names=m.values["names"]))
        other = merged.get(names)
        if other is not None:
            what = list(dict.fromkeys(render(w) for w in [*_messages(other, "what"), *_messages(m, "what")]))
            people = max(other.values["people"], m.values["people"])  # type: ignore[type-var]
            m = message(m.id, **m.values | {"what": [message(w) for w in what], "people": people})
        merged[names] = m
    return list(merged.values())


def _messages(m: Message, name: str) -> list[Message]:
    found = m.values[name]
    return [v for v in found if isinstance(v, Message)] if isinstance(found, list) else []


def _why(questions: list[Question], findings: dict[str, list[Finding]], verdict: str) -> Message:
    """One sentence for the verdict."""
    by_key = {f.key: f for found in findings.values() for f in found}
    if verdict == "fail":
        # What happens to people comes before what the model may see.
        ordered = sorted(questions, key=lambda q: q.id == "fairness_inputs")
        failing = [by_key[k] for q in ordered for k in q.findings if by_key[k].verdict == "fail"]
        first = next((f.sentence_msg for f in failing if f.sentence_msg), None)
        return first or message("A deciding question fails.")
    if verdict == "pass":
        return message("Every deciding question was answered and passed: {n:count} of {n:count}.", n=len(questions))
    still_open = next((q for q in questions if q.verdict in ("error", "inconclusive")), None)
    if still_open is None or still_open.title_msg is None:
        return message("No deciding question could be asked.")
    reason = still_open.reason_msg or message("It was not answered.")
    if verdict == "error":
        return message("A deciding question could not be run: {question} {reason}", question=still_open.title_msg, reason=reason)
    return message("Still open: {question} {reason}", question=still_open.title_msg, reason=reason)


def _context(facts: Facts, plan: Plan) -> Json:
    given = dict(facts.roles.context)
    context: Json = {key: given.pop(key, None) or "not stated" for key in CONTEXT}
    if context["tier"] == "not stated":
        context["tier"] = plan.materiality.tier
        context["tier_chosen_by"] = given.pop("tier_chosen_by", None) or plan.materiality.chosen_by
    return context | given


def _model(arguments: Json, facts: Facts, settled: Settled | None) -> ModelInfo:
    resolved, inspection = arguments["resolved"], arguments["inspection"]
    return ModelInfo(
        uri=resolved["uri"], name=resolved["name"], version=resolved["version"], flavor=inspection["flavor"],
        task=settled.task if settled else facts.roles.task or "unknown", classes=settled.classes if settled else facts.roles.classes,
        features=[Feature(name=f.name, kind=f.kind) for f in facts.features], outputs=settled.outputs if settled else None,
        score_of=settled.score_of if settled and settled.has_scores else None,
        parameters=settled.parameters if settled else None, sha256=inspection["sha256"], sha256_reason=inspection.get("sha256_reason"), model_id=resolved["model_id"], run_id=resolved["run_id"],
        load_risk=inspection["load_risk"], load_evidence=inspection["load_evidence"],
    )  # fmt: skip


def _data(facts: Facts, settled: Settled | None, scoring: Json | None) -> DataInfo:
    excluded = {"missing_outcome": scoring["missing_outcome"], "undefined_score": scoring["undefined_score"]} if scoring else {}
    if facts.weight is not None and facts.weight.zero:
        excluded["weight_zero"] = facts.weight.zero
    return DataInfo(
        source=facts.source, sha256=facts.sha256, rows=facts.rows, columns=facts.columns, target=facts.roles.target,
        positive=settled.positive if settled else facts.roles.positive, favourable=settled.favourable if settled else facts.roles.favourable,
        label_source=facts.roles.label_source or "undeclared", decision=facts.roles.decision or "predict", decision_declared=declared(facts),
        prediction=facts.recorded.prediction if facts.recorded else None, scores=facts.recorded.scores if facts.recorded else [],
        sensitive=[g.name for g in facts.groups], reference={g.name: g.reference for g in facts.groups if g.reference is not None}, excluded=excluded,
        cluster=facts.roles.cluster, clusters=scoring["clusters"] if scoring and facts.cluster else None, independent=facts.roles.independent,
        repeats=[r.name for r in facts.repeats],
        training=_training(facts), time=facts.roles.time, weight=facts.roles.weight,
    )  # fmt: skip


def _training(facts: Facts) -> TrainingInfo | None:
    known = facts.training
    if known is None:
        return None
    return TrainingInfo(source=known.source, sha256=known.sha256, rows=known.rows, same_as_evaluation=known.sha256 == facts.sha256)


def _environment(arguments: Json, request: Request) -> Environment:
    installed = {}
    for name in PACKAGES:
        try:
            installed[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    settled = arguments["settled"] or {}
    return Environment(
        python=arguments["python"], platform=arguments["platform"], packages=installed | settled.get("packages", {}), isolation=request.isolation,
        observed=arguments["observed"], scored=Path(scoring["table"]).stem if (scoring := arguments["scoring"]) and not request.forget else None,
    )  # fmt: skip


def _check(id_: str, result: Json, findings: list[Finding], rejection: Rejection | None, weight: Weight | None) -> CheckResult:
    info = documented(checks()[id_].info)
    reason = None if result["status"] == "completed" else _reason(result)
    summary = (
        Message.model_validate(result["summary"])
        if result["status"] == "completed"
        else message("Not run. {reason}", reason=reason)
        if result["status"] == "skipped"
        else message("{status}: {reason}", status=_status(result["status"]), reason=reason)
    )
    if weight is not None and result["status"] == "completed" and checks()[id_].weighs == "unweighted":
        summary = message(
            "{summary} The survey weights are not used here: this speaks of the rows, not of the people whom they stand for.",
            summary=summary,
        )
    elif weight is not None and result["status"] == "completed" and checks()[id_].weighs == "weighted":
        summary = message("{summary} Weighted by {column}.", summary=summary, column=weight.name)
    verdict = worst(f.verdict for f in findings) if result["status"] == "completed" else "not_judged"
    return CheckResult(
        info=info, status=result["status"], reason=render(reason) if reason else None, reason_msg=reason, verdict=verdict, summary=render(summary),
        summary_msg=summary, params=result["params"], seconds=result["seconds"], about=info.about, findings=findings,
        rejected=render(rejection.reason) if rejection else None, rejected_msg=rejection.reason if rejection else None, rejected_by=rejection.by if rejection else [],
    )  # fmt: skip


def _status(status: str) -> Message:
    return message("Not run") if status == "skipped" else message("Could not run")
