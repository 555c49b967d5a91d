"""The audit as OSCAL assessment results (NIST, version 1.2.2): what was asked is a control, what was measured an observation, what failed a risk.

OSCAL knows only `satisfied` and `not-satisfied`. What is open is `not-satisfied` for the reason `other` and says so in a property of ours; what
was not run or does not apply is excluded from the reviewed controls and has no finding. Titles and descriptions are Markdown in OSCAL.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import quote

from audit.result import AuditResult
from reports.asked import ALONE, Asked, asked
from reports.marked import text
from reports.metrics import metric_name
from reports.obligations.attestations import NAME, Attestation
from reports.obligations.catalogue import Framework
from reports.obligations.dossier import attested_text
from reports.records import (
    DATA_DIGEST,
    FILE_DIGEST,
    NAMESPACE,
    Json,
    Judged,
    dumps,
    explained,
    finished,
    holding,
    identity,
    judged,
    line,
    moment,
    numbers,
    outcome,
    pruned,
    spoken,
    token,
)
from reports.sentences import pair_text
from reports.speaker import Speaker, clean, mark
from reports.view import answered_text, source_text, what_intervals_say
from reports.words import LOOKS

VERSION = "1.2.2"
#: What a verdict is in OSCAL: state and reason.
SATISFIED, FAILED, OTHER = ("satisfied", "pass"), ("not-satisfied", "fail"), ("not-satisfied", "other")
STATES = {
    "pass": SATISFIED, "supports": SATISFIED, "fail": FAILED, "does_not_support": FAILED,
    # It asks only that it be measured, and a result fails; or a named person says that it is so: its property and its text say which.
    "measured": ("satisfied", "other"), "attested": ("satisfied", "other"),
}  # fmt: skip
REVIEWED = mark(
    "The deciding questions of the audit's plan and its checks. Excluded are checks that were not run; they are neither satisfied nor not satisfied."
)
STATES_SAID = mark(
    "The words satisfied and not-satisfied are those of the format: they say whether the evidence supports the limits of the audit's plan, never that a law is complied with. "
    "What these rows cannot tell is not-satisfied for the reason other, and its property verdict says inconclusive. "
    "Satisfied for the reason other is what only had to be measured, where a result of it fails, and what a named person attested: its property verdict says which."
)
MODEL = mark("The audited model.")
TOOL = mark("The program that made this audit.")
PLAN_DIGEST = mark("SHA-256 of the plan as resolved, in canonical form (RFC 8785); the plan stands in audit.json.")
DOCUMENT_DIGEST = mark(
    "The document that this file is drawn from. The digest is that of what a repeated audit gives again, in canonical form (RFC 8785)."
)


@dataclass(frozen=True)
class Control:
    """What was asked, and what came of it: `verdict` is None where it was only measured."""

    id: str
    title: str
    told: str
    verdict: str | None
    keys: tuple[str, ...]  # of the findings that it rests on
    checks: tuple[str, ...]
    section: str = ""
    said: tuple[int, ...] = ()  # places of what named persons attested of it


def props(pairs: Mapping[str, str | None]) -> list[Json]:
    """Properties of ours; what is unknown is left out."""
    return [{"name": name, "ns": NAMESPACE, "value": line(value)} for name, value in pairs.items() if value and line(value)]


def controls(document: AuditResult, say: Speaker) -> list[Control]:
    """The deciding questions, then the checks that ran or went wrong."""
    made = [
        Control(
            f"question.{token(q.id)}", say.stored(q.title, q.title_msg), say.stored(q.reason, q.reason_msg) or say.t(LOOKS[q.verdict].word),
            q.verdict, tuple(q.findings), (q.check,),
        )
        for q in document.questions
    ]  # fmt: skip
    for c in document.checks:
        if c.status == "skipped":
            continue
        keys = tuple(f.key for f in c.findings if f.criterion is not None and f.criterion.role != "reports")
        verdict = "error" if c.status == "errored" else None if c.verdict == "not_judged" else c.verdict
        told_of = outcome(c, say) if c.status == "completed" else say.stored(c.reason, c.reason_msg)
        made.append(Control(c.info.id, say.stored(c.info.title, None), told_of, verdict, keys, (c.info.id,)))
    return made


def observations(document: AuditResult, items: list[Judged], say: Speaker) -> list[Json]:
    """One for each check that ran, and one for each finding that is held against a limit."""
    shared = {
        "methods": ["TEST"],
        "origins": [{"actors": [{"type": "tool", "actor-uuid": identity(document, "tool")}]}],
        "subjects": [{"subject-uuid": identity(document, "model"), "type": "component"}],
    }
    dates = {"collected": finished(document), "expires": moment(document.valid_until, end=True)}

    def evidence(path: str) -> list[Json]:
        return [{"href": f"#{identity(document, 'document')}", "description": text(f"audit.json: {path}")}]

    made = []
    for i, c in enumerate(document.checks):
        if c.status == "completed":
            about = {"check": c.info.id, "verdict": c.verdict, "about": c.about, "findings": str(len(c.findings))}
            made.append({
                "uuid": identity(document, "check", c.info.id), "title": text(say.stored(c.info.title, None)),
                "description": text(outcome(c, say)), "props": props(about), "types": ["control-objective"], **shared,
                "relevant-evidence": evidence(f"checks[{i}]"), **dates, "remarks": text(say.stored(c.info.limits, None)),
            })  # fmt: skip
    for item in items:
        f = item.finding
        title = say.pair(metric_name(f.metric, say), pair_text(f, say))
        made.append({
            "uuid": identity(document, "finding", f.key), "title": text(title), "description": text(explained(item.finding, say)),
            "props": props(numbers(f)), "types": ["finding"], **shared,
            "relevant-evidence": evidence(item.path), **dates,
        })  # fmt: skip
    return made


def is_risk(item: Judged) -> bool:
    """What fails, and what is open although it decides."""
    f = item.finding
    return f.verdict == "fail" or (f.verdict == "inconclusive" and f.criterion is not None and f.criterion.role == "decides")


def risk(document: AuditResult, item: Judged, say: Speaker) -> Json:
    f, waiver = item.finding, item.waiver
    about = {"verdict": f.verdict, "severity": f.criterion.severity if f.criterion else None, "key": f.key}
    accepted = []
    if waiver is not None:  # who accepts it until when is the reason of the status
        about |= {"accepted-by": waiver.person, "accepted-until": waiver.expires}
        accepted = [
            say.t("Accepted by {person} until {date}.", person=clean(waiver.person, 120), date=clean(waiver.expires, 10)),
            say.stored(waiver.reason, None),
        ]
    return {
        "uuid": identity(document, "risk", f.key), "title": text(say.pair(metric_name(f.metric, say), pair_text(f, say))),
        "description": text(explained(item.finding, say)), "statement": text(say.sentences([say.stored(item.check.info.limits, None), *accepted])), "props": props(about),
        "status": "open" if waiver is None else "deviation-approved",
        "deadline": moment(waiver.expires, end=True) if waiver else None,
        "related-observations": [{"observation-uuid": identity(document, "finding", f.key)}],
    }  # fmt: skip


def finding(document: AuditResult, control: Control, items: list[Judged]) -> Json:
    """What came of a control; one that was only measured has none."""
    state, reason = STATES.get(control.verdict or "", OTHER)
    known = {item.finding.key for item in items}
    risky = {item.finding.key for item in items if is_risk(item)}
    ran = {c.info.id for c in document.checks if c.status == "completed"}
    seen = [identity(document, "check", id_) for id_ in control.checks if id_ in ran]
    seen += [identity(document, "finding", key) for key in control.keys if key in known]
    seen += [identity(document, "attestation", str(place)) for place in control.said]
    return {
        "uuid": identity(document, "control", control.id), "title": text(control.title), "description": text(control.told),
        "props": props({"verdict": control.verdict, "section": control.section}),
        "target": {"type": "objective-id", "target-id": control.id, "title": text(control.title), "status": {"state": state, "reason": reason}},
        "related-observations": [{"observation-uuid": u} for u in seen],
        "related-risks": [{"risk-uuid": identity(document, "risk", key)} for key in control.keys if key in risky],
    }  # fmt: skip


def of_framework(framework: Framework, found: list[Asked]) -> list[Control]:
    """The controls of a framework; what the law of the day does not know is left out of them."""
    return [
        Control(
            a.statement.control.id,
            a.title,
            a.told,
            a.statement.state,
            a.keys,
            a.checks,
            f"{framework.id} {a.statement.control.section}",
            tuple(one.place for one in a.statement.attested),
        )
        for a in found
        if a.statement.state != "not_applicable"
    ]


def selected(included: list[str], excluded: list[str], told_of: str = "") -> Json:
    named = [{"control-id": i} for i in [*included, *excluded]]
    return {"description": told_of, "include-controls": named, "exclude-controls": [{"control-id": i} for i in excluded]}


def reviewed(document: AuditResult, own: list[Control], frameworks: list[tuple[Framework, list[Asked]]], say: Speaker) -> Json:
    """What was asked: the audit's own questions and checks, then each framework that applies; excluded is what was not run or is not in the law."""
    skipped = [c for c in document.checks if c.status == "skipped"]
    selections = [selected([c.id for c in own], [c.info.id for c in skipped], text(say.t(REVIEWED)))] if own or skipped else []
    for framework, found in frameworks:
        gone = [a.statement.control.id for a in found if a.statement.state == "not_applicable"]
        kept = [a.statement.control.id for a in found if a.statement.state != "not_applicable"]
        selections.append(selected(kept, gone, text(say.pair(framework.called(say.lang), framework.version))))
    why = [f"- {text(say.pair(c.info.id, say.stored(c.reason, c.reason_msg)))}" for c in skipped]
    remarks = [say.t(STATES_SAID), *([say.t(ALONE)] if frameworks else [])]
    return {
        "control-selections": selections or [{"include-all": {}}],
        "remarks": "\n\n".join([*map(text, remarks), *(["\n".join(why)] if why else [])]),
    }


