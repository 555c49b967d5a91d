"""The worst slices: a small one with twice the errors is found, chance alone seldom is, and the figures are of rows that chose nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from scene import Scene, set_scene

from audit import mistakes
from audit import plan as plans
from audit.checks.performance.slices import _affordable
from audit.errors import AuditError
from audit.measurement import Measurement
from audit.plan import CheckPlan, CriterionRule
from audit.recorded import Recorded
from audit.scored import halves
from audit.slicing import every_column
from audit.stats.multiplicity import holm
from audit.text import render

CHECK = "performance.slices"
REST = {"(rows)": "(rest)"}


def planted(folder: Path, n: int = 20_000, *, seed: int = 0, rate: float = 0.3, task: str = "binary", **more: Any) -> Scene:
    """A fifth of the ages and a tenth of the shops are one row in fifty: the model is wrong there at `rate`, elsewhere at .15."""
    rng = np.random.default_rng(seed)
    age, shop = rng.normal(40, 10, n), rng.integers(0, 10, n)
    bad = (age > np.quantile(age, 0.8)) & (shop == 3)
    inputs = {"age": age, "shop": shop.astype(float), "noise": rng.normal(0, 1, n)}
    groups = {"sex": rng.choice(["f", "m"], n)}
    wrong = rng.random(n) < np.where(bad, rate, 0.15)
    if task == "regression":
        y = rng.normal(0, 1, n)
        return set_scene(folder, y=y, pred=y + rng.normal(0, 1, n) * np.where(bad, 2, 1), task=task, features=inputs, groups=groups, **more)
    y = rng.integers(0, 2, n)
    score = np.where(y == 1, 0.98, 0.02)
    score = np.where(wrong, 1 - score, score)
    return set_scene(folder, y=y, pred=np.where(wrong, 1 - y, y), score=score, features=inputs, groups=groups, **more)


def is_planted(m: Measurement) -> bool:
    """The slice itself, or one sex of it where that ranks higher by chance."""
    return m.slice.get("shop") == "3" and m.slice.get("age", "").endswith("]") and m.slice.keys() <= {"age", "shop", "sex"}


def adjusted(m: Measurement) -> float:
    assert m.test is not None
    assert m.test.adjusted_p_value is not None
    return m.test.adjusted_p_value


@pytest.mark.parametrize(("task", "metric"), [("binary", "zero_one_loss"), ("regression", "mean_squared_error")])
def test_a_slice_of_two_percent_with_twice_the_errors_is_found(tmp_path: Path, task: str, metric: str) -> None:
    scene = planted(tmp_path, task=task)
    first = scene.measure(CHECK)[0]
    assert is_planted(first)
    assert (first.metric, first.compare, first.against) == (metric, "difference", REST)
    assert adjusted(first) < 0.01
    assert first.estimate is not None
    assert first.estimate.low < (0.15 if task == "binary" else 3) < first.estimate.high
    text = render(scene.summary(CHECK))
    assert "a higher error is established" in text
    assert "shop = 3" in text


def test_the_log_loss_finds_it_too_and_is_named(tmp_path: Path) -> None:
    scene = planted(tmp_path)
    first = scene.measure(CHECK, error="log_loss")[0]
    assert is_planted(first)
    assert first.metric == "log_loss"
    assert first.estimate is not None
    assert first.estimate.method == "welch"
    assert "log loss" in render(scene.summary(CHECK, error="log_loss"))


def test_slicelines_usual_weight_does_not_find_it(tmp_path: Path) -> None:
    assert not [m for m in planted(tmp_path).measure(CHECK, alpha=0.95) if is_planted(m)]


def test_chance_alone_is_established_in_about_five_percent_of_audits_at_most(tmp_path: Path) -> None:
    """25 audits with nothing to be found; 5 or more alarms would have probability .007 at a rate of .05."""
    alarms = 0
    for seed in range(25):
        alarms += any(adjusted(m) <= 0.05 for m in planted(tmp_path, 2000, seed=seed, rate=0.15).measure(CHECK))
    assert alarms <= 4


def test_ten_equal_groups_are_no_slice(tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    y = rng.integers(0, 2, 5000)
    scene = set_scene(tmp_path, y=y, pred=np.where(rng.random(5000) < 0.2, 1 - y, y), groups={"group": [str(i % 10) for i in range(5000)]})
    assert all(adjusted(m) > 0.05 for m in scene.measure(CHECK))
    assert "none" in render(scene.summary(CHECK))


def test_a_finding_is_of_the_second_half_and_against_all_other_rows(tmp_path: Path) -> None:
    scene = planted(tmp_path)
    first = scene.measure(CHECK)[0]
    scored, second = scene.context(CHECK).scored, halves(np.arange(20_000), scene.seed) == 1
    rng = np.random.default_rng(0)
    age, shop = rng.normal(40, 10, 20_000), rng.integers(0, 10, 20_000)
    inside = (age >= np.quantile(age, 0.8, method="inverted_cdf")) & (shop == 3)
    wrong = scored.y != scored.pred
    counts = [(p.slice, p.k, p.n) for p in first.parts]
    assert counts == [
        (first.slice, int((wrong & inside & second).sum()), int((inside & second).sum())),
        (REST, int((wrong & ~inside & second).sum()), int((~inside & second).sum())),
    ]


def test_all_tests_are_adjusted_together_and_all_stand_in_the_table(tmp_path: Path) -> None:
    found = planted(tmp_path).measure(CHECK, most=3)
    assert len(found) == 3
    assert [adjusted(m) for m in found] == pytest.approx(holm([m.test.p_value for m in found if m.test]).tolist())
    assert {m.test.tests_in_family for m in found if m.test} == {3}
    table = found[0].evidence[0]
    assert table.kind == "table"
    assert [row[-1] for row in table.rows] == [adjusted(m) for m in found]


def test_rows_of_one_cluster_are_no_independent_evidence(tmp_path: Path) -> None:
    """Every row twenty times: taken for independent the noise is established; as clusters, not."""
    rng = np.random.default_rng(2)
    y, group = rng.integers(0, 2, 300), rng.choice(["a", "b", "c", "d"], 300)
    pred = np.where(rng.random(300) < 0.3, 1 - y, y)
    many = {k: np.repeat(v, 20) for k, v in {"y": y, "pred": pred}.items()}
    groups, cluster = {"g": np.repeat(group, 20)}, np.repeat(np.arange(300), 20)
    x = {"x": np.zeros(6000)}
    alone = set_scene(tmp_path, **many, groups=groups, features=x).measure(CHECK)
    together = set_scene(tmp_path, **many, groups=groups, features=x, cluster=cluster).measure(CHECK)
    assert min(map(adjusted, alone)) < 0.05
    assert together
    assert min(map(adjusted, together)) > 0.05
    assert {m.estimate.method for m in together if m.estimate} == {"sandwich_clusters"}


def test_two_names_of_the_same_rows_are_one_slice(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    y, level = rng.integers(0, 2, 4000), rng.integers(0, 6, 4000)
    pred = np.where(rng.random(4000) < np.where(level == 2, 0.4, 0.1), 1 - y, y)
    groups = {"name": np.array(["a", "b", "c", "d", "e", "f"])[level]}
    found = set_scene(tmp_path, y=y, pred=pred, features={"code": level.astype(float)}, groups=groups).measure(CHECK)
    about = [m.slice for m in found if m.slice.get("code") == "2" or m.slice.get("name") == "c"]
    assert len(about) == 1


def test_columns_of_the_plan_stand_in_the_place_of_all(tmp_path: Path) -> None:
    found = planted(tmp_path).measure(CHECK, columns=["shop"])
    assert {name for m in found for name in m.slice} <= {"shop", "sex"}


def test_a_column_of_many_values_is_divided_by_its_frequent_ones(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    n = 3000
    town = np.where(rng.random(n) < 0.5, "big", np.char.add("t", np.arange(n).astype(str)))
    y = rng.integers(0, 2, n)
    pred = np.where(rng.random(n) < np.where(town == "big", 0.4, 0.1), 1 - y, y)
    scene = set_scene(tmp_path, y=y, pred=pred, features={"x": np.arange(n) % 2 * (np.arange(n) < 30)})
    path = scene.facts.files[0]
    pq.write_table(pq.read_table(path).append_column("town", pa.array(town)), path)
    spec = scene.facts.features[0].model_copy(update={"name": "town", "kind": "category", "read": "text"})
    scene.facts = scene.facts.model_copy(
        update={"features": [*scene.facts.features, spec], "types": {**scene.facts.types, "town": "VARCHAR"}}
    )
    (town_column,) = [a for a in every_column(scene.context(CHECK), 50) if a.name == "town"]
    assert town_column.levels == ["big"]
    found = scene.measure(CHECK)
    assert found[0].slice["town"] == "big"
    assert adjusted(found[0]) < 0.001


def test_of_more_rows_than_memory_holds_some_are_drawn_and_it_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mistakes, "HELD", 5000 * (4 + 25))
    scene = planted(tmp_path)
    said = render(scene.summary(CHECK))
    assert said.startswith("Of 20,000 rows 5,000 were drawn at random")


def test_many_columns_are_searched_less_deeply() -> None:
    assert _affordable(15, 500_000, 3) == 3
    assert _affordable(60, 500_000, 3) == 2
    assert _affordable(5000, 500_000, 3) == 1
    assert _affordable(15, 500_000, 2) == 2


def test_an_error_that_the_task_does_not_have_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AuditError, match="squared"):
        planted(tmp_path, 500).measure(CHECK, error="squared")


def test_a_limit_in_the_plan_is_judged_and_never_decides(tmp_path: Path) -> None:
    rule = CriterionRule(metric="zero_one_loss", compare="difference", max=0.05, role="warns", source="a test")
    plan = plans.load(None)
    plan = plan.model_copy(update={"checks": plan.checks | {CHECK: CheckPlan(criteria=[rule])}})
    document = planted(tmp_path, rate=0.45, plan=plan).document()
    (check,) = [c for c in document.checks if c.info.id == CHECK]
    assert check.findings[0].verdict == "fail"
    assert check.findings[0].key not in {key for q in document.questions for key in q.findings}


@pytest.mark.parametrize(("rate", "warned"), [(0.45, True), (0.15, False)])
def test_the_built_in_plan_warns_of_a_slice_with_plainly_more_errors(tmp_path: Path, rate: float, warned: bool) -> None:
    """30 points more in one row of fifty; and where nothing is planted, what the search brings up is no warning."""
    document = planted(tmp_path, rate=rate).document()
    (check,) = [c for c in document.checks if c.info.id == CHECK]
    judged = [f for f in check.findings if f.criterion is not None]
    assert judged
    assert {f.criterion.role for f in judged if f.criterion} == {"warns"}
    assert any(f.verdict == "fail" for f in judged) == warned
    assert not {f.key for f in judged} & {key for q in document.questions for key in q.findings}


def test_slices_of_recorded_predictions_are_judged_only_by_columns_that_somebody_named(tmp_path: Path) -> None:
    """A column that follows the outcome divides the rows by it: that fails no model."""
    scene = planted(tmp_path, rate=0.9)
    scene.facts = scene.facts.model_copy(update={"recorded": Recorded(prediction="pred", scores=[])})
    judged = {name: scene.measure(CHECK, **given) for name, given in {"all": {}, "named": {"columns": ["age", "shop"]}}.items()}
    assert all("not judged until the plan names columns" in (m.reason or "") for m in judged["all"] if m.estimate)
    assert [m for m in judged["named"] if m.estimate and not m.reason]
