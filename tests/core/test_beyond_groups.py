"""Unknown and probable membership, people who are alike, and words that say who somebody is: known truths, must-fail cases, slow twins."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scene import Pick, Scene, set_scene

from audit import plan as plans
from audit.errors import AuditError
from audit.judge import judge_reported
from audit.measurement import Measurement
from audit.probe import collect
from audit.stats.neighbours import nearest, standardised
from audit.stats.proxies import bounds, weighted_difference
from audit.stress.terms import TEMPLATES, swapped
from audit.subject.client import Prediction
from audit.subject.frame import Frame
from audit.text import render

RNG = np.random.default_rng


# --- unknown membership ------------------------------------------------------------------------------------------------------------------


def test_bounds_hold_for_every_division_of_the_unknown_rows(tmp_path: Path) -> None:
    rng = RNG(1)
    sex = rng.choice(["f", "m"], 400)
    pred = (rng.random(400) < np.where(sex == "f", 0.4, 0.6)).astype(int)
    told = [s if known else None for s, known in zip(sex, rng.random(400) < 0.8, strict=True)]
    found = Pick(set_scene(tmp_path, pred=pred, y=pred, groups={"sex": told}).measure("fairness.unknown"))
    hidden = np.array([t is None for t in told])
    group, reference = ("f", "m") if told.count("m") > told.count("f") else ("m", "f")
    e = found("worst_case_selection_rate", "difference", sex=group).estimate
    for _ in range(200):
        drawn = np.where(hidden, rng.choice(["f", "m"], 400), sex)
        difference = pred[drawn == group].mean() - pred[drawn == reference].mean()
        assert e.low < difference < e.high
    assert (
        found("worst_case_selection_rate", "ratio", sex=group).estimate.low
        < 1
        < found("worst_case_selection_rate", "ratio", sex=group).estimate.high
    )


def test_nothing_is_said_where_membership_is_known(tmp_path: Path) -> None:
    scene = set_scene(tmp_path, pred=[0, 1] * 20, y=[0, 1] * 20, groups={"sex": ["f", "m"] * 20})
    assert scene.measure("fairness.unknown") == []


# --- probable membership -----------------------------------------------------------------------------------------------------------------


def proxied(folder: Path, p: np.ndarray, pred: np.ndarray, **params: Any) -> Pick:
    scene = set_scene(folder, pred=pred, features={"p": p})
    return Pick(scene.measure("fairness.proxy", probability=["p"], **params))


def test_a_perfect_proxy_is_the_membership(tmp_path: Path) -> None:
    rng = RNG(2)
    member = rng.random(1000) < 0.3
    pred = (rng.random(1000) < np.where(member, 0.3, 0.5)).astype(int)
    found = proxied(tmp_path, member.astype(float), pred)
    truth = pred[member].mean() - pred[~member].mean()
    for metric in ("thresholded_difference", "probability_weighted_difference", "possible_difference"):
        assert found.value(metric, **{"(column)": "p"}) == pytest.approx(truth, abs=1e-12), metric


def test_a_proxy_that_knows_nothing_of_the_decision_finds_nothing(tmp_path: Path) -> None:
    p = np.repeat([0.2, 0.7], 100)
    found = proxied(tmp_path, p, np.tile([0, 1], 100))
    assert found.value("probability_weighted_difference", **{"(column)": "p"}) == pytest.approx(0, abs=1e-12)
    e = found("possible_difference", **{"(column)": "p"}).estimate
    assert e.low < -0.4
    assert e.high > 0.4, "what it does not know is not called equality"


def test_bounds_cover_planted_memberships() -> None:
    rng, inside = RNG(3), 0
    for _ in range(40):
        p = rng.beta(1, 2, 800)
        member = rng.random(800) < p
        chosen = rng.random(800) < np.where(member, 0.2, 0.55)
        e = bounds(p, chosen, bins=20, level=0.95, draws=300, rng=rng)
        assert e is not None
        inside += e.low <= chosen[member].mean() - chosen[~member].mean() <= e.high
    assert inside >= 39
    w = weighted_difference(p, chosen, level=0.95)
    assert w is not None
    assert abs(w.value) < 0.35


def test_a_proxy_is_held_against_no_limit(tmp_path: Path) -> None:
    """Must not be judged: what is thresholded exaggerates, what is weighted understates, and no plan may make a verdict of either."""
    rng = RNG(6)
    p = rng.random(1000)
    scene = set_scene(tmp_path, pred=(rng.random(1000) < p).astype(int), features={"p": p})
    found = scene.measure("fairness.proxy", probability=["p"])
    assert Pick(found)("thresholded_difference", **{"(column)": "p"}).estimate.low > 0.3
    assert {f.verdict for f in judge_reported("fairness.proxy", found, scene.plan, judgeable=True)} == {"not_judged"}
    for metric in ("thresholded_difference", "probability_weighted_difference", "possible_difference"):
        file = tmp_path / "plan.toml"
        file.write_text(
            f'[[checks."fairness.proxy".criteria]]\nmetric = "{metric}"\ncompare = "value"\nmax = 0.1\nrole = "warns"\nsource = "t"\n'
        )
        with pytest.raises(AuditError, match=f"a criterion for {metric}, which fairness.proxy reports and which is never judged"):
            plans.load(file)


def test_a_column_of_other_numbers_is_no_probability(tmp_path: Path) -> None:
    found = proxied(tmp_path, np.arange(100.0), np.tile([0, 1], 50))
    assert found("probability_weighted_difference", **{"(column)": "p"}).estimate is None


# --- people who are alike ----------------------------------------------------------------------------------------------------------------


def test_neighbours_against_all_pairs() -> None:
    rng = RNG(4)
    x, c = standardised([rng.random(60), rng.normal(size=60)]), rng.integers(0, 3, (60, 1))
    place, distance = nearest((x[:20], x[20:]), (c[:20], c[20:]), 3)
    slow = np.array(
        [[np.abs(a - b).sum() + (i != j).sum() for b, j in zip(x[20:], c[20:], strict=True)] for a, i in zip(x[:20], c[:20], strict=True)]
    )
    assert np.allclose(distance * 3, np.sort(slow, axis=1)[:, :3])
    assert (place[:, 0] == slow.argmin(axis=1)).all()


def alike(folder: Path, pred: np.ndarray, x: np.ndarray) -> Pick:
    groups = {"sex": np.where(np.arange(len(x)) % 3 == 0, "f", "m").tolist()}
    return Pick(set_scene(folder, pred=pred, y=pred, features={"x": x}, groups=groups).measure("fairness.consistency"))


def test_consistency_of_one_cutoff_and_of_a_coin(tmp_path: Path) -> None:
    rng = RNG(5)
    x = rng.random(1000)
    smooth, coin = alike(tmp_path, (x > 0.5).astype(int), x), alike(tmp_path, rng.integers(0, 2, 1000), x)
    assert smooth.value("consistency") > 0.98
    assert coin.value("consistency") == pytest.approx(0.5, abs=0.05)
    assert coin.value("consistency_by_chance") == pytest.approx(0.5, abs=0.05)
    assert smooth("consistency", sex="f").estimate.n == pytest.approx(167, abs=2)


def test_twins_that_are_parted(tmp_path: Path) -> None:
    found = alike(tmp_path, np.array([0, 1] * 50), np.zeros(100))
    assert found("parted_twins").parts[0].n == 50
    assert found.value("parted_twins") > 0.9, "the same inputs, decided on by something else"


# --- words that say who somebody is --------------------------------------------------------------------------------------------------------


def test_swaps() -> None:
    assert swapped("A Muslim and his MUSLIM friend", ("muslim", "jewish")) == ["A Jewish and his JEWISH friend"]
    assert swapped("a middle-aged man", ("young", "middle-aged")) == ["a young man"]
    assert swapped("blackboard", ("black", "white")) == []


class Reads:
    """A model of these lines in the place of the worker's client."""

    def __init__(self, of: Any) -> None:
        self.of = of

    def predict(self, frame: Frame, *, timeout: float | None = None) -> Prediction:
        column = frame["text"]
        score = np.array([self.of(column.vocabulary[c]) for c in column.codes.tolist()])  # type: ignore[union-attr]
        return Prediction(score[:, None], None)


