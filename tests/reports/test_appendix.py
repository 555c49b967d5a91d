"""The appendix: it holds exactly what its report leaves out, the report names it, and there is none where nothing is left out."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from pypdf import PdfReader
from sample import sample

from audit.result import AuditResult
from reports import appendix, content, html, pdf
from reports.content import Caps
from reports.formats import FORMATS
from reports.generate import main
from reports.lint import lint
from reports.readback import Page, printed
from reports.speaker import Speaker
from reports.tables import blocks

SLICES = 200
SMALL = Caps(200, 8, 4, 2, 20, 3)


def many(slices: int = SLICES) -> AuditResult:
    """The check of groups of the sample with so many slices more, told apart by their names."""
    document = sample(questions=[])
    check = next(c for c in document.checks if c.info.id == "fairness.group")
    first = next(f for f in check.findings if f.slice and f.estimate and f.against)
    more = [first.model_copy(update={"key": f"{i:016x}", "slice": {"region": f"region {i}"}, "evidence": []}) for i in range(slices)]
    return document.model_copy(update={"checks": [check.model_copy(update={"findings": [*check.findings, *more]})]})


@pytest.fixture(scope="module", params=["en", "zh"])
def both(request: pytest.FixtureRequest) -> tuple[str, bytes, bytes]:
    """A report for print with 200 slices more, and its appendix."""
    (_, data), (kind, rest) = FORMATS["pdf"].render_all(many(), request.param, "internal")
    assert kind.name(request.param, "internal") == ("appendix.pdf" if request.param == "en" else "appendix.zh.pdf")
    return request.param, data, rest


def test_a_report_with_many_slices_stays_short_and_names_the_appendix_that_has_the_rest(both: tuple[str, bytes, bytes]) -> None:
    lang, data, rest = both
    report, added = printed(io.BytesIO(data)), printed(io.BytesIO(rest))
    assert len(PdfReader(io.BytesIO(data)).pages) <= pdf.MOST_PAGES
    assert len(data) <= pdf.MOST_BYTES
    assert ("appendix.pdf" if lang == "en" else "appendix.zh.pdf") in report.text
    for i in range(SLICES):
        assert (f"region{i}(" in report.text or f"region{i}（" in report.text) != (
            f"region{i}(" in added.text or f"region{i}（" in added.text
        ), i


def test_every_number_of_an_appendix_is_accounted_for(both: tuple[str, bytes, bytes]) -> None:
    found = lint(both[2], many())
    assert found.faults == []
    assert found.counted["number"] > 500


def test_it_goes_on_where_the_report_ends() -> None:
    """Findings, rows, lists and records: what the report shows and what the appendix holds are all there is, each once."""
    document, say = sample(), Speaker("en")
    shown = content.content(document, say, "internal", SMALL, "appendix.html")
    made = appendix.paper(document, "en", "internal", SMALL, ())
    assert made is not None
    for i, check in enumerate(document.checks):
        whole = [row.who.text for block in blocks(check, "", say, 10_000) for row in block.rows]
        rest = [row.who.text for block in blocks(check, "", say, 10_000, skip=SMALL.findings) for row in block.rows]
        kept = [row.who.text for _, _, views in shown.families for v in views if v.index == i for block in v.blocks for row in block.rows]
        assert kept + rest == whole
    assert len(shown.screen.not_shown) == SMALL.said + 1
    assert "appendix.html" in str(shown.screen.not_shown[-1])


def test_a_report_that_leaves_nothing_out_has_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    document = sample(checks=[], questions=[])
    assert appendix.paper(document, "en", "internal", content.CAPS[0], ()) is None
    (tmp_path / "audit.json").write_text(document.model_copy(update={"context": {}}).model_dump_json(by_alias=True), "utf-8")
    assert main([str(tmp_path), "--format", "html", "--format", "appendix-html"]) == 0
    assert [Path(line).name for line in capsys.readouterr().out.splitlines()] == ["report.html", "appendix.html"]
    assert "The report leaves out nothing" in (tmp_path / "appendix.html").read_text("utf-8")


def test_a_page_of_html_has_its_appendix_too(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(html, "CAPS", (SMALL,))
    monkeypatch.setattr(content, "CAPS", (SMALL,))
    document = sample(context={})
    (tmp_path / "audit.json").write_text(document.model_dump_json(by_alias=True), "utf-8")
    assert main([str(tmp_path), "--lang", "zh"]) == 0
    assert [Path(line).name for line in capsys.readouterr().out.splitlines()] == ["report.zh.html", "appendix.zh.html"]
    read = Page((tmp_path / "appendix.zh.html").read_text("utf-8"))
    assert read.about[:3] == ["appendix", "zh", "internal"]
    assert lint((tmp_path / "appendix.zh.html").read_bytes(), document).faults == []


def test_the_public_edition_withholds_in_the_appendix_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(html, "CAPS", (SMALL,))
    monkeypatch.setattr(content, "CAPS", (SMALL,))
    inside, outside = (FORMATS["html"].render_all(sample(), "en", edition)[1][1].decode() for edition in ("internal", "public"))
    assert inside.count("withheld in the public edition") == 0
    assert outside.count("withheld in the public edition") > 0
