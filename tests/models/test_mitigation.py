"""Mitigation: each exported net decides as fairlearn's own predictor does, and the frontier says what was measured."""

from __future__ import annotations

import argparse
import dataclasses
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from variant_scene import CUT, registered, rows

from models import frontier
from models.errors import TrainingError
from models.frontier import Sample
from models.loop import deterministic, outputs_of
from models.mitigate import _rows, _variant
from models.mitigation import methods
from models.mitigation import task as mitigated
from models.mitigation.heads import Heads, margins
from models.registered import Registered

BASE = registered()


def task(constraint: str = "demographic_parity", base: Registered = BASE) -> mitigated.Task:
    return mitigated.task(base, "side", constraint)


def chance(candidate: methods.Candidate, frame: pd.DataFrame) -> np.ndarray:
    """(n,) what the net says of the positive label."""
    return outputs_of(candidate.net.module, candidate.net.encoder.arrays(frame))[:, 1]


def known(frame: pd.DataFrame) -> pd.DataFrame:
    return frame[frame["side"].notna()].reset_index(drop=True)


def options(**changed: Any) -> argparse.Namespace:
    given = {
        "sensitive": "side",
        "constraint": "demographic_parity",
        "method": "threshold_optimizer",
        "max_cost": 0.1,
        "data": None,
        "seed": 0,
    }
    return argparse.Namespace(**given | changed)


