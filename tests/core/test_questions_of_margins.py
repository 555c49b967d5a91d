"""The deciding questions that are judged by margins: skill, calibration and undeclared inputs."""

from __future__ import annotations

import pytest
from counts import CALIBRATED, Judged, an_estimate, baseline, calibration, good, inputs

from audit.answering import few
from audit.dataset import MISSING
from audit.judge import SIZE_OPEN
from audit.text import render, who
from reports.sentences import reason_text
from reports.speaker import Speaker

CALIBRATION = "calibration_large"


@pytest.mark.parametrize(
    ("value", "half", "verdict"),
    [(0.3, 0.1, "pass"), (0.05, 0.1, "inconclusive"), (-0.05, 0.1, "inconclusive"), (-0.3, 0.1, "fail"), (0.1, 0.1, "inconclusive")],
)
def test_skill_passes_only_with_its_interval_above_zero(value: float, half: float, verdict: str) -> None:
    found = good() | {"performance.baseline": baseline(an_estimate(value, value - half, value + half))}
    judged = Judged(found)
    assert judged.questions["performance_baseline"].verdict == verdict


def test_a_constant_prediction_fails_exactly() -> None:
    judged = Judged(good() | {"performance.baseline": baseline(an_estimate(0.0, 0.0, 0.0, method="exact"))})
    assert judged.verdict == "fail"


def test_the_skill_of_groups_does_not_decide() -> None:
    found = good()
    found["performance.baseline"] += [
        f.model_copy(update={"slice": {"sex": "f"}, "key": "x"}) for f in baseline(an_estimate(-1, -1.1, -0.9))
    ]
    assert Judged(found).verdict == "pass"


@pytest.mark.parametrize(
    ("gap", "half", "verdict"),
    [(0.0, 0.01, "pass"), (0.03, 0.03, "inconclusive"), (0.04, 0.01, "pass"), (0.09, 0.01, "fail"), (-0.09, 0.01, "fail")],
)
def test_calibration_in_the_large_is_a_margin_on_both_sides(gap: float, half: float, verdict: str) -> None:
    found = good() | calibration(an_estimate(gap, gap - half, gap + half), {"m": CALIBRATED})
    assert Judged(found).questions[CALIBRATION].verdict == verdict


def test_calibration_of_groups_decides_from_two_hundred_rows() -> None:
    off = an_estimate(0.12, 0.10, 0.14, n=200)
    assert Judged(good() | calibration(CALIBRATED, {"m": CALIBRATED, "f": off})).verdict == "fail"
    small = Judged(good() | calibration(CALIBRATED, {"m": CALIBRATED, "f": off.model_copy(update={"n": 199})}))
    assert small.verdict == "pass"
    (listed,) = small.answers[CALIBRATION].not_assessed
    assert (listed.values["people"], listed.values["names"]) == (199, [who({"sex": "f"})])


def test_rows_in_small_groups_of_several_columns_are_not_called_rows_in_all() -> None:
    """The same 150 rows may be the 100 of one column and the 50 of the other: their sum is no number of rows."""
    one = few([({"sex": "f"}, 100), ({"sex": "x"}, 50)], "calibration")
    two = few([({"sex": "f"}, 100), ({"race": "b"}, 50)], "calibration")
    assert "(150 rows in all)" in render(one)
    assert "(150 rows, one that is in groups of several columns counted in each)" in render(two)


def test_an_open_calibration_gap_states_the_p_of_the_gap_and_not_of_the_limit() -> None:
    """−4.0 points, 90 % interval −5.7 to −2.3: no gap is rejected at p < 0.001; inside the limit of 5 points is not rejected at all (p 1)."""
    judged = Judged(good() | calibration(CALIBRATED, {"m": CALIBRATED, "f": an_estimate(-0.04, -0.057, -0.023)}))
    f = next(f for f in judged.answers[CALIBRATION].judged.values() if f.slice == {"sex": "f"})
    assert (f.verdict, f.reason, f.test.null, f.test.adjusted_p_value) == (
        "inconclusive",
        SIZE_OPEN,
        "the value lies inside the limit",
        1.0,
    )
    for lang, said in (("en", "(p < 0.001)"), ("zh", "（p < 0.001）")):
        assert said in reason_text(f, Speaker(lang))


def test_calibration_of_unknown_membership_is_not_judged() -> None:
    off = an_estimate(0.2, 0.18, 0.22)
    judged = Judged(good() | calibration(CALIBRATED, {"m": CALIBRATED, MISSING: off}))
    assert judged.verdict == "pass"


@pytest.mark.parametrize(("used", "verdict"), [(0, "pass"), (1, "fail")])
def test_undeclared_sensitive_inputs_fail(used: int, verdict: str) -> None:
    judged = Judged(good() | {"fairness.inputs": inputs(used)})
    assert judged.verdict == verdict
    said = judged.findings("fairness_inputs")[0].sentence or ""
    assert said.endswith("without a declared reason: group.") == (verdict == "fail"), "the column is named"
