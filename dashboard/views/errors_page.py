"""Where the model is wrong: the worst slices, the tree of errors, kinds of mistakes, groups; and cohorts that a person makes of them."""

import streamlit as st

from audit.result import AuditResult
from dashboard import access, choosing, show
from dashboard.checks import one_check
from dashboard.picking import picked
from reports.palette import Palette
from reports.speaker import Speaker, mark

#: What this page is about, in the order in which it should be read.
PARTS = {
    "performance.named_slices": mark("Named slices"),
    "performance.slices": mark("Worst slices"),
    "performance.error_tree": mark("Tree of errors"),
    "performance.error_clusters": mark("Kinds of mistakes"),
    "performance.groups": mark("By group"),
    "performance.period": mark("By period"),
}
NONE = mark("This audit did not look for where the model is wrong. Audit it with: python -m audit.run MODEL_URI --checks performance")


def parts(document: AuditResult, say: Speaker) -> None:
    """One part at a time, so that a click stays quick; the choice stands in the address."""
    places = {c.info.id: i for i, c in enumerate(document.checks)}
    there = [id_ for id_ in PARTS if id_ in places and document.checks[places[id_]].reason != "Not asked for."]
    if not there:
        show.plain(say.t(NONE))
        return
    first = next((id_ for id_ in there if document.checks[places[id_]].status == "completed"), there[0])
    id_ = (
        st.segmented_control(say.t("Part"), there, format_func=lambda id_: say.t(PARTS[id_]), key=show.from_address("part", there, first))
        or first
    )
    show.to_address("part", id_)
    one_check(document.checks[places[id_]], places[id_], Palette(document), say)


say = show.speaker()
chosen = picked(say)
if chosen is not None:
    entry, document = chosen
    st.header(say.t("Errors"))
    cohort = choosing.chosen(say)
    if cohort is not None:
        with st.container(border=True):
            choosing.figures(document, cohort, say)
            if access.may("run"):
                st.page_link(
                    "views/run_page.py",
                    label=say.t("Audit with this cohort named in the plan"),
                    query_params={"like": entry.key, "cohort": cohort.name},
                )
    choosing.make(document, say)
    parts(document, say)
