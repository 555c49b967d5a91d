"""A net that decides by steps has no gradient: it is told by its gradients before any check, and where nothing moves no input is named."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from audit.checks.explanation.global_ import global_
from audit.checks.explanation.local import local
from audit.explain import attribute
from audit.explain.explained import Explained
from audit.measurement import Measurement, Message
from audit.pilot import _stepped
from audit.plan import load
from audit.subject.client import WorkerError
from audit.subject.flavors.base import ContractError
from audit.subject.flavors.gradients import Net, integrated_gradients
from audit.text import render

SETTLED: Any = SimpleNamespace(
    task="binary", has_scores=True, positive="1", classes=["0", "1"], methods=["integrated_gradients"], outputs="probability"
)


class Client:
    """Gradients of a function of the rows, as the worker gives them."""

    def __init__(self, score: Callable[[Any], Any]) -> None:
        self.score = score

    def attribute(self, frame: dict[str, Any], background: dict[str, Any], *, steps: int, max_steps: int, **_: Any) -> Any:
        x, reference = (torch.from_numpy(np.stack(list(f.values()), axis=1)) for f in (frame, background))
        score = self.score

        class Scored(torch.nn.Module):  # type: ignore[misc]  # torch is Any to mypy: see pyproject.toml
            def forward(self, rows: Any) -> Any:
                return score(rows).unsqueeze(1)

        starts = [[row.expand_as(x)] for row in reference]
        target = torch.zeros(len(x), dtype=torch.long)
        try:
            found = integrated_gradients(Net(Scored(), [[]]), [x], starts, target, steps=steps, max_steps=max_steps)
        except ContractError as error:
            raise WorkerError("contract", str(error)) from error
        return SimpleNamespace(values=found.values, base=found.base, explained=found.explained, unit="probability")


def stepped(score: Callable[[Any], Any], *, kind: str = "number", settled: Any = SETTLED) -> bool:
    stream = np.random.default_rng(0)
    frame = {name: stream.normal(size=300) for name in ("income", "debt", "noise")}
    facts: Any = SimpleNamespace(features=[SimpleNamespace(kind=kind)] * 3)
    client: Any = Client(score)
    return _stepped(client, frame, settled, facts, 10.0)


def steps(rows: Any) -> Any:
    """1 where income exceeds debt, with a gradient that is 0 and not missing."""
    margin = rows[:, 0] - rows[:, 1]
    return (margin > 0).double() + 0 * margin.clamp(-1, 1)


def test_steps_are_told_from_slopes() -> None:
    assert stepped(steps)
    assert not stepped(lambda rows: torch.sigmoid(rows[:, 0] - 2 * rows[:, 1]))
    assert stepped(lambda rows: steps(rows) + torch.relu(rows[:, 2] - 1))  # flat almost everywhere: most of what moves the answer is missed
    assert not stepped(lambda rows: 0.01 * steps(rows) + torch.sigmoid(3 * rows[:, 0] - 2))  # a small step beside a slope
    assert stepped(lambda rows: rows[:, :2].argmax(dim=1).double())  # no gradient reaches the rows


def test_the_event_is_asked_about_and_not_a_constant_beside_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """One sigmoid unit is a softmax over 0 and it: the first of the two logits never moves."""
    asked = []
    monkeypatch.setattr(
        Client,
        "attribute",
        lambda self, *a, output, **k: (
            asked.append(output) or SimpleNamespace(values=np.ones((16, 3)), base=np.zeros(16), explained=np.full(16, 3.0))
        ),
    )
    assert not stepped(steps)
    assert asked == [1]


def test_gradients_are_asked_for_where_a_check_would_use_them() -> None:
    def refused(rows: Any) -> Any:
        raise AssertionError

    assert not stepped(refused, kind="image")
    assert not stepped(refused, settled=SimpleNamespace(methods=[]))


@pytest.mark.parametrize("kind", ["contract", "died"])
def test_a_net_without_gradients_is_explained_by_its_answers_and_a_dead_worker_is_told(kind: Any) -> None:
    def without(rows: Any) -> Any:
        raise WorkerError(kind, "gradients cannot be had")

    if kind == "contract":
        assert stepped(without)
    else:
        with pytest.raises(WorkerError):
            stepped(without)


@pytest.mark.parametrize("check", [global_, local])
def test_no_input_is_named_where_none_moves_anything(check: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    zero = np.zeros((50, 2))
    explained = Explained(["income", "debt"], zero, np.full(50, 0.3), np.full(50, 0.3), "probability", "integrated_gradients", 10)
    monkeypatch.setattr(attribute, "explain", lambda *_, **__: [explained])
    settled = SimpleNamespace(methods=["integrated_gradients"], task="binary")
    ctx = SimpleNamespace(
        level=lambda *_: 0.95,
        settled=settled,
        plan=load(None),
        facts=SimpleNamespace(features=[SimpleNamespace(name=n, kind="number") for n in ("income", "debt")]),
    )
    found = list(check(ctx))
    assert render(next(m for m in found if isinstance(m, Message))).startswith("No input can be named")
    assert {m.estimate.value for m in found if isinstance(m, Measurement) and m.slice} == {0.0}
