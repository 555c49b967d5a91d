"""The audit as a CycloneDX 1.7 ML-BOM (ECMA-424): the model with its card, the data, and declarations that tie each answer to its evidence.

Figures are texts in this format and its objects take no further fields: level, method and n of each stand in the card's properties.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from urllib.parse import quote

from audit.result import AuditResult, Finding, Question
from reports.asked import ALONE, Asked, asked
from reports.history import waiver_text
from reports.obligations.attestations import NAME, Attestation
from reports.obligations.catalogue import Framework
from reports.obligations.dossier import attested_text
from reports.records import (
    DATA_DIGEST,
    FILE_DIGEST,
    Json,
    Judged,
    digits,
    dumps,
    explained,
    finished,
    holding,
    identity,
    judged,
    line,
    moment,
    outcome,
    pruned,
    spoken,
)
from reports.speaker import Speaker, clean, mark
from reports.states import family_of
from reports.view import UNSTATED, answered_text, context_of, limits, not_run, source_text, words_of
from reports.words import LOOKS, SOURCES, TASKS

VERSION = "1.7"
JOULES_PER_KWH = 3_600_000
#: Whose single-column figures the card shows.
SHOWN = ("performance.overall", "performance.groups", "calibration.overall", "calibration.groups", "fairness.group")
SUPPORTED = mark("The evidence supports it: {question}")
NOT_SUPPORTED = mark("The evidence does not support it: {question}")
MEASURED = mark("It was measured, which is what is asked for; a result of it fails: {question}")
WORD = mark("A named person says it: {question}")
CLEAR: dict[str, str] = {"supports": SUPPORTED, "measured": MEASURED, "does_not_support": NOT_SUPPORTED, "attested": WORD}
PARAPHRASED = mark("Paraphrased; a section is exact to the version that is named.")
STANDARD = mark("Deciding questions of the audit's plan")
STANDARD_SAID = mark("What this audit's plan asks before it gives a verdict. It is no law and no standard of another body.")
EVALUATION = mark("The data on which the model was audited.")
TRAINING = mark("The data on which the model was trained, as logged or named; not audited by themselves.")
SAME_SCORE = mark("1: it passes; 0: it fails. What is open has no score. It is not a degree of compliance with any law.")


def properties(pairs: dict[str, object]) -> list[Json]:
    """Our own facts; what is unknown is left out."""
    return [{"name": f"witnessmark:{k}", "value": line(v)} for k, v in pairs.items() if v not in (None, "")]


def shown(document: AuditResult) -> Iterator[Finding]:
    """Measured values of everybody and of the groups of single columns."""
    for check in document.checks:
        for f in check.findings if check.info.id in SHOWN else []:
            if f.compare == "value" and f.estimate is not None and len(f.slice) <= 1:
                yield f


def metrics(document: AuditResult, say: Speaker) -> tuple[list[Json], dict[str, object]]:
    """The figures, and for each by its position what the format has no place for."""
    listed: list[Json] = []
    beside: dict[str, object] = {}
    for f in shown(document):
        e = f.estimate
        if e is not None:
            interval = {"lowerBound": digits(e.low), "upperBound": digits(e.high)}
            beside[f"performanceMetrics[{len(listed)}]"] = f"level {digits(e.level)}; method {e.method}; n {e.n}; key {f.key}"
            listed.append({"type": line(f.metric), "value": digits(e.value), "slice": say.slice(f.slice), "confidenceInterval": interval})
    return listed, beside


def energy(document: AuditResult, say: Speaker) -> tuple[list[Json], dict[str, object]]:
    """What predictions take, where it was measured; an estimate stands among the properties and is called one."""
    for check in document.checks:
        for f in check.findings:
            e = f.estimate
            if e is None or not f.metric.startswith("joules_per_1000"):
                continue
            about: dict[str, object] = {
                "energyFor": "1000 predictions", "joulesLow": digits(e.low), "joulesHigh": digits(e.high), "level": digits(e.level), "method": e.method,
            }  # fmt: skip
            if f.metric != "joules_per_1000":
                return [], {f.metric: digits(e.value)} | {f"{f.metric}:{k}": v for k, v in about.items()}
            cost = {"value": e.value / JOULES_PER_KWH, "unit": "kWh"}
            provider = {"organization": {"name": say.t("not stated")}, "energySource": "unknown", "energyProvided": cost}
            return [
                {"activity": "inference", "energyProviders": [provider], "activityEnergyCost": cost, "properties": properties(about)}
            ], {}
    return [], {}


def considerations(document: AuditResult, items: list[Judged], powered: list[Json], say: Speaker) -> Json:
    """What it is for, what is known of its limits, and whom failing or open findings put at a disadvantage."""
    context = context_of(document)
    use = context.get("intended_use")
    bad = [i for i in items if i.finding.verdict in ("fail", "inconclusive") and i.check.about == "model"]
    groups = [
        {
            "groupAtRisk": say.slice(i.finding.slice),
            "harms": explained(i.finding, say),
            "mitigationStrategy": waiver_text(i.waiver, document, say) if i.waiver else None,
        }
        for i in bad
        if family_of(i.check.info.id) == "fairness" and i.finding.slice
    ]
    return {
        "useCases": [] if use in UNSTATED else [words_of(use)],
        "technicalLimitations": [*map(str, limits(document, say)), *not_run(document, say)],
        "ethicalConsiderations": [
            {"name": explained(i.finding, say)} for i in bad if family_of(i.check.info.id) in ("fairness", "privacy")
        ],
        "fairnessAssessments": groups,
        "environmentalConsiderations": {"energyConsumptions": powered} if powered else None,
    }


def card(document: AuditResult, items: list[Judged], say: Speaker) -> Json:
    m, d = document.model, document.data
    listed, beside = metrics(document, say)
    powered, estimated = energy(document, say)
    refs = [identity(document, "data"), *([identity(document, "training")] if d.training else [])]
    about: dict[str, object] = {
        "decisionRule": d.decision,
        "target": d.target,
        "positive": d.positive,
        "favourable": say.list(d.favourable),
        "parameters": m.parameters,
    }
    return {
        "modelParameters": {
            "task": say.name(m.task, TASKS), "datasets": [{"ref": ref} for ref in refs],
            "inputs": [{"format": line(kind)} for kind in dict.fromkeys(f.kind for f in m.features)],
            "outputs": [{"format": line(m.outputs)}] if m.outputs else [],
        },
        "quantitativeAnalysis": {"performanceMetrics": listed} if listed else None,
        "considerations": considerations(document, items, powered, say),
        "properties": properties(about | estimated | beside),
    }  # fmt: skip


def data_component(
    document: AuditResult, key: str, name: str, told_of: str, facts: dict[str, object], sensitive: list[str], say: Speaker
) -> Json:
    ref = identity(document, key)
    described = {"type": "dataset", "name": name, "description": say.t(told_of), "sensitiveData": [clean(s, 120) for s in sensitive]}
    return {
        "type": "data", "bom-ref": ref, "name": name, "description": say.t(told_of), "data": [described],
        "properties": properties(facts | {"sha256Of": say.t(DATA_DIGEST)}),
    }  # fmt: skip


def components(document: AuditResult, say: Speaker) -> list[Json]:
    d = document.data
    made = [
        data_component(document, "data", source_text(document, say), EVALUATION, {"sha256": d.sha256, "rows": d.rows}, d.sensitive, say)
    ]
    if d.training is not None:
        t = d.training
        made.append(
            data_component(document, "training", say.known(t.source, SOURCES), TRAINING, {"sha256": t.sha256, "rows": t.rows}, [], say)
        )
    return made


Frameworks = list[tuple[Framework, list[Asked]]]


def declarations(document: AuditResult, items: list[Judged], frameworks: Frameworks, said: Sequence[Attestation], say: Speaker) -> Json:
    """Who says what of which question and of which control, and on which evidence."""
    by_key = {i.finding.key: i for i in items}
    auditor, questions = context_of(document).get("auditor"), document.questions
    known = auditor not in UNSTATED
    who = identity(document, "assessor") if known else None
    attested = [{
        "summary": say.told(say.t(LOOKS[document.verdict].word), answered_text(document, say)), "assessor": who,
        "map": [answer(document, q, say) for q in questions],
    }] if questions else []  # fmt: skip
    attested += [
        {"summary": summed(framework, said, say), "assessor": who, "map": [answer_to(document, a) for a in found]}
        for framework, found in frameworks
    ]
    clear = [a for _, found in frameworks for a in found if a.statement.state in CLEAR]
    return {
        "assessors": [{"bom-ref": who, "organization": {"name": words_of(auditor)}}] if known else [],
        "attestations": attested,
        "claims": [claim(document, q, by_key, say) for q in questions if q.verdict in ("pass", "fail")] + [claim_of(document, a, by_key, say) for a in clear],
        "evidence": [*evidence(document, by_key, clear, say), *words_given(document, said, say)],
    }  # fmt: skip


def summed(framework: Framework, said: Sequence[Attestation], say: Speaker) -> str:
    """A framework by name, what is said of it here, and who attested its document as a whole."""
    whole = ["".join(map(str, attested_text(say, a))) for a in said if a.control == framework.id]
    return say.told(framework.called(say.lang), say.sentences([say.t(ALONE), *whole]))


def words_given(document: AuditResult, said: Sequence[Attestation], say: Speaker) -> list[Json]:
    """What named persons attested, as evidence whose author is the person: the control, the words, the document's hash and the date."""
    return [
        {
            "bom-ref": identity(document, "word", str(a.place)), "propertyName": line(a.control), "created": moment(a.made),
            "description": "".join(map(str, attested_text(say, a))), "author": {"name": line(a.name)},
            "data": [
                {"name": f"audit.json SHA-256 {a.audit_sha256}", "contents": {"attachment": {"contentType": "text/plain", "content": clean(a.statement)}}},
                {"name": f"{NAME}: {a.place + 1}", "contents": {"url": NAME}},
                *([{"name": f"{line(a.file.name)} SHA-256 {a.file.sha256}", "contents": {"url": quote(a.file.name)}}] if a.file else []),
            ],
        }
        for a in said
    ]  # fmt: skip


