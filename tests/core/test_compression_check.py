"""Harm of making a model smaller: McNemar's golden, a slow twin, a group that pays is found and equal groups are not blamed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scene import Pick, Scene, set_scene

from audit.bases import find_base, scored_table
from audit.judge import judge_reported
from audit.stats.paired import Pair, mcnemar


def test_the_published_p_of_ten_against_two() -> None:
    p, method = mcnemar(Pair(both=50, new=2, old=10, neither=38))
    assert p == pytest.approx(0.03857, abs=5e-6)
    assert method == "mcnemar_exact"


def versions(folder: Path, harm: float, n: int = 6000, seed: int = 1, everybody: float = 0.02) -> Scene:
    """The smaller model errs as the base does, and besides in a share `everybody` of all rows and `harm` of those of f."""
    rng = np.random.default_rng(seed)
    y, sex = rng.integers(0, 2, n), np.where(rng.random(n) < 0.2, "f", "m")
    base = np.where(rng.random(n) < 0.1, 1 - y, y)
    lost = (rng.random(n) < everybody) | ((sex == "f") & (rng.random(n) < harm))
    return set_scene(folder, y=y, base=base, pred=np.where(lost, 1 - base, base), groups={"sex": sex})


def judged(scene: Scene) -> dict[str, str]:
    found = judge_reported("efficiency.compression", scene.measure("efficiency.compression"), scene.plan, judgeable=True)
    return {f.slice["sex"]: f.verdict for f in found if f.metric == "excess_accuracy_drop"}


def test_figures_are_those_of_a_slow_twin(tmp_path: Path) -> None:
    scene = versions(tmp_path, 0.1)
    found, context = Pick(scene.measure("efficiency.compression")), scene.context("efficiency.compression")
    y, new = context.scored.y, context.scored.pred
    sha = scene.facts.sha256
    path = scored_table(scene.folder, sha, "m-base")
    assert path is not None
    old = context.scored.__class__(path, scene.settled).pred
    sex = np.array(scene.facts.groups[0].levels)[context.scored.group(0)]
    change = (new == y).astype(int) - (old == y)
    assert found.value("accuracy_change") == pytest.approx(change.mean())
    for group in ("f", "m"):
        assert found.value("accuracy_change", sex=group) == pytest.approx(change[sex == group].mean())
        assert found.value("excess_accuracy_drop", sex=group) == pytest.approx(change.mean() - change[sex == group].mean())
        own = (sex == group) & (y == 1)
        assert found.value("true_positive_rate_change", sex=group) == pytest.approx(new[own].mean() - old[own].mean())


def test_the_group_that_pays_is_found_and_named(tmp_path: Path) -> None:
    scene = versions(tmp_path, 0.15)
    found = Pick(scene.measure("efficiency.compression"))
    assert found("accuracy_change", sex="f").test.adjusted_p_value < 1e-6
    assert found("accuracy_change", sex="f").test.tests_in_family == 2
    assert found("excess_accuracy_drop", sex="f").estimate.low > 0.01
    assert judged(scene) == {"f": "fail", "m": "pass"}
    assert scene.summary("efficiency.compression").values["excess"] > 0.05
    assert not any(m.repeatable for m in found.found)  # it rests on what another audit left in the cache


def test_equal_losses_are_no_harm_to_one_group(tmp_path: Path) -> None:
    assert judged(versions(tmp_path, 0.0, n=60_000)) == {"f": "pass", "m": "pass"}
    false = sum("fail" in judged(versions(tmp_path, 0.0, n=1000, seed=seed)).values() for seed in range(10))
    assert false <= 1


def test_two_models_that_decide_alike_leave_open_what_others_could_show(tmp_path: Path) -> None:
    found = Pick(versions(tmp_path, 0.0, n=400, everybody=0.0).measure("efficiency.compression"))
    e = found("accuracy_change").estimate
    assert (e.value, found("accuracy_change").test.p_value) == (0.0, 1.0)
    assert e.low < 0 < e.high
    assert found("excess_accuracy_drop", sex="f").estimate.high > 0.01


def test_what_is_missing_is_said(tmp_path: Path) -> None:
    scene = set_scene(tmp_path, y=[0, 1] * 100, pred=[0, 1] * 100, groups={"sex": ["f", "m"] * 100})
    assert "made smaller" in str(scene.missing("efficiency.compression"))
    scene = versions(tmp_path, 0.0, n=200)
    assert scene.missing("efficiency.compression") is None
    path = scored_table(scene.folder, scene.facts.sha256, "m-base")
    assert path is not None
    assert scored_table(scene.folder, scene.facts.sha256, "m-another") is None
    assert scored_table(scene.folder, "0" * 64, "m-base") is None
    path.unlink()
    assert scene.measure("efficiency.compression") == []
    assert "was not audited on these rows" in scene.summary("efficiency.compression").id


@pytest.mark.parametrize(
    ("metadata", "expected"),
    [
        ({}, None),
        ({"variant": "int8"}, None),
        ({"variant": {"mitigated_from": "models:/m/1"}}, None),
        ({"variant": {"compressed_from": 3}}, None),
        ({"variant": {"compressed_from": "models:/m/1", "method": ["x"], "base_model_id": 4}}, ("models:/m/1", None, "compressed")),
        ({"variant": {"compressed_from": "models:/m/1", "method": "int8", "base_model_id": "m-1"}}, ("models:/m/1", "m-1", "int8")),
    ],
)  # fmt: skip
def test_what_a_model_says_of_its_base(metadata: dict[str, Any], expected: tuple[str, str | None, str] | None) -> None:
    base = find_base(metadata)
    assert (base and (base.uri, base.model_id, base.method)) == expected
