"""Attacks by gradient against nets whose robust accuracy is known: a linear one, one that is sure of itself, and one that has no gradient."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from audit.subject.client import WorkerError
from audit.subject.flavors.attacks import Goal, attack
from audit.subject.flavors.base import ContractError
from audit.subject.flavors.gradients import Net

Module: Any = nn.Module  # torch is Any to mypy: see pyproject
X = np.array([[1, 0], [0, 1], [0.2, 0.1], [-1, 0]], dtype=np.float32)
Y = np.array([1, 0, 1, 0])
METHODS: list[dict[str, Any]] = [
    {"method": "fgsm"},
    {"method": "pgd", "steps": 10},
    {"method": "pgd", "steps": 10, "restarts": 3, "skip": 1},
    {"method": "apgd", "steps": 10},
]


class Linear(Module):
    """x₀ − x₁, times `scale`, as one logit, as two, or as the probability of the event."""

    def __init__(self, scale: float = 1.0, form: str = "one") -> None:
        super().__init__()
        self.layer = nn.Linear(2, 1)
        self.layer.weight.data = torch.tensor([[scale, -scale]])
        self.layer.bias.data.zero_()
        self.form = form

    def forward(self, x: Any) -> Any:
        z = self.layer(x)
        return {"one": z, "two": torch.cat([-z / 2, z / 2], dim=1), "probability": torch.sigmoid(z)}[self.form]


def robust(module: Any, epsilon: Any, *, goal: dict[str, Any] | None = None, **params: Any) -> float:
    """Share of the rows that are right and stay so."""
    found = Goal(Net(module, []), **(goal or {}))
    x = torch.from_numpy(X)
    moved = attack(found, x, reach=epsilon, low=-10.0, high=10.0, **params)
    assert (moved - x).abs().max() <= max(np.atleast_1d(epsilon)) + 1e-6
    right = found.answer(found.scores(x)).numpy() == Y
    return float((right & (found.answer(found.scores(moved)).numpy() == Y)).mean())


@pytest.mark.parametrize("params", METHODS, ids=str)
@pytest.mark.parametrize("form", ["one", "two", "probability"])
def test_a_linear_model_is_robust_where_its_margin_exceeds_epsilon_times_the_weights(params: dict[str, Any], form: str) -> None:
    """ROB-01: mean(margin > ε‖w‖₁) is .75 at ε = .1 and 0 at ε = .6."""
    goal = {"probability": form == "probability"}
    assert robust(Linear(form=form), 0.1, goal=goal, **params) == 0.75
    assert robust(Linear(form=form), 0.6, goal=goal, **params) == 0.0


@pytest.mark.parametrize("params", METHODS, ids=str)
def test_a_net_that_is_sure_of_itself_hides_no_gradient(params: dict[str, Any]) -> None:
    """Logits of ±200: cross-entropy's gradient is 0 in single precision, and an attack that follows it moves nothing."""
    steep = Linear(400.0, "two")
    x = torch.tensor([[1.0, 0.0]], requires_grad=True)
    nn.functional.cross_entropy(steep(x), torch.tensor([1])).backward()
    assert x.grad is not None
    assert not x.grad.any()
    assert robust(steep, 0.6, **params) == 0.0


def test_a_cutoff_moves_the_decision() -> None:
    """With the event decided for from log-odds .25 on, the row with log-odds .1 is wrong already, and that with 1 falls at ε > .375."""
    goal = {"event": 1, "cutoff": 0.25}
    for form in ("one", "two"):
        assert robust(Linear(form=form), 0.05, goal=goal, method="fgsm") == 0.75
        assert robust(Linear(form=form), 0.3, goal=goal, method="fgsm") == 0.75
        assert robust(Linear(form=form), 0.4, goal=goal, method="fgsm") == 0.5  # the two others lead by 1.25


