"""Evidence that fails its gates, or its own test, is rejected; what a check finds of the model never rejects that check."""

from __future__ import annotations

import pytest

from audit.judge import judge_reported
from audit.measurement import Estimate, Measurement
from audit.plan import load
from audit.result import Finding
from audit.text import render
from audit.withdraw import REJECTED, rejections, withdrawn

SHOWN = "explanation.global"


def judged(check: str, **values: float) -> list[Finding]:
    """Findings of a check by metric and value, each with an interval of a hundredth around it."""
    measured = [
        Measurement(metric=m, estimate=Estimate(value=v, low=v - 0.01, high=v + 0.01, level=0.9, method="normal", n=100))
        for m, v in values.items()
    ]
    return judge_reported(check, measured, load(None), judgeable=True)


@pytest.mark.parametrize(
    ("metric", "said"), [("sampling_error", "mostly chance of the draw of coalitions"), ("completeness_gap", "do not add up to the answer")]
)
def test_evidence_that_fails_its_own_test_rejects_itself(metric: str, said: str) -> None:
    other = {"sampling_error", "completeness_gap"} - {metric}
    findings = judged(SHOWN, **{metric: 0.2}, **dict.fromkeys(other, 0.02))
    rejection = rejections(load(None), {SHOWN: findings})[SHOWN]
    assert said in render(rejection.reason)
    assert rejection.by == [findings[0].key]
    failing, good = withdrawn(findings, rejection)
    assert failing.verdict == "fail", "what rejects the evidence stays said"
    assert (good.verdict, good.reason) == ("inconclusive", REJECTED)


def test_evidence_that_holds_is_kept() -> None:
    assert rejections(load(None), {SHOWN: judged(SHOWN, sampling_error=0.02, completeness_gap=0.02)}) == {}


def test_a_failing_gate_rejects_what_rests_on_it_and_not_itself() -> None:
    found = rejections(load(None), {SHOWN: [], "explanation.completeness": judged("explanation.completeness", completeness_gap=0.2)})
    assert list(found) == [SHOWN]


def test_what_a_check_finds_of_the_model_is_no_fault_of_its_evidence() -> None:
    assert rejections(load(None), {"explanation.reasons": judged("explanation.reasons", notice_blocked_rate=0.5)}) == {}
