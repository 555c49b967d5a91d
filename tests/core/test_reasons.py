"""Principal reasons: the worked example of our regulation page, an additive score where attributions are points, ties, and what may be no reason."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from written import asked

from audit.columns import ColumnRule
from audit.explain.decisions import Decided, Decider, decider
from audit.explain.reasons import (
    MOST,
    Shortfalls,
    band,
    barred,
    beaten_by_chance,
    factors_of,
    named,
    overlap,
    principal,
    shortfall,
    shortfalls,
)
from audit.measurement import Message
from audit.probe import collect
from audit.text import render

FACTORS = ["income", "utilisation", "delinquencies", "history", "inquiries"]
CHECK = "explanation.reasons"


def test_the_worked_example() -> None:
    """Band means 30, 25, 40, 20, 10 against the applicant's 18, 10, 40, 12, 9: shortfalls 12, 15, 0, 8, 1."""
    found = shortfall(np.array([18.0, 10, 40, 12, 9]), np.array([30.0, 25, 40, 20, 10]))
    assert found.tolist() == [12, 15, 0, 8, 1]
    assert [FACTORS[i] for i in principal(found)] == ["utilisation", "income", "history", "inquiries"]


def test_never_more_than_four_and_never_what_is_no_shortfall() -> None:
    assert principal(np.arange(10.0)) == [9, 8, 7, 6]
    assert len(principal(np.ones(9))) == MOST
    assert principal(np.array([-1.0, 0.0, -3.0])) == []
    assert principal(np.array([5.0, 1e-12])) == [0]


def made(parts: Any, left: float = 1.0, miss: float = 0.0) -> Shortfalls:
    array = np.asarray(parts, dtype=float)[:, None, :]
    return Shortfalls(
        tuple("abcdef")[: array.shape[2]],
        array,
        np.array([miss]),
        np.array([0.0]),
        "probability",
        "tree_shap",
        50,
        left,
        np.zeros(1),
        np.zeros(1),
    )


def test_reasons_that_the_background_cannot_tell_apart_are_tied() -> None:
    apart = named(made([[3, 1], [3.1, 1.1], [2.9, 0.9], [3, 1]]), 0)
    assert (apart.factors, apart.tied) == ([0, 1], [False, False])
    close = named(made([[3, 2.9], [2, 2.9], [3.5, 2.8], [2.8, 2.7]]), 0)
    assert close.tied[0]
    assert not named(made([[3, 2.9], [2, 2.5], [3.5, 2.8], [2.8, 2.7]], left=0.0), 0).tied[0], (
        "everybody is in the background: nothing was drawn"
    )
    assert named(made([[3, 2.9], [3, 2.9]], left=0.0, miss=0.2), 0).tied[0], "the attributions miss the answer by more than the difference"
    assert named(made([[2, 2], [2, 2]], left=0.0), 0).tied[0], "equal to the last digit"


def test_the_cut_between_the_fourth_and_the_fifth_is_watched() -> None:
    five = made([[9, 8, 7, 5, 5]] * 3, left=0.0)
    assert named(five, 0).open
    assert not named(made([[9, 8, 7, 5, 1]] * 3, left=0.0), 0).open
    assert not named(made([[9, 8, 7, 5, -5]] * 3, left=0.0), 0).open, "what raises the score is no rival"


def test_agreement_does_not_ask_for_the_order() -> None:
    assert overlap([1, 2, 3], [3, 2, 1]) == 1
    assert overlap([1, 2, 3, 4], [1, 9]) == 0.25
    assert overlap([], []) == 1


def test_the_band_is_a_tenth_of_a_standard_deviation_and_at_least_so_many() -> None:
    score = np.array([0.1, 0.2, 0.5, 0.51, 0.9, 0.95])
    frame = {"x": np.arange(6.0)}
    found = Decided(score >= 0.5, score, np.zeros(6))
    near = band(frame, found, 0.5, least=1)
    assert near is not None
    assert near.frame["x"].tolist() == [2, 3]
    assert (near.low, near.high) == (0.5, 0.51)
    wide = band(frame, found, 0.5, least=3)
    assert wide is not None
    assert wide.frame["x"].tolist() == [2, 3, 4]
    assert band(frame, Decided(score > 1, score, np.zeros(6)), 0.5) is None


AGES = {"age": np.array([40.0, 61.9, 62.0, 80.0, np.nan]), "race_code": np.ones(5)}


def test_age_counts_against_nobody_who_is_elderly_or_of_unknown_age() -> None:
    rules = {"age": ColumnRule(prohibited="age")}
    assert [barred("age", AGES, i, rules, ["age"]) for i in range(5)] == [False, False, True, True, True]


def test_sensitive_columns_prohibited_ones_and_flagged_stand_ins_are_no_reasons() -> None:
    assert barred("race_code", AGES, 0, {}, ["race_code"])
    assert barred("race_code", AGES, 0, {"race_code": ColumnRule(prohibited=True)}, [])
    assert barred("race_code", AGES, 0, {}, [], ["race_code"])
    assert not barred("race_code", AGES, 0, {}, [])
    group = {"race_code": ColumnRule(one_hot="g"), "age": ColumnRule(one_hot="g", prohibited=True)}
    assert barred("g", AGES, 0, group, []), "one member of a group bars the whole factor"
    assert factors_of(["race_code", "x", "age"], group) == {"g": ["race_code", "age"], "x": ["x"]}


# --- an additive score, whose points are known -------------------------------------------------------------------------------------------


