"""Defects of a known size planted among rows; with size 0 the same rows without the defect.

Scores are calibrated; a tenth of the rows are of a minority that is equal in everything.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.random import Generator

from audit.selftest.crowds import Crowd
from audit.selftest.play import InProcess, Play, Rows
from audit.selftest.stage import set_scene
from audit.subject.frame import Frame


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
    return Play(rows.scene(folder, **given, groups={"group": [f"{v:g}" for v in sensitive]}), InProcess(model))


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
    return Play(scene, InProcess(model))


def overfit(folder: Path, rng: Generator, n: int, crowd: Crowd, size: float) -> Play:
    """The model knows training rows better: with chance `size` it holds the outcome of one for all but certain."""
    rows, seen = Rows(rng, n, crowd), Rows(rng, n, crowd)
    known = rng.random(n) < size
    memory = np.where(known, np.where(seen.y == 1, 0.99, 0.01), seen.p)

    def model(frame: Frame) -> Any:
        return np.asarray(frame["x"])

    training = {"x": memory, "outcome": seen.y.astype(str)}
    return Play(rows.scene(folder, features={"x": rows.p}, training=training, groups={}), InProcess(model))


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
    return Play(rows.scene(folder, features=inputs, score=score, pred=pred, y=y, groups={}, decision="score>=0.5"), InProcess(model))


def gives_away(folder: Path, rng: Generator, n: int, crowd: Crowd, size: float) -> Play:
    """One input is the outcome under another name for `size` of the rows, and says nothing for the others; of the rest, one is the model's score."""
    rows = Rows(rng, n, crowd)
    told = np.where(rng.random(n) < size, rows.y, rng.random(n) < crowd.base)
    inputs = {"score": rows.p, "noise": rng.normal(size=n), "fee": np.where(told > 0, rng.uniform(10, 90, n).round(2), 0.0)}
    return Play(rows.scene(folder, features=inputs, groups={}))
