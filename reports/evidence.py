"""`evidence.zip`: an audit with everything that was drawn from it or attested of it, the public keys, and one page that says how to check it.

The same folder and keys give the same bytes: files in order, no absolute names, and the document's own date on each.
"""

from __future__ import annotations

import hashlib
import io
import json
import shlex
import zipfile
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audit import entries, manifest
from audit.errors import AuditError
from audit.signing import SignatureError, key_id, opened, public_pem, read_public, signer

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    from audit.result import AuditResult

Json = dict[str, Any]
FOLDER, SUMS = "evidence", "SHA256SUMS"
PAGES = {"README.txt": "en", "README.zh.txt": "zh"}


def pack(audit_dir: Path, document: AuditResult, key_files: Sequence[Path] = ()) -> bytes:
    """The zip; an `AuditError` where a file is not as it is listed, or a key signed nothing that is here."""
    content, sealed = collect(audit_dir)
    keys = {key_id(key): key for key in map(read_public, key_files)}
    who = _signers(audit_dir, sealed, keys)
    for path, id_ in zip(key_files, keys, strict=False):
        if id_ not in who:
            raise AuditError(f"the key {path} ({id_}) signed nothing in this audit", "name the public key of who signed it")
    names = {id_: f"{id_[:16]}.pub" for id_ in keys}
    files = {f"{FOLDER}/{name}": data for name, data in content.items()}
    files |= {f"keys/{names[id_]}": public_pem(key) for id_, key in keys.items()}
    later = _later(audit_dir, set(names))
    apart = [name for name in manifest.APART if name in sealed["files"]]
    files |= {name: _page(lang, document, signer(sealed["signature"]), names, later, apart).encode() for name, lang in PAGES.items()}
    files[SUMS] = "".join(f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in sorted(files.items())).encode()
    return _zip(files, datetime.fromisoformat(document.finished))


def collect(folder: Path) -> tuple[dict[str, bytes], Json]:
    """The files of an audit that its lists name, but for single rows, and its manifest; an `AuditError` where one is missing or not as it is listed."""
    try:
        sealed = json.loads((folder / manifest.NAME).read_bytes())
        listed = {name: entry["sha256"] for name, entry in sealed["files"].items()}
        views = {str(entry["file"]): str(entry["sha256"]) for entry in entries.read_views(folder)}
        entries.read_attestations(folder)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise AuditError(f"{folder} has no manifest and lists that can be read", f"see python -m audit.verify {folder}") from None
    content: dict[str, bytes] = {}
    for name in (manifest.NAME, entries.VIEWS, entries.ATTESTATIONS, *listed, *views):
        if name in manifest.APART:
            continue
        path, expected = folder / name, listed.get(name, views.get(name))
        if expected is None and name != manifest.NAME and not path.exists():
            continue
        data = path.read_bytes() if Path(name).name == name and path.is_file() and not path.is_symlink() else None
        if data is None or (expected is not None and hashlib.sha256(data).hexdigest() != expected):
            raise AuditError(f"{path} is not as it was written", f"see python -m audit.verify {folder}")
        content[name] = data
    return content, sealed


def _signers(folder: Path, sealed: Json, keys: dict[str, Ed25519PublicKey]) -> set[str]:
    """The ids of those of these keys that signed the manifest, a view or an attestation."""
    found = {id_ for entry in (*entries.read_views(folder), *entries.read_attestations(folder)) for id_ in keys if _by(entry, id_, keys)}
    named = signer(sealed["signature"])
    if named in keys:
        try:
            opened(sealed["signature"], keys[named])
        except SignatureError as error:
            raise AuditError(f"the manifest of {folder}: {error}", f"see python -m audit.verify {folder}") from None
        found.add(named)
    return found


def _by(entry: Json, id_: str, keys: dict[str, Ed25519PublicKey]) -> bool:
    return entry.get("signed_by") == id_ and entries.signed_by(entry, keys)[0] is True


def _later(folder: Path, keys: set[str]) -> Json:
    """What the page says of files that came after the manifest: the lists that are there, who of these keys signed entries, the last attestation."""
    views, attested = entries.read_views(folder), entries.read_attestations(folder)
    lists = [f"json.load(open('evidence/{entries.VIEWS}', encoding='utf-8'))"] if views else []
    lists += [f"[json.loads(x) for x in open('evidence/{entries.ATTESTATIONS}', encoding='utf-8')]"] if attested else []
    return {
        "views": bool(views), "lists": " + ".join(lists), "signers": sorted(keys & {str(e.get("signed_by")) for e in (*views, *attested)}),
        "attested": len(attested), "last": attested[-1]["entry_sha256"] if attested else None,
    }  # fmt: skip


def _page(lang: str, document: AuditResult, signed_by: str | None, names: dict[str, str], later: Json, apart: list[str]) -> str:
    """The page that says how, in one language; `apart` are files of the manifest that are left out."""
    import jinja2

    from reports.speaker import Speaker, clean
    from reports.states import state_of_audit
    from reports.view import answered_text
    from reports.words import LOOKS

    loader = jinja2.FileSystemLoader(Path(__file__).parent / "templates")
    template = jinja2.Environment(
        loader=loader,
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701  plain text
    ).get_template(f"evidence.{lang}.txt")
    say, uri = Speaker(lang), " ".join(clean(document.model.uri, 120).split())
    verdict, answered = say.t(LOOKS[state_of_audit(document)].word), answered_text(document, say)
    return template.render(
        rule="=" * 20, uri=uri, model=shlex.quote(uri), id=clean(document.id, 80), finished=document.finished, keys=names, signer=signed_by, later=later, apart=apart,
        verdict=f"{verdict}（{answered}）" if lang == "zh" else f"{verdict} ({answered})", valid_until=document.valid_until,
    )  # fmt: skip


def _zip(files: dict[str, bytes], when: datetime) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, data in sorted(files.items()):
            entry = zipfile.ZipInfo(name, (when.year, when.month, when.day, when.hour, when.minute, when.second))
            entry.compress_type, entry.create_system, entry.external_attr = zipfile.ZIP_DEFLATED, 3, 0o100644 << 16
            archive.writestr(entry, data)
    return out.getvalue()
