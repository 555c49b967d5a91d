"""All audited models: which was audited when, on what, and what came out."""

import streamlit as st

from dashboard.show import SIGNED, UNSIGNED, flag_text, found_audits, plain, problems, speaker
from reports.view import answered_text, source_text, state_of_audit, today, validity
from reports.words import LOOKS, clean, number

say = speaker()
found = found_audits()
st.header(say.t("Audited models"))
problems(found, say)

if not found.entries:
    plain(say.t("No audit was found. Audit a model with: python -m audit.run MODEL_URI"))
else:
    plain(say.t("Choose a row to open its audit."))
    documents = [entry.document for entry in found.entries]
    data = {
        "model": [clean(d.model.name or d.model.uri, 120) for d in documents],
        "version": [clean(d.model.version or "–", 40) for d in documents],
        "verdict": [flag_text(LOOKS[state_of_audit(d)], say) for d in documents],
        "answered": [answered_text(d, say) for d in documents],
        "rows": [number(d.data.rows, "count") for d in documents],
        "data": [source_text(d, say) for d in documents],
        "date": [clean(d.started[:10], 10) for d in documents],
        "valid": [validity(d, today(), say) for d in documents],
        "signed": [say.t(SIGNED if entry.signed else UNSIGNED) for entry in found.entries],
    }
    text = st.column_config.TextColumn
    columns = {
        "model": text(say.t("Model")),
        "version": text(say.t("Version"), width="small"),
        "verdict": text(say.t("Verdict"), width="medium"),
        "answered": text(say.t("Answered"), width="large"),
        "rows": text(say.t("Rows"), alignment="right", width="small"),
        "data": text(say.t("Data")),
        "date": text(say.t("Date"), width="small"),
        "valid": text(say.t("Validity")),
        "signed": text(say.t("Signature")),
    }
    chosen = st.dataframe(
        data, column_config=columns, hide_index=True, on_select="rerun", selection_mode="single-row", key="audits", width="stretch"
    )
    rows = chosen["selection"]["rows"]
    if rows:
        st.switch_page("views/audit_page.py", query_params={"audit": found.entries[rows[0]].key})
