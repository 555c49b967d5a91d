"""Representation, leakage, proxies, the training gap, challengers and periods: planted truths are found, and nothing is found where nothing is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scene import Pick, Scene, set_scene
from scipy.stats import chisquare, multinomial

from audit import plan as plans
from audit.features import FeatureSpec, Field
from audit.fitted import coded_inputs, named_numbers
from audit.judge import judge_reported
from audit.measurement import Table
from audit.probe import collect
from audit.stats.power import minimal_detectable_difference
from audit.subject.client import Prediction
from audit.subject.frame import Frame, rows
from audit.text import render


def said(scene: Scene, check: str, **params: Any) -> str:
    return render(scene.summary(check, **params))


# --- representation ------------------------------------------------------------------------------------------------------------------


def people(folder: Path, **more: Any) -> Scene:
    """400 of f, 580 of m and 20 of x; 30, 60 and 50 % of them have the event."""
    sex = ["f"] * 400 + ["m"] * 580 + ["x"] * 20
    y = [1] * 120 + [0] * 280 + [1] * 348 + [0] * 232 + [1, 0] * 10
    return set_scene(folder, y=y, pred=[1, 0] * 500, groups={"sex": sex}, **more)


def test_shares_base_rates_and_small_groups(tmp_path: Path) -> None:
    scene = people(tmp_path)
    found = Pick(scene.measure("data.representation"))
    assert found.value("group_share", sex="m") == 0.58
    assert found.value("base_rate", sex="f") == 0.3
    assert found("base_rate", sex="x").parts[0].k == 10
    assert "x (sex) (20 rows)" in said(scene, "data.representation")


def test_detectable_differences_use_the_common_rate_only(tmp_path: Path) -> None:
    """Half of everybody is selected; what a group's own rate is does not matter."""
    found = Pick(people(tmp_path).measure("data.representation"))
    expected = minimal_detectable_difference(400, 580, 0.5, alpha=0.05, power=0.8)
    assert found.value("detectable_difference", sex="f") == pytest.approx(expected)
    assert found("detectable_difference", sex="f").estimate.high == pytest.approx(expected), "the spread is largest at one half"
    assert not [m for m in found.found if m.metric == "detectable_difference" and m.slice == {"sex": "m"}], "the reference has none"


def test_declared_population_shares(tmp_path: Path) -> None:
    shares = {"f": 0.5, "m": 0.48, "x": 0.02}
    found = Pick(people(tmp_path).measure("data.representation", population={"sex": shares}))
    distance = found("population_distance", **{"(column)": "sex"})
    assert distance.estimate.value == pytest.approx(0.1)
    assert distance.test.p_value == pytest.approx(chisquare([400, 580, 20], [500, 480, 20]).pvalue)
    assert found.value("share_minus_population", sex="f") == pytest.approx(-0.1)
    assert found("share_minus_population", sex="f").estimate.high < 0


def test_few_expected_are_tested_by_draws_not_by_the_approximation(tmp_path: Path) -> None:
    """Ten rows: the exact p of the same statistic, by listing every table."""
    scene = set_scene(tmp_path, y=[0, 1] * 5, pred=[0, 1] * 5, groups={"sex": ["f"] * 6 + ["m"] * 4})
    test = Pick(scene.measure("data.representation", population={"sex": {"f": 0.3, "m": 0.7}}))(
        "population_distance", **{"(column)": "sex"}
    ).test
    statistic = [(k - 3) ** 2 / 3 + (3 - k) ** 2 / 7 for k in range(11)]
    exact = sum(multinomial.pmf([k, 10 - k], 10, [0.3, 0.7]) for k in range(11) if statistic[k] >= statistic[6] - 1e-9)
    assert test.method == "multinomial_draws"
    assert test.p_value == pytest.approx(exact, abs=0.01)


@pytest.mark.parametrize(("declared", "why"), [({"f": 0.5, "m": 0.5}, "x"), ({"f": 0.5, "m": 0.2, "x": 0.1}, "sum to 1")])
def test_population_shares_that_do_not_fit_say_so(tmp_path: Path, declared: dict[str, float], why: str) -> None:
    found = Pick(people(tmp_path).measure("data.representation", population={"sex": declared}))
    assert why in str(found("population_distance", **{"(column)": "sex"}).reason)


