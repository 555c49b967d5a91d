"""Every comparison that decides carries its curve over cutoffs: counted again by brute force at each cutoff."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scene import Pick, Scene, set_scene

from audit.measurement import Curve, Histogram, Measurement
from audit.stats.compare import miettinen_nurminen, newcombe
from reports.figures import over_cutoffs
from reports.palette import Palette
from reports.speaker import Speaker
from reports.svg import svg


def rows(n: int = 2000, seed: int = 0) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    group = rng.choice(["big", "small", "tiny"], n, p=[0.7, 0.28, 0.02])
    score = np.clip(rng.beta(2, 2, n) - 0.1 * (group == "small"), 0, 1)
    return {"y": (rng.random(n) < score).astype(int), "pred": (score >= 0.5).astype(int), "score": score, "groups": {"g": list(group)}}


def curve_of(m: Measurement) -> Curve:
    (found,) = [e for e in m.evidence if isinstance(e, Curve) and e.name.endswith("_over_cutoffs")]
    return found


@pytest.mark.parametrize("favourable", ["1", "0"])
def test_each_point_is_a_count_at_that_cutoff(tmp_path: Path, favourable: str) -> None:
    given = rows()
    found = Pick(set_scene(tmp_path, **given, favourable=[favourable]).measure("fairness.group", draws=25))
    group, y, score = np.array(given["groups"]["g"]), given["y"], given["score"]
    recall = "true_positive_rate" if favourable == "1" else "true_negative_rate"
    for metric, compare, counted in (("selection_rate", "ratio", np.ones(len(y), bool)), (recall, "difference", y == int(favourable))):
        m = found(metric, compare, g="small")
        curve = curve_of(m)
        (line,) = curve.series
        assert (curve.current, line.name) == (0.5, "small")
        assert len(line.x) > 20
        for x, value, low, high in zip(line.x, line.y, line.low or [], line.high or [], strict=True):
            chosen = (score >= x) == (favourable == "1")
            k1, n1, k0, n0 = (
                int(v) for g in ("small", "big") for v in ((chosen & counted & (group == g)).sum(), (counted & (group == g)).sum())
            )
            expected = (miettinen_nurminen if compare == "ratio" else newcombe)(k1, n1, k0, n0, level=m.estimate.level)
            assert expected is not None
            assert (value, low, high) == pytest.approx((expected.value, expected.low, expected.high), abs=1e-9), x
        at = line.x.index(0.5)
        assert (line.y[at], line.low[at], line.high[at]) == (m.estimate.value, m.estimate.low, m.estimate.high)  # type: ignore[index]
        assert not found(metric, compare, g="tiny").evidence, "a group of few rows is not drawn"


def test_scores_by_outcome_give_every_rate_at_every_edge(tmp_path: Path) -> None:
    given = rows()
    found = Pick(set_scene(tmp_path, **given, favourable=["1"]).measure("fairness.group", draws=25))
    kept = {e.outcome: e for e in found("selection_rate", g="big").evidence if isinstance(e, Histogram)}
    assert set(kept) == {None, "event", "no_event"}
    assert kept["event"].edges == kept["no_event"].edges
    group, y, score = np.array(given["groups"]["g"]), given["y"], given["score"]
    for outcome, label in (("event", 1), ("no_event", 0)):
        for name, counts in kept[outcome].series.items():
            mine = score[(group == name) & (y == label)]
            for i, edge in enumerate(kept[outcome].edges):
                assert sum(counts[i:]) == (mine >= edge).sum()
            assert all(c == 0 or c >= 10 for c in counts[:-1])


def test_only_what_decides_has_a_curve(tmp_path: Path) -> None:
    given = rows()
    kept = {
        (m.metric, m.compare)
        for m in set_scene(tmp_path, **given).measure("fairness.group", draws=25)
        if m.compare != "value" and m.evidence
    }
    assert kept == {("selection_rate", "ratio"), ("true_positive_rate", "difference")}
    often = given | {"pred": (given["score"] >= 0.1).astype(int)}  # the common rate exceeds 0.8: the difference decides
    kept = {
        (m.metric, m.compare)
        for m in set_scene(tmp_path, **often).measure("fairness.group", draws=25)
        if m.compare != "value" and m.evidence
    }
    assert kept == {("selection_rate", "difference"), ("true_positive_rate", "difference")}
    for other in ({"score": None}, {"favourable": []}, {"positive": None, "favourable": ["1"], "score": None}):
        measured = set_scene(tmp_path, **given | other).measure("fairness.group", draws=25)
        assert not [m for m in measured if m.compare != "value" and m.evidence]


@pytest.mark.parametrize(
    ("change", "decision", "current"),
    [
        (lambda g: g, "score>=0.3", 0.3),
        (lambda g: (g["score"] >= 0.37).astype(int), "predict", None),
        (lambda g: g["pred"] ^ (np.arange(2000) == 5), "predict", "none"),
    ],
    ids=["declared", "seen", "no cutoff"],
)
def test_the_cutoff_in_force(tmp_path: Path, change: Any, decision: str, current: Any) -> None:
    given = rows()
    pred = (given["score"] >= 0.3).astype(int) if decision != "predict" else change(given)
    found = Pick(set_scene(tmp_path, **given | {"pred": pred, "decision": decision}).measure("fairness.group", draws=25))
    seen = curve_of(found("selection_rate", "ratio", g="small")).current
    if current is None:
        current = given["score"][given["score"] >= 0.37].min()
    assert seen == (None if current == "none" else current)


def test_the_report_draws_one_chart_per_column_with_limit_and_cutoff(tmp_path: Path) -> None:
    given = rows(4000)
    given["groups"]["g"] = list(np.random.default_rng(1).choice(["big", "small", "third"], 4000, p=[0.5, 0.3, 0.2]))
    scene: Scene = set_scene(tmp_path, **given)
    document = scene.document()
    (check,) = [c for c in document.checks if c.info.id == "fairness.group"]
    charts = over_cutoffs(check, "checks[0]", Palette(document), Speaker("en"))
    assert len(charts) == 2
    assert {d["line"] for d in charts[0].spec["data"]["values"]} == {"small", "third"}
    drawn = [layer["data"]["values"][0]["at"] for layer in charts[0].spec["layer"] if "data" in layer]
    assert drawn == [0.8, 1.25, 1.0, 0.5]
    assert "limit from 0.80 to 1.25" in charts[0].subtitle
    assert "cutoff in force, 0.5" in charts[0].subtitle


def test_rows_that_belong_together_widen_the_band_and_are_not_dealt_out_one_by_one(tmp_path: Path) -> None:
    """50 schools of 40 equal rows: the band is about that of 50 rows, and no permutation of rows says anything of chance."""
    rng = np.random.default_rng(2)
    school = np.repeat(np.arange(50), 40)
    score = np.repeat(rng.beta(2, 2, 50), 40)
    given: dict[str, Any] = {
        "y": (score >= 0.45).astype(int), "pred": (score >= 0.5).astype(int), "score": score, "groups": {"g": list(np.where(school < 30, "big", "small"))},
    }  # fmt: skip
    alone, together = (set_scene(tmp_path, **given, **more) for more in ({}, {"cluster": school}))
    widths = []
    for scene in (alone, together):
        m = Pick(scene.measure("fairness.group", draws=25))("selection_rate", "ratio", g="small")
        (line,) = curve_of(m).series
        widths.append(np.log(np.array(line.high) / np.maximum(np.array(line.low), 1e-3)))
        assert (line.y[line.x.index(0.5)], line.low[line.x.index(0.5)]) == (m.estimate.value, m.estimate.low)  # type: ignore[index]
    assert np.median(widths[1] / widths[0]) > 3
    for check in ("fairness.group", "fairness.metrics"):
        extremes = [m for m in together.measure(check, draws=25) if "*" in m.slice.values()]
        assert extremes
        assert all(m.test is None for m in extremes)
        assert [m.estimate and m.estimate.value for m in extremes] == [
            m.estimate and m.estimate.value for m in alone.measure(check, draws=25) if "*" in m.slice.values()
        ]


def test_the_same_curve_is_drawn_with_the_same_bytes(tmp_path: Path) -> None:
    document = set_scene(tmp_path, **rows()).document()
    (check,) = [c for c in document.checks if c.info.id == "fairness.group"]
    one, other = (svg(over_cutoffs(check, "checks[0]", Palette(document), Speaker("en"))[0], 1) for _ in range(2))
    assert one == other
