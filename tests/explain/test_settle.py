"""Reasons of a black box of more than 12 inputs: what is drawn is told apart from who stands in the background, and open rows get more of both."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from scene import set_scene

from audit.context import Context
from audit.explain.reasons import Shortfalls, named, shortfalls
from audit.explain.settle import settled
from audit.subject.client import Prediction
from audit.subject.frame import Frame, rows, take

D = 14


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> tuple[Context, Frame, Frame]:
    """A net of answers alone, 8 refused rows, and the 30 rows just above the cutoff."""
    rng = np.random.default_rng(0)
    x, inner, outer = rng.normal(size=(300, D)), rng.normal(size=(D, 8)) / 2, rng.normal(size=8)
    features = {f"c{j}": x[:, j] for j in range(D)}

    def score(frame: Frame) -> Any:
        return np.maximum(np.stack(list(frame.values()), axis=1) @ inner, 0) @ outer

    value = score(features)
    made = set_scene(tmp_path_factory.mktemp("scene"), pred=value, y=np.zeros(300), task="regression", features=features)
    ctx = made.context("explanation.reasons")
    ctx.__dict__["client"] = SimpleNamespace(predict=lambda frame, *, timeout=None: Prediction(score(frame).reshape(-1, 1), None))
    order = np.argsort(value)
    return ctx, take(features, order[100:108]), take(features, order[150:180])


def open_rows(found: Shortfalls) -> list[int]:
    return [i for i in range(len(found.miss)) if named(found, i).open]


def test_open_rows_get_more_and_the_others_stay_as_they_are(scene: tuple[Context, Frame, Frame]) -> None:
    ctx, refused, band = scene
    first = shortfalls(ctx, refused, band, 20, "passing")
    found = settled(ctx, refused, band, 20, "passing", budget=200_000)
    before = open_rows(replace(first, level=found.level))
    assert before
    assert len(open_rows(found)) < len(before)
    alone = [i for i in range(rows(refused)) if i not in before]
    np.testing.assert_array_equal(found.parts[:, alone], first.parts[:, alone])
    assert not np.array_equal(found.parts[:, before], first.parts[:, before])


def test_what_is_settled_is_right(scene: tuple[Context, Frame, Frame]) -> None:
    """All the band and four times the coalitions name the same reasons."""
    ctx, refused, band = scene
    found = settled(ctx, refused, band, 20, "passing", budget=200_000)
    truth = shortfalls(ctx, refused, band, 30, "once more", coalitions=1024)
    sure = [i for i in range(rows(refused)) if not named(found, i).open]
    assert sure
    assert all(set(named(found, i).factors) == set(named(truth, i).factors) for i in sure)


def test_without_a_budget_nobody_is_asked_again(scene: tuple[Context, Frame, Frame]) -> None:
    ctx, refused, band = scene
    np.testing.assert_array_equal(settled(ctx, refused, band, 20, "passing").parts, shortfalls(ctx, refused, band, 20, "passing").parts)


def test_everybody_in_the_background_leaves_the_draw_of_coalitions_alone() -> None:
    """Four parts that differ, all of the band among them: the mean is the mean, and ± 2 · √(0.1² · 2 · 6/5 / 4) is left of the draw."""
    parts = np.array([[3.0, 2, 0, 0, 0, 0], [5, 2, 0, 0, 0, 0], [1, 2, 0, 0, 0, 0], [3, 2, 0, 0, 0, 0]])[:, None, :]
    zero = np.zeros(1)
    found = Shortfalls(
        tuple("abcdef"), parts, zero, zero, "value", "leverage_shap", 40, 0.0, zero, zero, np.full(parts.shape, 0.1), level=0.954499736
    )
    centre, low, high = found.margin(0, 0, 1)
    half = 2 * np.sqrt(0.01 * 2 * 6 / 5 / 4)
    assert (centre, low, high) == pytest.approx((1.0, 1 - half, 1 + half))
    assert named(replace(found, left=1.0), 0).tied[0]  # a sample of four such parts tells nothing
