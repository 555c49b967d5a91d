"""Models that are written down, in the place of the worker's client, and rows to ask them about."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from scene import Scene, set_scene

from audit.context import Context
from audit.subject.client import Prediction
from audit.subject.frame import Frame

Model = Callable[[Frame], Any]


class Written:
    """A model of these lines; it gives the probability of class "1"."""

    def __init__(self, model: Model) -> None:
        self.model = model

    def predict(self, frame: Frame, *, timeout: float | None = None) -> Prediction:
        return Prediction(np.asarray(self.model(frame), dtype=float)[:, None], None)


def asked(folder: Path, model: Model, features: dict[str, Any], check: str, **more: Any) -> tuple[Scene, Context]:
    """The scene of a model's answers, and a check's context that asks the model."""
    score = np.asarray(model(features), dtype=float)
    given = {"pred": (score >= 0.5).astype(int), "score": score, "features": features, "groups": {}, "decision": "score>=0.5"} | more
    columns = given.pop("columns", {})
    scene = set_scene(folder, **given)
    roles = scene.facts.roles.model_copy(update={"columns": columns})
    scene.facts = scene.facts.model_copy(update={"roles": roles})
    context = scene.context(check)
    context.__dict__["client"] = Written(model)
    return scene, context