def evidence(document: AuditResult, by_key: dict[str, Judged], clear: list[Asked], say: Speaker) -> list[Json]:
    """The findings and checks that claims rest on, each once, with its place in the document."""
    keys = [*(key for q in document.questions for key in q.findings), *(key for a in clear for key in a.keys)]
    wanted = {id_ for a in clear for id_ in a.checks}
    shared = {"created": finished(document), "expires": moment(document.valid_until, end=True)}

    def one(key: str, name: str, told_: str, path: str) -> Json:
        data = [{"name": path, "contents": {"url": "audit.json"}}]
        return {"bom-ref": identity(document, "evidence", key), "propertyName": name, "description": told_, "data": data} | shared

    made = [
        one(k, line(by_key[k].finding.metric), explained(by_key[k].finding, say), by_key[k].path)
        for k in dict.fromkeys(keys)
        if k in by_key
    ]
    return made + [
        one(c.info.id, c.info.id, say.told(say.stored(c.info.title, None), outcome(c, say)), f"checks[{i}]")
        for i, c in enumerate(document.checks)
        if c.info.id in wanted
    ]


def answer(document: AuditResult, q: Question, say: Speaker) -> Json:
    """A question with the claim that answers it; an open one has neither claim nor score."""
    ref = identity(document, "claim", q.id)
    score = {"pass": 1, "fail": 0}.get(q.verdict)
    why = say.stored(q.reason, q.reason_msg) or say.t(LOOKS[q.verdict].word)
    return {
        "requirement": identity(document, "requirement", q.id),
        "claims": [ref] if q.verdict == "pass" else [],
        "counterClaims": [ref] if q.verdict == "fail" else [],
        "conformance": {"score": score, "rationale": why if score is None else say.told(why, say.t(SAME_SCORE))},
    }


