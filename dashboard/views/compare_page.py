"""Two audits side by side: what the comparison rests on, the release gate, findings by class, and every metric."""

import streamlit as st

from audit.compared import Comparison
from dashboard import show
from dashboard.comparing import CannotCompareError, comparison
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
from reports.words import LOOKS, Speaker, clean

MOST_FINDINGS = 50


def choose(entries: list[Entry], say: Speaker) -> tuple[Entry, Entry]:
    """The two audits that the address names, else the newest as the new one and the one before it; the choice goes into the address."""
    by_key = {e.key: e for e in entries}
    names = {
        e.key: " · ".join(
            [
                clean(e.head.model.name or e.head.model.uri, 60), clean(e.head.model.version or "–", 20), clean(e.head.started[:16], 16),
                show.flag_text(LOOKS[e.state], say),
            ]
        )
        for e in entries
    }  # fmt: skip
    keys, picked = list(by_key), []
    for column, name, label, default in zip(st.columns(2), ("old", "new"), (say.t("Old"), say.t("New")), (1, 0), strict=True):
        asked = st.query_params.get(name, "")
        place = keys.index(asked) if asked in by_key else default
        with column:
            picked.append(st.selectbox(label, keys, index=place, format_func=names.__getitem__, key=f"compare-{name}"))
        st.query_params[name] = picked[-1]
    return by_key[picked[0]], by_key[picked[1]]


def told(found: Comparison, say: Speaker) -> None:
    """The comparison, in the order in which it should be read."""
    show.plain(say.stored(found.opening, found.opening_msg))
    show.flag(GATES[found.gate.result], say, large=True)
    show.plain(gate_note(found, say))
    show.table(
        [show.Head(""), show.Head(say.t("What must not be worse")), show.Head(say.t("Bound")), show.Head(say.t("Reason"))],
        [[show.flag_text(r.look, say), r.what, r.bound, r.note] for r in requirements(found, say)],
        "requirements",
    )
    for side, label in ((found.old, say.t("Old")), (found.new, say.t("New"))):
        show.plain(say.pair(label, side_text(side, say)))
    for text, message in zip(found.notes, found.notes_msg, strict=True):
        show.plain(say.stored(text, message))
    st.subheader(say.t("Findings that fail"))
    for title, both in answers(found, say):
        show.plain(f"{title} {both}")
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
        show.Head(say.t("Change"), True, wide=True), show.Head(say.t("p (adjusted)"), True), show.Head(say.t("Method")),
    ]  # fmt: skip
    listed = rows(found, say)
    for outcome, look in OUTCOMES.items():
        members = [[r.metric, r.who, r.old, r.new, r.change, r.p, r.method] for r in listed if r.look is look]
        if members:
            show.title(say.t("{outcome}: {n:count}", outcome=show.flag_text(look, say), n=len(members)))
            show.table(heads, members, f"changes-{outcome}")


say = show.speaker()
audits = show.found_audits()
st.header(say.t("Compare two audits"))
if len(audits.entries) < 2:
    show.problems(audits, say)
    show.plain(say.t("Two audits are needed. Audit another version with: python -m audit.run MODEL_URI"))
else:
    old, new = choose(audits.entries, say)
    if old.key == new.key:
        show.plain(say.t("Choose two different audits."))
    else:
        try:
            with st.spinner(say.t("Comparing …")):
                told(comparison(old, new), say)
        except CannotCompareError as refusal:
            show.plain(say.t("These audits cannot be compared: {reason}", reason=clean(refusal, 400)))
