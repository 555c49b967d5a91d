"""JUnit XML for continuous integration: a deciding question or a judged finding is a test case.

What fails is a failure, what is open or was not run is skipped with its reason, what went wrong is an error. The elements and attributes are those
that the common schemas have: testsuites > testsuite > properties, testcase (failure | error | skipped)*, system-out, system-err.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal
from xml.etree import ElementTree

from audit.compared import Comparison
from audit.result import AuditResult, CheckResult
from reports.comparison import GATES, STATES, answers, finding_text, held, metric_text, side_text, who_text
from reports.history import waiver_text
from reports.records import explained
from reports.sentences import pair_text, sentence
from reports.speaker import Speaker, clean
from reports.words import LOOKS

Result = Literal["passed", "failure", "error", "skipped"]
#: What a verdict, a requirement of the gate and the state of a finding are as a test; whatever is not named here was not settled.
VERDICTS: dict[str, Result] = {"pass": "passed", "fail": "failure", "error": "error"}
REQUIREMENTS: dict[str, Result] = {"non_inferior": "passed", "worse": "failure"}
CLASSES: dict[str, Result] = {"new": "failure", "persisting": "failure", "resolved": "passed"}
#: Characters that no XML 1.0 document may hold, even escaped.
FORBIDDEN = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True)
class Case:
    """A test case: `kind` names what it is in one word, `text` is what is told where it did not pass."""

    suite: str
    name: str
    result: Result
    text: str = ""
    kind: str = ""
    seconds: float = 0.0


def xml_text(text: object) -> str:
    """Text that an XML document may hold; characters that disturb a line are spelt out."""
    return FORBIDDEN.sub("\ufffd", clean(text))


def audit_cases(document: AuditResult, say: Speaker) -> list[Case]:
    """The deciding questions, then every finding that is held against a criterion that decides or warns."""
    waived = {w.key: waiver_text(w, document, say) for w in document.waivers if w.state == "accepted"}
    cases = []
    for q in document.questions:
        reason = say.stored(q.reason, q.reason_msg) or say.t(LOOKS[q.verdict].word)
        if q.verdict == "fail":
            reason = say.join(
                [sentence(f, say) for c in document.checks for f in c.findings if f.key in q.findings and f.verdict == "fail"]
            )
        cases.append(Case("questions", say.stored(q.title, q.title_msg), VERDICTS.get(q.verdict, "skipped"), reason, q.verdict))
    for check in document.checks:
        cases += _of_check(check, say, waived)
    return cases


def _of_check(check: CheckResult, say: Speaker, waived: dict[str, str]) -> Iterable[Case]:
    judged = [f for f in check.findings if f.criterion is not None and f.criterion.role != "reports"]
    if check.status != "completed":
        result: Result = "error" if check.status == "errored" else "skipped"
        yield Case(check.info.id, say.stored(check.info.title, None), result, say.stored(check.reason, check.reason_msg), check.status)
    for i, f in enumerate(judged):
        name = say.pair(metric_text(f.metric, "value", say), pair_text(f, say))
        text = say.join([explained(f, say), waived.get(f.key, "")])
        seconds = check.seconds if i == 0 else 0.0
        yield Case(check.info.id, f"{name} [{f.compare}] {f.key}", VERDICTS.get(f.verdict, "skipped"), text, f.verdict, seconds)


def comparison_cases(found: Comparison, say: Speaker) -> list[Case]:
    """The requirements of the gate, and every finding that fails in one of the audits."""
    cases = []
    for item in found.gate.requirements:
        told = held(item, say)
        result = REQUIREMENTS.get(item.result, "skipped")
        cases.append(Case("gate", told.what, result, say.join([say.t(told.look.word), told.bound, told.note]), item.result))
    for f in found.findings:
        result = CLASSES.get(f.state, "skipped")
        text = say.join([say.t(STATES[f.state].word), finding_text(f, say)])
        name = say.pair(metric_text(f.metric, "value", say), who_text(f.slice, f.against, say))
        cases.append(Case(f.check, f"{name} [{f.compare}] {f.key}", result, text, f.state))
    return cases


def _suites(cases: list[Case], *, name: str, when: str, properties: dict[str, str], out: str) -> bytes:
    """The document; counts are those of its cases, times are seconds with three decimals, `when` is UTC without its letter."""
    root = ElementTree.Element("testsuites", name=xml_text(name))
    for i, suite in enumerate(dict.fromkeys(case.suite for case in cases)):
        members = [case for case in cases if case.suite == suite]
        element = ElementTree.SubElement(root, "testsuite", name=xml_text(suite), timestamp=when.removesuffix("Z"), hostname="localhost")
        _counted(element, members)
        listed = ElementTree.SubElement(element, "properties")
        for key, value in properties.items():
            ElementTree.SubElement(listed, "property", name=key, value=xml_text(value))
        for case in members:
            one = ElementTree.SubElement(element, "testcase", name=xml_text(case.name), classname=xml_text(f"witnessmark.{suite}"))
            one.set("time", f"{case.seconds:.3f}")
            if case.result != "passed":
                told = ElementTree.SubElement(one, case.result, message=xml_text(case.text))
                if case.result != "skipped":
                    told.set("type", case.kind)
                    told.text = xml_text(case.text)
        ElementTree.SubElement(element, "system-out").text = xml_text(out) if i == 0 else ""
        ElementTree.SubElement(element, "system-err")
    _counted(root, cases)
    ElementTree.indent(root)
    body = ElementTree.tostring(root, encoding="unicode")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{body}\n'.encode()


def _counted(element: ElementTree.Element, cases: list[Case]) -> None:
    element.set("tests", str(len(cases)))
    for name, result in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        element.set(name, str(sum(case.result == result for case in cases)))
    element.set("time", f"{sum(case.seconds for case in cases):.3f}")


def audit_xml(document: AuditResult, lang: str, edition: str = "internal") -> bytes:
    """An audit as JUnit XML; the public edition says no more of itself than what it leaves out."""
    say = Speaker(lang)
    properties = {
        "audit": document.id, "digest": document.digest, "model": document.model.uri, "data": document.data.source, "verdict": document.verdict,
        "answered": f"{document.answered.passed + document.answered.fail} of {document.answered.decides}",
    }  # fmt: skip
    out = say.stored(document.why, document.why_msg)
    return _suites(audit_cases(document, say), name="witnessmark", when=document.started, properties=properties, out=out)


def comparison_xml(found: Comparison, lang: str) -> bytes:
    """A comparison as JUnit XML."""
    say = Speaker(lang)
    properties = {
        "old": f"{found.old.model} {found.old.digest}", "new": f"{found.new.model} {found.new.digest}", "paired": str(found.paired).lower(),
        "gate": found.gate.result,
    }  # fmt: skip
    lines = [
        say.stored(found.opening, found.opening_msg), say.pair(say.t("Old"), side_text(found.old, say)), say.pair(say.t("New"), side_text(found.new, say)),
        *(say.join([title, both]) for title, both in answers(found, say)), say.t(GATES[found.gate.result].word),
    ]  # fmt: skip
    return _suites(
        comparison_cases(found, say), name="witnessmark compare", when=found.new.started, properties=properties, out="\n".join(lines)
    )
