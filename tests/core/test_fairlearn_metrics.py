"""Every metric that fairlearn exports is reported, with fairlearn's value: on ordinary rows and on groups that leave a metric undefined."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fairlearn.metrics as fm
import numpy as np
import pandas as pd
import pytest
import sklearn.metrics as sm
from numpy.typing import NDArray
from scene import Pick, Scene, set_scene

from audit.checks.fairness.metrics import ODDS
from audit.measurement import Measurement
from audit.registry import checks
from audit.text import render

#: Names of `fairlearn.metrics.__all__` that are no metrics.
TOOLS = {"MetricFrame", "make_derived_metric", "plot_model_comparison", "plot_roc_curve_by_group"}
EXPORTED = sorted(set(fm.__all__) - TOOLS)
SCORED = ("roc_auc_score", "log_loss")
ERRORS = ("mean_absolute_error", "mean_squared_error", "r2_score")
CHECKS = ("fairness.group", "fairness.metrics")


def close(value: float) -> Any:
    return pytest.approx(value, abs=1e-12, rel=1e-12)


def found_in(scene: Scene) -> list[Measurement]:
    return [m for check in CHECKS for m in apart(scene.measure(check, draws=25))]


def apart(found: list[Measurement]) -> list[Measurement]:
    """Each extreme with its own row of the table that stands with the first of its grouping."""
    rows = {}
    for m in found:
        for e in m.evidence:
            if e.kind == "table" and e.columns[0].name == "metric":
                rows |= {(*m.slice, row[0]): e.model_copy(update={"rows": [row]}) for row in e.rows}
    return [m.model_copy(update={"evidence": [rows[*m.slice, m.metric]] if (*m.slice, m.metric) in rows else []}) for m in found]


def fairlearns(name: str, y: Any, pred: Any, groups: Any, **given: Any) -> float:
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        return float(getattr(fm, name)(y, pred, sensitive_features=groups, **given))


def printed(m: Measurement) -> float:
    """fairlearn's own figure where it stands beside ours, else ours."""
    assert m.estimate is not None
    beside = {c.name: v for table in m.evidence if table.kind == "table" for c, v in zip(table.columns, table.rows[0], strict=True)}
    own = beside.get("printed")
    return m.estimate.value if own is None else float(own)


def of_labels(name: str) -> bool:
    return not name.startswith((*SCORED, *ERRORS))


EXTREMES = [n for n in EXPORTED if n.endswith(("_difference", "_ratio", "_group_min", "_group_max"))]


class Rows:
    """Rows of a binary decision, whose groups may be small, without positives or unknown (None)."""

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        n = int(rng.integers(60, 200))
        share = rng.dirichlet(3 * np.ones(4))
        self.sex = rng.choice(["f", "m"], n).astype(object)
        self.region = rng.choice(["a", "b", "c", "d"], n, p=share).astype(object)
        self.score = np.round(rng.beta(2, 2, n), 2)
        self.y = (rng.random(n) < self.score).astype(int)
        self.pred = (self.score >= 0.5).astype(int)
        if seed % 3 == 0:
            self.y[self.region == "a"] = 0  # a group without positives
        if seed % 3 == 1:
            self.region[0], self.sex[:20] = "alone", None  # a group of one row, and rows of unknown membership
        if seed % 4 == 0:
            self.pred[self.region == "b"] = 0  # a group in which nobody is chosen

    def scene(self, folder: Path) -> Scene:
        groups = {"sex": list(self.sex), "region": list(self.region)}
        return set_scene(folder, y=self.y, pred=self.pred, score=self.score, groups=groups)


@pytest.mark.parametrize("seed", range(7))
def test_binary_extremes_have_fairlearns_values(tmp_path: Path, seed: int) -> None:
    rows = Rows(seed)
    found = Pick(found_in(rows.scene(tmp_path)))
    frame = pd.DataFrame({"sex": rows.sex, "region": rows.region})
    for columns in (["sex"], ["region"], ["sex", "region"]):
        known = frame[columns].notna().all(axis=1).to_numpy()
        members = frame.loc[known, columns]
        for name in EXTREMES:
            if name.startswith(ERRORS) or (len(columns) > 1 and name.startswith(("demographic", "equal"))):
                continue
            given = {"labels": [0, 1]} if name.startswith("log_loss") else {}
            values = rows.score if name.startswith(SCORED) else rows.pred
            expected = fairlearns(name, rows.y[known], values[known], members, **given)
            m = found(name, **dict.fromkeys(columns, "*"))
            if m.estimate is None:
                assert undefined(name, rows, known, members), (name, columns)
                continue
            assert printed(m) == close(expected), (name, columns)
            assert m.estimate.method == "exact"


