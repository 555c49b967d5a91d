"""Survey weights: every weighted figure is that of scikit-learn or fairlearn on Adult, whose `fnlwgt` is one; equal weights change nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from fairlearn.metrics import MetricFrame, demographic_parity_ratio, equalized_odds_difference, selection_rate, true_positive_rate
from scene import Pick, Scene, set_scene
from sklearn import metrics

from audit.dataset import open_dataset
from audit.errors import AuditError
from audit.registry import checks
from audit.roles import Roles
from audit.weighted.column import weight_of

SAME = 1e-12


@pytest.fixture(scope="module")
def rows(data_folder: Path) -> pd.DataFrame:
    """Adult's test rows with a score of some skill and its decisions."""
    frame = pd.read_parquet(data_folder / "adult_test.parquet").iloc[:4000]
    frame.columns = [c.replace("-", "_") for c in frame.columns]
    y = frame.iloc[:, -1].astype(str).str.contains(">50K").astype(int)
    score = 1 / (1 + np.exp(-(-4.2 + 0.25 * frame["education_num"] + 0.02 * frame["age"])))
    return pd.DataFrame({
        "y": y, "score": score.round(3), "pred": (score >= 0.4).astype(int), "sex": frame["sex"].astype(str).str.strip(),
        "race": frame["race"].astype(str).str.strip(), "w": frame["fnlwgt"].astype(float),
        "hours": frame["hours_per_week"].astype(float), "guess": 20 + 0.5 * frame["age"],
    })  # fmt: skip


