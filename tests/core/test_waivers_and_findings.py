"""Accepted findings, the list to work through, and an audit's validity: each told as of a day."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scene import Scene, set_scene

from audit import findings as command
from audit.errors import AuditError
from audit.findings import rows
from audit.judge import audit_verdict
from audit.manifest import make
from audit.result import AuditResult, Finding, document_digest
from audit.roles import check_context, merge, parse_decision
from audit.signing import canonical
from audit.verify import verify
from audit.waivers import read_waivers
from reports.disclose import public
from reports.history import validity
from reports.speaker import Speaker
from reports.view import first_screen


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    """2,000 rows where women get the favourable decision half as often."""
    sex = ["f", "m"] * 1000
    pred = [int(i % 10 < (3 if s == "f" else 6)) for i, s in zip(np.repeat(np.arange(1000), 2), sex, strict=True)]
    context = {"owner": "Lending", "responses": {"0" * 16: "never"}}
    return set_scene(tmp_path_factory.mktemp("scene"), pred=pred, y=pred, groups={"sex": sex}, context=context)


@pytest.fixture(scope="module")
def plain(scene: Scene) -> AuditResult:
    return scene.document(skip=["data"])


def by_verdict(document: AuditResult, verdict: str) -> Finding:
    return next(f for c in document.checks for f in c.findings if f.verdict == verdict and f.criterion)


def waiver(key: str, **changes: Any) -> dict[str, Any]:
    return {"key": key, "reason": "known", "person": "R. Okafor", "expires": "2026-06-30"} | changes


def test_a_waiver_accepts_expires_is_not_needed_or_names_nothing(scene: Scene, plain: AuditResult) -> None:
    failing, passing = by_verdict(plain, "fail"), by_verdict(plain, "pass")
    reported = next(f for c in plain.checks for f in c.findings if f.verdict == "not_judged")
    for given, state in (
        (waiver(failing.key), "accepted"),
        (waiver(failing.key, expires="2026-01-01"), "accepted"),  # the last day on which it counts: the audit began on it
        (waiver(failing.key, expires="2025-12-31"), "expired"),
        (waiver(passing.key), "not_needed"),
        (waiver(reported.key), "not_needed"),
        (waiver("f" * 16), "unknown"),
    ):
        document = scene.document(skip=["data"], waivers=[given])
        assert [w.state for w in document.waivers] == [state], given


def test_a_waiver_changes_no_verdict_no_digest_and_stands_on_page_one(scene: Scene, plain: AuditResult) -> None:
    keys = [f.key for c in plain.checks for f in c.findings if f.verdict in ("fail", "inconclusive")]
    waived = scene.document(skip=["data"], waivers=[waiver(k) for k in keys])
    assert plain.verdict == waived.verdict == "fail"
    assert audit_verdict(plain.questions) == audit_verdict(waived.questions)
    assert document_digest(plain.model_dump(mode="json")) == document_digest(waived.model_dump(mode="json"))
    first = first_screen(waived, Speaker("en"))
    failing = by_verdict(waived, "fail").key
    assert any(str(line).startswith("Accepted by R. Okafor until 2026-06-30: known (") and failing in str(line) for line in first.waivers)
    assert str(first.deciding[0].detail).endswith("Accepted by R. Okafor until 2026-06-30.")
    assert "Accepted" not in str(first_screen(plain, Speaker("en")).deciding[0].detail)
    expired = scene.document(skip=["data"], waivers=[waiver(failing, expires="2025-01-01")])
    page = first_screen(expired, Speaker("en"))
    assert str(page.waivers[0]).startswith("Expired on 2025-01-01 and counts as none")
    assert "Accepted" not in str(page.deciding[0].detail)


def test_the_public_edition_keeps_what_was_written_about_a_withheld_group(tmp_path: Path) -> None:
    sex = ["f"] * 5 + ["m"] * 600
    document = set_scene(tmp_path, pred=[0] * 5 + [1, 0] * 300, groups={"sex": sex}).document()
    small = next(f for c in document.checks for f in c.findings if f.slice == {"sex": "f"} and f.metric == "selection_rate")
    given = [{**waiver(small.key, reason="all quintuplets were refused"), "state": "accepted"}]
    waived = AuditResult.model_validate(document.model_dump(mode="json") | {"waivers": given})
    assert "quintuplets" not in public(waived).model_dump_json()
    assert "quintuplets" in waived.model_dump_json()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("[[waiver]", "cannot read the waivers"),
        ('key = "x"', "hold key"),
        ('[[waivers]]\nkey = "x"', "hold waivers"),
        ("waiver = 3", "only [[waiver]] is known"),
        ("waiver = [3]", "waiver 1"),
        ('[[waiver]]\nkey = "XYZ"\nreason = "r"\nperson = "p"\nexpires = 2027-01-01', "'key'"),
        ('[[waiver]]\nkey = "0123456789abcdef"\nperson = "p"\nexpires = 2027-01-01', "'reason'"),
        ('[[waiver]]\nkey = "0123456789abcdef"\nreason = " "\nperson = "p"\nexpires = 2027-01-01', "'reason'"),
        ('[[waiver]]\nkey = "0123456789abcdef"\nreason = "r"\nexpires = 2027-01-01', "'person'"),
        ('[[waiver]]\nkey = "0123456789abcdef"\nreason = "r"\nperson = "p"', "'expires'"),
        ('[[waiver]]\nkey = "0123456789abcdef"\nreason = "r"\nperson = "p"\nexpires = 20270101', "'expires'"),
        ('[[waiver]]\nkey = "0123456789abcdef"\nreason = "r"\nperson = "p"\nexpires = "soon"', "'expires'"),
        ('[[waiver]]\nkey = "0123456789abcdef"\nreason = "r"\nperson = "p"\nexpires = 2027-01-01\nwhy = 1', "'why'"),
        ('[[waiver]]\nkey = "0123456789abcdef"\nreason = "r"\nperson = "p"\nexpires = 2027-01-01\n' * 2, "more than once"),
        ('[[waiver]]\nkey = "XYZ"\nreason = "r"\nperson = "p"\nexpires = 2027-01-01', "it is not 16 hexadecimal digits"),
        ('[[waiver]]\nkey = "0123456789abcdef"\nreason = " "\nperson = "p"\nexpires = 2027-01-01', "it is empty"),
    ],
)
def test_waivers_that_cannot_be_meant_are_refused(tmp_path: Path, content: str, said: str) -> None:
    (tmp_path / "waivers.toml").write_text(content)
    with pytest.raises(AuditError) as caught:
        read_waivers(tmp_path / "waivers.toml")
    assert said in caught.value.what
    assert "\n" not in str(caught.value)


def test_waivers_are_read_with_dates_as_toml_or_as_text_and_may_be_none(tmp_path: Path) -> None:
    path = tmp_path / "waivers.toml"
    path.write_text("# none at present\n")
    assert read_waivers(path) == []
    for date in ("2027-01-31", '"2027-01-31"'):
        path.write_text(f'[[waiver]]\nkey = "0123456789abcdef"\nreason = "r"\nperson = "p"\nexpires = {date}\n')
        assert [w.expires.isoformat() for w in read_waivers(path)] == ["2027-01-31"]


def test_findings_are_all_listed_the_most_pressing_first(plain: AuditResult) -> None:
    found = rows(plain, [], "2026-01-11")
    assert sorted(r.key for r in found) == sorted(f.key for c in plain.checks for f in c.findings)
    assert len({r.key for r in found}) == len(found), "a key names one finding"
    order = ["fail", "inconclusive", "pass", "not_judged"]
    assert [order.index(r.verdict) for r in found] == sorted(order.index(r.verdict) for r in found)
    assert (found[0].verdict, found[0].severity, found[0].role) == ("fail", "critical", "decides")
    assert (found[0].first_seen, found[0].age_days, found[0].owner) == ("2026-01-01", 10, "Lending")
    assert all((r.age_days is None) == (r.verdict in ("pass", "not_judged")) for r in found)


def test_age_waiver_and_response_are_those_of_the_day(scene: Scene, plain: AuditResult) -> None:
    key = by_verdict(plain, "fail").key
    past = {"models_on_this_data": 1, "open_since": {key: "2025-12-02"}}
    document = scene.document(skip=["data"], history=past, waivers=[waiver(key)])
    then, after = (next(r for r in rows(document, document.waivers, day) if r.key == key) for day in ("2026-06-30", "2026-07-01"))
    assert (then.first_seen, then.age_days, then.waiver, then.response) == ("2025-12-02", 210, "accepted", "known")
    assert (after.age_days, after.waiver, after.response) == (211, "expired", "")
    answering = document.model_copy(update={"context": document.context | {"responses": {key: "cutoff lowered by May"}}})
    assert next(r for r in rows(answering, document.waivers, "2026-01-01") if r.key == key).response == "cutoff lowered by May"


@pytest.fixture
def folder(plain: AuditResult, tmp_path: Path) -> Path:
    (tmp_path / "audit.json").write_text(plain.model_dump_json(by_alias=True))
    return tmp_path


def test_csv_and_json_hold_every_finding(folder: Path, plain: AuditResult, capsys: pytest.CaptureFixture[str]) -> None:
    total = sum(len(c.findings) for c in plain.checks)
    assert command.main([str(folder), "--csv"]) == 0
    read = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert len(read) == total
    failing = by_verdict(plain, "fail")
    assert failing.estimate is not None
    assert float(next(r for r in read if r["key"] == failing.key)["value"]) == failing.estimate.value
    assert command.main([str(folder), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (len(told["findings"]), told["verdict"], told["answered"]["fail"]) == (total, "fail", plain.answered.fail)
    (folder / "w.toml").write_text(f'[[waiver]]\nkey = "{failing.key}"\nreason = "r"\nperson = "p"\nexpires = 9999-12-31\n')
    assert command.main([str(folder), "--waivers", str(folder / "w.toml")]) == 0
    assert "accepted: p, until 9999-12-31" in capsys.readouterr().out
    assert command.main([str(folder / "nowhere")]) == 2


def test_a_text_that_a_spreadsheet_would_run_is_quoted(plain: AuditResult, capsys: pytest.CaptureFixture[str]) -> None:
    context = plain.context | {"owner": "=cmd|' /C calc'!A0"}
    command._csv(rows(plain.model_copy(update={"context": context}), [], "2026-01-01"))
    assert {r["owner"] for r in csv.DictReader(io.StringIO(capsys.readouterr().out))} == {"'=cmd|' /C calc'!A0"}


def test_an_audit_expires_and_only_what_is_said_live_knows(folder: Path, plain: AuditResult, capsys: pytest.CaptureFixture[str]) -> None:
    assert plain.valid_until == "2027-01-01"
    say = Speaker("en")
    assert validity(plain, "2027-01-01", say).startswith("Valid until 2027-01-01")
    assert validity(plain, "2027-01-02", say) == "Expired on 2027-01-01: audit the model again."
    for until, word in (("2000-01-01", "EXPIRED on 2000-01-01"), ("9999-01-01", "valid until 9999-01-01")):
        document = plain.model_copy(update={"valid_until": until})
        (folder / "audit.json").write_text(document.model_dump_json(by_alias=True))
        (folder / "manifest.json").write_bytes(canonical(make(folder, document.model_dump(mode="json"), ["audit.json"])))
        assert command.main([str(folder)]) == 0
        assert word in capsys.readouterr().out
        claims = [c for c in verify(folder) if "valid" in c[1]]
        assert [c[0] for c in claims] == (["NOT CHECKED"] if until < "2026" else ["OK"])
        assert ("expired on 2000-01-01" in claims[0][2]) == (until < "2026")


@pytest.mark.parametrize(
    "rule",
    [
        "score>=0.5,score>=0.3",
        "score>=0.3, top=5%",
        "0.3<=score<0.5",
        "score>=0.5 and score<0.9",
        "score>=0.5;top=10",
        "score>=.3 score>=.5",
    ],
)
def test_a_rule_of_several_cutoffs_is_refused_by_name(rule: str) -> None:
    with pytest.raises(AuditError, match="holds several cutoffs"):
        parse_decision(rule)


def test_a_rule_that_is_merely_unknown_is_not_called_several() -> None:
    for rule in ("best", "score>0.5", "top=0", "score>="):
        with pytest.raises(AuditError, match="is not known"):
            parse_decision(rule)
    assert parse_decision("column=a, b").column == "a, b"


@pytest.mark.parametrize("cost", [-1, -0.5, float("nan"), float("inf"), "5", True])
def test_costs_that_are_no_amounts_are_refused_wherever_the_context_comes_from(cost: object) -> None:
    context = {"cost_of_errors": {"false_positive": cost, "false_negative": 5}}
    with pytest.raises(AuditError, match=r"cost_of_errors\.false_positive"):
        check_context(context)
    with pytest.raises(AuditError, match="cost_of_errors"):
        merge({"context": context}, {})
    with pytest.raises(AuditError, match="cost_of_errors"):
        merge(None, {"context": context})


def test_costs_may_be_told_in_words_and_responses_are_sentences() -> None:
    check_context({"cost_of_errors": "a wrong refusal costs more"})
    check_context({"cost_of_errors": {"false_positive": 0, "false_negative": 2.5}, "responses": {"a": "b"}})
    with pytest.raises(AuditError, match="responses"):
        check_context({"responses": {"a": 1}})
