"""OSCAL: read back by compliance-trestle, and true to the format's words."""

from __future__ import annotations

import json
import re
from datetime import datetime
from typing import Any

import pytest
from hostile_names import NAMES, hostile, kinds
from markdown_it import MarkdownIt
from sample import sample
from trestle.oscal.assessment_results import Model

from audit.errors import AuditError
from audit.result import AuditResult
from reports.formats import FORMATS
from reports.obligations.attestations import Attestation, AttestedFile
from reports.records import NAMESPACE

TOKEN = re.compile(r"^[A-Za-z_][A-Za-z0-9._-]*$")


def drawn(document: AuditResult, lang: str = "en", *said: Attestation) -> dict[str, Any]:
    """The file as trestle reads it; it refuses fields, patterns and dates that the standard does not know."""
    data = FORMATS["oscal"].render(document, lang, "internal", attested=said)
    Model.model_validate_json(data)
    record: dict[str, Any] = json.loads(data)["assessment-results"]
    return record


def walk(value: Any) -> list[dict[str, Any]]:
    if isinstance(value, dict):
        return [value, *(d for v in value.values() for d in walk(v))]
    return [d for v in value for d in walk(v)] if isinstance(value, list) else []


@pytest.fixture(scope="module")
def record() -> dict[str, Any]:
    return drawn(sample())


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_trestle_reads_it_back_whole(lang: str) -> None:
    data = FORMATS["oscal"].render(sample(), lang, "internal")
    again = json.loads(Model.model_validate_json(data).assessment_results.oscal_serialize_json())
    times = {"last-modified", "start", "end", "collected", "expires", "deadline"}

    def same(value: Any) -> Any:
        """Times as instants: the library may write their zone in another way."""
        if isinstance(value, dict):
            return {k: datetime.fromisoformat(v) if k in times else same(v) for k, v in value.items()}
        return [same(v) for v in value] if isinstance(value, list) else value

    assert same(again) == same(json.loads(data))


def test_every_reference_leads_somewhere_and_identities_are_one_of_a_kind(record: dict[str, Any]) -> None:
    parts = walk(record)
    known = [d["uuid"] for d in parts if "uuid" in d]
    assert len(known) == len(set(known))
    used = [d[k] for d in parts for k in ("observation-uuid", "risk-uuid", "actor-uuid", "subject-uuid", "component-uuid") if k in d]
    used += [d["href"].removeprefix("#") for d in parts if d.get("href", "").startswith("#")]
    assert set(used) <= set(known)
    assert len(used) > 20
    assert not [d for d in parts if [] in d.values() or None in d.values()]


def test_states_are_those_of_the_format_and_what_is_open_says_so(record: dict[str, Any]) -> None:
    result = record["results"][0]
    states = {f["target"]["target-id"]: (f["target"]["status"]["state"], f["target"]["status"]["reason"]) for f in result["findings"]}
    assert states["question.baseline"] == ("satisfied", "pass")
    assert states["question.selection"] == ("not-satisfied", "fail")
    assert states["question.opportunity"] == ("not-satisfied", "other")
    assert states["explanation.local"] == ("not-satisfied", "other")  # it went wrong
    assert "performance.overall" not in states  # measured, held against nothing
    opened = next(f for f in result["findings"] if f["target"]["target-id"] == "question.opportunity")
    assert {"name": "verdict", "ns": NAMESPACE, "value": "inconclusive"} in opened["props"]
    assert all(TOKEN.match(i) for i in states)


def test_what_was_not_run_is_excluded_with_its_reason_and_has_no_finding(record: dict[str, Any]) -> None:
    result = record["results"][0]
    reviewed = result["reviewed-controls"]
    selection = reviewed["control-selections"][0]
    excluded = {c["control-id"] for c in selection["exclude-controls"]}
    assert excluded == {c.info.id for c in sample().checks if c.status == "skipped"} == {"calibration.groups"}
    assert excluded <= {c["control-id"] for c in selection["include-controls"]}
    assert not excluded & {f["target"]["target-id"] for f in result["findings"]}
    assert "agreement with past decisions" in reviewed["remarks"]
    everything = sample().model_copy(update={"checks": [c for c in sample().checks if c.status == "completed"]})
    assert "exclude-controls" not in drawn(everything)["results"][0]["reviewed-controls"]["control-selections"][0]


