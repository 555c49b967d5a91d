"""The notice of an adverse decision: everything that the rule asks for, drawn from the explanation; never made where it must not be."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from reading import Page
from test_person import document

from audit.errors import AuditError
from reports import lint
from reports.generate import main
from reports.obligations.adverse import notice
from reports.paper import html

CONTEXT = {
    "owner": "A bank",
    "contact": "desk@example.org",
    "domain": "credit",
    "agency": "An agency, Washington",
    "address": "1 Main Street",
}


def lines(lang: str = "en", **more: Any) -> list[str]:
    return Page(html(notice(document(**({"context": CONTEXT} | more)), lang))).lines


def test_everything_that_the_rule_asks_for() -> None:
    told = lines()
    for wanted in (
        "Creditor A bank",
        "Address of the creditor 1 Main Street",
        "Action taken refused",
        "Date 2026-01-02",
        "debts",
        "home",
        "An agency, Washington",
        "desk@example.org",
    ):
        assert wanted in told, wanted
    assert any(line.startswith("The notice is due by 2026-02-01") for line in told)  # 30 days after 2 January
    assert any("prohibits creditors from discriminating" in line for line in told)
    assert told.index("debts") < told.index("home")  # in the order of their weight
    assert any(line.startswith("Draft.") for line in told)
    assert not any("Not shown to apply" in line for line in told)


def test_gaps_are_named() -> None:
    told = lines(context={"domain": "employment"})
    assert "Creditor not stated: a gap" in told
    assert any("Not shown to apply" in line for line in told)
    assert sum("a gap" in line for line in told) >= 5


def test_in_chinese() -> None:
    told = lines("zh")
    assert "债权人 A bank" in told
    assert "所采取的行动 拒绝" in told
    assert "负债" in told


def test_at_most_four_reasons() -> None:
    given = document().model_dump(mode="json")["reasons"]
    one = given["methods"][0]["reasons"][0]
    given["methods"][0]["reasons"] = [one] * 6
    assert lines(reasons=given).count("debts") == 4


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"reasons": {"state": "blocked"}}, "prohibited basis"),
        ({"reasons": {"state": "rejected"}}, "failed its tests"),
        ({"decision": document().decision.model_dump() | {"favourable": True}}, "not adverse"),
    ],
)
def test_no_notice_is_made_where_none_may_be(change: dict[str, Any], told: str) -> None:
    with pytest.raises(AuditError, match=told):
        notice(document(**change), "en")


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "explanation.json").write_text(document(context=CONTEXT).model_dump_json(), "utf-8")
    assert main([str(tmp_path), "--framework", "regb", "--format", "html", "--format", "markdown"]) == 0
    assert capsys.readouterr().out.splitlines() == [str(tmp_path / "regb.html"), str(tmp_path / "regb.md")]
    (tmp_path / "explanation.json").write_text("{}", "utf-8")
    assert main([str(tmp_path), "--framework", "regb"]) == 2
    assert "is no explanation" in capsys.readouterr().err


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_every_number_of_a_notice_is_read_back_and_a_changed_one_is_named(
    tmp_path: Path, lang: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The notice as the command writes it, on a page and in print, held against explanation.json; then a due date moved, and a reason's document changed."""
    (tmp_path / "explanation.json").write_text(document(context=CONTEXT).model_dump_json(), "utf-8")
    assert main([str(tmp_path), "--framework", "regb", "--lang", lang, "--format", "html", "--format", "pdf"]) == 0
    written = [Path(line) for line in capsys.readouterr().out.splitlines()]
    assert [path.suffix for path in written] == [".html", ".pdf"]
    for path in written:
        assert lint.main([str(path)]) == 0, capsys.readouterr()
    capsys.readouterr()
    whole = written[0].read_text("utf-8")
    for old, new in (("2026-02-01", "2026-02-10"), ("1 Main Street", "7 Main Street")):
        assert old in whole
        written[0].write_text(whole.replace(old, new, 1), "utf-8")
        assert lint.main([str(written[0])]) == 1
        assert new.split(" ")[0] in capsys.readouterr().out
    other = document(context=CONTEXT | {"address": "9 Main Street"})
    (tmp_path / "explanation.json").write_text(other.model_dump_json(), "utf-8")
    assert lint.main([str(written[1])]) == 1  # what was printed is no longer what the explanation says
