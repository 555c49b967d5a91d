"""One defect, planted or not, many times: how often it is called a failure, left open, or passed."""

from __future__ import annotations

import shutil
import time
from collections import Counter
from typing import Any

import numpy as np

from audit import plan as plans
from audit import scratch
from audit.answering import Case
from audit.judge import audit_verdict, finding, judge_reported, worst
from audit.probe import collect
from audit.questions import answer_all
from audit.registry import checks
from audit.result import Finding, Frozen
from audit.selftest.defects import Defect, InProcess, Play
from audit.stats.rates import clopper_pearson

OUTCOMES = ("fail", "inconclusive", "pass")
#: Adjusted p at which a slice counts as found.
ALPHA = 0.05
#: The checks that the deciding questions are answered from.
DECIDING = ("performance.baseline", "fairness.inputs", "fairness.group", "calibration.overall", "calibration.groups")


class Share(Frozen):
    """k of n runs, with the 95 % interval of Clopper and Pearson (1934)."""

    k: int
    n: int
    low: float
    high: float


class Cell(Frozen):
    """One size of data: by target, the share of runs that ended in each verdict; CPU-seconds of all runs."""

    defect: str
    rows: int
    base: float
    planted: bool
    runs: int
    verdicts: dict[str, dict[str, Share]]
    seconds: float


def trial(defect: Defect, rows: int, base: float, *, planted: bool, runs: int, seed: int = 0) -> Cell:
    """So many runs of one cell, each on rows of its own."""
    began, seen = time.process_time(), {target: Counter[str]() for target in defect.targets}
    folder = scratch.make()
    try:
        for run in range(runs):
            rng = np.random.default_rng([seed, run, rows, round(100 * base), int(planted)])
            place = folder / str(run)
            play = defect.build(place, rng, rows, base, defect.size if planted else 0.0)
            for target, found in verdicts(defect, play, run).items():
                seen[target][found] += 1
            shutil.rmtree(place)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    shares = {target: {name: _share(counted[name], runs) for name in OUTCOMES} for target, counted in seen.items()}
    return Cell(
        defect=defect.name, rows=rows, base=base, planted=planted, runs=runs, verdicts=shares, seconds=round(time.process_time() - began, 1)
    )


def verdicts(defect: Defect, play: Play, seed: int) -> dict[str, str]:
    """By target what the built-in plan makes of it: fail, inconclusive or pass."""
    if defect.targets == ("slice",):
        tests = [f.test for f in _findings(defect.check, play, seed) if f.test is not None]
        found = any(t.adjusted_p_value is not None and t.adjusted_p_value <= ALPHA for t in tests)
        return {"slice": "fail" if found else "pass"}
    if defect.targets == ("criteria",):
        judged = [f.verdict for f in _findings(defect.check, play, seed) if f.verdict != "not_judged"]
        return {"criteria": str(worst(judged)) if judged else "inconclusive"}
    answers = answer_all(_case(play), {check: _findings(check, play, seed) for check in DECIDING})
    every = {a.id: str(a.question().verdict) for a in answers} | {"audit": str(audit_verdict(answers)[0])}
    return {target: every[target] for target in defect.targets}


def _findings(check: str, play: Play, seed: int) -> list[Finding]:
    context = play.scene.context(check)
    context.seed = seed
    if play.model is not None:
        context.__dict__["client"] = InProcess(play.model)
    measurements, _ = collect(context, plans.parameters(play.scene.plan, checks()[check]))
    return judge_reported(check, measurements, play.scene.plan, judgeable=True) or [finding(check, m) for m in measurements]


def _case(play: Play) -> Case:
    """A binary audit in which everything is declared."""
    known: dict[str, Any] = {
        "plan": play.scene.plan, "task": "binary", "has_scores": True, "label_source": "outcome", "favourable": True, "event_is_favourable": True, "sensitive": True,
        "target": True, "decision_declared": True, "unjudged": {}, "errored": frozenset(),
    }  # fmt: skip
    return Case(**known)


def _share(k: int, n: int) -> Share:
    found = clopper_pearson(k, n, level=0.95)
    assert found is not None
    return Share(k=k, n=n, low=found.low, high=found.high)
