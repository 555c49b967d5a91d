"""One audit: the first screen, then its checks family by family."""

import streamlit as st

from audit.result import AuditResult
from dashboard import choosing, documents, show
from dashboard.checks import one_check
from dashboard.picking import picked
from dashboard.store import Entry
from reports.figures import Palette
from reports.view import FirstScreen, Flagged, families, family_of, first_screen, today, validity
from reports.words import FAMILIES, Speaker


def verdicts(items: list[Flagged], say: Speaker) -> None:
    """Verdict at the left, what it is about at the right."""
    for item in items:
        verdict, told = st.columns([1, 5])
        with verdict:
            show.flag(item.look, say)
        with told:
            show.plain(item.text)
            show.plain(item.detail)


def first(entry: Entry, screen: FirstScreen, say: Speaker) -> None:
    """The first screen, in its order."""
    show.plain(" · ".join(str(part) for part in screen.audited) + " · " + say.t(show.SIGNED if entry.signed else show.UNSIGNED))
    show.flag(screen.look, say, large=True)
    show.plain(f"{screen.answered} · {screen.purpose}")
    show.plain(screen.why)
    for line in (*screen.history, validity(entry.head, today(), say)):
        show.plain(line)
    if screen.deciding:
        st.subheader(say.t("What decides it"))
        verdicts(screen.deciding, say)
    st.subheader(say.t("The questions that decide"))
    verdicts(screen.questions, say)
    if screen.waivers:
        st.subheader(say.t("Waivers"))
        show.plain(say.t("A waiver says who accepts a finding, why, and until when. It changes no verdict."))
        for line in screen.waivers:
            show.plain(line)
    st.subheader(say.t("What each family found"))
    for start in range(0, len(screen.families), 3):
        for column, item in zip(st.columns(3), screen.families[start : start + 3], strict=False):
            with column, st.container(border=True):
                show.title(say.name(item.anchor.removeprefix("family-"), FAMILIES))
                show.flag(item.look, say)
                show.plain(item.detail)
                for line in item.open:
                    show.plain(say.t("Open: {text}", text=str(line)))
    st.subheader(say.t("What this audit does not show"))
    for line in screen.not_shown:
        show.plain(line)
    if screen.unstated:
        show.plain(say.t("Not stated by those who asked for it: {names}.", names=screen.unstated))


def family(document: AuditResult, say: Speaker) -> None:
    """The checks of one family; the first shown is the one that stands worst."""
    names = list(dict.fromkeys(family_of(c.info.id) for c in document.checks))
    cells = families(document, say)
    worst = min(range(len(cells)), key=lambda i: cells[i].look.rank)
    labels = {n: f"{c.look.sign} {say.name(n, FAMILIES)}" for n, c in zip(names, cells, strict=True)}
    st.divider()
    asked = st.segmented_control(say.t("Family"), names, default=names[worst], format_func=labels.__getitem__, key="family") or names[worst]
    whom = choosing.for_whom(document, say)
    palette = Palette(document)
    for i, check in enumerate(document.checks):
        if family_of(check.info.id) == asked:
            one_check(check, i, palette, say, whom)


say = show.speaker()
chosen = picked(say)
if chosen is not None:
    entry, document = chosen
    first(entry, first_screen(document, say), say)
    documents.offer(entry, document, say)
    if document.checks:
        family(document, say)
