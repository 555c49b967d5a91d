"""Energy: counters that start again, machines without one, and estimates that are called so and held against nothing."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from scene import Pick, set_scene

from audit import energy
from audit import plan as plans
from audit.errors import AuditError
from audit.judge import judge_reported
from audit.plan import CheckPlan, CriterionRule
from audit.probe import collect
from audit.subject.client import Prediction
from audit.text import render


def zone(root: Path, name: str, kind: str, reading: int, wrap: int = 10_000_000_000) -> Path:
    folder = root / name
    folder.mkdir()
    for file, content in (("name", kind), ("energy_uj", str(reading)), ("max_energy_range_uj", str(wrap))):
        (folder / file).write_text(f"{content}\n")
    return folder


def test_a_counter_that_starts_again_is_followed_round(tmp_path: Path) -> None:
    package = zone(tmp_path, "intel-rapl:0", "package-0", 9_900_000_000)
    packages = energy.counters(tmp_path)
    assert not isinstance(packages, str)
    before = energy.read(packages)
    (package / "energy_uj").write_text("100000000\n")
    assert energy.joules(packages, before, energy.read(packages)) == 200.0
    assert energy.joules([], [], []) == 0.0


def test_packages_are_counted_once(tmp_path: Path) -> None:
    zone(tmp_path, "intel-rapl:0", "package-0", 5)
    zone(tmp_path, "intel-rapl:0:0", "core", 3)
    zone(tmp_path, "intel-rapl:1", "package-1", 7)
    zone(tmp_path, "intel-rapl:2", "psys", 90)
    zone(tmp_path, "intel-rapl-mmio:0", "package-0", 5)
    packages = energy.counters(tmp_path)
    assert not isinstance(packages, str)
    assert [c.path.parent.name for c in packages] == ["intel-rapl:0", "intel-rapl:1"]
    assert energy.joules(packages, [5, 7], [1_000_005, 2_000_007]) == 3.0


def test_machines_without_a_readable_counter_say_which_it_is(tmp_path: Path) -> None:
    assert energy.counters(tmp_path) == energy.ABSENT
    folder = zone(tmp_path, "intel-rapl:0", "package-0", 5)
    (folder / "energy_uj").unlink()
    assert energy.counters(tmp_path) == energy.UNREADABLE
    (folder / "energy_uj").write_text("no number")
    assert energy.counters(tmp_path) == energy.UNREADABLE
    if os.geteuid():
        (folder / "energy_uj").chmod(0)
        assert energy.counters(tmp_path) == energy.UNREADABLE


class Model:
    """Answers at once, and has used a tenth of a second of the processor more each time that it is asked; a counter turns with it."""

    def __init__(self, counter: Path | None = None) -> None:
        self.used, self.counter, self.readings = 0.0, counter, 0

    def predict(self, frame: Any) -> Prediction:
        return Prediction(np.zeros((len(frame["x"]), 1)), None)

    def usage(self) -> Any:
        self.used += 0.1
        if self.counter is not None:
            self.readings = (self.readings + 2_000_000) % 5_000_000
            self.counter.write_text(str(self.readings))
        return SimpleNamespace(cpu_seconds=self.used)


def measured(folder: Path, monkeypatch: pytest.MonkeyPatch, root: Path, counter: Path | None = None) -> tuple[Any, Any, Any]:
    monkeypatch.setattr("audit.energy.ROOT", root)
    monkeypatch.setattr(energy.counters, "__defaults__", (root,))
    scene = set_scene(folder, pred=np.zeros(400, int), y=np.zeros(400, int))
    context = scene.context("efficiency.energy")
    context.__dict__["client"] = Model(counter)
    measurements, told = collect(context, {"seconds": 0.05})
    return scene, measurements, told


def test_without_a_counter_it_is_estimated_and_called_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / "none"
    root.mkdir()
    scene, measurements, told = measured(tmp_path, monkeypatch, root)
    found = Pick(measurements)
    assert found("joules_per_1000").estimate is None
    assert "no energy counter" in found("joules_per_1000").reason
    cpu, joules = (found(m).estimate for m in ("cpu_seconds_per_1000", "joules_per_1000_estimated"))
    assert (joules.low, joules.value, joules.high) == pytest.approx((3 * cpu.low, 9 * cpu.value, 15 * cpu.high))
    assert joules.method == "assumed_power"
    assert "not measured" in told.id
    assert not any(m.repeatable for m in measurements)
    rule = CriterionRule(metric="joules_per_1000_estimated", max=1e-9)
    plan = scene.plan.model_copy(update={"checks": {"efficiency.energy": CheckPlan(criteria=[rule])}})
    (judged,) = [f for f in judge_reported("efficiency.energy", measurements, plan, judgeable=True) if f.metric == rule.metric]
    assert judged.verdict == "not_judged"
    rule = CriterionRule(metric="joules_per_1000", max=1e9)
    plan = scene.plan.model_copy(update={"checks": {"efficiency.energy": CheckPlan(criteria=[rule])}})
    (judged,) = [f for f in judge_reported("efficiency.energy", measurements, plan, judgeable=True) if f.metric == rule.metric]
    assert judged.verdict == "inconclusive", "a limit on what is measured is not held against what is assumed"
    file = tmp_path / "plan.toml"
    file.write_text(
        '[[checks."efficiency.energy".criteria]]\nmetric = "joules_per_1000_estimated"\nmax = 1.0\nrole = "warns"\nsource = "t"\n'
    )
    with pytest.raises(AuditError, match=r"which efficiency\.energy reports and which is never judged"):
        plans.load(file)


def test_a_counter_that_cannot_be_read_is_said_with_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / "powercap"
    root.mkdir()
    (zone(root, "intel-rapl:0", "package-0", 5) / "energy_uj").write_text("no number")
    _, measurements, told = measured(tmp_path, monkeypatch, root)
    why = "The machine has an energy counter that this user may not read: to have energy measured, let the user read energy_uj under /sys/class/powercap."
    assert Pick(measurements)("joules_per_1000").reason == why
    assert render(told).startswith(f"{why} Estimated, not measured: 1,000 predictions take ")
    assert "\n" not in render(told)


def test_with_a_counter_it_is_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / "powercap"
    root.mkdir()
    folder = zone(root, "intel-rapl:0", "package-0", 0, 5_000_000)
    _, measurements, told = measured(tmp_path, monkeypatch, root, folder / "energy_uj")
    found = Pick(measurements)
    assert {m.metric for m in measurements} == {"cpu_seconds_per_1000", "joules_per_1000"}
    cpu, joules = (found(m).estimate for m in ("cpu_seconds_per_1000", "joules_per_1000"))
    assert joules.value == pytest.approx(20 * cpu.value)  # 2 joules for each tenth of a second, round and round
    assert "measured" in told.id
