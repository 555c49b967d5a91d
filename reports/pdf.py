"""The full report for print: the same content as the page of html, without what that folds away."""

from __future__ import annotations

from typing import Any

from audit.result import AuditResult
from reports.content import Caps, CheckView, Content, content
from reports.tables import Grid
from reports.typeset import fonts, plain, typeset
from reports.words import Speaker

CAPS = Caps(checks=200, findings=60, rows=40, charts=25, pairs=150, said=60)


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
    """The report of a document that holds no more than this edition may show, as PDF."""
    fonts()  # before the work, whether it can be done
    say = Speaker(lang)
    whole = content(document, say, edition, CAPS)
    keywords = ["witnessmark", "report", lang, edition, document.digest or ""]
    return typeset(
        "report.typ", page_data(whole, CAPS.said, say), say, title=whole.title, date=document.finished, paper=paper, keywords=keywords
    )
