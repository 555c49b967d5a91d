"""Criteria of a plan that warn or report: two rules, a screen over the check, and words that say no more than is known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from counts import GOOD, LEVEL, Judged, a_case, an_estimate, calibration, good, plan_with, rates
from scene import set_scene

from audit import measure
from audit.dataset import MISSING
from audit.judge import SIZE_OPEN, beyond, inside, judge_reported, margin_p, outside
from audit.measurement import Estimate, Measurement
from audit.plan import Plan
from audit.result import Criterion, Finding
from audit.stats.multiplicity import benjamini_hochberg
from audit.text import render


def with_criteria(check: str, *criteria: dict[str, Any]) -> Plan:
    return plan_with(checks={check: {"enabled": True, "params": {}, "criteria": list(criteria)}})


SLOPE = {"metric": "calibration_slope", "compare": "value", "min": 0.8, "max": 1.25, "role": "warns"}
FNR = {"metric": "false_negative_rate", "compare": "difference", "min": -0.1, "max": 0.1, "role": "warns"}


def slope(value: float, low: float, high: float) -> Finding:
    m = measure.value("calibration_slope", an_estimate(value, low, high))
    (found,) = judge_reported("calibration.overall", [m], with_criteria("calibration.overall", SLOPE), judgeable=True)
    return found


@pytest.mark.parametrize(
    ("interval", "verdict"),
    [
        ((1.0, 0.9, 1.1), "pass"), ((1.0, 0.8, 1.25), "pass"), ((1.0, 0.79, 1.1), "inconclusive"), ((0.7, 0.6, 0.85), "inconclusive"),
        ((0.7, 0.6, 0.79), "fail"), ((1.4, 1.26, 1.5), "fail"), ((1.3, 1.2, 1.4), "inconclusive"), ((0.7, 0.6, 0.8), "inconclusive"),
    ],
)  # fmt: skip
def test_rule_margin_compares_the_whole_interval(interval: tuple[float, float, float], verdict: str) -> None:
    found = slope(*interval)
    assert found.verdict == verdict
    assert found.criterion is not None
    assert (found.criterion.rule, found.criterion.role) == ("margin", "warns")
    assert (found.reason is None) == (verdict != "inconclusive")


def test_an_undefined_estimate_is_open_with_its_own_reason() -> None:
    m = Measurement(metric="calibration_slope", reason="The outcomes are separated.")
    (found,) = judge_reported("calibration.overall", [m], with_criteria("calibration.overall", SLOPE), judgeable=True)
    assert (found.verdict, found.reason) == ("inconclusive", "The outcomes are separated.")


def test_nothing_is_judged_where_labels_are_no_outcomes() -> None:
    m = measure.value("calibration_slope", an_estimate(0.1, 0.0, 0.2))
    (found,) = judge_reported("calibration.overall", [m], with_criteria("calibration.overall", SLOPE), judgeable=False)
    assert (found.verdict, found.criterion) == ("not_judged", None)


def screened(groups: dict[str, tuple[int, int]], **rule: Any) -> dict[str, Finding]:
    found = rates("false_negative_rate", "g", groups)
    judged = judge_reported("fairness.group", found, with_criteria("fairness.group", FNR | rule), judgeable=True)
    return {f.slice["g"]: f for f in judged if f.criterion is not None}


def test_a_screen_is_adjusted_over_the_check_by_benjamini_and_hochberg() -> None:
    groups = {"r": (300, 1000), "a": (420, 1000), "b": (330, 1000), "c": (310, 1000)}
    judged = screened(groups)
    raw = [f.test.p_value for f in judged.values() if f.test]
    assert [f.test.adjusted_p_value for f in judged.values() if f.test] == pytest.approx(benjamini_hochberg(raw).tolist())
    assert {f.test.tests_in_family for f in judged.values() if f.test} == {3}
    assert {name: f.verdict for name, f in judged.items()} == {"a": "fail", "b": "pass", "c": "pass"}


def test_a_screen_does_not_fail_on_a_difference_that_chance_gives() -> None:
    judged = screened({"r": (300, 1000), "a": (8, 18)})
    assert outside(judged["a"].estimate, judged["a"].criterion)  # type: ignore[arg-type]
    assert judged["a"].verdict == "inconclusive"


def test_groups_of_unknown_membership_and_intersections_are_never_judged() -> None:
    found = rates("false_negative_rate", "g", {"r": (300, 1000), MISSING: (900, 1000)})
    both = Measurement(
        metric="false_negative_rate",
        compare="difference",
        slice={"g": "a", "h": "b"},
        against={"g": "r", "h": "s"},
        estimate=an_estimate(0.5, 0.4, 0.6),
    )
    judged = judge_reported("fairness.group", [*found, both], with_criteria("fairness.group", FNR), judgeable=True)
    assert {f.verdict for f in judged} == {"not_judged"}


def test_extremes_cannot_be_held_against_a_criterion(tmp_path: Path) -> None:
    """They grow with the number of groups by chance alone: whatever a plan wants, they are reported."""
    rule = {"metric": "demographic_parity_difference", "compare": "value", "max": 0.1, "role": "warns"}
    rng = np.random.default_rng(0)
    pred = rng.integers(0, 2, 300)
    scene = set_scene(tmp_path, pred=pred, y=pred, groups={"g": np.where(pred == 1, "a", "b")}, plan=with_criteria("fairness.group", rule))
    judged = judge_reported("fairness.group", scene.measure("fairness.group", draws=20), scene.plan, judgeable=True)
    (extreme,) = [f for f in judged if f.metric == "demographic_parity_difference"]
    assert extreme.estimate is not None
    assert (extreme.estimate.value, extreme.verdict) == (1.0, "not_judged")


@pytest.mark.parametrize("rule", ["screen", "margin"])
def test_cannot_tell_is_never_said_where_equality_is_plainly_rejected(rule: str) -> None:
    """A difference of 9 points over 4,000 rows: established, and its interval crosses the limit."""
    f = screened({"r": (1000, 4000), "a": (680, 2000)}, rule=rule)["a"]
    assert f.test is not None
    assert f.test.p_value < 0.001
    assert (f.verdict, f.reason) == ("inconclusive", SIZE_OPEN)
    assert f.reason_msg is not None
    assert "cannot tell" not in render(f.reason_msg)
    assert render(f.reason_msg).startswith("A difference is established (p < 0.001)")


def test_a_plain_calibration_gap_among_many_groups_is_not_called_unknown() -> None:
    """Twelve groups: Holm takes p = .0009 above the question's level, and the words must not deny what was seen."""
    half = 0.0165
    off = an_estimate(0.05 + 3.12 / 1.6449 * half, 0.05 + (3.12 / 1.6449 - 1) * half, 0.05 + (3.12 / 1.6449 + 1) * half)
    groups = {f"g{i}": an_estimate(0.0, -0.01, 0.01) for i in range(12)} | {"off": off}
    judged = Judged(good() | calibration(an_estimate(0.0, -0.01, 0.01), groups))
    f = judged.one("calibration_large", "off")
    assert f.test.p_value < 0.001
    assert f.verdict == "inconclusive"
    assert "cannot tell" not in render(f.reason_msg)


