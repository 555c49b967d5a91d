"""Explanations that do not follow the model: of a logistic model with ten inputs, whose true attributions are known."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from audit.selftest.crowds import Crowd
from audit.selftest.play import InProcess, Play, Rows
from audit.subject.client import Attributions
from audit.subject.frame import Array, Categories, Frame

Floats = NDArray[np.float64]
#: Of the log odds; the last input brings them to what the crowd has.
WEIGHTS = np.array([0.9, -0.8, 0.7, -0.6, 0.5, -0.4, 0.3, -0.2, 0.1, 1.0])
#: Log odds are kept within these.
FURTHEST = 6.0


def _matrix(frame: Frame) -> Floats:
    columns = [c for c in frame.values() if not isinstance(c, Categories)]
    return np.stack([np.asarray(c, dtype=np.float64) for c in columns], axis=1)


def _answer(frame: Frame) -> Floats:
    from scipy.special import expit

    return np.asarray(expit(_matrix(frame) @ WEIGHTS))


class Explaining(InProcess):
    """The logistic model with an explainer beside it, as a worker has one; `told(values, x, over)` is what it says where `values` (n, d) are true.

    `over` (d,) are the weights of the model that was asked about: those of a random one where the auditor asks for that.
    """

    def __init__(self, told: Callable[[Floats, Floats, Floats], Floats]) -> None:
        super().__init__(_answer)
        self.told = told

    def attribute(
        self, frame: Frame, background: Frame, *, method: str, output: int, timeout: float | None = None, randomise: int | None = None
    ) -> Attributions:
        """Shapley values of the log odds, which are linear, or what it says in their place."""
        over = WEIGHTS if randomise is None else np.random.default_rng(randomise).normal(size=len(WEIGHTS))
        x, around = _matrix(frame), _matrix(background).mean(axis=0)
        values = self.told((x - around) * over, x, over)
        base: Array = np.full(len(x), float(around @ over))
        return Attributions(values, base, x @ over, "log-odds")


def _lying(size: float, rows: int, rng: Generator) -> NDArray[np.bool_]:
    """Which rows of a call are lied about."""
    return rng.random(rows) < size


def _play(folder: Path, rng: Generator, n: int, crowd: Crowd, told: Callable[[Floats, Floats, Floats], Floats]) -> Play:
    """The rows, whose last input makes the model's answer the crowd's probability, and the model with its explainer."""
    from scipy.special import logit

    rows = Rows(rng, n, crowd)
    x = rng.normal(size=(n, len(WEIGHTS)))
    odds = np.clip(logit(np.clip(rows.p, 1e-9, 1 - 1e-9)), -FURTHEST, FURTHEST)
    x[:, -1] = (odds - x[:, :-1] @ WEIGHTS[:-1]) / WEIGHTS[-1]
    inputs: dict[str, Any] = {f"x{j}": column for j, column in enumerate(x.T)}
    scene = rows.scene(folder, features=inputs, score=_answer(inputs), groups={})
    return Play(replace(scene, settled=scene.settled.model_copy(update={"methods": ["tree_shap"]})), Explaining(told))


def wrong_inputs(folder: Path, rng: Generator, n: int, crowd: Crowd, size: float) -> Play:
    """Of `size` of the rows each attribution stands at an input that it does not belong to; they add up all the same."""
    seed = int(rng.integers(2**31))

    def told(values: Floats, x: Floats, over: Floats) -> Floats:
        drawn = np.random.default_rng(seed)
        lied, by = _lying(size, len(x), drawn), drawn.integers(1, x.shape[1], len(x))
        places = (np.arange(x.shape[1]) + by[:, None]) % x.shape[1]
        return np.where(lied[:, None], np.take_along_axis(values, places, axis=1), values)

    return _play(folder, rng, n, crowd, told)


def another_model(folder: Path, rng: Generator, n: int, crowd: Crowd, size: float) -> Play:
    """`size` of the rows are explained by another model of the same inputs, whose weights are drawn anew."""
    seed, other = int(rng.integers(2**31)), rng.normal(size=len(WEIGHTS))

    def told(values: Floats, x: Floats, over: Floats) -> Floats:
        lied = _lying(size, len(x), np.random.default_rng(seed))
        return np.where(lied[:, None], values / over * other, values)

    return _play(folder, rng, n, crowd, told)


def whatever_the_model(folder: Path, rng: Generator, n: int, crowd: Crowd, size: float) -> Play:
    """`size` of the rows get the same attributions whatever the model is: those of the audited one, also where it learned nothing."""
    seed = int(rng.integers(2**31))

    def told(values: Floats, x: Floats, over: Floats) -> Floats:
        lied = _lying(size, len(x), np.random.default_rng(seed))
        return np.where(lied[:, None], values / over * WEIGHTS, values)

    return _play(folder, rng, n, crowd, told)


def restless(folder: Path, rng: Generator, n: int, crowd: Crowd, size: float) -> Play:
    """Of `size` of the rows attributions jump between inputs with the last decimals of the row."""
    seed = int(rng.integers(2**31))

    def told(values: Floats, x: Floats, over: Floats) -> Floats:
        lied = _lying(size, len(x), np.random.default_rng(seed))
        by = np.floor(np.abs(x).sum(axis=1) * 1e4).astype(np.int64) % x.shape[1]
        places = (np.arange(x.shape[1]) + by[:, None]) % x.shape[1]
        return np.where(lied[:, None], np.take_along_axis(values, places, axis=1), values)

    return _play(folder, rng, n, crowd, told)
