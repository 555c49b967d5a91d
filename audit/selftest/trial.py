"""One defect, planted or not, many times: how often it is called a failure, left open, or passed."""

from __future__ import annotations

import shutil
import time
from collections import Counter
from functools import cache
from typing import Any

import numpy as np

from audit import plan as plans
from audit import scratch
from audit.answering import Case
from audit.judge import audit_verdict, finding, judge_reported, worst
from audit.probe import collect
from audit.promise import privacy_claim
from audit.questions import answer_all
from audit.registry import checks
from audit.result import Finding
from audit.selftest.crowds import Crowd
from audit.selftest.defects import CLAIM, DECIDING, Defect
from audit.selftest.play import Play
from audit.selftested import Cell, Share
from audit.stats.rates import clopper_pearson

OUTCOMES = ("fail", "inconclusive", "pass")
#: Adjusted p at which a slice counts as found.
ALPHA = 0.05
#: What is not judged and costs most is made as small as it goes; every verdict stays as it is.
SPARED = {"calibration.overall": {"draws": 1, "bins": 1}, "calibration.groups": {"bins": 1}, "fairness.group": {"draws": 25}}


def trial(defect: Defect, rows: int, crowd: Crowd, *, planted: bool, runs: int, first: int = 0) -> Cell:
    """So many runs of one cell from number `first` on, each on rows of its own that its number settles."""
    began, seen = time.process_time(), dict[str, Counter[str]]()
    folder = scratch.make()
    try:
        for run in range(first, first + runs):
            rng = np.random.default_rng([0, run, rows, round(100 * crowd.base), int(planted)])
            place = folder / str(run)
            play = defect.build(place, rng, rows, crowd, defect.size if planted else 0.0)
            for target, found in verdicts(defect, play, run).items():
                seen.setdefault(target, Counter())[found] += 1
            shutil.rmtree(place)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    shares = {target: {name: share(counted[name], runs) for name in OUTCOMES} for target, counted in seen.items()}
    return Cell(
        source=crowd.source, rows=rows, base=crowd.base, planted=planted, runs=runs, verdicts=shares,
        seconds=round(time.process_time() - began, 1),
    )  # fmt: skip


def joined(a: Cell, b: Cell) -> Cell:
    """Two cells of the same size with runs of different numbers, as one."""
    runs = a.runs + b.runs
    shares = {t: {name: share(a.verdicts[t][name].k + b.verdicts[t][name].k, runs) for name in OUTCOMES} for t in a.verdicts}
    return a.model_copy(update={"runs": runs, "verdicts": shares, "seconds": round(a.seconds + b.seconds, 1)})


def verdicts(defect: Defect, play: Play, seed: int) -> dict[str, str]:
    """By what may find it, what the built-in plan makes of it: fail, inconclusive or pass."""
    if defect.target == "slice":
        tests = [f.test for f in _findings(defect.check, play, seed) if f.test is not None]
        found = any(t.adjusted_p_value is not None and t.adjusted_p_value <= ALPHA for t in tests)
        return {"slice": "fail" if found else "pass"}
    if defect.target == "criteria":
        judged = [f.verdict for f in _findings(defect.check, play, seed) if f.verdict != "not_judged"]
        return {"criteria": str(worst(judged)) if judged else "inconclusive"}
    if defect.check == CLAIM:
        return {defect.target: str(privacy_claim(_case(play), {CLAIM: _findings(CLAIM, play, seed)}, 0.0).question().verdict)}
    answers = answer_all(_case(play), {check: _findings(check, play, seed) for check in DECIDING})
    return {a.id: str(a.question().verdict) for a in answers} | {"audit": str(audit_verdict(answers)[0])}


def _findings(check: str, play: Play, seed: int) -> list[Finding]:
    context = play.scene.context(check)
    context.seed = seed
    if play.client is not None:
        context.__dict__["client"] = play.client
    measurements, _ = collect(context, _parameters(check) | SPARED.get(check, {}))
    return judge_reported(check, measurements, play.scene.plan, judgeable=True) or [finding(check, m) for m in measurements]


@cache
def _parameters(check: str) -> dict[str, Any]:
    """As the built-in plan has them."""
    return plans.parameters(plans.load(None), checks()[check])


def _case(play: Play) -> Case:
    """A binary audit in which everything is declared."""
    known: dict[str, Any] = {
        "plan": play.scene.plan, "task": "binary", "has_scores": True, "label_source": "outcome", "favourable": True, "event_is_favourable": True, "sensitive": True,
        "target": True, "decision_declared": True, "unjudged": {}, "errored": frozenset(),
    }  # fmt: skip
    return Case(**known)


def share(k: int, n: int) -> Share:
    """k of n runs with its interval."""
    found = clopper_pearson(k, n, level=0.95)
    assert found is not None
    return Share(k=k, n=n, low=found.low, high=found.high)
