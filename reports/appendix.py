"""The appendix of a report: the findings, rows and lines that it leaves out, as tables. There is none where the report leaves out nothing.

A report on paper ends at 60 pages and a page of html at 5 MB. What they leave out they count where it is missing, and name the appendix. What even this
file leaves out of a very large audit stands in `audit.json`, which holds everything.
"""

from __future__ import annotations

from audit.measurement import Table as Stored
from audit.result import AuditResult, CheckResult
from reports.blocks import Block, Heading, Items, Note, Paper, Runs, Table
from reports.content import EDITIONS, MOST_TABLES, WHOLE, Caps, evidence_of, record_lists
from reports.said import Said
from reports.speaker import Speaker, clean, mark
from reports.states import family_of
from reports.tables import Block as Findings
from reports.tables import Grid, blocks, grid
from reports.view import anchor, first_screen
from reports.words import FAMILIES

#: How much even an appendix holds: of findings for each check, of rows for each table, of lines for each record.
MOST = Caps(checks=2_000, findings=4_000, rows=1_000, charts=0, pairs=5_000, said=2_000)
GOES_ON = mark("What the report of this audit had no room for: its tables go on here where they end there. How each was measured, and its limits, stand in the report.")  # fmt: skip
NOTHING = mark("The report leaves out nothing: this appendix is empty.")
RECORDS = {
    "context": mark("Declared context"),
    "data": mark("The data"),
    "environment": mark("Environment and isolation"),
}


def title_of(document: AuditResult, say: Speaker) -> str:
    """What the appendix is called."""
    return say.t("Appendix to the audit of {name}", name=clean(document.model.name or document.model.uri, 120))


def of_findings(found: Findings, say: Speaker) -> list[Block]:
    """Findings that were compared and judged alike, as a table under their name."""
    heads = ["For whom or what", "n (reference not counted)" if found.compared else "n", "Estimate"]
    heads += ["Low", "High"] if found.has_interval else []
    heads += ["p"] if found.has_test else []
    rows = []
    for row in found.rows:
        numbers = [row.n, row.estimate, *([row.low, row.high] if found.has_interval else []), *([row.p] if found.has_test else [])]
        verdict = [Said(f"{row.look.sign} {say.t(row.look.word)}"), *(part for part in (row.note, row.reason) if part)]
        spaced = [run for part in verdict for run in (Said(" "), part)][1:]
        rows.append(((row.who,), *((number,) for number in numbers), tuple(spaced)))
    shown = (*(Said(say.t(head)) for head in heads), Said(say.t("Verdict")))
    table = Table(tuple(rows), shown, (False, *[True] * (len(heads) - 1), False), (Said(found.title),))
    left = [Note(more(say, "{n:count} more findings are in {file}.", found.cut))] if found.cut else []
    told = [run for note in found.notes for run in (Said("" if say.lang == "zh" else " "), note)][1:]
    return [table, *([Note(tuple(told))] if told else []), *left]


def of_grid(table: Grid, say: Speaker) -> list[Block]:
    """The rest of a stored table."""
    rows = tuple(tuple((cell,) for cell in row) for row in table.rows)
    left = [Note(more(say, "{n:count} more rows are in {file}.", table.cut))] if table.cut else []
    return [Table(rows, tuple(table.heads), tuple(table.numeric), (table.caption,)), *left]


def more(say: Speaker, template: str, n: int) -> Runs:
    return (Said(say.t(template, n=n, file=WHOLE)),)


def of_check(check: CheckResult, place: int, say: Speaker, caps: Caps) -> list[Block]:
    """What the report leaves out of one check: nothing where it has room for all of it."""
    path, found = f"checks[{place}]", list[Block]()
    for one in blocks(check, path, say, MOST.findings, skip=caps.findings):
        found += of_findings(one, say)
    tables = [(e, at) for e, at in evidence_of(check, path) if isinstance(e, Stored)]
    for i, (table, at) in enumerate(tables):
        skip = caps.rows if i < MOST_TABLES else 0
        if len(table.rows) > skip:
            found += of_grid(grid(table, at, say, MOST.rows, skip), say)
    return [Heading(3, Said(say.stored(check.info.title, None), f"{path}.info.title"), anchor(check.info.id)), *found] if found else []


