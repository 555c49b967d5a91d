"""Another mix of groups: by hand, against rows that were really drawn anew, and where there is nothing to mix."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scene import Pick, set_scene

from audit.measurement import Measurement
from audit.text import render


def three(folder: Path, **more: Any) -> tuple[list[Measurement], str]:
    """100 a, all right; 60 b, half right; 40 c, none right; a is selected always, others never."""
    groups = ["a"] * 100 + ["b"] * 60 + ["c"] * 40
    pred = np.array([1] * 100 + [0] * 100)
    y = np.array([1] * 100 + [0, 1] * 30 + [1] * 40)
    scene = set_scene(folder, **{"pred": pred, "y": y, "groups": {"g": groups}} | more)
    return scene.measure("robustness.mix"), render(scene.summary("robustness.mix"))


def test_the_change_is_worked_out_by_hand(tmp_path: Path) -> None:
    """a from 50 % to 60 %, b and c from 30 and 20 to 24 and 16 %: accuracy .65 becomes .6 + .12 = .72, selection .5 becomes .6."""
    found, summary = three(tmp_path)
    pick = Pick(found)
    assert pick.value("accuracy", "difference", g="a", **{"(mix)": "+10"}) == pytest.approx(0.07)
    assert pick.value("selection_rate", "difference", g="a", **{"(mix)": "+10"}) == pytest.approx(0.1)
    assert pick.value("accuracy", "difference", g="c", **{"(mix)": "+10"}) == pytest.approx(0.1 * (0 - 130 / 160))
    estimate = pick("accuracy", "difference", g="b", **{"(mix)": "+10"}).estimate
    assert estimate.low < estimate.value < estimate.high
    table = pick("accuracy", "difference", g="a", **{"(mix)": "+10"}).evidence[0]
    row = dict(zip([c.name for c in table.columns], table.rows[0], strict=True))
    assert (row["now"], row["then"]) == pytest.approx((0.5, 0.6))
    assert (row["overall"], row["overall_then"]) == pytest.approx((0.65, 0.72))
    assert "share of c (g) goes from 20 % to 30 %" in summary


@settings(max_examples=20, deadline=None)
@given(rights=st.lists(st.tuples(st.integers(0, 30), st.integers(1, 30)), min_size=2, max_size=4))
def test_it_is_the_weighted_mean_of_the_groups(tmp_path_factory: pytest.TempPathFactory, rights: list[tuple[int, int]]) -> None:
    y = np.concatenate([[1] * k + [0] * n for k, n in rights])
    groups = np.concatenate([[f"g{i}"] * (k + n) for i, (k, n) in enumerate(rights)])
    found = set_scene(tmp_path_factory.mktemp("mix"), pred=np.ones(len(y), int), y=y, groups={"g": groups}).measure("robustness.mix")
    sizes, rates = np.array([k + n for k, n in rights]), np.array([k / (k + n) for k, n in rights])
    shares = sizes / sizes.sum()
    for m in (m for m in found if m.metric == "accuracy"):
        i, by = int(m.slice["g"][1:]), {"+10": 0.1, "−10": -0.1}[m.slice["(mix)"]]
        then = shares * (1 - shares[i] - by) / (1 - shares[i])
        then[i] = shares[i] + by
        assert then.sum() == pytest.approx(1)
        assert m.estimate is not None
        assert m.estimate.value == pytest.approx(float(then @ rates - shares @ rates), abs=1e-12)


def test_a_group_that_cannot_grow_is_made_smaller(tmp_path: Path) -> None:
    groups = ["most"] * 190 + ["few"] * 10
    found = set_scene(tmp_path, pred=np.ones(200, int), y=np.array([1] * 150 + [0] * 50), groups={"g": groups}).measure("robustness.mix")
    pick = Pick(found)
    less, more = (pick.value("accuracy", "difference", g=g, **{"(mix)": by}) for g, by in (("most", "−10"), ("few", "+10")))
    assert less == pytest.approx(more)
    assert less == pytest.approx(-0.1 * (150 / 190 - 0))


def test_a_quantity_is_mixed_by_its_errors(tmp_path: Path) -> None:
    y = np.arange(100.0)
    error = np.where(np.arange(100) < 50, 2.0, 6.0) + np.tile([0.5, -0.5], 50)
    scene = set_scene(tmp_path, pred=y + error, y=y, task="regression", favourable=[], groups={"g": ["a"] * 50 + ["b"] * 50})
    found = Pick(scene.measure("robustness.mix"))
    assert found.value("mean_absolute_error", "difference", g="b", **{"(mix)": "+10"}) == pytest.approx(0.4)
    assert "mean absolute error" in render(scene.summary("robustness.mix"))


def test_unknown_groups_are_left_out_and_one_group_has_nothing_to_mix(tmp_path: Path) -> None:
    found, summary = three(tmp_path, groups={"g": ["a"] * 100 + [None] * 100})
    assert not found
    assert "two known groups" in summary


def test_without_outcome_selection_alone_is_mixed(tmp_path: Path) -> None:
    found, _ = three(tmp_path, y=None)
    assert {m.metric for m in found} == {"selection_rate"}
