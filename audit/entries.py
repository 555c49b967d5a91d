"""Entries of `views.json` and `attestations.jsonl`: what was rendered or attested after the manifest was written.

An entry is a JSON object with `document_digest`, `entry_sha256` (the SHA-256 of its canonical form without this and the signature) and, where its
author has a key, `signed_by` (the key's id) and `signature`: the DSSE envelope of an in-toto statement whose predicate is the entry. An attestation
also names the entry before it (`previous`), so that none can be taken out of the middle or put in another's place; `views.json` has the hash of the
whole list, so that none can be taken from its end either without changing both.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audit.signing import ATTESTATION_TYPE, SignatureError, canonical, key_id, opened, read, sign, signer, statement

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

Json = dict[str, Any]
VIEWS, ATTESTATIONS = "views.json", "attestations.jsonl"
VIEW_TYPE = "urn:witnessmark:view:1"
SEALS = ("entry_sha256", "signature")


def body(entry: Json) -> Json:
    """What an entry says, without its hash and its signature."""
    return {name: value for name, value in entry.items() if name not in SEALS}


def digest(entry: Json) -> str:
    """SHA-256 of what an entry says, in canonical form."""
    return hashlib.sha256(canonical(body(entry))).hexdigest()


def seal(entry: Json, subjects: Mapping[str, str], kind: str, key: Ed25519PrivateKey | None = None) -> Json:
    """The entry with its hash and, where a key is given, its signature; `subjects` (name → SHA-256) are the files that it speaks of."""
    said = body(entry) | ({"signed_by": key_id(key.public_key())} if key else {})
    return said | {"entry_sha256": digest(said)} | ({"signature": sign(statement(subjects, kind, said), key)} if key else {})


def fault(entry: Json, kind: str) -> str | None:
    """Why an entry is not as it was written; None where it is, as far as that shows without a key."""
    if entry.get("entry_sha256") != digest(entry):
        return "altered: its hash is another"
    if entry.get("signed_by") != signer(entry.get("signature")):
        return "altered: its signature is another's, or was taken away"
    if "signature" not in entry:
        return None
    try:
        said = read(entry["signature"])
    except SignatureError as error:
        return f"altered: its signature: {error}"
    return (
        None
        if (said.get("predicateType"), said.get("predicate")) == (kind, body(entry))
        else "altered: what was signed says something else"
    )


def signed_by(entry: Json, keys: Mapping[str, Ed25519PublicKey]) -> tuple[bool | None, str]:
    """Whether one of these keys (by id) signed an entry without fault, None where that cannot be known; and a few words about it."""
    if "signature" not in entry:
        return None, "not signed"
    named = signer(entry["signature"])
    key = keys.get(str(named))
    if key is None:
        return None, f"signed by key {named}, which was not given"
    try:
        opened(entry["signature"], key)
    except SignatureError as error:
        return False, str(error)
    return True, f"signed by key {key_id(key)}"


def write_views(entries: list[Json]) -> bytes:
    """`views.json`, one entry a line, each in canonical form."""
    return b"[\n" + b",\n".join(canonical(entry) for entry in entries) + b"\n]\n"


def write_attestations(entries: list[Json]) -> bytes:
    """`attestations.jsonl`, one entry a line, each in canonical form."""
    return b"".join(canonical(entry) + b"\n" for entry in entries)


def read_views(folder: Path) -> list[Json]:
    """The entries of `views.json`, none where the file is not there; ValueError where it is no list of objects."""
    path = folder / VIEWS
    return _objects(json.loads(path.read_bytes())) if path.is_file() else []


def read_attestations(folder: Path) -> list[Json]:
    """The entries of `attestations.jsonl`, none where the file is not there; ValueError where a line is no object."""
    path = folder / ATTESTATIONS
    return _objects([json.loads(line) for line in path.read_bytes().splitlines()]) if path.is_file() else []


def appended(folder: Path, said: Json, key: Ed25519PrivateKey | None = None) -> bytes:
    """`attestations.jsonl` with one attestation more, which names the entry before it; `said` holds what a named person attests.

    The document's digest is added; what is signed speaks of the bytes of audit.json.
    """
    document = (folder / "audit.json").read_bytes()
    before = read_attestations(folder)
    entry = said | {"document_digest": json.loads(document)["digest"], "previous": before[-1]["entry_sha256"] if before else None}
    subjects = {"audit.json": hashlib.sha256(document).hexdigest()}
    return write_attestations([*before, seal(entry, subjects, ATTESTATION_TYPE, key)])


def _objects(entries: object) -> list[Json]:
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise ValueError("no list of JSON objects")
    return entries
