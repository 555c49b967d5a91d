"""What errors depend on, in an audit: divisions that repeat themselves, figures of rows that chose nothing, and how a reader sees them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scene import Scene, set_scene

from audit.bins import joined
from audit.measurement import Measurement, Tree
from audit.scored import halves
from audit.text import render
from reports.disclose import public, safe_evidence
from reports.figures import figures
from reports.palette import Palette
from reports.speaker import Speaker
from reports.trees import part_name, tree_chart

CHECK = "performance.error_tree"


def planted(folder: Path, n: int = 6000, *, rate: float = 0.5, seed: int = 0, **more: Any) -> Scene:
    """The oldest fifth of one shop in two is wrong at `rate`, all others at .1."""
    rng = np.random.default_rng(seed)
    age, shop = rng.normal(40, 10, n), rng.choice(["a", "b", "c", "d"], n)
    bad = (age > np.quantile(age, 0.8)) & np.isin(shop, ["a", "c"])
    y = rng.integers(0, 2, n)
    wrong = rng.random(n) < np.where(bad, rate, 0.1)
    groups = {"shop": shop, "sex": rng.choice(["f", "m"], n)}
    return set_scene(folder, y=y, pred=np.where(wrong, 1 - y, y), features={"age": age}, groups=groups, **more)


def tree_of(found: list[Measurement]) -> Tree:
    (tree,) = [e for m in found for e in m.evidence if isinstance(e, Tree)]
    return tree


def test_the_planted_part_is_found_and_compared(tmp_path: Path) -> None:
    scene = planted(tmp_path)
    explained, worst = scene.measure(CHECK)
    assert explained.metric == "error_explained_share"
    assert explained.estimate is not None
    assert 0.05 < explained.estimate.low < explained.estimate.value < 0.25
    assert worst.slice.keys() == {"age", "shop"}
    assert set(worst.slice["shop"].split(", ")) == {"a", "c"}
    assert worst.test is not None
    assert (worst.test.adjusted_p_value or 0.0) < 1e-6
    said = render(scene.summary(CHECK))
    assert "age, shop" in said
    assert "wrong predictions" in said


def test_figures_are_of_the_second_half(tmp_path: Path) -> None:
    scene = planted(tmp_path)
    tree, scored = tree_of(scene.measure(CHECK)), scene.context(CHECK).scored
    second = halves(np.arange(6000), scene.seed) == 1
    root = tree.nodes[0]
    assert (root.n, root.value) == (second.sum(), pytest.approx((scored.y != scored.pred)[second].mean(), abs=1e-12))
    for i, node in enumerate(tree.nodes):
        children = [n for n in tree.nodes if n.parent == i]
        assert not children or sum(c.n for c in children) == node.n
        assert node.low is not None
        assert node.high is not None
        assert node.low < node.value < node.high


def test_columns_that_tell_nothing_stand_at_nothing(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    noise = rng.normal(0, 1, 6000)
    found = planted(tmp_path).measure(CHECK)
    (alone,) = [e for e in found[0].evidence if e.kind == "attribution"]
    assert alone.of == "error"
    assert set(alone.features) == {"age", "shop", "sex"}
    assert alone.low is not None
    assert min(alone.low[:2]) > 0 > alone.low[2]
    assert alone.features[2] == "sex"
    y = rng.integers(0, 2, 6000)
    pred = np.where(rng.random(6000) < 0.2, 1 - y, y)
    (only,) = set_scene(tmp_path, y=y, pred=pred, features={"noise": noise}).measure(CHECK)
    assert only.estimate is not None
    assert only.estimate.low <= 0
    assert len(tree_of([only]).nodes) == 1


def test_chance_is_seldom_established(tmp_path: Path) -> None:
    """25 audits with nothing to be found: the worst part of a tree that chance grew is tested on rows that did not grow it."""
    alarms = 0
    for seed in range(25):
        found = planted(tmp_path, 1500, rate=0.1, seed=seed).measure(CHECK)
        alarms += any(m.test is not None and (m.test.adjusted_p_value or 0.0) <= 0.05 for m in found)
    assert alarms <= 3


def test_neighbouring_intervals_are_one() -> None:
    assert joined(["[0, 1)", "[1, 2)", "[2, 5]"]) == ["[0, 5]"]
    assert joined(["[0, 1)", "[2, 5]", "(missing)"]) == ["[0, 1)", "[2, 5]", "(missing)"]
    assert joined(["1", "2"]) == ["1", "2"]


def test_clusters_widen_the_intervals(tmp_path: Path) -> None:
    given = {name: np.repeat(np.asarray(v), 10) for name, v in {"y": [0, 1] * 200, "pred": [0, 1, 1, 1] * 100}.items()}
    x = {"x": np.repeat(np.arange(400) // 2 % 2, 10).astype(float)}
    tree = tree_of(set_scene(tmp_path, **given, features=x, cluster=np.repeat(np.arange(400), 10)).measure(CHECK))
    alone = tree_of(set_scene(tmp_path, **given, features=x).measure(CHECK))
    assert tree.method == "sandwich_clusters"
    (wide, narrow) = ((t.nodes[0].high or 0) - (t.nodes[0].low or 0) for t in (tree, alone))
    assert wide > 2 * narrow


# --- what a reader sees ----------------------------------------------------------------------------------------------------------------


def test_the_picture_says_every_number_and_both_languages(tmp_path: Path) -> None:
    document = planted(tmp_path).document()
    (check,) = [c for c in document.checks if c.info.id == CHECK]
    tree = tree_of(list(check.findings))
    for lang in ("en", "zh"):
        say = Speaker(lang)
        chart = tree_chart(tree, "x", say)
        assert chart is not None
        for node in tree.nodes:
            assert f"{node.n:,}" in chart.alt
        assert part_name(tree.nodes, 1, say).startswith(str(tree.nodes[1].column))
        titles = [c.title for c in figures(check, "x", Palette(document), say)]
        assert len(titles) == 2
        assert any(("tells most" if lang == "en" else "最能说明") in t for t in titles)


def test_slices_that_a_search_found_share_a_picture(tmp_path: Path) -> None:
    document = planted(tmp_path, rate=0.1).document()
    (check,) = [c for c in document.checks if c.info.id == "performance.slices"]
    assert len({tuple(sorted(f.slice)) for f in check.findings}) > 1
    (chart,) = figures(check, "x", Palette(document), Speaker("en"))
    assert all(str(f.parts[0].n) in json_of(chart.spec) for f in check.findings)


def json_of(spec: dict[str, Any]) -> str:
    return json.dumps(spec).replace(",", "")


def test_a_part_of_few_errors_takes_the_tree_out_of_the_public_edition(tmp_path: Path) -> None:
    scene = planted(tmp_path)
    tree = tree_of(scene.measure(CHECK))
    assert safe_evidence(tree, 10, lost=False) is tree
    assert safe_evidence(tree, 10, lost=True) is None
    few = tree.model_copy(update={"nodes": [*tree.nodes[:-1], tree.nodes[-1].model_copy(update={"n": 100, "value": 0.01})]})
    assert safe_evidence(few, 10, lost=False) is None
    assert public(scene.document()).id == "scene"
