"""Two audit folders as documents that may be compared, and their scored tables where they are there."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import NamedTuple

from pydantic import ValidationError

from audit.errors import AuditError
from audit.measurement import Message
from audit.result import AuditResult, document_digest
from audit.scored import cache_folder
from audit.text import message
from audit.versions.rows import Rows, Table, UnmatchedError

NAME_THE_FOLDER = "name the folder that audit.run wrote"


class Pairing(NamedTuple):
    """Both documents, the rows where they could be matched, and the line that says which."""

    old: AuditResult
    new: AuditResult
    rows: Rows | None
    opening: Message


def read(folder: Path) -> AuditResult:
    """The document of an audit folder, as it was written: an altered one is refused."""
    path = folder / "audit.json"
    if not path.is_file():
        raise AuditError(f"{folder} is not an audit: it has no audit.json", NAME_THE_FOLDER)
    try:
        content = path.read_bytes()
        record = json.loads(content)
        document = AuditResult.model_validate(record)
    except (OSError, ValueError, ValidationError) as error:
        raise AuditError(f"{folder} is not an audit: {' '.join(str(error).split())[:200]}", NAME_THE_FOLDER) from None
    if document_digest(record) != document.digest or not _as_sealed(folder, content):
        raise AuditError(f"{path} was altered after it was written", f"see python -m audit.verify {folder}, and audit again")
    return document


def _as_sealed(folder: Path, content: bytes) -> bool:
    """Whether the manifest, where there is one, names these bytes."""
    manifest = folder / "manifest.json"
    if not manifest.is_file():
        return True
    try:
        sealed = json.loads(manifest.read_bytes())["files"]["audit.json"]["sha256"]
    except (ValueError, KeyError, TypeError):
        return False
    return bool(hashlib.sha256(content).hexdigest() == sealed)


def pair(old_dir: Path, new_dir: Path, scored_dir: Path | None = None) -> Pairing:
    """Read both audits; `AuditError` where they cannot be compared."""
    if old_dir.resolve() == new_dir.resolve():
        raise AuditError(f"{old_dir} was given twice", "name the folders of two audits, the old one first")
    old, new = read(old_dir), read(new_dir)
    comparable(old, new)
    rows, opening = _rows(old, new, scored_dir)
    return Pairing(old, new, rows, opening)


def comparable(old: AuditResult, new: AuditResult) -> None:
    """Refuse audits of different questions: another task, outcome or event."""
    for what, a, b in (
        ("task", old.model.task, new.model.task), ("target", old.data.target, new.data.target), ("positive label", old.data.positive, new.data.positive),
    ):  # fmt: skip
        if a != b:
            raise AuditError(
                f"the two audits have a different {what}: {a!r} in the old one, {b!r} in the new one",
                "audit both models alike, then compare",
            )


def _rows(old: AuditResult, new: AuditResult, scored_dir: Path | None) -> tuple[Rows | None, Message]:
    if old.data.sha256 != new.data.sha256:
        return None, message(
            "Unpaired: the audits are of different data, so the models are compared as on two independent samples; a difference may come from the "
            "rows as well as from the model."
        )
    folder = scored_dir or cache_folder()
    paths = [scored_table(document.environment.scored, folder) for document in (old, new)]
    lost = [path is None for path in paths]
    if any(lost):
        none, one = message("neither audit has a scored table here"), message("the old audit has no scored table here")
        why = none if all(lost) else one if lost[0] else message("the new audit has no scored table here")
        return None, message(
            "Unpaired: the data are the same, but {why}; compared from the documents as if on two independent samples, which gives wider intervals.",
            why=why,
        )
    assert paths[0] is not None
    assert paths[1] is not None
    try:
        rows = Rows(Table.open(paths[0]), Table.open(paths[1]))
    except UnmatchedError:
        return None, message(
            "Unpaired: the scored tables do not hold the same rows and outcomes; compared from the documents as if on two independent samples."
        )
    return rows, message("Paired: the same {n:count} rows under both models.", n=rows.new.scored.rows)


def scored_table(stem: str | None, folder: Path) -> Path | None:
    """The scored table that a document names, where it is in this cache; the name comes from a file and is taken for a name only."""
    if stem is None or not re.fullmatch(r"[A-Za-z0-9_-]{1,120}", stem):
        return None
    path = folder / f"{stem}.parquet"
    return path if path.is_file() else None
