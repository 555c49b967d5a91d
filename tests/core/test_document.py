"""Texts as templates and values, and the schema of the document."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from audit import text
from audit.errors import AuditError
from audit.measurement import Estimate, Measurement, Message
from audit.result import AuditResult, CheckInfo, CheckResult, Criterion, Finding, document_digest

GOLDEN = Path(__file__).parents[1] / "golden"


# --- texts -----------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spec", "value", "shown"),
    [
        ("percent", 0.3251, "32.5 %"), ("percent", 1, "100 %"), ("percent", 0.0, "0 %"), ("percent", -0.00001, "0 %"), ("percent", 0.05, "5 %"),
        ("percent", 0.000375, "0.04 %"), ("percent", 0.0006, "0.1 %"), ("percent", 1e-6, "< 0.01 %"), ("percent", 1e-17, "0 %"),
        ("ratio", 0.754, "0.75"), ("ratio", 2, "2.00"), ("p", 0.0004, "< 0.001"), ("p", 0.0123, "0.012"), ("p", 1.0, "1"), ("p", 0.0, "< 0.001"),
        ("count", 1234567, "1,234,567"), ("count", 3.0, "3"), ("number", 0, "0"), ("number", 1234.5, "1,234"), ("number", 0.01234, "0.0123"),
        ("number", 1e-9, "1 × 10⁻⁹"), ("number", 2.5e9, "2.5 × 10⁹"), ("signed", 0.5, "+0.500"), ("signed", -0.5, "−0.500"), ("signed", 0, "0"),
        ("points", 0.052, "+5.2"), ("points", -0.052, "−5.2"), ("points", 0.0001, "0.0"), ("points", -0.0001, "0.0"),
    ],
)  # fmt: skip
def test_numbers_are_written_in_one_way(spec: str, value: float, shown: str) -> None:
    assert text.render(text.message(f"{{x:{spec}}}", x=value)) == shown


def test_messages_nest_and_list() -> None:
    inner = text.message("{n:count} rows", n=1200)
    assert text.render(text.message("{a}; {b}", a=inner, b=["x", "y"])) == "1,200 rows; x, y"
    assert text.render(text.message("{b}", b=["x", "y"]), "zh") == "x、y"


@pytest.mark.parametrize("value", ["{n:count}", "{", "}}", "{0}", "%s", "{a.__class__}", "\u202e"])
def test_a_value_is_never_a_template(value: str) -> None:
    assert text.render(text.message("«{x}»", x=value)) == f"«{value}»"


def test_an_unknown_template_stays_english() -> None:
    assert (
        text.render(Message(id="A sentence that nobody translated {x}.", values={"x": 1}), "zh") == "A sentence that nobody translated 1."
    )
    assert text.translate("A heading that nobody translated", "zh") == "A heading that nobody translated"


def test_every_translation_names_the_values_of_its_template() -> None:
    import string

    for english, chinese in text.catalogue("zh").items():
        try:
            fields = [{name for _, name, _, _ in string.Formatter().parse(t) if name} for t in (english, chinese)]
        except ValueError:
            continue
        assert fields[0] == fields[1], english


# --- the document ----------------------------------------------------------------------------------------------------------------------


def test_the_schema_of_the_document_is_the_golden_one() -> None:
    """A change of the schema is a decision: rewrite the file with WITNESSMARK_REWRITE_GOLDEN=1 and read the difference."""
    schema = json.dumps(AuditResult.model_json_schema(mode="serialization"), indent=1, sort_keys=True, ensure_ascii=False) + "\n"
    path = GOLDEN / "schema.json"
    if os.environ.get("WITNESSMARK_REWRITE_GOLDEN"):
        path.write_text(schema, encoding="utf-8")
    assert schema == path.read_text(encoding="utf-8")


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_no_number_of_the_document_is_nan_or_infinite(bad: float) -> None:
    given = {"value": 0.5, "low": 0.4, "high": 0.6, "level": 0.9, "method": "m", "n": 3}
    for name in ("value", "low", "high", "level"):
        with pytest.raises(ValidationError):
            Estimate(**given | {name: bad})
    with pytest.raises(ValidationError):
        Criterion(min=bad)
    with pytest.raises(ValidationError):
        Message(id="x", values={"x": bad})


def test_records_hold_together() -> None:
    with pytest.raises(ValidationError, match="needs a reason"):
        Measurement(metric="x")
    with pytest.raises(ValidationError, match="'against' is set exactly where"):
        Measurement(metric="x", compare="ratio", reason="r")
    with pytest.raises(ValidationError, match="'against' is set exactly where"):
        Measurement(metric="x", against={"a": "b"}, reason="r")
    info = CheckInfo(id="a.b", title="T", meaning="m", limits="l", unit="u", direction="none")
    for status in ("skipped", "errored"):
        with pytest.raises(ValidationError, match="needs a reason and is never a pass"):
            CheckResult(info=info, status=status, summary="s")
        with pytest.raises(ValidationError, match="needs a reason and is never a pass"):
            CheckResult(info=info, status=status, reason="r", verdict="pass", summary="s")
    for wrong in ("A.b", "a", "a.b.c", "a.b-c", "a1.b"):
        with pytest.raises(ValidationError):
            CheckInfo(id=wrong, title="T", meaning="m", limits="l", unit="u", direction="none")
    with pytest.raises(ValidationError):
        info.title = "other"


def test_the_digest_leaves_out_what_cannot_repeat() -> None:
    def document(**changed: Any) -> dict[str, Any]:
        finding = {"repeatable": True, "metric": "m", "estimate": changed.pop("estimate", 1)}
        timed = {"repeatable": False, "metric": "seconds", "estimate": changed.pop("timed", 1)}
        check = {"seconds": changed.pop("seconds", 1), "summary": "s", "summary_msg": None, "findings": [finding]}
        return {
            "id": "1",
            "started": "t",
            "verdict": "pass",
            "environment": {},
            "history": {},
            "checks": [check, check | {"findings": [finding, timed]}],
        } | changed

    same = document_digest(document())
    for change in (
        {"id": "2"},
        {"started": "u"},
        {"environment": {"python": "3"}},
        {"history": {"n": 3}},
        {"seconds": 9},
        {"timed": 9},
        {"digest": "d"},
    ):
        assert document_digest(document(**change)) == same, change
    for change in ({"estimate": 2}, {"verdict": "fail"}, {"plan": {}}):
        assert document_digest(document(**change)) != same, change


def test_an_error_is_one_line() -> None:
    assert str(AuditError("two\nlines", "mend\n\nthis")) == "error: two lines — mend this"


def test_a_finding_keeps_everything_of_its_measurement() -> None:
    assert set(Measurement.model_fields) < set(Finding.model_fields)
