"""The formats that a stored audit is rendered in: the file that each becomes, and the function that draws it.

A function is named as "module:function" and imported when it is asked for: a page of html does not wait for a typesetter.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from audit.errors import AuditError

if TYPE_CHECKING:
    from pathlib import Path

    from audit.result import AuditResult
    from reports.obligations.attestations import Attestation

    Draw = Callable[..., bytes]


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
    whole: bool = False  # made of the whole folder (`pack`), not drawn from the document; listed nowhere

    def render(self, document: AuditResult, lang: str, edition: str, paper: str = "a4", attested: Sequence[Attestation] = ()) -> bytes:
        from reports.disclose import public

        shown = public(document) if edition == "public" else document
        draw = self._function()
        if self.attested:
            return draw(shown, lang, edition, attested)
        return draw(shown, lang, edition, paper) if self.paged else draw(shown, lang, edition)

    def pack(self, audit_dir: Path, document: AuditResult, keys: Sequence[Path]) -> bytes:
        """The file that holds the whole folder, with these public keys."""
        return self._function()(audit_dir, document, keys)

    def _function(self) -> Draw:
        module, name = self.draw.split(":")
        draw: Draw = getattr(importlib.import_module(module), name)
        return draw


FORMATS = {
    "html": Format("report", "html", "reports.html:draw"),
    "pdf": Format("report", "pdf", "reports.pdf:draw", paged=True),
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


def refuse_unknown(names: list[str]) -> None:
    """An `AuditError` that says which formats there are, where one of these is none of them."""
    for name in names:
        if name not in FORMATS:
            raise AuditError(f"--format {name} is none of {', '.join(FORMATS)}", f"use --format {' or '.join(FORMATS)}")
