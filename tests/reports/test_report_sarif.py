"""SARIF: read back by a library of the field without a field that it does not know, and true to the standard's rules."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hostile_names import NAMES, hostile, kinds
from pydantic import BaseModel
from sample import sample
from sarif_pydantic import Sarif

from audit.compared import Comparison
from audit.result import AuditResult
from reports.formats import FORMATS
from reports.sarif import comparison_log, plain

#: Fields of the standard (3.20.21, 3.27.23 and 3.27.24) that the library's models have under no name.
UNMODELLED = {"toolExecutionNotifications", "suppressions", "baselineState"}


def strangers(model: Any) -> set[str]:
    """Fields that the library's models do not know."""
    if isinstance(model, BaseModel):
        extra = set(model.model_extra or {})
        return extra.union(*(strangers(getattr(model, name)) for name in type(model).model_fields))
    if isinstance(model, (list, tuple)):
        return set().union(*map(strangers, model))
    return set()


def drawn(document: AuditResult, lang: str = "en") -> dict[str, Any]:
    data = FORMATS["sarif"].render(document, lang, "internal")
    read = Sarif.model_validate_json(data)
    assert read.version == "2.1.0"
    assert strangers(read) <= UNMODELLED
    run: dict[str, Any] = json.loads(data)["runs"][0]
    return run


@pytest.fixture(scope="module")
def run() -> dict[str, Any]:
    return drawn(sample())


def test_every_judged_finding_is_a_result_matched_by_its_key(run: dict[str, Any]) -> None:
    document = sample()
    keys = [f.key for c in document.checks for f in c.findings if f.criterion and f.criterion.role != "reports"]
    told = [r["partialFingerprints"]["findingKey/v1"] for r in run["results"] if "findingKey/v1" in r["partialFingerprints"]]
    assert told == keys
    rules = [r["id"] for r in run["tool"]["driver"]["rules"]]
    assert rules == [c.info.id for c in document.checks]
    assert all(rules[r["ruleIndex"]] == r["ruleId"] for r in run["results"])
    assert len({r["guid"] for r in run["results"]}) == len(run["results"])


def test_only_what_fails_has_a_level_and_open_is_no_failure(run: dict[str, Any]) -> None:
    kinds_ = {(r["kind"], r["level"]) for r in run["results"]}
    assert kinds_ == {("pass", "none"), ("open", "none"), ("fail", "error"), ("fail", "warning")}
    failing = next(r for r in run["results"] if r["kind"] == "fail")
    assert failing["properties"]["role"] == "decides"
    assert "refused 3.5 times as often" in failing["message"]["text"]
    assert [place["kind"] for place in failing["locations"][0]["logicalLocations"]] == ["model", "dataset", "slice"]


def test_an_unanswered_question_is_open(run: dict[str, Any]) -> None:
    asked = {r["properties"]["question"]: r for r in run["results"] if "question" in r["properties"]}
    assert set(asked) == {"opportunity", "calibration"}
    assert "human decision, not an outcome" in asked["opportunity"]["message"]["text"]


def test_a_waiver_in_force_is_a_suppression_with_its_reason(run: dict[str, Any]) -> None:
    suppressed = [r for r in run["results"] if r.get("suppressions")]
    assert len(suppressed) == 1
    one = suppressed[0]["suppressions"][0]
    assert (one["kind"], one["status"]) == ("external", "accepted")
    assert "R. Example" in one["justification"]
    assert "2027-03-31" in one["justification"]


def test_what_was_not_run_or_went_wrong_is_a_notification(run: dict[str, Any]) -> None:
    invocation = run["invocations"][0]
    assert invocation["executionSuccessful"] is False
    told = {n["associatedRule"]["id"]: n["level"] for n in invocation["toolExecutionNotifications"]}
    assert told == {"calibration.groups": "note", "explanation.local": "error"}


def test_an_audit_without_results_says_that_there_are_none() -> None:
    document = sample(checks=[], questions=[])
    assert drawn(document)["results"] == []


@pytest.mark.parametrize(
    ("text", "written"),
    [("{0}", "{{0}}"), ("[25, 37)", "[25, 37)"), ("[a](http://x)", "\\[a\\](http://x)"), ("a\\b", "a\\b"), ("[\\](1)", "\\[\\\\\\](1)")],
)
def test_braces_and_links_stay_text(text: str, written: str) -> None:
    assert plain(text) == written


@pytest.mark.parametrize("name", NAMES[::5])
def test_hostile_names_are_valid(name: str) -> None:
    for r in drawn(hostile(name))["results"]:
        bare = r["message"]["text"].replace("{{", "").replace("}}", "")
        assert "{" not in bare
        assert "](" not in bare.replace("\\](", "")


@pytest.mark.parametrize("kind", ["regression", "image"])
def test_other_kinds_of_model_are_valid(kind: str) -> None:
    assert drawn(kinds()[kind], "zh")["language"] == "zh-CN"


def compared() -> Comparison:
    """Two audits by hand: a finding of each state, and a gate with a requirement of each result."""
    side = {
        "audit": "a",
        "model": "credit [x](http://y)",
        "version": "2",
        "model_sha256": None,
        "data_sha256": "9c" * 32,
        "rows": 100,
        "started": "2026-11-21T10:00:00Z",
        "verdict": "fail",
    }
    one = {
        "metric": "selection_rate",
        "compare": "ratio",
        "slice": {"race": "black"},
        "against": {"race": "white"},
        "severity": "major",
        "old": "fail",
        "new": "fail",
    }
    states = ("new", "persisting", "resolved", "not_retested")
    findings = [
        one | {"key": f"{i}" * 16, "check": "fairness.group", "role": "decides" if i else "warns", "state": s} for i, s in enumerate(states)
    ]
    results = ("non_inferior", "worse", "open", "not_assessed")
    needs = [{"metric": "accuracy", "kind": "level", "margin": 0.01, "n": 100, "result": r, "reason": "few rows"} for r in results]
    return Comparison.model_validate({
        "paired": True, "opening": "o", "opening_msg": {"id": "o"}, "notes": [], "notes_msg": [], "old": side | {"digest": "1"}, "new": side | {"digest": "2"},
        "questions": [], "findings": findings, "changes": [], "q": 0.1, "tests_in_family": 0,
        "gate": {"result": "worse", "margin": 0.01, "group_margin": 0.05, "min_rows": 200, "requirements": needs},
    })  # fmt: skip


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_a_comparison_stands_against_its_baseline(lang: str) -> None:
    data = comparison_log(compared(), lang)
    assert data == comparison_log(compared(), lang)
    assert strangers(Sarif.model_validate_json(data)) <= UNMODELLED
    results = json.loads(data)["runs"][0]["results"]
    gate, findings = results[:4], results[4:]
    assert [(r["kind"], r["level"]) for r in gate] == [("pass", "none"), ("fail", "error"), ("open", "none"), ("notApplicable", "none")]
    assert [(r["kind"], r["level"], r.get("baselineState")) for r in findings] == [
        ("fail", "warning", "new"), ("fail", "error", "unchanged"), ("fail", "error", "absent"), ("review", "none", None),
    ]  # fmt: skip
    assert [r["partialFingerprints"]["findingKey/v1"] for r in findings] == ["0" * 16, "1" * 16, "2" * 16, "3" * 16]
    assert len({r["guid"] for r in results}) == 8
