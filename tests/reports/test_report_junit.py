"""JUnit XML: what a CI server reads of an audit."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest
from sample import HOSTILE, sample

from audit.result import AuditResult, Waiver, document_digest
from reports.generate import main
from reports.junit import FORBIDDEN, audit_xml

#: Elements of the common schemas with their attributes: those that must be there, and those that may.
ELEMENTS = {
    "testsuites": ({"name", "tests", "failures", "errors", "skipped", "time"}, set()),
    "testsuite": ({"name", "tests", "failures", "errors", "skipped", "time", "timestamp", "hostname"}, set()),
    "properties": (set(), set()),
    "property": ({"name", "value"}, set()),
    "testcase": ({"name", "classname", "time"}, set()),
    "failure": ({"message", "type"}, set()),
    "error": ({"message", "type"}, set()),
    "skipped": ({"message"}, set()),
    "system-out": (set(), set()),
    "system-err": (set(), set()),
}
CHILDREN = {
    "testsuites": ["testsuite"], "testsuite": ["properties", "testcase", "system-out", "system-err"], "properties": ["property"],
    "testcase": ["failure", "error", "skipped"],
}  # fmt: skip


def parsed(document: AuditResult, lang: str = "en") -> ElementTree.Element:
    return ElementTree.fromstring(audit_xml(document, lang))


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_the_structure_is_that_of_the_common_schemas(lang: str) -> None:
    root = parsed(sample(), lang)
    assert root.tag == "testsuites"
    for element in root.iter():
        needed, optional = ELEMENTS[element.tag]
        assert needed <= set(element.attrib) <= needed | optional, element.tag
        order = [CHILDREN[element.tag].index(child.tag) for child in element]
        assert order == sorted(order), f"{element.tag}: a sequence in the schemas"
    for suite in [root, *root.iter("testsuite")]:
        cases = list(suite.iter("testcase"))
        assert int(suite.get("tests", "")) == len(cases)
        for name, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
            assert int(suite.get(name, "")) == sum(len(case.findall(tag)) for case in cases)
        assert all(len(case) <= 1 for case in cases)


def test_questions_and_judged_findings_are_the_cases() -> None:
    document = sample()
    root = parsed(document)
    questions = {c.get("name"): c for c in root.iter("testcase") if c.get("classname") == "witnessmark.questions"}
    assert set(questions) == {q.title for q in document.questions}
    failing = questions["Do groups get the favourable decision alike?"].find("failure")
    assert failing is not None
    assert "refused 3.5 times as often" in failing.get("message", "")
    skipped = questions["Are qualified people treated alike?"].find("skipped")
    assert skipped is not None
    assert "human decision" in skipped.get("message", "")
    keys = [c.get("name", "").split()[-1] for c in root.iter("testcase")]
    judged = {f.key for c in document.checks for f in c.findings if f.criterion is not None and f.criterion.role != "reports"}
    assert judged
    assert judged <= set(keys)


def test_an_accepted_finding_is_a_failure_that_says_so() -> None:
    document = sample()
    key = next(f.key for c in document.checks for f in c.findings if f.verdict == "fail")
    waiver = Waiver(key=key, reason="known since May", person="B. Example", expires="2027-01-31", state="accepted")
    root = parsed(document.model_copy(update={"waivers": [waiver]}))
    case = next(c for c in root.iter("testcase") if c.get("name", "").endswith(key))
    told = case.find("failure")
    assert told is not None
    assert "B. Example" in told.get("message", "")


def test_hostile_names_stay_text() -> None:
    """Markup is escaped; characters that XML 1.0 forbids are gone."""
    document = sample(why="a\u0000b\ufffe <x> & ]]> " + str(HOSTILE), why_msg=None)
    data = audit_xml(document, "en").decode()
    assert not FORBIDDEN.search(data)
    assert "<x>" not in data
    assert "<script" not in data
    out = parsed(document).find(".//system-out")
    assert out is not None
    assert "<x> & ]]>" in str(out.text)


def test_it_is_written_as_a_view_with_its_language_in_the_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    document = sample()
    document = document.model_copy(update={"digest": document_digest(document.model_dump(mode="json"))})
    (tmp_path / "audit.json").write_text(document.model_dump_json(by_alias=True), "utf-8")
    assert main([str(tmp_path), "--format", "junit"]) == 0
    assert main([str(tmp_path), "--format", "junit", "--lang", "zh", "--edition", "public"]) == 0
    assert [Path(line).name for line in capsys.readouterr().out.splitlines()] == ["junit.xml", "junit.public.zh.xml"]
    assert "junit.xml" in (tmp_path / "views.json").read_text()