def test_shares_against_the_training_rows(tmp_path: Path) -> None:
    """The scene's training rows are its own: no difference."""
    found = people(tmp_path).measure("data.representation")
    differences = [m for m in found if m.compare == "difference"]
    assert [m.slice["sex"] for m in differences] == ["m", "f", "x"]
    assert all(m.estimate is not None and m.estimate.value == 0 for m in differences)


# --- leakage -------------------------------------------------------------------------------------------------------------------------


def leaky(folder: Path, **more: Any) -> Scene:
    """1,000 audited rows: 30 equal training rows, 10 more equal them with another outcome, 5 but for the last digits and 7 but for one input."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(1000, 5)).round(6) + 10
    y = rng.integers(0, 2, 1000)
    known, outcome = rng.normal(size=(2000, 5)).round(6) + 30, rng.integers(0, 2, 2000)
    known[:52], outcome[:52] = x[:52], y[:52]
    outcome[30:40] = 1 - outcome[30:40]
    known[40:45] += 1e-7
    known[45:52, 2] += 4
    training = {f"x{i}": known[:, i] for i in range(5)} | {"outcome": outcome.astype(str)}
    more = {"pred": np.where(np.arange(1000) < 40, y, 0), **more}
    return set_scene(folder, y=y, features={f"x{i}": x[:, i] for i in range(5)}, training=training, **more)


def test_rows_seen_in_training_are_found_exactly(tmp_path: Path) -> None:
    scene = leaky(tmp_path)
    found = Pick(scene.measure("data.leakage"))
    assert found("seen_row_share").parts[0].k == 40
    assert found("seen_case_share").parts[0].k == 30
    assert found("near_seen_row_share").parts[0].k == 12
    assert found("repeated_row_share").parts[0].k == 0
    table = {row[0]: row[1:] for row in found("seen_row_share").evidence[0].rows}
    assert [table[name][0] for name in ("all inputs equal", "equal after rounding and trimming", "all inputs but one equal")] == [
        40,
        45,
        47,
    ]
    assert "40 (4 %)" in said(scene, "data.leakage")


def test_the_model_on_rows_seen_and_not_seen(tmp_path: Path) -> None:
    scene = leaky(tmp_path)
    found = Pick(scene.measure("data.leakage"))
    seen = found("accuracy", **{"(rows)": "(seen)"})
    assert (seen.parts[0].k, seen.parts[0].n) == (40, 40)
    unseen = found("accuracy", **{"(rows)": "(unseen)"})
    right = int((scene.context("data.leakage").scored.y[40:] == 0).sum())
    assert (unseen.parts[0].k, unseen.parts[0].n) == (right, 960)
    assert found.value("accuracy", "difference", **{"(rows)": "(seen)"}) == pytest.approx(1 - right / 960)


def test_repeated_rows_and_coincidence(tmp_path: Path) -> None:
    """One input of two values: everything repeats, and as many equal pairs are there as coincidence lets one expect."""
    x = np.array([0.0, 1.0] * 100)
    scene = set_scene(tmp_path, y=[0, 1] * 100, pred=[0, 1] * 100, features={"x": x})
    found = Pick(scene.measure("data.leakage"))
    assert found.value("repeated_row_share") == found.value("seen_row_share") == 1
    pairs, expected = found("seen_row_share").evidence[0].rows[1][3:]
    assert pairs == 200 * 100
    assert expected == round(2 * (100 * 99 / 2) / (200 * 199 / 2) * 200 * 200)


def test_an_input_that_gives_the_outcome_away_is_named(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 600)
    features = {
        "noise": rng.normal(size=600),
        "leak": y + rng.normal(0, 0.1, 600),
        "bend": np.where(y, rng.normal(0, 0.2, 600), rng.choice([-2, 2], 600)),
    }
    scene = set_scene(tmp_path, y=y, pred=y, features=features)
    found = Pick(scene.measure("data.leakage"))
    assert found.value("single_input_auc", **{"(feature)": "leak"}) > 0.99
    assert found.value("single_input_auc", **{"(feature)": "bend"}) > 0.95, "an input need not rise with the outcome to give it away"
    noise = found("single_input_auc", **{"(feature)": "noise"}).estimate
    assert noise.low - 0.01 < 0.5 < noise.high
    findings = judge_reported("data.leakage", found.found, plans.load(None), judgeable=True)
    verdicts = {f.slice["(feature)"]: f.verdict for f in findings if f.metric == "single_input_auc"}
    assert (verdicts["leak"], verdicts["noise"]) == ("fail", "pass")
    assert "almost alone" in said(scene, "data.leakage")
    assert "leak" in said(scene, "data.leakage")


def test_of_thousands_of_inputs_the_best_stand_in_the_table_and_it_says_of_how_many(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    y = rng.integers(0, 2, 200)
    picture = rng.random((200, 1, 6, 10)).astype(np.float32)
    picture[:, 0, 4, 0] = y
    found = Pick(set_scene(tmp_path, y=y, pred=y, features={"picture": picture}).measure("data.leakage"))
    (table,) = next(m.evidence for m in found.found if m.evidence and m.metric == "single_input_auc")
    assert isinstance(table, Table)
    assert [len(table.rows), table.rows[0][0]] == [50, "picture[5, 1]"]
    assert table.caption == "How well each input alone predicts the outcome: the best 50 of 60"


def test_without_training_rows_the_rest_is_still_measured(tmp_path: Path) -> None:
    scene = leaky(tmp_path)
    scene.facts = scene.facts.model_copy(update={"training": None})
    found = Pick(scene.measure("data.leakage"))
    assert found("seen_row_share").estimate is None
    assert found("repeated_row_share").estimate is not None
    assert "--training" in said(scene, "data.leakage")


def test_the_same_file_is_said_plainly(tmp_path: Path) -> None:
    scene = leaky(tmp_path)
    same = scene.facts.training.model_copy(update={"sha256": scene.facts.sha256})  # type: ignore[union-attr]
    scene.facts = scene.facts.model_copy(update={"training": same})
    assert "the same file" in said(scene, "data.leakage")


# --- proxies -------------------------------------------------------------------------------------------------------------------------


def test_a_copy_of_sex_with_noise_is_the_strongest_proxy(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    sex = rng.choice(["f", "m"], 1500)
    copy = np.where(rng.random(1500) < 0.1, sex == "f", sex == "m").astype(float)
    features = {"age": rng.normal(40, 10, 1500), "copy": copy, "height": rng.normal(170, 8, 1500) + 6 * (sex == "m")}
    scene = set_scene(tmp_path, y=rng.integers(0, 2, 1500), pred=rng.integers(0, 2, 1500), groups={"sex": sex}, features=features)
    found = scene.measure("data.proxies")
    strongest = [m.slice["(feature)"] for m in found if m.metric == "cramers_v"]
    assert strongest[:2] == ["copy", "height"]
    pick = Pick(found)
    assert pick.value("cramers_v", **{"(feature)": "copy", "(of)": "sex"}) == pytest.approx(0.8, abs=0.05)
    assert pick.value("cramers_v", **{"(feature)": "age", "(of)": "sex"}) < 0.1
    together = [m for m in found if m.metric == "membership_auc"]
    assert len(together) == 2, "two groups are told from each other once, with one control"
    assert together[0].estimate.low > 0.88  # type: ignore[union-attr]
    assert together[1].slice["(control)"] == "(shuffled)"
    assert together[1].estimate.low < 0.5 < together[1].estimate.high  # type: ignore[union-attr]
    assert "copy" in said(scene, "data.proxies")


def test_the_sensitive_column_itself_is_no_proxy(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    sex = rng.integers(0, 2, 400)
    scene = set_scene(
        tmp_path, y=sex, pred=sex, groups={"sex": sex.astype(str)}, features={"sex": sex.astype(float), "x": rng.normal(size=400)}
    )
    assert {m.slice["(feature)"] for m in scene.measure("data.proxies") if m.metric == "cramers_v"} == {"x"}


# --- training gap --------------------------------------------------------------------------------------------------------------------


class Memory:
    """A model that knows its training rows by heart and guesses the others: its score is the outcome where the input was seen, else the input's noise."""

    def __init__(self, x: Any, y: Any) -> None:
        self.known = dict(zip(np.asarray(x).tolist(), np.asarray(y).tolist(), strict=True))

    def predict(self, frame: Frame, *, timeout: float | None = None) -> Prediction:
        assert rows(frame)
        x = np.asarray(frame["x"])
        guess = (np.sin(x * 1e4) + 1) / 2
        return Prediction(np.array([self.known.get(v, g) for v, g in zip(x.tolist(), guess, strict=True)], dtype=float)[:, None], None)


