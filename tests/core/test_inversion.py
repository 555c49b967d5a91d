"""Model inversion where the answer is known: of a linear softmax the climb goes along the weight row, and what it is compared with is counted again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scene import Pick, Scene, set_scene
from torch import nn

from audit.privacy.inversion import start_of
from audit.probe import collect
from audit.registry import NEEDS
from audit.subject.client import Prediction
from audit.subject.flavors.gradients import Net
from audit.subject.flavors.inversion import invert
from audit.subject.frame import Categories, Frame
from audit.text import render

CHECK = "privacy.inversion"
WEIGHTS = np.array([[2.0, -1.0, 0.5], [-2.0, 1.0, -0.5]]) / 4
Module: Any = nn.Module  # torch is Any to mypy: see pyproject


class Softmax(Module):
    """Logits W x of two classes, or the log-odds of the second alone; a leading column of codes is not looked at."""

    def __init__(self, form: str = "two") -> None:
        super().__init__()
        self.form, self.weight = form, torch.tensor(WEIGHTS, dtype=torch.float32)

    def forward(self, x: Any) -> Any:
        z = x[:, -3:] @ self.weight.T
        odds = z[:, 1:] - z[:, :1]
        return {"two": z, "one": odds, "probability": torch.sigmoid(odds)}[self.form]


def climbed(form: str, *, low: float = -50.0, high: float = 50.0, prior: float = 1.0, steps: int = 300) -> Any:
    """Where both classes lead from 0."""
    return invert(
        Net(Softmax(form), []), torch.zeros(2, 3), probability=form == "probability", event=1, classes=[0, 1], free=[0, 1, 2], low=[low] * 3, high=[high] * 3,
        scale=[1.0] * 3, prior=prior, steps=steps,
    ).numpy()  # fmt: skip


@pytest.mark.parametrize("form", ["two", "one", "probability"])
def test_a_linear_softmax_is_climbed_along_its_weight_row(form: str) -> None:
    """Of two classes with weights ±w the gradient of log p is 2 (1 − p) w everywhere on the line, so the climb ends at x = t w with t = 2 (1 − p(t w))."""
    for found, w in zip(climbed(form), WEIGHTS, strict=True):
        assert found @ w / np.linalg.norm(found) / np.linalg.norm(w) == pytest.approx(1, abs=1e-6)
        t = found @ w / (w @ w)
        assert t == pytest.approx(2 / (1 + np.exp(2 * t * (w @ w))), rel=1e-3)


def test_nothing_leaves_the_box_and_what_may_not_move_stays() -> None:
    found = climbed("two", low=-0.25, high=0.5, prior=0.0)
    assert found.min() >= -0.25
    assert found.max() <= 0.5
    assert found[0].tolist() == [0.5, -0.25, 0.5]  # without a prior each number goes to its end
    held = invert(
        Net(Softmax(), []), torch.full((1, 3), 0.1), probability=False, event=1, classes=[1], free=[2], low=[-1.0], high=[1.0], scale=[1.0], prior=1.0, steps=50
    ).numpy()  # fmt: skip
    assert held[0, :2].tolist() == pytest.approx([0.1, 0.1])
    assert held[0, 2] < 0.1


class Client:
    """The net in the place of the worker."""

    def tensor(self, frame: Frame) -> Any:
        columns = [np.asarray(c.codes if isinstance(c, Categories) else c, dtype=np.float32).reshape(-1, 1) for c in frame.values()]
        return torch.from_numpy(np.concatenate(columns, axis=1))

    def predict(self, frame: Frame, *, timeout: float | None = None) -> Prediction:
        return Prediction(torch.sigmoid(Softmax("one")(self.tensor(frame))).double().numpy(), None)

    def attack(self, frame: Frame, *, method: str, **params: Any) -> Any:
        assert method == "inversion"
        return invert(Net(Softmax("probability"), []), self.tensor(frame), **params).double().numpy()


N = 600


def rows(rng: np.random.Generator) -> tuple[dict[str, Any], Any]:
    x = rng.normal(size=(N, 3)) * [1.0, 2.0, 0.5] + [0.0, 1.0, 5.0]
    odds = (x - [0, 1, 5]) @ (WEIGHTS[1] - WEIGHTS[0])
    kind = np.array(["u", "v", "v"])[np.arange(N) % 3]
    return {"kind": kind, "a": x[:, 0], "b": x[:, 1], "c": x[:, 2]}, (rng.random(N) < 1 / (1 + np.exp(-odds))).astype(int)


def scene(folder: Path, *, trained: bool = True) -> Scene:
    rng = np.random.default_rng(0)
    (x, y), (other, outcome) = rows(rng), rows(rng)
    training = {**other, "outcome": outcome.astype(str)}
    made = set_scene(folder, pred=y, y=y, score=np.full(N, 0.5), features=x, training=training if trained else None, trained=trained)
    made.settled = made.settled.model_copy(update={"methods": ["gradient_x_input"]})
    return made


def asked(made: Scene, **params: Any) -> tuple[Pick, str]:
    context = made.context(CHECK)
    context.__dict__["client"] = Client()
    found, summary = collect(context, params)
    assert render(summary, "zh") != render(summary)
    return Pick(found), render(summary)


def test_what_is_found_is_set_beside_the_class_and_single_rows(tmp_path: Path) -> None:
    """The prototype of a linear model goes along the weights in standard deviations; cosines counted again from the rows."""
    made = scene(tmp_path)
    pick, said = asked(made)
    sample = made.context(CHECK).sample(1000)
    z = start_of(sample.frame).deviations(sample.frame)
    x = np.stack([np.asarray(sample.frame[n]) for n in "abc"], axis=1)
    assert z == pytest.approx((x - x.mean(axis=0)) / x.std(axis=0))
    for code, label in enumerate(("0", "1")):
        # from the mean, where p is near a half, the climb goes along w in deviations
        way = WEIGHTS[code] * x.std(axis=0)
        mean = z[np.asarray(sample.y) == code].mean(axis=0)
        e = pick("inversion_to_mean", **{"(class)": label}).estimate
        assert e.value == pytest.approx(way @ mean / np.linalg.norm(way) / np.linalg.norm(mean), abs=1e-4)
        assert e.low < e.value <= e.high
        assert pick.value("inversion_to_others", **{"(class)": label}) == pytest.approx(
            max(r @ way / np.linalg.norm(r) / np.linalg.norm(way) for r in z), abs=1e-4
        )
        assert 0.9 < pick.value("inversion_to_training", **{"(class)": label}) <= 1
    (table,) = pick("inversion_to_mean", **{"(class)": "0"}).evidence
    assert all(line[2] > line[1] for line in table.rows)
    assert "no record of anybody" in said


def test_without_training_rows_only_the_mean_is_compared_with(tmp_path: Path) -> None:
    pick, said = asked(scene(tmp_path, trained=False))
    assert {m.metric for m in pick.found} == {"inversion_to_mean"}
    assert "training rows other than the audited ones, to compare it with, are not known" in said


def test_the_sample_and_the_budget_hold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made, spent = scene(tmp_path), []
    whole = Client.attack
    monkeypatch.setattr(
        Client,
        "attack",
        lambda self, frame, *, method, **p: (spent.append(3 * 2 * (p["steps"] + 1)), whole(self, frame, method=method, **p))[1],
    )
    asked(made, budget=120)
    assert spent == [120]
    made.plan = made.plan.model_copy(update={"audit": made.plan.audit.model_copy(update={"sample": 200})})
    pick, _ = asked(made)
    assert sum(pick("inversion_to_mean", **{"(class)": c}).estimate.n for c in "01") == 200


def test_models_without_gradients_are_told_so(tmp_path: Path) -> None:
    made = scene(tmp_path)
    made.settled = made.settled.model_copy(update={"methods": []})
    assert made.missing(CHECK) == NEEDS["gradients"]
    made.settled = made.settled.model_copy(update={"methods": ["gradient_x_input"], "stepped": True})
    assert made.missing(CHECK) == NEEDS["gradients"]