def components(document: AuditResult, say: Speaker) -> Json:
    """The model as the subject, and the program that looked at it."""
    m, operational = document.model, {"state": "operational"}
    name = line(m.name or m.uri)[:120]
    about = {"uri": m.uri, "version": m.version, "format": m.flavor, "task": m.task, "sha256": m.sha256}
    model = {
        "uuid": identity(document, "model"), "type": "software", "title": text(name), "description": text(say.t(MODEL)),
        "props": props(about), "status": operational,
    }  # fmt: skip
    tool = {
        "uuid": identity(document, "tool"),
        "type": "software",
        "title": "Witnessmark",
        "description": text(say.t(TOOL)),
        "status": operational,
    }
    platform = {"uuid": identity(document, "platform"), "title": "Witnessmark", "uses-components": [{"component-uuid": tool["uuid"]}]}
    return {"components": [model], "assessment-assets": {"components": [tool], "assessment-platforms": [platform]}}


def resources(document: AuditResult, say: Speaker) -> list[Json]:
    """What the results rest on, with digests."""
    m, d = document.model, document.data

    def resource(key: str, title: str, digest: str | None, told_of: str, href: str = "") -> Json:
        return {
            "uuid": identity(document, key), "title": text(title), "description": text(say.t(told_of)), "props": props({"sha256": digest}),
            "rlinks": [{"href": href}] if href else [],
        }  # fmt: skip

    made = [
        resource("document", "audit.json", document.digest, DOCUMENT_DIGEST, "audit.json"),
        resource("plan", say.t("The plan"), document.plan_sha256, PLAN_DIGEST),
        resource("model-files", say.t("The model"), m.sha256, FILE_DIGEST, quote(m.uri, safe=":/@?#=&%+~")),
        resource("data", say.pair(say.t("The data"), source_text(document, say)), d.sha256, DATA_DIGEST),
    ]
    if d.training is not None:
        made.append(resource("training", say.t("Training data"), d.training.sha256, DATA_DIGEST))
    return made


