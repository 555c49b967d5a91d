"""Feasible attacks on tables: the exact answer for a linear model, what declarations forbid, categories, and what nobody can move."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scene import Pick, Scene, set_scene

from audit import columns
from audit.explain.space import space_of
from audit.probe import collect
from audit.stress.feasible import Ground, ground_of
from audit.subject.client import Prediction
from audit.subject.flavors import attacks
from audit.subject.flavors.gradients import Net
from audit.subject.frame import Categories, Frame
from audit.text import render

N, CHECK = 150, "robustness.feasible"
WEIGHTS = {"a": 1.0, "b": -0.5, "c": 0.25, "fixed": 2.0}
Module: Any = torch.nn.Module  # torch is Any to mypy: see pyproject


class Linear(Module):
    """Σ w x as one logit."""

    def forward(self, x: Any) -> Any:
        return (x * torch.tensor(list(WEIGHTS.values()))).sum(dim=1, keepdim=True)


class Client:
    """The linear model in the worker's place, with its gradients or without; it counts the rows that it was asked for."""

    def __init__(self, gradients: bool) -> None:
        self.gradients, self.asked = gradients, 0

    def _x(self, frame: Frame) -> Any:
        return torch.from_numpy(np.stack([np.asarray(frame[name], dtype=np.float32) for name in WEIGHTS], axis=1))

    def predict(self, frame: Frame, *, timeout: float | None = None) -> Prediction:
        x = self._x(frame)
        self.asked += len(x)
        return Prediction(torch.sigmoid(Linear()(x).double()).numpy(), None)

    def attack(self, frame: Frame, *, method: str, probability: bool, **params: Any) -> Any:
        assert self.gradients
        return attacks.attack(attacks.Goal(Net(Linear(), [])), self._x(frame), method=method, **params).numpy()


RULES: dict[str, dict[str, Any]] = {"fixed": {"immutable": True}, "b": {"monotone": "increasing"}, "c": {"range": [-10.0, 0.5]}}


def people() -> dict[str, Any]:
    x = np.random.default_rng(4).normal(size=(N, 4))
    x[:, 2] = np.minimum(x[:, 2], 0.5)
    return {name: x[:, j] * (1 if name != "fixed" else 0.3) for j, name in enumerate(WEIGHTS)}


def scene(folder: Path, features: dict[str, Any], rules: dict[str, Any], gradients: bool) -> Scene:
    z = sum(WEIGHTS[name] * values for name, values in features.items())
    y = (z > 0).astype(int)
    y[:5] = 1 - y[:5]
    made = set_scene(
        folder,
        y=y,
        pred=(z > 0).astype(int),
        score=1 / (1 + np.exp(-z)),
        features=features,
        groups={"side": np.where(features["a"] > 0, "up", "down")},
    )
    made.facts = made.facts.model_copy(update={"roles": made.facts.roles.model_copy(update={"columns": rules})})
    made.settled = made.settled.model_copy(update={"methods": ["gradient_x_input"] if gradients else []})
    return made


def run(made: Scene, gradients: bool, **params: Any) -> tuple[Any, Any, Client]:
    context, client = made.context(CHECK), Client(gradients)
    context.__dict__["client"] = client
    return *collect(context, params), client


def worst(features: dict[str, Any], epsilon: float) -> Any:
    """How far each row's answer is led by the best move, worked out number by number."""
    z = sum(WEIGHTS[name] * values for name, values in features.items())
    toward, lead = -np.sign(z), np.abs(z)
    for name in ("a", "b", "c"):
        x, w = features[name], WEIGHTS[name]
        least, most = np.quantile(x, (0.01, 0.99), method="inverted_cdf")
        if name == "c":
            most = min(most, 0.5)
        low, high = np.maximum(x - epsilon * x.std(), np.minimum(x, least)), np.minimum(x + epsilon * x.std(), np.maximum(x, most))
        if name == "b":
            low = x
        if name == "c":
            low, high = np.where(x > 0.5, x, low), np.where(x > 0.5, x, high)
        end = np.where(toward * w > 0, high, low)
        lead = lead - toward * w * (end - x)
    return lead


@pytest.mark.parametrize("gradients", [True, False])
def test_a_linear_model_is_robust_exactly_where_the_best_feasible_move_keeps_its_sign(tmp_path: Path, gradients: bool) -> None:
    """ROB-03: margin > ε Σ |w| over what may move, with what is declared and the ends of the data taken into account."""
    features = people()
    found, summary, client = run(scene(tmp_path, features, RULES, gradients), gradients, rows=N)
    pick, right = Pick(found), np.arange(N) >= 5
    for epsilon in (0.1, 0.25, 0.5):
        expected = (right & (worst(features, epsilon) > 0)).mean()
        assert pick.value("robust_accuracy", **{"(deviations)": f"{epsilon:g}"}) == pytest.approx(expected)
    assert pick.value("accuracy_unattacked") == right.mean()
    assert pick.value("constraint_violation_rate") == 0
    assert pick("constraint_violation_rate").estimate.n > 10
    up = features["a"] > 0
    assert pick.value("robust_accuracy", side="up", **{"(deviations)": "0.25"}) == pytest.approx(
        (right & (worst(features, 0.25) > 0))[up].mean()
    )
    assert "3 numbers may each move by 0.25" in render(summary)
    tables = pick("robust_accuracy", **{"(deviations)": "0.1"}).evidence
    assert {row[1] for row in tables[0].rows} == ({"by gradients", "search by answers"} if gradients else {"search by answers"})
    assert "fixed" not in {row[0] for row in tables[1].rows}
    if gradients:  # the search has nothing left to find in a linear model
        assert not any(row[3] for row in tables[0].rows if row[1] == "search by answers")
    assert client.asked < 3 * N * 200


