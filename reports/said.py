"""A text or number together with the place in `audit.json` that it was drawn from."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from markupsafe import Markup

from reports.speaker import clean, number

JOIN = " + "  # between the places of a text that was drawn from several


@dataclass(frozen=True)
class Said:
    """In a template it writes itself, escaped, inside an element that carries its path; elsewhere `str()` is the bare text."""

    text: str
    path: str = ""
    numeric: bool = False

    def __str__(self) -> str:
        return self.text

    def __bool__(self) -> bool:
        return bool(self.text)

    def __html__(self) -> str:
        tag = Markup('<data class="n" data-path="{1}">{0}</data>') if self.numeric else Markup('<bdi data-path="{1}">{0}</bdi>')
        return str(tag.format(self.text, self.path)) if self.path else str(Markup("<bdi>{0}</bdi>").format(self.text))


def places(paths: Iterable[str]) -> str:
    """Several places as one: what is drawn from all of them."""
    return JOIN.join(dict.fromkeys(p for p in paths if p))


def figure(value: float | None, kind: str, path: str, missing: str = "–") -> Said:
    """The one function that writes a number into a page."""
    return Said(missing, path) if value is None else Said(number(value, kind), path, numeric=True)


def quoted(text: object, path: str) -> Said:
    """A text of the document, made harmless."""
    return Said(clean(text), path)
