"""Reading reports back: every number is accounted for, and one altered digit is named."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from sample import sample

from audit.result import AuditResult
from reports import lint as command
from reports.html import render_html
from reports.lint import lint, main
from reports.obligations.render import draw as draw_paper
from reports.obligations.render import file_name, paper_of, plan_documents
from reports.pdf import draw
from reports.trace import Places, own_words, resolve, tokens


def folder(tmp_path: Path, name: str, data: bytes) -> Path:
    (tmp_path / "audit.json").write_text(sample().model_dump_json(by_alias=True), "utf-8")
    (tmp_path / name).write_bytes(data)
    return tmp_path / name


@pytest.mark.parametrize("edition", ["internal", "public"])
def test_every_number_of_a_page_is_accounted_for(edition: str) -> None:
    found = lint(render_html(sample(), "zh", edition).encode(), sample())
    assert found.faults == []
    assert found.counted["number"] > 400
    assert found.counted["tick"] > 40


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        (lambda html: html.replace('estimate.value">89.8\xa0%', 'estimate.value">88.9\xa0%', 1), "88.9"),
        (lambda html: html.replace("91.4\xa0% (90\xa0% to 92.7", "91.4\xa0% (90\xa0% to 97.2", 1), "97.2"),  # an alternative text
        (lambda html: html.replace("<li>", "<li>123 ", 1), "123 is accounted for by nothing"),
        (lambda html: html.replace('data-path="data.rows"', 'data-path="data.rowz"', 1), "names a place that is not in the document"),
        (lambda html: html.replace("0.74 times as often as white", "0.75 times as often as white", 1), "0.75"),
        (lambda html: html.replace("2026-11-21", "2026-11-12", 1), "2026-11-12"),
        (lambda html: re.sub(r"9c9c9c9c", "9c9c8c9c", html, count=1), "9c9c8c9c"),
        (lambda html: html.replace(">−24.1<", ">+24.1<", 1), "+24.1"),  # a sign
    ],
)
def test_one_altered_digit_is_named(wrong: Callable[[str], str], named: str, monkeypatch: pytest.MonkeyPatch) -> None:
    html = render_html(sample())
    assert wrong(html) != html
    monkeypatch.setattr(command, "same_numbers", lambda *_: None)  # the trace alone finds it
    monkeypatch.setattr(command, "page_of", lambda *_, **__: command.Page(""))
    faults = lint(wrong(html).encode(), sample()).faults
    assert faults
    assert any(named in fault for fault in faults)


def test_a_number_that_one_language_lacks_is_named() -> None:
    html = render_html(sample()).replace('<data class="n" data-path="data.rows">1,989 rows</data>', "", 1)
    faults = lint(html.encode(), sample()).faults
    assert faults == ["1,989 stands 1 times in one language and not in the other in “1,989” (data.rows)"]


def altered() -> AuditResult:
    """The sample with one digit of one estimate changed: 89.8 to 89.9 percent."""
    document = sample()
    check = document.checks[1]
    finding = check.findings[0]
    assert finding.estimate is not None
    other = finding.model_copy(update={"estimate": finding.estimate.model_copy(update={"value": finding.estimate.value + 0.001})})
    checks = [*document.checks[:1], check.model_copy(update={"findings": [other, *check.findings[1:]]}), *document.checks[2:]]
    return document.model_copy(update={"checks": checks})


def test_a_pdf_is_held_against_the_document() -> None:
    assert lint(draw(sample(), "en", "internal"), sample()).faults == []
    faults = lint(draw(altered(), "en", "internal"), sample()).faults
    assert any("what is printed is not in the document" in fault and "89.9" in fault for fault in faults)
    assert any("alternative text" in fault and "89.9" in fault for fault in faults)


def test_the_command_lists_classes_and_exits_1_on_a_fault(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    html = render_html(sample(checks=[], questions=[]))
    path = folder(tmp_path, "report.html", html.encode())
    (tmp_path / "audit.json").write_text(sample(checks=[], questions=[]).model_dump_json(by_alias=True), "utf-8")
    assert main([str(path)]) == 0
    told = capsys.readouterr().out
    assert "numbers of the document at their place" in told
    assert told.endswith("report.html: every number is accounted for\n")
    path.write_text(html.replace("1,989", "1,998"), "utf-8")
    assert main([str(path), "--audit", str(tmp_path)]) == 1
    assert "FAILED 1,998 is accounted for by nothing" in capsys.readouterr().out


@pytest.mark.parametrize(("name", "data"), [("absent.html", None), ("other.pdf", b"%PDF-1.7 nothing")])
def test_what_cannot_be_read_is_one_line_and_2(tmp_path: Path, name: str, data: bytes | None, capsys: pytest.CaptureFixture[str]) -> None:
    path = folder(tmp_path, name, data or b"")
    if data is None:
        path.unlink()
    assert main([str(path)]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_words_with_digits() -> None:
    assert tokens("−0.81 (90 % interval 0.68 to 1,234), [U+202E] p < 0.001; 2026-11-21") == [
        "−0.81",
        "90",
        "0.68",
        "1,234",
        "0.001",
        "2026-11-21",
    ]
    assert tokens("在12行中为4.1 × 10⁻¹⁵") == ["12", "4.1", "10⁻¹⁵"]


def test_a_place_is_found_by_its_path() -> None:
    record = {"checks": [{"a b": {"c.d": 5}}], "x": [1, 2]}
    assert resolve(record, "checks[0].a b.c.d") == 5
    with pytest.raises(LookupError):
        resolve(record, "x[2]")


def test_our_own_words_hold_no_bare_number() -> None:
    assert [piece for piece, words in own_words() if not re.search(r"[^\W\d_]", piece)] == []


def test_a_findings_path_does_not_speak_for_its_evidence() -> None:
    document = sample()
    i, j = next((i, j) for i, c in enumerate(document.checks) for j, f in enumerate(c.findings) if f.evidence)
    numbers, _ = Places(document).at(f"checks[{i}].findings[{j}]")
    deeper, _ = Places(document).at(f"checks[{i}].findings[{j}].evidence")
    assert deeper - numbers


# --- papers of blocks: documents of frameworks, notices -----------------------------------------------------------------------------------


def law(lang: str, format_: str, tmp_path: Path, name: str = "euaia4") -> tuple[Path, bytes]:
    """The document of a law beside the audit."""
    (tmp_path / "audit.json").write_text(sample().model_dump_json(by_alias=True), "utf-8")
    wanted = plan_documents(sample(), [name], [format_], None)[0]
    path = tmp_path / file_name(wanted, lang, "internal")
    path.write_bytes(draw_paper(paper_of(sample(), wanted, tmp_path, lang, "internal"), format_, "a4"))
    return path, path.read_bytes()


@pytest.mark.parametrize("lang", ["en", "zh"])
@pytest.mark.parametrize("format_", ["html", "pdf"])
def test_the_document_of_a_law_is_held_against_audit_and_law(lang: str, format_: str, tmp_path: Path) -> None:
    _, data = law(lang, format_, tmp_path)
    found = lint(data, sample(), tmp_path)
    assert found.faults == []
    assert found.counted["number"] > 20
    assert found.counted["law"] > 20


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("1,989", "1,998"),  # a number of the audit
        ("Annex IV point 2(g)", "Annex IV point 2(9)"),  # a section of the law
        ("2024-07-12", "2024-07-21"),  # its version
        ("</h2>", " 17</h2>"),  # a number of nobody's
        ('data-path="digest">', 'data-path="digest">0'),
    ],
)
def test_one_altered_digit_in_the_document_of_a_law_is_named(
    old: str, new: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, data = law("en", "html", tmp_path)
    assert old in data.decode()
    path.write_text(data.decode().replace(old, new, 1), "utf-8")
    assert main([str(path)]) == 1
    assert "FAILED" in capsys.readouterr().out


def test_a_printed_document_of_another_audit_is_named(tmp_path: Path) -> None:
    _, data = law("zh", "pdf", tmp_path)
    assert any("1,989" in fault for fault in lint(data, sample(data=sample().data.model_copy(update={"rows": 1998})), tmp_path).faults)


def test_a_framework_of_ones_own_is_named_to_be_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    own = tmp_path / "house.yaml"
    own.write_text(
        "id: house\nname: House\nname_zh: 内部\njurisdiction: EU\nlegal_force: practice\nversion: '12'\nconfidence: high\nverified_on: 2026-11-21\n"
        "verified: x\ncontrols:\n- {id: house.a, section: '17', title: T, title_zh: 题, requirement: R., requirement_zh: 要。, kind: measured, evidence: [performance]}\n"
    )
    path, _ = law("en", "html", tmp_path, str(own))
    assert main([str(path)]) == 2
    assert "--framework PATH" in capsys.readouterr().err
    assert main([str(path), "--framework", str(own)]) == 0