COUNTED: dict[str, Callable[[Any, Any], Any]] = {
    "true_positive": lambda y, p: y == 1, "false_negative": lambda y, p: y == 1, "recall": lambda y, p: y == 1, "equal_opp": lambda y, p: y == 1,
    "true_negative": lambda y, p: y == 0, "false_positive": lambda y, p: y == 0, "precision": lambda y, p: p == 1, "f1": lambda y, p: (y == 1) | (p == 1),
}  # fmt: skip


def undefined(name: str, rows: Rows, known: NDArray[np.bool_], members: pd.DataFrame) -> bool:
    """Whether the metric has no value: fewer than two groups have rows that it counts, or all its rates are 0."""
    y, pred = rows.y[known], rows.pred[known]
    counted = next((of(y, pred) for start, of in COUNTED.items() if name.startswith(start)), np.ones(len(y), bool))
    if name.startswith("equalized"):
        return any(undefined(n, rows, known, members) for n in ("true_positive_rate_difference", "false_positive_rate_difference"))
    groups = [g for _, g in members.assign(c=counted, y=y).groupby(list(members), observed=True)]
    if name.startswith("roc_auc"):
        return sum(g.y.nunique() == 2 for g in groups) < 2
    return sum(g.c.any() for g in groups) < 2 or (name.endswith("_ratio") and math.isnan(fairlearns(name, y, pred, members)))


@pytest.mark.parametrize("seed", range(2))
def test_our_own_value_leaves_out_groups_that_a_metric_does_not_count(tmp_path: Path, seed: int) -> None:
    """Where fairlearn's 0 for no rows differs from ours, ours is fairlearn's on the groups that have such rows."""
    rows = Rows(3 * seed)
    found = Pick(found_in(rows.scene(tmp_path)))
    for name in ("true_positive_rate_difference", "equal_opportunity_difference", "recall_score_group_min", "false_negative_rate_ratio"):
        has = np.isin(rows.region, [g for g in set(rows.region) if rows.y[rows.region == g].any()])
        assert has.sum() < len(has)
        assert found.value(name, region="*") == close(fairlearns(name, rows.y[has], rows.pred[has], rows.region[has])), name


@pytest.mark.parametrize("seed", [1, 4])
def test_against_everybody_and_the_mean_of_odds(tmp_path: Path, seed: int) -> None:
    rows = Rows(seed)
    found = Pick(found_in(rows.scene(tmp_path)))
    known = np.array([s is not None for s in rows.sex])
    y, pred, sex = rows.y[known], rows.pred[known], rows.sex[known]
    names = [n for n in EXTREMES if n.endswith(("_difference", "_ratio")) and not n.startswith(("demographic", "equal"))]
    for name in names:
        assert printed(found(f"{name}_to_overall", sex="*")) == close(fairlearns(name, y, pred, sex, method="to_overall")), name
    for how in ("difference", "ratio"):
        for agg, suffix in (("worst_case", ""), ("mean", "_mean")):
            for method, end in (("between_groups", ""), ("to_overall", "_to_overall")):
                m = found(f"equalized_odds_{how}{suffix}{end}", sex="*")
                assert printed(m) == close(fairlearns(f"equalized_odds_{how}", y, pred, sex, agg=agg, method=method))


def test_base_metrics_per_group(tmp_path: Path) -> None:
    rows = Rows(2)
    found = Pick(found_in(rows.scene(tmp_path)))
    for sex in ("f", "m"):
        own = rows.sex == sex
        y, pred, score = rows.y[own], rows.pred[own], rows.score[own]
        for name in ("true_positive_rate", "true_negative_rate", "false_positive_rate", "false_negative_rate", "selection_rate", "count"):
            assert found.value(name, sex=sex) == close(getattr(fm, name)(y, pred)), name
        assert found.value("f1_score", sex=sex) == close(sm.f1_score(y, pred))
        assert found.value("balanced_accuracy_score", sex=sex) == close(sm.balanced_accuracy_score(y, pred))
        assert found.value("log_loss", sex=sex) == close(sm.log_loss(y, score))


