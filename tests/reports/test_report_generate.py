"""The command: what it writes, lists and refuses."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest
from sample import sample

from audit.result import AuditResult
from reports import html
from reports.generate import main
from reports.write import write_views


def undeclared() -> AuditResult:
    """An audit whose context calls for no framework."""
    return sample(context={})


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An audit folder, with the drawing itself replaced: these tests are about files."""
    monkeypatch.setattr(html, "draw", lambda document, lang, edition: f"<p>{document.id} {lang} {edition}</p>".encode())
    (tmp_path / "audit").mkdir()
    (tmp_path / "audit" / "audit.json").write_text(undeclared().model_dump_json(by_alias=True), "utf-8")
    return tmp_path / "audit"


def test_it_writes_lists_and_names_each_file(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(folder)]) == 0
    assert main([str(folder), "--lang", "zh", "--format", "html"]) == 0
    assert capsys.readouterr().out.splitlines() == [str(folder / "report.html"), str(folder / "report.zh.html")]
    views = json.loads((folder / "views.json").read_text("utf-8"))
    assert [v["file"] for v in views] == ["report.html", "report.zh.html"]
    assert views[1]["sha256"] == hashlib.sha256((folder / "report.zh.html").read_bytes()).hexdigest()
    assert views[1]["document_digest"] == undeclared().digest
    assert not [p for p in folder.iterdir() if p.name.startswith(".")]


def test_a_second_rendering_takes_the_place_of_the_first(folder: Path) -> None:
    write_views(folder, "html", "zh")
    write_views(folder, "html", "zh")
    assert len(json.loads((folder / "views.json").read_text("utf-8"))) == 1


def test_out_leaves_the_audit_folder_as_it_is(folder: Path, tmp_path: Path) -> None:
    assert main([str(folder), "--out", str(tmp_path / "elsewhere")]) == 0
    assert (tmp_path / "elsewhere" / "report.html").exists()
    assert [p.name for p in folder.iterdir()] == ["audit.json"]


def test_the_report_of_the_audit_itself_is_not_listed(folder: Path) -> None:
    assert write_views(folder, "html", "en", "internal", listed=False)[0] == folder / "report.html"
    assert not (folder / "views.json").exists()


def test_a_file_of_the_manifest_is_not_changed(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "report.html").write_text("sealed", "utf-8")
    (folder / "manifest.json").write_text(json.dumps({"files": {"report.html": "…"}}), "utf-8")
    assert main([str(folder)]) == 2
    assert "would change" in capsys.readouterr().err
    assert (folder / "report.html").read_text("utf-8") == "sealed"


def test_the_public_edition_has_its_own_name(folder: Path) -> None:
    assert write_views(folder, "html", "zh", "public")[0].name == "report.public.zh.html"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--format", "nonsense"], "is none of"),
        (["--framework", "eu-ai-act"], "is not known"),
        (["--framework", "euaia", "--format", "junit"], "no format of a framework's document"),
        (["--framework", "euaia", "--as-of", "soon"], "is no date"),
        (["--lang", "fr"], "invalid choice"),
        (["--bogus"], "unrecognized"),
    ],
)
def test_what_it_cannot_do_is_one_line_and_2(folder: Path, capsys: pytest.CaptureFixture[str], options: list[str], words: str) -> None:
    assert main([str(folder), *options]) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.startswith("error: ")
    assert told.err.count("\n") == 1
    assert words in told.err
    assert [p.name for p in folder.iterdir()] == ["audit.json"]


@pytest.mark.parametrize("text", [None, "", "{", "[]", '{"schema_version": 2}', '{"a": NaN}'])
def test_what_is_not_an_audit_is_one_line_and_2(tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str | None) -> None:
    if text is not None:
        (tmp_path / "audit.json").write_text(text, "utf-8")
    assert main([str(tmp_path)]) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.count("\n") == 1
    assert "Traceback" not in told.err


def test_a_folder_that_takes_no_file_is_one_line_and_2(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """/proc takes none, whoever asks."""
    assert main([str(folder), "--out", "/proc/reports"]) == 2
    told = capsys.readouterr().err
    assert told.startswith("error: cannot create /proc/reports")
    assert told.count("\n") == 1


LISTING = """
import sys
from pathlib import Path
from reports.write import list_view
for i in range(40):
    list_view(Path(sys.argv[1]), {"file": f"{sys.argv[2]}{i}.html", "sha256": "0" * 64, "document_digest": "d"})
"""


def test_two_that_list_at_once_lose_nothing(tmp_path: Path) -> None:
    """Each of two processes lists forty files: without a lock, whoever writes last drops what the other listed since it read."""
    root = Path(__file__).parents[2]
    command = [sys.executable, "-c", LISTING, str(tmp_path)]
    both = [subprocess.Popen([*command, name], cwd=root) for name in ("a", "b")]
    assert [process.wait(timeout=120) for process in both] == [0, 0]
    views = json.loads((tmp_path / "views.json").read_text("utf-8"))
    assert sorted(v["file"] for v in views) == sorted(f"{name}{i}.html" for name in "ab" for i in range(40))
    assert [p.name for p in tmp_path.iterdir()] == ["views.json"]