def claim(document: AuditResult, q: Question, by_key: dict[str, Judged], say: Speaker) -> Json:
    """What an answered question comes to; where it fails, the findings that fail are the reasoning."""
    rests = [key for key in q.findings if key in by_key]
    failing = [key for key in rests if by_key[key].finding.verdict == "fail"]
    return {
        "bom-ref": identity(document, "claim", q.id), "target": identity(document, "model"),
        "predicate": say.t(SUPPORTED if q.verdict == "pass" else NOT_SUPPORTED, question=say.stored(q.title, q.title_msg)),
        "reasoning": say.sentences(explained(by_key[key].finding, say) for key in (failing if q.verdict == "fail" else rests)),
        "evidence": [identity(document, "evidence", key) for key in rests],
    }  # fmt: skip


def answer_to(document: AuditResult, a: Asked) -> Json:
    """A control of a framework with what the evidence says of it: a sentence, and never a score."""
    state, ref = a.statement.state, identity(document, "claim", a.statement.control.id)
    return {
        "requirement": identity(document, "requirement", a.statement.control.id),
        "claims": [ref] if state in ("supports", "measured", "attested") else [],
        "counterClaims": [ref] if state == "does_not_support" else [],
        "conformance": {"rationale": a.told},
    }


def claim_of(document: AuditResult, a: Asked, by_key: dict[str, Judged], say: Speaker) -> Json:
    rests = [identity(document, "evidence", key) for key in (*(key for key in a.keys if key in by_key), *a.checks)]
    said = [identity(document, "word", str(one.place)) for one in a.statement.attested]
    against = a.statement.state == "does_not_support"  # where a person's word stands against what was measured, it is shown as that
    return {
        "bom-ref": identity(document, "claim", a.statement.control.id), "target": identity(document, "model"),
        "predicate": say.t(CLEAR[a.statement.state], question=a.title), "reasoning": a.told,
        "evidence": rests if against else [*rests, *said], "counterEvidence": said if against else [],
    }  # fmt: skip