@pytest.fixture
def memory(tmp_path: Path) -> Scene:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=1000), rng.integers(0, 2, 1000)
    score = (np.sin(x * 1e4) + 1) / 2
    training = {"x": rng.normal(size=3000), "outcome": rng.integers(0, 2, 3000).astype(str)}
    scene = set_scene(tmp_path, y=y, pred=(score >= 0.5).astype(int), score=score, features={"x": x}, training=training)
    scene.client = Memory(training["x"], training["outcome"].astype(int))  # type: ignore[attr-defined]
    return scene


def asked(scene: Scene, check: str) -> tuple[list[Any], str]:
    context = scene.context(check)
    context.__dict__["client"] = scene.client  # type: ignore[attr-defined]
    found, summary = collect(context, {})
    return found, render(summary)


def test_a_model_that_memorised_its_training_rows_shows_the_gap(memory: Scene) -> None:
    found, summary = asked(memory, "performance.gap")
    pick = Pick(found)
    trained = pick("roc_auc", **{"(rows)": "(training)"}).estimate
    assert (trained.value, trained.n) == (1, 2000)
    gap = pick("roc_auc", "difference", **{"(rows)": "(training)"})
    assert gap.estimate is None or gap.estimate.low > 0.4
    assert "2,000 of the 3,000 training rows" in summary or "cannot be compared" in summary