def test_the_same_seed_gives_the_same_numbers(tmp_path: Path) -> None:
    found = [run(scene(tmp_path, people(), RULES, False), False, rows=40)[0] for _ in range(2)]
    assert found[0] == found[1]


def ground(frame: Frame, rules: dict[str, Any]) -> Ground:
    return ground_of(space_of(frame, columns.rules(rules), ()))


def test_whole_numbers_stay_whole_and_missing_stays_missing() -> None:
    rng = np.random.default_rng(0)
    frame: Frame = {
        "whole": rng.integers(0, 20, 60).astype(float),
        "cents": np.round(rng.random(60), 2),
        "gap": np.where(np.arange(60) < 5, np.nan, rng.random(60)),
    }
    made = ground(frame, {"whole": {"integer": True, "range": [0.0, 15.0]}})
    own = made.space.reference
    low, high = made.box(own, 0.5)
    moved = made.repaired(own[:, made.columns] + rng.normal(size=(60, 3)) * 50, own, low, high)
    assert np.array_equal(moved[:, 0], np.rint(moved[:, 0]))
    assert np.round(moved[:, 1], 2) == pytest.approx(moved[:, 1], abs=1e-12)
    assert np.isnan(moved[:5, 2]).all()
    assert (moved[:, 0] != own[:, 0]).mean() > 0.5
    outside = own[:, 0] > 15
    assert outside.any()
    assert np.array_equal(moved[outside, 0], own[outside, 0])
    assert not made.space.violations(own, moved).any()
    spread = np.nanstd(own, axis=0)
    known = np.isfinite(own)
    assert np.all((np.abs(moved - own) <= 0.5 * spread + 1e-9)[known])


class Shop:
    """Two classes by a category and a one-hot group: decided for where the colour is red or b is 1."""

    def predict(self, frame: Frame, *, timeout: float | None = None) -> Prediction:
        colour = frame["colour"]
        assert isinstance(colour, Categories)
        red = np.array([v == "red" for v in colour.vocabulary])[colour.codes]
        return Prediction((0.2 + 0.3 * red + 0.3 * np.asarray(frame["b"], dtype=float))[:, None], None)


def test_categories_move_only_where_the_plan_lets_them(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    kind = rng.integers(0, 3, 90)
    features = {"colour": rng.choice(["red", "blue"], 90), "a": (kind == 0) * 1.0, "b": (kind == 1) * 1.0, "d": (kind == 2) * 1.0}
    score = 0.2 + 0.3 * (features["colour"] == "red") + 0.3 * features["b"]
    rules = {name: {"one_hot": "kind"} for name in ("a", "b", "d")}
    made = set_scene(
        tmp_path, y=(score > 0.4).astype(int), pred=(score > 0.4).astype(int), score=score, decision="score>=0.4", features=features
    )
    specs = [f.model_copy(update={"kind": "category"}) if f.name == "colour" else f for f in made.facts.features]
    made.facts = made.facts.model_copy(update={"features": specs, "roles": made.facts.roles.model_copy(update={"columns": rules})})
    context = made.context(CHECK)
    context.__dict__["client"] = Shop()
    found, summary = collect(context, {})
    assert not found
    assert "No number" in render(summary)
    found, _ = collect(context, {"switches": 1, "rows": 90})
    both = (features["colour"] == "red") & (features["b"] == 1)  # one switch leaves the other reason
    assert Pick(found).value("robust_accuracy", **{"(deviations)": "0.25"}) == pytest.approx(both.mean())
    assert Pick(found).value("constraint_violation_rate") == 0
    found, _ = collect(context, {"switches": 2, "rows": 90})
    assert Pick(found).value("robust_accuracy", **{"(deviations)": "0.5"}) == 0


def test_nothing_declared_is_said_and_an_epsilon_of_0_refused(tmp_path: Path) -> None:
    made = scene(tmp_path, people(), {}, False)
    _, summary, _ = run(made, False, rows=20)
    assert "Nobody declared what of the inputs can change" in render(summary)
    found, summary, _ = run(made, False, epsilons=[0.0])
    assert not found
    assert "not above 0" in render(summary)
