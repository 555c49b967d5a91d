"""What named persons say of an audit: `attestations.jsonl` in its folder, one JSON object a line, only ever appended to.

An entry is

    {"schema_version": 1, "control": "euaia.art14_1", "says": "attested" | "not_applicable", "name": "…", "role": "…", "statement": "…",
     "file": null | {"name": "oversight.pdf", "sha256": "…"}, "audit_sha256": "…", "document_digest": "…", "made": "2026-11-22T10:00:00Z"}

`audit_sha256` is that of `audit.json` as it stood (64 hex digits), `document_digest` its own `digest`. A signed entry has one key more, `envelope`:
the DSSE envelope of `audit.signing` over an in-toto statement of type `ATTESTATION_TYPE` whose subjects are `audit.json`, and the file where there
is one, and whose predicate is the entry without its envelope. Entries that speak of another `audit.json` are shown as such and answer nothing.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from audit.errors import AuditError

NAME = "attestations.jsonl"
MOST_BYTES = 64 * 1024 * 1024
Digest = r"^[0-9a-f]{64}$"


class AttestedFile(BaseModel):
    """A file that holds the statement; it stays where it is, its hash says which one was meant."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1, max_length=255)
    sha256: str = Field(pattern=Digest)


class Entry(BaseModel):
    """One line of the file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: Literal[1] = 1
    control: str = Field(min_length=1, max_length=80)
    says: Literal["attested", "not_applicable"]
    name: str = Field(min_length=1, max_length=200)
    role: str = Field(min_length=1, max_length=200)
    statement: str = Field(min_length=1, max_length=20_000)
    file: AttestedFile | None = None
    audit_sha256: str = Field(pattern=Digest)
    document_digest: str
    made: str = Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")
    envelope: dict[str, Any] | None = None

    def said(self) -> dict[str, Any]:
        """The entry without its envelope: what is signed."""
        return self.model_dump(mode="json", exclude={"envelope"})


@dataclass(frozen=True)
class Attestation:
    """An entry as a statement uses it: `place` is its line from 0, `holds` whether it speaks of this document, `signer` the id of the key that signed."""

    place: int
    control: str
    says: Literal["attested", "not_applicable"]
    name: str
    role: str
    statement: str
    file: AttestedFile | None
    audit_sha256: str
    made: str
    holds: bool
    signer: str | None


def entries(audit_dir: Path) -> list[Entry]:
    """The entries of a folder, in their order; an `AuditError` that names the line which is none."""
    path = audit_dir / NAME
    try:
        if not path.exists():
            return []
        if path.stat().st_size > MOST_BYTES:
            raise AuditError(f"{path} is larger than {MOST_BYTES:,} bytes", "move it away")
        lines = path.read_text("utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise AuditError(f"cannot read {path}: {getattr(error, 'strerror', None) or error}", "see whether the file was altered") from None
    found = []
    for place, line in enumerate(lines[:-1] if lines[-1] == "" else lines, 1):
        try:
            found.append(Entry.model_validate_json(line))
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            where = ".".join(map(str, first["loc"])) or "the line"
            raise AuditError(
                f"{path}, line {place}, is no attestation: {where}: {first['msg']}", "see whether the file was altered"
            ) from None
    return found


def signer(entry: Entry) -> str | None:
    """The id of the key that signed an entry, where its envelope says just what the entry says; an `AuditError` where it says something else.

    Whether the signature is that key's is for whoever has the public key to check: `python -m audit.verify --key`.
    """
    from audit.signing import SignatureError, read, statement
    from audit.signing import signer as named

    if entry.envelope is None:
        return None
    try:
        if read(entry.envelope) != statement(subjects(entry), _type(), entry.said()):
            raise SignatureError("its envelope says something else than the entry")
    except SignatureError as error:
        raise AuditError(f"the attestation of {entry.control} by {entry.name[:80]} is altered: {error}", "do not rely on it") from None
    return named(entry.envelope)


def subjects(entry: Entry) -> dict[str, str]:
    """What a signed entry is about: the document, and the file where there is one."""
    return {"audit.json": entry.audit_sha256} | ({entry.file.name: entry.file.sha256} if entry.file else {})


def _type() -> str:
    from audit.signing import ATTESTATION_TYPE

    return ATTESTATION_TYPE


def attestations(audit_dir: Path) -> tuple[Attestation, ...]:
    """What was attested of the audit in this folder, in the order in which it was said."""
    found = entries(audit_dir)
    digest = hashlib.sha256((audit_dir / "audit.json").read_bytes()).hexdigest() if found else ""
    return tuple(
        Attestation(
            place=i, control=e.control, says=e.says, name=e.name, role=e.role, statement=e.statement, file=e.file,
            audit_sha256=e.audit_sha256, made=e.made, holds=e.audit_sha256 == digest, signer=signer(e),
        )
        for i, e in enumerate(found)
    )  # fmt: skip


def line(entry: Entry) -> bytes:
    """An entry as it is appended."""
    record = entry.said() | ({"envelope": entry.envelope} if entry.envelope is not None else {})
    return (json.dumps(record, ensure_ascii=False) + "\n").encode()
