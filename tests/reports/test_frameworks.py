"""Frameworks as data: what comes with the product, what is refused, and the law of a day."""

from __future__ import annotations

import datetime
import re
from pathlib import Path

import pytest
import yaml
from pieces import OWN

from audit.errors import AuditError
from audit.registry import checks
from reports.obligations.catalogue import FOLDER, Framework, Step, built_in, controls, find, planned, read
from reports.obligations.evidence import SOURCES
from reports.obligations.timing import day, timing, timing_text
from reports.speaker import Speaker


def test_what_comes_with_the_product() -> None:
    frameworks = built_in()
    assert len(frameworks) == 23
    assert sum(len(f.controls) for f in frameworks.values()) == 473
    assert len(controls(list(frameworks.values()))) == 473  # an attestation names a control by its id alone
    assert {path.stem for path in FOLDER.glob("*.yaml")} == set(frameworks)


def test_nothing_is_called_compliant() -> None:
    for f in built_in().values():
        for text in (t for c in f.controls for t in (c.title, c.title_zh, c.requirement, c.requirement_zh)):
            assert not any(word in text.lower() for word in ("is compliant", "certified as", "已合规"))


def test_what_comes_with_the_product_is_whole_in_both_languages_and_says_what_it_asks_for() -> None:
    for path in FOLDER.glob("*.yaml"):
        for control in yaml.safe_load(path.read_text())["controls"]:
            texts = control["title_zh"], control["requirement_zh"]
            assert all(re.search("[\u4e00-\u9fff]", text) for text in texts), control["id"]
            assert control["requirement_zh"][-1] == "。", control["id"]
            for text in texts:  # punctuation is that of Chinese; a thin space parts it from Latin letters and digits
                assert not re.search(r"[,;?!](?!\d)|\.$|[A-Za-z0-9% ][\u4e00-\u9fff]|[\u4e00-\u9fff][A-Za-z0-9 ]", text), control["id"]
            assert ("asks" in control) == (control["kind"] != "attested"), control[
                "id"
            ]  # said of each that evidence can answer, not left to a default


@pytest.mark.parametrize(
    ("control", "asks"),
    [
        ("euaia.art15_1", "result"),  # reach a suitable accuracy
        ("euaia.art13_3b2", "measurement"),  # state the levels that were tested
        ("euaia.art10_3", "result"),  # data are representative
        ("euaia.art10_2f", "measurement"),  # data were examined
        ("euaia4.p2g2", "measurement"),
        ("nycll144.301b2", "measurement"),  # the rule has no threshold
        ("ugesp.4D1", "result"),  # four fifths is one
        ("nist.MEASURE-2.11", "measurement"),
        ("nist.MEASURE-2.5", "result"),  # is demonstrated to be valid
        ("sr26.outcome", "measurement"),
        ("regb.9b2", "result"),
        ("cngenai.t9.4", "result"),
        ("cnpipl.24-1", "result"),
        ("modelcard.4.7a", "measurement"),
        ("datasheet.2", "record"),
        ("gdpr.rec71", "result"),
    ],
)
def test_what_a_control_asks_for(control: str, asks: str) -> None:
    assert controls(list(built_in().values()))[control][1].asks == asks


def test_every_kind_of_evidence_names_checks_that_exist() -> None:
    named = {id_ for source in SOURCES.values() for id_ in (*source.first, *source.further)}
    assert named <= set(checks())
    assert set(checks()) - named == set(), "a check that backs no kind of evidence"


def test_own_framework_is_a_file(tmp_path: Path) -> None:
    path = tmp_path / "house.yaml"
    path.write_text(OWN)
    assert find(str(path)).controls[0].id == "house.a"


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (("id: house\n", "id: house\nid: house\n"), "'id' stands twice"),
        (("controls:\n", "controls:\n- {id: house.a, section: '1', title: t, title_zh: t, requirement: r, requirement_zh: r, kind: measured, evidence: [performance]}\n"), "control house.a stands there twice"),
        (("version: '1'", "version: '1'\ncolour: red"), "at colour"),
        (("2026-11-21", "2026-13-21"), "month must be in 1..12"),
        (("[performance]", "[magic]"), "controls.0.evidence.0"),
        (("[performance]", "[human_attestation]"), "names evidence that can be measured"),
        (("id: house\n", "id: 'a b'\n"), "at id"),
        (("id: house\n", "id: gdpr\n"), "is one of ours"),
        (("controls:", "controls: [\x07"), "is no YAML"),
        (("kind: measured", "kind: measured, schedule: later"), "there is no schedule later"),
        (("kind: measured", "kind: measured, asks: obedience"), "controls.0.asks"),
        ((", requirement_zh: 测量错误。", ""), "controls.0.requirement_zh"),
    ],
)  # fmt: skip
def test_a_framework_that_is_none_is_refused_in_one_line(tmp_path: Path, change: tuple[str, str], told: str) -> None:
    path = tmp_path / "house.yaml"
    path.write_text(OWN.replace(*change))
    with pytest.raises(AuditError, match=r".") as refused:
        find(str(path))
    assert told in str(refused.value)
    assert "\n" not in str(refused.value)


