"""Pictures, recordings and sequences made worse: amounts worked by hand, severity 0 bit for bit, and a model of which it is known what it bears."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bright_halves import pictures
from scene import Pick, Scene, set_scene

from audit.features import FeatureSpec
from audit.features import Field as Part
from audit.judge import judge_reported
from audit.probe import collect
from audit.stress.corruptions import AMOUNTS, Kind, corrupted, kinds
from audit.stress.pictures import Bounds
from audit.subject.client import Prediction
from audit.text import render

N, CHECK, UNIT = 200, "robustness.corruptions", Bounds(0.0, 1.0)
IMAGE = FeatureSpec(name="picture", kind="image", read="decoded", shape=(3, 8, 8))
RNG = np.random.default_rng


class Client:
    """What is decided from a column of numbers."""

    def __init__(self, score: Any) -> None:
        self.score = score

    def predict(self, frame: Any, *, timeout: float | None = None) -> Prediction:
        return Prediction(np.asarray(self.score(frame["picture"]), dtype=float)[:, None], None)


def scene(folder: Path, x: Any, score: Any, **more: Any) -> Scene:
    said = np.asarray(score(x.reshape(len(x), -1)), dtype=float)
    return set_scene(
        folder, **{"y": (said > 0.5).astype(int), "pred": (said > 0.5).astype(int), "score": said, "features": {"picture": x}} | more
    )


def run(made: Scene, score: Any, **params: Any) -> Any:
    context = made.context(CHECK)
    context.__dict__["client"] = Client(score)
    return collect(context, params)


@pytest.mark.parametrize("kind", list(AMOUNTS))
def test_severity_0_is_the_picture_and_no_severity_leaves_the_ends(kind: Kind) -> None:
    x = RNG(0).random((4, 192)).astype(np.float32)
    assert corrupted(x, IMAGE, kind, 0, UNIT, RNG(0)) is x
    before: Any = None
    for severity in range(1, 6):
        changed = corrupted(x, IMAGE, kind, severity, UNIT, RNG(0))
        assert changed.shape == x.shape
        assert changed.dtype == np.float32
        assert changed.min() >= 0
        assert changed.max() <= 1
        assert before is None or np.abs(changed - x).mean() > before
        before = np.abs(changed - x).mean()
    bytes_ = corrupted(x * 255, IMAGE, kind, 3, Bounds(0.0, 255.0), RNG(0))
    assert bytes_ / 255 == pytest.approx(corrupted(x, IMAGE, kind, 3, UNIT, RNG(0)), abs=0.005)


def test_contrast_blur_and_noise_are_what_they_say() -> None:
    x = RNG(0).random((2, 192)).astype(np.float32)
    weak = corrupted(x, IMAGE, "contrast", 2, UNIT, RNG(0)).reshape(2, 3, 64)
    assert weak.std(axis=2) == pytest.approx(0.5 * x.reshape(2, 3, 64).std(axis=2), rel=1e-5)
    assert weak.mean(axis=2) == pytest.approx(x.reshape(2, 3, 64).mean(axis=2), rel=1e-5)
    flat = np.full((1, 192), 0.3, dtype=np.float32)
    assert corrupted(flat, IMAGE, "blur", 5, UNIT, RNG(0)) == pytest.approx(flat)
    assert corrupted(flat, IMAGE, "jpeg", 1, UNIT, RNG(0)) == pytest.approx(flat, abs=0.01)
    grey = np.full((400, 192), 0.5, dtype=np.float32)
    assert (corrupted(grey, IMAGE, "noise", 2, UNIT, RNG(0)) - 0.5).std() == pytest.approx(0.06, rel=0.01)
    torn = x.copy()
    torn[1] = np.nan
    for kind in kinds(IMAGE):
        changed = corrupted(torn, IMAGE, kind, 2, UNIT, RNG(0))
        assert np.isnan(changed[1]).all()
        assert np.isfinite(changed[0]).all()


def test_recordings_and_numbers_of_sequences_get_noise_and_codes_none() -> None:
    sound = FeatureSpec(name="sound", kind="audio", read="decoded", shape=(500,))
    x = np.concatenate([RNG(0).normal(0, 3, (1, 500)), np.zeros((1, 500))]).astype(np.float32)
    noisy = corrupted(x, sound, "noise", 2, None, RNG(1))
    assert (noisy - x)[0].std() == pytest.approx(0.25 * 3, rel=0.1)
    assert not noisy[1].any()  # a silent recording has no deviation
    events = FeatureSpec(
        name="events",
        kind="sequence",
        read="decoded",
        shape=(3, 2),
        fields=(Part(name="age", kind="number"), Part(name="code", kind="category")),
    )
    steps = np.array([[1, 0, 2, 1, np.nan, np.nan], [3, 1, 4, 0, 5, 1]], dtype=np.float32)
    changed = corrupted(steps, events, "noise", 3, None, RNG(1))
    assert np.array_equal(changed[:, 1::2], steps[:, 1::2], equal_nan=True)
    assert np.isnan(changed[0, 4])
    assert (changed[:, :4:2] != steps[:, :4:2]).all()
    assert kinds(events.model_copy(update={"fields": events.fields[1:]})) == ()


def test_the_accuracy_lost_to_weak_contrast_is_counted_by_hand(tmp_path: Path) -> None:
    """A model that says 1 where the halves of a picture differ by more than .2: at severity 2 half the difference is left."""

    def differ(x: Any) -> Any:
        x = x.reshape(len(x), 4, 4)
        return np.clip(0.5 + x[:, :, :2].mean(axis=(1, 2)) - x[:, :, 2:].mean(axis=(1, 2)) - 0.2, 0, 1)

    margin = np.linspace(0, 0.24, N)
    made = scene(tmp_path, pictures(margin), differ, groups={"lens": np.where(margin > 0.12, "wide", "long")})
    found, summary = run(made, differ)
    pick = Pick(found)
    lost = (2 * margin > 0.2) & ~(0.5 * 2 * margin > 0.2)
    assert pick.value("accuracy", "difference", **{"(contrast)": "2"}) == pytest.approx(-lost.mean())
    wide = margin > 0.12
    assert pick.value("accuracy", "difference", lens="wide", **{"(contrast)": "2"}) == pytest.approx(-lost[wide].mean())
    assert pick.value("changed_decisions", **{"(contrast)": "2"}) == pytest.approx(lost.mean())
    assert "weak contrast costs most" in render(summary)
    assert "wide (lens)" in render(summary)
    verdicts = {
        f.verdict
        for f in judge_reported(CHECK, found, made.plan, judgeable=True)
        if f.slice == {"(contrast)": "2"} and f.metric == "accuracy"
    }
    assert verdicts == {"fail"}
    (table, curve) = next(m.evidence for m in found if m.evidence)
    assert [row[3] for row in table.rows if row[1] == 0] == [1.0] * 4
    assert len(curve.series) == 4


def test_a_constant_model_loses_nothing_and_errs_as_before(tmp_path: Path) -> None:
    def constant(x: Any) -> Any:
        return np.full(len(x), 0.9)

    y = (np.arange(N) % 4 > 0).astype(int)
    found, _ = run(scene(tmp_path, pictures(np.linspace(0, 0.2, N)), constant, y=y), constant)
    changes = [m.estimate.value for m in found if m.compare == "difference" and m.estimate]
    assert len(changes) == 4
    assert not any(changes)
    assert Pick(found).value("mean_corruption_error") == 0.25


def test_pictures_between_unknown_ends_and_labels_unknown_are_said(tmp_path: Path) -> None:
    def bright(x: Any) -> Any:
        return np.clip(x.mean(axis=1), 0, 1)

    x = pictures(np.linspace(0, 0.2, N))
    found, summary = run(scene(tmp_path, x - 3, bright), bright)
    assert not found
    assert "the plan gives no bounds" in render(summary)
    found, summary = run(scene(tmp_path, x, bright, y=None), bright)
    assert {m.metric for m in found} == {"changed_decisions"}
    assert "No outcome is known" in render(summary)
