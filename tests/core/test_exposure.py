"""Exposure of canaries: ranks worked by hand, a model that knows them by heart, one that knows nothing, and what cannot be ranked."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from scene import Pick, Scene, set_scene

from audit.context import Context
from audit.privacy.claims import Privacy
from audit.text import render

CHECK = "privacy.exposure"


def scene(folder: Path, x: np.ndarray, included: np.ndarray, **columns: Any) -> Scene:
    """Canaries of label 0 whose input x is how likely the model holds it."""
    score = np.random.default_rng(0).random(400)
    made = set_scene(folder, pred=(score > 0.5).astype(int), y=(score > 0.5).astype(int), score=score)
    path = folder / "canaries.parquet"
    pq.write_table(pa.table({"x": x, "outcome": ["0"] * len(x), "included": included, **columns}), path)
    return replace(made, facts=made.facts.model_copy(update={"privacy": Privacy(canaries=str(path))}))


@pytest.fixture(autouse=True)
def model(monkeypatch: pytest.MonkeyPatch) -> None:
    def interpreted(self: Context, frame: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
        p0 = 1 / (1 + np.exp(-np.asarray(frame["x"])))
        return (p0 < 0.5).astype(int), np.stack([p0, 1 - p0], axis=1)

    monkeypatch.setattr(Context, "interpreted", interpreted)


def test_what_is_held_by_heart_has_the_most_that_can_be_shown(tmp_path: Path) -> None:
    """64 left out: six bits."""
    rng = np.random.default_rng(1)
    included = np.arange(128) < 64
    made = scene(tmp_path, np.where(included, 9.0, rng.normal(size=128)), included)
    found = Pick(made.measure(CHECK))
    assert found.value("median_exposure") == 6.0
    assert "by heart" in render(made.summary(CHECK))


def test_what_nobody_learnt_has_one_bit(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    made = scene(tmp_path, rng.normal(size=2000), rng.random(2000) < 0.5)
    found = Pick(made.measure(CHECK))
    assert found("median_exposure").estimate.low < 1 < found("median_exposure").estimate.high < 2
    assert found.value("extrapolated_exposure") == pytest.approx(1.0, abs=0.25)
    assert "no more than chance explains" in render(made.summary(CHECK))


def test_rows_planted_oftener_are_ranked_apart(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    copies = np.repeat([0, 1, 4], 100)
    made = scene(tmp_path, rng.normal(size=300) + 4.0 * (copies == 4), copies > 0, copies=copies)
    found = Pick(made.measure(CHECK))
    assert found.value("median_exposure", **{"(copies)": "4"}) == pytest.approx(math.log2(100), abs=1.1)
    assert found.value("median_exposure", **{"(copies)": "1"}) < 2


def test_too_few_left_out_are_no_ranks(tmp_path: Path) -> None:
    made = scene(tmp_path, np.zeros(30), np.arange(30) < 20)
    assert Pick(made.measure(CHECK))("median_exposure").estimate is None
    assert "10 did not train" in render(made.summary(CHECK))


def test_canaries_that_cannot_be_used_say_why(tmp_path: Path) -> None:
    made = scene(tmp_path, np.zeros(30), np.arange(30) < 20)
    without = made.facts.model_copy(update={"privacy": Privacy(without="no outcome is known")})
    assert "no outcome is known" in render(replace(made, facts=without).summary(CHECK))
    assert "No canaries were logged" in str(replace(made, facts=made.facts.model_copy(update={"privacy": None})).missing(CHECK))