def interviews(document: AuditResult, said: list[Attestation], say: Speaker) -> list[Json]:
    """What named persons attested, as observations: asked of a person, not measured."""
    return [
        {
            "uuid": identity(document, "attestation", str(a.place)), "title": text(say.told(line(a.control), line(a.name))),
            "description": text("".join(map(str, attested_text(say, a)))), "props": props(_of_word(a)), "methods": ["INTERVIEW"], "types": ["control-objective"],
            "origins": [{"actors": [{"type": "party", "actor-uuid": party(document, a)}]}],
            "relevant-evidence": [{"href": f"#{identity(document, 'document')}", "description": text(f"{NAME}: {a.place + 1}")}],
            "collected": moment(a.made) or finished(document),
        }
        for a in said
    ]  # fmt: skip


def _of_word(a: Attestation) -> dict[str, str | None]:
    """Of what document a word was given, when and by whose key; with the digest of the file that holds the statement."""
    return {
        "control": a.control, "says": a.says, "audit-sha256": a.audit_sha256, "attested": a.made, "signed-by": a.signer,
        "file": a.file.name if a.file else None, "file-sha256": a.file.sha256 if a.file else None,
    }  # fmt: skip


def party(document: AuditResult, a: Attestation) -> str:
    return identity(document, "party", a.name)


