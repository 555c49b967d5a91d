"""Planted rows against real ones: published values, scores that must and must not tell them, and models whose doubt does and does not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scene import Pick
from written import asked

from audit.measurement import Measurement
from audit.planted import far, mixed
from audit.probe import collect
from audit.stats.outliers import Reference, doubt, energy
from audit.stress.disturbed import Disturber
from audit.subject.frame import Categories, Frame
from audit.text import render

N = 500


def people(seed: int = 0) -> dict[str, Any]:
    """x and y are nearly the same; z goes with neither."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=N)
    return {"x": x, "y": x + 0.1 * rng.normal(size=N), "z": rng.normal(size=N)}


def run(folder: Path, model: Any, features: dict[str, Any], **more: Any) -> tuple[list[Measurement], str]:
    _, context = asked(folder, model, features, "robustness.outliers", **more)
    found, summary = collect(context, {})
    return found, render(summary)


def auc(found: list[Measurement], score: str, rows: str) -> Any:
    return Pick(found)("outlier_auc", **{"(method)": score, "(rows)": rows}).estimate


def bold(frame: Any) -> Any:
    """The farther, the surer."""
    return 1 / (1 + np.exp(-2 * frame["x"]))


def shy(frame: Any) -> Any:
    """Sure near the usual rows only."""
    return np.where(np.abs(frame["x"]) < 3, 0.95, 0.5)


def test_the_energy_of_two_and_zero() -> None:
    assert energy(np.array([[2.0, 0.0]]))[0] == pytest.approx(-2.12693, abs=1e-5)
    assert doubt(np.array([[0.2, 0.7, 0.1]]))[0] == pytest.approx(0.3)


def test_distances_are_those_of_their_definitions() -> None:
    rng = np.random.default_rng(0)
    usual, others = rng.normal(size=(20_000, 2)) * [1, 3], np.array([[0.0, 0.0], [2.0, 0.0], [0.0, 6.0]])
    assert Reference(usual).mahalanobis(others) == pytest.approx([0, 4, 4], abs=0.15)
    line = np.arange(10.0)[:, None]
    assert Reference(line).neighbour(np.array([[-1.0], [20.0]])) == pytest.approx([5, 15])


def test_doubt_tells_far_rows_only_where_the_model_is_shy(tmp_path: Path) -> None:
    for model, least, most in ((shy, 0.95, 1.0), (bold, 0.0, 0.1)):
        found, summary = run(tmp_path, model, people())
        assert least <= auc(found, "(doubt)", "(far)").value <= most
        assert auc(found, "(mahalanobis)", "(far)").low > 0.95
        assert auc(found, "(neighbour)", "(far)").low > 0.95
        assert "own doubt" in summary
    assert Pick(found).value("passing_share", **{"(method)": "(doubt)", "(rows)": "(far)"}) > 0.95
    assert Pick(found).value("passing_share", **{"(method)": "(neighbour)", "(rows)": "(far)"}) < 0.05


def test_mixed_rows_are_told_where_columns_go_together_and_not_where_they_do_not(tmp_path: Path) -> None:
    found, _ = run(tmp_path, bold, people())
    assert auc(found, "(mahalanobis)", "(mixed)").low > 0.8  # x without its y
    rng = np.random.default_rng(1)
    found, _ = run(tmp_path, bold, {name: rng.normal(size=N) for name in "xyz"})
    for score in ("(doubt)", "(mahalanobis)", "(neighbour)"):
        assert auc(found, score, "(mixed)").value == pytest.approx(0.5, abs=0.09)


def test_a_quantity_has_distances_only_and_columns_of_words_are_only_mixed(tmp_path: Path) -> None:
    features = people()
    more = {"task": "regression", "score": None, "decision": None, "favourable": [], "pred": features["x"]}
    found, summary = run(tmp_path, lambda f: f["x"], features, **more)
    assert {m.slice["(method)"] for m in found} == {"(mahalanobis)", "(neighbour)"}
    assert "own doubt" not in summary
    flags = {name: (np.random.default_rng(i).random(N) < 0.4).astype(float) for i, name in enumerate("ab")}
    found, summary = run(tmp_path, lambda f: 0.2 + 0.5 * f["a"], flags)
    assert {m.slice["(rows)"] for m in found} == {"(mixed)"}
    assert "mixed from others" in summary


def test_without_training_rows_the_summary_says_what_stands_for_them(tmp_path: Path) -> None:
    _, summary = run(tmp_path, shy, people(), trained=False)
    assert summary.endswith(
        "half of the audited rows stands for what is usual: nothing is said of rows unlike those that the model has seen."
    )
    assert "stands for what is usual" not in run(tmp_path, shy, people())[1]


def test_too_few_rows_say_so(tmp_path: Path) -> None:
    found, summary = run(tmp_path, bold, {name: v[:10] for name, v in people().items()})
    assert not found
    assert "Fewer than 20 rows" in summary


def test_planted_rows_are_what_they_say() -> None:
    rng = np.random.default_rng(0)
    frame: Frame = {
        "x": rng.normal(5, 2, 2000),
        "whole": rng.integers(0, 50, 2000),
        "word": Categories((np.arange(2000) % 3).astype(np.int32), ("a", "b", "c")),
    }
    disturber = Disturber(frame, {}, np.random.default_rng)  # type: ignore[arg-type]
    away: Any = far(disturber, rng)
    assert np.abs((away["x"] - 5) / 2).min() > 3.8
    assert away["whole"].dtype == np.int64
    assert away["word"] is frame["word"]
    shuffled: Any = mixed(disturber, rng)
    assert np.sort(shuffled["x"]) == pytest.approx(np.sort(frame["x"]))
    assert abs(np.corrcoef(shuffled["x"], frame["x"])[0, 1]) < 0.1
