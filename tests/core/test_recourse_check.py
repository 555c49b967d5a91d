"""The burden of groups: what the check says of the ways to the other decision."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from written import asked

from audit.columns import ColumnRule
from audit.explain.recourse import Search
from audit.explain.space import space_of
from audit.probe import collect
from audit.stats.compare import mean_ratio
from audit.text import render


def test_twice_the_distance_is_about_twice_the_burden(tmp_path: Path) -> None:
    """Two groups 0.1 and 0.2 below the cutoff, among others who are spread evenly and get the decision by something that nobody can change.

    In percentiles: the others' 94 % of the way, and of the 3 % at a planted value half at its start and all that are passed.
    """
    rng = np.random.default_rng(1)
    x = np.concatenate([np.full(60, 0.4), np.full(60, 0.3), rng.permutation(np.linspace(0, 1, 1880))])
    old = np.concatenate([np.zeros(120), np.ones(1880)])
    sex = ["a"] * 60 + ["b"] * 60 + ["a", "b"] * 940

    def model(frame: Any) -> Any:
        return np.where(frame["old"] == 1, 0.9, np.clip(frame["x"], 0, 1))

    _, context = asked(
        tmp_path, model, {"x": x, "old": old}, "explanation.recourse", groups={"sex": sex}, reference={"sex": "a"}, columns={"old": {"immutable": True}}
    )  # fmt: skip
    found, summary = collect(context, {"draws": 200})
    ratio = next(m for m in found if m.metric == "recourse_cost" and m.compare == "ratio")
    assert ratio.estimate is not None
    assert ratio.estimate.value == pytest.approx((0.2 * 0.94 + 0.045) / (0.1 * 0.94 + 0.015), rel=0.02)
    assert "times as much as a" in render(summary)


def test_two_margins_give_their_ratio() -> None:
    space = space_of({"x": np.linspace(-10, 10, 2001)}, {}, [])
    found = Search(space, lambda m: (m[:, 0] >= 0, np.maximum(0, -m[:, 0])), space.reference[1000:]).ways(np.array([[-1.0], [-2.0]]))
    assert found[1][0].cost / found[0][0].cost == pytest.approx(2, rel=0.01)


def test_people_for_whom_nothing_can_be_changed_are_counted_by_group(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    features = {"sex_code": np.array([0.0, 1.0] * 200), "x": rng.random(400)}

    def model(frame: Any) -> Any:
        return np.clip(frame["x"] - 0.6 * frame["sex_code"], 0, 1)

    sex = ["m" if c == 0 else "f" for c in features["sex_code"]]
    columns = {"sex_code": {"immutable": True}, "x": {"range": [0, 0.9]}}
    _, context = asked(tmp_path, model, features, "explanation.recourse", groups={"sex": sex}, columns=columns, reference={"sex": "m"})
    found, _ = collect(context, {})
    rates = {m.slice.get("sex"): m.estimate.value for m in found if m.metric == "no_recourse_rate" and m.compare == "value" and m.estimate}
    assert (rates["m"], rates["f"]) == (0, 1)


def test_a_ratio_of_means_and_when_there_is_none() -> None:
    rng = np.random.default_rng(0)
    own, theirs = rng.exponential(2, 400), rng.exponential(1, 400)
    found = mean_ratio(own, theirs, level=0.9, draws=2000, rng=rng)
    assert found is not None
    assert found.value == own.mean() / theirs.mean()
    half = 1.645 * np.sqrt(sum(x.var() / len(x) / x.mean() ** 2 for x in (own, theirs)))  # the delta method on the log scale
    assert np.log([found.low, found.high]) == pytest.approx(np.log(found.value) + np.array([-half, half]), abs=0.02)
    assert mean_ratio([1.0], [0.0], level=0.9, draws=25, rng=rng) is None
    same = mean_ratio([2.0, 2.0], [1.0, 1.0], level=0.9, draws=25, rng=rng)
    assert same is not None
    assert (same.low, same.value, same.high) == (2, 2, 2)


def test_a_ratio_moves_with_what_it_is_of_and_never_alone() -> None:
    """Granted where loan / price is at most 0.8: from 95 over 100 the loan falls to 80, and the ratio, which may not be changed, with it."""
    rng = np.random.default_rng(5)
    loan, price = rng.integers(50, 100, 500).astype(float), np.full(500, 100.0) + rng.integers(0, 2, 500)
    frame: dict[str, Any] = {"loan": loan, "price": price, "share": np.round(loan / price, 3)}
    rules = {
        "loan": ColumnRule(monotone="decreasing"),
        "price": ColumnRule(immutable=True),
        "share": ColumnRule(ratio=["loan", "price"]),
    }
    space = space_of(frame, rules, [])

    def ask(matrix: Any) -> tuple[Any, Any]:
        return matrix[:, 2] <= 0.8, np.maximum(0, matrix[:, 2] - 0.8)

    own = np.array([[95.0, 100.0, 0.95]])
    ((way,),) = Search(space, ask, space.reference[ask(space.reference)[0]]).ways(own)
    assert way.values.tolist() == [80, 100, 0.8]
    assert way.changes == 1, "what moves along is no change of its own"
    assert not space.violations(own, way.values[None])[0]
    alone, unmoved = np.array([[95.0, 100.0, 0.8]]), np.array([[80.0, 100.0, 0.95]])
    assert space.violations(own, alone)[0], "the ratio alone"
    assert space.violations(own, unmoved)[0], "the loan without the ratio"
    none = np.array([[0.0, 100.0, 0.0]])
    assert not space.possible(none, space.derived(none, own))[0], "from nothing nobody can say how far a ratio moves"


def test_what_never_falls_below_another_column_stops_there() -> None:
    """All debts hold those of the home: from 40 with 30 for the home they can fall to 30, not to the 25 that is asked."""
    rng = np.random.default_rng(6)
    home = rng.integers(10, 50, 500).astype(float)
    frame: dict[str, Any] = {"debts": home + rng.integers(0, 20, 500), "home": home}
    rules = {"debts": ColumnRule(monotone="decreasing", at_least="home"), "home": ColumnRule(immutable=True)}
    space = space_of(frame, rules, [])

    def below(limit: float) -> Any:
        return lambda matrix: (matrix[:, 0] <= limit, np.maximum(0, matrix[:, 0] - limit))

    own = np.array([[40.0, 30.0]])
    assert Search(space, below(25), space.reference[:0]).ways(own) == [[]]
    ((way,),) = Search(space, below(32), space.reference[:0]).ways(own)
    assert way.values.tolist() == [32, 30]
    assert space.violations(own, np.array([[25.0, 30.0]]))[0]
