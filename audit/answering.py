"""What every deciding question shares: what is known of the audit, its title, its criterion, and how its findings become an answer."""

from __future__ import annotations

from typing import NamedTuple

from audit.judge import DEPENDENT, SIZE_OPEN, Answer, worst
from audit.measurement import Message
from audit.plan import Decides, Plan
from audit.result import Criterion, Finding
from audit.text import message, render, who

TITLES = {
    "performance_baseline": "Is the model better than a trivial forecast?",
    "fairness_inputs": "Is every sensitive input declared with a reason?",
    "fairness_selection": "Do groups get the favourable decision about equally often?",
    "fairness_opportunity": "Do those with the favourable outcome get the favourable decision about equally often in each group?",
    "calibration_large": "Do probabilities match what happened, overall and for each group?",
    "privacy_claim": "Does the privacy claim logged with the model withstand what could be checked?",
}
#: What a group that is too small was not judged for.
JUDGED_FOR = {
    "selection_rate": "the favourable decision",
    "true_positive_rate": "equal opportunity",
    "true_negative_rate": "equal opportunity",
    "calibration": "calibration",
}


class Case(NamedTuple):
    """What is known of the audit when its questions are chosen."""

    plan: Plan
    task: str
    has_scores: bool
    label_source: str | None
    favourable: bool
    event_is_favourable: bool
    sensitive: bool
    target: bool
    decision_declared: bool
    unjudged: dict[str, Message]  # check id → why it has no findings
    errored: frozenset[str]
    repeats: tuple[str, ...] = ()  # columns that look like identifiers and repeat, where nobody said what that means
    cluster: str | None = None  # the column whose equal values mark rows that belong together
    weight: str | None = None  # the column of survey weights
    claim: bool = False  # whether a claim of differential privacy was logged with the model
    undeclared: Message | None = None  # how decisions were made where nobody said and no model has a cutoff of its own


def open_question(id_: str, check: str, reason: Message, *, error: bool = False) -> Answer:
    return Answer(id_, check, message(TITLES[id_]), verdict="error" if error else "inconclusive", reason=reason)


def blocked(id_: str, check: str, case: Case) -> Answer | None:
    """The answer where the check gave nothing: it was not asked for, was skipped, or could not run."""
    if check in case.unjudged:
        return open_question(id_, check, case.unjudged[check], error=check in case.errored)
    return None


def criterion_of(plan: Plan, id_: str, rule: str, low: float | None, high: float | None) -> Criterion:
    decides: Decides = plan.decides[id_]
    return Criterion(
        min=decides.min if decides.min is not None else low, max=decides.max if decides.max is not None else high, rule=rule,
        role="decides", severity=decides.severity, basis=decides.basis, source=decides.source,
    )  # fmt: skip


def _dependent(f: Finding, case: Case) -> Finding:
    """A judged finding with what dependence between rows means for it: nothing that assumes independent rows passes while keys repeat."""
    if f.sentence_msg is None or (f.estimate is not None and f.estimate.method == "exact"):
        return f
    if f.clusters is not None and f.weights is not None:
        text = message(
            "{sentence} Rows of one {column} belong together and carry the weights in {weight}: whole clusters were drawn with what they weigh (design effect {effect:ratio}).",
            sentence=f.sentence_msg, column=str(case.cluster), weight=str(case.weight), effect=f.clusters.design_effect,
        )  # fmt: skip
        return f.model_copy(update={"sentence": render(text), "sentence_msg": text})
    if f.clusters is not None:
        text = message(
            "{sentence} Rows of one {column} belong together: whole clusters were drawn (design effect {effect:ratio}).",
            sentence=f.sentence_msg, column=str(case.cluster), effect=f.clusters.design_effect,
        )  # fmt: skip
        return f.model_copy(update={"sentence": render(text), "sentence_msg": text})
    if f.weights is not None:
        text = message(
            "{sentence} Rows carry the weights in {column} (design effect {effect:ratio}).",
            sentence=f.sentence_msg, column=str(case.weight), effect=f.weights.design_effect,
        )  # fmt: skip
        f = f.model_copy(update={"sentence": render(text), "sentence_msg": text})
    if not case.repeats or f.sentence_msg is None:
        return f
    text = message("{sentence} This assumes independent rows; {columns} repeats.", sentence=f.sentence_msg, columns=list(case.repeats))
    update: dict[str, object] = {"sentence": render(text), "sentence_msg": text}
    if f.verdict == "pass":
        why = message(
            "The interval assumes independent rows, and {columns} repeats: name what belongs together with --cluster {column}, or state --independent.",
            columns=list(case.repeats), column=case.repeats[0],
        )  # fmt: skip
        update |= {"verdict": "inconclusive", "reason": DEPENDENT, "reason_msg": why}
    return f.model_copy(update=update)


def conclude(answer: Answer, case: Case) -> Answer:
    """The question's verdict from the findings that must pass."""
    answer.judged = {key: _dependent(f, case) for key, f in answer.judged.items()}
    answer.added = [_dependent(f, case) for f in answer.added]
    judged = [answer.judged[k] for k in answer.keys] + [f for f in answer.added if f.verdict != "not_judged"]
    answer.keys = [f.key for f in judged]
    answer.answered = bool(judged)
    answer.verdict = worst(f.verdict for f in judged) if judged else "inconclusive"
    if answer.verdict == "inconclusive" and answer.reason is None:
        open_ = sorted((f for f in judged if f.verdict == "inconclusive"), key=lambda f: f.reason != SIZE_OPEN)
        reason = open_[0].reason_msg if open_ else None
        if reason is None:
            answer.reason = message("Nothing could be measured on these rows.")
        else:
            answer.reason = message("{who}: {reason}", who=who(open_[0].slice), reason=reason) if open_[0].slice else reason
            others = [who(s) for s in _slices(open_[1:]) if s != open_[0].slice]
            if others:
                answer.reason = message("{reason} Open as well: {names}.", reason=answer.reason, names=others)
    return answer


def _slices(findings: list[Finding]) -> list[dict[str, str]]:
    """The slices that findings are about, each once."""
    return [dict(s) for s in dict.fromkeys(tuple(f.slice.items()) for f in findings)]


def few(slices: list[tuple[dict[str, str], int]], what: str) -> Message:
    """Groups that are too small for a question. A row may be in groups of several columns, so only those of one column add up to rows."""
    values = {
        "what": [message(JUDGED_FOR[what])], "people": sum(n for _, n in slices), "names": [who(s) for s, _ in slices], "groups": len(slices),
    }  # fmt: skip
    if len({column for s, _ in slices for column in s}) > 1:
        return message(
            "Too small to judge for {what}: {names} ({people:count} rows, one that is in groups of several columns counted in each).",
            **values,
        )
    return message("Too small to judge for {what}: {names} ({people:count} rows in all).", **values)
