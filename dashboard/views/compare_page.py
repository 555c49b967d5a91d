"""Two audits side by side: what the comparison rests on, the release gate, findings by class, and every metric."""

import streamlit as st

from audit.cohorts.named import Changes, Moved, Question
from audit.compared import Comparison
from audit.result import AuditResult
from dashboard import access, choosing, picking, reading, show
from dashboard.changed import changed
from dashboard.comparing import CannotCompareError, comparison
from dashboard.counting import about
from dashboard.several import several
from dashboard.store import Entry
from reports.comparison import (
    GATES,
    OUTCOMES,
    STATES,
    answers,
    chart,
    finding_text,
    gate_note,
    requirements,
    rows,
    screen_note,
    side_text,
)
from reports.frontier import written
from reports.metrics import metric_name
from reports.sentences import capital
from reports.speaker import Speaker, clean, mark, number
from reports.words import LOOKS

MOST_FINDINGS, MOST_CHANGED, MOST_MORE = 50, 200, 4
BEFORE, NOW, POINTS = mark("Before"), mark("Now"), mark("Change (percentage points)")


def choose(entries: list[Entry], say: Speaker) -> tuple[Entry, Entry] | None:
    """The two audits that the address names, else the newest as the new one and the one before it; the choice goes into the address.

    None where the address names one that is not known: another in its place would be taken for it.
    """
    by_key = {e.key: e for e in entries}
    names = {
        e.key: " · ".join(
            [
                clean(e.head.model.name or e.head.model.uri, 60), clean(e.head.model.version or "–", 20), clean(e.head.started[:16].replace("T", " "), 16),
                show.flag_text(LOOKS[e.state], say),
            ]
        )
        for e in entries
    }  # fmt: skip
    keys = list(by_key)
    picked: list[Entry] = []
    for column, name, label, default in zip(st.columns(2), ("old", "new"), (say.t("Old"), say.t("New")), (1, 0), strict=True):
        asked = st.query_params.get(name, "")
        place = keys.index(asked) if asked in by_key else None if asked else default
        with column:
            chosen = st.selectbox(
                label, keys, index=place, format_func=names.__getitem__, key=f"compare-{name}", placeholder=say.t("Choose")
            )
        if chosen is not None:
            picked.append(by_key[chosen])
            st.query_params[name] = chosen
    if len(picked) < 2:
        show.plain(say.t("The audit that this address names is not known here. Choose another one."))
        return None
    return picked[0], picked[1]


def told(found: Comparison, say: Speaker) -> None:
    """The comparison, in the order in which it should be read."""
    show.plain(say.stored(found.opening, found.opening_msg))
    show.flag(GATES[found.gate.result], say, large=True)
    show.plain(gate_note(found, say))
    show.table(
        [show.Head(say.t("Verdict")), show.Head(say.t("What must not be worse")), show.Head(say.t("Bound")), show.Head(say.t("Reason"))],
        [[show.flag_text(r.look, say), r.what, r.bound, r.note] for r in requirements(found, say)],
        "requirements",
    )
    for side, label in ((found.old, say.t("Old")), (found.new, say.t("New"))):
        show.plain(say.pair(label, side_text(side, say)))
    for text, message in zip(found.notes, found.notes_msg, strict=True):
        show.plain(say.stored(text, message))
    st.subheader(say.t("Findings that fail"))
    for title, both in answers(found, say):
        show.plain(f"{title} · {both}")
    if not found.findings:
        show.plain(say.t("No deciding or warning finding fails in either audit."))
    for finding in found.findings[:MOST_FINDINGS]:
        left, right = st.columns([1, 5])
        with left:
            show.flag(STATES[finding.state], say)
        with right:
            show.plain(finding_text(finding, say))
    st.subheader(say.t("What changed"))
    show.plain(screen_note(found, say))
    drawn = chart(found, say)
    if drawn is not None:
        show.chart(drawn, "compare-chart")
    heads = [
        show.Head(say.t("Metric")), show.Head(say.t("For whom")), show.Head(say.t("Before"), True), show.Head(say.t("Now"), True),
        show.Head(say.t("Change"), True), show.Head(say.t("p (adjusted)"), True), show.Head(say.t("Method")),
    ]  # fmt: skip
    listed = rows(found, say)
    for outcome, look in OUTCOMES.items():
        members = [[r.metric, r.who, r.old, r.new, r.change, r.p, r.method] for r in listed if r.look is look]
        if members:
            show.title(say.t("{outcome}: {n:count}", outcome=show.flag_text(look, say), n=len(members)))
            show.table(heads, members, f"changes-{outcome}")


