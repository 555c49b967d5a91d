"""A rendering as a file: written whole or not at all, and listed where others look for it."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from audit import entries
from audit.errors import AuditError
from audit.result import SCHEMA_VERSION, AuditResult
from reports.formats import FORMATS

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

LANGUAGES = ("en", "zh")
EDITIONS = ("internal", "public")
MOST_DOCUMENT = 512 * 1024 * 1024


def load(audit_dir: Path) -> AuditResult:
    """The document of an audit folder; an `AuditError` where there is none that can be read."""
    path = audit_dir / "audit.json"
    try:
        if path.stat().st_size > MOST_DOCUMENT:
            raise AuditError(f"{path} is larger than {MOST_DOCUMENT:,} bytes", "name the folder that audit.run wrote")
        content = path.read_bytes()
        return AuditResult.model_validate_json(content)
    except OSError as error:
        raise AuditError(f"cannot read {path}: {error.strerror}", "name the folder that audit.run wrote") from None
    except ValidationError as error:
        if newer := _newer(content):
            raise AuditError(
                f"{path} was written by a newer version (schema {newer}; this one reads {SCHEMA_VERSION})", "update witnessmark"
            ) from None
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(p) for p in first["loc"]) or "the file"
        raise AuditError(f"{path} is not an audit: {where}: {first['msg']}", "name the folder that audit.run wrote") from None


def _newer(content: bytes) -> int | None:
    """The schema of a document that a later version wrote, else None."""
    try:
        version = json.loads(content)["schema_version"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    return version if isinstance(version, int) and version > SCHEMA_VERSION else None


def write_atomically(path: Path, data: bytes) -> None:
    """Write beside, sync, rename: a reader sees the old file or the new one, never half of one."""
    beside = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with beside.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except OSError as error:
        raise AuditError(f"cannot write {path}: {error.strerror}", "choose another folder with --out DIR") from None
    finally:
        beside.unlink(missing_ok=True)


def list_view(audit_dir: Path, entry: dict[str, str], key: Ed25519PrivateKey | None = None) -> None:
    """Put an entry into `views.json`, in the place of an earlier rendering of the same file; signed where a key is given. Two at once wait for each other."""
    path = audit_dir / entries.VIEWS
    with _alone(audit_dir):
        try:
            views = entries.read_views(audit_dir)
        except ValueError:
            raise AuditError(f"{path} is not a list of views", "move it away; it is written anew") from None
        kept = [v for v in views if v.get("file") != entry["file"]]
        write_atomically(path, entries.write_views([*kept, entries.seal(entry, {entry["file"]: entry["sha256"]}, entries.VIEW_TYPE, key)]))


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """The lock of a folder's list of views: on the folder itself, because the list is replaced and not written into, and who attests holds audit.json."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def sealed(audit_dir: Path, name: str) -> bool:
    """Whether the manifest already answers for this file, which then must not change."""
    try:
        return name in json.loads((audit_dir / "manifest.json").read_bytes())["files"]
    except (OSError, ValueError, KeyError, TypeError):
        return False


def write_views(
    audit_dir: Path,
    format: str = "html",
    lang: str = "en",
    edition: str = "internal",
    out: Path | None = None,
    *,
    listed: bool = True,
    paper: str = "a4",
    sign: Ed25519PrivateKey | None = None,
    keys: Sequence[Path] = (),
) -> list[Path]:
    """Render the audit in `audit_dir` and write the file there, or into `out`, with its appendix where it leaves anything out; returns their paths.

    `listed` puts it into `views.json`, signed by `sign`; `audit.run` says False for the report that its manifest covers. Nothing written to `out`
    is listed, nor what holds the whole folder, with the public `keys` to verify it. A file that the manifest covers is rewritten only if its bytes
    stay the same.
    """
    from reports.obligations.attestations import attestations

    if format not in FORMATS or lang not in LANGUAGES or edition not in EDITIONS:
        raise ValueError(f"expected one of {tuple(FORMATS)}, {LANGUAGES}, {EDITIONS}; got {format!r}, {lang!r}, {edition!r}")
    document = load(audit_dir)
    kind = FORMATS[format]
    if kind.whole and edition == "public":
        raise AuditError(
            f"{kind.stem}.{kind.suffix} holds the whole document, of which the public edition withholds a part",
            "leave out --edition public",
        )
    said = attestations(audit_dir) if kind.attested else ()
    made = [(kind, kind.pack(audit_dir, document, keys))] if kind.whole else kind.render_all(document, lang, edition, paper, said)
    paths = []
    for one, data in made:
        entry = {"document_digest": document.digest, "lang": lang, "format": format if one is kind else kind.rest}
        paths.append(put(audit_dir, one.name(lang, edition), data, entry, out, listed=listed and not kind.whole, sign=sign))
    return paths


def put(
    audit_dir: Path, name: str, data: bytes, entry: dict[str, str], out: Path | None, *, listed: bool, sign: Ed25519PrivateKey | None = None
) -> Path:
    """Write a rendering as a file of the audit's folder, or of `out`; `entry` is what `views.json` says of it beside name, hash and time."""
    folder = out or audit_dir
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise AuditError(f"cannot create {folder}: {error.strerror}", "choose another folder with --out DIR") from None
    path = folder / name
    if out is None and listed and sealed(audit_dir, name):
        if path.exists() and path.read_bytes() == data:
            return path
        raise AuditError(f"{path} is in the audit's manifest and would change", "write it elsewhere with --out DIR")
    write_atomically(path, data)
    if out is None and listed:
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        list_view(audit_dir, {"file": name, "sha256": hashlib.sha256(data).hexdigest(), **entry, "rendered": now}, sign)
    return path