@pytest.mark.parametrize("constraint", ["demographic_parity", "true_positive_rate_parity", "equalized_odds"])
def test_cut_offs_decide_as_fairlearn_s(constraint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from fairlearn.postprocessing import ThresholdOptimizer

    fitted = []
    real = ThresholdOptimizer.fit
    monkeypatch.setattr(ThresholdOptimizer, "fit", lambda self, *a, **k: fitted.append(real(self, *a, **k)) or fitted[-1])
    monkeypatch.setattr(methods, "TOLERANCES", (0.0, 0.05))
    candidates = list(methods.threshold_optimizer(task(constraint)))
    new = known(rows(400, 9))
    margin = margins(BASE, new).reshape(-1, 1)
    assert len(candidates) == len(fitted) == (2 if constraint == "equalized_odds" else 4)
    for candidate, method in zip(candidates, fitted, strict=True):
        expected = method._pmf_predict(margin, sensitive_features=new["side"].to_numpy(dtype=object))[:, 1]
        assert chance(candidate, new) == pytest.approx(expected, abs=1e-6)


def test_whoever_has_no_known_group_is_cut_where_the_base_cuts() -> None:
    candidate = next(iter(methods.threshold_optimizer(task())))
    new = rows(300, 9).assign(side=None)
    score = 1 / (1 + np.exp(-margins(BASE, new)))
    assert 0 < (score >= CUT).mean() < 1
    assert chance(candidate, new).tolist() == (score >= CUT).astype(float).tolist()


@pytest.mark.parametrize("one_output", [False, True])
def test_the_mixture_is_the_randomised_classifier_of_exponentiated_gradient(one_output: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    from fairlearn.reductions import ExponentiatedGradient

    fitted = []
    real = ExponentiatedGradient.fit
    monkeypatch.setattr(ExponentiatedGradient, "fit", lambda self, *a, **k: fitted.append(real(self, *a, **k)) or fitted[-1])
    monkeypatch.setattr(methods, "BOUNDS", (0.02,))
    monkeypatch.setattr(methods, "ITERATIONS", 5)
    what = task(base=registered(one_output=one_output))
    (candidate,) = methods.exponentiated_gradient(what)
    heads = Heads(what)
    expected = fitted[0]._pmf_predict(heads.scaled)[:, 1]
    assert candidate.point["heads"] > 1
    assert chance(candidate, what.train) == pytest.approx(expected, abs=1e-6)
    assert 0 < expected.mean() < 1


def test_without_correlation_the_log_odds_do_not_vary_with_the_group() -> None:
    what = task()
    *_, full = methods.correlation_remover(what)
    outputs = outputs_of(full.net.module, full.net.encoder.arrays(what.train))
    margin = outputs[:, 1] - outputs[:, 0]
    before = margins(BASE, what.train)
    b = what.group == "b"
    assert before[~b].mean() - before[b].mean() > 0.5
    assert margin[~b].mean() - margin[b].mean() == pytest.approx(0, abs=1e-4)
    assert np.corrcoef(margin, before)[0, 1] > 0.7  # and it still ranks people


def test_the_heads_of_grid_search_replace_the_last_layer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(methods, "GRID", 5)
    what = task()
    candidates = list(methods.grid_search(what))
    assert [c.net.architecture for c in candidates] == ["tabular"] * 5
    apart = [abs((chance(c, what.train) > 0)[what.group == g].mean()) for c in candidates for g in what.groups]
    assert max(apart) > min(apart)
    before, after = (dict(net.module.named_parameters()) for net in (BASE.net, candidates[0].net))
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed <= {"body.3.weight", "body.3.bias"}


def test_the_adversary_s_predictor_is_the_last_layer_of_the_net_and_says_less_of_the_group(monkeypatch: pytest.MonkeyPatch) -> None:
    from fairlearn.adversarial import AdversarialFairnessClassifier

    fitted = []
    real = AdversarialFairnessClassifier.fit
    monkeypatch.setattr(AdversarialFairnessClassifier, "fit", lambda self, *a, **k: fitted.append(real(self, *a, **k)) or fitted[-1])
    monkeypatch.setattr(methods, "ALPHAS", (0.0, 1.0))
    what = task()
    with deterministic(0, threads=1):
        plain, against = methods.adversarial(what)
    heads = Heads(what)
    found = []
    for candidate, method in zip((plain, against), fitted, strict=True):
        outputs = outputs_of(candidate.net.module, candidate.net.encoder.arrays(what.train))
        margin = outputs[:, 1] - outputs[:, 0]
        theirs = method.backendEngine_.evaluate(heads.scaled)[:, 0]
        assert 1 / (1 + np.exp(-margin)) == pytest.approx(theirs, abs=1e-4)
        found.append(margin)
    apart = [m[what.group == "a"].mean() - m[what.group == "b"].mean() for m in found]
    assert apart[0] > 0.3
    assert abs(apart[1]) < 0.5 * apart[0]
    assert (against.outputs, against.score_of) == ("logit", "outcome")
    with deterministic(0, threads=1):
        again = list(methods.adversarial(what))[1]
    assert all(torch.equal(value, again.net.module.state_dict()[name]) for name, value in against.net.module.state_dict().items())


def test_the_adversary_knows_two_constraints() -> None:
    with pytest.raises(TrainingError, match="knows no true_positive_rate_parity"):
        next(methods.adversarial(task("true_positive_rate_parity")))
    with deterministic(0, threads=1):
        assert next(methods.adversarial(task("equalized_odds"))).point == {"adversary": methods.ALPHAS[0]}


def test_a_point_by_hand() -> None:
    """Ten of each group. a: all decided for, 8 rightly; b: five decided for, 4 rightly, and two of the others wrongly refused."""
    y = np.array([True] * 8 + [False] * 2 + [True] * 4 + [False] + [True] * 2 + [False] * 3)
    decided = np.array([True] * 10 + [True] * 5 + [False] * 5)
    sample = Sample(y, np.array(["a"] * 10 + ["b"] * 10, dtype=object), weight=0.75, seed=0)
    found = frontier.measured(sample, decided, decided, constraint="demographic_parity")
    assert found["error"]["value"] == pytest.approx((3 * 1.5 + 2 * 0.5) / 20)
    assert found["error"]["low"] < found["error"]["value"] < found["error"]["high"]
    assert (found["cost"]["value"], found["cost"]["low"], found["cost"]["high"]) == (0, 0, 0)
    assert found["plain_error"]["k"] == 5
    apart = found["disparity"]
    assert (apart["value"], apart["highest"], apart["lowest"], apart["n"]) == (0.5, "a", "b", 20)
    # Newcombe (1998, method 10) from Wilson's limits of 10/10 and 5/10, (.7225, 1) and (.2366, .7634):
    assert apart["low"] == pytest.approx(0.5 - np.hypot(1 - 0.72247, 0.76341 - 0.5), abs=1e-4)
    assert apart["high"] == pytest.approx(0.5 + np.hypot(0, 0.5 - 0.23659), abs=1e-4)
    assert found["worse_for"] == []


def test_disparity_is_fairlearn_s() -> None:
    from fairlearn.metrics import demographic_parity_difference, equalized_odds_difference

    stream = np.random.default_rng(0)
    y, decided, group = stream.random(300) < 0.5, stream.random(300) < 0.4, stream.choice(list("abc"), 300).astype(object)
    sample = Sample(y, group, 0.5, 0)
    for constraint, theirs in (("demographic_parity", demographic_parity_difference), ("equalized_odds", equalized_odds_difference)):
        ours = frontier.measured(sample, decided, ~decided, constraint=constraint)
        assert ours["disparity"]["value"] == pytest.approx(theirs(y, decided, sensitive_features=group))
    assert ours["error"]["value"] == pytest.approx((decided != y).mean())


def test_the_choice_keeps_within_the_cost_and_must_be_better_than_nothing() -> None:
    def point(disparity: float, cost: float) -> dict[str, Any]:
        return {"disparity": {"value": disparity}, "cost": {"value": cost}, "error": {"value": 0.1 + cost}}

    base = point(0.2, 0.0)
    points = [point(0.15, 0.0), point(0.1, 0.02), point(0.1, 0.01), point(0.0, 0.05), point(0.3, -0.05)]
    assert frontier.chosen(base, points, most=0.02) == 2
    assert frontier.chosen(base, points, most=0.1) == 3
    assert frontier.chosen(base, points[4:], most=0.1) is None
    assert frontier.efficient(points) == [4, 0, 2, 3]


def test_groups_of_few_rows_are_shown_and_not_compared() -> None:
    group = np.array(["a"] * 20 + ["b"] * 20 + ["c"] * 9 + [None], dtype=object)
    found = frontier.measured(Sample(np.arange(50) % 2 == 0, group, 0.5, 0), group != "c", group != "c", constraint="demographic_parity")
    assert [g["group"] for g in found["groups"]] == ["a", "b", "c"]
    assert found["disparity"]["value"] == 0


def test_a_variant_says_where_it_comes_from_and_that_the_group_decides(capsys: pytest.CaptureFixture[str]) -> None:
    variant = _variant(BASE, options())
    assert variant.said | {"point": ""} == {
        "mitigated_from": "models:/made-up/1", "method": "threshold_optimizer", "constraint": "demographic_parity", "sensitive": "side",
        "point": "", "group_at_decision": "yes",
    }  # fmt: skip
    assert any("disparate treatment" in limit for limit in variant.limits)
    record = variant.reports["mitigation/frontier.json"]
    best = record["points"][record["chosen"]]
    assert best["disparity"]["value"] < record["as_it_is"]["disparity"]["value"]
    assert best["disparity"]["low"] < best["disparity"]["value"] < best["disparity"]["high"]
    assert "chosen: " in capsys.readouterr().err
    assert [c.name for c in variant.net.encoder.columns] == ["income", "debt", "job", "side"]


def test_rows_of_the_audit_may_not_choose(tmp_path: Any) -> None:
    evaluation = BASE.dataset.parts["evaluation"]
    mixed = pd.concat([rows(50, 8), evaluation.tail(3)])
    for name, frame, count in (("same.csv", evaluation, len(evaluation)), ("some.csv", mixed, 3)):
        frame.to_csv(tmp_path / name, index=False)
        with pytest.raises(TrainingError, match=f"^.*{count} rows of .* are evaluation rows"):
            _rows(BASE, task(), str(tmp_path / name))
    rows(50, 8).to_csv(tmp_path / "other.csv", index=False)
    assert len(_rows(BASE, task(), str(tmp_path / "other.csv"))) == 50


def test_what_cannot_be_mitigated_is_refused(tmp_path: Any) -> None:
    def refusal(base: Registered = BASE, sensitive: str = "side") -> str:
        with pytest.raises(TrainingError) as refused:
            mitigated.task(base, sensitive, "demographic_parity")
        return str(refused.value)

    assert "no sensitive column 'race'" in refusal(sensitive="race")
    assert "no sensitive column 'paid'" in refusal(sensitive="paid")
    assert "has 600 values" in refusal(sensitive="income")
    assert "itself a variant of models:/a/1" in refusal(dataclasses.replace(BASE, metadata={"variant": {"mitigated_from": "models:/a/1"}}))
    one = BASE.dataset.parts["train"].assign(side=lambda f: f["side"].where(f["side"] != "b", f["paid"].map({"yes": "b", "no": "c"})))
    parts = BASE.dataset.parts | {"train": one}
    assert "side 'b' have one class" in refusal(dataclasses.replace(BASE, dataset=dataclasses.replace(BASE.dataset, parts=parts)))
    rows(50, 8).assign(paid="yes").to_csv(tmp_path / "one.csv", index=False)
    with pytest.raises(TrainingError, match="one class of paid only"):
        _variant(BASE, options(data=str(tmp_path / "one.csv")))
    with pytest.raises(TrainingError, match="none of 12 points"):
        _variant(BASE, options(max_cost=-1.0))
