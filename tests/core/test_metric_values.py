"""Every metric that scikit-learn or fairlearn defines has the value that they give on the same rows, to 1e-12."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fairlearn.metrics as fm
import numpy as np
import pytest
import sklearn.metrics as sm
from scene import Pick, Scene, set_scene

from audit.text import render

EXACT = 1e-12
#: The example of fairlearn's documentation as counts: (group, tp, fn, fp, tn), 18 rows.
EXAMPLE = (("a", 2, 1, 3, 1), ("b", 4, 5, 1, 1))


def close(value: float) -> Any:
    return pytest.approx(value, abs=EXACT, rel=EXACT)


class Rows:
    """Binary rows with outcome, decision, score and two sensitive columns."""

    def __init__(self, y: Any, score: Any, groups: dict[str, Any], cutoff: float = 0.5) -> None:
        self.y, self.score, self.groups = np.asarray(y), np.asarray(score, dtype=float), groups
        self.pred = (self.score >= cutoff).astype(int)


def random_rows(seed: int, n: int = 3000) -> Rows:
    rng = np.random.default_rng(seed)
    score = np.round(rng.beta(2, 3, n), 3)  # rounded, so that there are ties
    sex = np.where(rng.random(n) < 0.2, "f", "m")
    region = rng.choice(["north", "east", "south"], n, p=[0.6, 0.3, 0.1])
    return Rows((rng.random(n) < score).astype(int), score, {"sex": sex, "region": region})


@pytest.fixture(scope="module")
def adult(data_folder: Path) -> Rows:
    """Adult: a logistic regression on its number columns, applied to the test rows."""
    import pandas as pd
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    train, test = (pd.read_parquet(data_folder / f"adult_{part}.parquet") for part in ("train", "test"))
    numbers = ["age", "education-num", "hours-per-week", "capital-gain"]
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(train[numbers], train["income"] == ">50K")
    groups = {name: test[name].astype(object).to_numpy() for name in ("sex", "race")}
    return Rows((test["income"] == ">50K").astype(int), model.predict_proba(test[numbers])[:, 1], groups)


def rows_of(request: pytest.FixtureRequest) -> Rows:
    name = request.param
    return request.getfixturevalue("adult") if name == "adult" else random_rows(name)  # type: ignore[no-any-return]


@pytest.fixture(params=[1, 2, "adult"], scope="module")
def rows(request: pytest.FixtureRequest) -> Rows:
    return rows_of(request)


@pytest.fixture(scope="module")
def scene(rows: Rows, tmp_path_factory: pytest.TempPathFactory) -> Scene:
    return set_scene(tmp_path_factory.mktemp("values"), y=rows.y, pred=rows.pred, score=rows.score, groups=rows.groups)


def test_overall_metrics_are_those_of_scikit_learn(rows: Rows, scene: Scene) -> None:
    found = Pick(scene.measure("performance.overall", replicates=20))
    y, pred, score = rows.y, rows.pred, rows.score
    expected = {
        "accuracy": sm.accuracy_score(y, pred), "balanced_accuracy": sm.balanced_accuracy_score(y, pred), "precision": sm.precision_score(y, pred),
        "recall": sm.recall_score(y, pred), "f1": sm.f1_score(y, pred), "roc_auc": sm.roc_auc_score(y, score),
        "average_precision": sm.average_precision_score(y, score), "log_loss": sm.log_loss(y, score), "brier_score": sm.brier_score_loss(y, score),
    }  # fmt: skip
    assert {name: found.value(name) for name in expected} == {name: close(v) for name, v in expected.items()}


def test_skill_is_the_score_against_the_base_rate(rows: Rows, scene: Scene) -> None:
    found = Pick(scene.measure("performance.baseline"))
    base = np.full(len(rows.y), rows.y.mean())
    assert found.value("brier_skill") == close(1 - sm.brier_score_loss(rows.y, rows.score) / sm.brier_score_loss(rows.y, base))
    assert found.value("log_loss_skill") == close(1 - sm.log_loss(rows.y, rows.score) / sm.log_loss(rows.y, base))
    assert found.value("brier_skill") == close(sm.d2_brier_score(rows.y, rows.score))


RATES: dict[str, Callable[..., float]] = {
    "selection_rate": fm.selection_rate, "true_positive_rate": fm.true_positive_rate, "false_positive_rate": fm.false_positive_rate,
    "true_negative_rate": fm.true_negative_rate, "false_negative_rate": fm.false_negative_rate, "accuracy": sm.accuracy_score,
    "precision": sm.precision_score,
}  # fmt: skip


def test_rates_per_group_are_those_of_fairlearn(rows: Rows, scene: Scene) -> None:
    found = Pick(scene.measure("fairness.group", draws=20))
    for column, members in rows.groups.items():
        frame = fm.MetricFrame(metrics=RATES, y_true=rows.y, y_pred=rows.pred, sensitive_features=members)
        for level, row in frame.by_group.iterrows():
            got = {name: found.value(name, **{column: str(level)}) for name in RATES}
            assert got == {name: close(float(row[name])) for name in RATES}, (column, level)


def test_intersections_are_those_of_fairlearn(rows: Rows, scene: Scene) -> None:
    found = Pick(scene.measure("fairness.group", draws=20))
    import pandas as pd

    frame = fm.MetricFrame(metrics=fm.selection_rate, y_true=rows.y, y_pred=rows.pred, sensitive_features=pd.DataFrame(rows.groups))
    for levels, value in frame.by_group.items():
        assert found.value("selection_rate", **dict(zip(rows.groups, map(str, levels), strict=True))) == close(float(value))


def test_comparisons_divide_and_subtract_those_rates(rows: Rows, scene: Scene) -> None:
    measured = scene.measure("fairness.group", draws=20)
    rates = {(m.metric, *m.slice.values()): m.estimate.value for m in measured if m.compare == "value" and len(m.slice) == 1 and m.estimate}
    for m in measured:
        if m.compare == "value" or len(m.slice) > 1 or m.metric.startswith("adverse") or m.estimate is None:
            continue
        assert m.against is not None
        mine, other = rates[m.metric, *m.slice.values()], rates[m.metric, *m.against.values()]
        expected = {"difference": mine - other, "ratio": mine / other if other else 0.0}.get(m.compare)
        if m.compare == "odds_ratio":
            expected = (mine / (1 - mine)) / (other / (1 - other))
        assert m.estimate.value == pytest.approx(expected, abs=1e-12, rel=1e-10), (m.metric, m.compare, m.slice)
        assert m.estimate.low <= m.estimate.value <= m.estimate.high


EXTREMES: dict[str, Callable[..., float]] = {
    name: getattr(fm, name)
    for name in (
        "demographic_parity_difference", "demographic_parity_ratio", "equalized_odds_difference", "equalized_odds_ratio",
        "equal_opportunity_difference", "equal_opportunity_ratio",
    )
}  # fmt: skip


def test_extremes_are_those_of_fairlearn(rows: Rows, scene: Scene) -> None:
    found = Pick(scene.measure("fairness.group", draws=20))
    for column, members in rows.groups.items():
        for name, metric in EXTREMES.items():
            expected = metric(rows.y, rows.pred, sensitive_features=members)
            assert found.value(name, **{column: "*"}) == close(expected), (column, name)
            m = found(name, **{column: "*"})
            assert (m.test.null, m.test.method) == ("equality", "permutation")
            assert m.estimate.method == "exact", "extremes have no interval: a percentile bootstrap of a maximum is wrong"


def test_an_extreme_that_two_checks_report_has_one_p_and_counts_all_rows(rows: Rows, scene: Scene) -> None:
    mine, theirs = (Pick(scene.measure(check, draws=200)) for check in ("fairness.group", "fairness.metrics"))
    for column in rows.groups:
        for one, other in (("demographic_parity", "selection_rate"), ("equal_opportunity", "true_positive_rate")):
            for how in ("difference", "ratio"):
                a, b = mine(f"{one}_{how}", **{column: "*"}), theirs(f"{other}_{how}", **{column: "*"})
                assert (a.estimate.value, a.test.p_value) == (b.estimate.value, b.test.p_value)
        odds = (mine("equalized_odds_difference", **{column: "*"}), theirs("equalized_odds_difference_mean", **{column: "*"}))
        known = mine("demographic_parity_difference", **{column: "*"}).estimate.n
        assert [m.estimate.n for m in odds] == [known, known], "error rates count events and non-events"


def test_the_group_that_is_surely_further_heads_a_small_one_that_may_not_be(tmp_path: Path) -> None:
    """0.61 from 30 rows, interval up to 0.88, against 0.78 from 1,114 rows, interval up to 0.83 (ACS employment, Massachusetts 2018)."""
    sizes = {"1": (32608, 17814), "9": (1114, 475), "5": (30, 10)}
    group = [g for g, (n, _) in sizes.items() for _ in range(n)]
    pred = [i < k for n, k in sizes.values() for i in range(n)]
    scene = set_scene(tmp_path, y=[0, 1] * (len(pred) // 2), pred=np.array(pred, int), groups={"RAC1P": group}, reference={"RAC1P": "1"})
    said = render(scene.summary("fairness.group", draws=25))
    assert said.startswith("RAC1P = 9: 42.6 % get the favourable decision, against 54.6 % for RAC1P = 1; that is 0.78 times as often")
    assert (
        "Further from its reference by the estimate, with an interval that comes nearer to it: RAC1P = 5, 0.61 times (0.39 to 0.88; 30 rows)."
        in said
    )
    assert "No other group" not in said


def test_auc_per_group_is_that_of_scikit_learn(rows: Rows, scene: Scene) -> None:
    found = Pick(scene.measure("performance.groups"))
    for column, members in rows.groups.items():
        for level in set(members):
            own = members == level
            assert found.value("roc_auc", **{column: str(level)}) == close(sm.roc_auc_score(rows.y[own], rows.score[own]))
            assert found.value("accuracy", **{column: str(level)}) == close(sm.accuracy_score(rows.y[own], rows.pred[own]))


def test_the_example_of_fairlearns_documentation(tmp_path: Path) -> None:
    """Selected: 5 of 7 in group a and 5 of 11 in group b. The derived figures are those that fairlearn's documentation prints."""
    y, pred, group = [], [], []
    for name, tp, fn, fp, tn in EXAMPLE:
        y += [1] * (tp + fn) + [0] * (fp + tn)
        pred += [1] * tp + [0] * fn + [1] * fp + [0] * tn
        group += [name] * (tp + fn + fp + tn)
    found = Pick(set_scene(tmp_path, y=y, pred=pred, groups={"sf": group}, reference={"sf": "b"}).measure("fairness.group"))
    for name, (a, b) in {
        "selection_rate": (5 / 7, 5 / 11),
        "true_positive_rate": (2 / 3, 4 / 9),
        "false_positive_rate": (3 / 4, 1 / 2),
    }.items():
        assert (found.value(name, sf="a"), found.value(name, sf="b")) == (close(a), close(b))
    for name, metric in EXTREMES.items():
        assert found.value(name, sf="*") == close(metric(y, pred, sensitive_features=group))
    printed = {"demographic_parity_difference": 0.259740, "demographic_parity_ratio": 0.636364, "equalized_odds_difference": 0.25,
               "equal_opportunity_difference": 0.222222}  # fmt: skip
    assert {name: found.value(name, sf="*") for name in printed} == pytest.approx(printed, abs=1e-6)
    levels = {name: found(name, "difference", sf="a").estimate.level for name in ("true_positive_rate", "precision")}
    assert levels == {"true_positive_rate": 0.90, "precision": 0.95}, "what may decide is shown at the level at which it is judged"


