"""What named persons say: appended, tied to the document, signed where a key is given, never replaced."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from sample import sample

from audit.errors import AuditError
from audit.signing import ATTESTATION_TYPE, SignatureError, new_key, opened, read_private
from reports.attest import main
from reports.obligations.attestations import NAME, Entry, attestations, read

SAID = ["--by", "Ada Example", "--role", "head of risk", "--statement", "I looked."]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "audit").mkdir()
    (tmp_path / "audit" / "audit.json").write_text(sample().model_dump_json(by_alias=True), "utf-8")
    return tmp_path / "audit"


def test_an_entry_names_who_what_when_and_of_which_document(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(folder), "--control", "sr26.tier", *SAID]) == 0
    (entry,) = read(folder)
    assert capsys.readouterr().out.splitlines() == [f"attestation 1: {entry.entry_sha256}", str(folder / NAME)]
    assert (entry.control, entry.says, entry.name, entry.role, entry.statement) == (
        "sr26.tier",
        "attested",
        "Ada Example",
        "head of risk",
        "I looked.",
    )
    assert entry.audit_sha256 == hashlib.sha256((folder / "audit.json").read_bytes()).hexdigest()
    assert entry.document_digest == sample().digest
    assert (entry.file, entry.signature, entry.previous) == (None, None, None)


def test_a_second_word_is_appended_and_both_are_kept(folder: Path) -> None:
    main([str(folder), "--control", "sr26.tier", *SAID])
    first = (folder / NAME).read_bytes()
    main([str(folder), "--control", "sr26.tier", *SAID[:4], "--statement", "No longer so.", "--not-applicable"])
    assert (folder / NAME).read_bytes().startswith(first)
    assert [(a.says, a.holds, a.place) for a in attestations(folder)] == [("attested", True, 0), ("not_applicable", True, 1)]


def test_a_file_is_named_by_its_hash(folder: Path, tmp_path: Path) -> None:
    text, scan = tmp_path / "oversight.md", tmp_path / "signed.pdf"
    text.write_text("Two officers see each refusal.\n", "utf-8")
    scan.write_bytes(b"%PDF\x00\xff")
    for path in (text, scan):
        assert main([str(folder), "--control", "euaia.art14_1", *SAID[:4], "--statement", str(path)]) == 0
    first, second = read(folder)
    assert (first.statement, second.statement) == ("Two officers see each refusal.", "signed.pdf")
    for entry, path in ((first, text), (second, scan)):
        assert entry.file is not None
        assert entry.file.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


def test_of_another_document_it_holds_no_longer(folder: Path) -> None:
    main([str(folder), "--control", "sr26.tier", *SAID])
    (folder / "audit.json").write_text(sample(seed=1).model_dump_json(by_alias=True), "utf-8")
    assert [a.holds for a in attestations(folder)] == [False]


def test_a_signed_entry_is_what_the_key_signed(folder: Path, tmp_path: Path) -> None:
    private, _, key_id = new_key()
    key = tmp_path / "ada.key"
    key.write_bytes(private)
    assert main([str(folder), "--control", "euaia4", *SAID, "--sign-key", str(key)]) == 0
    (entry,) = read(folder)
    assert entry.signature is not None
    told = opened(entry.signature, read_private(key).public_key())
    assert told["predicateType"] == ATTESTATION_TYPE
    assert Entry.model_validate(told["predicate"]).said() == entry.said()
    assert {s["name"]: s["digest"]["sha256"] for s in told["subject"]} == {"audit.json": entry.audit_sha256}
    assert attestations(folder)[0].signer == key_id
    other, _, _ = new_key()
    key.write_bytes(other)
    with pytest.raises(SignatureError, match="another key"):
        opened(entry.signature, read_private(key).public_key())


@pytest.mark.parametrize("sign", [True, False])
def test_a_changed_word_and_one_taken_away_are_seen(folder: Path, tmp_path: Path, sign: bool) -> None:
    key = tmp_path / "ada.key"
    key.write_bytes(new_key()[0])
    for _ in range(2):
        main([str(folder), "--control", "euaia4", *SAID, *(["--sign-key", str(key)] if sign else [])])
    whole = (folder / NAME).read_text()
    (folder / NAME).write_text(whole.replace("I looked.", "I did it.", 1))
    with pytest.raises(AuditError, match="line 1, is altered"):
        attestations(folder)
    (folder / NAME).write_text(whole.split("\n", 1)[1])
    with pytest.raises(AuditError, match="line 1, is out of its place"):
        attestations(folder)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--control", "sr26.teir", *SAID], "use sr26.tier"),
        (["--control", "house.a", *SAID], "is none of ours"),
        (["--control", "sr26.tier", "--by", " ", *SAID[2:]], "--by is no name"),
        (["--control", "sr26.tier", "--by", "A\u202eda", *SAID[2:]], "--by is no name"),
        (["--control", "sr26.tier", *SAID[:4], "--statement", "  "], "the statement has 0 characters"),
        (["--control", "sr26.tier", *SAID, "--sign-key", "/nowhere/a.key"], "cannot read the private key"),
        (["--control", "sr26.tier", *SAID[:4]], "--statement"),
    ],
)
def test_what_it_cannot_do_is_one_line_and_2(folder: Path, capsys: pytest.CaptureFixture[str], options: list[str], told: str) -> None:
    assert main([str(folder), *options]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert told in shown.err
    assert shown.err.count("\n") == 1
    assert not (folder / NAME).exists()


def test_a_list_that_was_shortened_is_not_added_to(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for _ in range(2):
        assert main([str(folder), "--control", "sr26.tier", *SAID]) == 0
    whole = (folder / NAME).read_bytes()
    (folder / NAME).write_bytes(whole.splitlines(keepends=True)[0])
    capsys.readouterr()
    for missing in (False, True):  # the last of them, then all
        if missing:
            (folder / NAME).unlink()
        assert main([str(folder), "--control", "sr26.tier", *SAID]) == 2
        shown = capsys.readouterr().err
        assert "may have been taken away" in shown
        assert shown.count("\n") == 1
    (folder / NAME).write_bytes(whole)
    assert main([str(folder), "--control", "sr26.tier", *SAID]) == 0
    (folder / "views.json").write_text("{")
    assert main([str(folder), "--control", "sr26.tier", *SAID]) == 2
    assert "is not a list of views" in capsys.readouterr().err


def test_a_writer_who_was_interrupted_before_listing_is_no_tampering(folder: Path) -> None:
    main([str(folder), "--control", "sr26.tier", *SAID])
    listed = (folder / "views.json").read_bytes()
    main([str(folder), "--control", "sr26.tier", *SAID])
    (folder / "views.json").write_bytes(listed)
    assert main([str(folder), "--control", "sr26.tier", *SAID]) == 0
    assert len(read(folder)) == 3


@pytest.mark.parametrize("broken", ["{", "[]", '{"control": "x"}', "", "[" * 100_000])
def test_a_file_that_was_altered_is_not_added_to(folder: Path, capsys: pytest.CaptureFixture[str], broken: str) -> None:
    (folder / NAME).write_text(f"{broken}\n")
    assert main([str(folder), "--control", "sr26.tier", *SAID]) == 2
    assert "attestations.jsonl" in capsys.readouterr().err
    assert (folder / NAME).read_text() == f"{broken}\n"


def test_lines_are_json_whatever_was_said(folder: Path) -> None:
    main([str(folder), "--control", "sr26.tier", *SAID[:4], "--statement", 'a "quoted"\nline \u2028 and 中文'])
    (record,) = [json.loads(text) for text in (folder / NAME).read_text("utf-8").split("\n") if text]
    assert record["statement"] == 'a "quoted"\nline \u2028 and 中文'
    assert len(read(folder)) == 1