@pytest.fixture(scope="module")
def weighted(rows: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Scene:
    return set_scene(
        tmp_path_factory.mktemp("weighted"), y=rows["y"], pred=rows["pred"], score=rows["score"], weight=rows["w"],
        groups={"sex": rows["sex"].tolist(), "race": rows["race"].tolist()},
    )  # fmt: skip


def test_overall_figures_are_those_of_scikit_learn(rows: pd.DataFrame, weighted: Scene) -> None:
    y, pred, score, w = (rows[c].to_numpy() for c in ("y", "pred", "score", "w"))
    found = Pick(weighted.measure("performance.overall"))
    want = {
        "accuracy": metrics.accuracy_score(y, pred, sample_weight=w), "balanced_accuracy": metrics.balanced_accuracy_score(y, pred, sample_weight=w),
        "f1": metrics.f1_score(y, pred, sample_weight=w), "precision": metrics.precision_score(y, pred, sample_weight=w),
        "recall": metrics.recall_score(y, pred, sample_weight=w), "roc_auc": metrics.roc_auc_score(y, score, sample_weight=w),
        "average_precision": metrics.average_precision_score(y, score, sample_weight=w), "log_loss": metrics.log_loss(y, score, sample_weight=w),
        "brier_score": metrics.brier_score_loss(y, score, sample_weight=w),
    }  # fmt: skip
    for name, value in want.items():
        assert found.value(name) == pytest.approx(value, rel=SAME), name
        estimate = found(name).estimate
        assert estimate.low < estimate.value < estimate.high, name
    wide = found("accuracy").estimate
    narrow = 2 * 1.96 * np.sqrt(wide.value * (1 - wide.value) / len(rows))
    assert wide.high - wide.low > 1.1 * narrow, "weights cost rows"


def test_group_figures_are_those_of_fairlearn(rows: pd.DataFrame, weighted: Scene) -> None:
    found = Pick(weighted.measure("fairness.group"))
    given = {"sample_weight": rows["w"]}
    frame = MetricFrame(
        metrics={"selection_rate": selection_rate, "true_positive_rate": true_positive_rate}, y_true=rows["y"], y_pred=rows["pred"],
        sensitive_features=rows["race"], sample_params={"selection_rate": given, "true_positive_rate": given},
    )  # fmt: skip
    for group, values in frame.by_group.iterrows():
        for name in ("selection_rate", "true_positive_rate"):
            assert found.value(name, race=str(group)) == pytest.approx(values[name], rel=SAME)
    ratio = frame.by_group["selection_rate"]["Black"] / frame.by_group["selection_rate"]["White"]
    assert found.value("selection_rate", "ratio", race="Black") == pytest.approx(ratio, rel=SAME)
    of_race = {"sensitive_features": rows["race"], **given}
    assert found.value("demographic_parity_ratio", race="*") == pytest.approx(
        demographic_parity_ratio(rows["y"], rows["pred"], **of_race), rel=SAME
    )
    assert found.value("equalized_odds_difference", race="*") == pytest.approx(
        equalized_odds_difference(rows["y"], rows["pred"], **of_race), rel=SAME
    )
    compared = found("selection_rate", "ratio", race="Black")
    assert compared.test.method == "score_weighted"
    assert compared.weights.effective[0] < compared.parts[0].n, "counts of rows stay beside what they are worth"


def test_metrics_over_groups_are_those_of_fairlearn(rows: pd.DataFrame, weighted: Scene) -> None:
    found = Pick(weighted.measure("fairness.metrics"))

    def over(metric: Any, column: str = "pred") -> pd.Series:
        return rows.groupby("race").apply(lambda g: metric(g["y"], g[column], sample_weight=g["w"]), include_groups=False)

    accuracy, f1, auc = over(metrics.accuracy_score), over(metrics.f1_score), over(metrics.roc_auc_score, "score")
    want = {
        "accuracy_score_difference": accuracy.max() - accuracy.min(), "accuracy_score_ratio": accuracy.min() / accuracy.max(),
        "accuracy_score_group_min": accuracy.min(), "zero_one_loss_group_max": 1 - accuracy.min(), "f1_score_group_min": f1.min(),
        "balanced_accuracy_score_group_min": over(metrics.balanced_accuracy_score).min(), "roc_auc_score_group_min": auc.min(),
        "precision_score_group_min": over(metrics.precision_score).min(), "log_loss_group_max": over(metrics.log_loss, "score").max(),
    }  # fmt: skip
    for name, value in want.items():
        assert found.value(name, race="*") == pytest.approx(value, rel=SAME), name
    overall = metrics.accuracy_score(rows["y"], rows["pred"], sample_weight=rows["w"])
    furthest = (accuracy - overall).abs().max()
    assert found.value("accuracy_score_difference_to_overall", race="*") == pytest.approx(furthest, rel=1e-10)


def test_groups_calibration_and_skill_take_the_weights(rows: pd.DataFrame, weighted: Scene) -> None:
    groups, gaps, skill = (Pick(weighted.measure(c)) for c in ("performance.groups", "calibration.groups", "performance.baseline"))
    for group, own in rows.groupby("race"):
        auc = metrics.roc_auc_score(own["y"], own["score"], sample_weight=own["w"])
        assert groups.value("roc_auc", race=str(group)) == pytest.approx(auc, rel=SAME)
        assert groups.value("accuracy", race=str(group)) == pytest.approx(
            metrics.accuracy_score(own["y"], own["pred"], sample_weight=own["w"]), rel=SAME
        )
        gap = np.average(own["score"] - own["y"], weights=own["w"])
        assert gaps.value("calibration_in_the_large", race=str(group)) == pytest.approx(gap, rel=1e-10)
    rate = np.average(rows["y"], weights=rows["w"])
    brier = metrics.brier_score_loss(rows["y"], rows["score"], sample_weight=rows["w"])
    assert skill.value("brier_skill") == pytest.approx(1 - brier / (rate * (1 - rate)), rel=1e-10)
    assert gaps("calibration_slope", race="Black").estimate is None, "what takes no weights is not given of the rows in their place"
    assert "takes no survey weights" in gaps("calibration_slope", race="Black").reason


def test_errors_of_a_quantity(rows: pd.DataFrame, tmp_path: Path) -> None:
    scene = set_scene(
        tmp_path, task="regression", y=rows["hours"], pred=rows["guess"], weight=rows["w"], groups={"sex": rows["sex"].tolist()}, favourable=["high"]
    )  # fmt: skip
    y, guess, w = (rows[c].to_numpy() for c in ("hours", "guess", "w"))
    found, skill, groups = (Pick(scene.measure(f"performance.{c}")) for c in ("overall", "baseline", "groups"))
    assert found.value("mean_absolute_error") == pytest.approx(metrics.mean_absolute_error(y, guess, sample_weight=w), rel=SAME)
    assert found.value("root_mean_squared_error") == pytest.approx(metrics.root_mean_squared_error(y, guess, sample_weight=w), rel=SAME)
    assert found.value("r2") == pytest.approx(metrics.r2_score(y, guess, sample_weight=w), rel=1e-10)
    assert skill.value("r2") == found.value("r2")
    own = rows[rows["sex"] == "Female"]
    want = metrics.mean_absolute_error(own["hours"], own["guess"], sample_weight=own["w"])
    assert groups.value("mean_absolute_error", sex="Female") == pytest.approx(want, rel=SAME)


def test_the_scale_of_the_weights_means_nothing(rows: pd.DataFrame, weighted: Scene, tmp_path: Path) -> None:
    other = set_scene(
        tmp_path, y=rows["y"], pred=rows["pred"], score=rows["score"], weight=rows["w"] / 2**20, groups={"sex": rows["sex"].tolist()}
    )  # fmt: skip
    for check in ("performance.overall", "calibration.overall"):
        for a, b in zip(weighted.measure(check), other.measure(check), strict=True):
            if a.estimate is not None:
                assert (a.estimate.value, a.estimate.low, a.estimate.high) == pytest.approx(
                    (b.estimate.value, b.estimate.low, b.estimate.high), rel=1e-9
                )


def test_a_weighted_audit_says_so(weighted: Scene) -> None:
    asked = (
        "performance.overall",
        "performance.baseline",
        "calibration.overall",
        "calibration.groups",
        "fairness.group",
        "fairness.inputs",
        "fairness.score",
    )
    document = weighted.document(skip=[id_ for id_ in checks() if id_ not in asked])
    said = {c.info.id: c.summary for c in document.checks if c.status == "completed"}
    for id_, summary in said.items():
        kind = checks()[id_].weighs
        assert ("Weighted by weight." in summary) == (kind == "weighted"), id_
        assert ("survey weights are not used here" in summary) == (kind == "unweighted"), id_
    judged = [f for c in document.checks for f in c.findings if f.criterion and f.criterion.role == "decides" and f.weights]
    assert judged, "deciding findings rest on the weights"
    assert all("Rows carry the weights in weight" in (f.sentence or "") for f in judged)


def column(folder: Path, values: list[float | None]) -> Path:
    path = folder / "rows.parquet"
    n = len(values)
    pd.DataFrame({"w": values, "y": [0, 1] * (n // 2)}).to_parquet(path)
    return path


@pytest.mark.parametrize(
    ("values", "what"),
    [
        ([1.0, -2.0], "below 0 in 1 rows"),
        ([1.0, None], "no finite number in 1 of 2 rows"),
        ([1.0, float("inf")], "no finite number"),
        ([0.0, 0.0], "is 0 in every row"),
    ],
)
def test_weights_that_are_none(tmp_path: Path, values: list[float | None], what: str) -> None:
    with pytest.raises(AuditError, match=what):
        weight_of(open_dataset(str(column(tmp_path, values))), Roles(weight="w"))


def test_equal_weights_are_no_weights(tmp_path: Path) -> None:
    found, (note,) = weight_of(open_dataset(str(column(tmp_path, [2.5] * 6))), Roles(weight="w"))
    assert found is None
    assert "change nothing" in note.id


def test_what_rows_are_worth(tmp_path: Path) -> None:
    found, notes = weight_of(open_dataset(str(column(tmp_path, [1.0, 3.0, 0.0, 2.0]))), Roles(weight="w"))
    assert found is not None
    assert found.effective == pytest.approx(36 / 14)
    assert found.zero == 1
    assert len(notes) == 2