def standards(document: AuditResult, frameworks: Frameworks, say: Speaker) -> list[Json]:
    """What was asked: the questions of the plan, then the frameworks that apply."""
    asked_ = [
        {"bom-ref": identity(document, "requirement", q.id), "identifier": line(q.id), "title": say.stored(q.title, q.title_msg)}
        for q in document.questions
    ]
    own = {
        "bom-ref": identity(document, "plan"), "name": say.t(STANDARD), "version": document.plan_sha256, "description": say.t(STANDARD_SAID),
        "requirements": asked_,
    }  # fmt: skip
    return [*([own] if asked_ else []), *(framework_of(document, framework, found, say) for framework, found in frameworks)]


def framework_of(document: AuditResult, framework: Framework, found: list[Asked], say: Speaker) -> Json:
    controls = [(a.statement.control, a) for a in found]
    return {
        "bom-ref": identity(document, "framework", framework.id), "name": framework.called(say.lang), "version": framework.version,
        "description": say.t(PARAPHRASED), "owner": framework.jurisdiction,
        "requirements": [
            {"bom-ref": identity(document, "requirement", c.id), "identifier": c.id, "title": a.title, "text": a.requirement, "descriptions": [c.section]}
            for c, a in controls
        ],
    }  # fmt: skip


def draw(document: AuditResult, lang: str, edition: str, attested: Sequence[Attestation] = ()) -> bytes:
    """The bill of materials of a document that holds no more than this edition may show, with what was attested of it."""
    say, items, m, said = Speaker(lang), list(judged(document)), document.model, holding(attested)
    frameworks = asked(document, say, edition, said)
    listed = standards(document, frameworks, say)
    about: dict[str, object] = {
        "uri": m.uri, "format": m.flavor, "loadRisk": m.load_risk, "sha256": m.sha256, "sha256Of": say.t(FILE_DIGEST) if m.sha256 else None,
        "audit": document.id, "auditDigest": document.digest, "auditVerdict": document.verdict, "edition": edition, "language": lang,
    }  # fmt: skip
    model = {
        "type": "machine-learning-model", "bom-ref": identity(document, "model"), "name": line(m.name or m.uri)[:200], "version": line(m.version or ""),
        "modelCard": card(document, items, say), "properties": properties(about),
    }  # fmt: skip
    return dumps(pruned({
        "$schema": f"http://cyclonedx.org/schema/bom-{VERSION}.schema.json", "bomFormat": "CycloneDX", "specVersion": VERSION,
        "serialNumber": f"urn:uuid:{identity(document, 'cyclonedx', document.id, lang, edition, *spoken(said))}", "version": 1,
        "metadata": {"timestamp": finished(document), "tools": {"components": [{"type": "application", "name": "Witnessmark"}]}, "component": model},
        "components": components(document, say),
        "declarations": declarations(document, items, frameworks, said, say),
        "definitions": {"standards": listed} if listed else None,
    }))  # fmt: skip
