"""The summary for those who decide: the first screen of the report and how to verify it, on two pages, whatever the size of the audit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from audit.result import AuditResult
from reports.content import EDITIONS, about_digests, title_of
from reports.said import Said
from reports.speaker import Speaker, clean, mark
from reports.typeset import fonts, inked, page_count, plain, typeset
from reports.view import FirstScreen, first_screen

MOST_PAGES = 2
VERIFY = (
    mark("python -m audit.verify AUDIT_DIR says whether any file of this audit was altered, added or removed; with --key PUBLIC_KEY, also who signed it."),
    mark("python -m reports.lint FILE traces every number of this summary, or of the report, to the document that it was drawn from."),
    mark("The full report has each measurement with its interval, method and limits: report.pdf and report.html beside this file."),
)  # fmt: skip


@dataclass(frozen=True)
class Fit:
    """How closely a summary is set: points of its body and small print, how many entries of a list it shows, and how long a text may be."""

    body: float
    small: float
    entries: int
    open: int
    longest: int


#: From the roomiest to one that always fits.
FITS = (
    Fit(9.5, 8, 12, 3, 2000), Fit(9, 7.8, 12, 2, 2000), Fit(8.5, 7.5, 10, 1, 600), Fit(8, 7.2, 8, 0, 300), Fit(8, 7, 6, 0, 160), Fit(8, 7, 4, 0, 80),
)  # fmt: skip


def shortened(value: Any, longest: int) -> Any:
    """All texts in JSON cut to so many characters."""
    if isinstance(value, dict):
        return {k: shortened(v, longest) for k, v in value.items()}
    if isinstance(value, list):
        return [shortened(v, longest) for v in value]
    return clean(value, longest) if isinstance(value, str) and len(value) > longest else value


def page_data(found: FirstScreen, digests: Sequence[tuple[str, Said]], fit: Fit, say: Speaker) -> dict[str, Any]:
    """The first screen for the template, as much of it as this fit holds; each list says how many more there are."""

    def first(entries: list[Any], most: int) -> dict[str, Any]:
        left = len(entries) - most
        return {"shown": entries[:most], "more": say.t("{n:count} more are in the full report.", n=left) if left > 0 else ""}

    screen: dict[str, Any] = {k: plain(v, say) for k, v in vars(found).items()}
    not_shown = screen["not_shown"]
    if found.unstated:
        not_shown.append(inked(say.t("Not stated by those who asked for it: {names}.", names=found.unstated)))
    for family in screen["families"]:
        family["open"] = family["open"][: fit.open]
    lists = {"questions": 2 * fit.entries, "waivers": fit.entries // 2, "families": 14, "not_shown": fit.entries}
    screen |= {name: first(screen[name], most) for name, most in lists.items()}
    return {
        "screen": shortened(screen, fit.longest),
        "verify": [inked(say.t(line)) for line in VERIFY],
        "digests": plain(digests, say),
        "fit": plain(fit, say),
    }


def draw(document: AuditResult, lang: str, edition: str, paper: str = "a4") -> bytes:
    """The summary of a document that holds no more than this edition may show, as PDF of at most two pages."""
    fonts()
    say = Speaker(lang)
    screen, title = first_screen(document, say), title_of(document, say)
    keywords = ["witnessmark", "summary", lang, edition, document.digest or ""]
    pages = 0
    for fit in FITS:
        data = page_data(screen, about_digests(document, say), fit, say) | {"edition": inked(say.t(EDITIONS[edition]))}
        pdf = typeset("summary.typ", data, say, title=title, date=document.finished, paper=paper, keywords=keywords)
        pages = page_count(pdf)
        if pages <= MOST_PAGES:
            return pdf
    raise ValueError(f"a summary of {pages} pages is longer than {MOST_PAGES}")
