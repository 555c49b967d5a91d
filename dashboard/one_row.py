"""One row of an audit whose plan allowed single rows: its inputs, the answer, the outcome, and what moved the answer."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import streamlit as st
from pydantic import ValidationError

from audit import manifest
from audit.explain.rows_file import NAME, Account, Part, Picture, Row, Rows
from audit.result import Attribution, AuditResult, Heatmap
from dashboard import access, show
from dashboard.explaining import GATES
from dashboard.store import Entry
from reports.charts import Chart
from reports.figures import Palette, picture
from reports.person import METHODS, UNITS
from reports.words import LOOKS, Speaker, clean, mark, number

#: What a person may look at alone.
AGREE = {
    "": mark("All"),
    "same": mark("Answer and outcome are the same"),
    "other": mark("They differ"),
    "unknown": mark("The outcome is not known"),
}
STATES = {True: "same", False: "other", None: "unknown"}
#: A word whose part is smaller than this share of the largest is not marked.
MARKED = 0.1
MOST_WORD, MOST_EVENTS = 60, 10
MOVED = mark("What each region moved: + for what is explained, − against it")


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
        _events(row, kinds, say)
    with left:
        for k, account in enumerate(row.accounts):
            _account(row, account, document, kinds, f"row-{k}", say, struck=found.rejected is not None)


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


def _events(row: Row, kinds: dict[str, str], say: Speaker) -> None:
    """What happened in a sequence, the last first; the earlier ones stand among the parts."""
    found = [part for account in row.accounts[:1] for part in account.parts if kinds.get(part.column) == "sequence" and part.holds]
    for part in found[: -MOST_EVENTS - 1 : -1]:
        show.title(_place(part))
        show.plain(clean(part.holds, 600))
    if len(found) > MOST_EVENTS:
        show.plain(say.t("{n:count} earlier events are listed as parts.", n=len(found) - MOST_EVENTS))


def _account(row: Row, account: Account, document: AuditResult, kinds: dict[str, str], key: str, say: Speaker, *, struck: bool) -> None:
    """One explanation: where it lies in a text or a picture, its largest parts as bars, and all of them as numbers."""
    unit = say.name(account.unit, UNITS) if account.unit in UNITS else say.t(account.unit)
    if not account.parts:
        show.plain(say.t("This row has no parts that could be switched off."))
        return
    if not account.by_field:
        for column in [name for name, kind in kinds.items() if kind == "text"]:
            _words([part for part in account.parts if part.column == column], say)
        for k, shown in enumerate(row.pictures):
            _maps(shown, account, document, f"{key}-picture-{k}", say, struck=struck)
    chart = _bars(account, document, kinds, say)
    if chart is not None:
        show.chart(chart, f"{key}-bars", struck=struck)
    for line in _told(account, unit, say):
        show.plain(line)
    with show.folded(say.t("Every part as a number"), f"{key}-parts") as opened:
        if opened:
            heads = [
                show.Head(say.t("Part")),
                show.Head(say.t("What stands there")),
                show.Head(say.t("Attribution"), True),
                show.Head(say.t("Standard error"), True),
            ]
            cells = [
                [_place(p), clean(p.holds or "", 200), number(p.value, "signed"), "" if p.error is None else number(p.error, "number")]
                for p in account.parts
            ]
            show.table(heads, cells, f"{key}-table")


def _told(account: Account, unit: str, say: Speaker) -> list[str]:
    """How it was made, whether the parts add up, and whether the largest is settled."""
    of = say.t("class {value}", value=clean(account.output, 80)) if account.output is not None else say.t("the quantity")
    lines = [say.t("{method}; explained: {of}; unit: {unit}.", method=say.name(account.method, METHODS), of=of, unit=unit)]
    sums = {"base": number(account.base, "number"), "answer": number(account.answer, "number")}
    if account.gap is not None:
        lines.append(
            say.t(
                "From {base} without these parts to {answer} with them; {gap} of the way is not accounted for.",
                gap=number(account.gap, "percent"),
                **sums,
            )
        )
    if account.tied:
        lines.append(say.t("Which part is the largest is not settled: the next one is within two standard errors of it."))
    if account.left_out:
        lines.append(
            say.t(
                "{n:count} smaller parts are not listed; together they moved the answer by {rest}.",
                n=account.left_out,
                rest=number(account.rest, "signed"),
            )
        )
    return lines


def _place(part: Part) -> str:
    """What a part is called: its column, and where in it."""
    return clean(part.column if part.place == part.column else f"{part.column}: {part.place}", 120)


def _name(part: Part, kinds: dict[str, str]) -> str:
    """A part beside its bar: a word by itself, an event by its place, a value with its column."""
    if kinds.get(part.column) == "text":
        return f"“{clean((part.holds or '').strip(), MOST_WORD)}”"
    if kinds.get(part.column) in ("sequence", "audio"):
        return clean(part.place, MOST_WORD)
    return clean(_place(part) if part.holds is None else f"{_place(part)} = {part.holds}", MOST_WORD)


def _bars(account: Account, document: AuditResult, kinds: dict[str, str], say: Speaker) -> Chart | None:
    """The largest parts in the report's own chart, but for regions, which have a map; events stay in their order."""
    parts = sorted((part for part in account.parts if kinds.get(part.column) != "image"), key=lambda part: -abs(part.value))[:15]
    if not parts:
        return None
    if all(kinds.get(part.column) in ("sequence", "audio") for part in parts) and not account.by_field:
        parts = [part for part in account.parts if part in parts]
    drawn = all(part.error is not None for part in parts)
    ends = [(p.value - 2 * (p.error or 0.0), p.value + 2 * (p.error or 0.0)) for p in parts]
    shown = Attribution(
        caption="", unit=account.unit, features=[_name(p, kinds) for p in parts], values=[p.value for p in parts],
        low=[low for low, _ in ends] if drawn else None, high=[high for _, high in ends] if drawn else None,
    )  # fmt: skip
    return picture(shown, [], "", Palette(document), say)


