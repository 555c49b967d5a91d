"""Rows that are no table, and models that are formulas of them."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np

from audit import plan as plans
from audit.context import Sample
from audit.features import FeatureSpec, Field
from audit.subject.client import Attributions, Prediction, WorkerError
from audit.subject.frame import Categories, Frame, rows

TEXT = FeatureSpec(name="text", kind="text", read="text")
IMAGE = FeatureSpec(name="image", kind="image", read="decoded", shape=(1, 4, 4))
AUDIO = FeatureSpec(name="sound", kind="audio", read="decoded", shape=(40,), rate=20)
EVENTS = FeatureSpec(
    name="events", kind="sequence", read="decoded", shape=(3, 2),
    fields=(Field(name="amount", kind="number"), Field(name="place", kind="category", vocabulary=("a", "b"))),
)  # fmt: skip
AGE = FeatureSpec(name="age", kind="number", read="float64")
Forward = Callable[[Frame], Any]


def text(*values: str | None) -> Categories:
    vocabulary = tuple(sorted({v for v in values if v is not None}))
    return Categories(np.array([-1 if v is None else vocabulary.index(v) for v in values], dtype=np.int32), vocabulary)


def told(column: Any) -> list[str | None]:
    return [None if c < 0 else column.vocabulary[c] for c in column.codes.tolist()]


class Model:
    """A model whose answers are a formula of the frame; beside it, attributions that somebody gives."""

    def __init__(self, forward: Forward, beside: Callable[..., Any] | None = None) -> None:
        self.forward, self.beside, self.asked = forward, beside, 0

    def predict(self, frame: Frame, *, timeout: float | None = None, randomise: int | None = None) -> Prediction:
        self.asked += rows(frame)
        if randomise is not None:
            raise WorkerError("contract", "this model has no weights that could be drawn again")
        found = np.asarray(self.forward(frame), dtype=float)
        return Prediction(found.reshape(rows(frame), -1), None)

    def attribute(self, frame: Frame, background: Frame, **given: Any) -> Attributions:
        assert self.beside is not None
        return self.beside(frame, background, **given)  # type: ignore[no-any-return]


def scene(frame: Frame, features: list[FeatureSpec], forward: Forward, beside: Any = None, classes: int = 0) -> Any:
    """What a check sees of these rows: a regression, or classes by logits."""
    n = rows(frame)
    settled = SimpleNamespace(
        task="multiclass" if classes else "regression", classes=[str(i) for i in range(classes)], positive=None, outputs="logit" if classes else "value",
        has_scores=bool(classes), methods=["integrated_gradients"] if beside else [],
    )  # fmt: skip
    plan = plans.load(None)
    return SimpleNamespace(
        facts=SimpleNamespace(features=features), settled=settled, plan=plan, client=Model(forward, beside), level=lambda *a: 0.95,
        rng=lambda name="": np.random.default_rng(len(name)), sample=lambda size: Sample(frame, np.arange(n), None, np.zeros(n), {}),
    )  # fmt: skip
