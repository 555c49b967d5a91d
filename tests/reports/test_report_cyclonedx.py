"""CycloneDX: valid by the standard's strict schema, read back by its own library, and tied together inside."""

from __future__ import annotations

import json
from typing import Any

import pytest
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import ComponentType
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from hostile_names import NAMES, hostile, kinds
from sample import sample

from audit.measurement import Estimate
from audit.result import AuditResult, CheckInfo, CheckResult, Finding, TrainingInfo
from reports.formats import FORMATS
from reports.obligations.attestations import Attestation, AttestedFile

VALIDATOR = JsonStrictValidator(SchemaVersion.V1_7)


def drawn(document: AuditResult, lang: str = "en", *said: Attestation) -> dict[str, Any]:
    data = FORMATS["cyclonedx"].render(document, lang, "internal", attested=said).decode()
    wrong = VALIDATOR.validate_str(data)
    assert wrong is None, wrong
    record: dict[str, Any] = json.loads(data)
    return record


def props(part: dict[str, Any]) -> dict[str, str]:
    return {p["name"]: p["value"] for p in part["properties"]}


@pytest.fixture(scope="module")
def bom() -> dict[str, Any]:
    training = TrainingInfo(source="the training data logged with the model", sha256="7a" * 32, rows=900, same_as_evaluation=False)
    return drawn(sample(data=sample().data.model_copy(update={"training": training})))


def test_the_library_reads_the_model_and_its_data(bom: dict[str, Any]) -> None:
    read = Bom.from_json(bom)  # type: ignore[attr-defined]
    assert read.metadata.component.type is ComponentType.MACHINE_LEARNING_MODEL
    assert (read.metadata.component.name, read.metadata.component.version) == ("credit", "3")
    assert {c.type for c in read.components} == {ComponentType.DATA}
    assert len(read.components) == 2
    assert f"urn:uuid:{read.serial_number}" == bom["serialNumber"]


def test_figures_are_texts_with_their_intervals_and_what_has_no_place_stands_beside(bom: dict[str, Any]) -> None:
    card = bom["metadata"]["component"]["modelCard"]
    listed = card["quantitativeAnalysis"]["performanceMetrics"]
    accuracy = next(i for i, m in enumerate(listed) if m["type"] == "accuracy")
    stored = next(f for c in sample().checks for f in c.findings if f.metric == "accuracy")
    assert stored.estimate is not None
    assert float(listed[accuracy]["value"]) == stored.estimate.value
    assert float(listed[accuracy]["confidenceInterval"]["lowerBound"]) == stored.estimate.low
    assert props(card)[f"witnessmark:performanceMetrics[{accuracy}]"] == f"level 0.95; method wilson; n 1989; key {stored.key}"
    assert {m["slice"] for m in listed} >= {"everybody", "black (race)"}


def test_answers_are_claims_that_rest_on_evidence(bom: dict[str, Any]) -> None:
    said = bom["declarations"]
    claims = {c["bom-ref"]: c for c in said["claims"]}
    evidence = {e["bom-ref"] for e in said["evidence"]}
    asked = {r["bom-ref"]: r["identifier"] for r in bom["definitions"]["standards"][0]["requirements"]}
    answers = {asked[m["requirement"]]: m for m in said["attestations"][0]["map"]}
    assert set(answers) == {q.id for q in sample().questions}
    assert claims[answers["baseline"]["claims"][0]]["predicate"] == "The evidence supports it: Is it better than guessing?"
    against = claims[answers["selection"]["counterClaims"][0]]
    assert against["predicate"].startswith("The evidence does not support it")
    assert "refused 3.5 times as often" in against["reasoning"]
    assert "claims" not in answers["opportunity"]
    assert "score" not in answers["opportunity"]["conformance"]
    assert {e for c in said["claims"] for e in c["evidence"]} == evidence
    assert {c["target"] for c in said["claims"]} == {bom["metadata"]["component"]["bom-ref"]}
    assert {d["ref"] for d in bom["metadata"]["component"]["modelCard"]["modelParameters"]["datasets"]} == {
        c["bom-ref"] for c in bom["components"]
    }
    assert said["assessors"][0]["organization"]["name"] == "A. Example"


