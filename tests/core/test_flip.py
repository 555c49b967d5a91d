"""Attribute flips against models that are written down here: a known share, an ignored column, noise, and controls."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scene import Pick, Scene, set_scene

from audit import plan as plans
from audit.flips import differing, to_other_groups
from audit.judge import judge_reported
from audit.measurement import Measurement, Message
from audit.probe import collect
from audit.subject.client import Prediction
from audit.subject.frame import Categories, Frame
from audit.text import render

N = 600
Model = Callable[[Frame], Any]


class Written:
    """A model of these lines in the place of the worker's client; it counts the rows that it was asked for."""

    def __init__(self, model: Model) -> None:
        self.model, self.asked = model, 0

    def predict(self, frame: Frame, *, timeout: float | None = None) -> Prediction:
        values = np.asarray(self.model(frame), dtype=float)
        self.asked += len(values)
        return Prediction(values[:, None], None)


def people(seed: int = 0) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    return {
        "sex": rng.integers(0, 2, N).astype(float),
        "income": rng.random(N),
        "noise": rng.random(N),
        "region": rng.integers(0, 3, N).astype(float),
    }


def scene(folder: Path, model: Model, features: dict[str, Any], **more: Any) -> Scene:
    score = np.asarray(model(features), dtype=float)
    groups = {name: [f"{v:g}" for v in features[name]] for name in ("sex", "region") if name in features}
    return set_scene(folder, **{"pred": (score > 0.5).astype(int), "score": score, "features": features, "groups": groups} | more)


def run(scene: Scene, model: Model | None, **params: Any) -> tuple[list[Measurement], Message, Written]:
    context = scene.context("fairness.flip")
    client = Written(model or (lambda frame: pytest.fail("nobody should have been asked")))
    context.__dict__["client"] = client
    found, summary = collect(context, params)
    return found, summary, client


def uses_sex(frame: Any) -> Any:
    return np.clip(0.9 * frame["income"] + 0.1 * frame["sex"], 0, 1)


def test_the_share_of_decisions_that_change_is_counted_by_hand(tmp_path: Path) -> None:
    features = people()
    found, summary, _ = run(scene(tmp_path, uses_sex, features), uses_sex)
    before, after = uses_sex(features), uses_sex(features | {"sex": 1 - features["sex"]})
    k = int(((before > 0.5) != (after > 0.5)).sum())
    pick = Pick(found)
    flips = pick("flip_rate", **{"(feature)": "sex"})
    assert (flips.parts[0].k, flips.parts[0].n) == (k, N)
    assert 0 < k < N / 5
    assert pick.value("flip_score_change", **{"(feature)": "sex"}) == pytest.approx(np.abs(after - before).mean())
    assert pick.value("repeat_rate") == 0
    excess = pick("flip_rate", "difference", **{"(feature)": "sex"})
    assert excess.estimate.value == k / N
    assert excess.against == {"(feature)": "(asked again)"}
    assert "Changing sex alone changes the decision" in render(summary)
    by_value = {row[0]: row[2] for row in flips.evidence[0].rows}
    assert sum(by_value.values()) == k  # with two values each row is set to the other one


def test_a_model_that_takes_the_column_and_ignores_it_changes_nothing(tmp_path: Path) -> None:
    def ignores(frame: Any) -> Any:
        return frame["income"]

    found, _, _ = run(scene(tmp_path, ignores, people()), ignores)
    for column in ("sex", "region"):
        assert Pick(found).value("flip_rate", **{"(feature)": column}) == 0
        excess = Pick(found)("flip_rate", "difference", **{"(feature)": column}).estimate
        assert excess.low < 0 == excess.value < excess.high < 0.01  # none in so many rows is not none at all
        assert Pick(found).value("flip_score_change", **{"(feature)": column}) == 0


def test_a_model_that_does_not_take_the_column_is_not_asked(tmp_path: Path) -> None:
    features = people()
    given = {name: features[name] for name in ("income", "noise")}
    made = scene(tmp_path, lambda f: f["income"], given, groups={"sex": [f"{v:g}" for v in features["sex"]]})
    found, summary, client = run(made, None)
    zero = Pick(found)("flip_rate", **{"(feature)": "sex"}).estimate
    assert (zero.value, zero.low, zero.high, zero.method) == (0, 0, 0, "exact")
    assert client.asked == 0
    assert "takes none of the sensitive columns" in render(summary)


def test_the_least_used_input_is_the_control_and_is_chosen_on_other_rows(tmp_path: Path) -> None:
    found, summary, _ = run(scene(tmp_path, uses_sex, people()), uses_sex)
    over = Pick(found)("flip_rate_over_input", "difference", **{"(feature)": "sex"})
    assert over.against == {"(feature)": "noise"}
    assert over.estimate.n == N // 2
    assert over.estimate.low > 0
    inputs = {row[0]: row[1] for row in Pick(found)("flip_rate", **{"(feature)": "sex"}).evidence[1].rows}
    assert inputs["noise"] == 0 < inputs["sex"] < inputs["income"]
    assert "region" not in inputs  # a sensitive column is no control
    assert "noise changes fewest" in render(summary)


def test_noise_in_the_answers_is_no_use_of_the_column(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)

    def rattles(frame: Any) -> Any:
        return np.clip(frame["income"] + rng.normal(0, 0.05, len(frame["income"])), 0, 1)

    found, _, _ = run(scene(tmp_path, rattles, people()), rattles)
    assert Pick(found).value("repeat_rate") > 0.01
    excess = Pick(found)("flip_rate", "difference", **{"(feature)": "sex"}).estimate
    assert excess.low < 0 < excess.high


