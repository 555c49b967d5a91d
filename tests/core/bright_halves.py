"""Grey pictures of which one half is brighter, and a net that tells which: known robustness, for the tests of what is done to pictures."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scene import Scene, set_scene
from torch import nn

from audit.subject.client import Prediction
from audit.subject.flavors import attacks
from audit.subject.flavors.gradients import Net
from audit.subject.frame import Frame

N, SIDE = 60, 4
Module: Any = nn.Module  # torch is Any to mypy: see pyproject


class Half(Module):
    """Whether the left half of a picture is brighter than the right, as one logit: weights ±1 / pixels, so a move by ε shifts it by ε."""

    def forward(self, x: Any) -> Any:
        left = torch.arange(SIDE) < SIDE // 2
        sign = torch.where(left, 1.0, -1.0) / SIDE**2
        return 400 * (x.reshape(-1, SIDE, SIDE) * sign).sum(dim=(1, 2)).reshape(-1, 1)


class Client:
    """A net in the place of the worker's client; it counts evaluations as the budget does, and `lie` changes what an attack hands back."""

    def __init__(self, module: Any, lie: Callable[[Any, Any], Any] | None = None, gradients: bool = True) -> None:
        self.module, self.lie, self.gradients, self.spent = module, lie, gradients, 0

    def predict(self, frame: Frame, *, timeout: float | None = None) -> Prediction:
        x = torch.from_numpy(np.asarray(frame["picture"], dtype=np.float32))
        self.spent += len(x)
        with torch.no_grad():
            return Prediction(torch.sigmoid(self.module(x)).double().numpy(), None)

    def attack(self, frame: Frame, *, method: str, probability: bool, **params: Any) -> Any:
        assert self.gradients
        x = torch.from_numpy(np.asarray(frame["picture"], dtype=np.float32)).reshape(-1, 1, SIDE, SIDE)
        self.spent += 3 * len(x) * (1 if method == "fgsm" else params["steps"])
        found = attacks.attack(attacks.Goal(Net(self.module, [])), x, method=method, **params).reshape(len(x), -1).numpy()
        return found if self.lie is None else self.lie(x.reshape(len(x), -1).numpy(), found)


def pictures(margin: Any, scale: float = 1.0) -> Any:
    """Grey pictures whose left half is brighter by 2 · margin."""
    left = np.arange(SIDE) < SIDE // 2
    x = 0.5 + np.where(left, 1, -1) * np.asarray(margin)[:, None, None]
    return (np.broadcast_to(x, (len(x), SIDE, SIDE))[:, None] * scale).astype(np.float32)


MARGIN = np.linspace(-0.2, 0.2, N + 1)[np.arange(N + 1) != N // 2]


def scene(folder: Path, x: Any = None, **more: Any) -> Scene:
    y = (MARGIN > 0).astype(int)
    y[:3] = 1  # three that the model has wrong
    given = {"y": y, "pred": (MARGIN > 0).astype(int), "score": np.clip(MARGIN + 0.5, 0, 1), "features": {"picture": pictures(MARGIN) if x is None else x},
             "groups": {"lens": np.where(np.abs(MARGIN) > 0.1, "far", "near")}}  # fmt: skip
    made = set_scene(folder, **given | more)
    made.settled = made.settled.model_copy(update={"methods": ["gradient_x_input"]})
    return made
