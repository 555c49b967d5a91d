"""The checks of cost and latency: what is declared, what is refused, whose cost it is, and when a time is withheld."""

from __future__ import annotations

import itertools
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scene import Pick, Scene, set_scene

from audit.costs import declared
from audit.errors import AuditError
from audit.measurement import Curve, Table
from audit.stats.costs import Costs, expected_cost, net_benefit

COSTS = {"false_positive": 1, "false_negative": 4}


def scored(folder: Path, context: dict[str, Any] | None = None, n: int = 3000, **more: Any) -> Scene:
    rng = np.random.default_rng(2)
    score, sex = rng.beta(2, 3, n), rng.choice(["f", "m"], n)
    y = (rng.random(n) < score).astype(int)
    given = {"cost_of_errors": COSTS} if context is None else context
    return set_scene(folder, y=y, pred=(score >= 0.5).astype(int), score=score, groups={"sex": sex}, context=given, **more)


def test_costs_are_those_of_the_decisions(tmp_path: Path) -> None:
    scene = scored(tmp_path)
    found = Pick(scene.measure("performance.costs"))
    ctx = scene.context("performance.costs")
    y, pred, score, sex = (ctx.scored.column(c) for c in ("y", "pred", "score", "g0"))
    price = np.where((pred == 1) & (y == 0), 1, np.where((pred == 0) & (y == 1), 4, 0))
    assert found.value("expected_cost") == pytest.approx(price.mean(), abs=1e-12)
    assert found.value("cost_saved") == pytest.approx(min(4 * y.mean(), (1 - y).mean()) - price.mean(), abs=1e-12)
    assert found.value("cost_implied_cutoff") == pytest.approx(0.2)
    above = score >= 0.2
    benefit = ((above & (y == 1)).sum() - (above & (y == 0)).sum() * 0.25) / len(y)
    assert found.value("net_benefit") == pytest.approx(benefit, abs=1e-12)
    every = [np.where((score >= c / 100) & (y == 0), 1, np.where((score < c / 100) & (y == 1), 4, 0)).mean() for c in range(101)]
    assert found.value("expected_cost_at_minimal_cutoff") == pytest.approx(min(every), abs=1e-12)
    assert found.value("cost_minimal_cutoff") == pytest.approx(int(np.argmin(every)) / 100)
    assert found("cost_minimal_cutoff").estimate.low <= 0.2 <= found("cost_minimal_cutoff").estimate.high
    levels = scene.facts.groups[0].levels
    for i, group in enumerate(levels):
        assert found.value("expected_cost", sex=group) == pytest.approx(price[sex == i].mean(), abs=1e-12)
    difference = found("expected_cost", "difference", sex=levels[1])
    assert difference.estimate.value == pytest.approx(price[sex == 1].mean() - price[sex == 0].mean(), abs=1e-12)
    assert difference.test.method == "welch_t"


def test_intervals_of_costs_cover() -> None:
    """Multinomial bootstrap over four cells, as the check uses it."""
    from audit.stats.cells import bootstrap

    rng, hits, price = np.random.default_rng(3), np.zeros(2), Costs(1, 4)
    truth = np.array([0.5, 0.2, 0.1, 0.2])

    def both(c: Any) -> Any:
        return np.stack([expected_cost(c, price), net_benefit(c, 0.2)], axis=1)

    exact = both(truth[None])[0]
    for _ in range(400):
        found = bootstrap(rng.multinomial(400, truth), both, replicates=400, rng=rng, level=0.9).estimates
        hits += [e is not None and e.low <= t <= e.high for e, t in zip(found, exact, strict=True)]
    assert (hits > 340).all()
    assert (hits < 380).all()


def test_the_evidence_sets_rules_side_by_side_and_warns(tmp_path: Path) -> None:
    table, price, benefit = Pick(scored(tmp_path).measure("performance.costs"))("expected_cost").evidence
    assert isinstance(table, Table)
    assert "chosen on these rows" in table.caption
    assert [r[0] for r in table.rows] == [
        "decision in force", "cutoff that the costs imply", "least cost on these rows", "event predicted for nobody", "event predicted for everybody",
    ]  # fmt: skip
    assert min(float(r[2] or 0) for r in table.rows) == table.rows[2][2]
    assert isinstance(price, Curve)
    assert isinstance(benefit, Curve)
    assert [s.name for s in benefit.series] == ["the model", "the event predicted for everybody", "the event predicted for nobody"]
    model, everybody = benefit.series[:2]
    assert model.y[0] == pytest.approx(everybody.y[0])  # at a cutoff of 0 everybody is chosen