def test_controls_of_frameworks_that_apply_are_reviewed_with_what_the_evidence_says(record: dict[str, Any]) -> None:
    """The sample was declared as credit in Massachusetts. Nothing says that anything complies."""
    result = record["results"][0]
    found = {f["target"]["target-id"]: f for f in result["findings"]}
    assert found["regb.4a"]["target"]["status"] == {"state": "not-satisfied", "reason": "fail"}
    assert {o["observation-uuid"] for o in found["regb.4a"]["related-observations"]} <= {o["uuid"] for o in result["observations"]}
    assert {p["name"]: p["value"] for p in found["nist.GOVERN-1.1"]["props"]}["verdict"] == "gap"
    assert found["nist.GOVERN-1.1"]["target"]["status"] == {"state": "not-satisfied", "reason": "other"}
    named = [s["description"] for s in result["reviewed-controls"]["control-selections"]]
    assert len(named) > 2
    assert "never that anything complies" in result["reviewed-controls"]["remarks"]
    included = {c["control-id"] for s in result["reviewed-controls"]["control-selections"] for c in s["include-controls"]}
    assert set(found) <= included


def test_what_the_law_of_the_day_does_not_know_is_excluded() -> None:
    result = drawn(sample(started="2020-03-01T10:00:00Z"))["results"][0]
    excluded = {c["control-id"] for s in result["reviewed-controls"]["control-selections"] for c in s.get("exclude-controls", [])}
    assert "nist.GOVERN-1.1" in excluded
    assert "nist.GOVERN-1.1" not in {f["target"]["target-id"] for f in result["findings"]}


def test_no_framework_is_assumed_where_nothing_was_declared() -> None:
    assert len(drawn(sample(context={}))["results"][0]["reviewed-controls"]["control-selections"]) == 1


def test_numbers_stand_beside_what_was_observed(record: dict[str, Any]) -> None:
    document, result = sample(), record["results"][0]
    failing = next(f for c in document.checks for f in c.findings if f.slice == {"race": "black"} and f.criterion)
    seen = next(o for o in result["observations"] if {"name": "key", "ns": NAMESPACE, "value": failing.key} in o.get("props", []))
    props = {p["name"]: p["value"] for p in seen["props"]}
    assert failing.estimate is not None
    assert float(props["estimate"]) == failing.estimate.value
    assert (float(props["low"]), float(props["high"])) == (failing.estimate.low, failing.estimate.high)
    assert (props["n"], props["level"], props["interval-method"]) == ("1878", "0.9", "miettinen_nurminen")
    assert (props["limit-min"], props["role"]) == ("0.8", "decides")
    assert seen["methods"] == ["TEST"]
    assert seen["collected"] == document.finished == record["metadata"]["last-modified"]
    assert seen["expires"] == "2027-11-21T23:59:59Z"


def test_what_fails_is_a_risk_and_what_somebody_accepts_says_who(record: dict[str, Any]) -> None:
    risks = record["results"][0]["risks"]
    accepted = next(r for r in risks if r["status"] == "deviation-approved")
    assert {p["name"]: p["value"] for p in accepted["props"]}["accepted-by"] == "R. Example"
    assert accepted["deadline"] == "2027-03-31T23:59:59Z"
    assert "until 2027-03-31" in accepted["statement"]
    assert {r["status"] for r in risks} == {"open", "deviation-approved"}
    assert all("until" not in r["statement"] for r in risks if r["status"] == "open")


@pytest.mark.parametrize("name", NAMES[::5])
def test_hostile_names_are_valid_and_no_markup(name: str) -> None:
    """Titles and descriptions are Markdown in this format."""
    record = drawn(hostile(name))
    texts = [d[k] for d in walk(record) for k in ("title", "description", "statement") if isinstance(d.get(k), str)]
    read = MarkdownIt("commonmark").enable(["table", "strikethrough"])
    found = {t.type for told in texts for block in read.parse(told) for t in [block, *(block.children or [])]}
    assert found <= {"paragraph_open", "inline", "paragraph_close", "text", "text_special"}


@pytest.mark.parametrize("kind", ["regression", "image"])
def test_other_kinds_of_model_are_valid(kind: str) -> None:
    assert drawn(kinds()[kind], "zh")


