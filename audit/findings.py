"""`python -m audit.findings AUDIT_DIR`: the findings of an audit as a list to work through, the most pressing first.

The age of a finding that fails or is open counts from the first of the unbroken row of logged audits of this model (by name) in which it did;
without a store, from this audit. The owner is the context's; the response is what the context's [responses] table says under the finding's key,
else the reason of a waiver that counts. Ages, waivers and the audit's validity are told as of today.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
from dataclasses import asdict, dataclass, fields
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, NoReturn

from audit.errors import AuditError
from audit.result import AuditResult, Finding, Waiver

VERDICTS = ("fail", "inconclusive", "pass", "not_judged")
SEVERITIES = ("critical", "major", "minor", "")
ROLES = ("decides", "warns", "reports", "")
COLOURS = {"fail": "red", "inconclusive": "yellow", "pass": "green", "not_judged": "dim"}


@dataclass(frozen=True)
class Row:
    """One finding; numbers as in the document, empty where there are none. `age_days` is None for a finding that is settled."""

    key: str
    severity: str
    verdict: str
    reason: str
    role: str
    check: str
    metric: str
    compare: str
    slice: str
    against: str
    value: float | None
    low: float | None
    high: float | None
    level: float | None
    n: int | None
    p_value: float | None
    adjusted_p_value: float | None
    first_seen: str
    age_days: int | None
    waiver: str
    waiver_person: str
    waiver_expires: str
    owner: str
    response: str
    sentence: str


def rows(document: AuditResult, waivers: list[Waiver], today: str) -> list[Row]:
    """Every finding, sorted by verdict, severity, role, check and key."""
    by_key = {w.key: w for w in waivers}
    responses = document.context.get("responses")
    told = responses if isinstance(responses, dict) else {}
    owner = str(document.context.get("owner") or "not stated")
    found = [
        _row(document, c.info.id, f, by_key.get(f.key), str(told.get(f.key, "")), owner, today)
        for c in document.checks for f in c.findings
    ]  # fmt: skip
    order = {v: i for i, v in enumerate((*VERDICTS, *SEVERITIES, *ROLES))}
    return sorted(found, key=lambda r: (order[r.verdict], SEVERITIES.index(r.severity), ROLES.index(r.role), r.check, r.key))


def _row(document: AuditResult, check: str, f: Finding, waiver: Waiver | None, response: str, owner: str, today: str) -> Row:
    e, test, criterion = f.estimate, f.test, f.criterion
    open_ = f.verdict in ("fail", "inconclusive")
    first = document.history.open_since.get(f.key, document.started[:10])
    state = "" if waiver is None else "expired" if waiver.state == "accepted" and waiver.expires < today else waiver.state
    return Row(
        key=f.key, severity=criterion.severity if criterion else "", verdict=f.verdict, reason=f.reason or "", role=criterion.role if criterion else "",
        check=check, metric=f.metric, compare=f.compare, slice=_slice(f.slice), against=_slice(f.against or {}),
        value=e.value if e else None, low=e.low if e else None, high=e.high if e else None, level=e.level if e else None, n=e.n if e else None,
        p_value=test.p_value if test else None, adjusted_p_value=test.adjusted_p_value if test else None,
        first_seen=first, age_days=(date.fromisoformat(today) - date.fromisoformat(first)).days if open_ else None,
        waiver=state, waiver_person=waiver.person if waiver else "", waiver_expires=waiver.expires if waiver else "", owner=owner,
        response=response or (waiver.reason if waiver and state == "accepted" else ""), sentence=f.sentence or "",
    )  # fmt: skip


def _slice(slice_: dict[str, str]) -> str:
    return "; ".join(f"{column}={value}" for column, value in slice_.items())


def _waivers(document: AuditResult, path: str | None, today: str) -> list[Waiver]:
    """Those of the audit, or those of a file held against its findings."""
    if path is None:
        return document.waivers
    from audit.waivers import match, read_waivers

    given = [w.model_dump(mode="json") for w in read_waivers(Path(path))]
    return match(given, {c.info.id: c.findings for c in document.checks}, today)


def validity(document: AuditResult, today: str) -> str:
    """Until when the audit holds, as of today."""
    return (
        f"EXPIRED on {document.valid_until}: audit the model again"
        if document.valid_until < today
        else f"valid until {document.valid_until}"
    )


def _csv(found: list[Row]) -> None:
    """Every column of every finding. A text that a spreadsheet would run as a formula is preceded by an apostrophe."""
    writer = csv.writer(sys.stdout)
    writer.writerow([f.name for f in fields(Row)])
    for row in found:
        cells = asdict(row).values()
        writer.writerow([f"'{c}" if isinstance(c, str) and c.startswith(("=", "+", "-", "@", "\t", "\r")) else c for c in cells])


def _json(document: AuditResult, found: list[Row], waivers: list[Waiver], today: str) -> None:
    answered = document.answered.model_dump(mode="json")
    written: dict[str, Any] = {
        "audit": document.id, "verdict": document.verdict, "answered": answered, "valid_until": document.valid_until,
        "expired": document.valid_until < today, "today": today, "findings": [asdict(r) for r in found],
        "waivers": [w.model_dump(mode="json") for w in waivers],
    }  # fmt: skip
    print(json.dumps(written, ensure_ascii=False, indent=1))


def _table(document: AuditResult, found: list[Row], waivers: list[Waiver], today: str) -> None:
    """What fails or is open, for a terminal; the rest in one line."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from reports.speaker import clean

    console = Console(highlight=False, width=None if sys.stdout.isatty() else 160)
    a = document.answered
    name, owner = clean(document.model.name or document.model.uri, 120), clean(found[0].owner if found else "not stated", 120)
    console.print(
        Text(
            f"{name}: {document.verdict}, {a.passed + a.fail} of {a.decides} deciding questions answered · owner: {owner} · {validity(document, today)}"
        )
    )
    pressing = [r for r in found if r.verdict in ("fail", "inconclusive")]
    if pressing:
        table = Table(box=None, pad_edge=False)
        for heading in ("key", "verdict", "severity", "age", "finding", "waiver", "response"):
            fixed = heading in ("key", "verdict", "severity", "age")
            table.add_column(heading, overflow="fold", no_wrap=fixed)
        for r in pressing:
            waiver = f"{r.waiver}: {r.waiver_person}, until {r.waiver_expires}" if r.waiver else "–"
            against = f" against {r.against}" if r.against else ""
            what = f"{r.check} {r.metric} {r.compare}, {r.slice or 'everybody'}{against}: {_number(r)}"
            cells = [r.severity, f"{r.age_days} d", what, waiver, r.response or "–"]
            verdict = f"{'open' if r.verdict == 'inconclusive' else r.verdict} ({r.role})"
            table.add_row(r.key, Text(verdict, style=COLOURS[r.verdict]), *(Text(clean(c, 300)) for c in cells))
        console.print(table)
    counts = {v: sum(r.verdict == v for r in found) for v in VERDICTS}
    console.print(
        f"{counts['fail']} fail, {counts['inconclusive']} open, {counts['pass']} pass, {counts['not_judged']} reported and not judged: all with --csv"
    )
    for w in waivers:
        if w.state == "unknown":
            console.print(Text(f"no finding has the key {w.key}, which {clean(w.person, 120)} waived until {w.expires}"))


