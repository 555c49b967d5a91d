"""The journal of an audit, and files that are written whole."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from audit.jobs import write_whole
from audit.journal import BusyError, Journal


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "state"


@pytest.fixture
def journal(tmp_path: Path, state: Path) -> Iterator[Journal]:
    folder = tmp_path / "audit"
    folder.mkdir()
    opened = Journal(folder)
    opened.binding = "model/data/plan"
    yield opened
    if opened.folder.exists():
        opened.close()


def entry(journal: Journal, name: str = "a.b") -> Path:
    return journal.folder / f"{name}.json"


def test_an_entry_comes_back_as_it_was(journal: Journal) -> None:
    content = {"x": [1, 0.1, None, "ü"], "y": {"z": True}}
    journal.write("a.b", content)
    assert journal.read("a.b") == content
    assert journal.read("other") is None


def test_the_key_is_private_and_stays(journal: Journal, state: Path) -> None:
    key = state / "witnessmark" / "journal.key"
    assert (key.stat().st_mode & 0o777, len(key.read_bytes())) == (0o600, 32)
    assert not list(journal.folder.glob("*key*"))


@pytest.mark.parametrize(
    "content",
    [
        b"", b"{", b"null", b"[]", b"{}", b'"x"', b'{"body": "{}"}', b'{"mac": "x", "body": "{}"}', b'{"mac": 1, "body": "{}"}',
        b'{"mac": "\xc3\xbc", "body": "{}"}', b'{"mac": "x", "body": {}}', b'{"mac": "x", "body": null}', b"\xff\xfe",
    ],
)  # fmt: skip
def test_a_torn_or_foreign_entry_is_not_believed(journal: Journal, content: bytes) -> None:
    entry(journal).write_bytes(content)
    assert journal.read("a.b") is None


def test_an_edited_entry_is_not_believed(journal: Journal) -> None:
    journal.write("a.b", {"verdict": "fail"})
    whole = entry(journal).read_bytes()
    entry(journal).write_bytes(whole.replace(b"fail", b"pass"))
    assert journal.read("a.b") is None
    for cut in (len(whole) // 2, len(whole) - 1):
        entry(journal).write_bytes(whole[:cut])
        assert journal.read("a.b") is None
    entry(journal).write_bytes(whole)
    assert journal.read("a.b") == {"verdict": "fail"}


def test_an_entry_of_another_check_model_data_or_plan_is_not_believed(journal: Journal) -> None:
    journal.write("a.b", 1)
    entry(journal, "a.c").write_bytes(entry(journal).read_bytes())
    assert journal.read("a.c") is None
    journal.binding = "model/data/other plan"
    assert journal.read("a.b") is None


def test_an_entry_made_with_another_key_is_not_believed(journal: Journal, state: Path) -> None:
    journal.write("a.b", 1)
    folder = journal.folder.parent
    journal.close()
    (state / "witnessmark" / "journal.key").write_bytes(bytes(32))
    again = Journal(folder)
    again.binding = "model/data/plan"
    assert again.read("a.b") is None
    again.remove()


def test_numbers_that_are_none_are_not_written(journal: Journal) -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        journal.write("a.b", math.nan)
    assert journal.read("a.b") is None


def test_a_folder_has_one_writer(journal: Journal) -> None:
    with pytest.raises(BusyError):
        Journal(journal.folder.parent)
    folder = journal.folder.parent
    journal.close()
    Journal(folder).remove()
    assert not (folder / ".journal").exists()


def test_temporary_files_of_a_killed_audit_are_removed(tmp_path: Path, state: Path) -> None:
    (tmp_path / ".journal").mkdir()
    (tmp_path / ".journal" / ".tmp-x.json-123").write_text("half")
    opened = Journal(tmp_path)
    assert not list(opened.folder.glob(".tmp-*"))
    opened.remove()


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x"
    write_whole(path, b"old")

    def fail(_: int) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="disk full"):
        write_whole(path, b"new")
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["x"]
