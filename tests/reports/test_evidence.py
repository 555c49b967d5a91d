"""Somebody who has `evidence.zip` and nothing else checks it by the page in it."""

from __future__ import annotations

import base64
import hashlib
import importlib.util
import io
import json
import os
import random
import subprocess
import sys
import sysconfig
import venv
import zipfile
import zlib
from pathlib import Path
from typing import NamedTuple

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st
from sample import sample

from audit import entries, keygen, manifest, signing
from audit.judge import audit_verdict
from audit.plan import digest
from audit.result import document_digest
from reports.attest import main as attest
from reports.generate import main
from reports.write import write_views

ROOT = Path(__file__).parents[2]


class Sealed(NamedTuple):
    """A signed audit with later views and an attestation, its signer's key files, and its evidence."""

    folder: Path
    private: Path
    public: Path
    zip: Path


def audited(folder: Path, key: Ed25519PrivateKey | None) -> Path:
    folder.mkdir()
    document = sample(answered=audit_verdict(sample().questions)[1]).model_dump(mode="json")
    document["plan_sha256"] = digest(document["plan"])
    document["digest"] = document_digest(document)
    (folder / "audit.json").write_text(json.dumps(document), "utf-8")
    (folder / "report.html").write_text("<p>report</p>", "utf-8")
    (folder / "manifest.json").write_bytes(signing.canonical(manifest.make(folder, document, ["audit.json", "report.html"], key)))
    return folder


@pytest.fixture(scope="module")
def sealed(tmp_path_factory: pytest.TempPathFactory) -> Sealed:
    place = tmp_path_factory.mktemp("evidence")
    private, public, _ = keygen.write(place, "auditor")
    folder = audited(place / "folder", signing.read_private(private))
    assert main([str(folder), "--format", "junit", "--sign-key", str(private)]) == 0
    said = ["--control", "sr26.tier", "--by", "张三", "--role", "r", "--statement", 's “引用” and "quoted"']
    for option in ([], ["--sign-key", str(private)]):
        assert attest([str(folder), *said, *option]) == 0
    return Sealed(folder, private, public, write_views(folder, "evidence", keys=[public])[0])


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of somebody who has Python with the package cryptography, openssl and what every system has."""
    place = tmp_path_factory.mktemp("clean")
    venv.create(place, with_pip=False, symlinks=True)
    packages = Path(sysconfig.get_path("purelib", vars={"base": str(place)}))
    for name in ("cryptography", "_cffi_backend", "cffi"):
        found = importlib.util.find_spec(name)
        assert found is not None
        assert found.origin is not None
        file = Path(found.origin)
        whole = file.parent if file.name == "__init__.py" else file
        (packages / whole.name).symlink_to(whole)
    return place / "bin"


def followed(folder: Path, page: str, bin_: Path, *, ours: bool = False) -> str:
    """What the page's commands print, each run as it stands; with `ours` those that need our software."""
    mine = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
    paths = mine if ours else {"PATH": f"{bin_}:{os.defpath}"}
    commands = [line.split("$ ", 1)[1] for line in (folder / page).read_text("utf-8").splitlines() if line.startswith("    $ ")]
    chosen = [c for c in commands if ("audit.verify" in c) == ours]
    assert chosen
    out = ""
    for command in chosen:
        done = subprocess.run(["bash", "-o", "pipefail", "-c", command], cwd=folder, env=paths, capture_output=True, text=True, check=False)
        assert done.returncode == 0, (command, done.stdout, done.stderr)
        out += done.stdout
    return out


@pytest.mark.parametrize("page", ["README.txt", "README.zh.txt"])
def test_the_page_s_commands_verify_what_was_unpacked(sealed: Sealed, clean: Path, tmp_path: Path, page: str) -> None:
    zipfile.ZipFile(sealed.zip).extractall(tmp_path)
    told = followed(tmp_path, page, clean)
    key = signing.key_id(signing.read_public(sealed.public))
    assert "all files as listed" in told
    assert f"{key}  -" in told
    assert key in (tmp_path / page).read_text("utf-8")
    assert "Verified Successfully" in told
    assert all(f"evidence/{name}: OK" in told for name in ("audit.json", "report.html", "junit.xml", "attestations.jsonl"))
    assert f"3 later entries signed by {key}" in told  # junit.xml, the list of attestations and one of them
    python = [str(clean / "python3"), "-c", "import cryptography, audit"]
    assert "No module named 'audit'" in subprocess.run(python, cwd=tmp_path, env={}, capture_output=True, text=True, check=False).stderr