def test_a_document_without_a_date_is_refused() -> None:
    with pytest.raises(AuditError, match="no time"):
        drawn(sample(finished="yesterday"))


def test_of_rejected_evidence_only_the_rejection_is_told(record: dict[str, Any]) -> None:
    seen = next(
        o for o in record["results"][0]["observations"] if {"name": "check", "ns": NAMESPACE, "value": "explanation.global"} in o["props"]
    )
    assert seen["description"].startswith("Evidence rejected")
    assert "Credit history moves the score most" not in json.dumps(record)


def word(place: int, control: str, **changed: Any) -> Attestation:
    said: dict[str, Any] = {
        "says": "attested", "name": "张三", "role": "head of *risk*", "statement": "Two officers see each refusal.", "file": None,
        "audit_sha256": "a" * 64, "made": "2026-12-01T10:00:00Z", "holds": True, "signer": None,
    } | changed  # fmt: skip
    return Attestation(place=place, control=control, **said)


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_what_named_persons_attested_stands_in_the_format_s_own_fields(lang: str) -> None:
    file = AttestedFile(name="signed.pdf", sha256="b" * 64)
    said = [
        word(0, "nist.GOVERN-1.1", file=file, signer="c" * 64), word(1, "nist.GOVERN-1.2", says="not_applicable"), word(2, "house.a"),
        word(3, "regb.4a", name="Ada *Example*"), word(4, "nist.GOVERN-1.3", holds=False),
    ]  # fmt: skip
    record = drawn(sample(), lang, *said)
    meta, (result,) = record["metadata"], record["results"]
    assert meta["last-modified"] == "2026-12-01T10:00:00Z"
    parties = {p["uuid"]: p["name"] for p in meta["parties"]}
    assert set(parties.values()) == {"张三", "Ada *Example*"}
    given = {a["parts"][0]["title"]: a for a in result["attestations"]}
    assert set(given) == {"nist.GOVERN-1.1", "nist.GOVERN-1.2", "house.a", "regb.4a"}, "nothing that speaks of another document"
    first = given["nist.GOVERN-1.1"]
    (who,) = first["responsible-parties"]
    assert [parties[u] for u in who["party-uuids"]] == ["张三"]
    assert [r["title"] for r in meta["roles"] if r["id"] == who["role-id"]] == [r"head of \*risk\*"]
    told = {p["name"]: p["value"] for p in first["parts"][0]["props"]}
    assert (told["audit-sha256"], told["attested"], told["file-sha256"], told["signed-by"]) == ("a" * 64, said[0].made, "b" * 64, "c" * 64)
    findings = {f["target"]["target-id"]: f for f in result["findings"]}
    answered = findings["nist.GOVERN-1.1"]
    assert answered["target"]["status"] == {"state": "satisfied", "reason": "other"}
    assert {p["name"]: p["value"] for p in answered["props"]}["verdict"] == "attested"
    assert "nist.GOVERN-1.2" not in findings
    assert findings["nist.GOVERN-1.3"]["target"]["status"] == {"state": "not-satisfied", "reason": "other"}
    assert findings["regb.4a"]["target"]["status"] == {"state": "not-satisfied", "reason": "fail"}, (
        "nobody's word outweighs what was measured"
    )
    seen = {o["uuid"]: o for o in result["observations"]}
    (asked,) = [seen[o["observation-uuid"]] for o in answered["related-observations"]]
    assert (asked["methods"], asked["origins"][0]["actors"][0]["type"]) == (["INTERVIEW"], "party")
    assert "Two officers see each refusal" in asked["description"]
    assert record["uuid"] != drawn(sample(), lang)["uuid"]
    assert "attestations" not in drawn(sample(), lang)["results"][0]


def test_what_only_had_to_be_measured_is_satisfied_for_another_reason_where_a_result_fails() -> None:
    record = drawn(sample(context={"jurisdictions": ["US-NYC"], "domain": "employment"}))
    states = {
        f["target"]["target-id"]: (f["target"]["status"], {p["name"]: p["value"] for p in f["props"]}["verdict"])
        for f in record["results"][0]["findings"]
    }
    measured = [status for status, verdict in states.values() if verdict == "measured"]
    assert measured
    assert all(status == {"state": "satisfied", "reason": "other"} for status in measured)