def of_lists(document: AuditResult, say: Speaker, caps: Caps) -> list[Block]:
    """What the report leaves out of the first screen's lists and of the records."""
    screen, found = first_screen(document, say), list[Block]()
    for title, lines in (("Waivers", screen.waivers), ("What this audit does not show", screen.not_shown)):
        if len(lines) > caps.said:
            found += [Heading(2, Said(say.t(title))), Items(tuple((line,) for line in lines[caps.said : caps.said + MOST.said]))]
    for name, pairs in record_lists(document, say).items():
        if len(pairs) > caps.pairs:
            rows = tuple(((Said(key),), (value,)) for key, value in pairs[caps.pairs : caps.pairs + MOST.pairs])
            found += [Heading(2, Said(say.t(RECORDS[name])), f"record-{name}"), Table(rows)]
    return found


def paper(document: AuditResult, lang: str, edition: str, caps: Caps, about: tuple[str, ...]) -> Paper | None:
    """What a report within these caps leaves out of a document that holds no more than this edition may show; None where it leaves out nothing."""
    say, found = Speaker(lang), list[Block]()
    family = ""
    for i, check in enumerate(document.checks[: caps.checks]):
        rest = of_check(check, i, say, caps)
        if rest and family_of(check.info.id) != family:
            family = family_of(check.info.id)
            found.append(Heading(2, Said(say.name(family, FAMILIES)), f"family-{family}"))
        found += rest
    found += of_lists(document, say, caps)
    return Paper(*_head(document, say, edition), [*_told(document, say, GOES_ON), *found], about) if found else None


def _head(document: AuditResult, say: Speaker, edition: str) -> tuple[str, str, str, tuple[str, str]]:
    return title_of(document, say), say.lang, document.finished, ("Witnessmark", say.t(EDITIONS[edition]))


def _told(document: AuditResult, say: Speaker, text: str) -> list[Block]:
    return [Heading(1, Said(title_of(document, say))), Note((Said(say.t(text)),))]


def caps_of(suffix: str) -> tuple[Caps, ...]:
    """How much reports of this kind hold, "html" or "pdf"."""
    from reports import content, pdf

    return pdf.CAPS if suffix == "pdf" else content.CAPS


def of_report(document: AuditResult, lang: str, edition: str, suffix: str, place: int) -> Paper | None:
    """The appendix to a report of this kind that was drawn within the caps at this place of their list."""
    about = ("appendix", lang, edition, document.digest or "", suffix, str(place))
    return paper(document, lang, edition, caps_of(suffix)[place], about)


def drawn(document: AuditResult, lang: str, edition: str, caps: Caps, suffix: str, size: str) -> bytes | None:
    """The appendix as a file of the same kind as its report; None where there is none."""
    from reports.obligations.render import draw

    made = of_report(document, lang, edition, suffix, caps_of(suffix).index(caps))
    return None if made is None else draw(made, suffix, size)


def _asked(document: AuditResult, lang: str, edition: str, caps: Caps, suffix: str, size: str) -> bytes:
    from reports.obligations.render import draw

    say = Speaker(lang)
    nothing = Paper(*_head(document, say, edition), _told(document, say, NOTHING))
    return drawn(document, lang, edition, caps, suffix, size) or draw(nothing, suffix, size)


def pdf(document: AuditResult, lang: str, edition: str, paper: str = "a4") -> bytes:
    """The appendix to the report for print; one that says so where that leaves out nothing."""
    import reports.pdf

    return _asked(document, lang, edition, reports.pdf.fitted(document, lang, edition, paper)[1], "pdf", paper)


def html(document: AuditResult, lang: str, edition: str) -> bytes:
    """The appendix to the report as a page; one that says so where that leaves out nothing."""
    import reports.html

    return _asked(document, lang, edition, reports.html.fitted(document, lang, edition)[1], "html", "a4")
