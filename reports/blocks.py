"""A paper as a list of blocks, whatever it is drawn with: headings, paragraphs, tables, charts, lists and notes.

Every text is made of `Said` runs: a run of a figure is `numeric` and carries the path of its number in `audit.json`; a run with a path that is
not numeric is a text of the document. A renderer draws each kind of block by one function and never makes a text or a number of its own. All
texts are already in the paper's language, and made harmless for reading by `clean`; escaping for its own markup is the renderer's.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, ClassVar

from audit.measurement import Message
from audit.text import catalogue, message, render
from reports.said import Said
from reports.speaker import Speaker, clean, together
from reports.words import Look

Runs = tuple[Said, ...]


@dataclass(frozen=True)
class Heading:
    """`level` 1 is the paper's title and stands once; sections are 2, parts of them 3. `anchor` is its name for links and bookmarks."""

    kind: ClassVar = "heading"
    level: int
    text: Said
    anchor: str = ""


@dataclass(frozen=True)
class Paragraph:
    """Running text. `lead` stands before it in bold; `look` is a verdict or state that it is about, shown by sign, word and colour before all."""

    kind: ClassVar = "paragraph"
    runs: Runs
    lead: Said | None = None
    look: Look | None = None


@dataclass(frozen=True)
class Note:
    """Small print: what limits or explains what stands above it. `alert` is for what nobody may overlook, such as "draft"."""

    kind: ClassVar = "note"
    runs: Runs
    alert: bool = False


@dataclass(frozen=True)
class Items:
    """A list; `ordered` numbers it."""

    kind: ClassVar = "items"
    items: tuple[Runs, ...]
    ordered: bool = False


@dataclass(frozen=True)
class Table:
    """Cells under heads; `numeric` columns are set to the right. Without heads the first column names what the row holds (a record).

    A cell is its runs, or a `Look`: a verdict or state by sign and word.
    """

    kind: ClassVar = "table"
    rows: tuple[tuple[Runs | Look, ...], ...]
    heads: tuple[Said, ...] = ()
    numeric: tuple[bool, ...] = ()
    caption: Runs = ()


@dataclass(frozen=True)
class Drawing:
    """A chart as static SVG; `alt` says its numbers in words, `path` is the evidence in `audit.json`."""

    kind: ClassVar = "drawing"
    svg: str
    alt: str
    title: str = ""
    subtitle: str = ""
    path: str = ""
    wide: bool = False


Block = Heading | Paragraph | Note | Items | Table | Drawing


@dataclass(frozen=True)
class Paper:
    """A whole paper: `lang` is "en" or "zh", `band` stands at the head of every page (who made it; what it is), `date` is the document's own.

    `about` is what the file says of itself, for whoever reads it back: its kind, language, edition, the digest of its document, and what else it was drawn by.
    """

    title: str
    lang: str
    date: str
    band: tuple[str, str]
    blocks: list[Block] = field(default_factory=list)
    about: tuple[str, ...] = ()


def plain(text: str) -> Runs:
    """A text of our own, without a place in the document."""
    return (Said(text),)


#: Characters that no cleaned text holds, around the name of a value.
OPEN, SHUT = "\ue000", "\ue001"
CLOSE = "\u3000-\u303f\u2018-\u201d\uff00-\uffef\u4e00-\u9fff"


def runs(say: Speaker, template: str, /, **values: Any) -> Runs:
    """A text of our own whose values keep their places: each value that is a `Said` becomes a run of its own, others are written as they are."""
    marked = {k: f"{OPEN}{k}{SHUT}" if isinstance(v, Said) else v for k, v in values.items()}
    made: list[Said] = []
    for i, part in enumerate(re.split(f"{OPEN}(.*?){SHUT}", render(message(template, **marked), say.lang), flags=re.DOTALL)):
        made.append(values[part] if i % 2 else Said(together(clean(part))))
    return _close(made) if say.lang == "zh" else tuple(run for run in made if run)


def stored_runs(say: Speaker, english: str | None, said: Message | None, path: str) -> Runs:
    """A text of the document, translated where the catalogue knows it."""
    text = say.stored(english, said if said is not None and (say.lang == "en" or said.id in catalogue(say.lang)) else None)
    return (Said(text, path),) if text else ()


def _close(made: list[Said]) -> Runs:
    """In Chinese a thin space parts Chinese from Latin: beside a value that is Chinese itself there is none."""
    texts = [run.text for run in made]
    for i in range(1, len(texts) - 1, 2):
        if re.match(f"[{CLOSE}]", texts[i]):
            texts[i - 1] = texts[i - 1].removesuffix("\u2009")
        if re.search(f"[{CLOSE}]$", texts[i]):
            texts[i + 1] = texts[i + 1].removeprefix("\u2009")
    return tuple(Said(text, run.path, run.numeric) for text, run in zip(texts, made, strict=True) if text)
