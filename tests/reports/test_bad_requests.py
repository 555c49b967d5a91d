"""What nobody can carry out is refused in one line that names what is wrong and how to mend it, with status 2, and nothing is written."""

from __future__ import annotations

import datetime
import errno
import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hostile_names import NAMES, hostile
from markdown_it import MarkdownIt
from pieces import OWN
from reading import Page
from sample import sample

from audit import keygen, manifest, signing, verify
from audit.judge import audit_verdict
from audit.plan import digest
from audit.result import document_digest
from reports import attest, generate
from reports.obligations.attestations import Attestation
from reports.obligations.catalogue import find
from reports.obligations.dossier import Dossier
from reports.obligations.draw import paper
from reports.paper import html, markdown, pdf
from reports.speaker import Speaker

SAID = ["--control", "sr26.tier", "--by", "Ada", "--role", "owner", "--statement", "I looked."]
Json = dict[str, Any]


def written(folder: Path) -> dict[str, str]:
    return {str(p): hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    at = tmp_path / "audit"
    at.mkdir()
    document = sample(answered=audit_verdict(sample().questions)[1]).model_dump(mode="json")
    document["plan_sha256"] = digest(document["plan"])
    document["digest"] = document_digest(document)
    (at / "audit.json").write_text(json.dumps(document), "utf-8")
    (at / "manifest.json").write_bytes(signing.canonical(manifest.make(at, document, ["audit.json"])))
    keygen.write(tmp_path, "ada")
    (tmp_path / "house.yaml").write_text(OWN, "utf-8")
    (tmp_path / "doubled.yaml").write_text(OWN + OWN.rsplit("\n", 2)[1] + "\n", "utf-8")
    (tmp_path / "garbage.key").write_bytes(b"-----BEGIN PRIVATE KEY-----\nnone\n-----END PRIVATE KEY-----\n")
    return at


REQUESTS: list[tuple[Callable[[list[str]], int], list[str], str]] = [
    (generate.main, ["--framework", "nyc144"], "--framework nyc144 is not known — use nycll144"),
    (generate.main, ["--framework", "{at}/house.yml"], "cannot read the framework"),
    (generate.main, ["--framework", "{at}/doubled.yaml"], "control house.a stands there twice"),
    (generate.main, ["--framework", "sr26", "--as-of", "2026-13-01"], "--as-of 2026-13-01 is no date"),
    (generate.main, ["--framework", "sr26", "--format", "oscal"], "--format oscal is no format of a framework's document"),
    (generate.main, ["--format", "docx"], "--format docx is none of"),
    (generate.main, ["--sign-key", "{at}/nobody.key"], "cannot read the private key"),
    (generate.main, ["--sign-key", "{at}/ada.pub"], "holds a public key, and signing needs the private one"),
    (generate.main, ["--sign-key", "{at}/garbage.key"], "holds no private key"),
    (generate.main, ["--format", "evidence", "--key", "{at}/ada.key"], "holds a private key"),
    (generate.main, ["--format", "evidence", "--key", "{at}/ada.pub"], "signed nothing in this audit"),
    (attest.main, ["--control", "sr26.teir", *SAID[2:]], "use sr26.tier"),
    (attest.main, ["--control", "house.a", *SAID[2:]], "--control house.a is none of ours"),
    (attest.main, ["--control", "house.a", *SAID[2:], "--framework", "{at}/doubled.yaml"], "stands there twice"),
    (attest.main, [*SAID, "--sign-key", "{at}/nobody.key"], "cannot read the private key"),
    (attest.main, [*SAID, "--sign-key", "{at}/ada.pub"], "signing needs the private one"),
    (verify.main, ["--key", "{at}/nobody.pub"], "cannot read the public key"),
    (verify.main, ["--key", "{at}/ada.key"], "holds a private key, which nobody else should have"),
    (verify.main, ["--recompute", "3"], "--recompute needs the model"),
]


@pytest.mark.parametrize(("command", "options", "told"), REQUESTS, ids=lambda v: v if isinstance(v, str) else None)
def test_refused_in_one_line(
    folder: Path, capsys: pytest.CaptureFixture[str], command: Callable[[list[str]], int], options: list[str], told: str
) -> None:
    before = written(folder)
    assert command([str(folder), *(o.format(at=folder.parent) for o in options)]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("error: ")
    assert " — " in shown.err
    assert told in shown.err
    assert shown.err.count("\n") == 1
    assert written(folder) == before


def newer(document: Json) -> bytes:
    return json.dumps(document | {"schema_version": 99, "verdict": "splendid"}).encode()


@pytest.mark.parametrize("command", [generate.main, attest.main, verify.main])
@pytest.mark.parametrize(
    ("content", "told"),
    [(newer, "a newer version (schema 99"), (lambda _: b"{", None), (lambda d: json.dumps(d | {"checks": 5}).encode(), None), (None, None)],
    ids=["newer", "torn", "other", "gone"],
)
def test_a_document_that_cannot_be_read(
    folder: Path,
    capsys: pytest.CaptureFixture[str],
    command: Callable[[list[str]], int],
    content: Callable[[Json], bytes] | None,
    told: str | None,
) -> None:
    path = folder / "audit.json"
    document = json.loads(path.read_bytes())
    if content is None:
        path.unlink()
    else:
        path.write_bytes(content(document))
        if told is not None:  # its own manifest is right: it was not altered
            sealed = manifest.make(folder, document | {"schema_version": 99}, ["audit.json"])
            (folder / "manifest.json").write_bytes(signing.canonical(sealed))
    before = written(folder)
    status = command([str(folder), *(SAID if command is attest.main else [])])
    shown = capsys.readouterr()
    assert written(folder) == before
    if command is verify.main and told is None:  # that it is broken is what verify is there to say, claim by claim
        assert status == 1
        assert "FAILED       " in shown.out
        return
    assert (status, shown.out, shown.err.count("\n")) == (2, "", 1)
    assert (told or "audit.json") in shown.err


@pytest.fixture
def read_only(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in which nothing can be made; root may write anywhere, so for root the system's answer is given in its place."""
    assert generate.main([str(folder), "--format", "junit"]) == 0
    folder.chmod(0o555)
    if os.geteuid() == 0:
        real, access = Path.open, os.access

        def opened(path: Path, mode: str = "r", *rest: Any, **more: Any) -> Any:
            if path.parent == folder and set(mode) & set("wxa+"):
                raise OSError(errno.EROFS, os.strerror(errno.EROFS))
            return real(path, mode, *rest, **more)

        monkeypatch.setattr(Path, "open", opened)
        monkeypatch.setattr(
            os, "access", lambda path, mode, **more: not (Path(path) == folder and mode & os.W_OK) and access(path, mode, **more)
        )
    return folder


def test_a_folder_that_cannot_be_written_to(read_only: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = written(read_only)
    capsys.readouterr()
    for command, options, told in (
        (generate.main, ["--format", "markdown"], "choose another folder with --out DIR"),
        (generate.main, ["--framework", "sr26", "--format", "markdown"], "choose another folder with --out DIR"),
        (generate.main, ["--format", "evidence"], "choose another folder with --out DIR"),
        (attest.main, SAID, "attest a copy of the folder that can"),
    ):
        assert command([str(read_only), *options]) == 2
        shown = capsys.readouterr()
        assert (shown.out, shown.err.count("\n")) == ("", 1)
        assert told in shown.err
    assert generate.main([str(read_only), "--format", "markdown", "--format", "evidence", "--out", str(tmp_path / "out")]) == 0
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["evidence.zip", "report.md"]
    assert verify.main([str(read_only)]) == 0
    assert written(read_only) == before
    read_only.chmod(0o755)


# --- hostile names in the documents of laws ---------------------------------------------------------------------------------------------------


def dossier(framework: str, name: str, lang: str) -> Dossier:
    audit = hostile(name)
    word = Attestation(0, find(framework).controls[0].id, "attested", name, name, name, None, "a" * 64, "2026-11-22T10:00:00Z", True, None)
    return Dossier(audit, find(framework), datetime.date(2026, 11, 21), (word,), Speaker(lang))


@pytest.mark.parametrize("framework", ["sr26", "coadmt", "nycll144"])
def test_hostile_names_in_documents_of_a_form_of_their_own_stay_text(framework: str) -> None:
    for i, name in enumerate(NAMES):
        made = paper(dossier(framework, name, ("en", "zh")[i % 2]))
        text = html(made)
        assert not any(tag in text for tag in ("<img", "<script", "javascript:", "<!-- gone", 'href="http'))
        assert "\u202e" not in text
        assert Page(text).lines
        inline = [child for token in MarkdownIt().parse(markdown(made)) for child in token.children or []]
        assert not {"link_open", "image", "html_inline"} & {child.type for child in inline}, name


def test_hostile_names_on_paper() -> None:
    name = (
        '#panic("x") $x$ *b* `r` <a> @b \\input{/etc/passwd} {{ 7*7 }} ' + " ".join(n for n in NAMES if len(n) < 30 and "\n" not in n)[:400]
    )
    assert pdf(paper(dossier("sr26", name, "zh"))).startswith(b"%PDF-")