# --- challengers ---------------------------------------------------------------------------------------------------------------------


def contest(folder: Path, **given: Any) -> Scene:
    """A quantity or an event that is linear in two inputs; one is a text. The training rows are others of the same kind."""
    rng = np.random.default_rng(1)

    def draw(n: int) -> tuple[dict[str, Any], Any]:
        x = {"a": rng.normal(size=n), "b": rng.normal(size=n)}
        x["b"][::10] = np.nan
        return x, x["a"] + rng.normal(size=n)

    x, signal = draw(800)
    known, outcome = draw(1200)
    binary = given.get("task") != "regression"
    training = known | {"outcome": (outcome > 0).astype(int).astype(str) if binary else outcome}
    y = (signal > 0).astype(int) if binary else signal
    return set_scene(folder, y=y, features=x, training=training, **{k: (v(x, y) if callable(v) else v) for k, v in given.items()})


def test_a_useless_model_is_beaten_and_the_truth_is_not(tmp_path: Path) -> None:
    useless = contest(tmp_path, pred=lambda x, y: np.zeros(800, int), score=lambda x, y: (np.sin(x["a"] * 1e5) + 1) / 2)
    found = Pick(useless.measure("performance.challengers"))
    linear = found("roc_auc", "difference", **{"(model)": "(linear)"})
    assert linear.estimate.low > 0.2
    assert linear.estimate.method == "delong_paired"
    assert found("brier_score", "difference", **{"(model)": "(linear)"}).estimate.high < 0, "a lower Brier score is better"
    truth = contest(tmp_path, pred=lambda x, y: y, score=lambda x, y: 1 / (1 + np.exp(-2 * x["a"])))
    best = Pick(truth.measure("performance.challengers"))("roc_auc", "difference", **{"(model)": "(linear)"})
    assert best.estimate.low < 0.01
    assert best.estimate.high < 0.05
    assert "1,200 of the 1,200 training rows" in said(truth, "performance.challengers")


def test_a_quantity_and_labels_only(tmp_path: Path) -> None:
    quantity = contest(tmp_path, task="regression", favourable=["high"], pred=lambda x, y: x["a"])
    found = Pick(quantity.measure("performance.challengers"))
    assert found.value("r2", **{"(model)": "(audited)"}) == pytest.approx(found.value("r2", **{"(model)": "(linear)"}), abs=0.02)
    assert found("r2", "difference", **{"(model)": "(tree)"}).estimate.value < 0.02
    labels = contest(tmp_path, pred=lambda x, y: (x["a"] > 0).astype(int))
    assert {m.metric for m in labels.measure("performance.challengers")} == {"accuracy"}


def test_the_rows_that_challengers_learn_from_are_bounded_and_said(tmp_path: Path) -> None:
    scene = contest(tmp_path, pred=lambda x, y: y)
    assert "100 of the 1,200 training rows" in said(scene, "performance.challengers", rows=100)


# --- periods -------------------------------------------------------------------------------------------------------------------------


