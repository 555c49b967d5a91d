"""How one finding reads, in words."""

from __future__ import annotations

from audit.result import Finding
from audit.text import PARTS, speaks
from reports.metrics import kind_of, metric_name
from reports.speaker import Speaker, clean, interval, number
from reports.states import SIZE_OPEN
from reports.words import COMPARE, METHODS, REASONS


def reason_text(finding: Finding, say: Speaker) -> str:
    """Why the verdict of a finding is what it is, in words."""
    e, test = finding.estimate, finding.test
    if finding.reason == SIZE_OPEN and e and test and test.null == "equality":  # else its p is of the limit, not of the difference
        p = test.p_value if test.adjusted_p_value is None else test.adjusted_p_value
        kind = kind_of(finding.metric, finding.compare)
        return say.t(
            "A difference is established (p {p:p}); whether it exceeds the limit is open: at least {low}, at most {high}.",
            p=p,
            low=number(e.low, kind),
            high=number(e.high, kind),
        )
    if finding.reason == SIZE_OPEN and finding.reason_msg:
        return say.t(finding.reason_msg.id, **finding.reason_msg.values)
    if finding.reason in REASONS:
        return say.t(REASONS[finding.reason])
    return say.stored(finding.reason, finding.reason_msg)


def capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def pair_text(finding: Finding, say: Speaker) -> str:
    """Who against whom; the column is named once where both are values of it."""
    a, b = finding.slice, finding.against
    if b is None:
        return say.slice(a)
    if len(a) == 1 and list(a) == list(b) and not PARTS.keys() & a.keys() and all(map(speaks, (*a.values(), *b.values()))):
        column = next(iter(a))
        return say.t("{who} against {against} ({column})", who=say.level(a[column]), against=say.level(b[column]), column=clean(column, 60))
    return say.t("{who} against {against}", who=say.slice(a), against=say.slice(b))


def sentence(finding: Finding, say: Speaker) -> str:
    """A finding as a sentence: its own, else one made of its numbers."""
    if finding.sentence:
        return say.stored(finding.sentence, finding.sentence_msg)
    kind, e = kind_of(finding.metric, finding.compare), finding.estimate
    metric, who = capital(metric_name(finding.metric, say)), pair_text(finding, say)
    if e is None:
        why = reason_text(finding, say).rstrip(".。")  # the template closes the sentence
        return say.t("{metric}, {who}: not measured, {reason}.", metric=metric, who=who, reason=why)
    return say.t(
        "{metric}, {who}: {value} ({level:percent} interval {low} to {high}).",
        metric=metric,
        who=who,
        compare="" if finding.compare == "value" else say.t(COMPARE[finding.compare]),
        level=e.level,
        **interval(e.value, e.low, e.high, kind),
    )


def method_name(method: str, say: Speaker) -> str:
    return say.name(method, METHODS)
