"""One audit: the first screen, then its checks family by family."""

import streamlit as st

from audit.result import AuditResult
from dashboard import choosing, documents, show
from dashboard.checks import one_check
from dashboard.picking import picked
from dashboard.store import Entry
from reports.history import today, validity
from reports.palette import Palette
from reports.speaker import Speaker
from reports.states import family_of, state_of
from reports.view import FirstScreen, Flagged, families, first_screen
from reports.words import FAMILIES, LOOKS


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


@st.fragment
def family(document: AuditResult, say: Speaker) -> None:
    """The checks of one family, one of them open; family and check that stand worst come first, and the choice stands in the address."""
    places = {c.info.id: i for i, c in enumerate(document.checks)}
    looks = {id_: LOOKS[state_of(document.checks[i])] for id_, i in places.items()}
    names = list(dict.fromkeys(map(family_of, places)))
    cells = {n: c.look for n, c in zip(names, families(document, say), strict=True)}
    st.divider()
    sent = st.query_params.get("check", "")
    if st.session_state.get("family") not in names:  # chosen of another audit, or not yet
        st.session_state.pop("family", None)
        if sent in places:
            st.session_state.family = family_of(sent)
    asked = st.segmented_control(
        say.t("Family"),
        names,
        default=None if "family" in st.session_state else min(names, key=lambda n: cells[n].rank),
        format_func=lambda n: f"{cells[n].sign} {say.name(n, FAMILIES)}",
        key="family",
    ) or min(names, key=lambda n: cells[n].rank)
    there = sorted((id_ for id_ in places if family_of(id_) == asked), key=lambda id_: looks[id_].rank)
    if st.session_state.get("check") not in there:
        st.session_state.check = sent if sent in there else there[0]
    id_ = st.radio(
        say.t("Check"),
        there,
        format_func=lambda id_: f"{looks[id_].sign} {show.escaped(say.stored(document.checks[places[id_]].info.title, None))}",
        key="check",
    )
    show.to_address("check", id_)
    whom = choosing.for_whom(document, say)
    one_check(document.checks[places[id_]], places[id_], Palette(document), say, whom)


say = show.speaker()
chosen = picked(say)
if chosen is not None:
    entry, document = chosen
    first(entry, first_screen(document, say), say)
    documents.offer(entry, document, say)
    if document.checks:
        family(document, say)