def people(n: int = 400) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    return {"income": rng.random(n), "debt": rng.random(n), "history": rng.random(n), "noise": rng.random(n)}


def additive(frame: Any) -> Any:
    return 0.1 + 0.4 * frame["income"] + 0.1 * (1 - frame["debt"]) + 0.3 * frame["history"] + 0.0 * frame["noise"]


def of(context: Any) -> Decider:
    found = decider(context)
    assert isinstance(found, Decider)
    return found


def test_of_an_additive_score_the_shortfalls_are_the_commentarys_own(tmp_path: Path) -> None:
    _, context = asked(tmp_path, additive, people(), CHECK)
    judge = of(context)
    frame, _, decided = judge.everybody
    near = band(frame, decided, judge.cutoff)
    assert near is not None
    applicant = {name: column[:3] for name, column in frame.items()}
    found = shortfalls(context, applicant, near.frame, 10_000, "passing", output=judge.output, sign=judge.sign)
    weights = {"income": 0.4, "debt": -0.1, "history": 0.3, "noise": 0.0}
    for j, (name, weight) in enumerate(weights.items()):
        expected = shortfall(weight * applicant[name], np.array(weight * near.frame[name].mean()))
        assert found.mean[:, j] == pytest.approx(expected, abs=0.005)  # parts of equal size leave out a row or two of the band
    assert np.all(found.miss < 1e-9)


def test_the_check_names_what_lowers_the_score_and_says_how_often(tmp_path: Path) -> None:
    _, context = asked(tmp_path, additive, people(), CHECK, groups={"sex": ["f", "m"] * 200})
    found, summary = collect(context, {})
    share = {m.slice["(feature)"]: m.estimate.value for m in found if m.metric == "reason_share" and m.estimate and len(m.slice) == 1}
    assert share["income"] > share["debt"]
    assert share["income"] > 0.8
    assert "noise" not in share
    (blocked,) = [m for m in found if m.metric == "notice_blocked_rate"]
    assert blocked.estimate is not None
    assert (blocked.estimate.value, blocked.estimate.method) == (0.0, "exact"), "no input is a prohibited basis"
    assert {m.slice.get("sex") for m in found if m.metric == "reason_share"} == {None, "f", "m"}
    assert "have income among their principal reasons" in render(summary)


def test_a_prohibited_basis_among_the_reasons_blocks_the_notice(tmp_path: Path) -> None:
    _, context = asked(tmp_path, additive, people(), CHECK, columns={"history": {"prohibited": True}})
    found, summary = collect(context, {})
    (blocked,) = [m for m in found if m.metric == "notice_blocked_rate"]
    (named_,) = [m for m in found if m.metric == "reason_share" and m.slice == {"(feature)": "history"}]
    assert blocked.estimate is not None
    assert named_.estimate is not None
    assert 0 < blocked.estimate.value == named_.estimate.value
    assert "no notice can be issued" in render(summary)


def test_an_input_that_copies_a_sensitive_column_is_flagged_without_being_declared(tmp_path: Path) -> None:
    features = people() | {"area": np.array([0.0, 1.0] * 200)}

    def by_area(frame: Any) -> Any:
        return np.clip(additive(frame) - 0.3 * frame["area"], 0, 1)

    _, context = asked(tmp_path, by_area, features, CHECK, groups={"race": ["a", "b"] * 200})
    found, _ = collect(context, {})
    blocked = next(m for m in found if m.metric == "notice_blocked_rate" and not m.slice)
    assert blocked.estimate is not None
    assert blocked.estimate.value > 0.3


def test_nothing_is_said_where_everybody_gets_the_same_or_decisions_are_not_the_models(tmp_path: Path) -> None:
    _, context = asked(tmp_path, lambda f: 0.9 + 0.0 * f["income"], people(), CHECK)
    found, summary = collect(context, {})
    assert not found
    assert "nobody is owed reasons" in render(summary)
    _, context = asked(tmp_path, lambda f: 0.1 + 0.0 * f["income"], people(), CHECK)
    found, summary = collect(context, {})
    assert not found
    assert "nobody to compare with" in render(summary)
    _, context = asked(tmp_path, additive, people(), CHECK, decision="column=outcome", y=np.zeros(400, int))
    assert isinstance(decider(context), Message)


def test_where_the_opposite_of_the_event_is_favourable_the_signs_turn(tmp_path: Path) -> None:
    """The score predicts default; people want "0". Debt is what lowers their chances now, by rising."""

    def default(frame: Any) -> Any:
        return np.clip(0.2 + 0.6 * frame["debt"], 0, 1)

    _, context = asked(tmp_path, default, people(), CHECK, favourable=["0"])
    found, _ = collect(context, {})
    assert {m.slice["(feature)"] for m in found if m.metric == "reason_share"} == {"debt"}


def test_an_order_without_meaning_is_no_better_than_chance(tmp_path: Path) -> None:
    _, context = asked(tmp_path, additive, people(), CHECK)
    judge = of(context)
    frame, _, decided = judge.everybody
    row = int(np.argmin(decided.score))
    found = shortfalls(context, {name: column[row : row + 1] for name, column in frame.items()}, frame, 100, "x")
    one = {name: column[row : row + 1] for name, column in frame.items()}
    assert beaten_by_chance(context, one, 0, frame, found) <= 0.05
    backwards = replace(found, parts=-found.parts)
    assert beaten_by_chance(context, one, 0, frame, backwards) >= 0.8  # of 24 orders some are as bad
