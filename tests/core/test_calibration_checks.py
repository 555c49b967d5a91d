"""The calibration checks and the baseline: values of slow twins per group, several classes, quantities, and what is planted is found."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scene import Pick, Scene, set_scene

from audit.measurement import Curve, Histogram
from audit.stats import calibration, reliability
from audit.stats.ranked import rank
from audit.text import render


def two_groups(folder: Path, n: int = 3000, sharp: float = 1.0, **more: Any) -> Scene:
    """Calibrated for m; for f the logit is multiplied by `sharp`."""
    rng = np.random.default_rng(3)
    truth, sex = rng.beta(2, 2, n), np.where(rng.random(n) < 0.3, "f", "m")
    logit = np.log(truth / (1 - truth)) * np.where(sex == "f", sharp, 1.0)
    score = 1 / (1 + np.exp(-logit))
    y = (rng.random(n) < truth).astype(int)
    return set_scene(folder, y=y, pred=(score >= 0.5).astype(int), score=score, groups={"sex": sex}, **more)


def rows_of(scene: Scene, name: str, group: str | None = None) -> Any:
    context = scene.context("calibration.groups")
    values = context.scored.column(name)
    return values if group is None else values[context.scored.group(0) == scene.facts.groups[0].levels.index(group)]


def test_each_group_has_the_figures_of_its_own_rows(tmp_path: Path) -> None:
    scene = two_groups(tmp_path, sharp=3.0)
    found = Pick(scene.measure("calibration.groups"))
    for group in ("f", "m"):
        p, y = rows_of(scene, "score", group), rows_of(scene, "y", group)
        table = rank(p, y)
        assert found.value("calibration_in_the_large", sex=group) == pytest.approx(p.mean() - y.mean(), abs=1e-12)
        assert found.value("brier_score", sex=group) == pytest.approx(((p - y) ** 2).mean(), abs=1e-12)
        line = calibration.slope_and_intercept(table, level=0.9)
        assert line is not None
        assert found.value("calibration_slope", sex=group) == pytest.approx(line.slope.value, rel=1e-9)
        assert found.value("calibration_intercept", sex=group) == pytest.approx(line.intercept.value, rel=1e-6)
        debiased = reliability.debiased_square(reliability.equal_mass_bins(table))
        assert debiased is not None
        assert found.value("debiased_calibration_error", sex=group) == pytest.approx(max(0, debiased) ** 0.5, abs=1e-12)


def test_a_score_of_six_tenths_for_one_half_has_the_published_errors(tmp_path: Path) -> None:
    """CAL-01 and FAIR-09: 100 rows at .6 of which half happen. ECE, smooth ECE and calibration in the large .1, debiased .0864566."""
    found = Pick(set_scene(tmp_path, y=[0, 1] * 50, pred=[1] * 100, score=[0.6] * 100).measure("calibration.overall"))
    for metric in ("expected_calibration_error", "smooth_calibration_error", "calibration_in_the_large"):
        assert found.value(metric) == pytest.approx(0.1, abs=1e-6), metric
    assert found.value("debiased_calibration_error") == pytest.approx(0.0074747475**0.5, abs=1e-6)


def test_the_brier_score_of_two_scores_has_the_published_parts(tmp_path: Path) -> None:
    """CAL-02: 50 rows at .2, of which 10 happen, and 50 at .8, of which 30 do: .22 = .02 − .04 + .24."""
    y = [1] * 10 + [0] * 40 + [1] * 30 + [0] * 20
    found = Pick(set_scene(tmp_path, y=y, pred=[0] * 50 + [1] * 50, score=[0.2] * 50 + [0.8] * 50).measure("calibration.overall"))
    assert found.value("brier_score") == pytest.approx(0.22)
    (table,) = found("brier_reliability").evidence
    assert [row[1] for row in table.rows] == pytest.approx([0.02, -0.04, 0.24, 0, 0.22, 1 - 0.22 / 0.24], abs=1e-12)


def test_scores_that_are_too_sure_of_one_group_are_found_there(tmp_path: Path) -> None:
    found = Pick(two_groups(tmp_path, sharp=3.0).measure("calibration.groups"))
    f, m = (found("calibration_slope", sex=g).estimate for g in ("f", "m"))
    assert f.low < 1 / 3 < f.high < 0.8
    assert m.low < 1 < m.high
    assert found("temperature", sex="f").estimate.low > 1.5
    assert found("temperature_gain", sex="f").estimate.low > 0
    assert found("debiased_calibration_error", sex="f").test.p_value < 0.01
    assert found("debiased_calibration_error", sex="f").estimate.low > 0.03
    assert found("debiased_calibration_error", sex="m").test.p_value > 0.01


def test_the_curve_has_a_line_for_each_group_and_no_bin_below_the_limit(tmp_path: Path) -> None:
    scene = two_groups(tmp_path)
    first = scene.measure("calibration.groups")[0]
    (curve,) = first.evidence
    assert isinstance(curve, Curve)
    assert sorted(s.name for s in curve.series) == ["f", "m"]
    for series in curve.series:
        assert series.n is not None
        assert series.low is not None
        assert series.high is not None
        assert min(series.n) >= scene.plan.disclosure.min_group_size
        assert sum(series.n) == len(rows_of(scene, "y", series.name))
        assert all(a <= y <= b for a, y, b in zip(series.low, series.y, series.high, strict=True))
    curve, histogram = Pick(scene.measure("calibration.overall"))("calibration_in_the_large").evidence
    assert isinstance(histogram, Histogram)
    assert sum(histogram.series["*"]) == 3000


def test_several_classes_are_calibrated_by_predicted_class_and_one_by_one(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    n = 2000
    truth = rng.dirichlet([1, 1, 2], n)
    y = (rng.random(n)[:, None] > truth.cumsum(axis=1)).sum(axis=1).clip(0, 2)
    scores = truth**2 / (truth**2).sum(axis=1, keepdims=True)
    sex = rng.choice(["f", "m"], n)
    scene = set_scene(
        tmp_path, y=y, pred=scores.argmax(axis=1), score=scores, classes=["a", "b", "c"], positive=None, favourable=["a"], task="multiclass",
        groups={"sex": sex},
    )  # fmt: skip
    found = Pick(scene.measure("calibration.overall"))
    top, right = scores.max(axis=1), scores.argmax(axis=1) == y
    assert found.value("calibration_in_the_large") == pytest.approx(top.mean() - right.mean(), abs=1e-12)
    assert found.value("brier_score") == pytest.approx(((top - right) ** 2).mean(), abs=1e-12)
    for i, name in enumerate("abc"):
        own = {"(class)": name}
        assert found.value("calibration_in_the_large", **own) == pytest.approx(scores[:, i].mean() - (y == i).mean(), abs=1e-12)
        assert found.value("calibration_slope", **own) < 0.8
    assert found.value("temperature") == pytest.approx(2, abs=0.3)
    groups = Pick(scene.measure("calibration.groups"))
    for group in ("f", "m"):
        own = sex == group
        assert groups.value("calibration_in_the_large", sex=group) == pytest.approx(top[own].mean() - right[own].mean(), abs=1e-12)
        for i, name in enumerate("abc"):
            gap = groups(("calibration_in_the_large"), sex=group, **{"(class)": name}).estimate
            assert gap.value == pytest.approx(scores[own, i].mean() - (y[own] == i).mean(), abs=1e-12)
            assert gap.n == own.sum()
    assert f"is {found.value('calibration_slope'):.2f}"[:6] in render(scene.summary("calibration.overall")), "the slope can be what fails"
    # What decides is the predicted class's probability, overall and per group; single classes are reported.
    (question,) = [q for q in scene.document().questions if q.id == "calibration_large"]
    assert len(question.findings) == 3


def test_where_no_slope_can_be_fitted_the_summary_says_so(tmp_path: Path) -> None:
    y = np.array([0, 1] * 50)
    told = render(set_scene(tmp_path, y=y, pred=y, score=np.where(y, 0.9, 0.1)).summary("calibration.overall"))
    assert told.endswith("The outcomes are separated by the score, or do not vary: a slope cannot be fitted.")


def test_a_quantity_has_the_line_that_statsmodels_fits(tmp_path: Path) -> None:
    import statsmodels.api as sm

    rng = np.random.default_rng(6)
    n = 1500
    pred, sex = rng.normal(100, 20, n), rng.choice(["f", "m"], n)
    y = 100 + (pred - 100) * np.where(sex == "f", 0.5, 1.0) + rng.normal(0, 1 + np.abs(pred - 100) / 10)
    scene = set_scene(tmp_path, y=y, pred=pred, task="regression", favourable=["high"], groups={"sex": sex})
    found = Pick(scene.measure("calibration.groups"))
    for group in ("f", "m"):
        own = sex == group
        fit = sm.OLS(y[own], sm.add_constant(pred[own])).fit(cov_type="HC1", use_t=True)
        e = found("calibration_slope", sex=group).estimate
        level = e.level
        assert (e.value, e.low, e.high) == pytest.approx((fit.params[1], *fit.conf_int(1 - level)[1]), rel=1e-6)
        assert found.value("mean_error", sex=group) == pytest.approx((pred - y)[own].mean(), abs=1e-10)
    overall = scene.measure("calibration.overall")
    assert [m.metric for m in overall] == ["mean_error", "calibration_slope"]
    (curve,) = overall[0].evidence
    assert isinstance(curve, Curve)
    assert sum(curve.series[0].n or []) == n


def skill(y: Any, scores: Any, classes: int, own: Any) -> tuple[float, float]:
    """Brier and log loss skill of some rows, by their definitions."""
    hot, given = np.eye(classes)[y[own]], scores[own][np.arange(own.sum()), y[own]]
    share = hot.mean(axis=0)
    brier = 1 - ((scores[own] - hot) ** 2).sum(axis=1).mean() / ((share - hot) ** 2).sum(axis=1).mean()
    return brier, 1 - np.log(given).mean() / np.log(share[y[own]]).mean()


def test_a_group_is_held_against_its_own_base_rate(tmp_path: Path) -> None:
    scene = two_groups(tmp_path)
    y, p, sex = rows_of(scene, "y").astype(int), rows_of(scene, "score"), rows_of(scene, "g0")
    scores = np.stack([1 - p, p], axis=1)
    found = Pick(scene.measure("performance.baseline"))
    levels = scene.facts.groups[0].levels
    for own, slice_ in [(np.full(len(y), True), {}), *((sex == i, {"sex": g}) for i, g in enumerate(levels))]:
        expected = skill(y, scores, 2, own)
        assert (found.value("brier_skill", **slice_), found.value("log_loss_skill", **slice_)) == pytest.approx(expected, abs=1e-12)


def test_a_model_that_knows_only_the_group_has_skill_overall_and_none_within(tmp_path: Path) -> None:
    rng = np.random.default_rng(8)
    sex = rng.choice(["f", "m"], 4000)
    rate = np.where(sex == "f", 0.2, 0.7)
    scene = set_scene(tmp_path, y=(rng.random(4000) < rate).astype(int), pred=(rate > 0.5).astype(int), score=rate, groups={"sex": sex})
    found = Pick(scene.measure("performance.baseline"))
    assert found("brier_skill").estimate.low > 0.1
    for group in ("f", "m"):
        assert -0.01 < found.value("brier_skill", sex=group) <= 1e-12


def test_explained_variance_is_that_of_scikit_learn_for_everybody_and_each_group(tmp_path: Path) -> None:
    from sklearn.metrics import r2_score

    rng = np.random.default_rng(9)
    sex = rng.choice(["f", "m"], 900)
    y = rng.normal(50, 10, 900) + 20 * (sex == "f")
    pred = y + rng.normal(0, 6, 900)
    scene = set_scene(tmp_path, y=y, pred=pred, task="regression", favourable=["high"], groups={"sex": sex})
    found = Pick(scene.measure("performance.baseline"))
    assert found.value("r2") == pytest.approx(r2_score(y, pred), abs=1e-12)
    for group in ("f", "m"):
        assert found.value("r2", sex=group) == pytest.approx(r2_score(y[sex == group], pred[sex == group]), abs=1e-12)


def test_skill_intervals_of_a_quantity_cover(tmp_path: Path) -> None:
    from audit.stats.skill import explained

    rng = np.random.default_rng(10)
    hits = 0
    for _ in range(500):
        y = rng.normal(0, 2, 200)
        pred = 0.5 * y + rng.normal(0, 0.5, 200)  # R² = 1 − (0.25·4 + 0.25)/4
        (e,) = explained(lambda p=pred, y=y: iter([(np.zeros(200, np.int64), p, y)]), 1, level=0.9)
        assert e is not None
        hits += e.low <= 1 - 1.25 / 4 <= e.high
    assert 425 < hits < 475


def test_errors_of_groups_are_those_of_scikit_learn(tmp_path: Path) -> None:
    import sklearn.metrics as sm

    rng = np.random.default_rng(11)
    sex = rng.choice(["f", "m"], 1200, p=[0.4, 0.6])
    y = rng.normal(50, 10, 1200)
    pred = y + rng.normal(0, np.where(sex == "f", 6, 3))
    scene = set_scene(tmp_path, y=y, pred=pred, task="regression", favourable=["high"], groups={"sex": sex})
    overall, found = Pick(scene.measure("performance.overall")), Pick(scene.measure("performance.groups"))
    metrics = {"mean_absolute_error": sm.mean_absolute_error, "root_mean_squared_error": sm.root_mean_squared_error, "r2": sm.r2_score}
    for name, metric in metrics.items():
        assert overall.value(name) == pytest.approx(metric(y, pred), abs=1e-12)
        f, m = (metric(y[sex == g], pred[sex == g]) for g in ("f", "m"))
        assert (found.value(name, sex="f"), found.value(name, sex="m")) == pytest.approx((f, m), abs=1e-12)
        difference = found(name, "difference", sex="f")
        assert difference.estimate.value == pytest.approx(f - m, abs=1e-12)
        assert difference.test.p_value < 1e-6
        assert not difference.estimate.low <= 0 <= difference.estimate.high


def test_several_classes_have_the_scores_of_scikit_learn_in_each_group(tmp_path: Path) -> None:
    import sklearn.metrics as sm

    rng = np.random.default_rng(12)
    y, sex = rng.integers(0, 3, 900), rng.choice(["f", "m"], 900, p=[0.4, 0.6])
    pred = np.where(rng.random(900) < np.where(sex == "f", 0.5, 0.8), y, rng.integers(0, 3, 900))
    scene = set_scene(
        tmp_path, y=y, pred=pred, classes=["a", "b", "c"], positive=None, favourable=["a"], task="multiclass", groups={"sex": sex}
    )
    overall, found = Pick(scene.measure("performance.overall")), Pick(scene.measure("performance.groups"))
    for i, name in enumerate("abc"):
        own = {"(class)": name}
        assert overall.value("recall", **own) == pytest.approx(sm.recall_score(y, pred, average=None)[i], abs=1e-12)
        assert overall.value("precision", **own) == pytest.approx(sm.precision_score(y, pred, average=None)[i], abs=1e-12)
    assert overall.value("accuracy") == pytest.approx(sm.f1_score(y, pred, average="micro"), abs=1e-12)  # micro F1 is accuracy
    for group in ("f", "m"):
        rows = sex == group
        assert found.value("f1", sex=group) == pytest.approx(sm.f1_score(y[rows], pred[rows], average="macro"), abs=1e-12)
        assert found.value("balanced_accuracy", sex=group) == pytest.approx(sm.balanced_accuracy_score(y[rows], pred[rows]), abs=1e-12)
        each = sm.recall_score(y[rows], pred[rows], average=None)
        assert [found.value("recall", sex=group, **{"(class)": c}) for c in "abc"] == pytest.approx(list(each), abs=1e-12)
    assert found("recall", "difference", sex="f", **{"(class)": "a"}).test.p_value < 0.01


def opposite_errors(folder: Path, wrong: float, n: int = 6000, **more: Any) -> Scene:
    """Right on average for everybody: for f the event happens more often by `wrong`, for m, as many rows at the same scores, less often."""
    rng = np.random.default_rng(13)
    score = np.tile(rng.uniform(0.2, 0.8, n // 2), 2)
    sex = np.repeat(["f", "m"], n // 2)
    y = rng.random(n) < score + np.where(sex == "f", wrong, -wrong)
    return set_scene(
        folder,
        y=y.astype(int),
        pred=(score >= 0.5).astype(int),
        score=score,
        groups={"sex": sex, "region": rng.choice(["a", "b"], n)},
        **more,
    )


def test_scores_calibrated_overall_and_not_for_groups_fail(tmp_path: Path) -> None:
    scene = opposite_errors(tmp_path, 0.1)
    everybody = Pick(scene.measure("calibration.overall"))("calibration_in_the_large").estimate
    assert -0.05 < everybody.low < 0 < everybody.high < 0.05
    document = scene.document()
    (question,) = [q for q in document.questions if q.id == "calibration_large"]
    assert question.verdict == "fail"
    judged = {
        f.slice.get("sex", "*"): f.verdict
        for c in document.checks
        for f in c.findings
        if f.key in question.findings and "region" not in f.slice
    }
    assert judged == {"*": "pass", "f": "fail", "m": "fail"}
    same = opposite_errors(tmp_path, 0.0).document()
    assert [q.verdict for q in same.questions if q.id == "calibration_large"] == ["pass"]


def test_errors_of_groups_and_scores_are_looked_for_and_only_reported(tmp_path: Path) -> None:
    scene = opposite_errors(tmp_path, 0.1)
    found = {m.metric: m for m in scene.measure("calibration.multi")}
    accuracy, largest, cell = (found[name] for name in ("multiaccuracy_error", "multicalibration_error", "widest_cell_gap"))
    assert 0.05 < accuracy.estimate.low < accuracy.estimate.value < 0.1  # every row is wrong by .1, which h finds nearly all of
    assert accuracy.test.p_value < 1e-6
    assert largest.test.p_value < 0.01
    (table,) = largest.evidence
    cells, seen, chance = table.rows[0]
    assert cells == 10 * (2 + 2 + 4)
    assert largest.estimate.value == seen > chance
    assert largest.estimate.n == 6000
    # The widest cell by hand: rows of its groups whose score lies in its tenth.
    scores, y = rows_of(scene, "score"), rows_of(scene, "y")
    edges = [np.sort(scores)[6000 * t // 10 - 1] for t in range(1, 10)]
    own = np.full(6000, True)
    for place, group in enumerate(scene.facts.groups):
        if group.name in cell.slice:
            own &= rows_of(scene, f"g{place}") == group.levels.index(cell.slice[group.name])
    tenths = [own & (np.searchsorted(edges, scores) == t) for t in range(10)]
    gaps = [(scores - y)[t].mean() for t in tenths]
    widest = int(np.argmax(np.abs(gaps)))
    assert cell.estimate.value == pytest.approx(gaps[widest], abs=1e-12)
    assert cell.slice["(score)"] == f"{edges[widest - 1] if widest else 0:.2f}–{edges[widest] if widest < 9 else 1:.2f}"
    assert [(p.k, p.n) for p in cell.parts] == [(y[tenths[widest]].sum(), tenths[widest].sum())]
    assert cell.estimate.value * (1 if cell.slice.get("sex") == "m" else -1) > 0.1
    assert {f.verdict for c in scene.document().checks if c.info.id == "calibration.multi" for f in c.findings} == {"not_judged"}


def test_cells_of_few_rows_are_left_out_and_unknown_membership_is_no_group(tmp_path: Path) -> None:
    from audit import plan as plans

    plan = plans.load(None)
    strict = plan.model_copy(update={"disclosure": plan.disclosure.model_copy(update={"min_group_size": 400})})
    assert Pick(opposite_errors(tmp_path, 0.1).measure("calibration.multi"))("multicalibration_error").evidence[0].rows[0][0] == 80
    # Only cells of one column have some 300 rows, those of the intersection 150: with a higher limit there is none.
    assert (
        Pick(opposite_errors(tmp_path, 0.1).measure("calibration.multi", rows=200))("multicalibration_error").evidence[0].rows[0][0] == 40
    )
    scene = opposite_errors(tmp_path, 0.1, plan=strict)
    (accuracy, none) = scene.measure("calibration.multi")
    assert accuracy.estimate is not None
    assert (none.metric, none.estimate) == ("multicalibration_error", None)
    assert "400" in render(scene.summary("calibration.multi"))
    rng = np.random.default_rng(14)
    score, sex = rng.uniform(0.2, 0.8, 4000), np.where(rng.random(4000) < 0.5, None, "f")
    y = rng.random(4000) < np.where(sex == "f", score, 0.0)
    unknown = set_scene(tmp_path, y=y.astype(int), pred=np.zeros(4000, int), score=score, groups={"sex": sex})
    found = {m.metric: m for m in unknown.measure("calibration.multi")}
    assert found["multicalibration_error"].evidence[0].rows[0][0] == 10
    assert found["widest_cell_gap"].slice["sex"] == "f"
    assert found["multicalibration_error"].test.p_value > 0.01


def test_the_predicted_class_of_several_is_looked_at(tmp_path: Path) -> None:
    rng = np.random.default_rng(15)
    n = 5000
    truth, sex = rng.dirichlet([1, 1, 2], n), rng.choice(["f", "m"], n)
    y = (rng.random(n)[:, None] > truth.cumsum(axis=1)).sum(axis=1).clip(0, 2)
    y = np.where((sex == "f") & (rng.random(n) < 0.3), (y + 1) % 3, y)
    more: dict[str, Any] = {"classes": ["a", "b", "c"], "positive": None, "favourable": ["a"], "task": "multiclass", "groups": {"sex": sex}}
    found = {m.metric: m for m in set_scene(tmp_path, y=y, pred=truth.argmax(axis=1), score=truth, **more).measure("calibration.multi")}
    assert found["multiaccuracy_error"].estimate.low > 0.05
    assert found["widest_cell_gap"].slice["sex"] == "f"
    assert found["widest_cell_gap"].estimate.low > 0.05
    assert found["multicalibration_error"].test.p_value < 0.01


def test_a_cell_with_two_events_is_withheld_in_the_public_edition(tmp_path: Path) -> None:
    from reports.disclose import public

    score = np.concatenate([np.full(150, 0.6), np.full(850, 0.1)])
    y = np.concatenate([np.repeat([1, 0], [2, 148]), np.repeat([1, 0], [85, 765])])
    scene = set_scene(tmp_path, y=y, pred=np.zeros(1000, int), score=score, groups={"sex": ["f"] * 1000})
    document = scene.document()
    cells = [[f for c in d.checks for f in c.findings if f.metric == "widest_cell_gap"] for d in (document, public(document))]
    assert [(p.k, p.n) for p in cells[0][0].parts] == [(2, 150)]
    assert (cells[1][0].estimate, cells[1][0].parts) == (None, [])
    (said,) = [c.summary for c in public(document).checks if c.info.id == "calibration.multi"]
    assert "150" not in said