def _words(parts: Sequence[Part], say: Speaker) -> None:
    """A text with its words marked: + speaks for what is explained, − against it, and the colour says the same."""
    if not parts:
        return
    largest = max(abs(part.value) for part in parts)
    told = []
    for part in parts:
        held = part.holds or ""
        word, space = show.escaped(clean(held.strip(), 2000)), " " if held[-1:].isspace() else ""
        share = abs(part.value) / largest if largest else 0.0
        if word and share >= MARKED:
            word = f":{'blue' if part.value > 0 else 'orange'}-background[**{'+' if part.value > 0 else '−'}** {word}]"
        told.append(word + space)
    show.title(clean(parts[0].column, 120))
    st.markdown("".join(told))
    show.plain(
        say.t("+ speaks for what is explained, − against it; a word without a sign moves it by less than a tenth of what the largest does.")
    )


def _maps(shown: Picture, account: Account, document: AuditResult, key: str, say: Speaker, *, struck: bool) -> None:
    """The picture in cells, and beside it what each region moved."""
    own = {part.place: part.value for part in account.parts if part.column == shown.column}
    moved = [[own.get(f"({r + 1}, {c + 1})", 0.0) for c in range(shown.across)] for r in range(shown.down)]
    show.title(clean(shown.column, 120))
    maps = (("The picture in cells", shown.cells, "brightness"), (MOVED, moved, account.unit))
    for k, (side, (caption, cells, unit)) in enumerate(zip(st.columns(2), maps, strict=True)):
        item = Heatmap(
            caption=caption, row_label="", column_label="", rows=_counted(cells), columns=_counted(cells[0]), values=cells, unit=unit
        )
        if (chart := picture(item, [], "", Palette(document), say)) is not None:
            with side:
                show.chart(chart, f"{key}-{k}", struck=struck and k > 0)


def _counted(cells: Sequence[object]) -> list[str]:
    return [str(i + 1) for i in range(len(cells))]
