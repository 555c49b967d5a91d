"""The rules by which few questions decide, each with a case made by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from counts import (
    CALIBRATED,
    GOOD,
    Found,
    Judged,
    a_case,
    an_estimate,
    baseline,
    calibration,
    good,
    inputs,
    not_run,
    of_rows,
    plan_with,
    rates,
)
from scene import findings, set_scene

from audit.answering import few
from audit.dataset import MISSING
from audit.judge import BORDERLINE, SIZE_OPEN, TOO_FEW, worst
from audit.result import finding_key
from audit.screens import OTHERS
from audit.stats.compare import equality_test
from audit.stats.power import chance_to_pass_difference, chance_to_pass_ratio
from audit.text import render, who
from reports.sentences import reason_text
from reports.speaker import Speaker

SELECTION, OPPORTUNITY, CALIBRATION = "fairness_selection", "fairness_opportunity", "calibration_large"
EQUAL_TPR = rates("true_positive_rate", "sex", {"m": (1000, 1500), "f": (1000, 1500)})


def selection(groups: dict[str, tuple[int, int]], **options: Any) -> Found:
    return good() | {"fairness.group": rates("selection_rate", "sex", groups, **options) + EQUAL_TPR}


def opportunity(groups: dict[str, tuple[int, int]]) -> Found:
    equal = rates("selection_rate", "sex", {"m": (1500, 5000), "f": (1500, 5000)})
    return good() | {"fairness.group": equal + rates("true_positive_rate", "sex", groups)}


# --- the audit's verdict ---------------------------------------------------------------------------------------------------------------


def test_everything_answered_and_passed_is_a_pass() -> None:
    judged = Judged(good())
    assert (judged.verdict, judged.answered.decides, judged.answered.passed) == ("pass", 5, 5)
    assert list(judged.questions) == ["performance_baseline", "fairness_inputs", SELECTION, OPPORTUNITY, CALIBRATION]


def test_one_failing_question_fails_the_audit_even_where_another_errored() -> None:
    case = a_case(unjudged=not_run("performance.baseline", reason="it died"), errored=frozenset({"performance.baseline"}))
    assert Judged(selection({"m": (3000, 5000), "f": (1500, 5000)}), case).verdict == "fail"


def test_a_deciding_check_that_errored_makes_the_verdict_error() -> None:
    case = a_case(unjudged=not_run("fairness.group", reason="it died"), errored=frozenset({"fairness.group"}))
    judged = Judged(good(), case)
    assert judged.verdict == "error"
    assert judged.answered.not_run == 2
    assert judged.questions[SELECTION].reason == "it died"


@pytest.mark.parametrize(
    "skipped", [["performance.baseline"], ["fairness.group", "fairness.inputs"], ["calibration.overall"], ["calibration.groups"]]
)
def test_a_skipped_question_is_never_a_pass(skipped: list[str]) -> None:
    judged = Judged(good(), a_case(unjudged=not_run(*skipped)))
    assert judged.verdict == "inconclusive"
    assert judged.answered.not_run >= 1
    assert "Not asked for." in [q.reason for q in judged.questions.values()]


@pytest.mark.parametrize("source", [None, "human_decision", "proxy", "selective"])
def test_labels_that_are_no_outcomes_ask_neither_opportunity_nor_calibration(source: str | None) -> None:
    judged = Judged(good(), a_case(label_source=source))
    assert list(judged.questions) == ["performance_baseline", "fairness_inputs", SELECTION]
    assert judged.verdict == "pass"


def test_without_a_favourable_decision_the_selection_question_is_open() -> None:
    judged = Judged(good(), a_case(favourable=False))
    assert judged.verdict == "inconclusive"
    assert not judged.questions[SELECTION].answered
    assert "--favourable" in (judged.questions[SELECTION].reason or "")
    assert not judged.answers[SELECTION].judged


def test_labels_only_leave_calibration_open() -> None:
    judged = Judged(good() | {"calibration.overall": []})
    assert judged.questions[CALIBRATION].verdict == "inconclusive"
    assert judged.verdict == "inconclusive"


def test_worst_is_fail_then_inconclusive_then_pass() -> None:
    assert worst(["pass", "not_judged", "inconclusive", "fail"]) == "fail"
    assert worst(["pass", "inconclusive"]) == "inconclusive"
    assert worst(["pass", "not_judged"]) == "pass"
    assert worst(["not_judged"]) == worst([]) == "not_judged"


# --- selection: ratio, two-sided, by rule screen ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("female", "verdict"),
    [(1500, "pass"), (750, "fail"), (3000, "fail"), (1180, "fail"), (1890, "fail"), (1330, "pass"), (1700, "pass")],
)
def test_the_ratio_is_judged_on_both_sides(female: int, verdict: str) -> None:
    """Against 1,500 of 5,000: limits are 0.80 and 1.25, so that a ratio of 2.0 fails as one of 0.5 does."""
    judged = Judged(selection({"m": (1500, 5000), "f": (female, 5000)}))
    assert judged.one(SELECTION, "f").verdict == verdict
    assert judged.questions[SELECTION].verdict == verdict
    assert judged.one(SELECTION, "f").compare == "ratio"


def test_screen_needs_the_estimate_beyond_the_limit() -> None:
    """Ratio 0.82 over 40,000 rows: a difference is certain, the limit is not crossed, and the interval crosses it."""
    judged = Judged(selection({"m": (1500, 5000), "f": (1230, 5000)}))
    f = judged.one(SELECTION, "f")
    assert f.estimate.low < 0.8 < f.estimate.value
    assert f.test.p_value < 1e-6
    assert (f.verdict, f.reason) == ("inconclusive", SIZE_OPEN)
    assert "A difference is established" in f.reason_msg.id


def test_screen_needs_equality_rejected() -> None:
    """Ratio 0.77 of 130 and 1,000 rows: beyond the limit, and chance gives as much."""
    judged = Judged(selection({"m": (500, 1000), "f": (50, 130)}))
    f = judged.one(SELECTION, "f")
    assert f.estimate.value < 0.8
    assert f.test.adjusted_p_value > 0.01
    assert f.verdict == "inconclusive"


def test_the_level_of_a_fail_is_alpha_over_the_questions_that_apply() -> None:
    """p = .016 fails where three questions share 0.05 (.0167 each) and is open where five do (.01 each)."""
    groups = {"m": (300, 1000), "f": (66, 290)}
    p = equality_test(66, 290, 300, 1000)
    assert p is not None
    assert 0.05 / 5 < p[0] < 0.05 / 3, p
    assert Judged(selection(groups)).questions[SELECTION].verdict == "inconclusive"
    assert Judged(selection(groups), a_case(label_source=None)).questions[SELECTION].verdict == "fail"


def test_holm_runs_over_all_comparisons_of_the_question_and_says_of_how_many() -> None:
    found = good() | {
        "fairness.group": rates("selection_rate", "sex", {"m": (1500, 5000), "f": (1100, 5000)})
        + rates("selection_rate", "race", {"w": (1500, 5000), "b": (1495, 5000), "a": (1505, 5000)}) + EQUAL_TPR
    }  # fmt: skip
    judged = Judged(found)
    tests = {next(iter(f.slice.values())): f.test for f in judged.findings(SELECTION)}
    assert {t.tests_in_family for t in tests.values()} == {3}
    assert tests["f"].adjusted_p_value == pytest.approx(3 * tests["f"].p_value)
    assert judged.one(SELECTION, "f").verdict == "fail"
    assert judged.one(SELECTION, "b").verdict == judged.one(SELECTION, "a").verdict == "pass"


def test_above_a_common_rate_of_080_the_difference_is_judged() -> None:
    """95 % against 84 %: the ratio is .884 and inside, the difference of −11 points is not."""
    judged = Judged(selection({"m": (4750, 5000), "f": (4200, 5000)}))
    f = judged.one(SELECTION, "f")
    assert (f.compare, f.criterion.min, f.criterion.max, f.verdict) == ("difference", -0.10, 0.10, "fail")
    assert Judged(selection({"m": (4750, 5000), "f": (4600, 5000)})).questions[SELECTION].verdict == "pass"


def test_the_common_rate_of_exactly_080_still_takes_the_ratio() -> None:
    assert Judged(selection({"m": (4000, 5000), "f": (4000, 5000)})).one(SELECTION, "f").compare == "ratio"


def test_a_reference_that_never_gets_the_decision_fails_where_the_group_does() -> None:
    judged = Judged(selection({"m": (0, 5000), "f": (900, 3000)}))
    assert judged.questions[SELECTION].verdict == "fail"
    assert judged.one(SELECTION, "f").estimate is None


def test_nobody_gets_the_decision_is_open_and_not_a_pass() -> None:
    assert Judged(selection({"m": (0, 5000), "f": (0, 3000)})).questions[SELECTION].verdict == "inconclusive"


def test_everybody_gets_the_decision_is_equal() -> None:
    assert Judged(selection({"m": (5000, 5000), "f": (3000, 3000)})).questions[SELECTION].verdict == "pass"


@pytest.mark.parametrize(("tier", "ratio", "rate"), [("low", 0.75, 0.15), ("medium", 0.80, 0.10), ("high", 0.90, 0.05)])
def test_the_tier_chooses_the_margins(tier: str, ratio: float, rate: float) -> None:
    judged = Judged(good(), a_case(plan=plan_with(materiality={"tier": tier})))
    chosen = judged.one(SELECTION, "f").criterion
    assert (chosen.min, chosen.max, chosen.role, chosen.rule) == (ratio, 1 / ratio, "decides", "screen")
    assert judged.one(OPPORTUNITY, "f").criterion.max == rate


def test_a_plan_may_set_the_limits_of_a_question() -> None:
    plan = plan_with(decides={SELECTION: {"min": 0.5, "max": 2.0, "source": "our board"}})
    f = Judged(selection({"m": (1500, 5000), "f": (1000, 5000)}), a_case(plan=plan)).one(SELECTION, "f")
    assert (f.verdict, f.criterion.min, f.criterion.source) == ("pass", 0.5, "our board")


# --- adequacy, pooling, not assessed ---------------------------------------------------------------------------------------------------


def test_a_comparison_that_could_not_pass_is_too_few_rows() -> None:
    judged = Judged(selection({"m": (162, 540), "f": (18, 60)}))
    assert chance_to_pass_ratio(60, 540, 0.3, low=0.8, high=1.25, level=0.9) < 0.5
    f = judged.one(SELECTION, "f")
    assert (f.verdict, f.reason) == ("inconclusive", TOO_FEW)
    question = judged.questions[SELECTION]
    assert question.verdict == "inconclusive"
    assert "if they are in truth equal, about" in (question.reason or "")
    assert "if the true ratio is 0.70" in (question.reason or "")
    assert not question.answered


def test_too_few_rows_may_still_fail() -> None:
    judged = Judged(selection({"m": (270, 540), "f": (9, 60)}))
    assert judged.one(SELECTION, "f").verdict == "fail"
    assert judged.verdict == "fail"


def test_a_group_too_small_to_judge_is_listed_and_leaves_the_pass() -> None:
    judged = Judged(selection({"m": (1500, 5000), "f": (1500, 5000), "x": (3, 12)}))
    assert judged.verdict == "pass"
    assert judged.one(SELECTION, "x").verdict == "inconclusive"
    assert judged.one(SELECTION, "x").key not in judged.questions[SELECTION].findings
    (listed,) = judged.answers[SELECTION].not_assessed
    assert (listed.values["people"], listed.values["groups"], listed.values["names"]) == (12, 1, [who({"sex": "x"})])


def test_small_groups_are_pooled_and_the_pool_decides() -> None:
    """Six groups of 100 cannot pass alone; their 600 rows can, and fail together where each of them is treated worse."""
    small = {f"s{i}": (50, 100) for i in range(6)}
    judged = Judged(selection({"m": (5000, 10000), **small}))
    assert chance_to_pass_ratio(100, 10000, 0.5, low=0.8, high=1.25, level=0.9) < 0.5
    pooled = judged.one(SELECTION, OTHERS)
    assert (pooled.parts[0].k, pooled.parts[0].n, pooled.verdict) == (300, 600, "pass")
    assert judged.verdict == "pass"
    assert pooled.key in judged.questions[SELECTION].findings
    assert not judged.answers[SELECTION].not_assessed, "the pool assesses them"
    worse = Judged(selection({"m": (5000, 10000), **{f"s{i}": (37, 100) for i in range(6)}}))
    assert worse.one(SELECTION, OTHERS).verdict == "fail"
    assert worse.verdict == "fail"


def test_a_pool_that_is_too_small_is_listed_and_not_judged() -> None:
    judged = Judged(selection({"m": (1500, 5000), "f": (1500, 5000), "x": (3, 12), "z": (4, 12)}))
    assert judged.verdict == "pass"
    assert judged.one(SELECTION, OTHERS).verdict == "not_judged"
    (listed,) = judged.answers[SELECTION].not_assessed
    assert (listed.values["people"], listed.values["groups"]) == (24, 2)


def test_one_column_of_two_without_enough_rows_keeps_the_question_open() -> None:
    found = selection({"m": (1500, 5000), "f": (1500, 5000)})
    found["fairness.group"] += rates("selection_rate", "vet", {"no": (3000, 9960), "yes": (12, 40)})
    judged = Judged(found)
    assert judged.one(SELECTION, "f").verdict == "pass"
    assert judged.questions[SELECTION].verdict == "inconclusive"
    assert "vet" in (judged.questions[SELECTION].reason or "")


def test_adequacy_is_settled_from_sizes_and_common_rate_alone() -> None:
    """Two outcomes with the same sizes and the same sum: both are adequate, whatever the difference is."""
    for k in (1500, 900):
        f = Judged(selection({"m": (3000 - k, 5000), "f": (k, 5000)})).one(SELECTION, "f")
        assert f.reason != TOO_FEW


# --- unknown membership ----------------------------------------------------------------------------------------------------------------


def test_unknown_membership_is_never_judged_and_never_a_reference() -> None:
    judged = Judged(selection({MISSING: (10, 400), "m": (1500, 5000), "f": (1500, 5000)}))
    assert all(MISSING not in f.slice.values() and MISSING not in (f.against or {}).values() for f in judged.findings(SELECTION))
    assert judged.questions[SELECTION].verdict == "pass", "below 5 % it changes nothing"


def test_above_five_percent_a_pass_needs_the_worst_case_to_pass() -> None:
    extreme = Judged(selection({MISSING: (450, 1500), "m": (1500, 5000), "f": (1500, 5000)}))
    f = extreme.one(SELECTION, "f")
    assert (f.verdict, f.reason) == ("inconclusive", BORDERLINE)
    assert "membership is unknown" in f.reason_msg.id
    bearable = Judged(selection({MISSING: (170, 560), "m": (1500, 5000), "f": (1500, 5000)}))
    assert 560 / 10560 > 0.05
    assert bearable.one(SELECTION, "f").verdict == "pass"


def test_the_worst_case_has_an_interval_too() -> None:
    """At worst 1,500 of 5,470 against 1,730 of 5,230: the ratio .829 is inside, and its interval is not."""
    judged = Judged(selection({MISSING: (230, 700), "m": (1500, 5000), "f": (1500, 5000)}))
    assert (1500 / 5470) / (1730 / 5230) > 0.80
    assert judged.one(SELECTION, "f").verdict == "inconclusive"


def test_unknown_membership_does_not_save_from_a_fail() -> None:
    assert Judged(selection({MISSING: (450, 1500), "m": (1500, 5000), "f": (700, 5000)})).verdict == "fail"


# --- opportunity -----------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("female", "verdict"), [(1000, "pass"), (700, "fail"), (1300, "fail"), (1070, "pass"), (880, "inconclusive")])
def test_opportunity_is_a_difference_on_both_sides(female: int, verdict: str) -> None:
    f = Judged(opportunity({"m": (1000, 1500), "f": (female, 1500)})).one(OPPORTUNITY, "f")
    assert (f.compare, f.metric, f.verdict) == ("difference", "true_positive_rate", verdict)
    assert (f.criterion.min, f.criterion.max) == (-0.10, 0.10)


def test_where_the_event_is_unfavourable_opportunity_is_the_true_negative_rate() -> None:
    found = good()
    found["fairness.group"] += rates("true_negative_rate", "sex", {"m": (3000, 3500), "f": (2000, 3500)})
    judged = Judged(found, a_case(event_is_favourable=False))
    assert judged.one(OPPORTUNITY, "f").metric == "true_negative_rate"
    assert judged.questions[OPPORTUNITY].verdict == "fail"


def test_opportunity_with_few_positives_is_too_few_rows() -> None:
    assert chance_to_pass_difference(60, 540, 0.5, margin=0.1, level=0.9) < 0.5
    f = Judged(opportunity({"m": (270, 540), "f": (30, 60)})).one(OPPORTUNITY, "f")
    assert (f.verdict, f.reason) == ("inconclusive", TOO_FEW)


# --- margins: skill and calibration ----------------------------------------------------------------------------------------------------


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


# --- words -----------------------------------------------------------------------------------------------------------------------------


def test_cannot_tell_is_never_said_of_a_plain_difference() -> None:
    """Over many sizes and differences: where p < .001, no text says that the rows cannot tell."""
    rng = np.random.default_rng(1)
    said = 0
    for _ in range(150):
        n1, n0 = int(rng.integers(20, 2000)), int(rng.integers(300, 6000))
        p0, p1 = rng.uniform(0.05, 0.95, 2)
        groups = {"m": (int(rng.binomial(n0, p0)), n0), "f": (int(rng.binomial(n1, p1)), n1), "x": (int(rng.binomial(40, p1)), 40)}
        judged = Judged(selection(groups, reference="m"))
        for f in judged.findings(SELECTION):
            if f.test is not None and f.test.p_value < 0.001:
                said += 1
                text = f"{f.sentence} {f.reason_msg.id if f.reason_msg else ''}"
                assert "cannot tell" not in text, (groups, f.reason)
    assert said > 100


def test_only_the_allowed_reasons_are_given() -> None:
    seen = set()
    for female in range(0, 700, 5):
        for f in Judged(selection({"m": (1500, 5000), "f": (female, 700)})).findings(SELECTION):
            seen.add(f.reason)
            assert (f.verdict == "inconclusive") == (f.reason is not None)
    assert seen <= {None, SIZE_OPEN, TOO_FEW, BORDERLINE}


def test_a_sentence_names_its_numbers_and_the_undeclared_cutoff() -> None:
    f = Judged(selection({"m": (1500, 5000), "f": (750, 5000)}), a_case(decision_declared=False)).one(SELECTION, "f")
    for part in (
        "f (sex): ",
        "for m;",
        "0.50",
        "15 %",
        "30 %",
        "5,000",
        "p < 0.001",
        "90 %",
        "0.80",
        "Not adjusted",
        "which nobody declared",
    ):
        assert part in f.sentence, (part, f.sentence)
    declared = Judged(selection({"m": (1500, 5000), "f": (750, 5000)})).one(SELECTION, "f")
    assert "nobody declared" not in declared.sentence


def test_keys_name_the_same_question_in_every_audit() -> None:
    assert finding_key("fairness.group", "selection_rate", "ratio", {"sex": "f"}, {"sex": "m"}) == "9b937c9a37b8ef7d"
    one = {f.key for f in Judged(selection({"m": (1500, 5000), "f": (750, 5000)})).findings(SELECTION)}
    other = {f.key for f in Judged(selection({"m": (15, 50), "f": (33, 80)}, reference="m")).findings(SELECTION)}
    assert one == other
    turned = finding_key("c.d", "m", "ratio", {"b": "2", "a": "1"}, {"a": "0", "b": "0"})
    assert turned == finding_key("c.d", "m", "ratio", {"a": "1", "b": "2"}, {"b": "0", "a": "0"})
    assert turned != finding_key("c.d", "m", "ratio", {"a": "2", "b": "1"}, {"a": "0", "b": "0"})


# --- the whole way, from rows ----------------------------------------------------------------------------------------------------------


def rows(n: int = 6000, seed: int = 0) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    score = rng.beta(1.5, 2.5, n)
    return {
        "y": (rng.random(n) < score).astype(int), "pred": (score >= 0.5).astype(int), "score": score,
        "groups": {"sex": np.where(rng.random(n) < 0.4, "f", "m")},
    }  # fmt: skip


def test_a_constant_predictor_fails(tmp_path: Path) -> None:
    given = rows()
    for score in (given["y"].mean(), 0.5):
        document = set_scene(tmp_path, **given | {"score": np.full(6000, score), "pred": np.zeros(6000, int)}).document()
        assert document.verdict == "fail"
        assert "no better than a trivial forecast" in document.why
    labels = set_scene(tmp_path, **given | {"score": None, "pred": np.ones(6000, int)}).document()
    assert labels.verdict == "fail"


@pytest.mark.parametrize("base", [0.1, 0.3, 0.9])
def test_a_constant_predictor_fails_though_all_else_is_in_order(tmp_path: Path, base: float) -> None:
    """Known beforehand and so not exactly the rows' own rate, on rows of many sizes."""
    rng = np.random.default_rng(8)
    for n in (200, 600, 2_000) * 3:
        y = rng.random(n) < base
        scene = set_scene(tmp_path, y=y.astype(int), pred=np.full(n, int(base > 0.5)), score=np.full(n, base))
        measured = findings("performance.baseline", scene.measure("performance.baseline"))
        assert Judged(good() | {"performance.baseline": measured}).verdict == "fail"