def test_each_number_has_its_own_reach_and_ends() -> None:
    """Only x₀ may move, by .15: 2 · .15 would turn the third row, .15 alone turns it too, and .05 does not."""
    assert robust(Linear(), [0.15, 0.0], method="pgd") == 0.75
    assert robust(Linear(), [0.05, 0.0], method="pgd") == 1.0
    goal, x = Goal(Net(Linear(), [])), torch.from_numpy(X)
    moved = attack(goal, x, method="pgd", reach=5.0, low=[0.0, -1.0], high=[1.0, 1.0])
    assert moved[:3].min() >= -1
    assert (moved[:3, 0] >= 0).all()
    assert moved[3, 0] <= 1  # a row that lies outside already may come in
    assert robust(Linear(), 0.6, method="apgd", up=[0.0, 1.0], down=[0.0, 1.0]) == 0.75
    assert robust(Linear(), 0.15, method="pgd", up=0.0) == 0.75
    assert robust(Linear(), 0.6, method="pgd", up=[1.0, 0.0], down=[0.0, 0.0]) == 1.0
    gap = torch.tensor([[float("nan"), 0.5]])
    assert torch.isnan(attack(goal, gap, method="pgd", reach=0.1, low=0.0, high=1.0)[0, 0])


def test_restarts_and_steps_repeat_themselves() -> None:
    goal, x = Goal(Net(Linear(), [])), torch.from_numpy(X)
    for params in METHODS:
        one, two = (attack(goal, x, reach=0.1, low=-1.0, high=1.0, seed=3, **params) for _ in range(2))
        assert torch.equal(one, two)


class Stepped(Module):
    def forward(self, x: Any) -> Any:
        return (x[:, :1] > x[:, 1:2]).float() - 0.5


def test_a_net_without_gradient_says_so() -> None:
    with pytest.raises(ContractError, match="no gradient"):
        robust(Stepped(), 0.1, method="pgd")


def test_rosenbrock_is_climbed_further_by_apgd_than_by_one_step() -> None:
    """A curved valley: the best point of the box is (1, 1), where one step along the sign does not lead."""

    class Valley(Module):
        def forward(self, x: Any) -> Any:
            return 0.01 + (1 - x[:, :1]) ** 2 + 10 * (x[:, 1:] - x[:, :1] ** 2) ** 2

    goal, x = Goal(Net(Valley(), [])), torch.tensor([[-0.5, 0.5]])
    height = {name: float(goal.scores(attack(goal, x, reach=2.0, low=-2.0, high=2.0, **params))[0, 0]) for name, params in
              {"fgsm": {"method": "fgsm"}, "apgd": {"method": "apgd", "steps": 100}}.items()}  # fmt: skip
    assert height["apgd"] < 0.5 < height["fgsm"]


def test_the_worker_attacks_and_its_testimony_is_held_against_what_it_answers(save: Callable[..., Path], start: Callable[..., Any]) -> None:
    """Through the confined worker: rows come back in the order of the columns, moved by no more than asked, and `predict` agrees."""
    from mlflow.models import ModelSignature
    from mlflow.types import Schema, TensorSpec

    signature = ModelSignature(Schema([TensorSpec(np.dtype("float32"), (-1, 2))]), Schema([TensorSpec(np.dtype("float32"), (-1, 1))]))
    client, _ = start(save("pytorch", Linear(), signature=signature, input_example=X, serialization_format="pt2"), trust_pickle=False)
    frame = {"a": X[:, 0].astype(float), "b": X[:, 1].astype(float)}
    found = client.attack(frame, method="pgd", reach=0.1, low=-2.0, high=2.0, steps=5)
    assert found.shape == (4, 2)
    assert np.abs(found - X).max() == pytest.approx(0.1)
    after = client.predict({"a": found[:, 0], "b": found[:, 1]}).values[:, 0]
    assert ((after >= 0) == Y).tolist() == [True, True, False, True]
    with pytest.raises(WorkerError, match="TypeError"):
        client.attack(frame, method="pgd", reach=0.1, low=0.0, high=1.0, unknown=1)
