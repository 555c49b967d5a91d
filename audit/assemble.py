"""The document from what the checks measured: findings judged, questions answered, everything declared or said to be missing."""

from __future__ import annotations

import importlib.metadata
import socket
from collections.abc import Iterable
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

from audit.answering import Case
from audit.dataset import MISSING
from audit.explain import rows_file
from audit.judge import Answer, audit_verdict, judge_reported, worst
from audit.measurement import Measurement, Message
from audit.outlook import outlook
from audit.outputs import Settled
from audit.plan import Plan, divided
from audit.prepare import Facts
from audit.questions import answer_all
from audit.recorded import CUTOFF
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
from audit.weights import Weight
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
SOURCES = {
    "human_decision": message("The outcome column holds human decisions: agreement with past decisions, not correctness."),
    "proxy": message("The outcome column holds a proxy: agreement with the proxy, not correctness about the outcome that it stands for."),
    "selective": message(
        "The outcome is known only for those whom past decisions selected: agreement with what was seen of them, not correctness for everybody."
    ),
}
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
    notes = _notes(facts, arguments["scoring"], settled, plan, arguments["inspection"], resumed=bool(arguments.get("resumed")))
    if plan.audit.rows:
        notes.append(_single_rows(results[rows_file.CHECK], arguments.get("single_rows", 0)))
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
        sensitive=bool(facts.groups), target=facts.target_sql is not None, decision_declared=_declared(facts) or bool(settled and settled.task == "regression"),
        undeclared=_unruled(facts, settled), claim=facts.privacy is not None and facts.privacy.claim is not None,
        unjudged={id_: _reason(r) for id_, r in results.items() if r["status"] != "completed"},
        errored=frozenset(id_ for id_, r in results.items() if r["status"] == "errored"),
        repeats=tuple(r.name for r in facts.repeats) if _undeclared(facts) else (), cluster=facts.roles.cluster,
        weight=facts.weight.name if facts.weight else None,
    )  # fmt: skip


def _declared(facts: Facts) -> bool:
    """Whether somebody said how decisions are made: by a rule, or by naming the column that holds them."""
    return facts.roles.decision is not None or bool(facts.recorded and facts.recorded.prediction)


def _unruled(facts: Facts, settled: Settled | None) -> Message | None:
    """How recorded scores were made decisions, where nobody said; None for a model, which has a cutoff of its own."""
    if facts.recorded is None or settled is None or not settled.has_scores:
        return None
    if settled.task == "binary":
        return message("Decided at a score of at least {cutoff:number}, which nobody declared.", cutoff=CUTOFF)
    return message("Decided for the class with the highest score, which nobody declared.")


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


def _of_subject(facts: Facts, settled: Settled | None, inspection: Json, *, resumed: bool) -> list[Message]:
    """What is not known where the model's files were not seen."""
    notes = []
    if inspection["flavor"] == "http":
        notes.append(
            message("The model was asked at its address: nothing proves which model answered, or that it was the same throughout.")
        )
        if resumed:
            notes.append(
                message("This audit was interrupted and resumed; the model's answers to the first rows were the same before and after.")
            )
    if facts.recorded is not None:
        columns = facts.recorded.names
        notes.append(message("No model was asked: what is audited are the predictions in the data ({columns}).", columns=columns))
    if settled is not None and settled.stepped:
        notes.append(
            message(
                "Gradients do not tell how this net decides: they are 0, do not reach its inputs, or miss what its answers move by, as behind an arg max or a step. So its answers alone explain it."
            )
        )
    one_score = facts.recorded is not None and len(facts.recorded.scores) == 1  # that of the positive class: there is no order
    if (
        settled is not None
        and settled.has_scores
        and inspection["flavor"] in ("http", "predictions")
        and not facts.roles.classes
        and not one_score
    ):
        notes.append(
            message("Columns of scores were taken in the order {classes}; nobody declared it with --classes.", classes=settled.classes)
        )
    return notes


