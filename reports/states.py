"""Which look everything with a verdict has: a finding, a check, a question, a family, the whole audit."""

from __future__ import annotations

from collections.abc import Iterable

from audit.result import AuditResult, CheckResult, Finding, Question
from reports.words import LOOKS


def family_of(check: str) -> str:
    return check.split(".", 1)[0]


SIZE_OPEN = "difference_established_size_open"
TOO_SMALL = ("too_few_rows", "too_few_clusters")
#: Which findings a question rests on, where they were too few to be listed as its answer.
RESTS_ON = {"fairness_selection": ("selection_rate",), "fairness_opportunity": ("true_positive_rate", "true_negative_rate")}


def _open(verdict: str, findings: Iterable[Finding]) -> str:
    """The key of the look of a verdict: one that is open although a difference is established never says that nobody can tell."""
    established = verdict == "inconclusive" and any(f.verdict == "inconclusive" and f.reason == SIZE_OPEN for f in findings)
    return "size_open" if established else verdict


def state_of_finding(finding: Finding) -> str:
    """The key of its look."""
    return _open(finding.verdict, [finding])


def standing(check: CheckResult) -> list[Finding]:
    """Of a check that shows several methods beside each other, the findings of those that no gate rejects: one that fails is crossed out alone."""
    if check.info.id != "explanation.ways":
        return []
    failed = {f.slice.get("(method)") for f in check.findings if f.verdict == "fail"}
    return [f for f in check.findings if f.slice.get("(method)") not in failed]


def state_of(check: CheckResult) -> str:
    """The key of its look: the verdict where it ran, else what happened to it."""
    if check.about == "evidence" and check.verdict == "fail" and not check.rejected and (stand := standing(check)):
        return next(v for v in ("inconclusive", "pass", "not_judged") if v in {f.verdict for f in stand})
    if check.rejected or (check.about == "evidence" and check.verdict == "fail"):
        return "rejected"
    return _open(check.verdict, check.findings) if check.status == "completed" else check.status


def state_of_question(question: Question, document: AuditResult) -> str:
    """The key of its look."""
    rests = [
        f
        for c in document.checks
        for f in c.findings
        if f.key in question.findings
        or (c.info.id == question.check and f.criterion and f.criterion.role == "decides" and f.metric in RESTS_ON.get(question.id, ()))
    ]
    return _open(question.verdict, rests)


def state_of_audit(document: AuditResult) -> str:
    """The key of its look."""
    states = [state_of_question(q, document) for q in document.questions]
    return "size_open" if document.verdict == "inconclusive" and "size_open" in states else document.verdict


def decides(check: CheckResult) -> bool:
    """Whether a finding of the check answers a deciding question."""
    return any(f.criterion and f.criterion.role == "decides" for f in check.findings)


def family_states(document: AuditResult) -> dict[str, str]:
    """The key of each family's look: the worst of its checks, and never better than its open question."""
    found: dict[str, str] = {}
    for check in document.checks:
        name, state = family_of(check.info.id), state_of(check)
        found[name] = min(found.get(name, state), state, key=lambda s: LOOKS[s].rank)
    for name, state in found.items():
        if state == "pass" and (question := document.open_question(name)) is not None:
            found[name] = state_of_question(question, document)
    return found
