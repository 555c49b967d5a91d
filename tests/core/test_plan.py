"""Plans and the rules of decisions."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audit import plan as plans
from audit import toml
from audit.errors import AuditError
from audit.registry import checks, refuse_columns
from audit.roles import parse_decision

# --- plan ------------------------------------------------------------------------------------------------------------------------------


def load(folder: Path, content: str) -> plans.Plan:
    path = folder / "plan.toml"
    path.write_text(content)
    return plans.load(path)


def test_the_built_in_plan_is_the_one_of_the_rules() -> None:
    plan = plans.load(None)
    assert (plan.judge.alpha_fail, plan.judge.level_pass, plan.judge.adequacy, plan.judge.common_rate, plan.judge.unknown) == (
        0.05,
        0.95,
        0.5,
        0.8,
        0.05,
    )
    assert (plan.materiality.tier, plan.disclosure.edition, plan.disclosure.min_group_size) == ("medium", "internal", 10)
    assert len(plan.decides) == 6
    assert (plan.decides["calibration_large"].margin, plan.decides["calibration_large"].min_rows) == (0.05, 200)
    assert (plan.audit.seed, plan.audit.sample, plan.audit.rows) == (0, 2000, False)


def test_no_criterion_of_the_built_in_plan_decides_or_names_an_unknown_check() -> None:
    plan = plans.load(None)
    assert set(plan.checks) <= set(checks())
    assert {c.role for check in plan.checks.values() for c in check.criteria} <= {"warns", "reports"}


def test_a_plan_is_laid_over_the_built_in_one(tmp_path: Path) -> None:
    plan = load(
        tmp_path, '[materiality]\ntier = "high"\n[decides.fairness_selection]\nmin = 0.9\n[checks."fairness.group".params]\ndraws = 50\n'
    )
    assert (plan.materiality.tier, plan.materiality.chosen_by) == ("high", "not stated")
    assert (plan.decides["fairness_selection"].min, plan.decides["fairness_selection"].severity) == (0.9, "critical")
    assert plans.parameters(plan, checks()["fairness.group"]) == {"draws": 50}
    assert plan.judge == plans.load(None).judge


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("[audit]\nseeds = 1", "audit.seeds"),
        ("[odd]\nx = 1", "'odd'"),
        ('[audit]\nseed = "one"', "audit.seed"),
        ("[audit]\nseed = -1", "audit.seed"),
        ("[audit]\nsample = 0", "audit.sample"),
        ("[audit]\nrows = 1", "audit.rows"),
        ("[judge]\nalpha_fail = 0", "judge.alpha_fail"),
        ("[judge]\nalpha_fail = 1.5", "judge.alpha_fail"),
        ("[judge]\nlevel_pass = nan", "judge.level_pass"),
        ('[materiality]\ntier = "extreme"', "materiality.tier"),
        ('[disclosure]\nedition = "secret"', "disclosure.edition"),
        ("[decides.luck]\nmin = 1", "unknown questions"),
        ("[decides.fairness_selection]\nmin = nan", "decides.fairness_selection.min"),
        ("[decides.fairness_selection]\nmin = 1.25\nmax = 0.8", "min 1.25 is above max 0.8"),
        ("[decides.calibration_large]\nmargin = -0.05", "decides.calibration_large.margin"),
        ("[decides.calibration_large]\nmin_rows = 0", "decides.calibration_large.min_rows"),
        ('[checks."fairness.luck"]\nenabled = false', "unknown check 'fairness.luck'"),
        ('[checks."fairness.group".params]\nluck = 1', "no valid parameter 'luck'"),
        ('[checks."fairness.group".params]\ndraws = "many"', "no valid parameter 'draws'"),
        ('[checks."fairness.group".params]\ndraws = "50"', "no valid parameter 'draws'"),
        ('[checks."calibration.overall".params]\nbins = 0', "greater than or equal to 1"),
        ('[checks."calibration.overall".params]\nbins = true', "no valid parameter 'bins'"),
        ('[checks."performance.overall".params]\nreplicates = -5', "no valid parameter 'replicates'"),
        ('[audit]\nlevel = "0.9"', "audit.level"),
        ("[audit]\nseed = true", "audit.seed"),
        ('[disclosure]\nmin_group_size = "10"', "min_group_size"),
        ('[[checks."fairness.group".criteria]]\nmetric = "accuracy"', "needs min or max"),
        (
            '[[checks."fairness.group".criteria]]\nmetric = "accuracy"\nmin = 0.5\nrole = "decides"',
            "only the questions under [decides] decide",
        ),
        ('[[checks."fairness.group".criteria]]\nmetric = "accuracy"\nmin = 0.5\nmax = 0.4', "min 0.5 is above max 0.4"),
        ('[[checks."fairness.group".criteria]]\nmetric = "accuracy"\nmin = inf', "criteria.0.min"),
        ('[[checks."fairness.group".criteria]]\nmetric = "accuracy"\nmin = 0.5\ncompare = "quotient"', "criteria.0.compare"),
        ('[[checks."fairness.group".criteria]]\nmetric = "demographic_parity_ratio"\nmin = 0.8', "never judged"),
        ("[bins]\nage = [40, 30]", "must rise"),
        ("[bins]\nage = [30, 30]", "must rise"),
        ('[slices]\nx = "y"', "slices.x"),
        ("[columns.age]\nimmutible = true", "columns.age.immutible"),
        ("[columns.age]\nrange = [80, 18]", "the range is upside down: 80 is above 18"),
        ("[columns.age]\nrange = [18]", "a range has two ends, got 1"),
        ('[columns.age]\nmonotone = "up"', "columns.age.monotone"),
        ('[columns.age]\nimmutable = true\nmonotone = "increasing"', "contradict each other"),
        ('[columns.own]\none_hot = "housing"\nrange = [0, 1]', "has neither monotone nor range"),
        ("[columns.age]\nlabel = 3", "columns.age.label"),
        ('[columns.age]\nprohibited = "race"', "columns.age.prohibited"),
        ("[compare]\nmargin = 2", "compare.margin"),
        ("[compare]\nmin_rows = 0", "compare.min_rows"),
        ("not toml", "cannot read the plan"),
    ],
)
def test_a_plan_that_is_wrong_is_refused_before_anything_is_loaded(tmp_path: Path, content: str, said: str) -> None:
    with pytest.raises(AuditError) as error:
        load(tmp_path, content + "\n")
    assert said in str(error.value)
    assert "\n" not in str(error.value)
    assert " — " in str(error.value)


EXPLANATIONS = [(id_, name) for id_, check in checks().items() if id_.startswith("explanation.") for name in check.defaults]


@pytest.mark.parametrize(("id_", "name"), EXPLANATIONS)
def test_no_parameter_of_an_explanation_takes_what_it_cannot_mean(tmp_path: Path, id_: str, name: str) -> None:
    """Nothing below its range, no NaN, no truth value, no list, and no text that is none of its words."""
    least = ("-1",) if name == "settling" else ("-1", "0")  # without a second look reasons stay open, which is a choice
    for value in (*least, "nan", "true", "[1]", '"many"', "{ a = 1 }", "2026-01-01"):
        with pytest.raises(AuditError) as error:
            load(tmp_path, f'[checks."{id_}".params]\n{name} = {value}\n')
        assert f"'{name}" in str(error.value), value
        assert "\n" not in str(error.value)


GROUPS: list[tuple[dict[str, list[str]], str]] = [
    ({"two": ["income", "luck"]}, "groups 'luck' for explanation.global, which is no input of the model"),
    ({"two": ["income", "debt"], "other": ["debt"]}, "puts a column into two groups"),
    ({"two": []}, "leaves a group empty"),
    ({"age": ["income", "debt"]}, "calls a group for explanation.global 'age', as an input that is not in it"),
]


@pytest.mark.parametrize(("groups", "said"), GROUPS)
def test_groups_that_are_none_are_refused_before_anything_is_loaded(groups: dict[str, list[str]], said: str) -> None:
    facts = {"features": [{"name": name} for name in ("income", "debt", "age")], "groups": [], "columns": ["income", "debt", "age"]}
    check = checks()["explanation.global"]
    refuse_columns(check, facts, check.parameters({"groups": {"money": ["income", "debt"], "age": ["age"]}}))
    with pytest.raises(AuditError) as error:
        refuse_columns(check, facts, check.parameters({"groups": groups}))
    assert said in str(error.value)
    assert " — " in str(error.value)


def test_a_plan_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AuditError, match="cannot read the plan"):
        plans.load(tmp_path / "none.toml")


def test_checks_are_chosen_by_id_and_family() -> None:
    plan, known = plans.load(None), set(checks())
    assert plans.select(None, option="--checks") is None
    assert plans.select("fairness, data.profile", option="--checks") == {c for c in known if c.startswith("fairness.")} | {"data.profile"}
    assert plans.select("privacy", option="--skip") == {c for c in known if c.startswith("privacy.")}
    for wrong in ("fairness.luck", "luck", ""):
        with pytest.raises(AuditError, match="no check and no family"):
            plans.select(wrong, option="--checks")
    asked = plans.asked(plan, {"fairness.group", "data.profile"}, {"data.profile"})
    assert set(asked) == known
    assert {name for name, yes in asked.items() if yes} == {"fairness.group"}


def test_the_digest_of_a_plan_does_not_depend_on_the_order_of_its_keys() -> None:
    assert plans.digest({"a": 1, "b": {"c": 0.1, "d": "x"}}) == plans.digest({"b": {"d": "x", "c": 0.1}, "a": 1})
    assert plans.digest({"a": 1}) != plans.digest({"a": 2})


PLAIN = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | st.text()


def without_none(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: without_none(v) for k, v in value.items() if v is not None}
    return [without_none(v) for v in value if v is not None] if isinstance(value, list) else value


def without_empty(value: Any) -> Any:
    """A table that holds nothing but None may vanish: nothing was said in it."""
    if not isinstance(value, dict):
        return value
    kept = {k: without_empty(v) for k, v in value.items()}
    return {k: v for k, v in kept.items() if v != {}}


@settings(deadline=None, derandomize=True, max_examples=200)
@given(
    st.dictionaries(
        st.text(),
        st.recursive(PLAIN, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3), max_leaves=8),
    )
)
def test_any_record_written_as_toml_is_read_back(record: dict[str, Any]) -> None:
    assert without_empty(tomllib.loads(toml.dumps(record))) == without_empty(without_none(record))


def test_a_printed_plan_can_be_given_back(tmp_path: Path) -> None:
    plan = plans.load(None)
    again = load(tmp_path, toml.dumps(plan.model_dump(mode="json")))
    assert again == plan


# --- decisions -------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rule", "kind", "value"),
    [
        ("predict", "predict", None), ("score>=0.5", "threshold", 0.5), ("score >= -1e-3", "threshold", -0.001), ("score>=.5", "threshold", 0.5),
        ("top=100", "top_count", 100.0), ("top=5%", "top_share", 0.05), (" top = 2.5 % ", "top_share", 0.025),
    ],
)  # fmt: skip
def test_decision_rules_are_read(rule: str, kind: str, value: float | None) -> None:
    decision = parse_decision(rule)
    assert (decision.kind, decision.value) == (kind, pytest.approx(value) if value is not None else None)


def test_a_decision_column_may_have_any_name() -> None:
    assert parse_decision("column=final = decision").column == "final = decision"


@pytest.mark.parametrize(
    "rule", ["", "top=0", "top=-1", "top=0%", "top=100%", "top=1.2.3%", "score>=", "score>=.", "score>0.5", "score>=nan", "column="]
)
def test_other_rules_are_refused(rule: str) -> None:
    with pytest.raises(AuditError, match="use predict, score>=T"):
        parse_decision(rule)