def _notes(facts: Facts, scoring: Json | None, settled: Settled | None, plan: Plan, inspection: Json, *, resumed: bool) -> list[Message]:
    """What a reader must know of how the audit read model and data."""
    notes = [*facts.notes, *_of_subject(facts, settled, inspection, resumed=resumed), *_dependence(facts, scoring)]
    if not _declared(facts) and settled is not None and settled.task != "regression":
        notes.append(
            _unruled(facts, settled)
            or message("Decisions are taken at the model's built-in cutoff, which nobody declared: name the rule with --decision.")
        )
    source = facts.roles.label_source
    if facts.target_sql is not None and source != "outcome":
        undeclared = message(
            "Nobody declared what the outcome column holds: if human decisions, this is agreement with past decisions, not correctness."
        )
        notes.append(
            message(
                "{declared} Fairness of errors and calibration are therefore not judged.",
                declared=SOURCES.get(source or "", undeclared),
            )
        )
    if settled is not None and not settled.favourable:
        notes.append(
            message("Nobody declared which decision is favourable: group fairness reports the rates of each class and judges none.")
        )
    elif settled is not None and settled.task == "regression":
        notes.append(
            message("The favourable decision is a prediction above the median of all predictions.") if settled.favourable == ["high"]
            else message("The favourable decision is a prediction below the median of all predictions.")
        )  # fmt: skip
    if facts.target_missing:
        notes.append(message("Rows without an outcome: {n:count}. They were left out of what needs one.", n=facts.target_missing))
    if scoring and scoring["undefined_score"]:
        notes.append(
            message(
                "Rows without a usable prediction (refused by the model, no finite number, or no known class): {n:count}. They were left out.",
                n=scoring["undefined_score"],
            )
        )
    if scoring and scoring["halved"]:
        notes.append(message("Batches were halved because the model ran out of memory: the same digits are not promised again."))
    for group in facts.groups:
        unknown = sum(n for level, n in zip(group.levels, group.sizes, strict=True) if level == MISSING)
        if unknown:
            notes.append(
                message(
                    "Membership in {column} is unknown for {n:count} rows ({share:percent}): shown, never judged.",
                    column=group.name,
                    n=unknown,
                    share=unknown / facts.rows,
                )
            )
    if plan.decides and _changed_criteria(plan):
        notes.append(message("Criteria differ from the built-in plan: {names}.", names=_changed_criteria(plan)))
    return notes


def _single_rows(result: Json, n: int) -> Message:
    """Where the single rows are that the plan allowed, or why there are none."""
    if n:
        return message(
            "The plan allowed single rows: {n:count} of those that {check} explained stand beside this document in {file}. They can be people; no report and no copy "
            "of this audit carries them.",
            n=n, check=rows_file.CHECK, file=rows_file.NAME,
        )  # fmt: skip
    reason = message("No row could be explained.") if result["status"] == "completed" else _reason(result)
    return message(
        "The plan allowed single rows, and none were kept, because {check} explained none: {reason}", check=rows_file.CHECK, reason=reason
    )


def _undeclared(facts: Facts) -> bool:
    """Whether keys repeat and nobody said what that means."""
    return bool(facts.repeats) and facts.cluster is None and not facts.roles.independent


def _dependence(facts: Facts, scoring: Json | None) -> list[Message]:
    """What the intervals assume of the rows."""
    notes, others = [], [r.name for r in facts.repeats if r.name != facts.roles.cluster]
    if facts.cluster is not None:
        numbers = {"column": facts.cluster.name, "clusters": scoring["clusters"] if scoring else 0, "rows": facts.rows}
        notes.append(
            message(
                "Rows with the same {column} belong together ({clusters:count} clusters in {rows:count} rows). Intervals and tests of weighted estimates draw whole "
                "clusters with what they weigh; the intervals of all other findings assume independent rows.", **numbers,
            )
            if facts.weight is not None
            else message(
                "Rows with the same {column} belong together ({clusters:count} clusters in {rows:count} rows). Intervals and tests of the deciding questions draw whole "
                "clusters; the intervals of all other findings assume independent rows.", **numbers,
            )
        )  # fmt: skip
        if facts.cluster.missing:
            notes.append(
                message(
                    "{column} is missing in {n:count} rows: each of them is a cluster of its own.",
                    column=facts.cluster.name,
                    n=facts.cluster.missing,
                )
            )
        if others:
            notes.append(message("These columns repeat as well, and nothing allows for it: {columns}.", columns=others))
    elif facts.roles.independent and others:
        notes.append(
            message(
                "The auditor states that rows are independent (--independent) although these columns repeat: {columns}.", columns=others
            )
        )
    for r in facts.repeats if _undeclared(facts) else []:
        notes.append(
            message(
                "All intervals assume independent rows, and {column} looks like an identifier and repeats ({values:count} values in {rows:count} rows): no interval "
                "lets a deciding question pass until --cluster {column} or --independent says what that means. A fail may be due to too narrow an interval.",
                column=r.name, values=r.values, rows=r.rows,
            )
        )  # fmt: skip
    return notes


def _changed_criteria(plan: Plan) -> list[str]:
    from audit.plan import load

    built_in = load(None)
    changed = [f"decides.{name}" for name, d in plan.decides.items() if d != built_in.decides[name]]
    changed += [f"compare.{k}" for k, v in plan.compare.model_dump().items() if v != getattr(built_in.compare, k)]
    changed += [f"judge.{k}" for k, v in plan.judge.model_dump().items() if v != getattr(built_in.judge, k)]
    if plan.materiality.tier != built_in.materiality.tier:
        changed.append(
            f"materiality.tier = {plan.materiality.tier} (built-in: {built_in.materiality.tier}), chosen by {plan.materiality.chosen_by}"
        )
    own = {id_: (c.criteria, c.requires) for id_, c in built_in.checks.items()}
    changed += [f"checks.{id_}" for id_, c in plan.checks.items() if (c.criteria, c.requires) != own.get(id_, ([], []))]
    return changed


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
        label_source=facts.roles.label_source or "undeclared", decision=facts.roles.decision or "predict", decision_declared=_declared(facts),
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


def now() -> str:
    """The time in UTC, to the second, as the document writes it."""
    from datetime import UTC

    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