def test_a_constant_predictor_fails_in_spite_of_rounding(tmp_path: Path) -> None:
    """The last digit of a constant may depend on a row's place in its batch."""
    given = rows()
    score = np.full(6000, 0.4)
    score[::3] += 1e-16 * 4
    document = set_scene(tmp_path, **given | {"score": score, "pred": np.zeros(6000, int)}).document()
    assert document.verdict == "fail"


def test_skipping_fairness_or_declaring_no_sensitive_column_is_not_a_pass(tmp_path: Path) -> None:
    scene = set_scene(tmp_path, **rows())
    assert scene.document().verdict == "pass"
    skipped = scene.document(skip=["fairness"])
    assert (skipped.verdict, skipped.answered.not_run) == ("inconclusive", 3)
    undeclared = set_scene(tmp_path, **rows() | {"groups": {}}).document()
    assert undeclared.verdict == "inconclusive"
    assert any("--sensitive" in (q.reason or "") for q in undeclared.questions)


def test_an_errored_deciding_check_is_an_error(tmp_path: Path) -> None:
    document = set_scene(tmp_path, **rows()).document(errored={"calibration.groups": "it was stopped after 900 s"})
    assert document.verdict == "error"
    assert "it was stopped after 900 s" in document.why


def test_calibration_of_human_decisions_is_measured_and_not_judged(tmp_path: Path) -> None:
    given = rows()
    document = set_scene(tmp_path, **given | {"score": given["score"] ** 3}, label_source="human_decision").document()
    by_id = {c.info.id: c for c in document.checks}
    for id_ in ("calibration.overall", "calibration.groups"):
        assert by_id[id_].verdict == "not_judged"
        assert by_id[id_].findings
    assert any("agreement with past decisions, not correctness" in note for note in document.notes)
    assert not any(f.metric.endswith("positive_rate") and f.verdict != "not_judged" for f in by_id["fairness.group"].findings)


