"""Controls held against an audit: each state is reached by what the rules say and by nothing else."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any, Literal

import pytest
from pieces import check, finding, wilson
from sample import sample

from audit.measurement import Test
from audit.result import AuditResult, CheckResult, Criterion
from reports.obligations.attestations import Attestation
from reports.obligations.catalogue import Control, Framework, built_in
from reports.obligations.dossier import Dossier, backing_text
from reports.obligations.evidence import backing
from reports.obligations.statements import LOOKS, State, Statement, applies, statements, tally
from reports.speaker import Speaker

TODAY = datetime.date(2026, 11, 21)
CRITERION = Criterion(min=0.5, role="decides")


def ran(id_: str, verdict: str = "not_judged", **fields: Any) -> CheckResult:
    found = finding(id_, "accuracy", wilson(80, 100), verdict=verdict, criterion=CRITERION if verdict != "not_judged" else None)
    return check(id_, id_, "Said.", [found], **({"verdict": verdict} | fields))


def left_out(id_: str) -> CheckResult:
    return check(id_, id_, "", [], status="skipped", reason="no column")


def document(*checks: CheckResult, **changes: Any) -> AuditResult:
    return sample().model_copy(update={"checks": list(checks)} | changes)


def framework(kind: str, evidence: list[str], asks: str = "result", **fields: Any) -> Framework:
    control = Control.model_validate({
        "id": "own.a", "section": "1", "title": "t", "title_zh": "t", "requirement": "r", "requirement_zh": "r", "kind": kind, "asks": asks,
        "evidence": evidence,
    })  # fmt: skip
    record = {
        "id": "own",
        "name": "n",
        "name_zh": "n",
        "jurisdiction": "EU",
        "legal_force": "binding",
        "version": "1",
        "confidence": "high",
        "verified_on": TODAY,
        "verified": "v",
    }
    return Framework.model_validate(record | {"controls": [control]} | fields)


def word(
    says: Literal["attested", "not_applicable"] = "attested", *, holds: bool = True, place: int = 0, control: str = "own.a"
) -> Attestation:
    return Attestation(place, control, says, "Ada", "owner", "I looked.", None, "0" * 64, "2026-11-22T10:00:00Z", holds, None)


def stated(audit: AuditResult, asked: Framework, *words: Attestation, as_of: datetime.date = TODAY) -> Statement:
    (one,) = statements(audit, asked, as_of, words)
    return one


BASE = "performance.baseline"


@pytest.mark.parametrize(
    ("checks", "state", "why"),
    [
        ([], "gap", "not_asked"),
        ([left_out(BASE)], "gap", "not_run"),
        ([ran(BASE)], "inconclusive", "no_criterion"),
        ([ran(BASE, "pass")], "supports", "judged"),
        ([ran(BASE, "inconclusive")], "inconclusive", "open"),
        ([ran(BASE, "fail")], "does_not_support", "judged"),
        ([ran(BASE, "pass"), ran("performance.gap", "fail")], "does_not_support", "judged"),
        ([ran(BASE, "pass"), ran("performance.gap", "inconclusive")], "inconclusive", "open"),
        ([ran(BASE, "pass"), ran("performance.gap")], "supports", "judged"),
        ([left_out(BASE), ran("performance.gap", "pass")], "inconclusive", "no_criterion"),  # what answers first did not run
        ([ran(BASE, "pass", rejected="its gates fail")], "does_not_support", "rejected"),
        ([ran(BASE, "fail", about="evidence")], "does_not_support", "rejected"),
        ([ran("efficiency.cost", "pass")], "gap", "not_asked"),
    ],
)  # fmt: skip
def test_measured(checks: list[CheckResult], state: State, why: str) -> None:
    audit = document(*checks)
    one = stated(audit, framework("measured", ["performance"]))
    assert (one.state, one.backings[0].why) == (state, why)


@pytest.mark.parametrize("asks", ["measurement", "record"])
@pytest.mark.parametrize(
    ("checks", "state", "why"),
    [
        ([], "gap", "not_asked"),
        ([left_out(BASE)], "gap", "not_run"),
        ([ran(BASE)], "supports", "no_criterion"),
        ([ran(BASE, "pass")], "supports", "judged"),
        ([ran(BASE, "inconclusive")], "supports", "open"),
        ([ran(BASE, "fail")], "measured", "beyond"),
        ([ran(BASE, "pass"), ran("performance.gap", "fail")], "measured", "beyond"),
        ([left_out(BASE), ran("performance.gap", "fail")], "inconclusive", "partly"),
        ([ran(BASE, "pass", rejected="its gates fail")], "does_not_support", "rejected"),  # that is no measurement
    ],
)
def test_where_a_measurement_is_asked_for_a_failing_one_is_one(checks: list[CheckResult], state: State, why: str, asks: str) -> None:
    one = stated(document(*checks), framework("measured", ["performance"], asks))
    assert (one.state, one.backings[0].why) == (state, why)


def test_a_failing_measurement_never_reads_as_plain_support() -> None:
    asked = framework("measured", ["performance", "calibration"], "measurement")
    both = document(ran(BASE, "pass"), ran("calibration.overall", "fail"))
    assert stated(both, asked).state == "measured"
    assert stated(document(ran(BASE, "fail")), asked).state == "inconclusive"  # half of it was not measured at all
    mixed = framework("mixed", ["performance", "human_attestation"], "measurement")
    assert stated(document(ran(BASE, "fail")), mixed).state == "inconclusive"
    assert stated(document(ran(BASE, "fail")), mixed, word()).state == "measured"
    words = "".join(map(str, backing_text(Dossier(both, asked, TODAY, (), Speaker("en")), stated(both, asked).backings[1])))
    assert "a result of it fails" in words
    assert "fails" in LOOKS["measured"].word


def test_what_loading_runs_is_recorded_whatever_it_is() -> None:
    audit = sample()
    risky = audit.model_copy(update={"model": audit.model.model_copy(update={"load_risk": "code"})})
    assert stated(risky, framework("measured", ["security_scan"], "record")).state == "supports"
    bare = audit.model_copy(update={"model": audit.model.model_copy(update={"sha256": None})})
    assert stated(bare, framework("measured", ["lineage"], "record")).state == "inconclusive"


def test_support_needs_every_part() -> None:
    asked = framework("measured", ["performance", "calibration"])
    assert stated(document(ran(BASE, "pass")), asked).state == "inconclusive"  # calibration is a gap
    assert stated(document(ran(BASE, "pass"), ran("calibration.overall", "pass")), asked).state == "supports"
    assert stated(document(ran(BASE, "pass"), ran("calibration.overall", "fail")), asked).state == "does_not_support"
    assert stated(document(ran("data.profile")), asked).state == "gap"


@pytest.mark.parametrize(
    ("verdict", "attested", "state"),
    [
        ("pass", False, "inconclusive"),  # what only a person can say is open
        ("pass", True, "supports"),
        ("not_judged", False, "inconclusive"),
        ("not_judged", True, "attested"),  # a named person judged what no criterion did
        ("inconclusive", True, "inconclusive"),  # nobody's word closes what the rows leave open
        ("fail", True, "does_not_support"),  # nor what they show
        ("fail", False, "does_not_support"),
    ],
)
def test_mixed(verdict: str, attested: bool, state: State) -> None:
    asked = framework("mixed", ["performance", "human_attestation"])
    assert stated(document(ran(BASE, verdict)), asked, *([word()] if attested else [])).state == state


def test_attested() -> None:
    asked = framework("attested", ["human_attestation"])
    assert stated(document(), asked).state == "gap"
    assert stated(document(), asked, word()).state == "attested"
    assert stated(document(), asked, word(control="own.b")).state == "gap"
    mixed = framework("mixed", ["performance", "human_attestation"])
    assert stated(document(), mixed).state == "gap"
    assert stated(document(), mixed, word()).state == "attested"


def test_a_word_about_another_document_answers_nothing_and_is_shown() -> None:
    one = stated(document(), framework("attested", ["human_attestation"]), word(holds=False))
    assert (one.state, len(one.attested), len(one.other)) == ("gap", 0, 1)


def test_the_last_word_counts_and_all_are_shown() -> None:
    asked = framework("attested", ["human_attestation"])
    one = stated(document(), asked, word("not_applicable"), word(place=1))
    assert (one.state, len(one.attested)) == ("attested", 2)
    assert stated(document(), asked, word(), word("not_applicable", place=1)).state == "not_applicable"


def test_what_is_not_in_the_law_of_the_day_is_not_applicable() -> None:
    later = framework("measured", ["performance"], in_force=datetime.date(2027, 1, 1))
    assert stated(document(ran(BASE, "fail")), later).state == "not_applicable"
    enacted = framework("measured", ["performance"], in_force=datetime.date(2027, 1, 1), enacted=datetime.date(2026, 5, 14))
    one = stated(document(ran(BASE, "pass")), enacted)
    assert (one.state, one.timing.state) == ("supports", "not_yet")  # evidence stands, and it says from when on it is asked for


def test_only_findings_of_crossed_groups_answer_for_intersections() -> None:
    crossed = {"sex": "female", "race": "black"}
    alone = check(
        "fairness.group",
        "g",
        "Said.",
        [finding("fairness.group", "selection_rate", wilson(5, 10), {"sex": "female"}, verdict="fail", criterion=CRITERION)],
        verdict="fail",
    )
    both = alone.model_copy(update={"findings": [*alone.findings, finding("fairness.group", "selection_rate", wilson(5, 10), crossed)]})
    assert backing(document(alone), "fairness_intersectional").state == "gap"
    found = backing(document(both), "fairness_intersectional")
    assert (found.state, found.why) == ("inconclusive", "no_criterion")  # not the failure of the single group


def test_only_tested_findings_answer_for_tests() -> None:
    plain = ran("fairness.group", "pass")
    assert backing(document(plain), "fairness_statistical_test").state == "gap"
    test = Test(null="equality", method="score", p_value=0.4)
    tested = plain.model_copy(update={"findings": [plain.findings[0].model_copy(update={"test": test})]})
    assert backing(document(tested), "fairness_statistical_test").state == "supports"


def test_what_the_document_records_of_itself() -> None:
    audit = sample()
    assert backing(audit, "lineage").state == ("supports" if audit.model.sha256 else "inconclusive")
    bare = audit.model_copy(update={"model": audit.model.model_copy(update={"sha256": None})})
    assert backing(bare, "lineage").why == "not_recorded"
    for risk, state, why in (("data_only", "supports", "recorded"), ("code", "inconclusive", "runs_code"), (None, "gap", "not_asked")):
        changed = audit.model_copy(update={"model": audit.model.model_copy(update={"load_risk": risk})})
        assert (backing(changed, "security_scan").state, backing(changed, "security_scan").why) == (state, why)
    for kind in ("monitoring", "signature"):
        assert backing(audit, kind).state == "gap"  # type: ignore[arg-type]


def look_up(audit: AuditResult, path: str) -> Any:
    """What stands at a path of `audit.json`."""
    value: Any = audit.model_dump(mode="json")
    for step in path.replace("[", ".[").split("."):
        value = value[int(step[1:-1])] if step.startswith("[") else value[step]
    return value


def test_every_path_leads_into_the_document() -> None:
    audit = sample()
    seen = set()
    for asked in built_in().values():
        for one in statements(audit, asked, TODAY):
            for path in one.paths:
                look_up(audit, path)
                seen.add(path)
            if one.state in ("supports", "does_not_support"):
                assert one.paths
    assert len(seen) > 10


def test_statements_are_the_same_again_and_counted_once() -> None:
    audit = sample()
    for asked in built_in().values():
        found = statements(audit, asked, TODAY)
        assert found == statements(audit, asked, TODAY)
        assert sum(tally(found).values()) == len(asked.controls)


def test_an_empty_audit_has_gaps_and_no_support_but_for_its_own_records() -> None:
    for asked in built_in().values():
        for one in statements(document(), asked, TODAY):
            kinds = set(one.control.evidence)
            if one.state == "supports":
                assert kinds <= {"lineage", "security_scan"}
            if not kinds & {"lineage", "security_scan"} and one.timing.state not in ("not_in_law",):
                assert one.state == "gap"


# --- which frameworks the context calls for ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("context", "called"),
    [
        ({}, set()),
        ({"domain": "credit"}, set()),
        ({"jurisdictions": "not stated", "domain": "credit"}, set()),
        ({"jurisdictions": ["US"], "domain": "credit"}, {"nist", "regb", "sr26"}),
        ({"jurisdictions": ["US-NYC"], "domain": "employment"}, {"nist", "nycll144", "ugesp"}),
        ({"jurisdictions": ["US"], "domain": "employment"}, {"nist", "ugesp"}),
        ({"jurisdictions": ["EU", "CN"], "domain": "health"}, {"euaia", "euaia4", "gdpr", "cnalgo", "cnpipl", "cnethics"}),
        ({"jurisdictions": "EU", "domain": "general"}, {"euaia", "gdpr"}),
    ],
)
def test_frameworks_that_the_context_calls_for(context: dict[str, Any], called: set[str]) -> None:
    audit = document(context=context)
    assert {f.id for f in built_in().values() if applies(f, audit)} == called


def test_all_states_are_reached_by_the_sample(tmp_path: Path) -> None:
    counts = tally(statements(sample(), built_in()["euaia"], TODAY))
    assert {"does_not_support", "gap", "inconclusive"} <= set(counts)
