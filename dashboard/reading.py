"""The document of an audit as this person may read it: whole, or for who sees aggregates alone the public edition, without its small groups."""

from __future__ import annotations

import streamlit as st

from audit.result import AuditResult
from dashboard import access
from dashboard.store import Entry, document_of
from reports.disclose import public
from reports.write import EDITIONS


def document(entry: Entry) -> AuditResult:
    """The document; those looked at last are kept. Whatever the store raises where it cannot be read."""
    return _read(entry, access.may("small"))


def editions() -> tuple[str, ...]:
    """The editions that this person may be given."""
    return EDITIONS if access.may("small") else ("public",)


@st.cache_resource(max_entries=16, show_spinner=False, hash_funcs={Entry: lambda e: e.key})
def _read(entry: Entry, whole: bool) -> AuditResult:
    found = document_of(entry)
    return found if whole else public(found)
