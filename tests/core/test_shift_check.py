"""Training rows against audited rows: planted shifts that cost something, that cost nothing, and none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scene import Pick
from scipy.stats import norm
from written import asked

from audit import plan as plans
from audit.judge import judge_reported
from audit.measurement import Measurement
from audit.probe import collect
from audit.result import Finding
from audit.shifted import columns, domain
from audit.subject.frame import Categories
from audit.text import render
from audit.two_sets import Space, together

N = 1000


def people(seed: int, *, old: float = 0.3, colour: float = 0.5) -> dict[str, Any]:
    """A share `old` is old, a share `colour` has colour 1, and the rest is noise."""
    rng = np.random.default_rng(seed)
    return {
        "old": (rng.random(N) < old).astype(float),
        "colour": (rng.random(N) < colour).astype(float),
        "x": rng.normal(size=N),
        "z": rng.random(N),
    }


def outcome(rows: dict[str, Any], seed: int, hard: float = 0.5) -> Any:
    """The young are as x says, of the old a share `hard` is not."""
    wrong = (np.random.default_rng(seed).random(N) < hard) & (rows["old"] == 1)
    return np.where(wrong, rows["x"] <= 0, rows["x"] > 0).astype(int)


def model(frame: Any) -> Any:
    return 1 / (1 + np.exp(-frame["x"]))


def run(folder: Path, training: dict[str, Any], audited: dict[str, Any], hard: float = 0.5) -> tuple[list[Finding], str]:
    given = training | {"outcome": outcome(training, 11, hard).astype(str)}
    _, context = asked(folder, model, audited, "robustness.shift", y=outcome(audited, 12, hard), training=given)
    found, summary = collect(context, {"rows": 2000, "draws": 100})
    return judge_reported("robustness.shift", found, plans.load(None), judgeable=True), render(summary)


def cost(found: list[Finding]) -> Finding:
    return Pick(found)("shift_loss")  # type: ignore[no-any-return]


def test_rows_that_are_drawn_alike_are_not_judged(tmp_path: Path) -> None:
    found, summary = run(tmp_path, people(0), people(2))
    assert "no difference is established" in summary
    assert cost(found).verdict == "not_judged"
    assert "no shift" in str(cost(found).reason)
    auc = Pick(found)("domain_auc").estimate
    assert auc.low < 0.5 < auc.high


def test_a_shift_that_costs_something_fails(tmp_path: Path) -> None:
    """Three tenths old in training, seven tenths now; half of the old are wrong: 0.35 − 0.15 = 20 points."""
    found, summary = run(tmp_path, people(0), people(1, old=0.7))
    assert cost(found).verdict == "fail"
    assert cost(found).criterion is not None
    assert cost(found).criterion.role == "warns"  # type: ignore[union-attr]
    estimate = cost(found).estimate
    assert estimate is not None
    assert estimate.method == "influence"
    assert estimate.low < 0.2 < estimate.high
    assert "Most telling is old" in summary


def test_a_shift_that_costs_nothing_passes(tmp_path: Path) -> None:
    found, summary = run(tmp_path, people(0), people(1, colour=0.8), hard=0.05)
    assert "of another kind" in summary
    assert "Most telling is colour" in summary
    assert cost(found).verdict == "pass"


def test_sets_that_do_not_overlap_are_held_against_the_training_rows(tmp_path: Path) -> None:
    found, summary = run(tmp_path, people(0, old=0.0), people(1, old=1.0) | {"z": 2 + np.random.default_rng(3).random(N)})
    assert cost(found).verdict == "fail"
    assert cost(found).estimate.method == "welch"  # type: ignore[union-attr]
    assert "hardly overlap" in summary


def test_without_outcomes_nothing_is_said_of_the_cost(tmp_path: Path) -> None:
    training = people(0)
    _, context = asked(tmp_path, model, people(1, old=0.9), "robustness.shift", training=training)
    found, summary = collect(context, {"rows": 2000, "draws": 100})
    assert Pick(found)("shift_loss").estimate is None
    assert "of another kind" in render(summary)


def test_what_the_model_answers_tells_a_shift_too(tmp_path: Path) -> None:
    audited = people(1)
    audited["x"] = audited["x"] + 1
    found, _ = run(tmp_path, people(0), audited)
    gap = Pick(found)("kolmogorov_smirnov_distance", "difference", **{"(rows)": "(these)"})
    assert gap.estimate.value == pytest.approx(2 * norm.cdf(0.5) - 1, abs=0.06)
    assert gap.test.p_value < 1e-6


def test_the_same_rows_are_not_compared(tmp_path: Path) -> None:
    scene, context = asked(tmp_path, model, people(0), "robustness.shift", y=outcome(people(0), 12))
    assert scene.facts.training is not None
    context.facts = scene.facts.model_copy(update={"training": scene.facts.training.model_copy(update={"sha256": scene.facts.sha256})})
    found, summary = collect(context, {})
    assert not found
    assert "nothing to compare" in render(summary)


@pytest.mark.parametrize(("shift", "auc"), [(0.5, 0.63816), (1.0, 0.76025)])
def test_the_small_model_reaches_what_is_possible(shift: float, auc: float) -> None:
    """Two normal distributions a shift apart: the best AUC is Φ(shift/√2)."""
    rng = np.random.default_rng(0)
    one, two = ({"x": rng.normal(at, 1, 2000)} for at in (0, shift))
    assert norm.cdf(shift / np.sqrt(2)) == pytest.approx(auc, abs=1e-5)
    found = domain(one, two, rng, level=0.99)
    assert found is not None
    assert found.auc.low < auc < found.auc.high
    assert found.auc.value == pytest.approx(auc, abs=0.02)


def test_columns_of_every_kind_are_compared() -> None:
    rng = np.random.default_rng(0)
    n = 400
    dates = np.datetime64("2020-01-01", "ns") + rng.integers(0, 300, n).astype("timedelta64[D]")
    one = {
        "word": Categories(rng.integers(0, 2, n).astype(np.int32), ("a", "b")),
        "date": dates,
        "flag": rng.random(n) < 0.5,
        "gap": np.ones(n),
    }
    two = one | {
        "word": Categories(rng.integers(0, 2, n).astype(np.int32), ("b", "c")), "date": dates + np.timedelta64(90, "D"),
        "gap": np.where(rng.random(n) < 0.3, np.nan, 1.0),
    }  # fmt: skip
    found = {c.name: c for c in columns(one, two)}
    assert found["word"].distance == pytest.approx(0.5, abs=0.06)  # "a" against "c"
    assert max(found[name].adjusted for name in ("word", "date", "gap")) < 1e-6
    assert found["flag"].p == 1
    assert found["gap"].distance == pytest.approx(0.3, abs=0.06)


def test_points_are_apart_by_standard_deviations_and_by_one_where_a_category_differs() -> None:
    frame: Any = {"x": np.array([1.0, 3.0, np.nan]), "word": Categories(np.array([0, 1, -1], np.int32), ("a", "b"))}
    points = Space(frame).points(together(frame, frame))
    assert points.shape == (6, 2 + 3)
    assert np.linalg.norm(points[0] - points[3]) == 0
    assert np.linalg.norm(points[0] - points[1]) == pytest.approx(np.sqrt(4 + 1))  # (3 − 1)/sd of 1, and another word
    assert np.isfinite(points).all()


def test_two_runs_agree(tmp_path: Path) -> None:
    found: list[list[Measurement]] = []
    for _ in range(2):
        _, context = asked(tmp_path, model, people(1, old=0.5), "robustness.shift", training=people(0))
        found.append(collect(context, {"draws": 100})[0])
    assert found[0] == found[1]