def drifting(folder: Path, noise: tuple[float, ...]) -> Scene:
    """Periods of 800 rows whose score says less and less of the outcome."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 800 * len(noise))
    score = 1 / (1 + np.exp(-(2 * y - 1 + rng.normal(size=len(y)) * np.repeat(noise, 800))))
    period = np.repeat([str(2019 + i) for i in range(len(noise))], 800)
    return set_scene(folder, y=y, pred=(score >= 0.5).astype(int), score=score, period=period)


def test_a_drift_is_found_and_named(tmp_path: Path) -> None:
    scene = drifting(tmp_path, (1, 1.5, 2, 3))
    found = Pick(scene.measure("performance.period"))
    auc = [found.value("roc_auc", when=str(2019 + i)) for i in range(4)]
    assert auc == sorted(auc, reverse=True)
    assert found("roc_auc_spread").test.p_value < 1e-6
    assert found("roc_auc_trend").estimate.high < 0
    assert "It falls by" in said(scene, "performance.period")
    assert [row[1] for row in found("base_rate", when="2019").evidence[0].rows] == [800] * 4


def test_no_drift_is_seldom_found(tmp_path: Path) -> None:
    scene = drifting(tmp_path, (1.5, 1.5, 1.5))
    found = Pick(scene.measure("performance.period"))
    assert found("roc_auc_spread").test.p_value > 0.05
    assert "no difference beyond chance was found" in said(scene, "performance.period")


def test_periods_of_labels_and_of_quantities(tmp_path: Path) -> None:
    y = np.array([0, 1] * 50)
    labels = set_scene(tmp_path, y=y, pred=np.where(np.arange(100) < 50, y, 1), period=["1"] * 50 + ["2"] * 50)
    found = Pick(labels.measure("performance.period"))
    assert (found.value("accuracy", when="1"), found.value("accuracy", when="2")) == (1, 0.5)
    assert found("accuracy_spread").test.p_value < 0.001
    value = np.arange(100.0)
    quantity = set_scene(
        tmp_path,
        y=value,
        pred=value + np.where(value < 50, 1, 5) * (-1) ** value + value / 100,
        task="regression",
        period=["1"] * 50 + ["2"] * 50,
    )
    found = Pick(quantity.measure("performance.period"))
    assert found.value("mean_absolute_error", when="2") > 4 > found.value("mean_absolute_error", when="1")
    assert found("mean_absolute_error_spread").test.p_value < 0.001


def test_the_gap_is_held_against_a_line_that_warns() -> None:
    (criterion,) = plans.load(None).checks["performance.gap"].criteria
    assert (criterion.metric, criterion.compare, criterion.max, criterion.role, criterion.rule) == (
        "roc_auc",
        "difference",
        0.05,
        "warns",
        "margin",
    )


def test_the_numbers_of_one_input_are_named_by_event_and_field_or_by_pixel() -> None:
    events = FeatureSpec(name="visits", kind="sequence", read="decoded", shape=(2, 2), fields=(Field(name="age", kind="number"), Field(name="ward", kind="category")))  # fmt: skip
    assert named_numbers(events) == ["visits[1].age", "visits[1].ward", "visits[2].age", "visits[2].ward"]
    grey = FeatureSpec(name="digit", kind="image", read="decoded", shape=(1, 1, 2))
    assert named_numbers(grey) == ["digit[1, 1]", "digit[1, 2]"]
    coded = coded_inputs({"visits": np.arange(40.0).reshape(10, 4)}, [events])
    assert list(coded) == named_numbers(events)
    assert list(coded_inputs({"x": np.arange(40.0).reshape(10, 4)})) == ["x[1]", "x[2]", "x[3]", "x[4]"]


def test_pictures_stand_in_the_table_of_columns_with_the_rows_that_have_none(tmp_path: Path) -> None:
    pictures = np.random.default_rng(0).random((40, 1, 4, 4)).astype(np.float32)
    scene = set_scene(tmp_path, y=[0, 1] * 20, pred=[0, 1] * 20, features={"picture": pictures})
    rows = next(m for m in scene.measure("data.profile") if m.metric == "rows")
    (table,) = rows.evidence
    assert isinstance(table, Table)
    (line,) = [row for row in table.rows if row[0] == "picture"]
    assert line[1:4] == ["image", 0.0, None]
