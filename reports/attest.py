"""`python -m reports.attest AUDIT_DIR --control ID --by NAME --role ROLE --statement TEXT|FILE`: what a named person says of one control of an audit.

It is appended to `attestations.jsonl` in the audit's folder, with the hash of the `audit.json` that it speaks of and that of the entry before it, signed where a key is given;
nothing that was said before is replaced. `views.json` gets the hash of the whole list; the entry's own is printed, for whoever keeps it elsewhere: with
it `audit.verify --attested` shows a list that was shortened together with `views.json`. What an entry holds stands in `reports.obligations.attestations`. To attest a framework's document as a
whole, name the framework's id as the control. The documents show it when they are rendered again.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import sys
import unicodedata
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from audit import entries
from audit.errors import AuditError
from reports.generate import Parser
from reports.obligations.attestations import MEND, MOST_BYTES, NAME, AttestedFile, Entry, Says, read
from reports.obligations.catalogue import built_in, controls, find, near, parts

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

MOST_STATEMENT = 20_000
TEXTS = (".txt", ".md")


def parser() -> Parser:
    p = Parser(prog="python -m reports.attest", description="Append what a named person says of one control of an audit.")
    p.add_argument("audit_dir", metavar="AUDIT_DIR", type=Path, help="the folder that audit.run wrote")
    p.add_argument("--control", required=True, metavar="ID", help="the control, or a framework's id for its document as a whole")
    p.add_argument("--by", required=True, metavar="NAME", help="who says it")
    p.add_argument("--role", required=True, metavar="ROLE", help="what entitles this person to say it")
    p.add_argument("--statement", required=True, metavar="TEXT|FILE", help="what is said: a text, or the path of a file that says it")
    p.add_argument("--not-applicable", action="store_true", help="the statement says why the control does not apply")
    p.add_argument("--framework", action="append", metavar="PATH", default=[], help="a YAML file of yours that has the control")
    p.add_argument("--sign-key", type=Path, metavar="FILE", help="Ed25519 private key (python -m audit.keygen)")
    return p


def attest(arguments: list[str]) -> Path:
    """Append one entry; returns the path of the file. Nothing is written where any part of the request cannot be carried out."""
    from audit.signing import read_private
    from reports.write import load

    asked = parser().parse_args(arguments)
    known_control(asked.control, asked.framework)
    load(asked.audit_dir)
    statement, file = said(asked.statement)
    key = None if asked.sign_key is None else read_private(asked.sign_key)
    says: Says = "not_applicable" if asked.not_applicable else "attested"
    return put(asked.audit_dir, asked.control, statement, name=asked.by, role=asked.role, says=says, file=file, key=key)


def put(
    audit_dir: Path,
    control: str,
    statement: str,
    *,
    name: str,
    role: str,
    says: Says = "attested",
    file: AttestedFile | None = None,
    key: Ed25519PrivateKey | None = None,
) -> Path:
    """Append what a named person says of a control, or of a framework's document as a whole, of the `audit.json` that lies there now."""
    entry = Entry(
        control=control, says=says, name=named(name, "--by"), role=named(role, "--role"), statement=sized(statement), file=file,
        audit_sha256=hashlib.sha256((audit_dir / "audit.json").read_bytes()).hexdigest(), made=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    )  # fmt: skip
    return append(audit_dir, entry, key)


def known_control(id_: str, paths: list[str]) -> None:
    """An `AuditError` that names near ones where no framework has this control."""
    frameworks = [*built_in().values(), *(find(path) for path in paths)]
    known = {*controls(frameworks), *(f.id for f in frameworks), *parts()}
    if id_ not in known:
        raise AuditError(f"--control {id_[:80]} is none of ours", f"use {near(id_, known)}; --framework PATH names a file of yours")


def said(text: str) -> tuple[str, AttestedFile | None]:
    """The statement, and the file that holds it where one was named; of a file that is no text its name and hash."""
    path = Path(text)
    try:
        is_file = len(text) < 1000 and path.is_file()
    except (OSError, ValueError):
        is_file = False
    if not is_file:
        return sized(text), None
    try:
        if path.stat().st_size > MOST_BYTES:
            raise AuditError(f"{path} is larger than {MOST_BYTES:,} bytes", "name a smaller file")
        data = path.read_bytes()
    except OSError as error:
        raise AuditError(f"cannot read {path}: {error.strerror}", "name a file that holds the statement") from None
    file = AttestedFile(name=path.name, sha256=hashlib.sha256(data).hexdigest())
    if path.suffix.lower() in TEXTS and 0 < len(data) <= MOST_STATEMENT:
        try:
            return data.decode("utf-8").strip() or path.name, file
        except UnicodeDecodeError:
            pass  # said by name and hash, as any other file
    return path.name, file


def sized(text: str) -> str:
    """A statement as it is kept; an `AuditError` where it is empty or endless."""
    statement = text.strip()
    if not statement or len(statement) > MOST_STATEMENT:
        raise AuditError(f"the statement has {len(statement):,} characters", f"give 1 to {MOST_STATEMENT:,}, or name a file")
    return statement


def named(text: str, option: str) -> str:
    """A name as it is written; an `AuditError` where it is empty, endless or holds what no name does."""
    name = text.strip()
    if not name or len(name) > 200 or any(unicodedata.category(c) in ("Cc", "Cf", "Cs", "Co") for c in name):
        raise AuditError(f"{option} is no name of 1 to 200 readable characters", "write the name as people know it")
    return name


def append(audit_dir: Path, entry: Entry, key: Ed25519PrivateKey | None) -> Path:
    """Put an entry after those that stand there, which must be as they were written; two at once wait for each other.

    Its own hash is then `read(audit_dir)[-1].entry_sha256`.
    """
    from reports.write import list_view, write_atomically

    if not os.access(audit_dir, os.W_OK):
        raise AuditError(f"{audit_dir} cannot be written to", "attest a copy of the folder that can")
    with (audit_dir / "audit.json").open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        read(audit_dir)
        _ends_as_listed(audit_dir)
        whole = entries.appended(audit_dir, entry.said(), key)
        write_atomically(audit_dir / NAME, whole)
        list_view(
            audit_dir,
            {"file": NAME, "sha256": hashlib.sha256(whole).hexdigest(), "document_digest": read(audit_dir)[-1].document_digest},
            key,
        )
    return audit_dir / NAME


def _ends_as_listed(audit_dir: Path) -> None:
    """An `AuditError` where the list is shorter than `views.json` says, which a new entry would hide.

    A longer one is that of a writer who was interrupted before listing it; its chain shows that it is whole.
    """
    try:
        listed = next((v["sha256"] for v in entries.read_views(audit_dir) if v.get("file") == NAME), None)
    except (ValueError, KeyError):
        raise AuditError(f"{audit_dir / entries.VIEWS} is not a list of views", MEND) from None
    lines = (audit_dir / NAME).read_bytes().splitlines(keepends=True) if (audit_dir / NAME).exists() else []
    known = {hashlib.sha256(b"".join(lines[:n])).hexdigest() for n in range(1, len(lines) + 1)}
    if listed is not None and listed not in known:
        raise AuditError(f"{audit_dir / NAME} is not as {entries.VIEWS} lists it: what was said last may have been taken away", MEND)


def main(arguments: list[str] | None = None) -> int:
    try:
        path = attest(sys.argv[1:] if arguments is None else arguments)
    except AuditError as error:
        print(error, file=sys.stderr)
        return 2
    print(f"attestation {len(read(path.parent))}: {read(path.parent)[-1].entry_sha256}")
    print(path.resolve())
    return 0


if __name__ == "__main__":
    sys.exit(main())
