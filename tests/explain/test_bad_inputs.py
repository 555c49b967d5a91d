"""Rows and models that nothing was fitted to: a category and a number that nobody has, a class without rows, a net of steps."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from scene import set_scene

from audit.explain.parts import Columns, game
from audit.explain.shapley import exact
from audit.explain.values import strange
from audit.judge import judge_reported
from audit.notes import _of_subject
from audit.plan import load
from audit.probe import collect
from audit.subject.client import Prediction
from audit.subject.frame import Categories, Frame
from audit.text import render

HOMES = Categories(np.array([0, 1, 0, -1], np.int32), ("house", "flat"))


def test_a_category_that_nobody_has_is_said_and_gets_what_it_moves() -> None:
    boat = Categories(np.array([0], np.int32), ("boat",))
    (said,) = strange("home", boat, HOMES, training=True)
    assert render(said) == "home is boat, which none of the training rows has."

    def answer(frame: Frame) -> Any:
        home = frame["home"]
        assert isinstance(home, Categories)
        return (
            np.array([[3.0 if code >= 0 and home.vocabulary[code] == "boat" else 0.0] for code in home.codes])
            + np.asarray(frame["age"])[:, None]
        )

    parts = Columns({"home": boat, "age": np.array([40.0])}, {"home": HOMES, "age": np.array([20.0, 30.0, 40.0, 50.0])})
    found = exact([game(answer, parts, 0)], 2)
    assert found.values[0, :, 0].tolist() == [3.0, 5.0]


def test_a_number_outside_what_the_rows_have_is_said_and_one_at_their_end_is_not() -> None:
    ages = np.array([20.0, 30.0, np.nan, 50.0])
    (said,) = strange("age", np.array([51.0]), ages, training=False)
    assert render(said) == "age is 51.0, outside what the sampled rows have (20.0 to 50.0): the model was not fitted to such values."
    assert not strange("age", np.array([50.0]), ages, training=False)
    assert not strange("age", np.array([50.0]), np.array([np.nan]), training=True), "of a column without a value nothing is outside"


def test_a_class_without_rows_is_explained_like_the_others(tmp_path: Path) -> None:
    """Three classes, of which nobody has or gets the third: its answers are explained, and nothing is undefined."""
    rng = np.random.default_rng(0)
    features = {"a": rng.normal(size=120), "b": rng.normal(size=120)}

    def scores(frame: Any) -> Any:
        first = 1 / (1 + np.exp(-2 * np.asarray(frame["a"])))
        return np.stack([0.99 * first, 0.99 * (1 - first), np.full(len(first), 0.01)], axis=1)

    score = scores(features)
    scene = set_scene(
        tmp_path, pred=score.argmax(axis=1), y=score.argmax(axis=1), score=score, task="multiclass", classes=["x", "y", "z"], positive=None,
        favourable=[], features=features,
    )  # fmt: skip
    for check in ("explanation.global", "explanation.local"):
        ctx = scene.context(check)
        ctx.__dict__["client"] = SimpleNamespace(predict=lambda frame, *, timeout=None: Prediction(scores(frame), None))
        measured, said = collect(ctx, {"rows": 40, "background": 10})
        assert " a" in render(said)
        for found in judge_reported(check, measured, load(None), judgeable=True):
            assert found.estimate is not None
            assert np.isfinite([found.estimate.value, found.estimate.low, found.estimate.high]).all()


def test_that_a_net_of_steps_is_explained_by_its_answers_is_said() -> None:
    facts: Any = SimpleNamespace(recorded=None, features=[], roles=SimpleNamespace(positive=None))
    settled: Any = SimpleNamespace(
        stepped=True, positive=None, outputs="probability", classes=["0", "1"], warnings=[], task="binary", has_scores=True
    )
    said = [render(note) for note in _of_subject(facts, settled, {"flavor": "pytorch"}, resumed=False)]
    assert any(
        line.startswith("Gradients do not tell how this net decides") and line.endswith("So its answers alone explain it.") for line in said
    )
