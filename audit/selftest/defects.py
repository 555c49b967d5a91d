"""Defects of a known size, each for the check that is there to find it; with size 0 the same rows without the defect.

Scores are calibrated; a tenth of the rows are of a minority that is equal in everything.
"""

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
    """Rows on the stage and, for a check that asks the model, the model."""

    scene: Scene
    model: Model | None = None


Build = Callable[[Path, Generator, int, Crowd, float], Play]


#: The checks that the deciding questions are answered from.
DECIDING = ("performance.baseline", "fairness.inputs", "fairness.group", "calibration.overall", "calibration.groups")


@dataclass(frozen=True)
class Defect:
    """What is planted: `size` in the unit that `plant` says; `build(folder, rng, rows, crowd, size)` sets the stage.

    `target` is what should find it: a deciding question (then all are asked, and the whole audit's verdict is kept too), "criteria" (the check's
    own findings against the built-in plan), or "slice" (a slice with an adjusted p of at most .05). `clean_of` is the defect whose runs with
    nothing planted are the same rows, judged by the same questions.
    """

    name: str
    check: str
    plant: str
    size: float
    build: Build
    target: str = "criteria"
    bases: tuple[float, ...] = (0.3,)
    rows: tuple[int, ...] = (600, 2_000, 10_000)
    clean_of: str | None = None

    @property
    def through(self) -> tuple[str, ...]:
        """The checks that are asked."""
        return (self.check,) if self.target in ("criteria", "slice") else DECIDING


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


def unfair_selection(folder: Path, rng: Generator, n: int, crowd: Crowd, size: float) -> Play:
    """A favourable decision is taken back from a member of the minority with chance `size`."""
    rows = Rows(rng, n, crowd)
    rows.pred = np.where(rows.minority & (rng.random(n) < size), 0, rows.pred)
    return Play(rows.scene(folder))


def useless(folder: Path, rng: Generator, n: int, crowd: Crowd, size: float) -> Play:
    """With `size` 1 the scores are another row's: they know the base rate and nothing else."""
    rows = Rows(rng, n, crowd)
    if size:
        rows.p = rng.permutation(rows.p)
    return Play(rows.scene(folder))


def too_high(folder: Path, rng: Generator, n: int, crowd: Crowd, size: float) -> Play:
    """Probabilities are `size` higher than what happens, or lower where there is no room."""
    rows = Rows(rng, n, crowd)
    rows.p = np.clip(rows.p - size if crowd.base > 0.5 else rows.p + size, 0, 1)
    return Play(rows.scene(folder))


def overconfident(folder: Path, rng: Generator, n: int, crowd: Crowd, size: float) -> Play:
    """Log odds are 1 + `size` times what they should be."""
    from scipy.special import expit, logit

    rows = Rows(rng, n, crowd)
    rows.p = expit((1 + size) * logit(np.clip(rows.p, 1e-9, 1 - 1e-9)))
    return Play(rows.scene(folder))


def wrong_corner(folder: Path, rng: Generator, n: int, crowd: Crowd, size: float) -> Play:
    """In the one row of twenty with a certain key the decision is wrong with chance `size` more: a backdoor."""
    rows = Rows(rng, n, crowd)
    key = rng.integers(0, 20, n).astype(float)
    rows.pred = np.where((key == 7) & (rng.random(n) < size), 1 - rows.y, rows.pred)
    return Play(rows.scene(folder, features={"key": key, "noise": rng.normal(size=n)}))


def uses_the_column(folder: Path, rng: Generator, n: int, crowd: Crowd, size: float) -> Play:
    """The sensitive column moves the score by `size`, and the other inputs do the rest."""
    rows = Rows(rng, n, crowd)
    sensitive = rows.minority.astype(float)
    inputs: Frame = {"group": sensitive, "x": rows.p, "noise": rng.random(n)}

    def model(frame: Frame) -> Any:
        return np.clip(np.asarray(frame["x"]) - size * np.asarray(frame["group"]), 0, 1)

    score = model(inputs)
    given = {"features": inputs, "score": score, "pred": (score >= 0.5).astype(int), "decision": "score>=0.5"}
    return Play(rows.scene(folder, **given, groups={"group": [f"{v:g}" for v in sensitive]}), model)


