"""`python -m audit.listing README.md`: write the table of all checks anew, as the registry has them, between the file's two markers."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

from audit.errors import AuditError
from audit.measurement import Estimate
from audit.registry import Check, checks

EXIT_REFUSED = 2
BEGIN, END = "<!-- checks -->", "<!-- /checks -->"


def table(listed: Iterable[Check]) -> str:
    """Each check on a line: its id, what it asks, and what it needs to be asked."""
    rows = ["| check | what it asks | needs |", "|---|---|---|"]
    for check in listed:
        title = check.info.title.replace("|", "\\|")
        rows.append(f"| `{check.info.id}` | {title} | {', '.join(check.info.needs) or '–'} |")
    return "\n".join(rows)


def own() -> list[Check]:
    """The checks that this package ships; those of plug-ins stand in their own papers."""
    return [check for check in checks().values() if check.info.provider == "audit"]


def detail(check: Check) -> str:
    """What one check says of itself: meaning, limits, needs, parameters, and how often it finds what is planted."""
    from audit.selftested import documented

    info = documented(check.info)
    lines = [
        f"{info.id}: {info.title}",
        f"  It measures: {info.meaning}",
        f"  It does not show: {info.limits}",
        f"  Needs: {', '.join(info.needs) or 'nothing more'}",
    ]
    if check.defaults:
        lines.append(f"  Parameters: {', '.join(f'{name} = {value}' for name, value in check.defaults.items())}")
    if not info.self_tests:
        return "\n".join([*lines, "  How reliable it is: not measured; nothing was planted for it"])
    for test in info.self_tests:
        again = f"; made again in part with changed sources on {test.replayed}, with the same outcome" if test.replayed else ""
        stale = "; STALE: the check, its limits or what is planted have changed since" if test.stale else again
        lines.append(f"  How reliable it is, planted: {test.plant} ({test.size:g}); measured {test.date}, sources {test.digest}{stale}")
        lines += [
            f"    {t.rows:>6,} rows ({t.source}), base rate {t.base:.0%}: found in {_share(t.found)} runs{' (80% promised)' if t.promised else ''}, false alarms in {_share(t.false_alarms)}"
            for t in test.tried
        ]
    return "\n".join(lines)


def _share(e: Estimate) -> str:
    return f"{e.value:.1%} ({e.low:.1%} to {e.high:.1%}) of {e.n:,}"


def rewritten(text: str) -> str:
    """The text with the table between its markers; AuditError where they are not there once each, in this order."""
    head, begin, rest = text.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not begin or not end or BEGIN in rest or END in tail:
        raise AuditError(f"the text has no place between {BEGIN} and {END}", "write both markers once, each on a line of its own")
    listed = own()
    summary = f"<details><summary>All {len(listed)} checks</summary>"
    return f"{head}{BEGIN}\n{summary}\n\n{table(listed)}\n\n</details>\n{END}{tail}"


def main(arguments: list[str]) -> int:
    """Exit status: 0 written or as it was, 2 where the file cannot be read or has no markers."""
    try:
        if len(arguments) != 1:
            raise AuditError("expected one file", "write python -m audit.listing README.md")
        path = Path(arguments[0])
        try:
            text = path.read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise AuditError(f"{path} cannot be read ({type(error).__name__})", "name a text file with both markers") from None
        path.write_text(rewritten(text), "utf-8")
    except AuditError as error:
        print(error, file=sys.stderr)
        return EXIT_REFUSED
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
