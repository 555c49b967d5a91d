"""One row of an audit whose plan allowed single rows: its inputs, the answer, the outcome, and what moved the answer."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import streamlit as st
from pydantic import ValidationError

from audit import manifest
from audit.explain.rows_file import NAME, Row, Rows
from audit.result import AuditResult
from dashboard import access, moved, show
from dashboard.explaining import GATES
from dashboard.store import Entry
from reports.palette import Palette
from reports.speaker import Speaker, clean, mark, number
from reports.words import LOOKS

#: What a person may look at alone.
AGREE = {
    "": mark("All"),
    "same": mark("Answer and outcome are the same"),
    "other": mark("They differ"),
    "unknown": mark("The outcome is not known"),
}
STATES = {True: "same", False: "other", None: "unknown"}


def has_rows(entry: Entry, document: AuditResult) -> bool:
    """Whether this person may see single rows of this audit, and they lie here."""
    return access.may_see_rows(document) and entry.run is None and (Path(entry.where) / NAME).is_file()


def one_row(entry: Entry, document: AuditResult, say: Speaker) -> None:
    """The whole section; for who may see rows (`has_rows`), where the file is as it was written."""
    access.require("rows", about=entry.key)
    folder = Path(entry.where)
    found = _read(entry.where, tuple((folder / name).stat().st_mtime_ns for name in (NAME, manifest.NAME) if (folder / name).exists()))
    if found is None or found.document_digest != document.digest:
        show.flagged(
            LOOKS["error"], say.t("{file} is not as it was written, so none of it is shown: see python -m audit.verify.", file=NAME), say
        )
        return
    show.title(say.t("Single rows"), 2)
    show.plain(
        say.t(
            "{n:count} of the {all:count} rows that were explained, drawn by the audit's seed. They can be people: which of them you open is recorded.",
            n=len(found.rows), all=found.explained,
        )
    )  # fmt: skip
    row = _picked(found.rows, say)
    if row is None:
        show.plain(say.t("No row is like this."))
        return
    access.once("row", audit=entry.key, row=row.row)
    kinds: dict[str, str] = {feature.name: feature.kind for feature in document.model.features}
    _answered(row, found, say)
    left, right = st.columns([3, 2], gap="large")
    with right:
        _believed(found, say)
        _inputs(row, say)
        moved.events(row, kinds, say)
    with left:
        for k, account in enumerate(row.accounts):
            moved.explained(row, account, kinds, Palette(document), f"row-{k}", say, struck=found.rejected is not None)


@st.cache_resource(max_entries=4, show_spinner=False)
def _read(where: str, stamps: tuple[int, ...]) -> Rows | None:
    """The file, where it is the one that the manifest lists; read again when it or the manifest was written again."""
    folder = Path(where)
    try:
        listed = json.loads((folder / manifest.NAME).read_bytes())["files"]
        if listed.get(NAME) != manifest.measured(folder / NAME):
            return None
        return Rows.model_validate_json((folder / NAME).read_bytes())
    except (OSError, ValueError, KeyError, TypeError, AttributeError, ValidationError):
        return None


def _picked(rows: Sequence[Row], say: Speaker) -> Row | None:
    """The row that the address names, or the first of those that were asked for."""
    answers = sorted({row.answer for row in rows})
    states = {STATES[row.agrees] for row in rows}
    with st.container(horizontal=True, vertical_alignment="bottom"):
        answer, agree = "", ""
        if 1 < len(answers) <= 50:
            key = show.from_address("answer", ["", *answers], "")
            label = say.t("Answer")
            answer = st.selectbox(label, ["", *answers], format_func=lambda a: clean(a, 60) or say.t("All"), key=key, width=240)
            show.to_address("answer", answer)
        if len(states) > 1:
            options = [state for state in AGREE if not state or state in states]
            key = show.from_address("outcome", options, "")
            agree = st.selectbox(say.t("Outcome"), options, format_func=lambda s: say.t(AGREE[s]), key=key, width=320)
            show.to_address("outcome", agree)
        left = {str(r.row): r for r in rows if answer in ("", r.answer) and agree in ("", STATES[r.agrees])}
        if not left:
            return None
        key = show.from_address("row", list(left), next(iter(left)))
        place = st.selectbox(say.t("Row of the data, counted from 0 ({n:count} here)", n=len(left)), list(left), key=key, width=320)
        show.to_address("row", place)
    return left[place]


def _answered(row: Row, found: Rows, say: Speaker) -> None:
    """What the model answered and what came of it."""
    with st.container(border=True):
        show.title(say.t("Row {row}", row=str(row.row)), 3)
        told = [say.pair(say.t("Answer"), clean(row.answer, 200))]
        if row.score is not None:
            of = say.t("score of {name}", name=clean(found.score_of, 80)) if found.score_of else say.t("score of this answer")
            told.append(say.pair(of, number(row.score, "percent")))
        show.plain(say.join(told))
        outcome = clean(row.outcome, 200) if row.outcome is not None else say.t("not known")
        agrees = say.t("the same as the answer") if row.agrees else say.t("not the same as the answer")
        show.plain(say.join([say.pair(say.t("Outcome"), outcome), agrees if row.agrees is not None else ""]))


def _believed(found: Rows, say: Speaker) -> None:
    """The tests that the explanations of this audit passed or failed."""
    with st.container(border=True):
        st.markdown(f"**{say.t('How far this can be believed')}**")
        if found.rejected is not None:
            show.flag(LOOKS["rejected"], say)
            show.plain(say.stored(found.rejected, found.rejected_msg))
        with st.container(gap="small"):
            for gate in found.gates:
                show.flagged(LOOKS[gate.verdict], say.t(GATES[gate.check]) if gate.check in GATES else gate.check, say)
        if not found.gates:
            show.plain(say.t("Nothing in this audit tests this explanation."))


def _inputs(row: Row, say: Speaker) -> None:
    """Every value as text; what is longer than a cell stands in full where it is pointed at."""
    if not row.inputs:
        return
    heads = [show.Head(say.t("Input")), show.Head(say.t("Value"))]
    show.table(heads, [[clean(v.column, 120), say.t("unknown") if v.value is None else clean(v.value)] for v in row.inputs], "row-inputs")
    if row.inputs_left_out:
        show.plain(say.t("{n:count} more inputs are not listed.", n=row.inputs_left_out))
