"""Which audit a page is about: the one that the address names, else the one of the page before, else the newest."""

from __future__ import annotations

from collections import Counter

import streamlit as st

from audit.result import AuditResult
from dashboard import access, reading, show
from dashboard.store import Entry
from reports.speaker import Speaker, clean


def name(entry: Entry) -> str:
    """An audit in a list of choices."""
    head = entry.head
    version = [clean(head.model.version, 20)] if head.model.version else []
    return " · ".join([clean(head.model.name or head.model.uri, 80), *version, clean(head.started[:10], 10)])


def names(entries: list[Entry]) -> dict[str, str]:
    """Every audit by key as it stands in a list of choices, no two alike: a choice is told by its text, so that two of a day get their time or their key."""
    plain = {e.key: name(e) for e in entries}
    often = Counter(plain.values())
    timed = {e.key: plain[e.key] + (f" · {clean(e.head.started[11:19], 10)}" if often[plain[e.key]] > 1 else "") for e in entries}
    again = Counter(timed.values())
    return {key: text + (f" · {key}" if again[text] > 1 else "") for key, text in timed.items()}


def picked(say: Speaker) -> tuple[Entry, AuditResult] | None:
    """The chosen audit and its document; None, and why said on the page, where there is none. The choice goes into the address."""
    found = show.found_audits()
    if not found.entries:
        show.problems(found, say)
        if not found.looking:
            show.plain(say.t("No audit was found. Audit a model with: python -m audit.run MODEL_URI"))
        return None
    by_key = {e.key: e for e in found.entries}
    called = names(found.entries)
    keys, sent = list(by_key), st.query_params.get("audit", "")
    if sent and sent not in by_key:  # another audit in its place would be taken for the one that was meant
        show.problems(found, say)
        if not found.looking:
            show.plain(say.t("The audit that this address names is not known here. Choose another one."))
        place = None
    else:
        asked = sent or st.session_state.get("audit", "")
        place = keys.index(asked) if asked in by_key else 0
    with st.container(width=420):
        key = st.selectbox(say.t("Audit"), keys, index=place, format_func=called.__getitem__, placeholder=say.t("Choose"))
    if key is None:
        return None
    st.query_params["audit"] = st.session_state.audit = key  # another page is about the same one
    access.opened(audit=key, document=by_key[key].head.digest)
    document = read(by_key[key], say)
    return None if document is None else (by_key[key], document)


def read(entry: Entry, say: Speaker) -> AuditResult | None:
    """The document of an audit; None, and why said on the page, where it cannot be had now."""
    try:
        return reading.document(entry)
    except Exception as error:  # a store that went away says it in its own way
        show.plain(say.t("This audit is known and cannot be read now: {error}", error=clean(error, 300)))
        return None
