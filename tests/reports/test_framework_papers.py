"""Documents of frameworks: every control is in them with its state, what is said leads into the audit, and drafts say that they are."""

from __future__ import annotations

import datetime
import json
import re
from pathlib import Path
from typing import Literal

import pytest
from reading import Page
from sample import sample

from reports.blocks import Heading, Paper, Runs, Table
from reports.generate import main
from reports.obligations.attestations import Attestation
from reports.obligations.catalogue import Framework, built_in, find
from reports.obligations.dossier import Dossier
from reports.obligations.draw import LAYOUTS, paper
from reports.obligations.facts import fact
from reports.obligations.render import file_name, plan_documents
from reports.obligations.statements import LOOKS
from reports.paper import html, markdown
from reports.speaker import Speaker

DAY = datetime.date(2026, 11, 21)
LANGS = ("en", "zh")


def word(control: str, says: Literal["attested", "not_applicable"] = "attested", *, holds: bool = True) -> Attestation:
    return Attestation(0, control, says, "Ada <b>", "owner", "I looked & wrote.", None, "a" * 64, "2026-11-22T10:00:00Z", holds, None)


def drawn(name: str, lang: str = "en", *words: Attestation, as_of: datetime.date = DAY, edition: str = "internal") -> Paper:
    return paper(Dossier(sample(), find(name), as_of, words, Speaker(lang), edition))


def runs_of(made: Paper) -> list[Runs]:
    found: list[Runs] = []
    for block in made.blocks:
        if isinstance(block, Heading):
            found.append((block.text,))
        elif isinstance(block, Table):
            found += [cell for row in block.rows for cell in row if isinstance(cell, tuple)]
        else:
            found += [getattr(block, "runs", ()), *getattr(block, "items", ())]
    return found


@pytest.fixture(scope="module")
def annex() -> dict[str, str]:
    return {lang: html(drawn("euaia4", lang)) for lang in LANGS}


@pytest.mark.parametrize("framework", list(built_in().values()), ids=lambda f: f.id)
@pytest.mark.parametrize("lang", LANGS)
def test_every_control_stands_there_once_with_its_state(framework: Framework, lang: str) -> None:
    made = drawn(framework.id, lang)
    anchors = [b.anchor for b in made.blocks if isinstance(b, Heading) and b.anchor.startswith("control-")]
    own = [f"control-{c.id}" for c in framework.controls]
    assert (sorted(anchors) == sorted(own)) if framework.id in LAYOUTS else (anchors == own)
    text = "".join(run.text for found in runs_of(made) for run in found)
    assert all(c.called(lang).split("（")[0] in text for c in framework.controls)
    assert not re.search(r"\b(is|are) (fully )?(compliant|certified|unbiased|fair)\b|已合规|完全合规", text)


def test_numbers_say_where_they_come_from(annex: dict[str, str]) -> None:
    for run in (run for found in runs_of(drawn("euaia4")) for run in found):
        assert not run.numeric or run.path
    assert '<data class="n" data-path="data.rows">1,989</data>' in annex["en"]


def test_a_draft_says_so_until_the_whole_is_attested(annex: dict[str, str]) -> None:
    assert "DRAFT until a named person has attested it" in annex["en"]
    one = html(drawn("euaia4", "en", word("euaia4.p1d")))
    assert "DRAFT" in one  # one item is not the document
    assert "Attested by Ada &lt;b&gt; (owner) on 2026-11-22" in re.sub(r"</?bdi[^>]*>", "", one)
    assert "<b>" not in re.sub(r"<b>(Asked for|Annex)", "", one).replace("<b><bdi", "")
    assert "DRAFT" not in html(drawn("euaia4", "en", word("euaia4")))
    assert "DRAFT" in html(drawn("euaia4", "en", word("euaia4", holds=False)))


def test_what_was_asked_for_and_not_called_for_says_so(annex: dict[str, str]) -> None:
    assert "Not shown to apply" in annex["en"]
    assert "未表明适用" in annex["zh"]
    assert "Not shown to apply" not in html(drawn("regb"))  # credit in the United States


def test_facts_that_nobody_declared_are_gaps(annex: dict[str, str]) -> None:
    lines = Page(annex["en"]).lines
    assert any(line.startswith("Intended use") and "deciding mortgage applications" in line for line in lines)
    assert any(line.startswith("Owner") and line.endswith("not stated: a gap") for line in lines)


