"""The rules by which few questions decide, each with a case made by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from counts import Found, Judged, a_case, good, not_run, plan_with, rates

from audit.dataset import MISSING
from audit.judge import BORDERLINE, SIZE_OPEN, TOO_FEW, worst
from audit.result import finding_key
from audit.screens import OTHERS
from audit.stats.compare import equality_test
from audit.stats.power import chance_to_pass_difference, chance_to_pass_ratio
from audit.text import who

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
