"""The formats that a stored audit is rendered in: the file that each becomes, and the function that draws it.

A function is named as "module:function" and imported when it is asked for: a page of html does not wait for a typesetter.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from audit.errors import AuditError

if TYPE_CHECKING:
    from pathlib import Path

    from audit.result import AuditResult
    from reports.obligations.attestations import Attestation


@dataclass(frozen=True)
class Format:
    """`stem` and `suffix` name the file; `draw` takes the document, the language and the edition and gives the file's bytes.

    The document that it gets is already the public one where the edition is `public`; the edition is there to be said.
    """

    stem: str
    suffix: str
    draw: str
    paged: bool = False  # set on paper, whose size `draw` takes too
    attested: bool = False  # holds what named persons attested of the document, which `draw` takes too
    fitted: str = ""  # gives the file's bytes and how much of the document they hold, where a long document does not fit
    rest: str = ""  # the format of the file that then holds the rest
    whole: bool = False  # made of the whole folder (`pack`), not drawn from the document; listed nowhere

    def render(self, document: AuditResult, lang: str, edition: str, paper: str = "a4", attested: Sequence[Attestation] = ()) -> bytes:
        from reports.disclose import public

        shown = public(document) if edition == "public" else document
        draw = _function(self.draw)
        more = (attested,) if self.attested else (paper,) if self.paged else ()
        data: bytes = draw(shown, lang, edition, *more)
        return data

    def render_all(
        self, document: AuditResult, lang: str, edition: str, paper: str = "a4", attested: Sequence[Attestation] = ()
    ) -> list[tuple[Format, bytes]]:
        """The file, and the appendix that holds what it leaves out, where it leaves out anything."""
        if not self.fitted:
            return [(self, self.render(document, lang, edition, paper, attested))]
        from reports.appendix import drawn
        from reports.disclose import public

        shown = public(document) if edition == "public" else document
        data, caps = _function(self.fitted)(shown, lang, edition, paper)
        other = FORMATS[self.rest]
        rest = drawn(shown, lang, edition, caps, other.suffix, paper)
        return [(self, data), *([] if rest is None else [(other, rest)])]

    def pack(self, audit_dir: Path, document: AuditResult, keys: Sequence[Path]) -> bytes:
        """The file that holds the whole folder, with these public keys."""
        packed: bytes = _function(self.draw)(audit_dir, document, keys)
        return packed

    def name(self, lang: str, edition: str) -> str:
        """`report.html`, `report.zh.html`, `junit.xml`; the public edition says so in its name, since it must not be taken for the other."""
        return ".".join([self.stem, *(["public"] if edition == "public" else []), *([lang] if lang != "en" else []), self.suffix])


def _function(place: str) -> Callable[..., Any]:
    module, name = place.split(":")
    found: Callable[..., Any] = getattr(importlib.import_module(module), name)
    return found


FORMATS = {
    "html": Format("report", "html", "reports.html:draw", fitted="reports.html:fitted", rest="appendix-html"),
    "pdf": Format("report", "pdf", "reports.pdf:draw", paged=True, fitted="reports.pdf:fitted", rest="appendix"),
    "appendix": Format("appendix", "pdf", "reports.appendix:pdf", paged=True),
    "appendix-html": Format("appendix", "html", "reports.appendix:html"),
    "summary": Format("summary", "pdf", "reports.summary:draw", paged=True),
    "junit": Format("junit", "xml", "reports.junit:audit_xml"),
    "markdown": Format("report", "md", "reports.markdown:draw"),
    "model-card": Format("model-card", "md", "reports.model_card:draw"),
    "datasheet": Format("datasheet", "md", "reports.datasheet:draw"),
    "oscal": Format("oscal", "json", "reports.oscal:draw", attested=True),
    "sarif": Format("sarif", "json", "reports.sarif:draw"),
    "cyclonedx": Format("cyclonedx", "json", "reports.cyclonedx:draw", attested=True),
    "evidence": Format("evidence", "zip", "reports.evidence:pack", whole=True),
}


def file_name(format: str, lang: str, edition: str) -> str:
    """The name of the file that a rendering becomes."""
    return FORMATS[format].name(lang, edition)


def refuse_unknown(names: list[str]) -> None:
    """An `AuditError` that says which formats there are, where one of these is none of them."""
    for name in names:
        if name not in FORMATS:
            raise AuditError(f"--format {name} is none of {', '.join(FORMATS)}", f"use --format {' or '.join(FORMATS)}")