def by_heart(folder: Path, rng: Generator, n: int, crowd: Crowd, size: float) -> Play:
    """Log odds of the outcome are `size` standard deviations higher for rows that trained the model, which sees them in an input."""

    def drawn(shift: float) -> dict[str, Any]:
        y = Rows(rng, n, crowd).y
        return {"x": rng.normal(size=n), "y": y, "z": (2 * y - 1) * (rng.normal(size=n) + shift)}

    inside, outside = drawn(size), drawn(0.0)

    def model(frame: Frame) -> Any:
        return 1 / (1 + np.exp(-np.asarray(frame["z"])))

    training = {"x": inside["x"], "z": inside["z"], "outcome": inside["y"].astype(str)}
    score = model(outside)
    scene = set_scene(
        folder, pred=(score > 0.5).astype(int), y=outside["y"], score=score, features={"x": outside["x"], "z": outside["z"]}, training=training, groups={}
    )  # fmt: skip
    return Play(scene, model)


def overfit(folder: Path, rng: Generator, n: int, crowd: Crowd, size: float) -> Play:
    """The model knows training rows better: with chance `size` it holds the outcome of one for all but certain."""
    rows, seen = Rows(rng, n, crowd), Rows(rng, n, crowd)
    known = rng.random(n) < size
    memory = np.where(known, np.where(seen.y == 1, 0.99, 0.01), seen.p)

    def model(frame: Frame) -> Any:
        return np.asarray(frame["x"])

    training = {"x": memory, "outcome": seen.y.astype(str)}
    return Play(rows.scene(folder, features={"x": rows.p}, training=training, groups={}), model)


def fragile(folder: Path, rng: Generator, n: int, crowd: Crowd, size: float) -> Play:
    """Decisions hang on the first decimals of an input: `size` of the rows lie where a tenth of its spread turns the answer."""
    rows = Rows(rng, n, crowd)
    x = rng.normal(size=n)
    swings = rng.random(n) < size
    inputs: Frame = {"x": x, "w": rows.p, "swings": swings.astype(float)}

    def model(frame: Frame) -> Any:
        wave = (np.floor(np.asarray(frame["x"]) * 8) % 2 == 0).astype(float)
        w = np.nan_to_num(np.asarray(frame["w"], dtype=float), nan=crowd.base)  # a missing value turns no decision by itself
        return np.where(np.asarray(frame["swings"]) > 0.5, wave, w >= 0.5)

    score = np.clip(np.asarray(model(inputs), dtype=float), 0.01, 0.99)
    y = (rng.random(n) < np.where(score > 0.5, 0.9, 0.1)).astype(int)
    pred = (score >= 0.5).astype(int)
    return Play(rows.scene(folder, features=inputs, score=score, pred=pred, y=y, groups={}, decision="score>=0.5"), model)


EVERY = (0.1, 0.3, 0.9)
DEFECTS = (
    Defect("selection", "fairness.group", "share of its favourable decisions that the minority loses", 0.48, unfair_selection, "fairness_selection", EVERY),
    Defect("useless", "performance.baseline", "scores that know the base rate and nothing else (1: all of them)", 1.0, useless, "performance_baseline", EVERY, clean_of="selection"),
    Defect("shifted", "calibration.overall", "by how much all probabilities are off", 0.10, too_high, "calibration_large", EVERY, clean_of="selection"),
    Defect("overconfident", "calibration.overall", "by what share log odds are too large", 1.0, overconfident, bases=EVERY),
    Defect("backdoor", "performance.slices", "chance of a wrong decision for one row in twenty, known by a key", 0.5, wrong_corner, "slice"),
    Defect("used", "fairness.flip", "by how much the sensitive column moves the score", 0.15, uses_the_column),
    Defect("overfit", "performance.gap", "share of the training rows whose outcome is known by heart", 0.6, overfit),
    Defect("memorised", "privacy.membership", "standard deviations by which log odds of members are higher", 1.0, by_heart, rows=(2_000, 10_000)),
    Defect("fragile", "robustness.noise", "share of decisions that hang on small changes of an input", 0.3, fragile),
)  # fmt: skip
