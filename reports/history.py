"""What a reader must know of how an audit came about and how long it holds: looks at the same data, the commitment, waivers."""

from __future__ import annotations

from datetime import UTC, datetime

from audit.result import AuditResult, Commitment, Waiver
from reports.metrics import metric_name
from reports.said import Said
from reports.sentences import pair_text
from reports.speaker import Speaker, clean


def looks(document: AuditResult, say: Speaker) -> list[Said]:
    """How often these data have judged, with the levels that followed from it, and whether the plan was fixed before."""
    past, lines = document.history, []
    if past.models_on_this_data is None and past.reason:
        reason = say.stored(past.reason, past.reason_msg)
        text = say.t("How many models these data have judged is not known: {reason}. The levels are not divided.", reason=reason)
        lines.append(Said(text, "history.models_on_this_data"))
    elif past.models_on_this_data is not None and past.models_on_this_data > 1:
        text = say.t("These data have judged {n:count} models, this one included.", n=past.models_on_this_data)
        if past.alpha_fail is not None and past.level_pass is not None:
            text = say.t(
                "{looks} The levels are divided by that number: the chance that the audit fails by mistake is held to {alpha:percent}, and a pass needs "
                "one-sided {level:percent} bounds inside the limits ({both:percent} intervals).",
                looks=text, alpha=past.alpha_fail, level=past.level_pass, both=2 * past.level_pass - 1,
            )  # fmt: skip
        lines.append(Said(text, "history.models_on_this_data"))
    if past.plans_on_this_pair is not None and past.plans_on_this_pair > 1:
        text = say.t("{n:count} different plans have judged this model on these data, this one included.", n=past.plans_on_this_pair)
        lines.append(Said(text, "history.plans_on_this_pair"))
    if past.commitment is not None:
        lines.append(Said(commitment_text(past.commitment, say), "history.commitment"))
    return lines


def today() -> str:
    """The date in UTC, for what is said live; nothing that is stored depends on it."""
    return datetime.now(UTC).strftime("%Y-%m-%d")


def validity(document: AuditResult, today: str, say: Speaker) -> str:
    """Until when the audit holds, or that it no longer does."""
    until = clean(document.valid_until, 10)
    if document.valid_until < today:
        return say.t("Expired on {date}: audit the model again.", date=until)
    return say.t("Valid until {date}, or until the next version of the model.", date=until)


def commitment_text(commitment: Commitment, say: Speaker) -> str:
    """Whether the plan was fixed before the audit, and what that covers."""
    date = clean((commitment.date or "")[:10], 10)
    if commitment.state == "unknown":
        return say.t("Whether the plan was fixed in advance is not known.")
    if commitment.state == "other_data":
        return say.t("Plan not fixed in advance: it was fixed on {date} for other data, not for these.", date=date)
    if commitment.state == "not_fixed":
        return say.t("Plan not fixed in advance.")
    told = (
        say.t("Plan fixed on {date}, before this audit, but after these data had first been audited.", date=date)
        if commitment.after_first_look
        else say.t("Plan fixed on {date}, before this audit.", date=date)
    )
    covered = {
        "fixed": say.t("This covers criteria, limits and parameters, and the context file; not what was declared beside them, such as the decision rule."),
        "changed": say.t("This covers criteria, limits and parameters; the context file is not the one that was fixed with them."),
        "not_recorded": say.t("This covers criteria, limits and parameters; not what was declared beside them, such as the decision rule."),
    }  # fmt: skip
    return say.sentences([told, covered[commitment.context]])


def waiver_text(waiver: Waiver, document: AuditResult, say: Speaker) -> str:
    """What somebody accepted, and what it comes to."""
    found = next((f for c in document.checks for f in c.findings if f.key == waiver.key), None)
    what = say.pair(metric_name(found.metric, say), pair_text(found, say)) if found else ""
    person, date, reason = clean(waiver.person, 120), clean(waiver.expires, 10), say.stored(waiver.reason, None)
    said = {"what": what, "key": waiver.key, "person": person, "date": date, "reason": reason}
    if waiver.state == "accepted":
        return say.t("Accepted by {person} until {date}: {reason} ({what}; finding {key})", **said)
    if waiver.state == "expired":
        return say.t("Expired on {date} and counts as none: the waiver by {person}: {reason} ({what}; finding {key})", **said)
    if waiver.state == "unknown":
        return say.t("Accepts nothing, since no finding has the key {key}: the waiver by {person} until {date}: {reason}", **said)
    return say.t(
        "Not needed, since it neither fails nor is open: the waiver by {person} until {date}: {reason} ({what}; finding {key})", **said
    )


def accepted(document: AuditResult, key: str, say: Speaker) -> str:
    """Who accepts this finding until when; empty where nobody does."""
    found = [w for w in document.waivers if w.key == key and w.state == "accepted"]
    return (
        say.t("Accepted by {person} until {date}.", person=clean(found[0].person, 120), date=clean(found[0].expires, 10)) if found else ""
    )
