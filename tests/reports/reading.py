"""A rendered page as a parser sees it: its text line by line, its elements and attributes."""

from __future__ import annotations

from html.parser import HTMLParser

LINES = {"p", "li", "tr", "h1", "h2", "h3", "figcaption", "caption", "title", "pre", "summary", "header"}
SILENT = {"svg", "style"}


class Page(HTMLParser):
    """`lines` are what is read; a picture is read as its alternative text."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.lines: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self._words: list[str] = []
        self._silent: list[str] = []
        self.feed(html)
        self._end()

    def _end(self) -> None:
        text = " ".join("".join(self._words).split())
        if text:
            self.lines.append(text)
        self._words = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag == "svg":
            self.lines.append(f"[{dict(attrs).get('aria-label')}]")
        if tag in SILENT:
            self._silent.append(tag)
        if tag in LINES:
            self._end()
        elif tag in ("td", "th", "span", "bdi", "data"):
            self._words.append(" ")

    def handle_endtag(self, tag: str) -> None:
        if tag in SILENT:
            self._silent.remove(tag)
        if tag in LINES:
            self._end()
        elif tag in ("td", "th", "figure"):
            self._words.append(" ")

    def handle_data(self, data: str) -> None:
        if not self._silent:
            self._words.append(data)
