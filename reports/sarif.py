"""The audit as SARIF 2.1.0 (OASIS): checks are rules, judged findings are results, waivers are suppressions.

A model has no source lines: a result stands at logical locations (model, data, slice). Results are matched over audits by the finding's key.
"""

from __future__ import annotations

from uuid import NAMESPACE_URL, uuid5

from audit.compared import Comparison
from audit.result import AuditResult, CheckResult, Question
from reports.comparison import GATES, STATES, finding_text, held, side_text
from reports.history import waiver_text
from reports.metrics import metric_name
from reports.records import NAMESPACE, Json, Judged, dumps, explained, finished, identity, judged, line, moment, numbers, pruned
from reports.speaker import Speaker, clean
from reports.view import answered_text, source_text, what_intervals_say
from reports.words import LOOKS

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
KINDS = {"pass": "pass", "fail": "fail", "inconclusive": "open", "not_judged": "informational", "error": "open"}
#: How loud a failure is: by what it may do to the verdict.
LEVELS = {"decides": "error", "warns": "warning", "reports": "note"}
LANGUAGES = {"en": "en", "zh": "zh-CN"}


def plain(text: str) -> str:
    """Text of a message: braces are placeholders there, and brackets before a bracket a link (SARIF 2.1.0, 3.11.5 and 3.11.6)."""
    whole = clean(text)
    if "](" in whole:
        whole = whole.replace("\\", "\\\\").replace("[", "\\[").replace("]", "\\]")
    return whole.replace("{", "{{").replace("}", "}}")


def message(text: str) -> Json | None:
    return {"text": plain(text)} if text else None


def rule(check: CheckResult, say: Speaker) -> Json:
    info = check.info
    return {
        "id": info.id, "name": "".join(part.capitalize() for part in info.id.replace(".", "_").split("_")),
        "shortDescription": message(say.stored(info.title, None)), "fullDescription": message(say.stored(info.meaning, None)),
        "help": message(say.stored(info.limits, None)),
        "properties": {"references": [line(r) for r in info.references], "unit": info.unit, "tags": [info.id.split(".")[0]]},
    }  # fmt: skip


def locations(document: AuditResult, slice_: dict[str, str], say: Speaker) -> list[Json]:
    """The model, the data, and whom a finding is about."""
    model, data = line(document.model.name or document.model.uri), line(source_text(document, say))
    here = [
        {"name": model, "kind": "model", "fullyQualifiedName": line(document.model.uri)},
        {"name": data, "kind": "dataset", "fullyQualifiedName": data},
    ]
    if slice_:
        named = "; ".join(f"{clean(k, 80)}={clean(v, 120)}" for k, v in slice_.items())
        here.append({"name": say.slice(slice_), "kind": "slice", "fullyQualifiedName": f"{data}: {line(named)}"})
    return [{"logicalLocations": here}]


def level(kind: str, role: str) -> str:
    """A result that does not fail has none."""
    return LEVELS[role] if kind == "fail" else "none"


def result(document: AuditResult, item: Judged, index: dict[str, int], say: Speaker) -> Json:
    f = item.finding
    kind, role = KINDS[f.verdict], f.criterion.role if f.criterion else "reports"
    suppressions = []
    if item.waiver is not None:
        why = plain(waiver_text(item.waiver, document, say))
        suppressions = [{"kind": "external", "status": "accepted", "justification": why, "guid": identity(document, "waiver", f.key)}]
    return {
        "ruleId": item.check.info.id, "ruleIndex": index[item.check.info.id], "kind": kind, "level": level(kind, role),
        "message": message(explained(f, say)), "locations": locations(document, f.slice, say),
        "guid": identity(document, "sarif", f.key), "partialFingerprints": {"findingKey/v1": f.key}, "suppressions": suppressions,
        "properties": numbers(f) | {"metricName": metric_name(f.metric, say), "path": item.path, "about": item.check.about},
    }  # fmt: skip


def open_question(document: AuditResult, question: Question, index: dict[str, int], say: Speaker) -> Json:
    """A deciding question that no finding answers."""
    told_ = say.told(say.stored(question.title, question.title_msg).rstrip("?？"), say.stored(question.reason, question.reason_msg))
    return {
        "ruleId": question.check, "ruleIndex": index.get(question.check), "kind": KINDS[question.verdict], "level": "none",
        "message": message(told_), "locations": locations(document, {}, say), "guid": identity(document, "question", question.id),
        "partialFingerprints": {"question/v1": line(question.id)}, "properties": {"question": line(question.id), "verdict": question.verdict},
    }  # fmt: skip


def notifications(document: AuditResult, index: dict[str, int], say: Speaker) -> list[Json]:
    """Checks that went wrong, and checks that were not run, each with its reason."""
    return [
        {
            "level": "error" if c.status == "errored" else "note",
            "message": message(say.pair(say.stored(c.info.title, None), say.stored(c.reason, c.reason_msg))),
            "associatedRule": {"id": c.info.id, "index": index[c.info.id]},
        }
        for c in document.checks
        if c.status != "completed"
    ]