@pytest.mark.parametrize("context", [{}, {"cost_of_errors": "A rejection by mistake keeps somebody from a home"}])
def test_prose_is_no_cost(tmp_path: Path, context: dict[str, Any]) -> None:
    reason = scored(tmp_path, context).missing("performance.costs")
    assert reason is not None
    assert "in numbers" in reason


def test_labels_alone_have_a_cost_and_no_curve(tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    y = rng.integers(0, 2, 300)
    scene = set_scene(tmp_path, y=y, pred=rng.integers(0, 2, 300), context={"cost_of_errors": COSTS})
    found = scene.measure("performance.costs")
    assert [m.metric for m in found] == ["expected_cost", "cost_saved"]
    assert found[0].evidence == []


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({"false_positive": -1, "false_negative": 2}, "below zero"),
        ({"false_positive": "1", "false_negative": 2}, "no number"),
        ({"false_positive": True, "false_negative": 2}, "no number"),
        ({"false_positive": float("nan"), "false_negative": 2}, "no number"),
        ({"false_positive": 1}, "lacks false_negative"),
        ({"false_positive": 1, "false_negative": 2, "false_alarm": 1}, "unknown entry 'false_alarm'"),
        ({"false_positive": 0, "false_negative": 0}, "nothing costs anything"),
    ],
)
def test_costs_that_cannot_be_meant_are_refused(table: dict[str, Any], said: str) -> None:
    with pytest.raises(AuditError, match=said) as error:
        declared({"cost_of_errors": table})
    assert "\n" not in str(error.value)


# --- size ------------------------------------------------------------------------------------------------------------------------------


def test_the_sentence_has_the_size_that_was_measured(tmp_path: Path) -> None:
    from audit.registry import checks
    from audit.text import render

    ctx = scored(tmp_path, n=400).context("efficiency.cost")
    ctx.__dict__["model_files"] = {"weights": 200_000, "MLmodel": 7_731}
    *_, told = checks()["efficiency.cost"].run(ctx)
    assert "takes 208 kB on disk" in render(told, "en")


# --- latency ---------------------------------------------------------------------------------------------------------------------------


class Worker:
    """Takes as long as it is told, by a clock of its own."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, seconds: Any) -> None:
        self.now, self.seconds, self.sizes = 0.0, seconds, []
        monkeypatch.setattr(time, "perf_counter", lambda: self.now)

    def predict(self, frame: Any) -> None:
        self.sizes.append(len(frame["x"]))
        self.now += next(self.seconds)


def measured(folder: Path, monkeypatch: pytest.MonkeyPatch, each: Any, **params: Any) -> tuple[Pick, Worker]:
    from audit.registry import checks

    ctx = scored(folder, n=400).context("efficiency.latency")
    worker = Worker(monkeypatch, each)
    ctx.__dict__["client"] = worker
    items = list(checks()["efficiency.latency"].run(ctx, **params))
    return Pick(items[:-1]), worker


def test_times_are_given_for_each_batch_and_repeat_for_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found, worker = measured(tmp_path, monkeypatch, itertools.cycle([0.010, 0.0101, 0.0102]), seconds=9.0)
    assert set(worker.sizes) == {1, 32, 1024}  # 400 rows are asked about again and again
    assert found.value("latency_median_ms", **{"(batch)": "1"}) == pytest.approx(10.1)
    assert found.value("throughput", **{"(batch)": "1024"}) == pytest.approx(1024 / 0.0101, rel=0.01)
    assert all(not m.repeatable for m in found.found)
    assert worker.now < 9.2


def test_a_noisy_machine_gives_no_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found, _ = measured(tmp_path, monkeypatch, itertools.cycle([0.010, 0.013]), seconds=9.0)
    withheld = found("latency_median_ms", **{"(batch)": "1"})
    assert withheld.estimate is None
    assert "too noisy" in withheld.reason
    assert abs(found.value("aa_difference", **{"(batch)": "1"})) > 0.2


def test_too_few_calls_give_no_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found, _ = measured(tmp_path, monkeypatch, itertools.cycle([0.2]), seconds=9.0)
    assert all(m.estimate is None and "that fit into the time" in (m.reason or "") for m in found.found)
