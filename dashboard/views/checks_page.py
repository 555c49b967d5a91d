"""About the checks: what each measures, what it does not show, how reliable it is as measured, and where it comes from; as the newest audit has them."""

import streamlit as st

from audit.result import CheckInfo
from dashboard import show
from dashboard.picking import picked
from reports.speaker import Speaker
from reports.states import family_of
from reports.tested import NAME, measured, planted
from reports.words import FAMILIES


def about(info: CheckInfo, place: int, say: Speaker) -> None:
    """One check, opened."""
    path = f"checks[{place}]"
    with show.folded(f"{show.escaped(say.stored(info.title, None))} · {show.escaped(info.id)}", f"about-{info.id}") as opened:
        if not opened:
            return
        for name, told in (("What it measures", info.meaning), ("What it does not show", info.limits)):
            st.markdown(f"**{say.t(name)}**")
            show.plain(say.stored(told, None))
        st.markdown(f"**{say.t(NAME)}**")
        show.plain(measured(info, path, say))
        for k, grid in enumerate(planted(info, path, say)):
            show.grid(grid, say, f"{path}-planted-{k}")
        if info.references:
            show.plain(say.pair(say.t("Sources"), say.list(info.references)))


say = show.speaker()
chosen = picked(say)
if chosen is not None:
    document = chosen[1]
    st.header(say.t("About the checks"))
    words = st.text_input(say.t("Search"), key="q", bind="query-params").casefold().split()
    for family in FAMILIES:
        members = [
            (i, c.info)
            for i, c in enumerate(document.checks)
            if family_of(c.info.id) == family
            and all(w in f"{c.info.id} {say.stored(c.info.title, None)} {say.stored(c.info.meaning, None)}".casefold() for w in words)
        ]
        if members:
            st.subheader(say.t(FAMILIES[family]))
            for place, info in members:
                about(info, place, say)
