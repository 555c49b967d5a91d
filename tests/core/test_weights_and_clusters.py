"""Survey weights of rows that belong together: the figures are those of the weights, the intervals those of whole clusters."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from fairlearn.metrics import MetricFrame, selection_rate
from scene import Pick, Scene, set_scene
from sklearn import metrics

from audit.dataset import open_dataset
from audit.measurement import Estimate, Measurement
from audit.roles import Roles
from audit.text import render
from audit.weighted.column import weight_of

CHECKS = (
    "performance.overall", "performance.baseline", "performance.groups", "calibration.overall", "calibration.groups", "fairness.group",
    "fairness.metrics",
)  # fmt: skip
KINDS = ("scores", "labels", "classes", "quantity")


def schools(kind: str, clusters: int = 60, rows: int = 1500, seed: int = 0) -> dict[str, Any]:
    """Pupils of schools that are alike; `w` are weights that tell of the outcome, `c` the schools."""
    rng = np.random.default_rng(seed)
    c = np.sort(rng.integers(0, clusters, rows)) if rows > clusters else np.arange(rows)
    effect = rng.normal(size=clusters)[c]
    x = effect + rng.normal(size=rows)
    score = (1 / (1 + np.exp(-x))).round(3)
    y, pred = (rng.random(rows) < score).astype(int), (score > 0.5).astype(int)
    group = rng.choice(["a", "b", "few"], rows, p=[0.55, 0.42, 0.03])
    given: dict[str, Any] = {"groups": {"g": group, "h": rng.choice(["m", "f"], rows).tolist()}}
    if kind == "classes":
        scores = np.stack([score, (1 - score) * 0.6, (1 - score) * 0.4], axis=1)
        given |= {
            "y": np.where(rng.random(rows) < 0.6, scores.argmax(axis=1), rng.integers(0, 3, rows)),
            "pred": scores.argmax(axis=1),
            "score": scores,
        }
        given |= {"task": "multiclass", "classes": ["0", "1", "2"], "positive": None, "favourable": ["1"]}
    elif kind == "quantity":
        given |= {"y": x + rng.normal(size=rows), "pred": 0.8 * x, "task": "regression", "favourable": ["high"]}
    else:
        given |= {"y": y, "pred": pred} | ({"score": score} if kind == "scores" else {})
    return given | {"w": np.exp(0.4 * x), "c": c}


def scene(folder: Path, given: dict[str, Any], *, weight: Any = None, cluster: Any = None) -> Scene:
    return set_scene(folder, **{k: v for k, v in given.items() if k not in ("w", "c")}, weight=weight, cluster=cluster)


def ends(e: Estimate) -> tuple[float, float, float]:
    return e.value, e.low, e.high


def named(found: list[Measurement]) -> dict[tuple[str, str, tuple[tuple[str, str], ...]], Measurement]:
    return {(m.metric, m.compare, tuple(m.slice.items())): m for m in found}


@pytest.mark.parametrize("kind", KINDS)
def test_weights_that_are_equal_change_nothing_of_what_clusters_give(kind: str, tmp_path: Path) -> None:
    given, seen = schools(kind), 0
    alone, both = scene(tmp_path, given, cluster=given["c"]), scene(tmp_path, given, cluster=given["c"], weight=np.ones(len(given["c"])))
    for check in CHECKS:
        ours = named(both.measure(check))
        for name, m in named(alone.measure(check)).items():
            if m.clusters is None:
                continue
            seen += 1
            other = ours[name]
            if check == "fairness.group":
                assert (other.estimate, other.test, other.clusters) == (m.estimate, m.test, m.clusters), name
                continue
            assert m.estimate is not None
            assert other.estimate is not None
            assert ends(other.estimate) == pytest.approx(ends(m.estimate), rel=1e-9), name
            # what rows would be worth by themselves is linearised here, and of n − 1 or drawn there
            assert other.clusters is not None
            assert other.clusters.design_effect == pytest.approx(m.clusters.design_effect, rel=0.05)
    assert seen > 15


@pytest.mark.parametrize("kind", KINDS)
def test_figures_are_those_of_the_weights_and_intervals_those_of_clusters(kind: str, tmp_path: Path) -> None:
    given = schools(kind)
    alone, both = scene(tmp_path, given, weight=given["w"]), scene(tmp_path, given, weight=given["w"], cluster=given["c"])
    widths = []
    for check in CHECKS:
        ours = named(both.measure(check))
        for name, m in named(alone.measure(check)).items():
            other = ours[name]
            if m.estimate is None or other.estimate is None:
                assert m.estimate is None or other.reason, name
                continue
            assert other.estimate.value == pytest.approx(m.estimate.value, rel=1e-9, abs=1e-12), name
            assert [(p.k, p.n) for p in other.parts] == [(p.k, p.n) for p in m.parts]
            if m.estimate.high > m.estimate.low and not m.slice:
                widths.append((other.estimate.high - other.estimate.low) / (m.estimate.high - m.estimate.low))
    assert np.mean(widths) > 1.1, "rows of one school are alike"


@pytest.mark.parametrize("kind", ["scores", "quantity"])
def test_clusters_of_one_row_are_weights_alone(kind: str, tmp_path: Path) -> None:
    given = schools(kind, clusters=1500)
    alone, both = scene(tmp_path, given, weight=given["w"]), scene(tmp_path, given, weight=given["w"], cluster=given["c"])
    for check in ("performance.overall", "performance.baseline", "calibration.overall", "fairness.group"):
        ours = named(both.measure(check))
        for name, m in named(alone.measure(check)).items():
            if m.estimate is None or m.slice.get("g") == "few" or m.estimate.n < 500 or m.estimate.method == "exact":
                continue
            e = ours[name].estimate
            assert e is not None
            # percentiles of draws beside Wilson's and normal intervals of 1,500 rows
            assert ends(e) == pytest.approx(ends(m.estimate), abs=0.15 * (m.estimate.high - m.estimate.low)), name


def test_figures_are_those_of_scikit_learn_and_fairlearn(tmp_path: Path) -> None:
    given = schools("scores")
    y, pred, score, w, g = given["y"], given["pred"], given["score"], given["w"], given["groups"]["g"]
    both = scene(tmp_path, given, weight=w, cluster=given["c"])
    overall, groups = Pick(both.measure("performance.overall")), Pick(both.measure("fairness.group"))
    want = {
        "accuracy": metrics.accuracy_score(y, pred, sample_weight=w), "f1": metrics.f1_score(y, pred, sample_weight=w),
        "balanced_accuracy": metrics.balanced_accuracy_score(y, pred, sample_weight=w), "precision": metrics.precision_score(y, pred, sample_weight=w),
        "recall": metrics.recall_score(y, pred, sample_weight=w), "roc_auc": metrics.roc_auc_score(y, score, sample_weight=w),
        "average_precision": metrics.average_precision_score(y, score, sample_weight=w),
        "brier_score": metrics.brier_score_loss(y, score, sample_weight=w), "log_loss": metrics.log_loss(y, score, sample_weight=w),
    }  # fmt: skip
    for name, value in want.items():
        e = overall(name).estimate
        assert e.value == pytest.approx(value, rel=1e-9), name
        assert e.low < e.value < e.high
        assert e.method.endswith(("cluster_bootstrap", "_clusters"))
    gap = np.average(score - y, weights=w)
    assert Pick(both.measure("calibration.overall")).value("calibration_in_the_large") == pytest.approx(gap, rel=1e-9)
    frame = MetricFrame(metrics=selection_rate, y_true=y, y_pred=pred, sensitive_features=g, sample_params={"sample_weight": w})
    for group, value in frame.by_group.items():
        assert groups.value("selection_rate", g=str(group)) == pytest.approx(value, rel=1e-9)
    assert groups.value("demographic_parity_difference", g="*") == pytest.approx(frame.difference(), rel=1e-9)
    ratio = groups("selection_rate", "ratio", g="b")
    assert ratio.estimate.value == pytest.approx(frame.by_group["b"] / frame.by_group["a"], rel=1e-9)
    assert (ratio.test.method, ratio.clusters.fewest) == ("rao_scott", 60)
    assert ratio.masses[0][0] / ratio.masses[0][1] == pytest.approx(frame.by_group["b"])
    assert ratio.weights.effective == ratio.clusters.effective, "one figure of what the rows are worth"


def test_judged_findings_say_both(tmp_path: Path) -> None:
    given = schools("scores", clusters=300, rows=6000)
    document = scene(tmp_path, given, weight=given["w"], cluster=given["c"]).document()
    judged = [
        f
        for c in document.checks
        for f in c.findings
        if f.criterion and f.criterion.role == "decides" and f.estimate and f.estimate.method != "exact"
    ]
    assert {c.info.id for c in document.checks for f in c.findings if f in judged} >= {
        "fairness.group",
        "performance.baseline",
        "calibration.overall",
    }
    for f in judged:
        assert f.clusters is not None, f.key
        assert f.weights is not None, f.key
        assert "belong together and carry the weights in" in (f.sentence or "")
    assert any("Intervals and tests of weighted estimates draw whole clusters" in note for note in document.notes)
    assert all(c.status != "error" for c in document.checks)


def test_few_clusters_are_no_verdict_whatever_they_weigh(tmp_path: Path) -> None:
    given = schools("scores", clusters=15, rows=6000)
    document = scene(tmp_path, given, weight=given["w"], cluster=given["c"]).document(skip=[])
    questions = {q.id: q for q in document.questions}
    for id_ in ("performance_baseline", "fairness_selection", "calibration_large"):
        assert questions[id_].verdict == "inconclusive", id_
    assert "15 clusters" in (questions["performance_baseline"].reason or "")


def test_an_outcome_that_never_varies_has_one_row_for_each_school_at_most(tmp_path: Path) -> None:
    given = schools("scores") | {"y": np.ones(1500, int)}
    (gap,) = [
        m
        for m in scene(tmp_path, given, weight=given["w"], cluster=given["c"]).measure("calibration.overall")
        if m.metric == "calibration_in_the_large"
    ]
    assert gap.estimate is not None
    assert gap.estimate.method == "wilson_clusters"
    assert gap.clusters is not None
    assert gap.clusters.effective[0] <= 60


def test_two_columns_are_taken_together(tmp_path: Path) -> None:
    pd.DataFrame({"w": [1.0, 2.0, 1.0, 3.0], "psu": [1, 1, 2, 2], "y": [0, 1, 0, 1]}).to_parquet(tmp_path / "rows.parquet")
    found, (note,) = weight_of(open_dataset(str(tmp_path / "rows.parquet")), Roles(weight="w", cluster="psu", target="y"))
    assert found is not None
    assert found.effective == pytest.approx(49 / 15)
    assert "survey weights" in render(note)


def test_one_cluster_is_said_to_be_too_few(tmp_path: Path) -> None:
    given = schools("quantity", rows=200)
    found = Pick(scene(tmp_path, given, weight=given["w"], cluster=np.zeros(200, int)).measure("performance.overall"))
    for metric in ("mean_absolute_error", "r2"):
        assert found(metric).estimate is None
        assert "too few clusters" in found(metric).reason
