"""Attacks on pictures, from the check down: known robust accuracy of a linear model, masked gradients, workers that lie, and no gradients at all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bright_halves import MARGIN, SIDE, Client, Half, Module, N, pictures, scene
from scene import Pick, Scene

from audit.judge import judge_reported
from audit.measurement import Measurement, Message
from audit.plan import CheckPlan, CriterionRule
from audit.probe import collect
from audit.stress.square import Box, square
from audit.text import render

CHECK = "robustness.adversarial"


def run(made: Scene, client: Any, **params: Any) -> tuple[list[Measurement], Message]:
    context = made.context(CHECK)
    context.__dict__["client"] = client
    return collect(context, {"queries": 100} | params)


def test_robust_accuracy_of_a_linear_model_is_the_share_of_margins_beyond_epsilon(tmp_path: Path) -> None:
    client = Client(Half())
    found, summary = run(scene(tmp_path), client, epsilons=[0.052, 0.102, 0.152], rows=N)
    pick, y = Pick(found), (MARGIN > 0).astype(int)
    right = (np.arange(N) >= 3) & (y == (MARGIN > 0))
    assert pick.value("accuracy_unattacked") == right.mean()
    for epsilon in (0.052, 0.102, 0.152):
        assert pick.value("robust_accuracy", **{"(epsilon)": f"{epsilon:g}"}) == (right & (np.abs(MARGIN) > epsilon)).mean()
    assert pick.value("robust_accuracy", lens="near", **{"(epsilon)": "0.102"}) == 0
    exact = pick("robust_accuracy", **{"(epsilon)": "0.102"}).estimate
    assert exact.method == "clopper_pearson"
    assert "Lowest for near (lens)" in render(summary)
    (table,) = pick("robust_accuracy", **{"(epsilon)": "0.052"}).evidence
    by = {(row[0], row[1]): row[2:] for row in table.rows}
    for epsilon in (0.052, 0.102, 0.152):
        assert by[epsilon, "PGD"][1] >= by[epsilon, "FGSM"][1]
    assert all(m.reason is None for m in found)


def test_the_budget_is_kept_and_settles_the_rows_before_anything_is_found(tmp_path: Path) -> None:
    for budget, rows in ((3_800, 20), (38_000, N)):  # 3 · 3 · (1 + 20) = 189 a row
        client = Client(Half())
        found, _ = run(scene(tmp_path), client, rows=N, budget=budget)
        (first,) = [m.estimate for m in found if m.metric == "accuracy_unattacked" and not m.slice]
        assert first is not None
        assert first.n == rows
        assert client.spent <= budget + 20 * N  # and a few answers that hold what came back against the model


def test_what_a_lying_worker_hands_back_is_brought_into_the_box_and_asked_again(tmp_path: Path) -> None:
    honest, _ = run(scene(tmp_path), Client(Half()), rows=N)
    far, _ = run(scene(tmp_path), Client(Half(), lambda own, moved: moved + 100 * (moved - own)), rows=N)
    values = [[m.estimate.value for m in found if m.metric == "robust_accuracy" and m.estimate] for found in (honest, far)]
    assert values[0] == values[1]


def test_masked_gradients_are_found_out_and_pass_nothing(tmp_path: Path) -> None:
    """ROB-01, must be inconclusive: attacks that move nothing, as where a layer rounds its inputs, leave all that was right; Square finds what they miss."""
    made, epsilons = scene(tmp_path), [0.03]
    masked, summary = run(made, Client(Half(), lambda own, _: own), rows=N, epsilons=epsilons)
    honest, _ = run(made, Client(Half()), rows=N, epsilons=epsilons)
    assert "the gradients are masked" in render(summary)
    assert Pick(masked).value("masked_rate") > 0

    def verdict(found: list[Measurement], least: float) -> tuple[str, str]:
        rule = CriterionRule(
            metric="robust_accuracy", compare="value", min=least, role="warns", severity="major", basis="policy", source="test"
        )
        plan = made.plan.model_copy(update={"checks": made.plan.checks | {CHECK: CheckPlan(criteria=[rule])}})
        robust = Pick(judge_reported(CHECK, found, plan, judgeable=True))("robust_accuracy", **{"(epsilon)": "0.03"})
        return robust.verdict, robust.reason or ""

    assert verdict(honest, 0.5)[0] == "pass"
    assert verdict(masked, 0.5)[0] == "inconclusive"
    assert "masked" in verdict(masked, 0.5)[1]
    assert verdict(masked, 0.99)[0] == "fail", "what Square turned was turned"


def test_a_model_that_looks_at_nothing_is_doubted(tmp_path: Path) -> None:
    class Blind(Module):
        def forward(self, x: Any) -> Any:
            return 1 + 0 * x.reshape(len(x), -1).sum(dim=1, keepdim=True)

    found, summary = run(scene(tmp_path), Client(Blind()), rows=N)
    assert Pick(found).value("robust_accuracy", **{"(epsilon)": "0.1"}) == Pick(found).value("accuracy_unattacked")
    assert "hardly looks at the picture" in render(summary)


def test_without_gradients_square_attacks_alone(tmp_path: Path) -> None:
    made = scene(tmp_path)
    made.settled = made.settled.model_copy(update={"methods": []})
    client = Client(Half(), gradients=False)
    found, summary = run(made, client, rows=N, epsilons=[0.05, 0.1], queries=500)
    assert "only a search by answers" in render(summary)
    (first,) = [m.estimate for m in found if m.metric == "accuracy_unattacked" and not m.slice]
    assert first is not None
    assert first.n == 50_000 // (2 * 500)
    assert client.spent <= 50_000 + 10 * N
    robust = Pick(found).value("robust_accuracy", **{"(epsilon)": "0.1"})
    assert robust < Pick(found).value("accuracy_unattacked")


@pytest.mark.parametrize(("x", "params", "said"), [
    (pictures(MARGIN) - 0.4, {}, "the plan gives no bounds"),
    (pictures(MARGIN), {"bounds": [0.4, 0.6]}, "outside the plan's bounds"),
    (pictures(MARGIN), {"bounds": [1.0, 0.0]}, "no two rising numbers"),
    (pictures(MARGIN), {"epsilons": [0.0, 0.1]}, "no shares of the range"),
])  # fmt: skip
def test_bounds_that_nobody_knows_are_said(tmp_path: Path, x: Any, params: dict[str, Any], said: str) -> None:
    found, summary = run(scene(tmp_path, x), Client(Half()), **params)
    assert not found
    assert said in render(summary)


def test_bounds_may_be_declared_and_epsilon_is_a_share_of_their_width(tmp_path: Path) -> None:
    found, _ = run(scene(tmp_path, pictures(MARGIN) - 0.5), Client(Half()), bounds=[-1.0, 1.0], epsilons=[0.052], rows=N)
    right = np.arange(N) >= 3
    assert Pick(found).value("robust_accuracy", **{"(epsilon)": "0.052"}) == (right & (np.abs(MARGIN) > 0.104)).mean()


def test_square_keeps_to_its_box_and_reaches_the_corner_of_a_linear_model() -> None:
    own, box = pictures(np.full(5, 0.05)).reshape(5, -1), Box((1, SIDE, SIDE), 0.06, 0.0, 1.0)
    sign = np.tile(np.where(np.arange(SIDE) < SIDE // 2, 1, -1), SIDE) / SIDE**2
    asked = []

    def ahead(x: Any, at: Any) -> Any:
        asked.append(len(x))
        assert np.abs(x - own[at]).max() <= 0.06 + 1e-6
        return x @ sign

    found = square(own, box, ahead, 300, np.random.default_rng(0))
    assert (found @ sign < 0).all()
    assert len(asked) <= 300
