"""The deciding question about a logged privacy claim: is it refuted, unsupported, or neither. It is never verified (methods: DP-06).

What is deterministic fails at once: an assumption that the record itself breaks, or an epsilon below what the mechanism costs. The canaries
refute at β = 0.01 whatever the level of the audit; between .01 and .05 they are to be planted again.
"""

from __future__ import annotations

from audit.answering import TITLES, Case, blocked, conclude, criterion_of
from audit.judge import Answer
from audit.measurement import Message
from audit.privacy.assumptions import TOLERANCE
from audit.result import Finding
from audit.text import message, render

#: A claim is called refuted at this level; up to the second one it is to be tried again with fresh canaries.
BETA, REPEAT = 0.01, 0.05
CHECK = "privacy.claim"


def privacy_claim(case: Case, findings: dict[str, list[Finding]], alpha: float) -> Answer:
    """The answer from the findings of `privacy.claim`; `alpha` is not used, because the level of a refutation is fixed."""
    id_ = "privacy_claim"
    if stopped := blocked(id_, CHECK, case):
        return stopped
    found = {f.metric: f for f in findings[CHECK]}
    answer = Answer(id_, CHECK, message(TITLES[id_]))
    source = criterion_of(case.plan, id_, "margin", None, None)
    for f, limit, verdict, text, why in (
        _counted(found["unsupported_epsilon"], found["claimed_epsilon"], found["accounted_epsilon"]),
        _assumed(found["broken_assumptions"], found["unknown_assumptions"]),
        _attempted(found["epsilon_at_least"], found["claimed_epsilon"], found.get("attainable_epsilon")),
    ):
        update: dict[str, object] = {"criterion": source.model_copy(update={"max": limit}), "verdict": verdict}
        update |= {"sentence": render(text), "sentence_msg": text} if text else {}
        if why is not None:
            update |= {"reason": render(why), "reason_msg": why}
        answer.judged[f.key] = f.model_copy(update=update)
    answer.keys = list(answer.judged)
    return conclude(answer, case._replace(repeats=(), cluster=None))  # nothing here rests on the audited rows


#: A finding, its limit, its verdict, its sentence, and why it stays open.
Judged = tuple[Finding, float | None, str, Message | None, Message | None]


def _counted(f: Finding, claimed: Finding, counted: Finding) -> Judged:
    if f.estimate is None or claimed.estimate is None or counted.estimate is None:
        why = f.reason_msg or claimed.reason_msg or message("The claim cannot be counted again from what was logged.")
        return f, TOLERANCE, "inconclusive", why, why
    numbers = {"claimed": claimed.estimate.value, "counted": counted.estimate.value}
    if f.estimate.value > TOLERANCE:
        text = message("The claimed epsilon of {claimed:number} is unsupported: the logged training costs {counted:number}.", **numbers)
        return f, TOLERANCE, "fail", text, None
    text = message(
        "An accountant of our own counts {counted:number} for the logged training, where {claimed:number} is claimed.", **numbers
    )
    return f, TOLERANCE, "pass", text, None


def _assumed(broken: Finding, unknown: Finding) -> Judged:
    assert broken.estimate is not None
    assert unknown.estimate is not None
    if broken.estimate.value:
        text = message("The claim is unsupported: the record of training breaks {n:count} of its assumptions.", n=broken.estimate.value)
        return broken, 0.0, "fail", text, None
    if unknown.estimate.value:
        why = message("The record of training leaves open {n:count} of the claim's assumptions.", n=unknown.estimate.value)
        return broken, 0.0, "inconclusive", why, why
    return broken, 0.0, "pass", message("The record of training breaks none of the claim's assumptions that it speaks of."), None


def _attempted(f: Finding, claimed: Finding, most: Finding | None) -> Judged:
    if f.estimate is None or claimed.estimate is None or most is None or most.estimate is None or f.test is None:
        why = f.reason_msg or claimed.reason_msg or message("No attempt to refute the claim was possible.")
        return f, None, "inconclusive", why, why
    epsilon, least, cap = claimed.estimate.value, f.estimate.value, most.estimate.value
    numbers = {"claimed": epsilon, "least": least, "level": f.estimate.level, "p": f.test.p_value, "cap": cap}
    if f.test.p_value <= BETA:
        text = message(
            "At {level:percent} confidence the claimed epsilon of {claimed:number} is refuted: what the model tells of its canaries is possible only if epsilon is at least {least:number}. Cause "
            "unknown: check the assumptions of training, whether canaries are independent, how guesses were chosen, and rows that belong to one person.", **numbers,
        )  # fmt: skip
        return f, epsilon, "fail", text, None
    if f.test.p_value <= REPEAT:
        why = message("The canaries speak against the claim (p {p:p}), not strongly enough: repeat with fresh canaries.", **numbers)
        return f, epsilon, "inconclusive", why, why
    if cap < epsilon:
        why = message(
            "Not refuted, and inconclusive by construction: so few canaries can refute at most an epsilon of {cap:number}, and {claimed:number} is claimed.",
            **numbers,
        )
        return f, epsilon, "inconclusive", why, why
    text = message("The claimed epsilon of {claimed:number} is not refuted (p {p:p}), which does not verify it.", **numbers)
    return f, epsilon, "pass", text, None
