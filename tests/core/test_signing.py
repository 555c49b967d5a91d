"""Signatures and keys, against another implementation of DSSE, and key files that are none."""

from __future__ import annotations

import copy
import json
import stat
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization as form
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from hypothesis import given, settings
from hypothesis import strategies as st
from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import VerificationError
from securesystemslib.signer import CryptoSigner, SSlibKey

from audit import keygen, signing
from audit.errors import AuditError

PEM, PKCS8, SPKI = form.Encoding.PEM, form.PrivateFormat.PKCS8, form.PublicFormat.SubjectPublicKeyInfo
KEY = ed25519.Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
SAID = signing.statement({"audit.json": "a" * 64, "报告.html": "b" * 64}, signing.MANIFEST_TYPE, {"n": 3, "share": 0.1, "who": "张三"})


def test_the_encoding_is_that_of_the_specification() -> None:
    """The example of DSSE's protocol.md."""
    assert signing.encoded("http://example.com/HelloWorld", b"hello world") == b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"


def test_a_signature_of_the_standard_s_own_key() -> None:
    """RFC 8032, 7.1, test 1: the key's public half; its id is the SHA-256 of these 32 bytes."""
    secret = bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
    public = bytes.fromhex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a")
    key = ed25519.Ed25519PrivateKey.from_private_bytes(secret).public_key()
    assert key.public_bytes_raw() == public
    assert signing.key_id(key) == "21fe31dfa154a261626bf854046fd2271b7bed4b6abe45aa58877ef47f9721b9"


def test_another_library_verifies_ours() -> None:
    envelope = signing.sign(SAID, KEY)
    theirs = Envelope.from_dict(copy.deepcopy(envelope))
    key = SSlibKey.from_crypto(KEY.public_key(), keyid=signing.key_id(KEY.public_key()))
    assert list(theirs.verify([key], 1)) == [key.keyid]
    assert json.loads(theirs.payload) == SAID
    other = ed25519.Ed25519PrivateKey.generate().public_key()
    with pytest.raises(VerificationError):
        theirs.verify([SSlibKey.from_crypto(other, keyid=key.keyid)], 1)


def test_ours_reads_what_another_library_signed() -> None:
    theirs = Envelope(signing.canonical(SAID), signing.PAYLOAD_TYPE, {})
    theirs.sign(CryptoSigner(KEY, SSlibKey.from_crypto(KEY.public_key(), keyid=signing.key_id(KEY.public_key()))))
    assert signing.opened(theirs.to_dict(), KEY.public_key()) == SAID