def role(document: AuditResult, a: Attestation) -> str:
    return f"attester-{identity(document, 'role', a.role)[:8]}"


def people(document: AuditResult, said: list[Attestation]) -> Json:
    """The persons who attested something, and the roles in which they did: each once."""
    roles = {role(document, a): {"id": role(document, a), "title": text(line(a.role))} for a in said}
    parties = {party(document, a): {"uuid": party(document, a), "type": "person", "name": line(a.name)} for a in said}
    return {"roles": list(roles.values()), "parties": list(parties.values())}


def words_given(document: AuditResult, said: list[Attestation]) -> list[Json]:
    """The attestations of the format: who is responsible for each, and what it says."""
    return [
        {
            "responsible-parties": [{"role-id": role(document, a), "party-uuids": [party(document, a)]}],
            "parts": [{
                "uuid": identity(document, "word", str(a.place)), "name": "attestation", "ns": NAMESPACE, "title": text(line(a.control)),
                "props": props(_of_word(a)), "prose": text(clean(a.statement)),
            }],
        }
        for a in said
    ]  # fmt: skip


def draw(document: AuditResult, lang: str, edition: str, attested: Sequence[Attestation] = ()) -> bytes:
    """The assessment results of a document that holds no more than this edition may show, with what was attested of it."""
    say, items, said = Speaker(lang), list(judged(document)), holding(attested)
    own, frameworks, a = controls(document, say), asked(document, say, edition, said), document.answered
    concluded = [c for c in own if c.verdict is not None] + [c for framework, found in frameworks for c in of_framework(framework, found)]
    title = say.t("Audit of {name}", name=line(document.model.name or document.model.uri)[:120])
    counts = {"decide": a.decides, "passed": a.passed, "failed": a.fail, "inconclusive": a.inconclusive, "not-run": a.not_run}
    result = {
        "uuid": identity(document, "result"),
        "title": text(title),
        "description": text(
            say.sentences(
                [
                    say.told(say.t(LOOKS[document.verdict].word), answered_text(document, say) + ("。" if lang == "zh" else ".")),
                    say.stored(document.why, document.why_msg),
                ]
            )
        ),
        "start": moment(document.started) or finished(document),
        "end": finished(document),
        "props": props({"verdict": document.verdict} | {f"questions-{k}": str(v) for k, v in counts.items()}),
        "local-definitions": components(document, say),
        "reviewed-controls": reviewed(document, own, frameworks, say),
        "attestations": words_given(document, said),
        "observations": [*observations(document, items, say), *interviews(document, said, say)],
        "risks": [risk(document, item, say) for item in items if is_risk(item)],
        "findings": [finding(document, control, items) for control in concluded],
        "remarks": text(what_intervals_say(document, say)),
    }
    about = {"audit": document.id, "digest": document.digest, "edition": edition, "language": lang}
    return dumps(pruned({
        "assessment-results": {
            "uuid": identity(document, "oscal", document.id, lang, edition, *spoken(said)),
            "metadata": {
                "title": text(title), "last-modified": max([finished(document), *(a.made for a in said)], key=datetime.fromisoformat), "version": "1", "oscal-version": VERSION,
                "props": props(about), **people(document, said),
            },
            "import-ap": {"href": f"#{identity(document, 'plan')}"},
            "results": [result],
            "back-matter": {"resources": resources(document, say)},
        }
    }))  # fmt: skip
