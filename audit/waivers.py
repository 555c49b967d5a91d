"""Accepted findings: who accepts which finding, why, and until when. A waiver changes no verdict, of a finding, a check, the audit or a gate.

[[waiver]]
key = "0f3a5c7e9b1d2f46"        # of the finding, as `python -m audit.findings` prints it
reason = "the cutoff is being lowered; the board knows"
person = "R. Okafor, head of lending"
expires = 2027-03-31             # the last day on which it counts
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails

from audit.errors import AuditError
from audit.plan import read_toml
from audit.result import Finding, Waiver

FORM = "write [[waiver]] with key (16 hex digits), reason, person and expires (YYYY-MM-DD)"
Words = Annotated[str, Field(pattern=r"\S", max_length=2000)]
#: A pattern that a text does not have, in words.
PATTERNS = {r"\S": "it is empty", r"^[0-9a-f]{16}$": "it is not 16 hexadecimal digits, as `python -m audit.findings` prints them"}


def _day(value: object) -> object:
    """A date as TOML has it, or written as text; a number is none."""
    if type(value) is date or isinstance(value, str):
        return value
    raise ValueError("expected a date such as 2027-03-31")


class Given(BaseModel):
    """A waiver as its file has it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    key: Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]
    reason: Words
    person: Words
    expires: Annotated[date, BeforeValidator(_day)]


def _wrong(error: ErrorDetails) -> str:
    """What is wrong with a value, in words."""
    pattern = error.get("ctx", {}).get("pattern")
    return PATTERNS.get(str(pattern), error["msg"])


def read_waivers(path: Path) -> list[Given]:
    """The waivers of a file; an `AuditError` names the first thing that is wrong with it."""
    content = read_toml(path, "waivers")
    entries = content.get("waiver", [])
    if set(content) - {"waiver"} or not isinstance(entries, list):
        raise AuditError(f"the waivers {path} hold {', '.join(sorted(content))}, where only [[waiver]] is known", FORM)
    given = []
    for number, entry in enumerate(entries, 1):
        try:
            given.append(Given.model_validate(entry))
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"])) or "entry"
            raise AuditError(f"waiver {number} of {path} is not valid at {where!r}: {_wrong(first)}", FORM) from None
    keys = [w.key for w in given]
    twice = next((k for k in keys if keys.count(k) > 1), None)
    if twice:
        raise AuditError(f"the waivers {path} name the finding {twice} more than once", "keep one waiver for each finding")
    return given


def match(waivers: Sequence[Mapping[str, Any]], findings: Mapping[str, Sequence[Finding]], today: str) -> list[Waiver]:
    """Each waiver with what it comes to in this audit; `today` is the day on which the audit began (YYYY-MM-DD)."""
    verdicts = {f.key: f.verdict for found in findings.values() for f in found}

    def state(waiver: Mapping[str, Any]) -> str:
        if waiver["key"] not in verdicts:
            return "unknown"
        if waiver["expires"] < today:
            return "expired"
        return "accepted" if verdicts[waiver["key"]] in ("fail", "inconclusive") else "not_needed"

    return [Waiver.model_validate({**w, "state": state(w)}) for w in waivers]
