"""`python -m audit.verify AUDIT_DIR`: is this audit as it was written? One line per claim: OK, FAILED or NOT CHECKED.

It reads files and compares digests; it never loads a model and opens no connection (only `--model` asks MLflow where the model lies).
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn

from pydantic import ValidationError

from audit.errors import AuditError
from audit.result import AuditResult, document_digest

OK, FAILED, UNCHECKED = "OK", "FAILED", "NOT CHECKED"
ALLOWED = ("audit.json", "manifest.json", "views.json", "attestations.jsonl")
Claim = tuple[str, str, str]


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Refuse a key that stands twice: two readers could take different values from it."""
    keys = [k for k, _ in pairs]
    twice = next((k for k in keys if keys.count(k) > 1), None)
    if twice is not None:
        raise ValueError(f"the key {twice!r} stands twice")
    return dict(pairs)


def _json(path: Path) -> Any:
    return json.loads(path.read_bytes(), object_pairs_hook=_once)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _read(folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Manifest and document; a folder without them is no audit (exit status 2)."""
    for name in ("audit.json", "manifest.json"):
        if not (folder / name).is_file() or (folder / name).is_symlink():
            raise AuditError(f"{folder} is not an audit: it has no {name}", "name the folder that audit.run wrote")
    try:
        manifest, document = _json(folder / "manifest.json"), _json(folder / "audit.json")
        if not isinstance(manifest, dict) or not isinstance(document, dict) or not isinstance(manifest.get("files"), dict):
            raise ValueError("no JSON object of the expected form")
    except ValueError as error:
        raise AuditError(f"{folder} is not an audit: {str(error)[:200]}", "name the folder that audit.run wrote") from None
    return manifest, document


def verify(
    folder: Path, *, key: Path | None = None, model: str | None = None, data: str | None = None, tracking_uri: str | None = None
) -> list[Claim]:
    """Every claim as (state, what, detail)."""
    manifest, document = _read(folder)
    claims: list[Claim] = [_signature(manifest, key)]
    for name, entry in sorted(manifest["files"].items()):
        claims.append(_file(folder, name, str(entry.get("sha256"))))
    claims.append(_schema(document))
    same = document.get("digest") == manifest.get("digest") == _digest(document)
    claims.append((OK if same else FAILED, "digest of the document", "" if same else "it does not follow from what the document says"))
    claims.append(_verdict(document))
    for what in ("model", "data"):
        agree = manifest.get(what, {}).get("sha256") == document.get(what, {}).get("sha256")
        claims.append((OK if agree else FAILED, f"{what} named alike in manifest and document", ""))
    claims.append(_validity(document))
    claims += _views(folder, document)
    claims += _added(folder, manifest)
    claims.append(_model(document, model, tracking_uri))
    claims.append(_data(document, data))
    return claims


def _signature(manifest: dict[str, Any], key: Path | None) -> Claim:
    if manifest.get("signature") is not None:
        return (FAILED if key else UNCHECKED, "signature", "this version cannot check signatures")
    if key is not None:
        return (FAILED, "signature", "this audit is not signed")
    return (UNCHECKED, "signature", "integrity only: no key was given, and the audit is not signed")


def _file(folder: Path, name: str, expected: str) -> Claim:
    path = folder / name
    if "/" in name or name in ("", ".", "..") or not path.is_file() or path.is_symlink():
        return (FAILED, name, "missing")
    return (OK, name, "") if _sha256(path) == expected else (FAILED, name, "altered")


def _schema(document: dict[str, Any]) -> Claim:
    try:
        AuditResult.model_validate(document)
    except ValidationError as error:
        first = error.errors()[0]
        return (FAILED, "schema of the document", f"{'.'.join(map(str, first['loc']))}: {first['msg']}"[:200])
    return (OK, "schema of the document", "")


def _digest(document: dict[str, Any]) -> str | None:
    try:
        return document_digest(document)
    except (KeyError, TypeError, ValueError):
        return None


def _verdict(document: dict[str, Any]) -> Claim:
    """The verdict must follow from the questions, the questions from their findings, and each check's from its findings."""
    from audit.judge import audit_verdict, worst

    try:
        result = AuditResult.model_validate(document)
    except ValidationError:
        return (UNCHECKED, "verdict follows from the findings", "the document cannot be read")
    by_key = {f.key: f.verdict for c in result.checks for f in c.findings}
    for check in result.checks:
        if check.status == "completed" and check.verdict != worst(f.verdict for f in check.findings):
            return (FAILED, "verdict follows from the findings", f"that of {check.info.id} does not")
    for question in result.questions:
        told = worst(by_key.get(k, "fail") for k in question.findings)
        stricter = question.verdict in ("inconclusive", "error") and told in ("pass", "not_judged", "inconclusive")
        if question.verdict != told and not stricter:
            return (FAILED, "verdict follows from the findings", f"the answer to {question.id} does not")
    verdict, answered = audit_verdict(result.questions)
    follows = (verdict, answered) == (result.verdict, result.answered)
    return (OK if follows else FAILED, "verdict follows from the findings", "" if follows else f"it should be {verdict}")


def _validity(document: dict[str, Any]) -> Claim:
    """An audit that has expired was not altered: it no longer speaks for the model of today."""
    until, today = str(document.get("valid_until"))[:10], datetime.now(UTC).strftime("%Y-%m-%d")
    if until < today:
        return (UNCHECKED, "valid today", f"expired on {until}: audit the model again")
    return (OK, f"valid until {until}", "")


def _views(folder: Path, document: dict[str, Any]) -> list[Claim]:
    path = folder / "views.json"
    if not path.is_file():
        return []
    try:
        entries = [(str(e["file"]), str(e["sha256"]), e.get("document_digest")) for e in _json(path)]
    except (ValueError, KeyError, TypeError):
        return [(FAILED, "views.json", "it cannot be read")]
    claims = []
    for name, expected, digest in entries:
        claim = _file(folder, name, expected)
        claims.append(claim if claim[0] == FAILED or digest == document.get("digest") else (FAILED, name, "drawn from another document"))
    return claims


def _added(folder: Path, manifest: dict[str, Any]) -> list[Claim]:
    """Files that nothing lists."""
    listed = {*ALLOWED, *manifest["files"]}
    with contextlib.suppress(ValueError, KeyError, TypeError):  # said by `_views`
        listed |= {str(e["file"]) for e in _json(folder / "views.json")} if (folder / "views.json").is_file() else set()
    return [
        (FAILED, str(p.relative_to(folder)), "added: nothing lists it")
        for p in sorted(folder.rglob("*"))
        if str(p.relative_to(folder)) not in listed
    ]


def _model(document: dict[str, Any], uri: str | None, tracking_uri: str | None) -> Claim:
    if document["model"]["sha256"] is None:  # an address, or predictions alone
        return (UNCHECKED, "model", str(document["model"].get("sha256_reason")))
    if uri is None:
        return (UNCHECKED, "model", "name it with --model")
    import tempfile

    from audit.store import absolute_uri, resolve
    from audit.subject.inspect import inspect_model

    with tempfile.TemporaryDirectory(prefix="witnessmark-verify-") as scratch:
        arguments = {"uri": uri, "destination": str(Path(scratch) / "model"), "tracking_uri": absolute_uri(tracking_uri)}
        found = inspect_model(Path(resolve(arguments, None)["path"])).sha256
    same = found == document["model"]["sha256"]
    return (OK if same else FAILED, "model", "" if same else "it is not the one that was audited, or has changed")


def _data(document: dict[str, Any], path: str | None) -> Claim:
    if path is None:
        return (UNCHECKED, "data", "name them with --data")
    from audit.dataset import data_digest, find_files

    same = data_digest(find_files(path)) == document["data"]["sha256"]
    return (OK if same else FAILED, "data", "" if same else "they are not those that were audited, or have changed")


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise AuditError(message, "see python -m audit.verify --help")


def main(argv: list[str] | None = None) -> int:
    """Exit status 0: nothing failed; 1: something is altered, missing or added; 2: not an audit."""
    parser = _Parser(prog="audit.verify", description="Is this audit as it was written?", allow_abbrev=False)
    parser.add_argument("audit_dir")
    parser.add_argument("--key", metavar="PUBLIC_KEY", help="the signer's public key")
    parser.add_argument("--model", metavar="URI", help="compare the model's files with those that were audited")
    parser.add_argument("--data", metavar="PATH", help="compare the data with those that were audited")
    parser.add_argument("--tracking-uri", metavar="URI")
    try:
        options = parser.parse_args(argv)
        key = Path(options.key) if options.key else None
        claims = verify(Path(options.audit_dir), key=key, model=options.model, data=options.data, tracking_uri=options.tracking_uri)
    except AuditError as error:
        print(error, file=sys.stderr)
        return 2
    for state, what, detail in claims:
        print(f"{state:<12} {what}{': ' + detail if detail else ''}")
    return 1 if any(state == FAILED for state, _, _ in claims) else 0


if __name__ == "__main__":
    sys.exit(main())
