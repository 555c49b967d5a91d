"""The full report for print: the same content as the page of html, without what that folds away."""

from __future__ import annotations

from typing import Any

from audit.result import AuditResult
from reports.content import Caps, CheckView, Content, content
from reports.tables import Grid
from reports.typeset import fonts, page_count, plain, typeset
from reports.words import Speaker

MOST_PAGES, MOST_BYTES = 60, 5_000_000
#: How much is printed, less and less until it fits; the rest is counted on its page and stays in `audit.json`.
CAPS = (Caps(200, 60, 40, 25, 150, 60), Caps(200, 30, 20, 20, 100, 40), Caps(200, 14, 10, 12, 80, 30), Caps(100, 5, 4, 6, 50, 20))


def table_data(table: Grid, say: Speaker) -> dict[str, Any]:
    shown: dict[str, Any] = plain(table, say)
    return shown | {"more": say.t("{n:count} more rows are in audit.json.", n=table.cut) if table.cut else ""}


def check_data(check: CheckView, say: Speaker) -> dict[str, Any]:
    """A check as a template draws it; a picture is its drawing with its words."""
    shown: dict[str, Any] = plain(vars(check) | {"figures": [], "tables": [], "behind": []}, say)
    shown["figures"] = [plain(chart, say) | {"spec": None, "svg": drawing} for chart, drawing in check.figures]
    shown["tables"] = [table_data(table, say) for table in check.tables]
    shown["more"] = say.t("{n:count} more findings are in audit.json.", n=check.cut) if check.cut else ""
    return shown


def page_data(whole: Content, said: int, say: Speaker) -> dict[str, Any]:
    """The content of a report for a template."""
    shown: dict[str, Any] = plain(vars(whole) | {"families": []}, say)
    shown["families"] = [
        {"id": id, "title": title, "checks": [check_data(check, say) for check in checks]} for id, title, checks in whole.families
    ]
    shown["screen"]["waivers"], shown["screen"]["not_shown"] = (shown["screen"][k][:said] for k in ("waivers", "not_shown"))
    if whole.screen.unstated:
        names = whole.screen.unstated
        shown["screen"]["not_shown"].append(say.t("Not stated by those who asked for it: {names}.", names=names))
    return shown


def draw(document: AuditResult, lang: str, edition: str, paper: str = "a4") -> bytes:
    """The report of a document that holds no more than this edition may show, as PDF of at most 60 pages and 5 MB."""
    fonts()  # before the work, whether it can be done
    say = Speaker(lang)
    pages, pdf = 0, b""
    for i, caps in enumerate(CAPS):
        whole = content(document, say, edition, caps)
        keywords = [
            "witnessmark",
            "report",
            lang,
            edition,
            document.digest or "",
            str(i),
        ]  # by which reports.lint knows what it should hold
        data = page_data(whole, caps.said, say)
        pdf = typeset("report.typ", data, say, title=whole.title, date=document.finished, paper=paper, keywords=keywords)
        pages = page_count(pdf)
        if pages <= MOST_PAGES and len(pdf) <= MOST_BYTES:
            return pdf
    raise ValueError(f"a report of {pages} pages and {len(pdf):,} bytes is longer than {MOST_PAGES} pages or {MOST_BYTES:,} bytes")