def test_with_more_than_two_values_any_of_them_may_change_a_decision(tmp_path: Path) -> None:
    def by_region(frame: Any) -> Any:
        return np.where(frame["region"] == 2, 0.9, 0.1)

    features = people()
    found, _, _ = run(scene(tmp_path, by_region, features), by_region)
    assert Pick(found).value("flip_rate", **{"(feature)": "region"}) == 1
    assert Pick(found).value("flip_rate", **{"(feature)": "sex"}) == 0
    table = Pick(found)("flip_rate", **{"(feature)": "region"}).evidence[0]
    others = {row[0]: row[1:3] for row in table.rows}
    sizes = {v: int((features["region"] == float(v)).sum()) for v in "012"}
    assert others["2"] == [N - sizes["2"], N - sizes["2"]]
    assert others["0"] == [N - sizes["0"], sizes["2"]]


def test_a_cutoff_is_the_decision(tmp_path: Path) -> None:
    features = people()
    made = scene(tmp_path, uses_sex, features, decision="score>=0.8")
    found, _, _ = run(made, uses_sex)
    before, after = uses_sex(features), uses_sex(features | {"sex": 1 - features["sex"]})
    assert Pick(found)("flip_rate", **{"(feature)": "sex"}).parts[0].k == int(((before >= 0.8) != (after >= 0.8)).sum())


def test_decisions_that_are_a_column_are_not_the_models_to_change(tmp_path: Path) -> None:
    found, summary, _ = run(scene(tmp_path, uses_sex, people(), decision="column=outcome"), uses_sex)
    rate = Pick(found)("flip_rate", **{"(feature)": "sex"})
    assert rate.estimate is None
    assert "not the model's to change" in rate.reason
    assert Pick(found).value("flip_score_change", **{"(feature)": "sex"}) > 0
    assert "Nothing could be said" in render(summary)


def test_the_budget_is_kept(tmp_path: Path) -> None:
    _, _, client = run(scene(tmp_path, uses_sex, people()), uses_sex, budget=5_000, values=2, inputs=2)
    assert 0 < client.asked <= 5_000


def test_unknown_membership_is_neither_changed_nor_a_value_to_change_to(tmp_path: Path) -> None:
    features = people()
    sex = [None if i < 100 else f"{v:g}" for i, v in enumerate(features["sex"])]
    found, _, _ = run(scene(tmp_path, uses_sex, features, groups={"sex": sex}), uses_sex)
    rate = Pick(found)("flip_rate", **{"(feature)": "sex"})
    assert rate.parts[0].n == N - 100
    assert {row[0] for row in rate.evidence[0].rows} == {"0", "1"}


def test_one_value_only_has_nothing_to_change_to(tmp_path: Path) -> None:
    features = people() | {"sex": np.zeros(N)}
    found, _, _ = run(scene(tmp_path, uses_sex, features), uses_sex)
    assert "one value of it only" in Pick(found)("flip_rate", **{"(feature)": "sex"}).reason


def test_a_quantity_is_selected_above_its_median(tmp_path: Path) -> None:
    def value(frame: Any) -> Any:
        return 100 * frame["income"] + 30 * frame["sex"]

    features = people()
    groups = {"sex": [f"{v:g}" for v in features["sex"]]}
    made = set_scene(
        tmp_path, pred=value(features), y=value(features), task="regression", favourable=["high"], features=features, groups=groups
    )
    found, _, _ = run(made, value)
    median, after = np.median(value(features)), value(features | {"sex": 1 - features["sex"]})
    assert Pick(found)("flip_rate", **{"(feature)": "sex"}).parts[0].k == int(((value(features) > median) != (after > median)).sum())
    assert Pick(found).value("flip_score_change", **{"(feature)": "sex"}) == pytest.approx(30)


@pytest.mark.parametrize(("weight", "verdict"), [(0.1, "fail"), (0.0, "pass"), (0.012, "inconclusive")])
def test_it_warns_where_more_than_one_in_a_hundred_surely_changes(tmp_path: Path, weight: float, verdict: str) -> None:
    def model(frame: Any) -> Any:
        return 0.9 * frame["income"] + weight * frame["sex"]

    found, _, _ = run(scene(tmp_path, model, people()), model)
    judged = judge_reported("fairness.flip", found, plans.load(None), judgeable=True)
    (excess,) = [f for f in judged if (f.metric, f.compare, f.slice) == ("flip_rate", "difference", {"(feature)": "sex"})]
    assert excess.verdict == verdict
    assert excess.criterion is not None
    assert excess.criterion.role == "warns"


def test_two_runs_agree(tmp_path: Path) -> None:
    one, other = (run(scene(tmp_path, uses_sex, people()), uses_sex)[0] for _ in range(2))
    assert one == other


def test_every_row_gets_the_middle_value_of_every_other_group() -> None:
    age, groups = np.array([20.0, 30, 40, 61, 62, 63, 64]), np.array([0, 0, 0, 1, 1, 1, 1], np.int16)
    donors, chosen = to_other_groups(age, groups, most=5)
    assert age[donors].tolist() == [[62, 62, 62, 30, 30, 30, 30]]
    assert chosen.tolist() == [[1, 1, 1, 0, 0, 0, 0]]
    colours = Categories(np.array([2, 0, 1, 1], np.int32), ("red", "green", "blue"))
    donors, _ = to_other_groups(colours, np.array([0, 1, 2, 2], np.int16), most=1)
    assert colours.codes[donors].tolist() == [[1, 1, 2, 2]]  # to the largest other group only


def test_donors_differ_where_they_can() -> None:
    rng = np.random.default_rng(0)
    column = np.array([0.0] * 50 + [1.0] * 50)
    assert (column[differing(column, 3, rng)] != column).all()
    assert differing(np.zeros(10), 2, rng).shape == (2, 10)