def test_extremes_are_never_judged(tmp_path: Path) -> None:
    given = rows()
    pred = np.where(given["groups"]["sex"] == "f", 0, given["pred"])
    document = set_scene(tmp_path, **given | {"pred": pred}).document()
    assert document.verdict == "fail"
    extremes = [f for c in document.checks for f in c.findings if f.slice.get("sex") == "*"]
    assert len(extremes) >= 4
    assert {f.verdict for f in extremes} == {"not_judged"}
    assert all(f.criterion is None for f in extremes)


def test_intersections_are_reported_and_not_judged(tmp_path: Path) -> None:
    given = rows()
    rng = np.random.default_rng(3)
    groups = given["groups"] | {"race": np.where(rng.random(6000) < 0.5, "a", "b")}
    pred = np.where((groups["sex"] == "f") & (groups["race"] == "a"), 0, given["pred"])
    document = set_scene(tmp_path, **given | {"pred": pred, "groups": groups}).document()
    both = [f for c in document.checks if c.info.id != "performance.slices" for f in c.findings if len(f.slice) == 2]
    assert both
    assert {f.verdict for f in both} == {"not_judged"}


def test_judged_intervals_are_at_ninety_percent(tmp_path: Path) -> None:
    document = set_scene(tmp_path, **rows()).document()
    deciding = [f for c in document.checks for f in c.findings if f.criterion and f.criterion.role == "decides" and f.estimate]
    assert deciding
    assert {f.estimate.level for f in deciding if f.estimate and f.estimate.method != "exact"} == {0.90}


