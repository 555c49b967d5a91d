"""What moved one answer, on a page: where it lies in a text or a picture, the largest parts as bars, and every part as a number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import streamlit as st

from audit.explain.rows_file import Account, Part, Picture, Row
from audit.measurement import Attribution, Heatmap
from dashboard import show
from reports.charts import Chart
from reports.palette import Palette
from reports.parted import TITLES
from reports.person import METHODS, UNITS
from reports.pictures import picture
from reports.speaker import Speaker, clean, number
from reports.worded import marked

MOST_WORD, MOST_EVENTS, MOST_BARS = 60, 10, 15
#: The kind of each input by its name, as the document has them.
Kinds = Mapping[str, str]


def events(row: Row, kinds: Kinds, say: Speaker) -> None:
    """What happened in a sequence, the last first; the earlier ones stand among the parts."""
    found = [part for account in row.accounts[:1] for part in account.parts if kinds.get(part.column) == "sequence" and part.holds]
    for part in found[: -MOST_EVENTS - 1 : -1]:
        show.title(_place(part))
        show.plain(clean(part.holds, 600))
    if len(found) > MOST_EVENTS:
        show.plain(say.t("{n:count} earlier events are listed as parts.", n=len(found) - MOST_EVENTS))


def explained(row: Row, account: Account, kinds: Kinds, palette: Palette, key: str, say: Speaker, *, struck: bool) -> None:
    """One explanation: where it lies in a text or a picture, its largest parts as bars, and all of them as numbers."""
    unit = say.name(account.unit, UNITS) if account.unit in UNITS else say.t(account.unit)
    if not account.parts:
        show.plain(say.t("This row has no parts that could be switched off."))
        return
    if not account.by_field:
        for column in [name for name, kind in kinds.items() if kind == "text"]:
            _words([part for part in account.parts if part.column == column], f"{key}-words-{column}", say, struck=struck)
        for k, shown in enumerate(row.pictures):
            _maps(shown, account, palette, f"{key}-picture-{k}", say, struck=struck)
    chart = _bars(account, kinds, palette, say)
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
    lines = [
        say.t(
            "{method}; explained: {of}; unit: {unit}.",
            method=say.name(account.method, METHODS) if account.method in METHODS else say.level(f"({account.method})"),
            of=of,
            unit=unit,
        )
    ]
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


def _name(part: Part, kinds: Kinds) -> str:
    """A part beside its bar: a word by itself, an event by its place, a value with its column."""
    if kinds.get(part.column) == "text":
        return f"“{clean((part.holds or '').strip(), MOST_WORD)}”"
    if kinds.get(part.column) in ("sequence", "audio"):
        return clean(part.place, MOST_WORD)
    return clean(_place(part) if part.holds is None else f"{_place(part)} = {part.holds}", MOST_WORD)


def _bars(account: Account, kinds: Kinds, palette: Palette, say: Speaker) -> Chart | None:
    """The largest parts in the report's own chart, but for regions, which have a map; events stay in their order."""
    parts = sorted((part for part in account.parts if kinds.get(part.column) != "image"), key=lambda part: -abs(part.value))[:MOST_BARS]
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
    return picture(shown, [], "", palette, say)


def _words(parts: Sequence[Part], key: str, say: Speaker, *, struck: bool) -> None:
    """A text, each word with what it added under it."""
    if not parts:
        return
    words, values = [part.holds or "" for part in parts], [part.value for part in parts]
    told = say.join([f"{clean(word, MOST_WORD).strip()} {number(value, 'signed')}" for word, value in zip(words, values, strict=True)])
    show.title(clean(parts[0].column, 120))
    show.chart(Chart(say.t(TITLES["word"]), "", told, marked(words, values)), key, struck=struck)


def _maps(shown: Picture, account: Account, palette: Palette, key: str, say: Speaker, *, struck: bool) -> None:
    """The picture in cells, and beside it what each region moved."""
    own = {part.place: part.value for part in account.parts if part.column == shown.column}
    moved = [[own.get(f"({r + 1}, {c + 1})", 0.0) for c in range(shown.across)] for r in range(shown.down)]
    show.title(clean(shown.column, 120))
    maps = (("The picture in cells", shown.cells, "brightness"), (TITLES["region"], moved, account.unit))
    for k, (side, (caption, cells, unit)) in enumerate(zip(st.columns(2), maps, strict=True)):
        item = Heatmap(
            caption=caption, row_label="", column_label="", rows=_counted(cells), columns=_counted(cells[0]), values=cells, unit=unit
        )
        if (chart := picture(item, [], "", palette, say)) is not None:
            with side:
                show.chart(chart, f"{key}-{k}", struck=struck and k > 0)


def _counted(cells: Sequence[object]) -> list[str]:
    return [str(i + 1) for i in range(len(cells))]