def test_dates_differ_with_the_day() -> None:
    before, after = (Page(html(drawn("euaia4", as_of=datetime.date(*d)))).lines for d in ((2026, 1, 1), (2026, 11, 21)))
    assert any("applies from 2026-08-02" in line for line in before)
    assert any("Changes on 2026-07-27" in line for line in before)
    assert any("applies from 2027-12-02" in line for line in after)
    assert any("Changed on 2026-07-27" in line for line in after)


def test_the_same_again_is_the_same() -> None:
    assert html(drawn("sr26", "zh")) == html(drawn("sr26", "zh"))


def test_both_languages_carry_the_same_numbers(annex: dict[str, str]) -> None:
    numbers = [re.findall(r'<data class="n" data-path="([^"]*)">([^<]*)</data>', annex[lang]) for lang in LANGS]
    assert numbers[0] == numbers[1]
    assert numbers[0]


def test_states_are_words_and_signs(annex: dict[str, str]) -> None:
    lines = "\n".join(Page(annex["en"]).lines)
    assert all(f"{LOOKS[state].sign} {LOOKS[state].word}" in lines for state in ("does_not_support", "gap", "inconclusive"))


def test_hostile_names_stay_text() -> None:
    assert "<img" not in html(drawn("nist"))


def test_parts_of_a_framework_are_documents_of_their_own() -> None:
    assert [c.section for c in find("euaia27").controls][:6] == [f"Art. 27(1)({x})" for x in "abcdef"]
    assert [c.section for c in find("gdpr35").controls] == [
        "Art. 35(1), (3)(a)", "Art. 35(7)(a)", "Art. 35(7)(b)", "Art. 35(7)(c)", "Art. 35(7)(d)", "Art. 35(11)",
    ]  # fmt: skip


def test_the_self_assessment_of_the_filing_goes_from_the_algorithm_to_its_risks_to_what_is_done() -> None:
    """In the order of the form: the algorithm, the service, the risks, what is done against them, the conclusion."""
    found = find("cnalgo24")
    assert (found.controls[0].section, found.controls[-1].section) == ("第十六条", "第二十七条")
    assert {c.id for c in found.controls} == {c.id for c in find("cnalgo").controls}


def headings(made: Paper) -> list[str]:
    return [b.text.text for b in made.blocks if isinstance(b, Heading) and b.level == 2]


def test_the_validation_report_has_the_parts_of_the_guidance_in_its_order() -> None:
    found = headings(drawn("sr26"))
    assert [h.split(". ", 1)[1] for h in found if h[0].isdigit()] == [
        "Purpose, scope and materiality", "The model and its place in the inventory", "Development evidence", "Conceptual soundness",
        "Outcomes analysis", "Sensitivity and stress", "Ongoing monitoring and triggers of a new review",
        "Effective challenge: findings and who answers for them", "Governance", "Sign-off",
    ]  # fmt: skip
    lines = Page(html(drawn("sr26"))).lines
    assert "Error of the probabilities (log loss) 0.311 0.287 0.336 1,989 · Reported" in lines
    assert any("✕ Fails (critical)" in line and line.endswith("Accepted by R. Example until 2027-03-31.") for line in lines)
    assert any("✕ Fails (major)" in line and line.endswith("Nobody answers for it yet: a gap.") for line in lines)
    assert "Validator A. Example" in " ".join(lines)
    assert any(line.startswith("Model owner") and "a gap" in line for line in lines)
    assert any(line.startswith("Attested") and "a gap" in line for line in lines)
    signed = Page(html(drawn("sr26", "en", word("sr26")))).lines
    assert any(line.startswith("Attested") and "Ada" in line for line in signed)


def test_a_validation_of_what_nothing_was_measured_of_says_so_in_each_part() -> None:
    bare = sample().model_copy(update={"checks": [], "questions": [], "waivers": []})
    lines = Page(html(paper(Dossier(bare, find("sr26"), DAY, (), Speaker("en"))))).lines
    assert lines.count("Nothing was measured of it in this audit: a gap.") == 3
    assert "No finding of this audit fails, and none that decides is open." in lines


@pytest.mark.parametrize("lang", LANGS)
def test_colorado_s_notice_and_statement_have_every_field_filled_or_a_gap(lang: str) -> None:
    made = drawn("coadmt", lang)
    assert len([h for h in headings(made) if h[0].isdigit()]) == 4
    tables = [b for b in made.blocks if isinstance(b, Table) and not b.heads]
    fields = {row[0][0].text: "".join(map(str, row[1])) for table in tables[1:] for row in table.rows if isinstance(row[0], tuple)}
    assert all(fields.values())
    if lang == "en":
        assert fields["What it is used for"] == "deciding mortgage applications"
        assert fields["Who uses it"] == "not stated: a gap"
        assert fields["The decision, and its date"] == "to be filled in for each decision"
        assert fields["Records of this audit are kept at least until"] == "2029-11-21"
        assert "Due within 30 days of the adverse outcome." in Page(html(made)).lines