def test_a_warning_never_decides(tmp_path: Path) -> None:
    """The slope is far outside its limits, which warns; every deciding question passes."""
    rng = np.random.default_rng(1)
    truth = rng.beta(2, 2, 20_000)
    y = (rng.random(20_000) < truth).astype(int)
    score = 0.5 + (truth - 0.5) * 0.6
    document = set_scene(
        tmp_path, y=y, pred=(score >= 0.5).astype(int), score=score, groups={"sex": rng.choice(["f", "m"], 20_000)}
    ).document()
    slopes = [f for c in document.checks for f in c.findings if f.metric == "calibration_slope" and not f.slice]
    assert [(f.verdict, f.criterion.role) for f in slopes if f.criterion] == [("fail", "warns")]
    (check,) = [c for c in document.checks if c.info.id == "calibration.overall"]
    assert check.verdict == "fail"
    assert document.verdict == "pass"
    assert document.answered.fail == 0


@pytest.mark.parametrize(
    ("source", "favourable", "judged"),
    [
        ("outcome", ["1"], {"false_negative_rate", "selection_rate"}), ("human_decision", ["1"], {"selection_rate"}), (None, ["1"], {"selection_rate"}),
        ("outcome", [], set()),
    ],
)  # fmt: skip
def test_label_based_fairness_is_judged_on_outcomes_and_with_a_favourable_decision_only(
    tmp_path: Path, source: str | None, favourable: list[str], judged: set[str]
) -> None:
    rng = np.random.default_rng(2)
    y, group = rng.integers(0, 2, 2000), rng.choice(["a", "b"], 2000)
    pred = np.where(group == "a", y, rng.integers(0, 2, 2000))
    plan = with_criteria("fairness.group", FNR, FNR | {"metric": "selection_rate"})
    scene = set_scene(tmp_path, y=y, pred=pred, groups={"g": group}, label_source=source, favourable=favourable, plan=plan)
    (check,) = [c for c in scene.document().checks if c.info.id == "fairness.group"]
    assert {f.metric for f in check.findings if f.criterion is not None and f.criterion.role == "warns"} == judged


def test_the_soft_limit_is_kept_and_never_judged() -> None:
    rule = SLOPE | {"soft": 1.05}
    m = measure.value("calibration_slope", an_estimate(1.1, 1.06, 1.15))
    (found,) = judge_reported("calibration.overall", [m], with_criteria("calibration.overall", rule), judgeable=True)
    assert found.criterion is not None
    assert (found.verdict, found.criterion.soft) == ("pass", 1.05)


def test_measurements_pass_through_the_judge_unchanged() -> None:
    found = rates("false_negative_rate", "g", {"r": (300, 1000), "a": (420, 1000)})
    judged = judge_reported("fairness.group", found, with_criteria("fairness.group", FNR), judgeable=True)
    for before, after in zip(found, judged, strict=True):
        assert (before.estimate, before.parts, before.key) == (after.estimate, after.parts, after.key)


@pytest.mark.parametrize("limit", [0.0, 0.05])
@pytest.mark.parametrize("value", [-0.3, -0.02, 0.0, 0.03, 0.2])
def test_the_p_of_a_margin_agrees_with_its_interval(value: float, limit: float) -> None:
    """p <= .05 exactly where the one-sided 95 % bound lies beyond the limit: the interval that is shown is the one that is judged."""
    z, se = 1.6448536269514722, 0.01
    e = Estimate(value=value, low=value - z * se, high=value + z * se, level=LEVEL, method="normal", n=1000)
    for criterion in (Criterion(min=-limit, max=limit), Criterion(min=limit), Criterion(max=limit)):
        p = margin_p(e, criterion)
        assert (p <= 0.05) == beyond(e, criterion), (criterion, p)
        assert not (inside(e, criterion) and p < 0.5)


def test_the_sizes_of_a_family_are_printed_beside_every_adjusted_p() -> None:
    judged = Judged(good(), a_case())
    for id_ in judged.answers:
        for f in judged.findings(id_):
            assert f.test is None or (f.test.adjusted_p_value is not None and f.test.tests_in_family)
    assert GOOD.level == LEVEL
