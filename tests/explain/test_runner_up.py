"""What speaks for the second class of a picture against the first: of a linear model every region's part is known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pieced import IMAGE, scene

from audit.explain.of_pieces import explain_ways
from audit.explain.runner_up import FEWEST, SHARE, runner_up
from audit.explain.shown import differences
from audit.measurement import Message
from audit.subject.client import Attributions
from audit.subject.frame import Frame
from audit.text import render

WEIGHTS = np.random.default_rng(3).normal(size=(16, 3))


def pixels(frame: Frame) -> Any:
    return np.asarray(frame["image"], dtype=float).reshape(len(frame["image"]), 16)


def linear(frame: Frame) -> Any:
    return pixels(frame) @ WEIGHTS


def beside(frame: Frame, background: Frame, *, output: int, **_: Any) -> Attributions:
    """Each pixel's weight times its distance from the start, which for a linear model is its part."""
    x, start = pixels(frame), pixels(background).mean(axis=0)
    own = linear(frame).argmax(axis=1) if output < 0 else np.full(len(x), output)
    weights = WEIGHTS.T[own]
    return Attributions(weights * (x - start), weights @ start, (weights * x).sum(axis=1), "logit")


def test_of_a_linear_model_the_map_is_known() -> None:
    frame = {"image": np.random.default_rng(4).normal(size=(60, 16)).astype(np.float32)}
    ctx = scene(frame, [IMAGE], linear, beside, classes=3)
    (seen,) = explain_ways(ctx, 30, 20, 100_000)
    assert seen.explained.method == "integrated_gradients"
    (found,) = runner_up(ctx, seen)
    n = round(SHARE * len(seen.explained.values))
    x, answers = pixels(seen.frame)[:n], linear(seen.frame)[:n]
    start = pixels(seen.way.start).mean(axis=0) if seen.way else 0
    expected, leads = np.zeros(16), []
    for row, own in zip(x, answers, strict=True):
        _, second, first = np.argsort(own)
        expected += np.maximum(0, (WEIGHTS[:, second] - WEIGHTS[:, first]) * (row - start)) / n
        leads.append(own[first] - own[second])
    assert found.estimate is not None
    assert found.estimate.n == n >= FEWEST
    assert found.estimate.value == pytest.approx(np.mean(leads), rel=1e-6)
    (shown,) = found.evidence
    assert np.asarray(shown.values) == pytest.approx(expected.reshape(4, 4), rel=1e-4)  # type: ignore[union-attr]
    *_, said = differences(ctx, seen)
    assert isinstance(said, Message)
    assert f"leads over the runner-up by {np.mean(leads):.2f} on average (unit: logit)" in render(said)


def test_of_two_classes_and_from_answers_alone_there_is_none() -> None:
    frame = {"image": np.random.default_rng(4).normal(size=(60, 16)).astype(np.float32)}
    for classes, method in ((2, "auto"), (3, "leverage_shap")):
        ctx = scene(frame, [IMAGE], lambda f, k=classes: linear(f)[:, :k], beside, classes=classes)
        (seen,) = explain_ways(ctx, 10 if classes == 3 else 30, 20, 30_000, method)
        assert not list(runner_up(ctx, seen))