def spoken(folder: Path, of: Any) -> tuple[list[Measurement], Scene]:
    texts = [f"{a} {b} was here {i}" for i, (a, b) in enumerate([("A", "muslim"), ("The", "christian"), ("Some", "car")] * 20)]
    score = np.array([of(t) for t in texts])
    scene = set_scene(folder, pred=(score > 0.5).astype(int), score=score, features={"text": np.array(texts, dtype=object)})
    context = scene.context("fairness.terms")
    context.__dict__["client"] = Reads(of)
    return collect(context, {})[0], scene


def test_a_model_that_reads_no_such_word_never_moves(tmp_path: Path) -> None:
    found = Pick(spoken(tmp_path, lambda text: 0.9 if "here" in text else 0.1)[0])
    for source in ("(sampled texts)", "(neutral sentences)"):
        at = {"(terms)": "(religion)", "(source)": source}
        assert found.value("term_flip_rate", **at) == 0
        assert found.value("term_gap", **at) == 0
    assert found("term_flip_rate", **{"(terms)": "(religion)", "(source)": "(sampled texts)"}).parts[0].n == 40


def test_a_model_that_reads_one_word_fails_every_text_that_could_hold_it(tmp_path: Path) -> None:
    found = Pick(spoken(tmp_path, lambda text: 0.9 if "muslim" in text.lower() else 0.1)[0])
    at = {"(terms)": "(religion)", "(source)": "(sampled texts)"}
    assert found.value("term_flip_rate", **at) == 1
    # texts with the word move by .8 for every swap, the others for one of six
    assert found.value("term_gap", **at) == pytest.approx((0.8 + 0.8 / 6) / 2)
    neutral = {"(terms)": "(religion)", "(source)": "(neutral sentences)"}
    assert found("term_flip_rate", **neutral).parts[0].k == len(TEMPLATES)
    assert found.value("term_flip_rate", **{**neutral, "(terms)": "(age)"}) == 0


