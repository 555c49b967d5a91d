"""The principal reasons of a decision on the page of the person concerned."""

from __future__ import annotations

from typing import TYPE_CHECKING

from audit.explain.document import Method, Reason
from audit.text import render
from reports.sections import Section
from reports.showing import shares
from reports.speaker import clean, number

if TYPE_CHECKING:
    from reports.person import Page


def why(page: Page) -> Section | None:
    """The principal reasons, or why there are none to give."""
    found, say = page.d.reasons, page.say
    if found is None:
        return None
    title = say.t("The principal reasons")
    if found.state in ("not_needed", "impossible") and found.why is not None:
        return Section(title, notes=[clean(render(found.why, page.lang))])
    if found.state == "none":
        return Section(title, notes=[say.t("No input lies below that of others in the score, so no single one is a reason.")])
    first = found.methods[0]
    if found.state == "blocked":
        barred = dict.fromkeys(page.called(r.factor) for m in found.methods for r in m.reasons if r.barred)
        alert = say.t(
            "No notice is issued. Among the principal reasons is what may be no reason for a decision: {names}. This decision must be looked at by somebody who can change it.",
            names=say.list(barred),
        )  # fmt: skip
        return Section(title, alert=alert)
    if found.state == "rejected":
        alert = say.t("The explanation behind these reasons failed a test, so they must not be used. A person must state the reasons.")
        return Section(title, alert=alert, rejected=True, items=[_reason(page, r) for r in first.reasons])
    notes = [_compared(page, first), *_ties(page, first)]
    if len(found.methods) > 1:
        other = found.methods[1]
        same = {r.factor for r in other.reasons} == {r.factor for r in first.reasons}
        names = say.list(page.called(r.factor) for r in other.reasons)
        notes.append(
            say.t("The other method, {method}, names the same.", method=against(page, other)) if same
            else say.t("The other method, {method}, names: {names}.", method=against(page, other), names=names)
        )  # fmt: skip
    return Section(title, items=[_reason(page, r) for r in first.reasons], notes=notes)


def _reason(page: Page, reason: Reason) -> dict[str, str]:
    inputs = {i.column: i for i in page.d.inputs}
    if reason.factor not in inputs:
        return {"label": page.called(reason.factor), "detail": ""}
    own = inputs[reason.factor]
    here = page.shown(own)
    coded = own.kind != "number" or bool(page.rule(reason.factor).values)
    if coded and reason.same is not None:
        detail = page.say.t("here: {here}; the same for {share} of those compared with", here=here, share=number(reason.same, "percent"))
    elif not coded and reason.mean is not None:
        detail = page.say.t("here: {here}; on average {mean} among those compared with", here=here, mean=number(reason.mean, "number"))
    else:
        detail = page.say.t("here: {here}", here=here)
    return {"label": page.called(reason.factor), "detail": detail}


def against(page: Page, method: Method) -> str:
    return page.say.t("against all applicants") if method.against == "everybody" else page.say.t("against those who just got it")


def _compared(page: Page, method: Method) -> str:
    low, high = shares(method.score_low or 0.0, method.score_high or 0.0)
    if method.against == "everybody":
        return page.say.t(
            "In the order of how far they pull the score below the average of {n:count} applicants drawn from all.", n=method.applicants
        )
    if page.d.decision.score is None:
        return page.say.t("In the order of how far they pull the score below the average of the {n:count} applicants who just got the other decision.", n=method.applicants)  # fmt: skip
    return page.say.t(
        "In the order of how far they pull the score below the average of the {n:count} applicants who just got the other decision (scores {low} to {high}).",
        n=method.applicants, low=low, high=high,
    )  # fmt: skip


def _ties(page: Page, method: Method) -> list[str]:
    out = []
    for place, reason in enumerate(method.reasons):
        if not reason.tied:
            continue
        if place + 1 < len(method.reasons):
            one, other = page.called(reason.factor), page.called(method.reasons[place + 1].factor)
            out.append(page.say.t("Which weighs more is not settled, as they are too close: {one}, or {other}.", one=one, other=other))
        else:
            out.append(page.say.t("The last place is not settled, as another input is too close: {one}.", one=page.called(reason.factor)))
    return out
