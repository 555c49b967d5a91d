"""`fairness.score`: the figures are those of the rows, for two classes, several and a quantity."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import sklearn.metrics as sm
from scene import Pick, set_scene


def test_two_classes(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    n = 1500
    sex = rng.choice(["f", "m", None], n, p=[0.3, 0.6, 0.1])
    score = np.round(np.clip(rng.beta(2, 2, n) - 0.1 * (sex == "f"), 0, 1), 2)
    y = (rng.random(n) < score).astype(int)
    scene = set_scene(tmp_path, y=y, pred=(score >= 0.5).astype(int), score=score, groups={"sex": list(sex)})
    found = Pick(scene.measure("fairness.score"))
    f, m, known = score[sex == "f"], score[sex == "m"], score[sex != None]  # noqa: E711 - elementwise
    assert found.value("mean_score", sex="f") == pytest.approx(f.mean())
    assert found.value("mean_score", "difference", sex="f") == pytest.approx(f.mean() - m.mean())
    assert found.value("standardised_mean_difference", "difference", sex="f") == pytest.approx((f.mean() - m.mean()) / known.std(ddof=1))
    own = {g: {v: score[(sex == g) & (y == v)] for v in (0, 1)} for g in "fm"}

    def auc(events: np.ndarray, others: np.ndarray) -> float:
        return float(sm.roc_auc_score([1] * len(events) + [0] * len(others), np.concatenate([events, others])))

    forth, back = auc(own["f"][1], own["m"][0]), auc(own["m"][1], own["f"][0])
    assert (found.value("xauc", sex="f"), found.value("xauc_reversed", sex="f")) == (pytest.approx(forth), pytest.approx(back))
    e = found("xauc", "difference", sex="f").estimate
    assert e.value == pytest.approx(forth - back)
    # The variance of the difference by resampling each of the four samples, which share no row.
    draws = []
    for _ in range(400):
        again = {g: {v: rng.choice(s, len(s)) for v, s in of.items()} for g, of in own.items()}
        draws.append(auc(again["f"][1], again["m"][0]) - auc(again["m"][1], again["f"][0]))
    assert (e.high - e.low) / (2 * 1.96) == pytest.approx(np.std(draws), rel=0.15)
    assert not [m for m in scene.measure("fairness.score") if m.compare != "value" and m.slice == {"sex": "(missing)"}]


def test_several_classes_and_a_quantity(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    group = np.array(["a"] * 200 + ["b"] * 300)
    scores = rng.dirichlet([2, 1, 1], 500)
    scores /= scores.sum(axis=1, keepdims=True)
    scene = set_scene(
        tmp_path, y=rng.integers(0, 3, 500), pred=scores.argmax(axis=1), score=scores, classes=list("xyz"), positive=None,
        favourable=["x", "z"], task="multiclass", groups={"g": list(group)},
    )  # fmt: skip
    of = scores[:, 0] + scores[:, 2]
    expected = (of[:200].mean() - of[200:].mean()) / of.std(ddof=1)
    found = Pick(scene.measure("fairness.score"))
    assert found.value("standardised_mean_difference", "difference", g="a") == pytest.approx(expected)
    quantity = rng.normal(10, 3, 500)
    scene = set_scene(tmp_path, y=quantity, pred=quantity + 1, task="regression", favourable=["high"], groups={"g": list(group)})
    found = Pick(scene.measure("fairness.score"))
    expected = (quantity[:200].mean() - quantity[200:].mean()) / quantity.std(ddof=1)
    assert found.value("standardised_mean_difference", "difference", g="a") == pytest.approx(expected)
    assert not [m for m in found.found if m.metric.startswith("xauc")]
