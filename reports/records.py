"""What the machine-readable formats share: identities and dates that follow from the document alone, its judged findings, and how JSON is written."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import NAMESPACE_URL, uuid5

from audit.errors import AuditError
from audit.result import AuditResult, CheckResult, Finding, Waiver
from reports.sentences import reason_text, sentence
from reports.speaker import Speaker, clean, mark
from reports.states import state_of_finding

if TYPE_CHECKING:
    from reports.obligations.attestations import Attestation

#: The namespace of our own properties in formats that ask for one; a name, not an address.
NAMESPACE = "urn:witnessmark:audit"
Json = dict[str, Any]
#: What the digests of the document are digests of.
FILE_DIGEST = mark("SHA-256 of the sorted list of its files with the SHA-256 of each.")
DATA_DIGEST = mark("SHA-256 of the file; of several files, of their sorted list with the SHA-256 of each.")


@dataclass(frozen=True)
class Judged:
    """A finding that is held against a criterion, with where it stands in the document and who accepts it."""

    check: CheckResult
    finding: Finding
    path: str
    waiver: Waiver | None


def judged(document: AuditResult) -> Iterator[Judged]:
    """The findings whose criterion decides or warns, in the document's order."""
    accepted = {w.key: w for w in document.waivers if w.state == "accepted"}
    for i, check in enumerate(document.checks):
        for j, f in enumerate(check.findings):
            if f.criterion is not None and f.criterion.role != "reports":
                yield Judged(check, f, f"checks[{i}].findings[{j}]", accepted.get(f.key))


def explained(f: Finding, say: Speaker) -> str:
    """A judged finding in words; why it is open where its sentence does not say so."""
    # A sentence of its own about an established difference says so itself; so does one about what was not measured.
    itself = f.verdict in ("pass", "fail") or f.estimate is None or (f.sentence and state_of_finding(f) == "size_open")
    return say.sentences([sentence(f, say), "" if itself else _closed(reason_text(f, say), say)])


def outcome(check: CheckResult, say: Speaker) -> str:
    """What a check found, in its own sentence; of evidence that is rejected only that it is, and why."""
    return say.stored(check.rejected, check.rejected_msg) if check.rejected else say.stored(check.summary, check.summary_msg)


def _closed(text: str, say: Speaker) -> str:
    """A reason as a sentence."""
    if not text or text[-1] in ".。":
        return text
    return text[:1].upper() + text[1:] + ("。" if say.lang == "zh" else ".")


def identity(document: AuditResult, *parts: str) -> str:
    """The UUID of a part of this document: the same whenever it is rendered (version 5, of the document's digest and the part's name)."""
    return str(uuid5(NAMESPACE_URL, "\n".join([NAMESPACE, document.digest, *parts])))


def moment(text: str, *, end: bool = False) -> str | None:
    """A stored date or time in RFC 3339 with its zone, else None; of a date, its first second in UTC or its last (`end`)."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    if len(text) <= len("2026-11-21"):
        return f"{found:%Y-%m-%d}T{'23:59:59' if end else '00:00:00'}Z"
    return text if found.tzinfo is not None else f"{text}Z"


def finished(document: AuditResult) -> str:
    """When the audit was complete: the date that a rendering bears."""
    found = moment(document.finished)
    if found is None:
        raise AuditError(
            f"audit.json says that it was finished at {document.finished!r}, which is no time", "name the folder that audit.run wrote"
        )
    return found


def holding(said: Sequence[Attestation]) -> list[Attestation]:
    """What named persons attested of this very document; what they said of another one is not part of a file about this one."""
    return [a for a in said if a.holds]


def spoken(said: Sequence[Attestation]) -> list[str]:
    """What tells two files apart that differ in nothing but what was attested: none where nothing was."""
    return [hashlib.sha256(repr(said).encode()).hexdigest()] if said else []


def line(text: object) -> str:
    """Text on one line, without what disturbs a line."""
    return " ".join(clean(text).split())


def token(text: str) -> str:
    """A name as an identifier: letters, digits, full stops, underscores and hyphens, the first no digit."""
    made = re.sub(r"[^A-Za-z0-9._-]", "-", text)
    return made if re.match(r"[A-Za-z_]", made) else f"_{made}"


def digits(value: float) -> str:
    """A number as a machine reads it: the shortest text that gives it back."""
    return repr(int(value)) if value == int(value) and abs(value) < 2**53 else repr(float(value))


def numbers(finding: Finding) -> dict[str, str]:
    """What was measured of a finding and what it was held against, as names and texts; nothing that is unknown."""
    e, t, c = finding.estimate, finding.test, finding.criterion
    found: dict[str, Any] = {"metric": finding.metric, "compare": finding.compare, "verdict": finding.verdict, "key": finding.key}
    if e is not None:
        found |= {"estimate": e.value, "low": e.low, "high": e.high, "level": e.level, "interval-method": e.method, "n": e.n}
    if t is not None:
        found |= {"p-value": t.p_value, "adjusted-p-value": t.adjusted_p_value, "tests-in-family": t.tests_in_family}
    if c is not None:
        found |= {
            "limit-min": c.min,
            "limit-max": c.max,
            "rule": c.rule,
            "role": c.role,
            "severity": c.severity,
            "basis": c.basis,
            "source": c.source,
        }
    return {k: digits(v) if isinstance(v, (int, float)) else line(v) for k, v in found.items() if v not in (None, "")}


def pruned(value: Any) -> Any:
    """A record without what is unknown: None, empty texts and empty lists; an empty object is kept, since it says something."""
    if isinstance(value, dict):
        return {k: kept for k, v in value.items() if (kept := pruned(v)) not in (None, "", [])}
    return [kept for v in value if (kept := pruned(v)) not in (None, "", [])] if isinstance(value, list) else value


def dumps(record: Json) -> bytes:
    """A record as a file: UTF-8, two spaces, keys in the order they were given."""
    return (json.dumps(record, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode()
