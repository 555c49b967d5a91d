"""An audit held against laws, standards and practices, as they stood on a day: what the evidence supports, what it does not, and what nobody measured."""

import datetime
from dataclasses import replace
from functools import partial
from pathlib import Path

import streamlit as st

from dashboard import paper, show
from dashboard.attesting import attesting
from dashboard.documents import NAMES, button
from dashboard.picking import picked
from dashboard.reading import editions
from dashboard.store import Entry
from reports.disclose import public
from reports.obligations.attestations import Attestation, attestations
from reports.obligations.catalogue import Framework, built_in
from reports.obligations.dossier import Dossier
from reports.obligations.draw import item, overview, warnings
from reports.obligations.draw import paper as whole
from reports.obligations.render import SUFFIXES, Wanted, draw, file_name
from reports.obligations.statements import LOOKS, Statement, applies, tally
from reports.speaker import Speaker, clean, mark

GENERAL = "nist"  # what anybody may follow, shown first where no law is known to apply
NONE = mark(
    "Nothing that was declared calls for a law or standard: jurisdictions and domain in the context (--context FILE) say which apply. Any of them can be chosen here."
)
TITLES = {"html": mark("For a browser"), "pdf": mark("For print"), "markdown": mark("As text")}


def attested(entry: Entry, say: Speaker) -> tuple[Attestation, ...]:
    """What named persons said of an audit in a folder; those of a store are in its folder there."""
    if entry.run is not None:
        return ()
    try:
        return attestations(Path(entry.where))
    except Exception as error:  # an altered file is told, and nothing in it is believed
        show.plain(clean(error, 300))
        return ()


def choice(entry: Entry, say: Speaker) -> tuple[Framework, datetime.date]:
    """Framework and day: those that the declared context calls for come first."""
    known = sorted(built_in().values(), key=lambda f: (not applies(f, document), f.id != GENERAL, f.id))
    if not applies(known[0], document):
        show.plain(say.t(NONE))
    left, right = st.columns([3, 1])
    with left:
        one = st.selectbox(
            say.t("Law, standard or practice"),
            known,
            format_func=lambda f: clean(f.called(say.lang), 120) + ("" if applies(f, document) else f" · {say.t('not shown to apply')}"),
        )
    with right:
        day = st.date_input(say.t("As of"), datetime.date.fromisoformat(entry.head.started[:10]))
    return one, day if isinstance(day, datetime.date) else datetime.date.fromisoformat(entry.head.started[:10])


def controls(dossier: Dossier, say: Speaker) -> None:
    """Each control that stands as asked for, opened for its evidence."""
    counts = tally(dossier.statements)
    state = st.segmented_control(
        say.t("State"),
        list(counts),
        format_func=lambda s: f"{show.flag_text(LOOKS[s], say)} ({counts[s]:,})",
        default=next(iter(counts)),
        key="state",
    )
    for number, s in enumerate(x for x in dossier.statements if x.state == state):
        with show.folded(f"{LOOKS[s.state].sign} {show.escaped(_name(s, say))}", f"item-{s.control.id}") as opened:
            if opened:
                paper.draw(item(dossier, s)[1:], say, f"item-{number}")


def _name(s: Statement, say: Speaker) -> str:
    return say.pair(s.control.section, s.control.called(say.lang))


def drawn(dossier: Dossier, format_: str, lang: str, edition: str) -> bytes:
    """The document of the framework, as `reports.generate --framework` makes it."""
    shown = public(dossier.document) if edition == "public" else dossier.document
    return draw(whole(replace(dossier, document=shown, say=Speaker(lang), edition=edition)), format_, "a4")


def downloads(entry: Entry, dossier: Dossier, say: Speaker) -> None:
    """The framework's document in both languages and editions."""
    with st.expander(say.t("The document of this framework to download")):
        left, right = st.columns(2)
        with left:
            lang = st.radio(
                say.t("Language of the document"), list(show.LANGUAGES), index=list(show.LANGUAGES).index(say.lang),
                format_func=show.LANGUAGES.__getitem__, horizontal=True, key="framework-lang",
            )  # fmt: skip
        with right:
            edition = st.radio(
                say.t("Edition"), editions(), format_func=lambda e: say.t(NAMES[e]), horizontal=True, key="framework-edition"
            )
        with st.container(horizontal=True):
            for format_ in SUFFIXES:
                name = file_name(Wanted(dossier.framework, format_, dossier.as_of), lang, edition)
                button(entry, say.t(TITLES[format_]), name, partial(drawn, dossier, format_, lang, edition), f"framework-{format_}")
        show.plain(say.t("The document of this framework: python -m reports.generate AUDIT_DIR --framework {id}", id=dossier.framework.id))


say = show.speaker()
chosen = picked(say)
if chosen is not None:
    entry, document = chosen
    st.header(say.t("Compliance"))
    framework, day = choice(entry, say)
    dossier = Dossier(document, framework, day, attested(entry, say), say)
    paper.draw(warnings(dossier), say, "warnings")
    controls(dossier, say)
    with show.folded(say.t("All controls at a glance"), "overview") as opened:
        if opened:
            paper.draw(overview(dossier)[1:], say, "overview")
    downloads(entry, dossier, say)
    attesting(entry, dossier, say)