def draw(document: AuditResult, lang: str, edition: str) -> bytes:
    """The log of a document that holds no more than this edition may show."""
    say = Speaker(lang)
    index = {c.info.id: i for i, c in enumerate(document.checks)}
    items = list(judged(document))
    shown = {item.finding.key for item in items}
    results = [result(document, item, index, say) for item in items]
    results += [
        open_question(document, q, index, say)
        for q in document.questions
        if not q.answered and q.verdict != "fail" and not shown & set(q.findings)
    ]
    invocation = {
        "executionSuccessful": all(c.status != "errored" for c in document.checks),
        "startTimeUtc": moment(document.started), "endTimeUtc": finished(document),
        "toolExecutionNotifications": notifications(document, index, say),
    }  # fmt: skip
    m, d = document.model, document.data
    about = {
        "audit": document.id, "digest": document.digest, "verdict": document.verdict, "verdictInWords": say.t(LOOKS[document.verdict].word),
        "answered": answered_text(document, say), "why": say.stored(document.why, document.why_msg), "edition": edition,
        "validUntil": document.valid_until, "modelSha256": m.sha256, "dataSha256": d.sha256, "planSha256": document.plan_sha256,
        "rows": d.rows, "whatTheIntervalsSay": what_intervals_say(document, say),
    }  # fmt: skip
    run = {
        "tool": {"driver": {"name": "Witnessmark", "language": LANGUAGES[lang], "rules": [rule(c, say) for c in document.checks]}},
        "invocations": [invocation], "language": LANGUAGES[lang],
        "automationDetails": {"id": f"witnessmark/{line(m.name or m.uri)}/", "guid": identity(document, "run", document.id, lang, edition)},
        "properties": about,
    }  # fmt: skip
    # An empty list of results says that there are none; without the list it would say that nobody looked.
    return dumps({"$schema": SCHEMA, "version": "2.1.0", "runs": [pruned(run) | {"results": pruned(results)}]})


#: What became of a finding, as a result is held against a baseline; one that was not tested again has no such state.
BASELINE = {"new": "new", "persisting": "unchanged", "resolved": "absent"}
#: How a requirement of the release gate turned out.
GATE_KINDS = {"non_inferior": "pass", "worse": "fail", "open": "open", "not_assessed": "notApplicable"}
GATE_RULE = "gate"


def comparison_log(found: Comparison, lang: str) -> bytes:
    """A comparison of two audits: the gate's requirements, and every finding that fails in one of them, against the older audit as the baseline."""
    say = Speaker(lang)
    base = uuid5(NAMESPACE_URL, "\n".join([NAMESPACE, found.old.digest, found.new.digest]))
    ids = [GATE_RULE, *dict.fromkeys(f.check for f in found.findings)]
    new = line(found.new.model)
    place = {"name": new, "kind": "model", "fullyQualifiedName": f"{new} {line(found.new.version or '')}".strip()}
    results = []
    for i, need in enumerate(found.gate.requirements):
        told, kind = held(need, say), GATE_KINDS[need.result]
        results.append({
            "ruleId": GATE_RULE, "ruleIndex": 0, "kind": kind, "level": level(kind, "decides"), "locations": [{"logicalLocations": [place]}],
            "message": message(say.join([told.what, say.t(told.look.word), told.bound, told.note])), "guid": str(uuid5(base, f"gate {i}")),
        })  # fmt: skip
    for f in found.findings:
        kind = "fail" if f.state in BASELINE else "review"  # one that is resolved failed in the baseline
        results.append({
            "ruleId": f.check, "ruleIndex": ids.index(f.check), "kind": kind, "level": level(kind, f.role), "baselineState": BASELINE.get(f.state),
            "message": message(say.join([say.t(STATES[f.state].word), finding_text(f, say)])), "locations": [{"logicalLocations": [place]}],
            "guid": str(uuid5(base, f.key)), "partialFingerprints": {"findingKey/v1": f.key},
            "properties": {"state": f.state, "role": f.role, "severity": f.severity, "metric": f.metric, "old": f.old, "new": f.new},
        })  # fmt: skip
    about = {
        "gate": found.gate.result, "gateInWords": say.t(GATES[found.gate.result].word), "paired": found.paired,
        "whatIsCompared": say.stored(found.opening, found.opening_msg), "old": side_text(found.old, say), "new": side_text(found.new, say),
    }  # fmt: skip
    run = {
        "tool": {"driver": {"name": "Witnessmark", "language": LANGUAGES[lang], "rules": [{"id": id_} for id_ in ids]}},
        "language": LANGUAGES[lang], "automationDetails": {"id": f"witnessmark/compare/{new}/", "guid": str(base)}, "properties": about,
    }  # fmt: skip
    return dumps({"$schema": SCHEMA, "version": "2.1.0", "runs": [pruned(run) | {"results": pruned(results)}]})