def further(old: Entry, new: Entry, entries: list[Entry], say: Speaker) -> list[Entry]:
    """More new versions, of the same model where there are any; they stand in the address."""
    mine = [e for e in entries if e.head.model.task == new.head.model.task and e.key not in (old.key, new.key)]
    mine.sort(key=lambda e: (e.head.model.name or e.head.model.uri) != (new.head.model.name or new.head.model.uri))
    by_key = {e.key: e for e in mine}
    called = picking.names(mine)
    if not by_key:
        return []
    if "compare-more" not in st.session_state:
        st.session_state["compare-more"] = [k for k in st.query_params.get("more", "").split(",") if k in by_key][:MOST_MORE]
    st.session_state["compare-more"] = [k for k in st.session_state["compare-more"] if k in by_key]
    picked = st.multiselect(
        say.t("Further versions to hold against the old one"), list(by_key), format_func=called.__getitem__, max_selections=MOST_MORE, key="compare-more",
        placeholder=say.t("Choose"),
    )  # fmt: skip
    show.to_address("more", ",".join(picked))
    return [by_key[k] for k in picked]


def differences(old: AuditResult, new: AuditResult, say: Speaker) -> None:
    """What is not the same in plan, data, model, context and software."""
    st.subheader(say.t("What is not the same in the two audits"))
    found = changed(old, new, say)
    if not found:
        show.plain(say.t("Plan, data, model, context and software are the same."))
        return
    heads = [show.Head(say.t("Of what")), show.Head(say.t("What differs")), show.Head(say.t("Before")), show.Head(say.t("Now"))]
    show.table(heads, [list(c) for c in found[:MOST_CHANGED]], "differences")
    if len(found) > MOST_CHANGED:
        show.plain(say.t("{n:count} more differences are in the two documents.", n=len(found) - MOST_CHANGED))


def within(old: AuditResult, new: AuditResult, say: Speaker) -> None:
    """The same rows of a cohort under both models."""
    cohort = choosing.chosen(say)
    if cohort is None:
        return
    with st.container(border=True):
        show.title(cohort.name, 3)
        show.plain(choosing.told(cohort, say))
        if old.data.sha256 != new.data.sha256:
            show.plain(say.t("The audits are of different data, so no rows of the cohort can be paired."))
            return
        found = choosing.counted(Changes, Question(do="changes", about=about(new), old=about(old), cohort=cohort), new, say)
        if found is None:
            return
        if found.withheld is not None:
            show.plain(say.t(choosing.WITHHELD[found.withheld], n=about(new).least))
            return
        show.plain(say.t("{n:count} rows of the cohort under both models, paired.", n=found.n))
        heads = [show.Head(say.t("Metric")), *(show.Head(say.t(h), True) for h in (BEFORE, NOW, POINTS)), show.Head("p", True)]
        show.table(heads, [_moved(m, say) for m in found.moved], "cohort-changes")
        for text in choosing.notes(new, say):
            show.plain(text)


def _moved(m: Moved, say: Speaker) -> list[str]:
    name = capital(metric_name(m.metric, say))
    if m.old is None or m.new is None or m.change is None:
        return [name, say.t("withheld: too few people"), "–", "–", "–"]
    both = [written(e, "percent", say) for e in (m.old, m.new)]
    return [name, *both, written(m.change, "points", say), "–" if m.p is None else number(m.p, "p")]


def page(entries: list[Entry], say: Speaker) -> None:
    """One version against another, others beside it, and what is not the same in plan and data."""
    both = choose(entries, say)
    if both is None:
        return
    old, new = both
    if old.key == new.key:
        show.plain(say.t("Choose two different audits."))
        return
    more = [e for e in further(old, new, entries, say) if e.key != old.key]
    for entry in (old, new, *more):
        access.opened(audit=entry.key, document=entry.head.digest)
    found: dict[str, Comparison] = {}
    called = picking.names([new, *more])
    for entry in (new, *more):
        try:
            with st.spinner(say.t("Comparing …")):
                found[called[entry.key]] = comparison(old, entry)
        except CannotCompareError as refusal:
            if more:
                show.plain(called[entry.key])
            show.plain(say.t("These audits cannot be compared: {reason}", reason=clean(refusal, 400)))
    if more and found:
        st.subheader(say.t("All versions against the old one"))
        several(found, say)
        st.subheader(called[new.key])
    if called[new.key] in found:
        told(found[called[new.key]], say)
    try:
        documents = reading.document(old), reading.document(new)
    except Exception as error:  # a store that went away says it in its own way
        show.plain(say.t("This audit is known and cannot be read now: {error}", error=clean(error, 300)))
        return
    differences(*documents, say)
    if called[new.key] in found:
        within(*documents, say)


say = show.speaker()
access.require("small", "compare page")  # a comparison names every group
audits = show.found_audits()
st.header(say.t("Compare versions"))
if len(audits.entries) < 2:
    show.problems(audits, say)
    show.plain(say.t("Two audits are needed. Audit another version with: python -m audit.run MODEL_URI"))
else:
    page(audits.entries, say)
