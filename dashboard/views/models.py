"""All models: which was audited when, on what, and what came out family by family; and which nobody has audited."""

import streamlit as st

from dashboard import access
from dashboard.show import SIGNED, UNSIGNED, across, flag_text, found_audits, plain, problems, speaker
from dashboard.store import Entry, Unaudited
from reports.history import today, validity
from reports.speaker import Speaker, clean, number
from reports.view import answered_text, source_text
from reports.words import FAMILIES, LOOKS

#: The looks that a filter offers, worst first; two keys of one look are one choice.
VERDICTS = ("fail", "error", "inconclusive", "size_open", "pass")


def looked_at(entries: list[Entry]) -> list[str]:
    """The families of which a check ran in one of these audits."""
    return [f for f in FAMILIES if any(e.families.get(f, "skipped") != "skipped" for e in entries)]


def chosen(entries: list[Entry], say: Speaker) -> list[Entry]:
    """The entries that the filters leave; the filters stand in the address."""
    text, verdict, family = st.columns([2, 3, 3])
    with text:
        words = st.text_input(say.t("Search model, data or version"), key="q", bind="query-params").casefold().split()
    with verdict:
        looks = st.pills(
            say.t("Verdict"),
            VERDICTS,
            selection_mode="multi",
            format_func=lambda v: flag_text(LOOKS[v], say),
            key="verdict",
            bind="query-params",
            wrap=True,
        )
    with family:
        open_ = st.pills(
            say.t("Fails or is open in"),
            looked_at(entries),
            selection_mode="multi",
            format_func=lambda f: say.t(FAMILIES[f]),
            key="in",
            bind="query-params",
            wrap=True,
        )
    return [
        e
        for e in entries
        if all(
            w in " ".join([e.head.model.name or "", e.head.model.uri, e.head.model.version or "", e.head.data.source]).casefold()
            for w in words
        )
        and (not looks or e.state in looks)
        and (not open_ or any(LOOKS[e.families[f]].rank < LOOKS["pass"].rank for f in open_ if f in e.families))
    ]


def audited(entries: list[Entry], say: Speaker) -> None:
    """The table of audits; choosing a row opens its audit."""
    heads = [e.head for e in entries]
    families = looked_at(entries)
    text = st.column_config.TextColumn
    data = {
        "model": [clean(d.model.name or d.model.uri, 120) for d in heads],
        "version": [clean(d.model.version or "–", 40) for d in heads],
        "verdict": [flag_text(LOOKS[e.state], say) for e in entries],
        **{f"family-{f}": [LOOKS[e.families[f]].sign if f in e.families else "" for e in entries] for f in families},
        "answered": [answered_text(d, say) for d in heads],
        "rows": [number(d.data.rows, "count") for d in heads],
        "data": [source_text(d, say) for d in heads],
        "date": [clean(d.started[:10], 10) for d in heads],
        "valid": [validity(d, today(), say) for d in heads],
        "signed": [say.t(SIGNED if e.signed else UNSIGNED) for e in entries],
    }
    columns = {
        "model": text(say.t("Model"), pinned=True),
        "version": text(say.t("Version"), width="small"),
        "verdict": text(say.t("Verdict"), width=across(say.t("Verdict"), data["verdict"])),
        **{f"family-{f}": text(say.t(FAMILIES[f]), width=across(say.t(FAMILIES[f]), ()), alignment="center") for f in families},
        "answered": text(say.t("Answered"), width="medium"),
        "rows": text(say.t("Rows"), alignment="right", width="small"),
        "data": text(say.t("Data")),
        "date": text(say.t("Date"), width="small"),
        "valid": text(say.t("Validity")),
        "signed": text(say.t("Signature")),
    }
    plain(say.list(flag_text(look, say) for look in dict.fromkeys(LOOKS.values())))
    picked = st.dataframe(
        data, column_config=columns, hide_index=True, on_select="rerun", selection_mode="single-row", key="audits", width="stretch"
    )
    rows = picked["selection"]["rows"]
    if rows:
        st.switch_page("views/audit_page.py", query_params={"audit": entries[rows[0]].key})


def not_audited(versions: list[Unaudited], say: Speaker) -> None:
    """Registered versions that no audit has judged."""
    st.subheader(say.t("Registered and not audited"))
    plain(say.t("Audit one with: python -m audit.run models:/NAME/VERSION"))
    if access.may("run"):
        st.page_link("views/run_page.py", label=say.t("Audit one from here"))
    columns = {"name": say.t("Model"), "version": say.t("Version"), "created": say.t("Date")}
    data = {
        "name": [clean(v.name, 120) for v in versions],
        "version": [clean(v.version, 40) for v in versions],
        "created": [v.created for v in versions],
    }
    st.dataframe(data, column_config=columns, hide_index=True, key="unaudited", width="content")


say = speaker()
found = found_audits()
st.header(say.t("Models"))
problems(found, say)
if found.entries:
    left = chosen(found.entries, say)
    plain(say.t("{n:count} of {all:count} audits. Choose a row to open its audit.", n=len(left), all=len(found.entries)))
    if left:
        audited(left, say)
    else:
        plain(say.t("No audit fits these filters: take one of them away."))
elif not found.looking:
    plain(say.t("No audit was found. Audit a model with: python -m audit.run MODEL_URI"))
if found.unaudited:
    not_audited(found.unaudited, say)