def test_our_own_command_verifies_what_was_unpacked(sealed: Sealed, clean: Path, tmp_path: Path) -> None:
    zipfile.ZipFile(sealed.zip).extractall(tmp_path)
    told = followed(tmp_path, "README.txt", clean, ours=True)
    assert "OK           signature" in told
    assert "OK           junit.xml: signed by key" in told
    assert "OK           attestation 1: not signed" in told
    assert "OK           attestation 2: signed by key" in told
    assert "OK           no later attestation taken away: 2 of 2" in told


@settings(max_examples=60)
@given(data=st.data())
def test_no_bit_of_the_zip_can_be_turned_so_that_other_files_are_accepted(sealed: Sealed, data: st.DataObject) -> None:
    """Either unpacking or the list of hashes tells it, or, where it lay in a date that the zip gives a file, nothing that was sent is another."""
    whole = sealed.zip.read_bytes()
    changed = bytearray(whole)
    changed[data.draw(st.integers(0, len(whole) - 1), label="byte")] ^= 1 << data.draw(st.integers(0, 7), label="bit")

    def unpacked(content: bytes) -> dict[str, bytes]:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            return {name: archive.read(name) for name in archive.namelist()}

    try:
        found = unpacked(bytes(changed))
        sums = dict(reversed(line.split("  ", 1)) for line in found["SHA256SUMS"].decode().splitlines())
        told = any(hashlib.sha256(found[name]).hexdigest() != sha256 for name, sha256 in sums.items())
    except (zipfile.BadZipFile, zlib.error, KeyError, ValueError, EOFError, NotImplementedError, RuntimeError, OSError):
        told = True
    assert told or found == unpacked(whole)


LATER = ("junit.xml", "views.json", "attestations.jsonl")


@pytest.mark.parametrize("name", ["report.html", "audit.json", "manifest.json", *LATER])
def test_a_turned_bit_is_told_by_the_page_s_first_command(sealed: Sealed, clean: Path, tmp_path: Path, name: str) -> None:
    zipfile.ZipFile(sealed.zip).extractall(tmp_path)
    path, draw = tmp_path / "evidence" / name, random.Random(name)
    changed = bytearray(path.read_bytes())
    changed[draw.randrange(len(changed))] ^= 1 << draw.randrange(8)
    path.write_bytes(changed)
    with pytest.raises(AssertionError, match=rf"evidence/{name}: FAILED"):
        followed(tmp_path, "README.txt", clean)


def forged(place: Path, name: str) -> None:
    """One file changed, and every list and hash that needs no key made anew."""
    evidence = place / "evidence"
    path = evidence / name
    path.write_bytes(
        path.read_bytes()
        .replace(b"report</p>", b"REPORT</p>")
        .replace(b'"role":"r"', b'"role":"R"')
        .replace(b"<testsuite", b"<!-- --><testsuite", 1)
    )
    if name == "attestations.jsonl":
        lines = [json.loads(line) for line in path.read_bytes().splitlines()]
        for before, entry in zip([None, *lines], lines, strict=False):
            entry["previous"] = before["entry_sha256"] if before else None
            entry["entry_sha256"] = entries.digest(entry)
        path.write_bytes(entries.write_attestations(lines))
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    views = [v | ({"sha256": sha256} if v["file"] == name else {}) for v in entries.read_views(evidence)]
    (evidence / "views.json").write_bytes(entries.write_views([v | {"entry_sha256": entries.digest(v)} for v in views]))
    manifested = json.loads((evidence / "manifest.json").read_bytes())
    if name in manifested["files"]:
        manifested["files"][name] = manifest.measured(path)
    (evidence / "manifest.json").write_bytes(signing.canonical(manifested))
    sums = [line.split("  ")[1] for line in (place / "SHA256SUMS").read_text("utf-8").splitlines()]
    (place / "SHA256SUMS").write_text("".join(f"{hashlib.sha256((place / n).read_bytes()).hexdigest()}  {n}\n" for n in sums), "utf-8")