def test_frameworks_that_apply_are_standards_whose_controls_are_answered_and_never_scored(bom: dict[str, Any]) -> None:
    """The sample was declared as credit in Massachusetts: frameworks of the United States apply, for what is known generative none."""
    frameworks = {s["bom-ref"]: s for s in bom["definitions"]["standards"][1:]}
    assert len(frameworks) == len(bom["declarations"]["attestations"]) - 1 >= 2
    assert any("Reg" in s["name"] for s in frameworks.values())
    refs = {r["bom-ref"]: r["identifier"] for s in frameworks.values() for r in s["requirements"]}
    answers = {refs[m["requirement"]]: m for a in bom["declarations"]["attestations"][1:] for m in a["map"]}
    assert set(answers) == set(refs.values())
    assert all("score" not in m["conformance"] for m in answers.values())
    against = answers["regb.4a"]
    assert "claims" not in against
    claims = {c["bom-ref"]: c for c in bom["declarations"]["claims"]}
    assert claims[against["counterClaims"][0]]["predicate"].startswith("The evidence does not support it")
    assert answers["nist.GOVERN-1.1"]["conformance"]["rationale"].startswith("Gap. Only a named person can say it.")
    assert not {"claims", "counterClaims"} & set(answers["nist.GOVERN-1.1"])
    elsewhere = drawn(sample(context={"domain": "credit"}))
    assert len(elsewhere["definitions"]["standards"]) == 1


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_what_named_persons_attested_is_evidence_by_its_author(lang: str) -> None:
    def word(place: int, control: str, **changed: Any) -> Attestation:
        said = {
            "says": "attested",
            "name": "张三",
            "role": "r",
            "statement": "Two officers see it.",
            "file": None,
            "holds": True,
            "signer": None,
        }
        return Attestation(place=place, control=control, audit_sha256="a" * 64, made="2026-12-01T10:00:00Z", **(said | changed))

    file = AttestedFile(name="signed copy.pdf", sha256="b" * 64)
    said = [
        word(0, "nist.GOVERN-1.1", file=file),
        word(1, "regb.4a"),
        word(2, "nist", name="Ada"),
        word(3, "house.a"),
        word(4, "nist.GOVERN-1.2", holds=False),
    ]
    bom = drawn(sample(), lang, *said)
    assert Bom.from_json(bom).serial_number  # type: ignore[attr-defined]
    told = bom["declarations"]
    given = {e["propertyName"]: e for e in told["evidence"] if "author" in e}
    assert {name: e["author"]["name"] for name, e in given.items()} == {
        "nist.GOVERN-1.1": "张三",
        "regb.4a": "张三",
        "nist": "Ada",
        "house.a": "张三",
    }
    one = given["nist.GOVERN-1.1"]
    assert one["created"] == "2026-12-01T10:00:00Z"
    assert one["data"][0]["name"] == f"audit.json SHA-256 {'a' * 64}"
    assert one["data"][2]["name"].endswith("b" * 64)
    claims = {c["bom-ref"]: c for c in told["claims"]}
    refs = {r["identifier"]: r["bom-ref"] for s in bom["definitions"]["standards"] for r in s["requirements"]}
    answers = {m["requirement"]: m for a in told["attestations"] for m in a["map"]}
    by_word, against = answers[refs["nist.GOVERN-1.1"]], answers[refs["regb.4a"]]
    assert claims[by_word["claims"][0]]["evidence"] == [one["bom-ref"]]
    assert claims[against["counterClaims"][0]]["counterEvidence"] == [given["regb.4a"]["bom-ref"]]
    assert "claims" not in answers[refs["nist.GOVERN-1.2"]]
    assert any("Ada" in a["summary"] for a in told["attestations"])
    assert bom["serialNumber"] != drawn(sample(), lang)["serialNumber"]


def test_whom_a_failing_or_open_finding_puts_at_risk(bom: dict[str, Any]) -> None:
    groups = {g["groupAtRisk"]: g for g in bom["metadata"]["component"]["modelCard"]["considerations"]["fairnessAssessments"]}
    assert "female (sex)" not in groups
    assert "refused 3.5 times as often" in groups["black (race)"]["harms"]
    assert "R. Example" in groups["black (race)"]["mitigationStrategy"]


@pytest.mark.parametrize("measured", [True, False])
def test_energy_is_stated_only_where_it_was_measured(*, measured: bool) -> None:
    metric = "joules_per_1000" if measured else "joules_per_1000_estimated"
    e = Estimate(value=7.2, low=6.0, high=9.0, level=0.95, method="student" if measured else "assumed_power", n=5)
    info = CheckInfo(id="efficiency.energy", title="Energy", meaning="m", limits="l", unit="J", direction="lower")
    check = CheckResult(
        info=info, status="completed", summary="s", findings=[Finding(metric=metric, estimate=e, key="e" * 16, repeatable=False)]
    )
    card = drawn(sample(checks=[*sample().checks, check]))["metadata"]["component"]["modelCard"]
    if measured:
        used = card["considerations"]["environmentalConsiderations"]["energyConsumptions"][0]
        assert used["activityEnergyCost"] == {"value": 0.000002, "unit": "kWh"}
        assert used["energyProviders"][0]["energySource"] == "unknown"
        assert props(used)["witnessmark:energyFor"] == "1000 predictions"
    else:
        assert "environmentalConsiderations" not in card["considerations"]
        assert props(card)["witnessmark:joules_per_1000_estimated"] == "7.2"


@pytest.mark.parametrize("name", NAMES[::5])
def test_hostile_names_are_valid(name: str) -> None:
    assert drawn(hostile(name))


@pytest.mark.parametrize("kind", ["regression", "image"])
def test_other_kinds_of_model_are_valid(kind: str) -> None:
    assert drawn(kinds()[kind], "zh")


def test_nothing_is_claimed_where_nothing_was_asked() -> None:
    record = drawn(sample(questions=[], checks=[], context={}))
    assert "definitions" not in record
    assert "attestations" not in record["declarations"]
