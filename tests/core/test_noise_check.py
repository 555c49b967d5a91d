"""Disturbed inputs against models that are written down here: what a severity does, what it costs, and whom it costs most."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scene import Pick
from written import asked

from audit import plan as plans
from audit.columns import ColumnRule
from audit.judge import judge_reported
from audit.measurement import Measurement
from audit.probe import collect
from audit.stress.disturbed import AMOUNTS, SEVERITIES, Disturber
from audit.subject.client import Prediction, WorkerError
from audit.subject.frame import Categories, Frame
from audit.text import render

N = 800
HIT = {"(noise)": "2"}


def people(seed: int = 0) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    return {"income": rng.random(N), "children": rng.integers(0, 6, N).astype(float), "owner": rng.integers(0, 2, N).astype(float)}


def by_income(frame: Any) -> Any:
    return np.clip(np.nan_to_num(frame["income"], nan=0.5), 0, 1)


def run(folder: Path, model: Any, features: dict[str, Any], y: Any, **more: Any) -> tuple[list[Measurement], str]:
    _, context = asked(folder, model, features, "robustness.noise", y=y, **more)
    found, summary = collect(context, {})
    return found, render(summary)


def frame() -> Frame:
    rng = np.random.default_rng(1)
    return {
        "x": np.append(rng.normal(10, 2, 199), np.nan), "whole": rng.integers(18, 90, 200), "flag": rng.integers(0, 2, 200).astype(float),
        "colour": Categories(rng.integers(-1, 3, 200).astype(np.int32), ("blue", "green", "red")),
        "rents": np.array([1.0, 0.0] * 100), "owns": np.array([0.0, 1.0] * 100), "constant": np.ones(200),
    }  # fmt: skip


def disturber(rows: Frame | None = None) -> Disturber:
    rules = {"rents": ColumnRule(one_hot="home"), "owns": ColumnRule(one_hot="home")}
    return Disturber(rows or frame(), rules, lambda name: np.random.default_rng(sum(map(ord, name))))


def column(rows: Frame, name: str) -> Any:
    return c.codes if isinstance(c := rows[name], Categories) else c


@pytest.mark.parametrize("kind", AMOUNTS)
def test_severity_0_is_the_frame_itself(kind: Any) -> None:
    rows = frame()
    assert disturber(rows).at(kind, 0) is rows


def test_noise_is_of_the_right_size_and_stays_in_the_range() -> None:
    rng = np.random.default_rng(0)
    rows: Frame = {"x": rng.normal(0, 3, 50_000)}
    for severity, amount in zip(SEVERITIES, AMOUNTS["noise"], strict=True):
        noisy: Any = disturber(rows).at("noise", severity)["x"]
        inside = np.abs(rows["x"]) < 3  # away from the ends nothing is clipped
        assert np.std((noisy - rows["x"])[inside]) == pytest.approx(3 * amount, rel=0.03)
        assert noisy.min() >= np.min(rows["x"])
        assert noisy.max() <= np.max(rows["x"])
    rows = frame()
    noisy = disturber(rows).at("noise", 5)
    assert set(disturber(rows).touches("noise")) == {"x", "whole"}
    assert noisy["whole"].dtype == np.int64
    assert np.isnan(noisy["x"][-1])
    assert (column(noisy, "flag") == column(rows, "flag")).all()


def test_missing_values_are_as_many_as_the_severity_says_and_a_one_hot_group_goes_together() -> None:
    rows: Frame = {"x": np.zeros(50_000), "flag": np.ones(50_000, bool)}
    for severity, amount in zip(SEVERITIES, AMOUNTS["missing"], strict=True):
        gone = disturber(rows).at("missing", severity)
        assert np.isnan(gone["x"]).mean() == pytest.approx(amount, abs=0.01)
        assert np.isnan(gone["flag"]).mean() == pytest.approx(amount, abs=0.01)
    gone = disturber().at("missing", 5)
    assert (np.isnan(gone["rents"]) == np.isnan(gone["owns"])).all()
    assert (column(gone, "colour") == -1).sum() > (column(frame(), "colour") == -1).sum()


def test_swaps_give_values_that_occur_and_keep_one_hot_groups_whole() -> None:
    rows: Frame = {"colour": Categories(np.arange(50_000, dtype=np.int32) % 3, ("a", "b", "c"))}
    for severity, amount in zip(SEVERITIES, AMOUNTS["swapped"], strict=True):
        swapped = disturber(rows).at("swapped", severity)
        assert (column(swapped, "colour") != column(rows, "colour")).mean() == pytest.approx(amount, abs=0.005)
    assert set(disturber().touches("swapped")) == {"flag", "colour", "rents", "owns"}
    swapped = disturber().at("swapped", 5)
    assert (column(swapped, "rents") + column(swapped, "owns") == 1).all()
    assert (column(swapped, "x")[:-1] == column(frame(), "x")[:-1]).all()


@settings(max_examples=25, deadline=None)
@given(values=st.lists(st.floats(-1e6, 1e6) | st.just(float("nan")), min_size=1, max_size=20), severity=st.integers(1, 5))
def test_any_column_keeps_its_length_and_its_range(values: list[float], severity: int) -> None:
    rows: Frame = {"x": np.array(values)}
    for kind in AMOUNTS:
        out: Any = disturber(rows).at(kind, severity)["x"]
        assert len(out) == len(values)
        known = rows["x"][np.isfinite(rows["x"])]
        assert not len(known) or (np.nanmax(out, initial=known.max()) <= known.max() and np.nanmin(out, initial=known.min()) >= known.min())


def test_a_higher_severity_adds_to_a_lower_one() -> None:
    for kind in ("missing", "swapped"):
        hit = [column(disturber().at(kind, s), "colour") != column(frame(), "colour") for s in SEVERITIES]  # type: ignore[arg-type]
        assert all((less <= more).all() for less, more in itertools.pairwise(hit))


def test_a_constant_model_loses_nothing(tmp_path: Path) -> None:
    y = (np.arange(N) % 3 == 0).astype(int)
    found, _ = run(tmp_path, lambda f: np.full(len(f["income"]), 0.2), people(), y)
    for m in found:
        assert m.estimate is not None
        assert m.estimate.value == 0
        for e in m.evidence:
            if e.kind == "table":
                place = [c.name for c in e.columns].index("change")
                assert [row[place] for row in e.rows] == [0.0] * 6


def test_the_loss_is_counted_by_hand_and_severity_0_is_the_clean_answer(tmp_path: Path) -> None:
    features, model = people(), by_income
    y = (features["income"] >= 0.5).astype(int)
    _, context = asked(tmp_path, model, features, "robustness.noise", y=y)
    found, summary = collect(context, {})
    sample = context.sample(N)
    noisy = Disturber(sample.frame, {}, context.rng).at("noise", 2)
    wrong = (by_income(noisy) >= 0.5).astype(int) != sample.y
    pick = Pick(found)
    assert 0.05 < wrong.mean() < 0.2
    assert pick.value("accuracy", "difference", **HIT) == pytest.approx(-wrong.mean())
    assert (pick("changed_decisions", **HIT).parts[0].k, pick("changed_decisions", **HIT).parts[0].n) == (wrong.sum(), N)
    table, curve = pick("accuracy", "difference", **HIT).evidence
    first = dict(zip([c.name for c in table.columns], table.rows[0], strict=True))
    assert (first["changed"], first["accuracy"], first["change"]) == (0.0, 1.0, 0.0)
    lost = curve.series[0].y
    assert all(a > b for a, b in itertools.pairwise(lost)), "accuracy falls with every severity"
    assert "noise of a quarter of a standard deviation" in render(summary)


def test_the_group_that_loses_most_is_named(tmp_path: Path) -> None:
    features = people()
    features["income"][: N // 2] = np.where(features["income"][: N // 2] > 0.5, 0.95, 0.05)  # far from the cutoff
    groups = {"sex": np.where(np.arange(N) < N // 2, "far", "near")}
    y = (features["income"] >= 0.5).astype(int)
    found, summary = run(tmp_path, by_income, features, y, groups=groups)
    pick = Pick(found)
    assert pick.value("accuracy", "difference", sex="near", **HIT) < -0.05 < pick.value("accuracy", "difference", sex="far", **HIT)
    assert "it costs near (sex) most" in summary


@pytest.mark.parametrize(("weight", "verdict"), [(0.0, "pass"), (1.0, "fail")])
def test_it_warns_where_a_little_noise_surely_costs_five_points(tmp_path: Path, weight: float, verdict: str) -> None:
    features = people() | {"income": 0.5 + 0.1 * np.random.default_rng(3).standard_normal(N)}  # most rows are near the cutoff

    def model(f: Any) -> Any:
        return np.clip((1 - weight) * f["owner"] + weight * by_income(f), 0, 1)

    y = (model(features) >= 0.5).astype(int)
    found, _ = run(tmp_path, model, features, y)
    judged = judge_reported("robustness.noise", found, plans.load(None), judgeable=True)
    (finding,) = [f for f in judged if f.metric == "accuracy" and f.slice == HIT]
    assert finding.verdict == verdict
    assert finding.criterion is not None
    assert finding.criterion.role == "warns"


def test_a_model_that_refuses_missing_values_is_not_given_a_number(tmp_path: Path) -> None:
    class Refusing:
        def predict(self, frame: Any, *, timeout: float | None = None) -> Prediction:
            if np.isnan(frame["income"]).any():
                raise WorkerError("model", "no NaN, please")
            return Prediction(frame["income"][:, None], None)

    features = people()
    _, context = asked(tmp_path, by_income, features, "robustness.noise", y=(features["income"] >= 0.5).astype(int))
    context.__dict__["client"] = Refusing()
    found, _ = collect(context, {})
    refused = Pick(found)("accuracy", "difference", **{"(missing)": "2"})
    assert refused.estimate is None
    assert "no usable answer" in refused.reason
    assert Pick(found).value("accuracy", "difference", **HIT) < 0


class Breaking:
    """Breaks the connection over missing values, as a server does whose process dies; `lasting`: it does not come back."""

    def __init__(self, *, lasting: bool, over: str = "missing") -> None:
        self.lasting, self.gone, self.over = lasting, False, over

    def predict(self, frame: Any, *, timeout: float | None = None) -> Prediction:
        missing = (
            bool(np.isnan(frame["income"]).any()) if self.over == "missing" else not np.isin(frame["income"], people()["income"]).all()
        )
        if missing or (self.gone and self.lasting):
            self.gone = True
            raise WorkerError("contract", "the endpoint failed 4 times: it closed the connection without an answer")
        return Prediction(by_income(frame)[:, None], None)


@pytest.mark.parametrize("lasting", [False, True])
def test_an_endpoint_that_breaks_off_over_missing_values_costs_that_disturbance_only(tmp_path: Path, lasting: bool) -> None:
    features = people()
    _, context = asked(tmp_path, by_income, features, "robustness.noise", y=(features["income"] >= 0.5).astype(int))
    context.__dict__["client"] = Breaking(lasting=lasting)
    found, summary = collect(context, {})
    pick = Pick(found)
    assert pick.value("accuracy", "difference", **HIT) < 0
    lost = pick("accuracy", "difference", **{"(missing)": "2"})
    assert lost.estimate is None
    assert ("has answered none since" if lasting else "answers undisturbed rows as before") in lost.reason
    swapped = pick("accuracy", "difference", **{"(swapped)": "2"})
    assert (swapped.estimate is None) == lasting
    assert render(summary).endswith(f"did not answer: missing values{', swapped categories' if lasting else ''}.")


def test_a_model_that_is_gone_before_anything_was_measured_is_no_result(tmp_path: Path) -> None:
    features = people()
    _, context = asked(tmp_path, by_income, features, "robustness.noise", y=(features["income"] >= 0.5).astype(int))
    context.__dict__["client"] = Breaking(lasting=True, over="noise")
    with pytest.raises(WorkerError, match="closed the connection"):
        collect(context, {})


def test_a_quantity_is_compared_by_what_it_explains(tmp_path: Path) -> None:
    features = people()
    value = 100 * features["income"]
    found, summary = run(
        tmp_path,
        lambda f: 100 * by_income(f),
        features,
        value,
        pred=value,
        score=None,
        task="regression",
        favourable=["high"],
        decision=None,
    )
    assert -0.2 < Pick(found).value("r2", "difference", **HIT) < -0.02
    assert "R²" in summary


def test_without_outcomes_decisions_alone_are_compared(tmp_path: Path) -> None:
    found, summary = run(tmp_path, by_income, people(), None)
    assert not [m for m in found if m.metric == "accuracy"]
    assert Pick(found).value("changed_decisions", **HIT) > 0
    assert "No outcome is known" in summary
