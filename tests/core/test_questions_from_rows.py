"""The deciding questions the whole way, from rows to the verdict."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from counts import GOOD, Judged, good, of_rows
from scene import findings, set_scene


def rows(n: int = 6000, seed: int = 0) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    score = rng.beta(1.5, 2.5, n)
    return {
        "y": (rng.random(n) < score).astype(int), "pred": (score >= 0.5).astype(int), "score": score,
        "groups": {"sex": np.where(rng.random(n) < 0.4, "f", "m")},
    }  # fmt: skip


def test_a_constant_predictor_fails(tmp_path: Path) -> None:
    given = rows()
    for score in (given["y"].mean(), 0.5):
        document = set_scene(tmp_path, **given | {"score": np.full(6000, score), "pred": np.zeros(6000, int)}).document()
        assert document.verdict == "fail"
        assert "no better than a trivial forecast" in document.why
    labels = set_scene(tmp_path, **given | {"score": None, "pred": np.ones(6000, int)}).document()
    assert labels.verdict == "fail"


@pytest.mark.parametrize("base", [0.1, 0.3, 0.9])
def test_a_constant_predictor_fails_though_all_else_is_in_order(tmp_path: Path, base: float) -> None:
    """Known beforehand and so not exactly the rows' own rate, on rows of many sizes."""
    rng = np.random.default_rng(8)
    for n in (200, 600, 2_000) * 3:
        y = rng.random(n) < base
        scene = set_scene(tmp_path, y=y.astype(int), pred=np.full(n, int(base > 0.5)), score=np.full(n, base))
        measured = findings("performance.baseline", scene.measure("performance.baseline"))
        assert Judged(good() | {"performance.baseline": measured}).verdict == "fail"


def test_a_constant_predictor_fails_in_spite_of_rounding(tmp_path: Path) -> None:
    """The last digit of a constant may depend on a row's place in its batch."""
    given = rows()
    score = np.full(6000, 0.4)
    score[::3] += 1e-16 * 4
    document = set_scene(tmp_path, **given | {"score": score, "pred": np.zeros(6000, int)}).document()
    assert document.verdict == "fail"


def test_skipping_fairness_or_declaring_no_sensitive_column_is_not_a_pass(tmp_path: Path) -> None:
    scene = set_scene(tmp_path, **rows())
    assert scene.document().verdict == "pass"
    skipped = scene.document(skip=["fairness"])
    assert (skipped.verdict, skipped.answered.not_run) == ("inconclusive", 3)
    undeclared = set_scene(tmp_path, **rows() | {"groups": {}}).document()
    assert undeclared.verdict == "inconclusive"
    assert any("--sensitive" in (q.reason or "") for q in undeclared.questions)


def test_an_errored_deciding_check_is_an_error(tmp_path: Path) -> None:
    document = set_scene(tmp_path, **rows()).document(errored={"calibration.groups": "it was stopped after 900 s"})
    assert document.verdict == "error"
    assert "it was stopped after 900 s" in document.why


def test_calibration_of_human_decisions_is_measured_and_not_judged(tmp_path: Path) -> None:
    given = rows()
    document = set_scene(tmp_path, **given | {"score": given["score"] ** 3}, label_source="human_decision").document()
    by_id = {c.info.id: c for c in document.checks}
    for id_ in ("calibration.overall", "calibration.groups"):
        assert by_id[id_].verdict == "not_judged"
        assert by_id[id_].findings
    assert any("agreement with past decisions, not correctness" in note for note in document.notes)
    assert not any(f.metric.endswith("positive_rate") and f.verdict != "not_judged" for f in by_id["fairness.group"].findings)


def test_extremes_are_never_judged(tmp_path: Path) -> None:
    given = rows()
    pred = np.where(given["groups"]["sex"] == "f", 0, given["pred"])
    document = set_scene(tmp_path, **given | {"pred": pred}).document()
    assert document.verdict == "fail"
    extremes = [f for c in document.checks for f in c.findings if f.slice.get("sex") == "*"]
    assert len(extremes) >= 4
    assert {f.verdict for f in extremes} == {"not_judged"}
    assert all(f.criterion is None for f in extremes)


def test_intersections_are_reported_and_not_judged(tmp_path: Path) -> None:
    given = rows()
    rng = np.random.default_rng(3)
    groups = given["groups"] | {"race": np.where(rng.random(6000) < 0.5, "a", "b")}
    pred = np.where((groups["sex"] == "f") & (groups["race"] == "a"), 0, given["pred"])
    document = set_scene(tmp_path, **given | {"pred": pred, "groups": groups}).document()
    both = [f for c in document.checks if c.info.id != "performance.slices" for f in c.findings if len(f.slice) == 2]
    assert both
    assert {f.verdict for f in both} == {"not_judged"}


def test_judged_intervals_are_at_ninety_percent(tmp_path: Path) -> None:
    document = set_scene(tmp_path, **rows()).document()
    deciding = [f for c in document.checks for f in c.findings if f.criterion and f.criterion.role == "decides" and f.estimate]
    assert deciding
    assert {f.estimate.level for f in deciding if f.estimate and f.estimate.method != "exact"} == {0.90}


def test_every_number_of_a_question_stands_in_a_finding(tmp_path: Path) -> None:
    document = set_scene(tmp_path, **rows()).document()
    known = {f.key: f for c in document.checks for f in c.findings}
    assert len(known) == sum(len(c.findings) for c in document.checks), "keys are unique"
    for question in document.questions:
        assert question.findings
        assert all(known[key].verdict != "not_judged" for key in question.findings)


def test_simulated_findings_are_those_that_the_checks_make(tmp_path: Path) -> None:
    given = rows(800, 5)
    group = (given["groups"]["sex"] == "f").astype(int)
    made = of_rows(given["y"] == 1, given["score"], given["pred"] == 1, group, ["m", "f"])
    scene = set_scene(tmp_path, **given | {"groups": {"group": np.where(group == 1, "f", "m")}})
    for check, found in made.items():
        measured = {(m.metric, m.compare, *m.slice.values()): m.estimate for m in scene.measure(check)}
        for f in found:
            ours, theirs = f.estimate, measured[(f.metric, f.compare, *f.slice.values())]
            assert ours is not None
            assert theirs is not None
            assert ours.value == pytest.approx(theirs.value, abs=1e-12)
            if theirs.level == 0.95:
                continue  # shown, never judged
            assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=1e-12), (check, f.metric)
    assert GOOD.level == 0.90
    said = {q.id: (q.verdict, q.findings) for q in scene.document().questions}
    assert said == {id_: (q.verdict, q.findings) for id_, q in Judged(made).questions.items()}
