"""How a page says things: language, verdicts, texts that are never read as Markdown, tables, charts."""

from __future__ import annotations

import string
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unicodedata import east_asian_width

import streamlit as st

from dashboard.index import Found, Index
from dashboard.store import tracking_uri
from reports.charts import DARK, REFERENCE, Chart, dark
from reports.speaker import Speaker, clean, mark
from reports.tables import Block, Grid
from reports.words import Look

LANGUAGES = {"en": "English", "zh": "中文"}
TEXT_COLOURS = {
    "fail": "red",
    "inconclusive": "orange",
    "rejected": "orange",
    "pass": "green",
    "reported": "gray",
    "skipped": "gray",
    "errored": "violet",
}


def choose_language() -> Speaker:
    """The reader's language: chosen, else the browser's."""
    if "lang" not in st.session_state:
        st.session_state.lang = "zh" if (st.context.locale or "").lower().startswith("zh") else "en"
    with st.container(horizontal=True, horizontal_alignment="right"):
        st.radio(
            "Language · 语言", list(LANGUAGES), format_func=LANGUAGES.__getitem__, key="lang", horizontal=True, label_visibility="collapsed"
        )
    return Speaker(st.session_state.lang)


def speaker() -> Speaker:
    """The language that the navigation chose."""
    return Speaker(st.session_state.get("lang", "en"))


PATIENCE = 0.7  # seconds that a page waits for what is not known yet


@st.cache_resource(show_spinner=False)
def index(root: str, uri: str) -> Index:
    """One to a place, shared by all who look."""
    return Index(Path(root), uri)


def found_audits() -> Found:
    """All audits that are known by now."""
    return index(str(Path.cwd()), tracking_uri()).look(PATIENCE)


def look_again() -> None:
    """An audit has just been written: the next look finds it."""
    index(str(Path.cwd()), tracking_uri()).again()


@st.fragment(run_every=1.0)
def looking(say: Speaker) -> None:
    """Says that more may come, and shows the page again when it has."""
    now = found_audits()
    if now.looking:
        plain(say.t("Looking for more audits; {n:count} are known.", n=len(now.entries)))
    else:
        st.rerun()


def from_address(name: str, options: Sequence[str], default: str) -> str:
    """The key of a widget whose choice stands in the address under this name: made before it is drawn, so that it keeps its place and the reader's focus."""
    key, asked = f"address-{name}", st.query_params.get(name, "")
    now = st.session_state.get(key, asked)
    # Written even where it is there already: another page's widget of this name leaves its value, and this page's would begin anew.
    st.session_state[key] = now if now in options else asked if asked in options else default
    return key


def to_address(name: str, choice: str) -> None:
    """What was chosen, for whoever is sent the page; nothing where it is the choice of all."""
    if choice:
        st.query_params[name] = choice
    else:
        st.query_params.pop(name, None)


def flag_text(look: Look, say: Speaker) -> str:
    """Sign and word, for tables."""
    return f"{look.sign} {say.t(look.word)}"


def flag(look: Look, say: Speaker, *, large: bool = False) -> None:
    """Sign, word and colour. The text is ours, so Markdown is safe here."""
    text = f":{TEXT_COLOURS[look.css]}[**{flag_text(look, say)}**]"
    st.markdown(f"## {text}" if large else text)


def flagged(look: Look, text: object, say: Speaker) -> None:
    """Sign, word and colour, and on the same line what it is about."""
    st.markdown(f":{TEXT_COLOURS[look.css]}[**{flag_text(look, say)}**] · {escaped(text)}")


def plain(text: object) -> None:
    """A text of the document: shown as it is, never as Markdown or HTML."""
    if str(text):
        st.text(str(text), width=720)


def escaped(text: object) -> str:
    """Markdown that shows exactly this text.

    Punctuation is escaped; a word joiner breaks what is looked for after parsing: addresses, mail addresses, :icons: and :emoji:.
    """
    safe = "".join("\\" + c if c in string.punctuation else c for c in clean(text).replace("\n", " "))
    return safe.replace(":", ":\u2060").replace("@", "@\u2060").replace("www", "www\u2060")


def title(text: object, level: int = 0) -> None:
    """A heading or, at level 0, a line in bold, made of a text of the document."""
    st.markdown(f"{'#' * level} {escaped(text)}" if level else f"**{escaped(text)}**")


@contextmanager
def folded(label: str, key: str) -> Iterator[bool]:
    """A section that is drawn when it is opened, so that what nobody opens costs nothing; whether it is open."""
    with st.expander(label, key=key, on_change="rerun") as section:
        yield bool(section.open)


def problems(found: Found, say: Speaker) -> None:
    """What could not be read, said plainly."""
    for template, values in found.problems:
        with st.container(border=True):
            plain(say.t(template, **values))
    if found.looking:
        looking(say)


@dataclass(frozen=True)
class Head:
    """A column of a shown table; `more` is said where somebody points at its label."""

    label: str
    numeric: bool = False
    more: str = ""