@pytest.mark.parametrize("name", ["sr26", "coadmt"])
def test_in_a_rule_s_own_order_no_control_and_no_fact_of_one_is_lost(name: str) -> None:
    """Each control stands in one part, and what was declared for it in some part's table."""
    audit, framework = sample(), find(name)
    dossier = Dossier(audit, framework, DAY, (), Speaker("en"))
    parts = LAYOUTS[name](dossier)
    assert sorted(id_ for part in parts for id_ in part.controls) == sorted(c.id for c in framework.controls)
    shown = {
        run.path
        for part in parts
        for b in part.blocks
        if isinstance(b, Table)
        for row in b.rows
        for cell in row
        if isinstance(cell, tuple)
        for run in cell
    }
    declared = {run.path for c in framework.controls for fact_ in c.facts for run in fact(audit, fact_, dossier.say) or ()}
    assert declared
    assert declared <= shown


def test_annex_iv_has_every_numbered_point() -> None:
    sections = " ".join(c.section for c in find("euaia4").controls)
    wanted = [f"1({x})" for x in "abcdefgh"] + [f"2({x})" for x in "abcdefgh"] + [str(i) for i in range(3, 10)]
    assert all(f"point {point}" in sections for point in wanted)


# --- the command ------------------------------------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "audit").mkdir()
    (tmp_path / "audit" / "audit.json").write_text(sample().model_dump_json(by_alias=True), "utf-8")
    return tmp_path / "audit"


def test_the_command_writes_lists_and_dates_it(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(folder), "--framework", "coadmt", "--lang", "zh", "--as-of", "2027-02-01"]) == 0
    assert capsys.readouterr().out.splitlines() == [str(folder / "coadmt.zh.html")]
    (view,) = json.loads((folder / "views.json").read_text("utf-8"))
    assert (view["framework"], view["as_of"], view["format"]) == ("coadmt", "2027-02-01", "html")


def test_own_framework_by_path(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    own = tmp_path / "house.yaml"
    own.write_text(
        "id: house\nname: House\nname_zh: 内部\njurisdiction: EU\nlegal_force: practice\nversion: '1'\nconfidence: high\nverified_on: 2026-11-21\n"
        "verified: x\ncontrols:\n- {id: house.a, section: '1', title: T, title_zh: 题, requirement: R., requirement_zh: 要求。, kind: measured, evidence: [performance]}\n"
    )
    assert main([str(folder), "--framework", str(own)]) == 0
    assert capsys.readouterr().out.splitlines() == [str(folder / "house.html")]


def test_what_the_context_calls_for_is_made_unasked() -> None:
    audit = sample()
    wanted = plan_documents(audit, [], ["html"], None)
    assert [w.framework.id for w in wanted] == ["nist", "regb", "sr26"]
    assert {w.as_of for w in wanted} == {DAY}  # the audit's own day
    assert file_name(wanted[0], "zh", "public") == "nist.public.zh.html"
    assert plan_documents(sample(context={}), [], ["html"], None) == []


def test_a_plan_names_frameworks_and_leaves_no_trace_where_it_names_none(tmp_path: Path) -> None:
    from audit import plan as plans

    path = tmp_path / "plan.toml"
    path.write_text('[frameworks]\nids = ["nycll144"]\n')
    asked = plans.asked(plans.load(path), set(), None)
    assert plans.fixed(plans.load(path), asked, sample=1, seed=0)["frameworks"] == {"ids": ["nycll144"]}
    assert "frameworks" not in plans.fixed(plans.load(None), asked, sample=1, seed=0)
    planned = sample(plan=sample().plan | {"frameworks": {"ids": ["nycll144"]}})
    assert [w.framework.id for w in plan_documents(planned, [], ["html"], None)] == ["nycll144"]
    assert [w.framework.id for w in plan_documents(planned, ["gdpr"], ["html"], None)] == ["gdpr"]


@pytest.mark.parametrize("lang", LANGS)
def test_markdown_says_the_same_and_stays_text(lang: str) -> None:
    made = drawn("coadmt", lang, word("coadmt.1704-8"))
    told = markdown(made)
    assert "<b>" not in told.replace("\\<b\\>", "")
    assert all(c.called(lang) in told for c in find("coadmt").controls)
    assert f"| {Speaker(lang).t('State')} | {Speaker(lang).t('Controls')} |\n| --- | ---: |" in told
