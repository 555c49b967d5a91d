"""An audit folder against everybody who might change it: each altered, missing or added file is named."""

from __future__ import annotations

import hashlib
import json
import runpy
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st
from scene import set_scene

from audit import entries, integrity, manifest, plan, signing, verify
from audit.errors import AuditError
from audit.integrity import check
from audit.registry import checks
from audit.result import document_digest
from reports.formats import FORMATS
from reports.write import list_view, load, write_views

KEY, OTHER = (Ed25519PrivateKey.from_private_bytes(bytes([i]) * 32) for i in (1, 2))
KEY_ID, OTHER_ID = (signing.key_id(k.public_key()) for k in (KEY, OTHER))
ASKED = {"performance.baseline", "performance.overall", "fairness.group", "fairness.inputs"}
Json = dict[str, Any]


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A signed audit as it is left: the document, its page, views that were drawn later and what two people attested."""
    sex = ["f", "m"] * 300
    pred = [int(i % 10 < (3 if s == "f" else 6)) for i, s in zip(np.repeat(np.arange(300), 2), sex, strict=True)]
    scene = set_scene(tmp_path_factory.mktemp("scene"), pred=pred, y=pred, groups={"sex": sex})
    folder = tmp_path_factory.mktemp("audit")
    document = scene.document(skip=set(checks()) - ASKED).model_dump(mode="json")
    document["plan_sha256"] = plan.digest(document["plan"])
    document["digest"] = document_digest(document)
    (folder / "audit.json").write_text(json.dumps(document, indent=1), "utf-8")
    write_views(folder, "html", listed=False)
    seal(folder)
    write_views(folder, "html", "zh")
    for name, kind in FORMATS.items():
        if not kind.whole and not kind.paged and name != "html":
            write_views(folder, name)
    drawn = {f"{kind.stem}.pdf": name for name, kind in FORMATS.items() if kind.paged} | {"nycll144.md": "markdown"}
    for name, format_ in drawn.items():  # the bytes do not matter here, only that they are a file of this kind
        (folder / name).write_bytes(b"%PDF-1.7 some pages\n")
        entry = {"file": name, "sha256": hashlib.sha256((folder / name).read_bytes()).hexdigest(), "document_digest": document["digest"]}
        list_view(folder, entry | {"lang": "en", "format": format_, "rendered": "2026-11-22T00:00:00Z"}, KEY)
    for who, key in (("张三", None), ("R. Okafor", OTHER)):
        said(folder, who, key)
    return folder


def said(folder: Path, who: str, key: Ed25519PrivateKey | None) -> str:
    """What a person attests, appended as the command does; its hash."""
    whole = entries.appended(folder, {"control": "c-1", "by": who, "statement": "so it is"}, key)
    (folder / "attestations.jsonl").write_bytes(whole)
    last = json.loads(whole.splitlines()[-1])
    listed = {"file": "attestations.jsonl", "sha256": hashlib.sha256(whole).hexdigest(), "document_digest": last["document_digest"]}
    list_view(folder, listed, key)
    return str(last["entry_sha256"])


@pytest.fixture
def folder(written: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(written, tmp_path / "copy"))


def seal(folder: Path, key: Ed25519PrivateKey | None = KEY) -> None:
    document = json.loads((folder / "audit.json").read_bytes())
    (folder / "manifest.json").write_bytes(signing.canonical(manifest.make(folder, document, ["audit.json", "report.html"], key)))


def failures(folder: Path, *keys: Ed25519PrivateKey) -> dict[str, str]:
    return {what: detail for state, what, detail in check(folder, [k.public_key() for k in keys])[0] if state == "FAILED"}


def edit(folder: Path, change: Callable[[Json], object], *, digest: bool = True) -> None:
    """Change the document as somebody would who knows how digests are made."""
    document = json.loads((folder / "audit.json").read_bytes())
    change(document)
    if digest:
        document["digest"] = document_digest(document)
    (folder / "audit.json").write_text(json.dumps(document, indent=1), "utf-8")


def test_what_was_written_verifies_and_says_who_signed_it(folder: Path) -> None:
    last = entries.read_attestations(folder)[-1]["entry_sha256"]
    claims, document = check(folder, [KEY.public_key(), OTHER.public_key()], last)
    assert document is not None
    told = {what: (state, detail) for state, what, detail in claims}
    assert {state for state, _ in told.values()} == {"OK"}, told
    assert KEY_ID in told["signature"][1]
    assert "not that it is true" in told["signature"][1]
    assert OTHER_ID in told["attestation 2"][1]
    assert told["report.zh.html"][1] == "not signed"
    alone = {what: (state, detail) for state, what, detail in check(folder, [KEY.public_key()])[0]}
    assert alone["attestation 2"] == ("NOT CHECKED", f"signed by key {OTHER_ID}, which was not given")


def test_without_a_key_only_integrity_is_claimed(folder: Path) -> None:
    claims, _ = check(folder, [])
    assert not failures(folder)
    assert claims[0][:2] == ("NOT CHECKED", "signature")
    assert "integrity only: no key was given" in claims[0][2]
    assert KEY_ID in claims[0][2]


def test_another_key_and_no_signature_fail_where_a_key_is_given(folder: Path) -> None:
    assert f"another key: {KEY_ID}" in failures(folder, OTHER)["signature"]
    seal(folder, None)
    assert failures(folder, KEY) == {"signature": "this audit is not signed"}
    assert not failures(folder)
    seal(folder, OTHER)  # edited or not, and signed again by somebody else
    assert f"another key: {OTHER_ID}" in failures(folder, KEY)["signature"]


LISTS = ("manifest.json", "views.json", "attestations.jsonl")


def kinds(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_every_kind_of_file_that_is_written_stands_in_this_folder(written: Path) -> None:
    made = {f"{kind.stem}.{kind.suffix}" for kind in FORMATS.values() if not kind.whole}
    assert made | {"audit.json", "nycll144.md", *LISTS} <= set(kinds(written))


@settings(max_examples=25)
@given(data=st.data())
def test_no_bit_can_be_turned_in_any_kind_of_file(written: Path, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(kinds(written)), label="file")
    content = (written / name).read_bytes()
    place, bit = data.draw(st.integers(0, len(content) - 1), label="byte"), data.draw(st.integers(0, 7), label="bit")
    changed = bytearray(content)
    changed[place] ^= 1 << bit
    try:
        (written / name).write_bytes(changed)
        found = failures(written, KEY, OTHER)
    finally:
        (written / name).write_bytes(content)
    assert found
    if name not in LISTS:
        assert name in found


def test_each_kind_of_file_is_missed_when_it_is_gone(folder: Path) -> None:
    for name in kinds(folder):
        content = (folder / name).read_bytes()
        (folder / name).unlink()
        found = failures(folder, KEY, OTHER)
        assert found.get(name) == "missing" or (name == "views.json" and "nothing lists it" in found["report.zh.html"]), name
        (folder / name).write_bytes(content)
    assert not failures(folder, KEY, OTHER)


def test_missing_and_added_files_are_named(folder: Path) -> None:
    (folder / "extra.txt").write_text("added")
    (folder / "sub").mkdir()
    (folder / "sub" / "deep").write_text("added")
    (folder / "report.zh.html").unlink()
    (folder / "report.html").unlink()
    found = failures(folder)
    assert found == {
        "report.html": "missing", "report.zh.html": "missing", "extra.txt": "added: nothing lists it", "sub": "added: nothing lists it",
        "sub/deep": "added: nothing lists it",
    }  # fmt: skip


@pytest.mark.parametrize("name", ["audit.json", "manifest.json"])
def test_a_folder_that_lost_half_of_an_audit_says_so(folder: Path, name: str) -> None:
    (folder / name).unlink()
    assert failures(folder)[name] == "missing"
    for other in ("audit.json", "manifest.json"):
        (folder / other).write_text("not JSON")
    with pytest.raises(AuditError, match="is not an audit"):
        check(folder, [])


def test_a_link_is_not_followed(folder: Path, tmp_path: Path) -> None:
    shutil.move(folder / "report.html", tmp_path / "elsewhere.html")
    (folder / "report.html").symlink_to(tmp_path / "elsewhere.html")
    assert failures(folder)["report.html"] == "missing"


def test_a_check_that_was_taken_out_is_caught_though_all_hashes_were_made_again(folder: Path) -> None:
    edit(folder, lambda d: d["checks"].pop(0))
    assert {"audit.json", "digest named alike in manifest and document"} <= set(failures(folder))
    seal(folder, OTHER)
    assert "another key" in failures(folder, KEY)["signature"]
    assert "drawn from another document" in failures(folder)["report.zh.html"]


def test_a_key_that_stands_twice_and_another_layout_are_caught(folder: Path) -> None:
    text = (folder / "audit.json").read_text("utf-8")
    (folder / "audit.json").write_text(text.replace('"verdict": "', '"verdict": "pass", "verdict": "', 1), "utf-8")
    assert "'verdict' stands twice" in failures(folder)["audit.json"]
    (folder / "audit.json").write_text(json.dumps(json.loads(text)), "utf-8")
    assert failures(folder)["audit.json"] == "altered"
    (folder / "audit.json").write_text(text, "utf-8")
    sealed = json.loads((folder / "manifest.json").read_bytes())
    (folder / "manifest.json").write_text(json.dumps(sealed, indent=1), "utf-8")
    assert "one form" in failures(folder)["manifest.json"]


def first(document: Json, verdict: str) -> Json:
    return next(f for c in document["checks"] for f in c["findings"] if f["verdict"] == verdict)


LIES: dict[str, Callable[[Json], object]] = {
    "the verdict": lambda d: d.update(verdict="pass"),
    "an answer": lambda d: next(q for q in d["questions"] if q["verdict"] == "fail").update(verdict="pass"),
    "a check": lambda d: next(c for c in d["checks"] if c["verdict"] == "fail").update(verdict="pass"),
    "a finding": lambda d: first(d, "fail").update(verdict="pass"),
    "a number": lambda d: first(d, "pass").update(criterion=first(d, "pass")["criterion"] | {"min": 5e6}),
    "what it is about": lambda d: first(d, "fail").update(slice={"sex": "nobody"}),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_verdict_that_does_not_follow_is_told_though_it_is_signed(folder: Path, lie: str) -> None:
    edit(folder, LIES[lie])
    seal(folder)
    found = failures(folder, KEY)
    assert "verdict follows from the findings" in found
    assert "audit.json" not in found


def test_a_plan_that_was_changed_afterwards_is_told(folder: Path) -> None:
    edit(folder, lambda d: d["plan"]["judge"].update(alpha_fail=0.5))
    seal(folder)
    assert "digest of the plan" in failures(folder, KEY)


def test_attestations_cannot_be_taken_out_or_put_into_another_audit(folder: Path) -> None:
    path = folder / "attestations.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(lines[1])
    assert failures(folder) == {"attestation 1": "the one before it was altered or taken away", "attestations.jsonl": "altered"}
    changed = json.loads(lines[1]) | {"statement": "never"}
    path.write_bytes(lines[0] + signing.canonical(changed) + b"\n")
    assert "its hash is another" in failures(folder)["attestation 2"]
    changed["entry_sha256"] = entries.digest(changed)
    path.write_bytes(lines[0] + signing.canonical(changed) + b"\n")
    assert "what was signed says something else" in failures(folder)["attestation 2"]
    stripped = {name: value for name, value in json.loads(lines[1]).items() if name != "signature"}
    path.write_bytes(lines[0] + signing.canonical(stripped) + b"\n")
    assert "taken away" in failures(folder)["attestation 2"]
    path.write_bytes(b"".join(lines))
    edit(folder, lambda d: d.update(seed=5))
    assert "it speaks of another document" in failures(folder)["attestation 1"]


def ending(folder: Path, kept: str | None = None) -> tuple[str, str]:
    (told,) = [(state, detail) for state, what, detail in check(folder, [], kept)[0] if what == integrity.ENDS_EARLIER]
    return told


def test_the_last_attestation_cannot_be_taken_away_alone(folder: Path) -> None:
    path, views = folder / "attestations.jsonl", folder / "views.json"
    whole, listed = path.read_bytes(), views.read_bytes()
    path.write_bytes(whole.splitlines(keepends=True)[0])
    assert failures(folder) == {"attestations.jsonl": "altered"}
    path.unlink()
    assert failures(folder) == {"attestations.jsonl": "missing"}
    path.write_bytes(whole)
    views.write_bytes(entries.write_views([v for v in json.loads(listed) if v["file"] != "attestations.jsonl"]))
    assert "may have been taken away" in failures(folder)["attestations.jsonl"]
    shorter = hashlib.sha256(whole.splitlines(keepends=True)[0]).hexdigest()
    path.write_bytes(whole.splitlines(keepends=True)[0])
    forged = [entries.body(v) | ({"sha256": shorter} if v["file"] == path.name else {}) for v in json.loads(listed)]
    views.write_bytes(
        entries.write_views(
            [
                f | {"entry_sha256": entries.digest(f), "signature": v.get("signature")}
                for f, v in zip(forged, json.loads(listed), strict=True)
            ]
        )
    )
    assert "what was signed says something else" in failures(folder)["attestations.jsonl"]


def test_who_puts_back_older_copies_of_both_lists_is_found_out_by_a_hash_kept_elsewhere(folder: Path) -> None:
    names = ("attestations.jsonl", "views.json")
    older = {name: (folder / name).read_bytes() for name in names}
    kept = said(folder, "N. Lee", KEY)
    assert ending(folder, kept) == ("OK", "3 of 3")
    assert ending(folder)[0] == "NOT CHECKED"
    assert kept in ending(folder)[1]
    for name, content in older.items():
        (folder / name).write_bytes(content)
    assert not failures(folder, KEY, OTHER), "no list in the folder can show this"
    assert ending(folder)[0] == "NOT CHECKED", "which is said"
    assert ending(folder, kept)[0] == "FAILED"
    assert "taken away" in ending(folder, kept)[1]


def test_a_view_s_entry_names_what_is_in_the_folder_and_nothing_else(folder: Path) -> None:
    views = entries.read_views(folder)
    entry = entries.seal(entries.body(views[0]) | {"file": "../outside"}, {}, entries.VIEW_TYPE)
    (folder / "views.json").write_bytes(entries.write_views([*views, entry]))
    assert failures(folder) == {"../outside": "missing"}
    (folder / "views.json").write_text("{}")
    assert "cannot be read" in failures(folder)["views.json"]


def test_a_newer_version_s_audit_is_one_line(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    edit(folder, lambda d: d.update(schema_version=2), digest=False)
    assert failures(folder)["audit.json"] == "altered"  # as long as it is not known that it was written so
    seal(folder)
    for refused in (lambda: check(folder, []), lambda: load(folder)):
        with pytest.raises(AuditError, match=r"written by a newer version .*schema 2"):
            refused()
    assert verify.main([str(folder)]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_the_command_says_each_claim_on_a_line_of_its_own(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    public = tmp_path / "auditor.pub"
    public.write_bytes(signing.public_pem(KEY.public_key()))
    assert verify.main([str(folder), "--key", str(public)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("OK           signature: by key")
    assert sum("name it with --model" in line or "name them with --data" in line for line in lines) == 2
    (folder / "x\nOK           audit.json").write_text("a name that would show a claim")
    assert verify.main([str(folder), "--key", str(public)]) == 1
    assert len(capsys.readouterr().out.splitlines()) == len(lines) + 1
    assert verify.main([str(folder), "--key", str(folder / "views.json")]) == 2
    assert "no public key" in capsys.readouterr().err


def test_a_registry_s_word_is_not_taken_for_the_auditor_s(folder: Path, tmp_path: Path) -> None:
    """`examples/take_into_service.py`: tags that anybody may edit, against what was signed."""
    script = runpy.run_path(str(Path(__file__).parents[2] / "examples" / "take_into_service.py"))
    document = load(folder)
    public = tmp_path / "auditor.pub"
    public.write_bytes(signing.public_pem(KEY.public_key()))

    def refusal(**tags: str) -> str:
        told = {"witnessmark.digest": document.digest, "witnessmark.verdict": document.verdict} | {
            f"witnessmark.{k}": v for k, v in tags.items()
        }
        return str(script["refusal"](told, folder, public, None))

    assert document.verdict == "fail"
    assert refusal() == "its audit says 'fail'"
    assert refusal(verdict="pass") == "the registry says witnessmark.verdict = 'pass', and the auditor signed 'fail'"
    assert "the registry says witnessmark.digest" in refusal(digest="0" * 64)
    seal(folder, OTHER)
    assert "does not verify (signature: signed by another key" in refusal(verdict="pass")
    seal(folder, None)
    assert "does not verify (signature: this audit is not signed)" in refusal()
