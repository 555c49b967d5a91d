"""Conformal sets and abstention: values of slow twins, a planted shortfall is found and equal groups are not blamed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scene import Pick, Scene, set_scene

from audit.judge import judge_reported
from audit.measurement import Curve
from audit.scored import halves
from audit.stats.selective import oracle_area


def rows(n: int, *, wild: bool, seed: int = 1) -> dict[str, Any]:
    """Probabilities that hold for m; where `wild`, those of f are reversed."""
    rng = np.random.default_rng(seed)
    p, sex = rng.random(n), np.where(rng.random(n) < 0.3, "f", "m")
    truth = np.where((sex == "f") & wild, 1 - p, p)
    return {"y": (rng.random(n) < truth).astype(int), "pred": (p >= 0.5).astype(int), "score": p, "groups": {"sex": sex}}


def test_sets_are_those_of_a_slow_twin(tmp_path: Path) -> None:
    given = rows(1001, wild=False)
    scene = set_scene(tmp_path, **given)
    found = Pick(scene.measure("uncertainty.conformal"))
    y, p, sex = given["y"], given["score"], given["groups"]["sex"]
    second = halves(np.arange(1001), scene.seed) == 1
    own = np.sort(np.where(y == 1, 1 - p, p)[~second])
    cut = own[int(np.ceil((len(own) + 1) * 0.9)) - 1]
    sets = np.stack([p <= cut, 1 - p <= cut], axis=1)[second]
    for group, inside in ((None, np.ones(second.sum(), bool)), ("f", sex[second] == "f"), ("m", sex[second] == "m")):
        at = {} if group is None else {"sex": group}
        assert found.value("conformal_coverage", **at) == pytest.approx(sets[np.arange(len(sets)), y[second]][inside].mean())
        assert found.value("set_size", **at) == pytest.approx(sets.sum(axis=1)[inside].mean())
        assert found.value("singleton_rate", **at) == pytest.approx((sets.sum(axis=1) == 1)[inside].mean())
    assert found.value("empty_set_rate") == pytest.approx((sets.sum(axis=1) == 0).mean())


def verdicts(scene: Scene) -> dict[str, str]:
    judged = judge_reported("uncertainty.conformal", scene.measure("uncertainty.conformal"), scene.plan, judgeable=True)
    return {f.slice["sex"]: f.verdict for f in judged if f.metric == "conformal_coverage" and f.slice}


def test_a_group_that_the_promise_does_not_hold_for_is_found(tmp_path: Path) -> None:
    scene = set_scene(tmp_path, **rows(4000, wild=True))
    found = Pick(scene.measure("uncertainty.conformal"))
    assert found("conformal_coverage", sex="f").test.adjusted_p_value < 1e-6
    assert found("conformal_coverage", sex="m").test.adjusted_p_value == 1
    assert found("conformal_coverage").test.p_value > 0.01  # overall the promise is kept all the same
    assert verdicts(scene) == {"f": "fail", "m": "pass"}


def test_equal_groups_are_not_blamed(tmp_path: Path) -> None:
    blamed = 0
    for seed in range(12):
        found = Pick(set_scene(tmp_path, **rows(600, wild=False, seed=seed)).measure("uncertainty.conformal"))
        blamed += min(found("conformal_coverage", sex=g).test.adjusted_p_value for g in ("f", "m")) <= 0.05
    assert blamed <= 2


def test_a_quantity_has_intervals_of_one_width(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    sex = np.where(rng.random(2000) < 0.5, "f", "m")
    y = rng.normal(0, np.where(sex == "f", 3.0, 1.0))
    found = Pick(set_scene(tmp_path, task="regression", y=y, pred=np.zeros(2000), groups={"sex": sex}).measure("uncertainty.conformal"))
    assert found.value("conformal_coverage", sex="f") < 0.85 < 0.95 < found.value("conformal_coverage", sex="m")
    assert found.value("interval_width") == pytest.approx(2 * 3.9, rel=0.1)  # 90 % of both together
    assert found("conformal_coverage", sex="f").test.adjusted_p_value < 0.001


def test_small_groups_and_few_rows_say_so(tmp_path: Path) -> None:
    given = rows(300, wild=False)
    sex = np.array(["m"] * 280 + ["f"] * 20)
    found = Pick(set_scene(tmp_path, **given | {"groups": {"sex": sex}}).measure("uncertainty.conformal"))
    assert found("conformal_coverage", sex="f").estimate is None
    scene = set_scene(tmp_path, **{k: v[:12] for k, v in given.items() if k != "groups"})
    assert scene.measure("uncertainty.conformal") == []
    assert "too few" in scene.summary("uncertainty.conformal").id


def test_abstention_is_that_of_a_slow_twin(tmp_path: Path) -> None:
    given = rows(700, wild=True)
    found = Pick(set_scene(tmp_path, **given).measure("uncertainty.abstention"))
    wrong, sure, sex = given["y"] != given["pred"], np.abs(given["score"] - 0.5), given["groups"]["sex"]
    order = np.argsort(-sure)
    area = float(np.mean(np.cumsum(wrong[order]) / np.arange(1, 701)))
    assert found.value("aurc") == pytest.approx(area, abs=1e-12)
    assert found.value("aurc_excess") == pytest.approx(area - oracle_area(int(wrong.sum()), 700), abs=1e-12)
    for share in (90, 80):
        kept = np.isin(np.arange(700), order[: 7 * share])
        assert found.value(f"selective_accuracy_{share}") == pytest.approx(1 - wrong[kept].mean())
        for group in ("f", "m"):
            own = sex == group
            assert found.value(f"decided_share_{share}", sex=group) == pytest.approx(kept[own].mean())
            assert found.value(f"selective_accuracy_{share}", sex=group) == pytest.approx(1 - wrong[own & kept].mean())
    assert found.value("selective_accuracy_80", sex="f") < 0.5 < found.value("selective_accuracy_80", sex="m")


def test_a_cutoff_moves_where_the_model_is_unsure(tmp_path: Path) -> None:
    """At a cutoff of .2 the rows beside it are the unsure ones: of .1 and .6 both are half of their way to certainty."""
    score = np.array([0.1, 0.19, 0.21, 0.6, 0.99] * 20)
    given = {"y": (score > 0.5).astype(int), "pred": (score >= 0.2).astype(int), "score": score, "decision": "score>=0.2"}
    found = Pick(set_scene(tmp_path, **given).measure("uncertainty.abstention"))
    assert found.value("aurc") > 0
    assert found.value("selective_accuracy_80") == 1.0  # .21 alone is wrong, and among the least sure
    (curve,) = found("aurc").evidence
    assert isinstance(curve, Curve)
    assert curve.series[0].x[-1] == 1.0
    assert curve.series[0].y[-1] == pytest.approx(0.2)


def test_the_bounded_error_share_is_none_where_nothing_is_sure(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    given = {"y": rng.integers(0, 2, 400), "pred": rng.integers(0, 2, 400), "score": rng.random(400)}
    found = Pick(set_scene(tmp_path, **given).measure("uncertainty.abstention"))
    assert found("bounded_error_share").estimate is None
    sure = np.array([0.01, 0.99] * 200)
    right = {"y": (sure > 0.5).astype(int), "pred": (sure > 0.5).astype(int), "score": sure}
    found = Pick(set_scene(tmp_path, **right).measure("uncertainty.abstention"))
    assert found.value("bounded_error_share") == 1.0
    assert found("aurc").estimate is None