def test_no_yaml_makes_objects(tmp_path: Path) -> None:
    path = tmp_path / "house.yaml"
    path.write_text("!!python/object/apply:os.system ['true']")
    with pytest.raises(AuditError, match="is no YAML"):
        read(path)


def test_unknown_framework_names_near_ones() -> None:
    with pytest.raises(AuditError, match=r"nyc144 is not known — use nycll144"):
        find("nyc144")


def test_a_plan_names_only_ours(tmp_path: Path) -> None:
    planned(["nycll144", "euaia27"])
    (tmp_path / "house.yaml").write_text(OWN)
    for name in ("nyc144", str(tmp_path / "house.yaml")):
        with pytest.raises(AuditError, match="none of ours"):
            planned([name])


# --- the law of a day -------------------------------------------------------------------------------------------------------------------


def told(control: str, as_of: str) -> tuple[str, str, str | None]:
    framework, found = controls(list(built_in().values()))[control]
    t = timing(framework, found, day(as_of))
    return t.state, str(t.since), t.debated and str(t.debated)


@pytest.mark.parametrize(
    ("control", "as_of", "state", "since"),
    [
        ("euaia.art9_1", "2026-07-26", "not_yet", "2026-08-02"),  # before the amendment: the date of 2024
        ("euaia.art9_1", "2026-07-27", "not_yet", "2027-12-02"),
        ("euaia.art9_1", "2027-12-01", "not_yet", "2027-12-02"),
        ("euaia.art9_1", "2027-12-02", "applies", "2027-12-02"),
        ("euaia.art9_1", "2024-07-31", "not_in_law", "2024-08-01"),
        ("euaia4.p1a", "2026-11-21", "not_yet", "2027-12-02"),
        ("euaia.art5", "2025-02-02", "applies", "2025-02-02"),
        ("euaia.art50_1", "2026-11-21", "applies", "2026-08-02"),
        ("coadmt.1704-3", "2026-11-21", "not_yet", "2027-01-01"),
        ("coadmt.1704-3", "2026-01-01", "not_in_law", "2027-01-01"),
        ("sr26.dev", "2026-04-16", "not_in_law", "2026-04-17"),
        ("nycll144.301b1", "2023-07-04", "not_in_law", "2023-07-05"),
    ],
)
def test_dates(control: str, as_of: str, state: str, since: str) -> None:
    assert told(control, as_of)[:2] == (state, since)


def test_a_debated_date_shows_both() -> None:
    assert told("euaia.art86", "2026-11-21") == ("debated", "2026-08-02", "2027-12-02")
    assert told("euaia.art86", "2027-12-02") == ("applies", "2026-08-02", "2027-12-02")


def test_both_dates_are_printed_where_one_was_put_off() -> None:
    framework, control = controls(list(built_in().values()))["euaia.art9_1"]
    before = timing_text(timing(framework, control, day("2026-01-01")), day("2026-01-01"), Speaker("en"))
    after = timing_text(timing(framework, control, day("2026-11-21")), day("2026-11-21"), Speaker("en"))
    assert "applies from 2026-08-02" in before
    assert "A later law, Regulation (EU) 2026/1744, Art. 1(40), puts the date at 2027-12-02." in before
    assert "applies from 2027-12-02" in after
    assert "The earlier law, Regulation (EU) 2024/1689, Art. 113, had put the date at 2026-08-02." in after


def test_a_superseded_rule_says_by_what() -> None:
    record = yaml.safe_load(OWN) | {"until": datetime.date(2026, 4, 17), "superseded_by": {"en": "by SR 26-2", "zh": "由 SR 26-2 取代"}}
    framework = Framework.model_validate(record)
    when = timing(framework, framework.controls[0], day("2026-04-17"))
    assert timing_text(when, day("2026-04-17"), Speaker("en")) == "Superseded on 2026-04-17. By SR 26-2."
    assert timing(framework, framework.controls[0], day("2026-04-16")).state == "applies"


def test_the_replaced_rule_is_named() -> None:
    framework = built_in()["sr26"]
    when = timing(framework, framework.controls[0], day("2025-01-01"))
    assert "SR 11-7" in timing_text(when, day("2025-01-01"), Speaker("en"))


@pytest.mark.parametrize("text", ["2026-13-01", "21.11.2026", "20261121", "", "tomorrow"])
def test_a_day_that_is_none(text: str) -> None:
    with pytest.raises(AuditError, match="is no date"):
        day(text)


def test_every_schedule_is_used_and_dated() -> None:
    for framework in built_in().values():
        assert {c.schedule for c in framework.controls} - {None} == set(framework.schedules)
        for steps in framework.schedules.values():
            assert all(isinstance(step, Step) for step in steps)