@pytest.mark.parametrize("seed", [0, 1])
def test_the_favourable_decision_need_not_be_the_event(tmp_path: Path, seed: int) -> None:
    rows = Rows(seed + 1)
    region = rows.region
    scene = set_scene(tmp_path, y=rows.y, pred=rows.pred, groups={"region": list(region)}, favourable=["0"])
    found = Pick(found_in(scene))
    for name in ("selection_rate_difference", "selection_rate_ratio"):
        assert found.value(name, region="*") == close(fairlearns(name, rows.y, rows.pred, region, pos_label=0))
    assert printed(found("true_positive_rate_difference", region="*")) == close(
        fairlearns("true_positive_rate_difference", rows.y, rows.pred, region)
    )


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_multiclass_extremes_have_fairlearns_values(tmp_path: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    n = 500
    scores = rng.dirichlet([2, 1, 1], n)
    scores /= scores.sum(axis=1, keepdims=True)
    y, pred = np.array([rng.choice(3, p=s / s.sum()) for s in scores]), scores.argmax(axis=1)
    group = rng.choice(["a", "b", "c"], n, p=[0.6, 0.35, 0.05]).astype(object)
    if seed == 1:
        y[(group == "c") & (y == 2)] = 0  # a class that never happens in a group
    scene = set_scene(
        tmp_path, y=y, pred=pred, score=scores, classes=list("xyz"), positive=None, favourable=["x"], task="multiclass", groups={"g": list(group)}
    )  # fmt: skip
    found = Pick(found_in(scene))
    macro = {"average": "macro", "zero_division": 0}
    for name in EXTREMES:
        given: dict[str, Any] = {}
        if name.startswith(ERRORS):
            continue
        if name.startswith(("accuracy", "zero_one", "balanced")):
            expected = fairlearns(name, y, pred, group)
        elif name.startswith(("precision", "recall", "f1")):
            expected = fairlearns(name, y, pred, group, **macro)
        elif name.startswith(SCORED):
            given = {"labels": [0, 1, 2]} | ({"multi_class": "ovr"} if name.startswith("roc") else {})
            own = [g for g in "abc" if not name.startswith("roc") or len(set(y[group == g])) == 3]
            metric = getattr(sm, name.rsplit("_group", 1)[0])
            expected = (min if name.endswith("min") else max)(metric(y[group == g], scores[group == g], **given) for g in own)
        else:  # rates of one class, the favourable one, against the rest
            expected = fairlearns(name, (y == 0).astype(int), (pred == 0).astype(int), group)
        assert printed(found(name, g="*")) == close(expected), name


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_regression_extremes_have_fairlearns_values(tmp_path: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    y = rng.gamma(2, 1000, 300)
    pred, group = y * 0.8 + rng.normal(0, 500, y.size), rng.choice(["a", "b", "c"], y.size).astype(object)
    if seed == 1:
        group[0] = "alone"
    if seed == 2:
        y[group == "c"] = 1000.0  # outcomes that are all the same
    scene = set_scene(tmp_path, y=y, pred=pred, task="regression", favourable=["high"], groups={"g": list(group)})
    found = Pick(found_in(scene))
    for name in EXTREMES:
        if name.startswith(ERRORS):
            assert printed(found(name, g="*")) == close(fairlearns(name, y, pred, group)), name
        elif name.startswith(("selection_rate", "demographic_parity")):
            high = (pred > np.median(pred)).astype(int)
            assert found.value(name, g="*") == close(fairlearns(name, high, high, group)), name
    for g in "ab":
        own = group == g
        assert found.value("mean_prediction", g=g) == close(fm.mean_prediction(y[own], pred[own]))
        assert found.value("mean_squared_error", g=g) == close(sm.mean_squared_error(y[own], pred[own]))
        assert found.value("r2_score", g=g) == close(sm.r2_score(y[own], pred[own]))


def test_nothing_that_fairlearn_exports_is_missing(tmp_path: Path) -> None:
    """Over the three tasks together. A new release of fairlearn that adds a metric fails here."""
    rng = np.random.default_rng(0)
    y = rng.normal(size=300)
    quantity = set_scene(tmp_path, y=y, pred=y + 1, task="regression", favourable=["high"], groups={"g": ["a", "b", "c"] * 100})
    measured = {m.metric for scene in (Rows(2).scene(tmp_path), quantity) for m in found_in(scene) if m.estimate is not None}
    assert set(EXPORTED) <= measured, sorted(set(EXPORTED) - measured)
    assert set(ODDS) <= measured


def test_no_plan_may_judge_an_extreme() -> None:
    reported = checks()["fairness.metrics"].reported_only | checks()["fairness.group"].reported_only
    assert set(EXTREMES) <= reported


def test_chance_stands_beside_an_extreme(tmp_path: Path) -> None:
    """Equal groups lie within chance, a planted difference far beyond it; what is no function of counts says nothing of chance."""
    rng = np.random.default_rng(5)
    group = rng.choice(["a", "b", "c"], 3000)
    y = rng.integers(0, 2, 3000)
    right = rng.random(3000) < np.where(group == "c", 0.6, 0.85)
    scene = set_scene(tmp_path, y=y, pred=np.where(right, y, 1 - y), score=np.where(right, y, 1 - y) * 0.8 + 0.1, groups={"g": list(group)})
    found = Pick(apart(scene.measure("fairness.metrics", draws=400)))
    for name in ("accuracy_score_difference", "balanced_accuracy_score_group_min", "f1_score_group_min", "zero_one_loss_group_max"):
        m = found(name, g="*")
        assert m.test.p_value < 0.01
        table = {c.name: v for c, v in zip(m.evidence[0].columns, m.evidence[0].rows[0], strict=True)}
        assert table["seen"] == m.estimate.value
        assert (table["chance"] > table["seen"]) == name.endswith("group_min")
    assert found("roc_auc_score_group_min", g="*").test is None
    assert found("selection_rate_difference", g="*").test.p_value > 0.01


def test_rows_that_belong_together_are_not_dealt_to_groups_and_the_summary_says_so(tmp_path: Path) -> None:
    y, pred, group = [0, 1] * 40, [0, 1, 1, 1] * 20, ["a", "b"] * 40
    scene = set_scene(tmp_path, pred=pred, y=y, groups={"sex": group}, cluster=np.arange(80) // 4)
    found = scene.measure("fairness.metrics")
    assert any(m.metric == "accuracy_score_difference" and m.estimate for m in found)
    assert not any(m.test for m in found)
    assert "rows of one school belong together" in render(scene.summary("fairness.metrics"))


def test_the_mean_of_odds_in_the_example_of_fairlearns_documentation(tmp_path: Path) -> None:
    """18 rows as (group, true positives, false negatives, false positives, true negatives); their page prints 0.25 and, as the mean, 0.236111."""
    y, pred, group = [], [], []
    for name, tp, fn, fp, tn in (("a", 2, 1, 3, 1), ("b", 4, 5, 1, 1)):
        y += [1] * (tp + fn) + [0] * (fp + tn)
        pred += [1] * tp + [0] * fn + [1] * fp + [0] * tn
        group += [name] * (tp + fn + fp + tn)
    found = Pick(set_scene(tmp_path, y=y, pred=pred, groups={"sf": group}).measure("fairness.metrics", draws=25))
    assert found.value("equalized_odds_difference_mean", sf="*") == pytest.approx(0.236111, abs=1e-6)
    assert found.value("true_positive_rate_difference", sf="*") == pytest.approx(0.222222, abs=1e-6)


def test_every_combination_that_some_row_has_is_shown(tmp_path: Path) -> None:
    """Three columns with unknown levels and cells of one row: all are reported with their counts, none with an unknown level is compared."""
    rng = np.random.default_rng(3)
    n = 300
    groups = {
        "sex": rng.choice(["f", "m", None], n, p=[0.45, 0.45, 0.1]), "race": rng.choice(["a", "b", "c"], n, p=[0.8, 0.18, 0.02]),
        "age": rng.choice(["old", "young"], n),
    }  # fmt: skip
    y, pred = rng.integers(0, 2, n), rng.integers(0, 2, n)
    scene = set_scene(tmp_path, y=y, pred=pred, groups={k: list(v) for k, v in groups.items()})
    frame = pd.DataFrame({k: [x if x is not None else "(missing)" for x in v] for k, v in groups.items()} | {"pred": pred})
    expected = {tuple(key): (int(g.pred.sum()), len(g)) for key, g in frame.groupby(["sex", "race", "age"])}
    assert min(size for _, size in expected.values()) == 1
    found = scene.measure("fairness.group", draws=25)
    shown = {tuple(m.slice.values()): (m.parts[0].k, m.parts[0].n) for m in found
             if m.metric == "selection_rate" and m.compare == "value" and len(m.slice) == 3}  # fmt: skip
    assert shown == expected
    compared = {tuple(m.slice.values()) for m in found if (m.metric, m.compare) == ("selection_rate", "ratio") and len(m.slice) == 3}
    reference = tuple(group.reference for group in scene.facts.groups)
    assert compared == {key for key in expected if "(missing)" not in key and key != reference}
    count = {
        tuple(m.slice.values()): m.estimate.value for m in scene.measure("fairness.metrics", draws=25) if m.metric == "count" and m.estimate
    }
    assert {key: n for key, (_, n) in expected.items()} == {key: n for key, n in count.items() if len(key) == 3}
    findings = {tuple(f.slice.values()): f for c in scene.document().checks if c.info.id == "fairness.group" for f in c.findings
                if (f.metric, f.compare) == ("selection_rate", "ratio") and len(f.slice) == 3}  # fmt: skip
    assert set(findings) == compared
    assert all(f.verdict == "not_judged" for f in findings.values()), "only single columns are judged by default"