def _number(r: Row) -> str:
    from audit.text import number, percent

    if r.value is None or r.low is None or r.high is None or r.level is None:
        return r.reason
    return f"{number(r.value)} ({percent(r.level)} interval {number(r.low)} to {number(r.high)})"


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise AuditError(message, "see python -m audit.findings --help")


def main(argv: list[str] | None = None) -> int:
    """Exit status 0; 2 where there is no audit to read."""
    from reports.write import load

    parser = _Parser(prog="audit.findings", description="The findings of an audit, the most pressing first.", allow_abbrev=False)
    parser.add_argument("audit_dir", metavar="AUDIT_DIR")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--csv", action="store_true", help="every finding with every column")
    form.add_argument("--json", action="store_true", help="the same as one JSON object")
    parser.add_argument(
        "--waivers", metavar="FILE", help="hold these waivers against the findings, instead of those that the audit was given"
    )
    try:
        options = parser.parse_args(argv)
        document = load(Path(options.audit_dir))
        today = datetime.now(UTC).strftime("%Y-%m-%d")
        waivers = _waivers(document, options.waivers, today)
        found = rows(document, waivers, today)
    except AuditError as error:
        print(error, file=sys.stderr)
        return 2
    if options.csv:
        _csv(found)
    elif options.json:
        _json(document, found, waivers, today)
    else:
        _table(document, found, waivers, today)
    return 0


if __name__ == "__main__":
    sys.exit(main())