def test_the_only_text_with_such_a_word_is_called_that(tmp_path: Path) -> None:
    texts = ["A muslim was here", *(f"Some car was here {i}" for i in range(9))]
    score = np.array([0.9 if "muslim" in t else 0.1 for t in texts])
    scene = set_scene(tmp_path, pred=(score > 0.5).astype(int), score=score, features={"text": np.array(texts, dtype=object)})
    context = scene.context("fairness.terms")
    context.__dict__["client"] = Reads(lambda text: 0.9 if "muslim" in text.lower() else 0.1)
    given = {"words": {"faith": ["muslim", "christian"], "car": ["van", "lorry"]}}
    measured, summary = collect(context, given)
    rates = {m.slice["(source)"]: m.estimate for m in measured if m.metric == "term_flip_rate" and m.slice["(terms)"] == "faith"}
    assert rates["(sampled texts)"] is not None
    assert rates["(sampled texts)"].n == 1
    assert rates["(neutral sentences)"] is not None
    assert rates["(neutral sentences)"].value == 1
    assert "100 % of 10 texts" in render(summary)  # of two that change as often the one of more texts is told
    context.__dict__["client"] = Reads(lambda text: 0.9 if text == "A muslim was here" else 0.1)
    assert "that of the only text that holds one" in render(collect(context, given)[1])


def test_terms_are_held_against_the_limit_by_kind_and_source(tmp_path: Path) -> None:
    """FM-06: above 5 % surely is a fail, and no flip in 40 texts shows too little for a pass."""
    found, scene = spoken(tmp_path, lambda text: 0.9 if "muslim" in text.lower() else 0.1)
    judged = judge_reported("fairness.terms", found, scene.plan, judgeable=True)
    rates = {(f.slice["(terms)"], f.slice["(source)"]): f for f in judged if f.metric == "term_flip_rate" and f.estimate}
    assert rates["(religion)", "(sampled texts)"].verdict == "fail"
    assert rates["(religion)", "(neutral sentences)"].verdict == "fail"
    assert rates["(age)", "(neutral sentences)"].verdict == "inconclusive"
    assert {f.criterion.role for f in rates.values() if f.criterion} == {"reports"}
