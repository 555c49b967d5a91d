"""Which findings are drawn, which request their document answers, and how closely a repetition must agree."""

from __future__ import annotations

from typing import Any

import pytest

from audit import plan as plans
from audit import verify
from audit.errors import AuditError
from audit.integrity import FAILED, OK
from audit.recompute import Again, _claim, differences, draw, request, same_platform
from audit.registry import checks

Json = dict[str, Any]
HOW = Again(number=1, seed=0, model="models:/x/1", data="/rows.parquet")


def finding(key: str, **more: Any) -> Json:
    measured = {"estimate": {"value": 0.5, "low": 0.4, "n": 100}, "parts": [{"slice": {}, "k": 50, "n": 100}]}
    empty = {"test": None, "clusters": None, "weights": None, "evidence": []}
    return {"key": key, "metric": "accuracy", "compare": "value", "slice": {"sex": "f"}, "repeatable": True} | measured | empty | more


def document(*found: Json, status: str = "completed") -> Json:
    return {"checks": [{"info": {"id": "performance.overall"}, "status": status, "reason": "timeout", "findings": list(found)}]}


def test_the_draw_leaves_out_what_does_not_repeat_and_follows_its_seed() -> None:
    found = [finding(str(i), repeatable=i % 3 != 0) for i in range(30)]
    drawn, left_out = draw(document(*found), 5, 1)
    assert left_out == 10
    assert len(drawn) == 5
    assert all(f["repeatable"] for _, f in drawn)
    assert draw(document(*found), 5, 1)[0] == drawn
    assert any(draw(document(*found), 5, seed)[0] != drawn for seed in range(2, 5))
    assert len(draw(document(*found), 999, 1)[0]) == 20
    for number, doc in ((0, document(*found)), (3, document(*found, status="errored")), (3, document(finding("a", repeatable=False)))):
        with pytest.raises(AuditError):
            draw(doc, number, 0)


def test_every_digit_on_the_same_platform_and_one_in_a_million_elsewhere() -> None:
    then = {"value": 0.5, "n": 10, "method": "wilson", "rows": [1.0, None, "a"]}
    near, far = then | {"value": 0.5 + 4e-7}, then | {"value": 0.5 + 4e-6}
    assert differences(then, dict(then), "e", exact=True) == []
    assert differences(then, near, "e", exact=True) == ["e.value: 0.5, now 0.5000004"]
    assert differences(then, near, "e", exact=False) == []
    assert len(differences(then, far, "e", exact=False)) == 1
    assert differences({"v": 3e9}, {"v": 3e9 + 1000.0}, "e", exact=False) == []  # of itself, not of 1
    for changed in ({"n": 11}, {"method": "wald"}, {"rows": [1.0, None]}, {"rows": [1.0, 0.0, "a"]}, {"more": 1}):
        assert differences(then, then | changed, "e", exact=False), changed  # counts and words are the same everywhere


def test_a_claim_names_the_finding_and_what_became_of_it() -> None:
    then = finding("k1")
    assert _claim("performance.overall", then, document(finding("k1")), exact=True)[::2] == (OK, "0.5 again")
    state, what, detail = _claim(
        "performance.overall", then, document(finding("k1", parts=[{"slice": {}, "k": 51, "n": 100}])), exact=False
    )
    assert (state, detail) == (FAILED, "parts[0].k: 50, now 51")
    assert what == "finding k1, performance.overall: accuracy (value), sex = f"
    assert _claim("performance.overall", then, document(finding("k2")), exact=True)[2] == "not found again"
    assert "timeout" in _claim("performance.overall", then, document(status="errored"), exact=True)[2]


def test_the_platform_is_that_of_the_audit_only_where_all_of_it_is() -> None:
    here = {"environment": {"python": "3.11.7", "platform": "Linux", "packages": {"numpy": "2.3"}}}
    assert same_platform(here, here)
    assert not same_platform(here, {"environment": here["environment"] | {"packages": {"numpy": "2.4"}}})


def test_the_stored_plan_is_followed_to_the_letter() -> None:
    plan = plans.load(None)
    asked = plans.asked(plan, {"performance.overall", "robustness.rules"}, None)
    written = plans.fixed(plan, asked, sample=321, seed=7)
    roles = {"target": "y", "positive": "1", "favourable": [], "sensitive": ["sex"], "independent": False, "weight": None}
    stored = {
        "plan": written | {"roles": roles, "reference": {"sex": None}}, "context": {"domain": "credit", "owner": "not stated"}, "seed": 7, "started": "2026-01-01T00:00:00Z",
        "model": {"features": [{"name": "a", "kind": "number"}]},
    }  # fmt: skip
    made = request(stored, HOW)
    assert plans.fixed(plans.Plan.model_validate(made.plan), made.checks, sample=made.sample, seed=made.seed) == written
    assert made.given == {
        "target": "y",
        "positive": "1",
        "sensitive": ["sex"],
        "features": ["a"],
        "context": {"domain": "credit"},
        "reference": {},
    }
    assert (made.data, made.uri, made.log) == ("/rows.parquet", "models:/x/1", False)
    assert set(made.checks) == set(checks())
    stored["plan"]["checks"]["magic.check"] = {"enabled": True, "params": {}, "criteria": [], "requires": []}
    with pytest.raises(AuditError, match=r"no check magic\.check"):
        request(stored, HOW)


def test_without_the_model_there_is_nothing_to_recompute(capsys: pytest.CaptureFixture[str]) -> None:
    assert verify.main(["nowhere", "--recompute", "3"]) == 2
    assert "needs the model" in capsys.readouterr().err