@pytest.mark.parametrize("seed", [3, 4])
def test_multiclass_metrics_are_those_of_scikit_learn(tmp_path: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    n, names = 2000, ["high", "low", "middle"]
    scores = rng.dirichlet([2, 1, 1], n)
    scores /= scores.sum(axis=1, keepdims=True)
    y = np.array([rng.choice(3, p=row / row.sum()) for row in scores])
    pred, group = scores.argmax(axis=1), rng.choice(["a", "b"], n)
    scene = set_scene(
        tmp_path, y=y, pred=pred, score=scores, classes=names, positive=None, favourable=["high"], task="multiclass", groups={"g": group}
    )
    found = Pick(scene.measure("performance.overall", replicates=20))
    expected = {
        "accuracy": sm.accuracy_score(y, pred), "balanced_accuracy": sm.balanced_accuracy_score(y, pred),
        "precision": sm.precision_score(y, pred, average="macro"), "recall": sm.recall_score(y, pred, average="macro"),
        "f1": sm.f1_score(y, pred, average="macro"), "log_loss": sm.log_loss(y, scores), "brier_score": sm.brier_score_loss(y, scores),
        "roc_auc_ovr_macro": sm.roc_auc_score(y, scores, multi_class="ovr", average="macro"),
    }  # fmt: skip
    assert {name: found.value(name) for name in expected} == {name: close(v) for name, v in expected.items()}
    fair = Pick(scene.measure("fairness.group", draws=20))
    frame = fm.MetricFrame(metrics=RATES | {"accuracy": sm.accuracy_score}, y_true=y == 0, y_pred=pred == 0, sensitive_features=group)
    for level, row in frame.by_group.iterrows():
        for name in ("selection_rate", "true_positive_rate", "false_positive_rate", "precision"):
            assert fair.value(name, g=str(level)) == close(float(row[name]))


def test_macro_scores_count_the_classes_that_scikit_learn_counts(tmp_path: Path) -> None:
    """Class c is never predicted, class d never happens, class e does neither: the means are still scikit-learn's."""
    y, pred = np.array([0, 0, 1, 1, 2, 2, 0, 1]), np.array([0, 1, 1, 1, 0, 3, 0, 3])
    scene = set_scene(tmp_path, y=y, pred=pred, classes=list("abcde"), positive=None, favourable=["a"], task="multiclass")
    found = Pick(scene.measure("performance.overall"))
    expected = {name: metric(y, pred, average="macro", zero_division=0) for name, metric in
                {"precision": sm.precision_score, "recall": sm.recall_score, "f1": sm.f1_score}.items()}  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected["balanced_accuracy"] = sm.balanced_accuracy_score(y, pred)
    assert {name: found.value(name) for name in expected} == {name: close(v) for name, v in expected.items()}


@pytest.mark.parametrize("seed", [5, 6])
def test_regression_metrics_are_those_of_scikit_learn(tmp_path: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    y = rng.gamma(2, 1000, 2500)
    pred, group = y * 0.8 + rng.normal(0, 500, y.size), rng.choice(["a", "b", "c"], y.size)
    scene = set_scene(tmp_path, y=y, pred=pred, task="regression", favourable=["high"], groups={"g": group})
    found = Pick(scene.measure("performance.overall"))
    assert found.value("mean_absolute_error") == close(sm.mean_absolute_error(y, pred))
    assert found.value("root_mean_squared_error") == close(sm.root_mean_squared_error(y, pred))
    assert found.value("r2") == close(sm.r2_score(y, pred))
    assert Pick(scene.measure("performance.baseline")).value("r2") == close(sm.r2_score(y, pred))
    by_group, fair = Pick(scene.measure("performance.groups")), Pick(scene.measure("fairness.group", draws=20))
    for level in "abc":
        own = group == level
        assert by_group.value("mean_absolute_error", g=level) == close(sm.mean_absolute_error(y[own], pred[own]))
        assert fair.value("mean_prediction", g=level) == close(fm.mean_prediction(y[own], pred[own]))
        assert fair.value("selection_rate", g=level) == close(fm.selection_rate(y[own] > 0, pred[own] > np.median(pred)))


def test_rows_that_cannot_be_used_are_left_out_and_counted(tmp_path: Path) -> None:
    """Outcomes missing (-1) and scores undefined (NaN): the metrics are those of the other rows."""
    rows = random_rows(7, 1000)
    y, pred, score = rows.y.copy(), rows.pred.copy(), rows.score.copy()
    y[::7] = -1
    pred[::11], score[::11] = -1, np.nan
    scene = set_scene(tmp_path, y=y, pred=pred, score=score, groups=rows.groups)
    keep = (y >= 0) & (pred >= 0)
    found = Pick(scene.measure("performance.overall", replicates=20))
    assert found.value("accuracy") == close(sm.accuracy_score(y[keep], pred[keep]))
    assert found.value("roc_auc") == close(sm.roc_auc_score(y[keep], score[keep]))
    assert found.value("log_loss") == close(sm.log_loss(y[keep], score[keep]))
    assert found("accuracy").estimate.n == keep.sum()
    fair = Pick(scene.measure("fairness.group", draws=20))
    female = rows.groups["sex"] == "f"
    assert fair.value("selection_rate", sex="f") == close(fm.selection_rate(y[female & (pred >= 0)], pred[female & (pred >= 0)])), (
        "a selection needs no outcome"
    )
    assert fair.value("true_positive_rate", sex="f") == close(fm.true_positive_rate(y[female & keep], pred[female & keep]))
    document = scene.document()
    assert document.data.excluded == {"missing_outcome": int((y < 0).sum()), "undefined_score": int((pred < 0).sum())}
    assert any(f"Rows without an outcome: {int((y < 0).sum())}" in note for note in document.notes)
    assert any("without a usable prediction" in note and str(int((pred < 0).sum())) in note for note in document.notes)


def test_the_event_may_be_the_first_class(tmp_path: Path) -> None:
    """Positive "bad" is class 0: its probability is scored, and recall is of "bad"."""
    rng = np.random.default_rng(8)
    bad = rng.random(800)
    y = np.where(rng.random(800) < bad, 0, 1)
    pred = np.where(bad >= 0.5, 0, 1)
    scene = set_scene(tmp_path, y=y, pred=pred, score=bad, classes=["bad", "good"], positive="bad", favourable=["good"],
                      groups={"g": rng.choice(["a", "b"], 800)})  # fmt: skip
    found = Pick(scene.measure("performance.overall", replicates=20))
    assert found.value("recall") == close(sm.recall_score(y, pred, pos_label=0))
    assert found.value("roc_auc") == close(sm.roc_auc_score(y == 0, bad))
    assert found.value("log_loss") == close(sm.log_loss(y == 0, bad))
    fair = Pick(scene.measure("fairness.group", draws=20))
    assert fair.value("selection_rate", g="a") == close(
        float((pred == 1)[scene.context("x").scored.group(0) == scene.facts.groups[0].levels.index("a")].mean())
    )
    large = Pick(scene.measure("calibration.overall")).value("calibration_in_the_large")
    assert large == close(float(bad.mean() - (y == 0).mean()))


def test_an_event_that_is_never_predicted_has_an_f1_of_zero(tmp_path: Path) -> None:
    """One event in 200 rows: a third of the resampled tables have none, which makes F1 uncertain and not undefined."""
    y = np.array([1] + [0] * 199)
    found = Pick(set_scene(tmp_path, y=y, pred=np.zeros(200, int)).measure("performance.overall", replicates=50))
    assert found.value("f1") == sm.f1_score(y, np.zeros(200), zero_division=0) == 0.0
    assert found.value("balanced_accuracy") == 0.5
    never = Pick(set_scene(tmp_path, y=np.zeros(200, int), pred=np.zeros(200, int)).measure("performance.overall", replicates=50))
    assert never("f1").estimate is None


def test_a_metric_that_is_undefined_says_so_where_the_libraries_say_zero(tmp_path: Path) -> None:
    """fairlearn gives a group without positives a TPR of 0.0, and one group a parity difference of 0.0: neither is a measurement."""
    y = np.array([0] * 20 + [0, 1] * 20)
    group = ["a"] * 20 + ["b"] * 40
    found = Pick(set_scene(tmp_path, y=y, pred=y, groups={"g": group}).measure("fairness.group", draws=20))
    assert found("true_positive_rate", g="a").estimate is None
    assert found("true_positive_rate", g="a").reason
    single = set_scene(tmp_path, y=y, pred=y, groups={"g": ["a"] * 60}).measure("fairness.group", draws=20)
    assert not [m for m in single if m.metric.startswith(("demographic", "equal"))]
    one_class = Pick(
        set_scene(tmp_path, y=[1] * 30, pred=[1] * 30, score=np.linspace(0.5, 1, 30)).measure("performance.overall", replicates=20)
    )
    assert one_class("roc_auc").estimate is None
