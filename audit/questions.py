"""The deciding questions, at most six: which apply, what they are held against, and how they are answered (verdicts.md §2, §4, §5).

`fail` is protected over the whole audit: alpha is split equally over the questions that apply, Holm inside each. `pass` needs no correction,
because everything judged must pass.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from audit.answering import TITLES, Case, blocked, conclude, criterion_of, few, open_question
from audit.dataset import MISSING
from audit.judge import BORDERLINE, SIZE_OPEN, TOO_FEW_CLUSTERS, Answer, inside, margin_p
from audit.measure import SKILLS
from audit.measurement import Estimate, Message, Test
from audit.pairing import FEWEST, too_few
from audit.promise import privacy_claim
from audit.result import Criterion, Finding
from audit.screens import opportunity, selection
from audit.text import message, render, who


def answer_all(case: Case, findings: dict[str, list[Finding]]) -> list[Answer]:
    """Every question that applies, answered; `findings` are those of each check by id."""
    asked: list[tuple[str, Callable[[Case, dict[str, list[Finding]], float], Answer]]] = [
        ("performance_baseline", _baseline), ("fairness_inputs", _inputs), ("fairness_selection", selection),
    ]  # fmt: skip
    if case.label_source == "outcome" and case.task != "regression":
        asked += [("fairness_opportunity", opportunity), ("calibration_large", _calibration)]
    if case.claim:
        asked.append(("privacy_claim", privacy_claim))
    alpha = case.plan.judge.alpha_fail / len(asked)
    return [ask(case, findings, alpha) for _, ask in asked]


def _margin(
    answer: Answer,
    found: Sequence[Finding],
    criterion: Criterion,
    alpha: float,
    case: Case,
    *,
    strict: bool,
    sentence: Callable[[Finding, str], Message],
) -> Answer:
    """Fail where the truth is shown to lie beyond the limit, pass where the interval clears it, for each finding."""
    from audit.stats.multiplicity import holm

    defined = [f for f in found if f.estimate is not None]
    raw = [margin_p(f.estimate, criterion) for f in defined if f.estimate]
    adjusted = holm(raw).tolist() if raw else []
    for f, p, adjusted_p in zip(defined, raw, adjusted, strict=True):
        assert f.estimate is not None
        exact = f.estimate.method == "exact"
        clears = inside(f.estimate, criterion) and not (strict and criterion.min is not None and f.estimate.low <= criterion.min)
        verdict = "pass" if clears else "fail" if exact or adjusted_p <= alpha else "inconclusive"
        if few := too_few(f.clusters):
            verdict = "inconclusive"
        test = Test(
            null="the value lies inside the limit", method="normal", p_value=p, adjusted_p_value=adjusted_p, tests_in_family=len(raw)
        )
        text = sentence(f, verdict)
        update = {
            "criterion": criterion,
            "verdict": verdict,
            "test": None if exact else test,
            "sentence": render(text),
            "sentence_msg": text,
        }
        if few:
            why = message(
                "There are {n:count} clusters; fewer than {fewest:count} are too few to judge.",
                n=f.clusters.fewest if f.clusters else 0,
                fewest=FEWEST,
            )
            update |= {"reason": TOO_FEW_CLUSTERS, "reason_msg": why}
        elif verdict == "inconclusive":
            update |= _still_open(f.estimate, criterion, p, adjusted_p, alpha / len(raw))
        answer.judged[f.key] = f.model_copy(update=update)
    answer.keys = [f.key for f in defined]
    return conclude(answer, case)


def _still_open(e: Estimate, criterion: Criterion, p: float, adjusted_p: float, alpha: float) -> dict[str, object]:
    """Why a value is not settled: a gap is established and its size open, or these rows cannot tell.

    Limits on both sides of 0 are those of a gap, which is established where 0 is rejected at `alpha`, two-sided; p and `adjusted_p` are of the limit.
    """
    gap = criterion.min is not None and criterion.max is not None and criterion.min < 0 < criterion.max
    of_none = min(1.0, 2 * margin_p(e, Criterion(min=0.0, max=0.0))) if gap else 1.0
    if gap and (of_none <= max(alpha, 0.001)):
        why = message(
            "A difference is established (p {p:p}); whether it exceeds the limit is open: at least {low:points}, at most {high:points} points.",
            p=of_none, low=e.low, high=e.high,
        )  # fmt: skip
    elif gap:
        why = message(
            "These rows cannot tell: the {level:percent} interval of the gap runs from {low:points} to {high:points} points.",
            low=e.low,
            high=e.high,
            level=e.level,
        )
    elif p < 0.001:  # only the correction for other tests kept it from failing
        why = message(
            "A value beyond the limit is likely (p {p:p}) and not established: from {low:percent} to {high:percent}.",
            p=adjusted_p,
            low=e.low,
            high=e.high,
        )
    else:
        why = message(
            "These rows cannot tell: the {level:percent} interval runs from {low:percent} to {high:percent}.",
            low=e.low,
            high=e.high,
            level=e.level,
        )
    established = p < 0.001 or (gap and of_none <= max(alpha, 0.001))
    return {"reason": SIZE_OPEN if established else BORDERLINE, "reason_msg": why}


def _baseline(case: Case, findings: dict[str, list[Finding]], alpha: float) -> Answer:
    id_, check = "performance_baseline", "performance.baseline"
    if stopped := blocked(id_, check, case):
        return stopped
    found = [f for f in findings[check] if not f.slice]
    criterion = criterion_of(case.plan, id_, "margin", 0.0, None)
    answer = Answer(id_, check, message(TITLES[id_]))
    if not any(f.estimate for f in found):
        return open_question(
            id_, check, found[0].reason_msg if found and found[0].reason_msg else message("Nothing could be measured on these rows.")
        )

    def sentence(f: Finding, verdict: str) -> Message:
        e = f.estimate
        assert e is not None
        numbers = {"metric": message(SKILLS[f.metric]), "skill": e.value, "low": e.low, "high": e.high, "level": e.level, "n": e.n}
        if verdict == "pass":
            return message(
                "The model is better than a trivial forecast: {metric} {skill:percent} ({level:percent} interval {low:percent} to {high:percent}; {n:count} rows).",
                **numbers,
            )
        if verdict == "fail" and f.metric in ("brier_skill", "log_loss_skill"):  # it may rank well all the same
            return message(
                "The model's probabilities are no better than a trivial forecast: {metric} {skill:percent} ({level:percent} interval {low:percent} to {high:percent}; {n:count} rows).",
                **numbers,
            )
        if verdict == "fail":
            return message(
                "The model is no better than a trivial forecast: {metric} {skill:percent} ({level:percent} interval {low:percent} to {high:percent}; {n:count} rows).",
                **numbers,
            )
        return message(
            "Whether the model is better than a trivial forecast is open: {metric} {skill:percent} ({level:percent} interval {low:percent} to {high:percent}; {n:count} rows).",
            **numbers,
        )

    return _margin(answer, found, criterion, alpha, case, strict=True, sentence=sentence)


def _calibration(case: Case, findings: dict[str, list[Finding]], alpha: float) -> Answer:
    id_, check = "calibration_large", "calibration.overall"
    if stopped := blocked(id_, check, case):
        return stopped
    decides = case.plan.decides[id_]
    margin, rows = decides.margin or 0.05, decides.min_rows or 200
    name = "calibration_in_the_large"
    overall = [f for f in findings[check] if f.metric == name and not f.slice]
    if not overall or not any(f.estimate for f in overall):
        return open_question(
            id_, check, message("The model returns labels only, or no score could be used: there are no probabilities to calibrate.")
        )
    of_groups = [
        f
        for f in findings.get("calibration.groups", [])
        if f.metric == name and f.estimate and len(f.slice) == 1 and MISSING not in f.slice.values()
    ]
    criterion = criterion_of(case.plan, id_, "margin", -margin, margin)
    answer = Answer(id_, check, message(TITLES[id_]))
    small = [f for f in of_groups if f.estimate and (f.estimate.n < rows or too_few(f.clusters))]
    if small:
        answer.not_assessed.append(few([(f.slice, f.estimate.n) for f in small if f.estimate], "calibration"))

    def sentence(f: Finding, verdict: str) -> Message:
        e = f.estimate
        assert e is not None
        numbers = {"who": who(f.slice), "gap": e.value, "low": e.low, "high": e.high, "level": e.level, "n": e.n}
        gap = (
            message(
                "{who}: the mean probability differs from the observed rate by {gap:points} points ({level:percent} interval {low:points} to {high:points}; {n:count} rows)",
                **numbers,
            )
            if f.slice
            else message(
                "The mean probability differs from the observed rate by {gap:points} points ({level:percent} interval {low:points} to {high:points}; {n:count} rows)",
                **numbers,
            )
        )
        if verdict == "fail":
            return message("{gap}, beyond the limits of {low:points} and {high:points} points.", gap=gap, low=-margin, high=margin)
        if verdict == "pass":
            return message("{gap}, within the limits of {low:points} and {high:points} points.", gap=gap, low=-margin, high=margin)
        return message(
            "{gap}. Whether it exceeds the limits of {low:points} and {high:points} points is open.", gap=gap, low=-margin, high=margin
        )

    result = _margin(answer, overall + [f for f in of_groups if f not in small], criterion, alpha, case, strict=False, sentence=sentence)
    if case.sensitive and "calibration.groups" in case.unjudged and result.verdict == "pass":
        return open_question(id_, "calibration.groups", case.unjudged["calibration.groups"], error="calibration.groups" in case.errored)
    return result


def _inputs(case: Case, findings: dict[str, list[Finding]], alpha: float) -> Answer:
    id_, check = "fairness_inputs", "fairness.inputs"
    if stopped := blocked(id_, check, case):
        return stopped
    answer = Answer(id_, check, message(TITLES[id_]), answered=True)
    (f,) = [f for f in findings[check] if f.metric == "sensitive_inputs"]
    assert f.estimate is not None
    verdict = "pass" if f.estimate.value == 0 else "fail"
    single = [g for g in findings[check] if g.metric == "undeclared_sensitive_input" and g.estimate and g.estimate.value]
    names = [g.slice["(feature)"] for g in single]
    text = (
        message("No sensitive column is used by the model without a declared reason.") if verdict == "pass"
        else message("The model or its decision rule uses sensitive columns without a declared reason: {names}.", names=names)
    )  # fmt: skip
    criterion = criterion_of(case.plan, id_, "margin", None, 0.0)
    answer.judged[f.key] = f.model_copy(update={"criterion": criterion, "verdict": verdict, "sentence": render(text), "sentence_msg": text})
    answer.keys = [f.key]
    return conclude(answer, case)
