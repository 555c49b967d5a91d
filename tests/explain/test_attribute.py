"""Explanations from a model's answers, through the checks: constants, outliers, refusals, groups, and the gate on drawn values."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from scene import Scene, set_scene

from audit import plan as plans
from audit.context import Context
from audit.errors import AuditError
from audit.explain.attribute import affordable, explain, settled_method
from audit.explain.explained import PARTIAL
from audit.explain.gap import METHODS as CALLED
from audit.explain.groups import by_correlation, grouped
from audit.judge import judge_reported
from audit.probe import collect
from audit.result import Finding
from audit.subject.client import Attributions, Prediction
from audit.subject.frame import Frame
from audit.text import render

Score = Callable[[Mapping[str, Any]], Any]
N = 120


def context(folder: Path, check: str, features: Mapping[str, Any], score: Score) -> tuple[Context, Scene]:
    """A regression whose model is a function of named columns."""
    value = np.asarray(score(features), dtype=float)
    scene = set_scene(folder, pred=np.where(np.isfinite(value), value, 0.0), y=np.zeros(len(value)), task="regression", features=features)
    ctx = scene.context(check)

    def predict(frame: Frame, *, timeout: float | None = None) -> Prediction:
        return Prediction(np.asarray(score(frame), dtype=float).reshape(-1, 1), None)

    ctx.__dict__["client"] = SimpleNamespace(predict=predict)
    return ctx, scene


def columns(d: int, n: int = N, seed: int = 0) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    return {f"c{j}": rng.normal(size=n) for j in range(d)}


def findings(folder: Path, check: str, features: Mapping[str, Any], score: Score, **params: Any) -> tuple[list[Finding], str]:
    ctx, _ = context(folder, check, features, score)
    measured, summary = collect(ctx, params)
    return judge_reported(check, measured, plans.load(None), judgeable=True), render(summary)


def test_up_to_twelve_columns_are_exact_and_add_up(tmp_path: Path) -> None:
    ctx, _ = context(tmp_path, "explanation.global", columns(3), lambda f: f["c0"] * f["c1"] + f["c2"])
    (found,) = explain(ctx, 5, 20)
    assert (found.method, found.error, found.estimand, found.background) == ("exact_shap", None, "background", 20)
    assert found.gaps.max() < 1e-10


def test_one_pass_serves_both_checks(tmp_path: Path) -> None:
    """What another check made is read and the model is not asked again; without it the same numbers are made anew."""
    features, score = columns(14, 60), lambda f: np.tanh(f["c0"] * f["c1"]) + f["c2"]
    asked: list[int] = []

    def counted(f: Mapping[str, Any]) -> Any:
        asked.append(len(f["c0"]))
        return score(f)

    found = []
    for check, work in (("explanation.global", tmp_path), ("explanation.local", tmp_path), ("explanation.local", None)):
        asked.clear()
        ctx, _ = context(tmp_path, check, features, counted)
        ctx.work = work
        asked.clear()
        found.append((explain(ctx, 10, 5, budget=40_000, groups={"pair": ["c0", "c2"]}), sum(asked)))
    (first, some), (second, none), (third, again) = found
    assert (none, again) == (0, some)
    assert some > 0
    for mine in (second, third):
        for one, other in zip(first, mine, strict=True):
            assert one.features == other.features
            assert one._replace(values=0, base=0, answer=0, error=0, row=0) == other._replace(values=0, base=0, answer=0, error=0, row=0)
            for name in ("values", "base", "answer", "error", "row"):
                np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    ctx, _ = context(tmp_path, "explanation.local", features, counted)
    ctx.work = tmp_path
    asked.clear()
    explain(ctx, 11, 5, budget=40_000, groups={"pair": ["c0", "c2"]})
    assert asked  # another number of rows is another explanation


def test_exact_where_exact_pays_for_enough_rows_and_drawn_for_more_rows_otherwise(tmp_path: Path) -> None:
    """Eleven inputs and fifty background rows: all coalitions of 200 rows take 20 million evaluations."""
    nonlinear = lambda f: np.tanh(f["c0"] * f["c1"] * f["c2"]) + f["c3"]  # noqa: E731
    ctx, _ = context(tmp_path, "explanation.global", columns(11, 700), nonlinear)
    few, many = settled_method(ctx, 600, 50, 4_000_000), settled_method(ctx, 600, 50, 20_480_000)
    assert (few, many) == ("leverage_shap", "exact_shap")
    assert settled_method(ctx, 30, 50, 4_000_000) == "exact_shap"  # no more rows are wanted
    assert settled_method(ctx, 600, 50, 4_000_000, method="exact_shap") == "exact_shap"
    assert affordable(ctx, 600, 50, 4_000_000, method="exact_shap") == 39
    assert affordable(ctx, 600, 50, 4_000_000, method="leverage_shap") == 312
    (drawn,), (exact,) = (explain(ctx, 20, 10, budget=200 * each, method=m) for m, each in (("leverage_shap", 400), ("exact_shap", 2048)))
    assert (drawn.method, exact.method) == ("leverage_shap", "exact_shap")
    assert drawn.error is not None
    assert (np.abs(drawn.values - exact.values) <= 3 * drawn.error + 1e-9).mean() > 0.97


def test_more_coalitions_than_can_be_asked_are_refused_in_one_line(tmp_path: Path) -> None:
    ctx, _ = context(tmp_path, "explanation.global", columns(20), lambda f: f["c0"])
    with pytest.raises(AuditError, match="1,048,576 of them for every row"):
        explain(ctx, 10, 5, budget=10_000, method="exact_shap")


def test_a_method_is_used_by_its_name_and_one_that_the_model_does_not_allow_is_refused(tmp_path: Path) -> None:
    asked: list[str] = []

    def attribute(frame: Frame, background: Frame, *, method: str, **_: Any) -> Attributions:
        asked.append(method)
        values = np.stack([np.asarray(c, dtype=float) for c in frame.values()], axis=1)
        return Attributions(values, np.zeros(len(values)), values.sum(axis=1), "value")

    ctx, _ = context(tmp_path, "explanation.global", columns(3), lambda f: f["c0"] + f["c1"] + f["c2"])
    ctx.settled.methods[:] = ["integrated_gradients", "gradient_shap", "gradient_x_input", "lrp", "grad_cam"]
    ctx.client.__dict__["attribute"] = attribute
    for method in ("gradient_shap", "gradient_x_input", "lrp", "exact_shap"):
        asked.clear()
        measured, said = collect(ctx, {"rows": 20, "method": method})
        assert set(asked) == ({method} if method != "exact_shap" else set())
        assert CALLED[method] in render(said)
        gap = [m for m in measured if m.metric == "completeness_gap"]
        assert bool(gap) == (method not in PARTIAL), "what does not claim to add up is not judged by it"
    for method, called in (("tree_shap", "tree SHAP"), ("deep_shap", "DeepLIFT-SHAP"), ("grad_cam", "Grad-CAM")):
        with pytest.raises(AuditError) as refused:
            collect(ctx, {"rows": 20, "method": method})
        assert f"the plan asks for {called} ({method}), which this model does not allow" in str(refused.value)
        assert "choose one of auto, exact_shap, kernel_shap, leverage_shap, lime, integrated_gradients, gradient_x_input, gradient_shap, lrp" in str(refused.value)  # fmt: skip


def test_a_constant_column_gets_nothing_and_is_not_asked_about(tmp_path: Path) -> None:
    still = columns(14) | {"c3": np.full(N, 7.0), "c5": np.full(N, np.nan), "c6": np.full(N, 1.0)}
    ctx, _ = context(tmp_path, "explanation.global", still, lambda f: f["c0"] * f["c1"] * f["c2"] + f["c3"])
    (found,) = explain(ctx, 4, 20, budget=10**9)
    assert found.method == "exact_shap"  # eleven columns are left
    assert not found.values[:, [3, 5, 6]].any()
    assert found.gaps.max() < 1e-10


def test_above_twelve_the_errors_are_given_and_cover(tmp_path: Path) -> None:
    features = columns(16, 400)
    score = lambda f: np.tanh(f["c0"] * f["c1"] * f["c2"] + f["c3"]) + np.maximum(f["c4"] + f["c5"], 0)  # noqa: E731
    ctx, _ = context(tmp_path, "explanation.global", features, score)
    (found,) = explain(ctx, 30, 10, budget=30 * 10 * 600)
    assert found.method == "leverage_shap"
    assert found.error is not None
    assert found.gaps.max() < 1e-10
    # The ten columns that do nothing have the true value 0, and the six others that of all coalitions of them.
    used = {name: c for name, c in features.items() if int(name[1:]) < 6}
    inner, _ = context(tmp_path, "explanation.global", used, score)
    (truth,) = explain(inner, 30, 10)
    assert truth.method == "exact_shap"
    exact = np.concatenate([truth.values, np.zeros((30, 10))], axis=1)
    assert 0.9 <= (np.abs(found.values - exact) <= 1.96 * found.error + 1e-12).mean() <= 1


def test_a_row_far_outside_is_explained_like_any_other(tmp_path: Path) -> None:
    far = columns(3)
    far["c0"][:60] = 1e9
    ctx, _ = context(tmp_path, "explanation.global", far, lambda f: np.tanh(f["c0"]) + f["c1"])
    (found,) = explain(ctx, 60, 20)
    assert np.isfinite(found.values).all()
    assert found.gaps.max() < 1e-6


def test_rows_without_an_answer_for_some_variant_are_left_out_and_counted(tmp_path: Path) -> None:
    # The model refuses c0 > 1 together with c1 < 0; the mixture of a row and its background meets that for many rows, not for all.
    refuses = lambda f: np.where((f["c0"] > 1) & (f["c1"] < 0), np.nan, f["c0"] + f["c1"])  # noqa: E731
    found, said = findings(tmp_path, "explanation.global", columns(2), refuses, rows=40, background=2)
    kept = next(f for f in found if f.metric == "mean_abs_attribution").estimate
    assert kept is not None
    assert 0 < kept.n < 40
    assert f"Left out are {40 - kept.n} rows" in said


@pytest.mark.parametrize("check", ["explanation.global", "explanation.local"])
def test_where_no_row_can_be_explained_the_reason_is_given(tmp_path: Path, check: str) -> None:
    def refuses(f: Mapping[str, Any]) -> Any:
        return f["c0"] if len(f["c0"]) == N else f["c0"] * np.nan

    found, said = findings(tmp_path, check, columns(2), refuses, rows=10, background=5)
    assert [f.estimate for f in found] == [None]
    assert said.startswith("No row could be explained")


def test_values_that_have_not_settled_do_not_pass_and_are_said(tmp_path: Path) -> None:
    """Must fail: 25 coalitions on 50 inputs; what the gate lets through has a budget that suffices."""
    wild = lambda f: np.sign(np.prod([f[f"c{j}"] for j in range(9)], axis=0)) * 3 + f["c9"] * 0.1  # noqa: E731
    for method in ("kernel_shap", "leverage_shap"):
        found, said = findings(tmp_path, "explanation.global", columns(50), wild, rows=10, background=1, budget=1000, method=method)
        gate = next((f for f in found if f.metric == "sampling_error"), None)
        assert gate is None or gate.verdict != "pass"
        assert "had not settled" in said or "Left out" in said or "No row" in said
    smooth = lambda f: sum(f[f"c{j}"] for j in range(14)) + f["c0"] * f["c1"]  # noqa: E731
    found, said = findings(tmp_path, "explanation.global", columns(14), smooth, rows=30, background=5)
    assert next(f for f in found if f.metric == "sampling_error").verdict == "pass"
    assert "had not settled" not in said


def test_ties_are_counted_where_coalitions_are_drawn(tmp_path: Path) -> None:
    same = columns(13) | {"c1": np.zeros(N), "c0": np.zeros(N)}
    found, _ = findings(tmp_path, "explanation.local", same | {"c13": columns(1)["c0"]}, lambda f: sum(f.values()), rows=10, background=3)
    assert not [f for f in found if f.metric == "tied_top_reason_share"]  # twelve that move: nothing is drawn
    wide = columns(14)
    found, _ = findings(
        tmp_path, "explanation.local", wide, lambda f: np.tanh(sum(wide_.astype(float) for wide_ in f.values())), rows=10, background=3
    )
    tied = next(f for f in found if f.metric == "tied_top_reason_share").estimate
    assert tied is not None
    assert 0 <= tied.value <= 1


@pytest.mark.filterwarnings("ignore")
def test_surrogates_are_given_with_their_fit_and_without_a_claim_to_be_complete(tmp_path: Path) -> None:
    for score, linear in ((lambda f: 2 * f["c0"] + f["c1"], True), (lambda f: np.sign(f["c0"] * f["c1"] * f["c2"]), False)):
        found, said = findings(tmp_path, "explanation.global", columns(4), score, rows=10, background=5, method="lime")
        by = {f.metric: f for f in found}
        assert set(by) == {"mean_abs_attribution", "surrogate_r2", "sampling_error"}
        assert (by["surrogate_r2"].estimate.value > 0.99) == linear  # type: ignore[union-attr]
        assert (by["sampling_error"].verdict == "pass") == linear
        assert "LIME" in said
    found, said = findings(tmp_path, "explanation.local", columns(4), lambda f: f["c0"], rows=10, background=5, budget=1000, method="lime")
    assert said.startswith("No row could be explained")  # 20 variants for 5 fits of 5 unknowns


def test_columns_are_explained_together_as_the_plan_says(tmp_path: Path) -> None:
    features = columns(4)
    score = lambda f: f["c0"] * f["c2"] + f["c1"]  # noqa: E731
    found, _ = findings(tmp_path, "explanation.global", features, score, rows=20, background=10, groups={"pair": ["c0", "c2"]})
    means = {f.slice["(feature)"]: f.estimate.value for f in found if f.metric == "mean_abs_attribution" and f.estimate}
    assert set(means) == {"pair", "c1", "c3"}
    ctx, _ = context(tmp_path, "explanation.global", features, score)
    (pair,) = explain(ctx, 20, 10, groups={"pair": ["c0", "c2"], "c1": ["c1"], "c3": ["c3"]})
    (single,) = explain(ctx, 20, 10)
    # Nothing interacts beyond the pair, so its value is the sum of its columns' values.
    assert pair.values[:, 0] == pytest.approx(single.values[:, 0] + single.values[:, 2])
    assert means["pair"] == pytest.approx(np.abs(pair.values[:, 0]).mean())


def test_columns_that_go_together_are_grouped() -> None:
    rng = np.random.default_rng(0)
    a, c = rng.normal(size=300), rng.normal(size=300)
    frame: Frame = {"a": a, "b": -np.exp(a) + rng.normal(size=300) / 50, "c": c, "d": np.full(300, 1.0)}
    assert by_correlation(frame, list(frame), 0.9) == [["a", "b"]]
    assert by_correlation(frame, ["a", "c", "d"], 0.9) == []


def test_the_groups_of_the_plan_come_in_the_order_of_the_inputs(tmp_path: Path) -> None:
    ctx, _ = context(tmp_path, "explanation.global", columns(3), lambda f: f["c0"])
    assert grouped(ctx, None, 1.0) == {}
    assert grouped(ctx, {"two": ["c2", "c1"]}, 1.0) == {"c0": ["c0"], "two": ["c2", "c1"]}