def test_the_same_statement_is_signed_alike_and_the_signer_is_named() -> None:
    envelope = signing.sign(SAID, KEY)
    assert envelope == signing.sign(SAID, KEY)
    assert signing.signer(envelope) == signing.key_id(KEY.public_key())
    assert signing.signer({"signatures": []}) is None
    assert signing.read(envelope) == signing.opened(envelope, KEY.public_key()) == SAID


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_no_bit_of_an_envelope_can_be_turned(data: st.DataObject) -> None:
    written = bytearray(signing.canonical(signing.sign(SAID, KEY)))
    written[data.draw(st.integers(0, len(written) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    try:
        changed = json.loads(bytes(written))
    except ValueError:
        return
    with pytest.raises(signing.SignatureError):
        signing.opened(changed, KEY.public_key())


def test_another_key_s_signature_is_named() -> None:
    other = ed25519.Ed25519PrivateKey.generate()
    with pytest.raises(signing.SignatureError, match=f"another key: {signing.key_id(other.public_key())}"):
        signing.opened(signing.sign(SAID, other), KEY.public_key())
    forged = signing.sign(SAID, other)
    forged["signatures"][0]["keyid"] = signing.key_id(KEY.public_key())
    with pytest.raises(signing.SignatureError, match="does not belong"):
        signing.opened(forged, KEY.public_key())
    with pytest.raises(signing.SignatureError, match="exactly one"):
        signing.opened(forged | {"signatures": forged["signatures"] * 2}, KEY.public_key())


def refused(read: object, path: Path) -> str:
    with pytest.raises(AuditError) as caught:
        read(path)  # type: ignore[operator]
    assert "MC4CAQAw" not in str(caught.value), "nothing of the key is repeated"
    return str(caught.value)


def test_key_files_that_cannot_sign_are_refused_by_what_they_are(tmp_path: Path) -> None:
    files = {
        "public": signing.public_pem(KEY.public_key()),
        "line": KEY.public_key().public_bytes(form.Encoding.OpenSSH, form.PublicFormat.OpenSSH),
        "encrypted": KEY.private_bytes(PEM, PKCS8, form.BestAvailableEncryption(b"x")),
        "curve": ec.generate_private_key(ec.SECP256R1()).private_bytes(PEM, PKCS8, form.NoEncryption()),
        "noise": b"\xff\x00" * 40,
        "broken": KEY.private_bytes(PEM, PKCS8, form.NoEncryption())[:60],
        "huge": b"-" * 20_000,
    }
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    said = {name: refused(signing.read_private, tmp_path / name) for name in [*files, "absent", "."]}
    assert "public key" in said["public"]
    assert "public key" in said["line"]
    assert "encrypted" in said["encrypted"]
    assert "another kind" in said["curve"]
    assert "no private key" in said["noise"]
    assert "no private key" in said["broken"]
    assert "larger" in said["huge"]
    assert "No such file" in said["absent"]


def test_public_keys_as_pem_and_as_a_line(tmp_path: Path) -> None:
    path = tmp_path / "key"
    for content in (
        signing.public_pem(KEY.public_key()),
        KEY.public_key().public_bytes(form.Encoding.OpenSSH, form.PublicFormat.OpenSSH) + b" auditor@example.org\n",
    ):
        path.write_bytes(content)
        assert signing.key_id(signing.read_public(path)) == signing.key_id(KEY.public_key())
    path.write_bytes(KEY.private_bytes(PEM, PKCS8, form.NoEncryption()))
    assert "private key" in refused(signing.read_public, path)
    path.write_bytes(ec.generate_private_key(ec.SECP256R1()).public_key().public_bytes(PEM, SPKI))
    assert "another kind" in refused(signing.read_public, path)
    path.write_bytes(b"ssh-ed25519 nonsense")
    assert "no public key" in refused(signing.read_public, path)


def test_a_new_key_is_written_once_and_read_by_its_owner_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert keygen.main(["auditor", "--out", str(tmp_path / "keys")]) == 0
    told = capsys.readouterr()
    private, public = map(Path, told.out.split())
    assert [private.name, public.name] == ["auditor.key", "auditor.pub"]
    assert stat.S_IMODE(private.stat().st_mode) == 0o600
    assert signing.key_id(signing.read_public(public)) == signing.key_id(signing.read_private(private).public_key())
    assert signing.key_id(signing.read_public(public)) in told.err
    before = private.read_bytes()
    assert keygen.main(["auditor", "--out", str(tmp_path / "keys")]) == 2
    assert "never overwritten" in capsys.readouterr().err
    assert private.read_bytes() == before
    assert keygen.main(["../x", "--out", str(tmp_path)]) == 2
    (tmp_path / "file").write_text("")
    assert keygen.main(["a", "--out", str(tmp_path / "file")]) == 2


def test_openssl_reads_our_keys_and_checks_our_signatures(tmp_path: Path) -> None:
    import base64

    private, public, _ = keygen.write(tmp_path, "auditor")
    envelope = signing.sign(SAID, signing.read_private(private))
    payload = base64.b64decode(envelope["payload"])
    (tmp_path / "signed").write_bytes(signing.encoded(envelope["payloadType"], payload))
    (tmp_path / "signature").write_bytes(base64.b64decode(envelope["signatures"][0]["sig"]))
    command = ["openssl", "pkeyutl", "-verify", "-pubin", "-inkey", str(public), "-rawin", "-in", "signed", "-sigfile", "signature"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "Verified Successfully" in done.stdout, done.stderr
