"""The full report for print: the same content as the page of html, without what that folds away."""

from __future__ import annotations

from typing import Any

from audit.result import AuditResult
from reports.content import CUT_CHARTS, CUT_TABLES, Caps, CheckView, Content, content
from reports.formats import file_name
from reports.speaker import Speaker
from reports.tables import Grid
from reports.typeset import fonts, page_count, plain, typeset

MOST_PAGES, MOST_BYTES = 60, 5_000_000
APPENDIX = "appendix"
DOUBT = 6  # pages by which the expected number may be wrong
#: How much is printed, less and less until it fits; the rest is counted on its page and stands in the appendix.
CAPS = (Caps(200, 60, 40, 30, 150, 60), Caps(200, 25, 15, 24, 100, 40), Caps(200, 12, 8, 18, 60, 30), Caps(100, 5, 4, 6, 40, 20))


def table_data(table: Grid, say: Speaker, rest: str) -> dict[str, Any]:
    shown: dict[str, Any] = plain(table, say)
    return shown | {"more": say.t("{n:count} more rows are in {file}.", n=table.cut, file=rest) if table.cut else ""}


def check_data(check: CheckView, say: Speaker, rest: str) -> dict[str, Any]:
    """A check as a template draws it; a picture is its drawing with its words."""
    shown: dict[str, Any] = plain(vars(check) | {"figures": [], "tables": [], "behind": []}, say)
    shown["figures"] = [plain(chart, say) | {"spec": None, "svg": drawing} for chart, drawing in check.figures]
    shown["tables"] = [table_data(table, say, rest) for table in check.tables]
    left = (("{n:count} more findings are in {file}.", check.cut), (CUT_CHARTS, check.cut_charts), (CUT_TABLES, check.cut_tables))
    shown["more"] = [say.t(told, n=n, file=rest) if told != CUT_CHARTS else say.t(told, n=n) for told, n in left if n]
    return shown


def page_data(whole: Content, say: Speaker) -> dict[str, Any]:
    """The content of a report for a template."""
    shown: dict[str, Any] = plain(vars(whole) | {"families": []}, say)
    shown["families"] = [
        {"id": id, "title": title, "checks": [check_data(check, say, whole.rest) for check in checks]}
        for id, title, checks in whole.families
    ]
    if whole.screen.unstated:
        names = whole.screen.unstated
        shown["screen"]["not_shown"].append(say.t("Not stated by those who asked for it: {names}.", names=names))
    return shown


def expected_pages(whole: Content) -> float:
    """About how many pages this fills: the least squares of 24 reports of four kinds of models, each within 3 pages of what it said."""
    checks = [check for _, _, found in whole.families for check in found]
    tables = [table for check in checks for table in check.tables]
    rows = sum(len(block.rows) + 1.4 for check in checks for block in check.blocks)
    charts = sum(len(check.figures) for check in checks)
    cells = sum(len(table.rows) for table in tables)
    return 0.026 * rows + 0.25 * len(checks) + 0.25 * len(tables) + 0.009 * cells + 0.14 * charts + 0.005 * len(whole.records["plan"])


def draw(document: AuditResult, lang: str, edition: str, paper: str = "a4") -> bytes:
    """The report of a document that holds no more than this edition may show, as PDF of at most 60 pages and 5 MB."""
    return fitted(document, lang, edition, paper)[0]


def fitted(document: AuditResult, lang: str, edition: str, paper: str = "a4") -> tuple[bytes, Caps]:
    """The report, and how much of the document it holds; an appendix holds the rest."""
    fonts()  # before the work, whether it can be done
    say = Speaker(lang)
    pages, pdf = 0, b""
    for i, caps in enumerate(CAPS):
        whole = content(document, say, edition, caps, file_name(APPENDIX, lang, edition))
        if expected_pages(whole) > MOST_PAGES + DOUBT and caps is not CAPS[-1]:
            continue  # typesetting takes most of the time
        keywords = [
            "witnessmark",
            "report",
            lang,
            edition,
            document.digest or "",
            str(i),
        ]  # by which reports.lint knows what it should hold
        data = page_data(whole, say)
        pdf = typeset("report.typ", data, say, title=whole.title, date=document.finished, paper=paper, keywords=keywords)
        pages = page_count(pdf)
        if pages <= MOST_PAGES and len(pdf) <= MOST_BYTES:
            return pdf, caps
    raise ValueError(f"a report of {pages} pages and {len(pdf):,} bytes is longer than {MOST_PAGES} pages or {MOST_BYTES:,} bytes")
