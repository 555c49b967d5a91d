"""What named persons say of an audit: the entries of `attestations.jsonl` in its folder, as documents use them.

An entry says `control`, `says` ("attested" or "not_applicable"), `name`, `role`, `statement`, `file` (null, or the `name` and `sha256` of a file that
holds the statement), `audit_sha256` (of `audit.json` as it stood) and `made` (UTC); `audit.entries` adds what ties it to the document and to the entry
before it, and the signature where there is a key. An entry that speaks of another `audit.json` is shown as such and answers nothing.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from audit import entries
from audit.errors import AuditError
from audit.signing import ATTESTATION_TYPE

NAME = entries.ATTESTATIONS
MOST_BYTES = 64 * 1024 * 1024
MEND = "see whether the file was altered: python -m audit.verify AUDIT_DIR"
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Says = Literal["attested", "not_applicable"]


class AttestedFile(BaseModel):
    """A file that holds the statement; it stays where it is, its hash says which one was meant."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1, max_length=255)
    sha256: Digest


class Entry(BaseModel):
    """One line of the file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    control: str = Field(min_length=1, max_length=80)
    says: Says
    name: str = Field(min_length=1, max_length=200)
    role: str = Field(min_length=1, max_length=200)
    statement: str = Field(min_length=1, max_length=20_000)
    file: AttestedFile | None
    audit_sha256: Digest
    made: str = Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")
    document_digest: str = ""
    previous: Digest | None = None
    entry_sha256: str = ""
    signed_by: Digest | None = None
    signature: dict[str, Any] | None = None

    def said(self) -> dict[str, Any]:
        """What the person says, before it is tied to anything."""
        return self.model_dump(mode="json", exclude={"document_digest", "previous", "entry_sha256", "signed_by", "signature"})


@dataclass(frozen=True)
class Attestation:
    """An entry as a statement uses it: `place` is its line from 0, `holds` whether it speaks of this document, `signer` the id of the key that signed."""

    place: int
    control: str
    says: Says
    name: str
    role: str
    statement: str
    file: AttestedFile | None
    audit_sha256: str
    made: str
    holds: bool
    signer: str | None


def read(audit_dir: Path) -> list[Entry]:
    """The entries of a folder, in their order; an `AuditError` that names the one which is not as it was written.

    Whether a signature is somebody's is for whoever has the public key to check: `python -m audit.verify --key`.
    """
    path = audit_dir / NAME
    try:
        if path.exists() and path.stat().st_size > MOST_BYTES:
            raise AuditError(f"{path} is larger than {MOST_BYTES:,} bytes", MEND)
        records = entries.read_attestations(audit_dir)
    except (OSError, ValueError, RecursionError) as error:
        raise AuditError(f"cannot read {path}: {getattr(error, 'strerror', None) or 'a line of it is no JSON object'}", MEND) from None
    found: list[Entry] = []
    for place, record in enumerate(records, 1):
        try:
            entry = Entry.model_validate(record)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            where = ".".join(map(str, first["loc"])) or "it"
            raise AuditError(f"{path}, line {place}, is no attestation: {where}: {first['msg']}", MEND) from None
        wrong = entries.fault(record, ATTESTATION_TYPE)
        if wrong is None and entry.previous != (found[-1].entry_sha256 if found else None):
            wrong = "out of its place: the one before it was altered or taken away"
        if wrong is not None:
            raise AuditError(f"{path}, line {place}, is {wrong}", MEND)
        found.append(entry)
    return found


def attestations(audit_dir: Path) -> tuple[Attestation, ...]:
    """What was attested of the audit in this folder, in the order in which it was said."""
    found = read(audit_dir)
    digest = hashlib.sha256((audit_dir / "audit.json").read_bytes()).hexdigest() if found else ""
    return tuple(
        Attestation(
            place=i, control=e.control, says=e.says, name=e.name, role=e.role, statement=e.statement, file=e.file,
            audit_sha256=e.audit_sha256, made=e.made, holds=e.audit_sha256 == digest, signer=e.signed_by,
        )
        for i, e in enumerate(found)
    )  # fmt: skip
