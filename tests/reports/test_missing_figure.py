"""A document in which a figure is missing, or all of them are: every format is drawn, each gap is a dash with its reason, nothing becomes a number."""

from __future__ import annotations

import json
import re

import pytest
from sample import sample

from audit.measurement import Table
from audit.result import AuditResult
from reports.formats import FORMATS
from reports.lint import lint

REASON = "nobody in this group had an outcome"
TEXTS = [name for name, kind in FORMATS.items() if not kind.whole and not kind.paged]


def without(*, every: bool) -> AuditResult:
    """The sample without the first estimate that a check judged, or without any; cells of tables lose their numbers with them."""
    document, left = sample(), 10**6 if every else 1
    checks = []
    for check in document.checks:
        findings = []
        for stored in check.findings:
            f = stored
            if left and f.estimate is not None and (every or f.criterion is not None):
                left -= 1
                gone = [
                    e.model_copy(update={"rows": [[None if isinstance(c, float) else c for c in row] for row in e.rows]})
                    if isinstance(e, Table)
                    else e
                    for e in f.evidence
                ]
                f = f.model_copy(
                    update={"estimate": None, "test": None, "verdict": "inconclusive", "reason": REASON, "parts": [], "evidence": gone}
                )
            findings.append(f)
        checks.append(check.model_copy(update={"findings": findings}))
    return document.model_copy(update={"checks": checks})


@pytest.mark.parametrize("every", [False, True])
@pytest.mark.parametrize("lang", ["en", "zh"])
def test_every_format_is_drawn(lang: str, every: bool) -> None:
    document = without(every=every)
    for name in TEXTS:
        data = FORMATS[name].render(document, lang, "internal").decode()
        assert not re.search(r"\b(NaN|nan|Infinity)\b|>None<|\bNone %", data), name
        if name in ("html", "markdown"):
            assert REASON in data, name
        if name in ("oscal", "sarif", "cyclonedx"):
            json.loads(data, parse_constant=pytest.fail)


def test_a_page_with_gaps_can_be_read_back() -> None:
    document = without(every=True)
    assert lint(FORMATS["html"].render(document, "zh", "internal"), document).faults == []


def test_paper_shows_the_gap() -> None:
    document = without(every=True)
    kept = [c for c in document.checks if c.info.id == "fairness.group"]
    small = document.model_copy(update={"checks": kept, "questions": []})
    assert lint(FORMATS["pdf"].render(small, "en", "internal"), small).faults == []
