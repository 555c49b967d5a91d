"""The summary that Local Law 144 has published: the rule's own examples to the printed digit, every field, and gaps where nobody filled one."""

from __future__ import annotations

import datetime
import re
from pathlib import Path
from typing import Any

import pytest
from reading import Page
from sample import sample
from scene import Scene, set_scene
from test_laws import BOTH_A, BOTH_B, PARAMS, RACES_A, RACES_B, SEXES_B, people, scored

from audit.checks.fairness import ll144 as check
from audit.measurement import Measurement
from audit.result import AuditResult, CheckInfo, CheckResult, Finding
from reports.disclose import public
from reports.obligations import ll144
from reports.obligations.catalogue import find
from reports.obligations.dossier import Dossier
from reports.obligations.draw import paper
from reports.paper import html
from reports.speaker import Speaker

INFO = CheckInfo(id="fairness.ll144", title="Local Law 144", meaning="m", limits="l", unit="share", direction="none")


def audited(scene: Scene, context: dict[str, Any] | None = None, **params: Any) -> AuditResult:
    """An audit that holds what the check says of a scene."""
    made: list[Measurement] = list(scene.measure("fairness.ll144", **PARAMS, **params))
    findings = [Finding.model_validate(m.model_dump() | {"key": f"{i:016d}"}) for i, m in enumerate(made)]
    return sample(checks=[CheckResult(info=INFO, status="completed", summary="Said.", findings=findings)], context=context or {})


def page(audit: AuditResult, lang: str = "en", edition: str = "internal") -> str:
    shown = public(audit) if edition == "public" else audit
    return html(paper(Dossier(shown, find("nycll144"), datetime.date(2026, 11, 21), (), Speaker(lang), edition)))


def cells(text: str) -> dict[str, list[str]]:
    """The rows of the tables: category → the other cells, the first table that has it first."""
    found: dict[str, list[str]] = {}
    for row in re.findall(r"<tr><td.*?</tr>", text, re.DOTALL):
        texts = [re.sub(r"<[^>]*>", "", c) for c in re.findall(r"<td[^>]*>(.*?)</td>", row, re.DOTALL)]
        width = 2 if texts[0] in ("Male", "Female") and not texts[1][:1].isdigit() else 1
        found.setdefault(", ".join(texts[:width]), texts[width:])
    return found


@pytest.fixture(scope="module")
def selection(tmp_path_factory: pytest.TempPathFactory) -> AuditResult:
    return audited(set_scene(tmp_path_factory.mktemp("a"), **people(BOTH_A, unknown=250)), variant="selection")


def test_the_example_of_selection_to_the_printed_digit(selection: AuditResult) -> None:
    told = cells(page(selection))
    assert told["Male"][:4] == ["1,390", "667", "48\u00a0%", "1.000"]
    assert told["Female"][:4] == ["1,181", "555", "47\u00a0%", "0.979"]
    for (sex, race), (n, k, rate, ratio) in BOTH_A.items():
        assert told[f"{sex}, {race}"][:4] == [str(n), str(k), f"{rate:g}\u00a0%", f"{ratio:.3f}"]


def test_the_example_by_race(tmp_path: Path) -> None:
    told = cells(
        page(audited(set_scene(tmp_path, **people({(None, race): counts for race, counts in RACES_A.items()})), variant="selection"))
    )
    for race, (n, k, rate, ratio) in RACES_A.items():
        assert told[race][:2] == [str(n), str(k)]
        assert round(float(told[race][2].removesuffix("\u00a0%"))) == rate
        assert told[race][3] == f"{k / n / (412 / 797):.3f}"
        assert round(k / n / (412 / 797), 2) == ratio


def test_the_example_of_scoring_to_the_printed_digit(tmp_path: Path) -> None:
    text = page(audited(set_scene(tmp_path, **scored()), variant="scoring"))
    told = cells(text)
    for category, (n, _, rate, ratio) in (SEXES_B | RACES_B).items():
        assert told[category][0] == str(n)
        assert float(told[category][2].removesuffix("\u00a0%")) == rate
        assert abs(float(told[category][3]) - ratio) <= 0.0055  # three digits here, two in the rule
    for (sex, race), (n, k, ratio) in BOTH_B.items():
        assert told[f"{sex}, {race}"][:2] == [str(n), str(k)]
        assert abs(float(told[f"{sex}, {race}"][3]) - ratio) <= 0.0055
    lines = Page(text).lines
    assert any(line.startswith("Median of the scores") for line in lines)
    assert any(line.startswith("People exactly at the median") for line in lines)


CONTEXT = {
    "auditor": "A. Example", "independence": "no interest in the tool", "data_kind": "historical", "distribution_date": "2025-03-01",
    "population": "applicants of 2025", "period": "2025", "test_data": "none used",
}  # fmt: skip


def test_every_field_that_the_rule_asks_for(selection: AuditResult) -> None:
    lines = Page(page(selection.model_copy(update={"context": CONTEXT}), edition="public")).lines
    for wanted in (
        "Date of the bias audit 2026-11-21", "Source of the data, and explanation loanapp.parquet; applicants of 2025; 2025", "Historical or test data historical",
        "Why test data, and how they were made none used", "People of unknown sex or race/ethnicity, left out of the first table 250",
        "Date on which use of the tool began (distribution date) 2025-03-01", "Independent auditor A. Example; no interest in the tool", "None was left out.",
    ):  # fmt: skip
        assert wanted in lines, wanted
    assert any("until six months after" in line for line in lines)


def test_a_field_that_nobody_filled_is_a_gap(selection: AuditResult) -> None:
    lines = Page(page(selection)).lines
    assert "Date on which use of the tool began (distribution date) not stated: a gap" in lines


def test_the_public_edition_is_the_summary_alone_with_every_category(selection: AuditResult) -> None:
    inside, outside = page(selection), page(selection, edition="public")
    assert "Item by item" in inside
    assert "Item by item" not in outside
    assert cells(outside)["Female, Native American or Alaska Native"][:2] == ["17", "7"]


def test_a_small_category_is_left_out_only_with_a_justification_and_a_name(tmp_path: Path) -> None:
    scene = set_scene(tmp_path, **people(BOTH_A))
    name = "Female, Native American or Alaska Native"
    text = page(audited(scene, variant="selection", excluded={name: "17 people tell nothing"}, excluded_by="A. Example"))
    (line,) = [line for line in Page(text).lines if "17 people tell nothing (A. Example)" in line and line.startswith("Female,")]
    assert "17 people, rate 41.2 %." in line
    assert check.EXCLUDED == ll144.EXCLUDED


def test_without_the_check_the_tables_are_a_gap() -> None:
    assert any("The tables are missing, a gap" in line for line in Page(page(sample(checks=[]))).lines)


def test_chinese_has_the_same_figures(selection: AuditResult) -> None:
    numbers = [re.findall(r'<data class="n" data-path="(checks[^"]*)">([^<]*)</data>', page(selection, lang)) for lang in ("en", "zh")]
    assert numbers[0] == numbers[1]
