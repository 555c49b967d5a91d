"""The README lists every check as the registry has it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from audit import listing
from audit.errors import AuditError
from audit.registry import checks

README = Path(__file__).parent.parent.parent / "README.md"


def test_the_readme_lists_the_checks_as_they_are() -> None:
    text = README.read_text("utf-8")
    assert listing.rewritten(text) == text, "write it anew: python -m audit.listing README.md"


def test_every_check_of_ours_stands_there_once_and_none_of_others() -> None:
    told = listing.table(listing.own())
    ours = [id_ for id_, check in checks().items() if check.info.provider == "audit"]
    assert [line.split("`")[1] for line in told.splitlines()[2:]] == ours
    assert all(len(line.replace("\\|", "").split("|")) == 5 for line in told.splitlines())


def test_only_what_stands_between_the_markers_changes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "x.md"
    file.write_text("# Über\n<!-- checks -->\nwhat stood here\n<!-- /checks -->\nend\n", "utf-8")
    assert listing.main([str(file)]) == 0
    once = file.read_text("utf-8")
    assert once.startswith("# Über\n<!-- checks -->\n<details>")
    assert once.endswith("</details>\n<!-- /checks -->\nend\n")
    assert "what stood here" not in once
    assert listing.main([str(file)]) == 0
    assert file.read_text("utf-8") == once
    for text in ("no markers", "<!-- /checks --> <!-- checks -->", "<!-- checks --> <!-- checks --> <!-- /checks -->"):
        with pytest.raises(AuditError, match="markers"):
            listing.rewritten(text)
    for arguments in ([], [str(tmp_path / "absent.md")], [str(tmp_path)]):
        assert listing.main(arguments) == 2
        assert json.dumps(capsys.readouterr().err).count("error: ") == 1
