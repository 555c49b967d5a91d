"""The law of a day: whether a control applied then, from when on it does, and what others read into it."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from typing import Literal

from audit.errors import AuditError
from reports.obligations.catalogue import Control, Framework, Step, Text
from reports.speaker import Speaker

State = Literal["applies", "debated", "not_yet", "not_in_law", "superseded"]


@dataclass(frozen=True)
class Timing:
    """`since` is the day from which it applies, by the law of the day asked about; `other` are the dates of that law's other versions."""

    state: State
    since: datetime.date | None = None
    debated: datetime.date | None = None
    by: str = ""
    note: Text | None = None
    other: tuple[Step, ...] = ()


def timing(framework: Framework, control: Control | None, as_of: datetime.date) -> Timing:
    """When a control applies by the law of the day `as_of`; without a control, the framework as a whole."""
    if framework.until is not None and as_of >= framework.until:
        return Timing("superseded", framework.until, note=framework.superseded_by)
    known = framework.enacted or framework.in_force
    if known is not None and as_of < known:
        return Timing("not_in_law", framework.in_force, note=framework.replaced)
    steps = framework.schedules[control.schedule] if control is not None and control.schedule is not None else []
    if steps:
        return _scheduled(steps, as_of)
    if framework.in_force is not None and as_of < framework.in_force:
        return Timing("not_yet", framework.in_force, note=framework.replaced)
    return Timing("applies", framework.in_force)


def _scheduled(steps: list[Step], as_of: datetime.date) -> Timing:
    of_day = [step for step in steps if step.law_of <= as_of]
    if not of_day:
        return Timing("not_in_law", steps[0].law_of)
    now = of_day[-1]
    other = tuple(s for s in steps if s is not now and (s.applies_from, s.debated) != (now.applies_from, now.debated))
    if as_of < now.applies_from:
        state: State = "not_yet"
    else:
        state = "debated" if now.debated is not None and as_of < now.debated else "applies"
    return Timing(state, now.applies_from, now.debated, now.by, now.note, other)


def timing_text(t: Timing, as_of: datetime.date, say: Speaker) -> str:
    """The timing in words."""
    day, since = as_of.isoformat(), t.since.isoformat() if t.since else ""
    if t.state == "applies":
        told = say.t("Applies since {since}.", since=since) if since else ""
    elif t.state == "debated":
        told = say.t("Applies since {since}; whether it has effect before {later} is debated.", since=since, later=str(t.debated))
    elif t.state == "not_yet":
        told = say.t("Not applicable yet on {day}: applies from {since}.", day=day, since=since)
    elif t.state == "superseded":
        told = say.t("Superseded on {since}.", since=since)
    else:
        told = say.t("Not in the law of {day}: it came on {since}.", day=day, since=since)
    parts = [told, say.t("By {source}.", source=t.by) if t.by and t.state != "applies" else ""]
    if t.note is not None:
        note = t.note.said(say.lang)
        parts.append(note if note[-1] in ".。" else say.t("{note}.", note=note[:1].upper() + note[1:]))
    for step in t.other:
        said = {"source": step.by, "since": step.applies_from.isoformat()}
        if step.law_of > as_of:
            parts.append(say.t("A later law, {source}, puts the date at {since}.", **said))
        else:
            parts.append(say.t("The earlier law, {source}, had put the date at {since}.", **said))
    return say.sentences(parts)


def day(text: str, what: str = "--as-of") -> datetime.date:
    """A date from YYYY-MM-DD; an `AuditError` where it is none."""
    try:
        if len(text) == 10:
            return datetime.date.fromisoformat(text)
    except ValueError:
        pass
    raise AuditError(f"{what} {text[:40]} is no date", "write YYYY-MM-DD")
