"""The summary: two pages whatever the audit, the words of the report, and numbers that can be traced."""

from __future__ import annotations

import io

import pytest
from pypdf import PdfReader
from sample import sample

from audit.result import AuditResult, CheckResult
from reports.lint import lint
from reports.speaker import Speaker
from reports.summary import draw
from reports.typeset import inked
from reports.view import first_screen


def close(data: bytes) -> str:
    return "".join("".join(page.extract_text() for page in PdfReader(io.BytesIO(data)).pages).split()).replace("\u200b", "")


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_it_says_verdict_why_findings_families_limits_and_how_to_verify(lang: str) -> None:
    document, say = sample(), Speaker(lang)
    data = draw(document, lang, "internal")
    text, screen = close(data), first_screen(document, say)
    told = [screen.why, screen.answered, screen.purpose, *(f.text for f in screen.deciding), *(q.text for q in screen.questions)]
    told += [f.text for f in screen.families] + [f.detail for f in screen.families] + screen.not_shown
    for line in map(str, told):
        assert "".join(inked(line).split()).replace("\u200b", "") in text, line
    for word in ("What decides it", "What this audit does not show", "How to verify it"):
        assert "".join(say.t(word).split()) in text
    assert document.digest is not None
    assert document.digest in text
    assert len(PdfReader(io.BytesIO(data)).pages) == 2


def test_its_numbers_can_be_traced() -> None:
    assert lint(draw(sample(), "en", "internal"), sample()).faults == []
    other = sample(why="Black applicants get it 0.47 times as often.", why_msg=None)
    assert any("0.47" in fault for fault in lint(draw(other, "en", "internal"), sample()).faults)


def large() -> AuditResult:
    """An audit in which everything is many and long, in checks of eleven families."""
    document, long = sample(), "长 name " * 1500
    families = (
        "data",
        "performance",
        "calibration",
        "fairness",
        "explanation",
        "privacy",
        "robustness",
        "uncertainty",
        "efficiency",
        "language",
    )
    checks = [
        CheckResult.model_validate(
            document.checks[1].model_dump() | {"info": document.checks[1].info.model_dump() | {"id": f"{f}.x{i}"}, "summary": long, "verdict": "inconclusive"}
        )
        for f in families
        for i in range(8)
    ]  # fmt: skip
    return sample(
        checks=document.checks + checks, why=long, why_msg=None, questions=document.questions * 12, waivers=document.waivers * 20,
        notes=[long] * 200, notes_msg=[], context=document.context | {"intended_use": long, "known_limits": [long] * 9},
    )  # fmt: skip


def test_a_large_audit_has_two_pages_too() -> None:
    document = large()
    data = draw(document, "zh", "internal", "letter")
    assert len(PdfReader(io.BytesIO(data)).pages) <= 2
    assert "项见完整报告" in close(data)
