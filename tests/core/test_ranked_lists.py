"""Rankings whose unfairness is planted: exposure of what is ranked, and how well each group of users is served."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scene import Pick, Scene, set_scene

from audit.errors import AuditError
from audit.registry import checks, refuse_columns
from audit.stats.lists import places
from audit.text import render


def recommender(folder: Path, *, noise_f: float = 0.05, lift: float = 0.0, users: int = 160, each: int = 25) -> Scene:
    """Users with lists of films; what women get is in a worse order by `noise_f`, and films of the kind "new" are scored `lift` too low."""
    rng = np.random.default_rng(5)
    user = np.repeat(np.arange(users), each)
    sex = np.where(np.arange(users) % 3 == 0, "f", "m")[user]
    kind = rng.choice(["old", "new"], len(user), p=[0.6, 0.4])
    p = rng.random(len(user))
    y = (rng.random(len(user)) < p).astype(int)
    score = p + np.where(sex == "f", noise_f, 0.05) * rng.standard_normal(len(user)) - lift * (kind == "new")
    score = np.clip((score + 2) / 5, 0, 1)
    return set_scene(
        folder, pred=(score >= 0.5).astype(int), y=y, score=score, groups={"sex": sex}, favourable=[], features={"user": user.astype(str), "kind": kind},
    )  # fmt: skip


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> tuple[Scene, Pick, str]:
    scene = recommender(tmp_path_factory.mktemp("served"), noise_f=1.0)
    return scene, Pick(scene.measure("fairness.ranking", by=["user"], at=5)), render(scene.summary("fairness.ranking", by=["user"], at=5))


def test_users_whose_lists_are_in_a_worse_order_are_found(served: tuple[Scene, Pick, str]) -> None:
    _, pick, said = served
    worse = pick("ndcg_gain", "difference", sex="f")
    assert worse.against == {"sex": "m"}
    assert worse.estimate.high < -0.05
    assert worse.test.p_value < 1e-4
    assert pick("recall_at_k", "difference", sex="f").estimate.high < 0
    assert "lowest for f (sex)" in said


def test_figures_of_a_user_are_counted_again_by_hand(served: tuple[Scene, Pick, str]) -> None:
    scene, pick, _ = served
    scored = scene.context("fairness.ranking").scored
    y, score, pred = scored.y.reshape(160, 25), scored.score.reshape(160, 25), scored.pred.reshape(160, 25)
    recall = [y[u][np.argsort(-score[u])[:5]].sum() / y[u].sum() for u in range(160)]
    assert pick.value("recall_at_k") == pytest.approx(np.mean(recall))
    women = [u for u in range(160) if u % 3 == 0]
    assert pick.value("recall_at_k", sex="f") == pytest.approx(np.mean([recall[u] for u in women]))
    assert pick.value("user_error", sex="f") == pytest.approx((pred != y)[women].mean())
    (table,) = pick("ndcg_at_k").evidence
    assert [row[1] for row in table.rows] == [160, 106, 54]
    assert table.rows[0][5] == pytest.approx(5 / 25)


def test_equal_service_is_no_difference(tmp_path: Path) -> None:
    pick = Pick(recommender(tmp_path).measure("fairness.ranking", by=["user"], at=5))
    e = pick("ndcg_gain", "difference", sex="f").estimate
    assert e.low < 0 < e.high


@pytest.mark.parametrize(("lift", "below"), [(0.0, False), (0.3, True)])
def test_items_that_are_scored_down_lose_exposure_among_wanted_ones_too(tmp_path: Path, lift: float, below: bool) -> None:
    params: dict[str, Any] = {"by": ["user"], "groups": ["kind"], "at": 5}
    scene = recommender(tmp_path, lift=lift)
    pick, said = Pick(scene.measure("fairness.exposure", **params)), render(scene.summary("fairness.exposure", **params))
    for metric in ("exposure", "exposure_of_events"):
        e = pick(metric, "ratio", kind="new").estimate
        assert (e.high < 0.8) == below
        assert (e.low < 1 < e.high) != below
    assert "new (kind): rows get" in said
    assert "in 160 lists" in said


def test_exposure_is_the_mean_weight_of_the_rows(tmp_path: Path) -> None:
    scene = recommender(tmp_path)
    pick = Pick(scene.measure("fairness.exposure", by=["user"], groups=["kind"], at=5))
    scored = scene.context("fairness.exposure").scored
    weight = places(np.repeat(np.arange(160), 25), scored.score, at=5).weight
    kind = np.array(scene.facts.dataset().ask({"k": "kind"})).ravel()
    for value in ("old", "new"):
        assert pick.value("exposure", kind=value) == pytest.approx(weight[kind == value].mean())
    assert pick.value("exposure", "ratio", kind="new") == pytest.approx(weight[kind == "new"].mean() / weight[kind == "old"].mean())


def test_what_training_logged_of_its_lists_is_taken(tmp_path: Path) -> None:
    scene = recommender(tmp_path)
    named = Pick(scene.measure("fairness.exposure", by=["user"], groups=["kind"], at=5))
    logged = scene.facts.roles.model_copy(update={"ranking": {"user": "user", "item": "film", "at": 5, "groups": ["kind", "gone"]}})
    scene.facts = scene.facts.model_copy(update={"roles": logged})
    assert scene.missing("fairness.exposure") is None
    assert scene.measure("fairness.exposure") == list(named.found)


def candidates(folder: Path, gap: float, decision: str = "top=20%") -> Scene:
    rng = np.random.default_rng(2)
    sex = rng.choice(["f", "m"], 1000, p=[0.3, 0.7])
    score = np.clip(0.5 + 0.12 * rng.standard_normal(1000) - gap * (sex == "f"), 0, 1)
    return set_scene(
        folder, pred=(score > 0.6).astype(int), y=rng.integers(0, 2, 1000), score=score, groups={"sex": sex}, decision=decision
    )


def test_a_quota_over_all_rows_is_one_ranking(tmp_path: Path) -> None:
    scene = candidates(tmp_path, 0.1)
    assert scene.missing("fairness.exposure") is None
    pick, said = Pick(scene.measure("fairness.exposure")), render(scene.summary("fairness.exposure"))
    assert pick("exposure", "ratio", sex="f").estimate.high < 0.8
    assert "its first 200 places count" in said
    even = Pick(candidates(tmp_path, 0.0).measure("fairness.exposure"))("exposure", "ratio", sex="f").estimate
    assert even.low < 1 < even.high


def test_a_group_that_is_hardly_seen_gets_no_interval_that_would_look_sure(tmp_path: Path) -> None:
    scene = candidates(tmp_path, 0.6, "top=50")
    pick = Pick(scene.measure("fairness.exposure"))
    assert render(scene.summary("fairness.exposure")).endswith("Seen too seldom for an interval: f (sex).")
    ratio = pick("exposure", "ratio", sex="f")
    assert ratio.estimate is None
    assert "too few for an interval" in ratio.reason


def test_equal_rankings_hold_1_as_often_as_promised(tmp_path: Path) -> None:
    """95 % intervals over 60 rankings of lists that know no groups: at most 8 miss (chance of more: 0.7 %)."""
    missed = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        user, kind = np.repeat(np.arange(60), 10), rng.choice(["a", "b"], 600)
        made = set_scene(tmp_path, pred=np.zeros(600, int), score=rng.random(600), features={"user": user.astype(str), "kind": kind})
        ratio = [m for m in made.measure("fairness.exposure", by=["user"], groups=["kind"], at=3) if m.compare == "ratio"]
        assert ratio[0].estimate is not None
        missed += not ratio[0].estimate.low <= 1 <= ratio[0].estimate.high
    assert missed <= 8


def test_what_is_no_ranking_is_said(tmp_path: Path) -> None:
    scene = set_scene(tmp_path, y=[0, 1] * 50, pred=[0, 1] * 50, score=np.linspace(0, 1, 100), groups={"sex": ["f", "m"] * 50})
    assert "Nothing is ranked" in str(scene.missing("fairness.exposure"))
    assert "neither training logged" in str(scene.missing("fairness.ranking"))
    logged = scene.facts.roles.model_copy(update={"ranking": {"user": "x", "item": "y", "at": 3}})
    scene.facts = scene.facts.model_copy(update={"roles": logged})
    assert scene.missing("fairness.ranking") is scene.missing("fairness.exposure") is None
    assert "No column says which group" in render(recommender(tmp_path).summary("fairness.exposure", by=["user"]))
    check, facts = checks()["fairness.ranking"], scene.facts.model_dump(mode="json")
    with pytest.raises(AuditError, match="no column of the data"):
        refuse_columns(check, facts, {"by": ["nobody"]})
