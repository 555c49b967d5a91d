"""Why the model answers as it does: what was found over many rows with the tests of it, and one row of one's own."""

import streamlit as st

from audit.result import AuditResult
from dashboard import access, choosing, explaining, one_row, show
from dashboard.picking import picked
from dashboard.store import Entry
from dashboard.whatif import whatif
from reports.speaker import Speaker, clean, mark

#: What is chosen between; a check's own address opens it.
NAMES = {
    "explanation.global": mark("All rows"),
    "explanation.local": mark("Row by row"),
    "rows": mark("Single rows"),
    "explanation.ways": mark("Other methods"),
    "explanation.reasons": mark("Reasons"),
    "explanation.recourse": mark("Ways to another decision"),
    "tests": mark("Tests of the explanations"),
    "what-if": mark("What if"),
}


def choice(entry: Entry, document: AuditResult, say: Speaker) -> str | None:
    """What the address asks for, else what was chosen, else the first that there is; the choice goes into the address."""
    family = explaining.found(document)
    there = [id_ for id_ in explaining.SHOWN if id_ in family and family[id_].check.status != "skipped"]
    tested = any(id_ in family and family[id_].check.status != "skipped" for id_ in explaining.GATES)
    views = [*there, *(["rows"] if one_row.has_rows(entry, document) else []), *(["tests"] if tested else []), "what-if"]
    views.sort(key=list(NAMES).index)
    asked = st.query_params.get("check", "")
    asked = "tests" if asked in explaining.GATES else asked
    first = asked if asked in views else views[0]
    chosen = st.segmented_control(
        say.t("What is explained"),
        views,
        default=first,
        format_func=lambda v: say.t(NAMES[v]),
        key="explained",
        label_visibility="collapsed",
    )
    st.query_params["check"] = chosen or first
    return chosen or first


def shown(entry: Entry, document: AuditResult, say: Speaker) -> None:
    family = explaining.found(document)
    if all(one.check.status == "skipped" for one in family.values()):
        show.plain(say.t("This audit explains nothing."))
        show.plain(
            say.t(
                "Audit the model with its explanations: python -m audit.run {uri} --checks explanation", uri=clean(document.model.uri, 200)
            )
        )
        explaining.left_out(family, say)
    view = choice(entry, document, say)
    if view == "what-if":
        if access.may_see_rows(document):
            choosing.rows_to_take(document, say)
        whatif(entry, document, explaining.ranking(document), access.may_see_rows(document), say)
    elif view == "rows":
        one_row.one_row(entry, document, say)
    elif view == "tests":
        explaining.tests(family, say)
    elif view is not None:
        explaining.explanation(document, family[view], family, say)
        explaining.left_out(family, say)


say = show.speaker()
chosen = picked(say)
if chosen is not None:
    st.header(say.t("Explanations"))
    shown(*chosen, say)
