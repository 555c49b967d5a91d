"""The documents of an audit, made when they are asked for and from the same code as `python -m reports.generate`."""

from __future__ import annotations

import mimetypes
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import streamlit as st

from audit.result import AuditResult
from dashboard import access, show
from dashboard.reading import editions
from dashboard.store import Entry, whole_folder_of
from reports.formats import FORMATS, file_name
from reports.speaker import Speaker, mark

TITLES = {
    "html": mark("Full report, for a browser"),
    "pdf": mark("Full report, for print"),
    "appendix": mark("Appendix of the report for print"),
    "appendix-html": mark("Appendix of the report for a browser"),
    "summary": mark("Summary of two pages"),
    "markdown": mark("Report as text"),
    "model-card": mark("Model card"),
    "datasheet": mark("Datasheet of the data"),
    "oscal": mark("OSCAL assessment results"),
    "sarif": mark("SARIF findings, for code scanning"),
    "cyclonedx": mark("CycloneDX bill of materials"),
    "junit": mark("JUnit test results"),
    "evidence": mark("Everything, to verify without us"),
}
NAMES = {"internal": mark("internal"), "public": mark("public, small groups withheld")}
PAPERS = {"a4": "A4", "letter": "Letter"}


def offer(entry: Entry, document: AuditResult, say: Speaker) -> None:
    """A button for each format, in a language and an edition that the reader chooses."""
    with show.folded(say.t("Documents to download"), "documents") as opened:
        if opened:
            _choices(entry, document, say)


def _choices(entry: Entry, document: AuditResult, say: Speaker) -> None:
    left, middle, right = st.columns(3)
    with left:
        lang = st.radio(
            say.t("Language of the document"),
            list(show.LANGUAGES),
            index=list(show.LANGUAGES).index(say.lang),
            format_func=show.LANGUAGES.__getitem__,
            horizontal=True,
        )
    with middle:
        edition = st.radio(say.t("Edition"), editions(), format_func=lambda e: say.t(NAMES[e]), horizontal=True)
    with right:
        paper = st.radio(say.t("Paper"), list(PAPERS), format_func=PAPERS.__getitem__, horizontal=True)
    offered = [n for n, kind in FORMATS.items() if not (kind.whole and edition == "public")]
    with st.container(horizontal=True):
        for name in offered:
            kind = FORMATS[name]
            make = partial(_pack, entry, document) if kind.whole else partial(kind.render, document, lang, edition, paper)
            button(entry, say.t(TITLES[name]), file_name(name, "en" if kind.whole else lang, edition), make, f"document-{name}")
    show.plain(say.t("Each is made from the stored audit when you ask for it."))


def button(entry: Entry, title: str, name: str, make: Callable[[], bytes], key: str) -> None:
    """A download of an audit, made and recorded at the click; `name` is the file's."""
    label = f"{title} · {Path(name).suffix[1:].upper()}"
    kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
    make = access.recorded(make, audit=entry.key, document=entry.head.digest, file=name)
    st.download_button(label, make, file_name=name, mime=kind, key=key, on_click="ignore")


def _pack(entry: Entry, document: AuditResult) -> bytes:
    with tempfile.TemporaryDirectory(prefix="witnessmark-audit-") as scratch:
        return FORMATS["evidence"].pack(whole_folder_of(entry, Path(scratch)), document, [])
