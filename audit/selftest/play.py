"""What a defect is planted in: rows whose truth is known, on the stage, and a model of ours in this process."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from audit.plan import Plan, load
from audit.selftest.crowds import Crowd
from audit.selftest.stage import Scene, set_scene
from audit.subject.client import Prediction
from audit.subject.frame import Frame

Model = Callable[[Frame], Any]

MINORITY = 0.1


class InProcess:
    """A model of ours in the place of the worker's client; it gives the probability of class "1"."""

    def __init__(self, model: Model) -> None:
        self.model = model

    def predict(self, frame: Frame, *, timeout: float | None = None) -> Prediction:
        """Probabilities (n, 1)."""
        return Prediction(np.asarray(self.model(frame), dtype=float)[:, None], None)


@dataclass(frozen=True)
class Play:
    """Rows on the stage and, for a check that asks the model, what answers in its worker's place."""

    scene: Scene
    client: InProcess | None = None


@cache
def _plan() -> Plan:
    return load(None)


class Rows:
    """Calibrated scores, outcomes drawn from them, decisions that select as many as there are events, and who is of the minority."""

    def __init__(self, rng: Generator, n: int, crowd: Crowd) -> None:
        self.p = crowd.draw(rng, n)
        self.y = (rng.random(n) < self.p).astype(np.int64)
        self.pred = (self.p >= crowd.cutoff).astype(np.int64)
        self.minority: NDArray[np.bool_] = rng.random(n) < MINORITY

    def scene(self, folder: Path, **more: Any) -> Scene:
        """On the stage; decisions are as stated, favourable is the event."""
        given: dict[str, Any] = {
            "pred": self.pred,
            "y": self.y,
            "score": self.p,
            "groups": {"group": np.where(self.minority, "minority", "majority").tolist()},
            "plan": _plan(),
            "trained": "training" in more,
        }
        return set_scene(folder, **given | more)
