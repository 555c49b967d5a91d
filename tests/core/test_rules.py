"""Declared rules against models that are written down here: kept, broken for a known share of rows, refused, and put in the plan."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scene import Pick
from scipy.stats import beta
from written import asked

from audit import plan as plans
from audit.changes import Try, tries
from audit.columns import ColumnRule
from audit.declared_rules import DeclaredRule, parsed, refuse_rules
from audit.errors import AuditError
from audit.judge import judge_reported
from audit.probe import collect
from audit.registry import checks
from audit.result import Finding
from audit.subject.frame import Categories, Frame
from audit.text import render

N = 600
CHECK = "robustness.rules"
UP = '[rules.up]\ncolumn = "income"\nchange = "increase"\nnever = "lowers"\n'


def people(seed: int = 0) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    return {"income": rng.random(N), "debt": rng.random(N), "region": rng.integers(0, 3, N).astype(float)}


def load(folder: Path, text: str) -> plans.Plan:
    (folder / "plan.toml").write_text(text)
    return plans.load(folder / "plan.toml")


def run(folder: Path, model: Any, text: str, **more: Any) -> tuple[list[Finding], str]:
    plan = load(folder, text)
    _, context = asked(folder, model, people(), CHECK, plan=plan, **more)
    found, summary = collect(context, plans.parameters(plan, checks()[CHECK]))
    return judge_reported(CHECK, found, plan, judgeable=True), render(summary)


def rising(frame: Any) -> Any:
    return np.clip(frame["income"], 0, 1)


def dipping(frame: Any) -> Any:
    """Approval above 0.5, but not from 0.8 to 0.9."""
    return np.where((frame["income"] >= 0.8) & (frame["income"] < 0.9), 0.1, np.clip(frame["income"], 0, 1))


def test_a_rising_model_keeps_the_rule_and_the_bound_is_exact(tmp_path: Path) -> None:
    found, summary = run(tmp_path, rising, UP)
    rate = Pick(found)("violation_rate", **{"(rule)": "up"})
    assert rate.parts[0].k == 0
    assert rate.parts[0].n == N - 1  # the largest income cannot become a larger one
    assert rate.estimate.high == pytest.approx(beta.ppf(0.95, 1, N - 1))
    assert rate.verdict == "pass"
    assert "none of 1. At most" in summary


def test_the_rows_that_break_a_rule_are_counted_by_hand(tmp_path: Path) -> None:
    """An amount of exactly 0.1 takes those from 0.7 to 0.8 into the dip; those in it are not approved and cannot lose."""
    found, summary = run(tmp_path, dipping, UP + "by = [0.1, 0.1]\n", groups={"sex": np.where(np.arange(N) % 2 == 0, "f", "m")})
    income = people()["income"]
    hit = (income + 0.1 >= 0.8) & (income + 0.1 < 0.9) & (dipping(people()) >= 0.5)
    pick = Pick(found)
    assert pick("violation_rate", **{"(rule)": "up"}).parts[0].k == hit.sum() > 30
    assert pick("violation_rate", sex="f", **{"(rule)": "up"}).parts[0].k == hit[::2].sum()
    assert pick("violation_rate", **{"(rule)": "up"}).verdict == "fail"
    assert pick("violation_rate", **{"(rule)": "up"}).criterion.role == "warns"
    assert "some row breaks: 1 of 1. Most often up" in summary


def test_a_falling_change_and_a_column_that_changes_nothing(tmp_path: Path) -> None:
    text = UP.replace("increase", "decrease").replace("lowers", "raises") + '[rules.region]\ncolumn = "region"\nnever = "changes"\n'
    found, _ = run(tmp_path, lambda f: np.clip(0.9 * f["income"] + 0.05 * (f["region"] == 2), 0, 1), text)
    pick = Pick(found)
    assert pick("violation_rate", **{"(rule)": "up"}).parts[0].k == 0
    assert 0 < pick.value("violation_rate", **{"(rule)": "region"}) < 0.2


def test_the_score_may_move_by_what_is_tolerated(tmp_path: Path) -> None:
    text = '[rules.steady]\ncolumn = "debt"\nnever = "changes"\nof = "score"\ntolerance = {}\n'
    for tolerance, expected in ((0.011, 0.0), (0.001, 0.5)):
        (tmp_path / str(tolerance)).mkdir()
        found, _ = run(tmp_path / str(tolerance), lambda f: 0.4 + 0.01 * f["debt"], text.format(tolerance))
        rate = Pick(found).value("violation_rate", **{"(rule)": "steady"})
        assert rate == 0 if expected == 0 else rate > expected


def test_a_value_of_a_quantity_never_falls(tmp_path: Path) -> None:
    more = {"task": "regression", "score": None, "decision": None, "favourable": [], "pred": people()["income"]}
    found, _ = run(tmp_path, dipping, UP + 'of = "score"\nby = [0.1, 0.1]\n', **more)
    income = people()["income"]
    assert (
        Pick(found)("violation_rate", **{"(rule)": "up"}).parts[0].k
        == (dipping({"income": income + 0.1}) < dipping({"income": income}) - 1e-9).sum()
    )


def test_without_a_favourable_decision_nothing_can_be_lowered(tmp_path: Path) -> None:
    found, summary = run(tmp_path, rising, UP, favourable=[])
    assert Pick(found)("violation_rate", **{"(rule)": "up"}).estimate is None
    assert "None of the declared rules could be put" in summary


def attempts(rule: dict[str, Any], frame: Frame, limits: ColumnRule | None = None) -> list[Try]:
    return list(tries(DeclaredRule.model_validate(rule), limits, frame, 4, np.random.default_rng(0)))


def test_changes_keep_to_what_was_said() -> None:
    frame: Frame = {"x": np.array([1.0, 5.0, 9.0, np.nan]), "word": Categories(np.array([0, 1, -1, 0], np.int32), ("a", "b"))}
    for one in attempts({"column": "x", "change": "increase", "never": "lowers"}, frame):
        assert one.changed.tolist() == [True, True, False, False]
        assert one.frame["x"][0] in (5.0, 9.0)  # type: ignore[index]
    for one in attempts({"column": "x", "change": "decrease", "never": "raises", "by": [2, 4]}, frame, ColumnRule(range=[0.0, 9.0])):
        assert one.changed.tolist() == [False, True, True, False]  # 1 − 2 would leave the range
        moved = np.array([5.0, 9.0]) - np.asarray(one.frame["x"])[1:3]
        assert set(moved.tolist()) <= {2.0, 3.0, 4.0}, "whole numbers stay whole"
    (to,) = attempts({"column": "word", "never": "changes", "to": ["c"]}, frame)
    assert to.changed.tolist() == [True, True, False, True]
    assert to.frame["word"].vocabulary[to.frame["word"].codes[0]] == "c"  # type: ignore[union-attr]
    assert all(not one.changed[2] for one in attempts({"column": "word", "never": "changes"}, frame))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (UP + '[rules.down]\ncolumn = "income"\nchange = "increase"\nnever = "raises"\n', "'up' and 'down' contradict each other"),
        (UP + '[rules.down]\ncolumn = "income"\nchange = "decrease"\nnever = "lowers"\n', "'up' and 'down' contradict each other"),
        (UP.replace('"increase"', '"any"'), "can be undone by another"),
        (UP + "by = [3, 1]\n", "least and the most"),
        (UP + "by = [0, 1]\n", "least and the most"),
        (UP + "to = [1]\n", "leave one of them out"),
        (UP + "tolerance = 0.1\n", "of = 'score'"),
        (UP.replace("lowers", "worsens"), "rules.up.never"),
        (UP + "strength = 1\n", "rules.up.strength"),
        (UP + '[checks."robustness.rules"]\nparams = { rules = {} }\n', "write them as"),
    ],
)
def test_what_cannot_be_meant_is_refused_in_one_line(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(AuditError, match=said.replace("[", r"\[")) as error:
        load(tmp_path, text)
    assert "\n" not in str(error.value)


def test_a_rule_and_its_reverse_say_the_same(tmp_path: Path) -> None:
    assert load(tmp_path, UP + '[rules.down]\ncolumn = "income"\nchange = "decrease"\nnever = "raises"\n').rules.keys() == {"up", "down"}


FACTS = {
    "columns": ["income", "region", "day", "home_rent", "school"],
    "features": [{"name": "income", "kind": "number"}, {"name": "region", "kind": "category"}, {"name": "day", "kind": "datetime"}, {"name": "home_rent", "kind": "number"}],
    "roles": {"columns": {"home_rent": {"one_hot": "home"}, "income": {"range": [0.0, 10.0]}}},
}  # fmt: skip


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ({"column": "wage", "never": "changes"}, "no column of the data"),
        ({"column": "school", "never": "changes"}, "no input of the model"),
        ({"column": "region", "change": "increase", "never": "lowers"}, "of kind category"),
        ({"column": "region", "never": "changes", "to": [1]}, "of kind category"),
        ({"column": "day", "never": "changes"}, "of kind datetime"),
        ({"column": "income", "never": "changes", "to": ["north"]}, "it holds numbers"),
        ({"column": "home_rent", "never": "changes"}, "one-hot group"),
        ({"column": "income", "change": "increase", "never": "lowers", "by": [20, 30]}, "its range is 0 to 10"),
    ],
)
def test_columns_that_cannot_be_changed_so_are_refused(rule: dict[str, Any], said: str) -> None:
    with pytest.raises(AuditError, match=said):
        refuse_rules(parsed({"r": rule}), FACTS)


def test_without_rules_the_check_is_skipped_and_says_how_to_declare_them(tmp_path: Path) -> None:
    scene, _ = asked(tmp_path, rising, people(), CHECK)
    assert "[rules.NAME]" in str(scene.missing(CHECK))
    scene.plan = load(tmp_path, UP)
    assert scene.missing(CHECK) is None
