"""Findings from counts alone, as the checks would hand them to the judge: for hand-made cases and for thousands of simulated audits."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cached_property
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from audit import measure
from audit import plan as plans
from audit.answering import Case
from audit.dataset import MISSING
from audit.judge import Answer, audit_verdict, finding
from audit.measurement import Estimate, Message, Part
from audit.plan import Plan
from audit.questions import answer_all
from audit.result import Answered, AuditVerdict, Finding, Question
from audit.stats.calibration import in_the_large_ranked
from audit.stats.losses import log_losses, skill
from audit.stats.ranked import rank

LEVEL = 0.90
Counts = Mapping[str, tuple[int, int]]  # group → (k, n)
Found = dict[str, list[Finding]]
_AT: Any = SimpleNamespace(level=lambda metric, compare="value": LEVEL)
PLAN = plans.load(None)


def plan_with(**sections: dict[str, Any]) -> Plan:
    """The built-in plan with some values changed: plan_with(judge={"adequacy": 0.1})."""
    written = PLAN.model_dump()
    for name, values in sections.items():
        for key, value in values.items():
            written[name][key] = (written[name][key] | value) if isinstance(value, dict) and key in written[name] else value
    return Plan.model_validate(written)


def rates(metric: str, column: str, groups: Counts, *, reference: str | None = None) -> list[Finding]:
    """A rate per group and its comparisons with the reference (default: the largest known group), as `fairness.group` yields them."""
    parts = {level: Part(slice={column: level}, k=k, n=n) for level, (k, n) in groups.items()}
    known = [level for level in parts if level != MISSING]
    reference = reference or max(known, key=lambda level: parts[level].n)
    out = [measure.rate(_AT, metric, p.k, p.n, slice_=p.slice) for p in parts.values()]
    for level in known:
        if level != reference:
            out += measure.comparisons(_AT, metric, parts[level], parts[reference])
    return [finding("fairness.group", m) for m in out]


def an_estimate(value: float, low: float, high: float, n: int = 1000, method: str = "normal") -> Estimate:
    return Estimate(value=value, low=low, high=high, level=LEVEL, method=method, n=n)


def baseline(estimate: Estimate | None) -> list[Finding]:
    """Skill over everybody; by default a good one."""
    return [finding("performance.baseline", measure.value("brier_skill", estimate))]


def inputs(used: int = 0) -> list[Finding]:
    one = measure.value("undeclared_sensitive_input", measure.exact(float(used), 1), slice_={"(feature)": "group"})
    return [finding("fairness.inputs", m) for m in (measure.value("sensitive_inputs", measure.exact(float(used), 1)), one)]


def calibration(everybody: Estimate | None, groups: Mapping[str, Estimate] | None = None, column: str = "sex") -> Found:
    name = "calibration_in_the_large"
    of_groups = [measure.value(name, e, slice_={column: level}) for level, e in (groups or {}).items()]
    return {
        "calibration.overall": [finding("calibration.overall", measure.value(name, everybody))],
        "calibration.groups": [finding("calibration.groups", m) for m in of_groups],
    }


GOOD = an_estimate(0.3, 0.2, 0.4)
CALIBRATED = an_estimate(0.0, -0.01, 0.01)


def good() -> Found:
    """Findings with which every question passes: equal groups of 5,000 rows."""
    equal = {"m": (1500, 5000), "f": (1500, 5000)}
    return {
        "performance.baseline": baseline(GOOD), "fairness.inputs": inputs(),
        "fairness.group": rates("selection_rate", "sex", equal) + rates("true_positive_rate", "sex", {"m": (1000, 1500), "f": (1000, 1500)}),
        **calibration(CALIBRATED, {"m": CALIBRATED, "f": CALIBRATED}),
    }  # fmt: skip


def a_case(**changes: Any) -> Case:
    """A binary audit in which everything is declared."""
    known: dict[str, Any] = {
        "plan": PLAN, "task": "binary", "has_scores": True, "label_source": "outcome", "favourable": True, "event_is_favourable": True, "sensitive": True,
        "target": True, "decision_declared": True, "unjudged": {}, "errored": frozenset(),
    }  # fmt: skip
    return Case(**known | changes)


def not_run(*names: str, reason: str = "Not asked for.") -> dict[str, Message]:
    return {name: Message(id=reason) for name in names}


class Judged:
    """What became of one audit."""

    verdict: AuditVerdict
    answered: Answered

    def __init__(self, found: Found, case: Case | None = None) -> None:
        self.answers: dict[str, Answer] = {a.id: a for a in answer_all(case or a_case(), found)}
        self.verdict, self.answered = audit_verdict(list(self.answers.values()))

    @cached_property
    def questions(self) -> dict[str, Question]:
        """The questions as the document has them, by id."""
        return {id_: a.question() for id_, a in self.answers.items()}

    def findings(self, question: str) -> list[Finding]:
        """Everything that the question judged, pooled groups included."""
        answer = self.answers[question]
        return [*answer.judged.values(), *answer.added]

    def one(self, question: str, level: str) -> Finding:
        """The judged finding of one group."""
        (found,) = [f for f in self.findings(question) if level in f.slice.values()]
        return found

    def texts(self) -> Iterable[str]:
        """Every sentence that a reader gets."""
        for question in self.questions.values():
            yield question.reason or ""
        for answer in self.answers.values():
            for f in [*answer.judged.values(), *answer.added]:
                yield f.sentence or ""


def of_rows(y: NDArray[np.bool_], score: NDArray[np.float64], pred: NDArray[np.bool_], group: NDArray[np.int64], names: list[str]) -> Found:
    """The findings that decide, from rows of a binary model; favourable is the event."""
    columns = {"selection_rate": (pred, np.ones_like(pred)), "true_positive_rate": (pred & y, y)}
    size, found = len(names), []
    for metric, (hit, base) in columns.items():
        k, n = np.bincount(group[hit & base], minlength=size).tolist(), np.bincount(group[base], minlength=size).tolist()
        reference = names[int(np.argmax(np.bincount(group, minlength=size)))]
        found += rates(metric, "group", {name: (k[i], n[i]) for i, name in enumerate(names)}, reference=reference)
    losses = (score - y) ** 2
    overall = {"brier_skill": skill(losses, (y.mean() - y) ** 2, level=LEVEL)}
    given, share = np.where(y, score, 1 - score), np.where(y, y.mean(), 1 - y.mean())
    overall["log_loss_skill"] = skill(log_losses(given), log_losses(share), level=LEVEL)
    of_groups = {name: in_the_large_ranked(rank(score[group == i], y[group == i]), level=LEVEL) for i, name in enumerate(names)}
    return {
        "performance.baseline": [finding("performance.baseline", measure.value(name, e)) for name, e in overall.items()],
        "fairness.inputs": inputs(), "fairness.group": found,
        **calibration(in_the_large_ranked(rank(score, y), level=LEVEL), {k: e for k, e in of_groups.items() if e}, column="group"),
    }  # fmt: skip
