"""A report read back from its file: what stands on the page, and the paths that it says it came from."""

from __future__ import annotations

import re
from dataclasses import dataclass
from html.parser import HTMLParser
from typing import Any

from audit.errors import AuditError
from reports.said import JOIN
from reports.typeset import inked

BLOCKS = {"p", "li", "tr", "h1", "h2", "h3", "figcaption", "caption", "title", "pre", "summary", "header", "svg", "dt", "dd"}
VOID = {"meta", "link", "br", "hr", "img", "input", "wbr", "col"}
SILENT = {"style", "title"}


@dataclass(frozen=True)
class Piece:
    """A run of text: the paths of the innermost element that has any, the block it stands in, and whether it is a tick, an alternative text, or folded away.

    `number` is that of the item of a numbered list that it begins, 0 otherwise: a reader of the page sees it though the page does not hold it."""

    text: str
    paths: tuple[str, ...]
    block: int
    tick: bool = False
    alt: bool = False
    folded: bool = False
    number: int = 0


class Page(HTMLParser):
    """A page of html as pieces, in the order of reading."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.pieces: list[Piece] = []
        self.lang, self.edition, self.about = "en", "internal", list[str]()
        self._open: list[tuple[str, tuple[str, ...], bool, bool]] = []  # tag, paths, tick, folded
        self._block = self._number = 0
        self._begins = False
        self.feed(html)

    def _around(self) -> tuple[tuple[str, ...], bool, bool]:
        return self._open[-1][1:] if self._open else ((), False, False)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        paths, tick, folded = self._around()
        if tag == "html":
            self.lang = "zh" if (given.get("lang") or "").startswith("zh") else "en"
        self.edition = given.get("data-edition") or self.edition
        self.about = (given.get("data-about") or "").split() or self.about
        folded = folded or given.get("class") == "band"  # the running head of a printed page is decoration
        own = tuple((given.get("data-path") or "").split(JOIN)) if given.get("data-path") else paths
        if tag in BLOCKS:
            self._block += 1
        if tag == "ol":
            self._number = 0
        elif tag == "li" and self._open and self._open[-1][0] == "ol":
            self._number += 1
            self._begins = True
        if given.get("aria-label"):
            self.pieces.append(Piece(given["aria-label"] or "", own, -self._block, alt=True, folded=folded))
        if tag not in VOID:
            self._open.append((tag, own, tick or given.get("class") == "tick", folded or tag == "details"))

    def handle_endtag(self, tag: str) -> None:
        while self._open and self._open.pop()[0] != tag:
            pass
        if tag in BLOCKS:
            self._block += 1

    def handle_data(self, data: str) -> None:
        if data.strip() and not any(tag in SILENT for tag, *_ in self._open):
            paths, tick, folded = self._around()
            self.pieces.append(Piece(data, paths, self._block, tick=tick, folded=folded, number=self._number if self._begins else 0))
            self._begins = False


def blocks(pieces: list[Piece]) -> list[str]:
    """The texts of print, a paragraph, row or chart each, without spaces: what is folded away is not printed."""
    made: dict[int, list[str]] = {}
    for piece in pieces:
        if not piece.folded and not piece.alt:
            begun = f"{piece.number}." if piece.number else ""
            made.setdefault(piece.block, []).append(begun + close(inked(piece.text)))
    return ["".join(parts) for parts in made.values()]


def close(text: str) -> str:
    """A text without spaces and without places to break."""
    return re.sub(r"[\s\u200b\u2009\u00ad]+", "", text)


@dataclass(frozen=True)
class Printed:
    """A PDF as read back: what is not decoration, without spaces; the alternative texts; what it says of itself."""

    text: str
    alts: list[str]
    keywords: list[str]


def printed(path: Any) -> Printed:
    """What a reader of a tagged PDF is told; running heads and page numbers are marked as decoration and left out."""
    from pypdf import PdfReader
    from pypdf.errors import PyPdfError

    try:
        pdf, parts = PdfReader(path), []
    except PyPdfError as error:
        raise AuditError(f"this is no PDF that can be read: {error}", "name a report that reports.generate wrote") from None
    for page in pdf.pages:
        marks: list[bool] = []

        def before(operator: Any, operands: Any, cm: Any, tm: Any, marks: list[bool] = marks) -> None:
            if operator in (b"BDC", b"BMC"):
                marks.append(operands[0] == "/Artifact")
            elif operator == b"EMC" and marks:
                marks.pop()

        def text(found: str, cm: Any, tm: Any, font: Any, size: Any, marks: list[bool] = marks) -> None:
            if not any(marks):
                parts.append(close(found))

        page.extract_text(visitor_operand_before=before, visitor_text=text)
    said = pdf.metadata.keywords if pdf.metadata else None
    return Printed("".join(parts), alternatives(pdf), [k.strip() for k in (said or "").split(",")])


def alternatives(pdf: Any) -> list[str]:
    """The alternative texts of the pictures, in their order."""
    found, waiting = [], [pdf.trailer["/Root"].get("/StructTreeRoot")]
    while waiting:
        at = waiting.pop()
        at = at.get_object() if at is not None else None
        if not isinstance(at, dict):
            continue
        if "/Alt" in at:
            found.append(str(at["/Alt"]))
        children = at.get("/K", [])
        children = children.get_object() if hasattr(children, "get_object") else children
        waiting += reversed(children if isinstance(children, list) else [children])
    return found