def test_every_number_of_a_question_stands_in_a_finding(tmp_path: Path) -> None:
    document = set_scene(tmp_path, **rows()).document()
    known = {f.key: f for c in document.checks for f in c.findings}
    assert len(known) == sum(len(c.findings) for c in document.checks), "keys are unique"
    for question in document.questions:
        assert question.findings
        assert all(known[key].verdict != "not_judged" for key in question.findings)


def test_simulated_findings_are_those_that_the_checks_make(tmp_path: Path) -> None:
    given = rows(800, 5)
    group = (given["groups"]["sex"] == "f").astype(int)
    made = of_rows(given["y"] == 1, given["score"], given["pred"] == 1, group, ["m", "f"])
    scene = set_scene(tmp_path, **given | {"groups": {"group": np.where(group == 1, "f", "m")}})
    for check, found in made.items():
        measured = {(m.metric, m.compare, *m.slice.values()): m.estimate for m in scene.measure(check)}
        for f in found:
            ours, theirs = f.estimate, measured[(f.metric, f.compare, *f.slice.values())]
            assert ours is not None
            assert theirs is not None
            assert ours.value == pytest.approx(theirs.value, abs=1e-12)
            if theirs.level == 0.95:
                continue  # shown, never judged
            assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=1e-12), (check, f.metric)
    assert GOOD.level == 0.90
    said = {q.id: (q.verdict, q.findings) for q in scene.document().questions}
    assert said == {id_: (q.verdict, q.findings) for id_, q in Judged(made).questions.items()}
