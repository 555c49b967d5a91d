"""Who vouches for a document: Ed25519 signatures over in-toto statements in DSSE envelopes, and the key files that they need.

A signature says who said something and that nobody changed it since; it does not say that it is true. The formats are those of other tools, so that
none of ours is needed to check them: in-toto Statement v1 (in-toto Attestation Framework, 2023), DSSE v1 (secure-systems-lab, 2021), Ed25519
(RFC 8032), keys as PEM (PKCS #8 and SubjectPublicKeyInfo, RFC 8410) or, public, as the line that OpenSSH writes.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audit.errors import AuditError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

Json = dict[str, Any]
PAYLOAD_TYPE = "application/vnd.in-toto+json"
STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
#: What our statements say of their subjects: what an audit folder held when it was written, and what a named person attests of an audit.
MANIFEST_TYPE = "urn:witnessmark:manifest:1"
ATTESTATION_TYPE = "urn:witnessmark:attestation:1"
MOST_KEY = 16 * 1024


class SignatureError(Exception):
    """An envelope that proves nothing; the message says why, in a few words."""


def statement(subjects: Mapping[str, str], predicate_type: str, predicate: Json) -> Json:
    """An in-toto Statement: these subjects (name → SHA-256, 64 hex digits), and what is said of them."""
    named = [{"name": name, "digest": {"sha256": sha256}} for name, sha256 in sorted(subjects.items())]
    return {"_type": STATEMENT_TYPE, "subject": named, "predicateType": predicate_type, "predicate": predicate}


def canonical(value: Any) -> bytes:
    """The one form in which JSON is hashed and signed (RFC 8785)."""
    import rfc8785

    return bytes(rfc8785.dumps(value))


def key_id(key: Ed25519PublicKey) -> str:
    """What a key is called: the SHA-256 of its 32 raw bytes, 64 hex digits."""
    return hashlib.sha256(key.public_bytes_raw()).hexdigest()


def encoded(payload_type: str, payload: bytes) -> bytes:
    """DSSE's pre-authentication encoding: the bytes that are signed, in which type and payload cannot be mistaken for each other."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def sign(said: Json, key: Ed25519PrivateKey) -> Json:
    """The envelope of a statement, signed; Ed25519 is deterministic, so the same statement and key give the same bytes."""
    payload = canonical(said)
    signature = {"keyid": key_id(key.public_key()), "sig": _base64(key.sign(encoded(PAYLOAD_TYPE, payload)))}
    return {"payload": _base64(payload), "payloadType": PAYLOAD_TYPE, "signatures": [signature]}


def signer(envelope: object) -> str | None:
    """The key id that an envelope names: a hint, which proves nothing; None where it names none."""
    match envelope:
        case {"signatures": [{"keyid": str(named)}, *_]}:
            return named
    return None


def read(envelope: object) -> Json:
    """The statement in an envelope, whoever signed it; `SignatureError` where it has not the one form that we write."""
    if (
        not isinstance(envelope, dict)
        or set(envelope) != {"payload", "payloadType", "signatures"}
        or envelope["payloadType"] != PAYLOAD_TYPE
    ):
        raise SignatureError("it is no DSSE envelope of an in-toto statement")
    payload = _bytes(envelope["payload"])
    try:
        said = json.loads(payload)
        if not isinstance(said, dict) or said.get("_type") != STATEMENT_TYPE or canonical(said) != payload:
            raise SignatureError("it is no in-toto statement in canonical form")
    except (ValueError, RecursionError):
        raise SignatureError("it is no in-toto statement in canonical form") from None
    return said


def opened(envelope: Json, key: Ed25519PublicKey) -> Json:
    """The statement in an envelope that this key signed; `SignatureError` where it did not, or where there is not exactly one signature."""
    from cryptography.exceptions import InvalidSignature

    said, signatures = read(envelope), envelope["signatures"]
    if (
        not isinstance(signatures, list)
        or len(signatures) != 1
        or not isinstance(signatures[0], dict)
        or set(signatures[0]) != {"keyid", "sig"}
    ):
        raise SignatureError("it has not exactly one signature")
    if signatures[0]["keyid"] != key_id(key):
        raise SignatureError(f"signed by another key: {str(signatures[0]['keyid'])[:64]}, expected {key_id(key)}")
    try:
        key.verify(_bytes(signatures[0]["sig"]), encoded(PAYLOAD_TYPE, _bytes(envelope["payload"])))
    except InvalidSignature:
        raise SignatureError("the signature does not belong to what was signed") from None
    return said


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _bytes(text: object) -> bytes:
    """What a text of base64 stands for; the same bytes written otherwise are refused, or a changed letter could go unseen."""
    try:
        data = base64.b64decode(str(text), validate=True)
    except ValueError:
        raise SignatureError("it is no base64") from None
    if _base64(data) != text:
        raise SignatureError("it is base64 in another than its one form")
    return data


def new_key() -> tuple[bytes, bytes, str]:
    """A new key from the operating system's randomness: private PEM, public PEM, and its id."""
    from cryptography.hazmat.primitives import serialization as form
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(form.Encoding.PEM, form.PrivateFormat.PKCS8, form.NoEncryption())
    return private, public_pem(key.public_key()), key_id(key.public_key())


def public_pem(key: Ed25519PublicKey) -> bytes:
    """A public key as PEM."""
    from cryptography.hazmat.primitives import serialization as form

    return key.public_bytes(form.Encoding.PEM, form.PublicFormat.SubjectPublicKeyInfo)


def read_private(path: Path) -> Ed25519PrivateKey:
    """A private key from a PEM file; an `AuditError` that names the file, and never its content, where it holds none that can sign."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    data, mend = _file(path, "private"), "make one with: python -m audit.keygen NAME"
    if b"PUBLIC KEY" in data or data.startswith(b"ssh-"):
        raise AuditError(f"{path} holds a public key, and signing needs the private one", "name the .key file that belongs to it")
    try:
        key = load_pem_private_key(data, password=None)
    except TypeError:
        decrypted = f"decrypt it first: openssl pkey -in {path.name} -out plain.key"
        raise AuditError(f"the private key {path} is encrypted, and no pass phrase is asked for here", decrypted) from None
    except (ValueError, UnsupportedAlgorithm):
        raise AuditError(f"{path} holds no private key in PEM", mend) from None
    if not isinstance(key, Ed25519PrivateKey):
        raise AuditError(f"{path} holds a key of another kind than Ed25519", mend)
    return key


def read_public(path: Path) -> Ed25519PublicKey:
    """A public key from a file, PEM or the line that OpenSSH writes; an `AuditError` where it holds none."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key, load_ssh_public_key

    data, mend = _file(path, "public"), "name the signer's public key: PEM, or one line beginning with ssh-ed25519"
    if b"PRIVATE KEY" in data:
        raise AuditError(f"{path} holds a private key, which nobody else should have", "name the .pub file that belongs to it")
    try:
        key = load_ssh_public_key(data) if data.startswith(b"ssh-") else load_pem_public_key(data)
    except (ValueError, UnsupportedAlgorithm):
        raise AuditError(f"{path} holds no public key", mend) from None
    if not isinstance(key, Ed25519PublicKey):
        raise AuditError(f"{path} holds a key of another kind than Ed25519", mend)
    return key


def _file(path: Path, kind: str) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(MOST_KEY + 1)
    except OSError as error:
        raise AuditError(f"cannot read the {kind} key {path}: {error.strerror}", "name a key file") from None
    if len(data) > MOST_KEY:
        raise AuditError(f"{path} is larger than {MOST_KEY:,} bytes, and no key is", "name a key file")
    return data