LETTER, EDGES = 8, 26  # pixels of a Latin letter in a cell, and of what stands beside a text, about
NARROW, WIDE = frozenset(" .,:;'!|()[]ijlftr"), frozenset("mwMW✕✓")
WIDEST = 360  # pixels of a column
TALL, HEADS, HIGHEST = (
    65,
    40,
    560,
)  # pixels of a row whose texts Streamlit breaks into lines, of the heads, and of all rows seen without scrolling


def pixels(text: str) -> int:
    """How wide a text stands in a cell, about."""
    letters = sum(0.5 if c in NARROW else 1.5 if c in WIDE else 1.8 if east_asian_width(c) in "WF" else 1 for c in text)
    return int(letters * LETTER) + EDGES


def across(label: str, cells: Iterable[str]) -> int:
    """The width of a column that cuts neither its label nor a cell, where they are not very long."""
    return min(max(map(pixels, (label, *cells))), WIDEST)


def table(heads: Sequence[Head], rows: Sequence[Sequence[str]], key: str, small: Sequence[bool] = ()) -> None:
    """Cells as written in the report: texts left, numbers right; rows of few people (`small`) in grey, which a cell of theirs must say too."""
    widths = [across(h.label, (row[i] for row in rows)) for i, h in enumerate(heads)]
    columns = {
        # A label that is cut all the same is said in full where somebody points at it.
        str(i): st.column_config.TextColumn(
            h.label, alignment="right" if h.numeric else "left", width=width, help=escaped(h.more or h.label) if h.more or width == WIDEST else None
        )
        for i, (h, width) in enumerate(zip(heads, widths, strict=True))
    }  # fmt: skip
    data = {str(i): [row[i] for row in rows] for i in range(len(heads))}
    tall = any(pixels(cell) > WIDEST for row in rows for cell in row)
    st.dataframe(
        greyed(data, small) if any(small) else data,
        column_config=columns,
        hide_index=True,
        key=key,
        width="stretch",
        row_height=TALL if tall else None,
        height=HEADS + min(TALL * len(rows), HIGHEST) if tall else "auto",
    )


def greyed(data: dict[str, list[str]], rows: Sequence[bool]) -> Any:
    """The table with these rows in grey."""
    import pandas as pd

    colour = f"color: {DARK[REFERENCE] if st.context.theme.type == 'dark' else REFERENCE}"
    return pd.DataFrame(data).style.apply(lambda column: [colour if small else "" for small in rows])


def findings(items: Sequence[Block], say: Speaker, key: str) -> None:
    """All findings in one table, because a browser draws one quickly and many slowly; how each was judged stands below."""
    if not items:
        return
    several = len(items) > 1
    heads = [
        *([Head(say.t("What was measured"))] if several else []),
        Head(say.t("For whom or what")), Head(say.t("n"), True, say.t("n (reference not counted)")), Head(say.t("Estimate"), True), Head(say.t("Low"), True), Head(say.t("High"), True),
        Head(say.t("p"), True), Head(say.t("Verdict")), Head(say.t("Reason")),
    ]  # fmt: skip
    rows = [
        [
            *([str(item.title)] if several else []),
            str(r.who),
            str(r.n),
            str(r.estimate),
            str(r.low),
            str(r.high),
            str(r.p),
            flag_text(r.look, say),
            say.join([str(r.note), str(r.reason) or (say.t("a small group") if r.small else "")]),
        ]
        for item in items
        for r in item.rows
    ]
    if not several:
        title(items[0].title)
        for note in items[0].notes:
            plain(note)
    table(heads, rows, key, [r.small for item in items for r in item.rows])
    if several and any(item.notes for item in items):
        with folded(say.t("How each was judged"), f"{key}-notes") as opened:
            for item in items if opened else []:
                title(item.title)
                for note in item.notes:
                    plain(note)


def grid(item: Grid, say: Speaker, key: str) -> None:
    """A stored table."""
    title(item.caption)
    table([Head(str(h), n) for h, n in zip(item.heads, item.numeric, strict=True)], [[str(c) for c in row] for row in item.rows], key)
    if item.cut:
        plain(say.t("{n:count} more rows are in {file}.", n=item.cut, file="audit.json"))


def struck(text: object) -> None:
    """A text of the document, crossed out."""
    st.markdown(f"~~{escaped(text)}~~")


def chart(item: Chart, key: str, *, struck: bool = False) -> None:
    """The report's drawing, with its title, subtitle and alternative text; `struck` where its evidence is rejected."""
    if struck:
        st.markdown(f":orange[**⊘ ~~{escaped(item.title)}~~**]")
    else:
        title(item.title)
    plain(item.subtitle)
    spec = dark(item.spec) if st.context.theme.type == "dark" else item.spec
    st.vega_lite_chart(spec=spec, theme=None, width="content", alt=item.alt, key=key)


UNSIGNED = mark("unsigned")
SIGNED = mark("signed, not checked here")
