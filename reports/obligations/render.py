"""Documents of frameworks as files: `ID.html`, `ID.zh.pdf`, each drawn from the stored audit, what was attested of it, and the law of a day."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from audit.errors import AuditError
from audit.result import AuditResult
from reports.blocks import Paper
from reports.obligations.attestations import attestations
from reports.obligations.catalogue import Framework, built_in, find
from reports.obligations.dossier import Dossier
from reports.obligations.statements import applies
from reports.obligations.timing import day
from reports.speaker import Speaker

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

#: Formats that a framework's document has, and the suffix of its file.
SUFFIXES = {"html": "html", "pdf": "pdf", "markdown": "md"}


@dataclass(frozen=True)
class Wanted:
    """One document to be made."""

    framework: Framework
    format: str
    as_of: datetime.date


def plan_documents(document: AuditResult, named: list[str], formats: list[str], as_of: str | None) -> list[Wanted]:
    """The documents that were asked for, or that the plan names, or, where none is named, those that the declared context calls for.

    The day defaults to the audit's own, never the clock's. A format that a framework's document has not is an error where one was named.
    """
    on = day(as_of) if as_of is not None else datetime.date.fromisoformat(document.started[:10])
    planned = document.plan.get("frameworks")
    ids = named or (list(planned.get("ids", [])) if isinstance(planned, dict) else [])
    frameworks = list({f.id: f for f in (find(name) for name in ids)}.values())
    if not ids:
        frameworks = [f for f in built_in().values() if applies(f, document)]
    for format_ in formats:
        if format_ not in SUFFIXES:
            raise AuditError(f"--format {format_} is no format of a framework's document", f"use --format {' or '.join(SUFFIXES)}")
    return [Wanted(f, format_, on) for f in frameworks for format_ in formats]


def paper_of(document: AuditResult, wanted: Wanted, audit_dir: Path, lang: str, edition: str) -> Paper:
    """The paper of one document, before it is drawn."""
    from reports.disclose import public
    from reports.obligations.draw import paper

    shown = public(document) if edition == "public" else document
    return paper(Dossier(shown, wanted.framework, wanted.as_of, attestations(audit_dir), Speaker(lang), edition))


def draw(paper: Paper, format_: str, size: str) -> bytes:
    """A paper in a format; `size` is the paper's where it is printed."""
    import reports.paper

    if format_ == "pdf":
        return reports.paper.pdf(paper, size)
    return (reports.paper.markdown(paper) if format_ == "markdown" else reports.paper.html(paper)).encode()


def file_name(wanted: Wanted, lang: str, edition: str) -> str:
    """`euaia4.html`, `euaia4.zh.pdf`; the public edition says so."""
    parts = [wanted.framework.id, *(["public"] if edition == "public" else []), *([lang] if lang != "en" else []), SUFFIXES[wanted.format]]
    return ".".join(parts)


def write_document(
    audit_dir: Path, wanted: Wanted, lang: str, edition: str, out: Path | None, *, paper: str = "a4", sign: Ed25519PrivateKey | None = None
) -> Path:
    """Make one document and write it into the audit's folder, or into `out`; `sign` signs its entry in `views.json`."""
    from reports.write import load, put

    document = load(audit_dir)
    data = draw(paper_of(document, wanted, audit_dir, lang, edition), wanted.format, paper)
    entry = {
        "document_digest": document.digest, "lang": lang, "format": wanted.format, "framework": wanted.framework.id,
        "as_of": wanted.as_of.isoformat(),
    }  # fmt: skip
    return put(audit_dir, file_name(wanted, lang, edition), data, entry, out, listed=True, sign=sign)


def write_notice(folder: Path, formats: list[str], lang: str, out: Path | None, paper: str) -> list[Path]:
    """The notice of the adverse decision that `audit.explain` wrote into a folder: `regb.html` beside `explanation.json`, or in `out`."""
    from reports.obligations import adverse
    from reports.write import write_atomically

    if strange := next((f for f in formats if f not in SUFFIXES), None):
        raise AuditError(f"--format {strange} is no format of a framework's document", f"use --format {' or '.join(SUFFIXES)}")
    made, place, written = adverse.notice(adverse.load(folder), lang), out or folder, []
    try:
        place.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise AuditError(f"cannot create {place}: {error.strerror}", "choose another folder with --out DIR") from None
    for format_ in formats:
        path = place / ".".join([adverse.FRAMEWORK, *([lang] if lang != "en" else []), SUFFIXES[format_]])
        write_atomically(path, draw(made, format_, paper))
        written.append(path)
    return written
