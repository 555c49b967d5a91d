"""Somebody who has `evidence.zip` and nothing else checks it by the page in it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import NamedTuple

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sample import sample

from audit import entries, keygen, manifest, signing
from audit.judge import audit_verdict
from audit.plan import digest
from audit.result import document_digest
from reports.generate import main
from reports.write import write_view

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
    (folder / "attestations.jsonl").write_bytes(entries.appended(folder, {"by": "张三", "statement": "s"}, signing.read_private(private)))
    return Sealed(folder, private, public, write_view(folder, "evidence", keys=[public]))


def followed(folder: Path, page: str, *, ours: bool) -> str:
    """What the page's commands print, each run as it stands; with `ours` those that need our software."""
    paths = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)} if ours else {"PATH": os.defpath}
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
def test_the_page_s_commands_verify_what_was_unpacked(sealed: Sealed, tmp_path: Path, page: str) -> None:
    zipfile.ZipFile(sealed.zip).extractall(tmp_path)
    told = followed(tmp_path, page, ours=False)
    key = signing.key_id(signing.read_public(sealed.public))
    assert "all files as listed" in told
    assert f"{key}  -" in told
    assert key in (tmp_path / page).read_text("utf-8")
    assert "Verified Successfully" in told
    assert "evidence/audit.json: OK" in told


def test_our_own_command_verifies_what_was_unpacked(sealed: Sealed, tmp_path: Path) -> None:
    zipfile.ZipFile(sealed.zip).extractall(tmp_path)
    told = followed(tmp_path, "README.txt", ours=True)
    assert "OK           signature" in told
    assert "OK           junit.xml: signed by key" in told
    assert "OK           attestation 1: signed by key" in told


def test_what_was_changed_after_packing_is_told_by_the_same_commands(sealed: Sealed, tmp_path: Path) -> None:
    zipfile.ZipFile(sealed.zip).extractall(tmp_path)
    page = tmp_path / "evidence" / "report.html"
    page.write_text(page.read_text("utf-8") + " ", "utf-8")
    with pytest.raises(AssertionError, match=r"report\.html: FAILED"):
        followed(tmp_path, "README.txt", ours=False)


def test_the_zip_holds_what_is_listed_by_its_own_name_and_always_the_same_bytes(sealed: Sealed) -> None:
    with zipfile.ZipFile(sealed.zip) as archive:
        names = archive.namelist()
        assert {i.date_time for i in archive.infolist()} == {(2026, 11, 21, 10, 1, 12)}
    assert names == sorted(names)
    assert set(names) == {"README.txt", "README.zh.txt", "SHA256SUMS"} | {n for n in names if n.startswith("keys/")} | {
        f"evidence/{name}" for name in ("audit.json", "report.html", "junit.xml", "manifest.json", "views.json", "attestations.jsonl")
    }  # fmt: skip
    before = sealed.zip.read_bytes()
    assert write_view(sealed.folder, "evidence", keys=[sealed.public]).read_bytes() == before, "nor does it hold itself"
    assert str(sealed.folder).encode() not in before
    assert b"PRIVATE" not in b"".join(zipfile.ZipFile(sealed.zip).read(n) for n in names)


def test_evidence_of_an_unsigned_audit_says_that_nobody_signed_it(tmp_path: Path) -> None:
    folder = audited(tmp_path / "audit", None)
    assert main([str(folder), "--format", "evidence", "--lang", "zh"]) == 0
    zipfile.ZipFile(folder / "evidence.zh.zip").extractall(tmp_path / "out")
    assert "this audit is not signed" in (tmp_path / "out" / "README.txt").read_text("utf-8")
    followed(tmp_path / "out", "README.zh.txt", ours=False)
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