@pytest.mark.parametrize(
    ("name", "told"),
    [("report.html", r"report\.html: FAILED"), ("junit.xml", "AssertionError"), ("attestations.jsonl", "AssertionError"), (None, "Verification Failure")],
)  # fmt: skip
def test_what_was_forged_with_all_its_hashes_is_told_by_the_signatures(
    sealed: Sealed, clean: Path, tmp_path: Path, name: str | None, told: str
) -> None:
    zipfile.ZipFile(sealed.zip).extractall(tmp_path)
    if name is None:  # what was signed is made to fit too
        path = tmp_path / "evidence" / "manifest.json"
        content = json.loads(path.read_bytes())
        payload = base64.b64decode(content["signature"]["payload"]).replace(b'"report.html"', b'"rePort.html"')
        content["signature"]["payload"] = base64.b64encode(payload).decode()
        path.write_bytes(signing.canonical(content))
    forged(tmp_path, name or "audit.json")
    with pytest.raises(AssertionError, match=told):
        followed(tmp_path, "README.txt", clean)


def test_the_zip_holds_what_is_listed_by_its_own_name_and_always_the_same_bytes(sealed: Sealed) -> None:
    with zipfile.ZipFile(sealed.zip) as archive:
        names = archive.namelist()
        assert {i.date_time for i in archive.infolist()} == {(2026, 11, 21, 10, 1, 12)}
    assert names == sorted(names)
    assert set(names) == {"README.txt", "README.zh.txt", "SHA256SUMS"} | {n for n in names if n.startswith("keys/")} | {
        f"evidence/{name}" for name in ("audit.json", "report.html", "junit.xml", "manifest.json", "views.json", "attestations.jsonl")
    }  # fmt: skip
    before = sealed.zip.read_bytes()
    assert write_views(sealed.folder, "evidence", keys=[sealed.public])[0].read_bytes() == before, "nor does it hold itself"
    assert str(sealed.folder).encode() not in before
    assert b"PRIVATE" not in b"".join(zipfile.ZipFile(sealed.zip).read(n) for n in names)


def test_evidence_of_an_unsigned_audit_says_that_nobody_signed_it(clean: Path, tmp_path: Path) -> None:
    folder = audited(tmp_path / "audit", None)
    assert main([str(folder), "--format", "evidence", "--lang", "zh"]) == 0
    zipfile.ZipFile(folder / "evidence.zh.zip").extractall(tmp_path / "out")
    assert "this audit is not signed" in (tmp_path / "out" / "README.txt").read_text("utf-8")
    followed(tmp_path / "out", "README.zh.txt", clean)
    assert [p.name for p in folder.iterdir() if p.name == "views.json"] == [], "listed nowhere"


def test_what_cannot_be_packed_is_refused_in_one_line(sealed: Sealed, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, stranger, _ = keygen.write(tmp_path, "stranger")
    assert main([str(sealed.folder), "--format", "evidence", "--key", str(stranger), "--out", str(tmp_path)]) == 2
    assert "signed nothing in this audit" in capsys.readouterr().err
    assert main([str(sealed.folder), "--format", "evidence", "--edition", "public"]) == 2
    assert "withholds" in capsys.readouterr().err
    folder = audited(tmp_path / "audit", None)
    (folder / "report.html").write_text("changed")
    assert main([str(folder), "--format", "evidence"]) == 2
    assert "is not as it was written" in capsys.readouterr().err
    (folder / "manifest.json").unlink()
    assert main([str(folder), "--format", "evidence"]) == 2
    assert "no manifest" in capsys.readouterr().err
    assert not (folder / "evidence.zip").exists()
