"""The report as Markdown: what report.html says, in its order; curves are left to the page and the document, small pictures become tables."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from audit.result import AuditResult, CheckResult
from reports.behind import behind
from reports.content import EDITIONS, WHOLE, Caps, CheckView, Content, about, content
from reports.marked import Page
from reports.sentences import capital
from reports.speaker import Speaker, mark
from reports.tables import Block, Grid
from reports.view import FirstScreen
from reports.words import Look

#: Sites that show Markdown stop at about half a megabyte.
MOST_BYTES = 480_000
CAPS = (Caps(findings=120, rows=40, charts=0, pairs=400), Caps(200, 40, 15, 0, 150, 60), Caps(60, 10, 8, 0, 40, 20))
#: Evidence that is a few lines of numbers; curves and distributions are many.
SHORT = ("table", "heatmap", "attribution", "tree")
LEFT_OUT = mark("{n:count} curves and distributions are drawn in the report as a page; their numbers are in audit.json.")


def flag(look: Look, say: Speaker) -> str:
    return f"{look.sign} {say.t(look.word)}"


def edition_text(edition: str, say: Speaker) -> str:
    return say.t(EDITIONS[edition])


def verdict_line(screen: FirstScreen, say: Speaker) -> str:
    """The verdict, never without the answered fraction."""
    return say.join([flag(screen.look, say), str(screen.answered)])


def first(page: Page, screen: FirstScreen, say: Speaker, caps: Caps) -> None:
    """The first screen of the page."""
    page.paragraph(" · ".join(str(part) for part in screen.audited))
    page.paragraph(verdict_line(screen, say))
    page.paragraph(capital(str(screen.purpose)))
    page.paragraph(screen.why)
    for line in screen.history:
        page.note(line)
    if screen.deciding:
        page.heading(2, say.t("What decides it"))
        page.items([say.pair(flag(item.look, say), str(item.text)) for item in screen.deciding], [item.detail for item in screen.deciding])
    page.heading(2, say.t("The questions that decide"))
    page.table(
        [say.t("Question"), say.t("Verdict"), say.t("Reason")],
        [[item.text, flag(item.look, say), item.detail] for item in screen.questions],
    )
    page.note(screen.established)
    if screen.waivers:
        page.heading(2, say.t("Waivers"))
        page.note(say.t("A waiver says who accepts a finding, why, and until when. It changes no verdict."))
        page.items(screen.waivers)
    page.heading(2, say.t("What each family found"))
    page.table(
        [say.t("Family"), say.t("Verdict"), say.t("What was found"), say.t("Open")],
        [[item.text, flag(item.look, say), item.detail, say.sentences(map(str, item.open[:6]))] for item in screen.families],
    )
    page.heading(2, say.t("What this audit does not show"))
    missing = [say.t("Not stated by those who asked for it: {names}.", names=screen.unstated)] if screen.unstated else []
    page.items([*screen.not_shown, *missing])


def block(page: Page, found: Block, say: Speaker) -> None:
    """Findings about one metric as a table under its name, with how they were compared and judged."""
    page.heading(5, found.title)
    page.note(*found.notes)
    heads = ["For whom or what", "n (reference not counted)" if found.compared else "n", "Estimate"]
    heads += ["Low", "High"] if found.has_interval else []
    heads += ["p"] if found.has_test else []
    rows = []
    for row in found.rows:
        interval = [row.low, row.high] if found.has_interval else []
        verdict = say.join([flag(row.look, say), str(row.note), str(row.reason)])
        rows.append([row.who, row.n, row.estimate, *interval, *([row.p] if found.has_test else []), verdict])
    page.table([*map(say.t, heads), say.t("Verdict")], rows, [False, *[True] * (len(heads) - 1)])


def grid(page: Page, table: Grid, say: Speaker, level: int = 5) -> None:
    """A stored table under its caption."""
    page.heading(level, table.caption)
    page.table(table.heads, table.rows, table.numeric)
    if table.cut:
        page.note(say.t("{n:count} more rows are in {file}.", n=table.cut, file=WHOLE))


def facts(page: Page, pairs: Sequence[tuple[str, object]], say: Speaker) -> None:
    """Names and values; that nothing was stated, where there are none."""
    if pairs:
        page.table([say.t("Name"), say.t("Value")], pairs)
    else:
        page.paragraph(say.t("not stated"))


def one_check(page: Page, check: CheckResult, view: CheckView, say: Speaker, caps: Caps) -> None:
    """One check: what it found, what it measures, its findings and its tables."""
    page.heading(3, view.title)
    page.paragraph(flag(view.look, say))
    page.note(view.rejected)
    if view.rejected:
        page.struck(view.summary)
    else:
        page.paragraph(view.summary)
    page.paragraph(say.pair(say.t("Reason"), str(view.reason)) if view.reason else "")
    page.items(
        [
            say.pair(say.t("What it measures"), str(view.meaning)),
            say.pair(say.t("What it does not show"), str(view.limits)),
            say.pair(say.t("About"), say.t(about(check))),
        ]
    )
    if check.status != "completed":
        return
    if view.blocks:
        page.heading(4, say.t("Findings"))
        for found in view.blocks:
            block(page, found, say)
        if view.cut:
            page.note(say.t("{n:count} more findings are in {file}.", n=view.cut, file=WHOLE))
    evidence = [
        (e, f"checks[{view.index}].findings[{i}].evidence[{j}]") for i, f in enumerate(check.findings) for j, e in enumerate(f.evidence)
    ]
    short = [(e, path) for e, path in evidence if e.kind in SHORT][:20]
    if short:
        page.heading(4, say.t("Tables"))
        for e, path in short:
            grid(page, behind(e, path, say, caps.rows), say)
    if len(evidence) > len(short):
        page.note(say.t(LEFT_OUT, n=len(evidence) - len(short)))


def record(page: Page, shown: Content, say: Speaker) -> None:
    """What stands after the results."""
    kept = shown.records
    page.heading(2, say.t("How to read the verdicts"))
    page.paragraph(shown.how_to_read)
    for title, name in (("Declared context", "context"), ("The model", "model"), ("The data", "data")):
        page.heading(2, say.t(title))
        facts(page, kept[name], say)
    page.heading(2, say.t("What in the model's folder can run code"))
    page.paragraph(kept["risk"])
    page.items(kept["risks"])
    for title, name in (("Environment and isolation", "environment"), ("The plan", "plan")):
        page.heading(2, say.t(title))
        facts(page, kept[name], say)
    page.heading(2, say.t("How to reproduce it"))
    page.code(kept["command"])
    page.heading(2, say.t("Digests (SHA-256) and dates"))
    facts(page, kept["digests"], say)


def report(document: AuditResult, say: Speaker, edition: str, caps: Caps) -> str:
    page, shown = Page(), content(document, say, edition, caps)
    page.heading(1, shown.title)
    page.note(shown.edition)
    first(page, shown.screen, say, caps)
    for _, name, views in shown.families:
        page.heading(2, name)
        for view in views:
            one_check(page, document.checks[view.index], view, say, caps)
    page.note(shown.cut_checks)
    record(page, shown, say)
    return str(page)


def within(pages: Iterable[str], most: int) -> bytes:
    """The first of these texts that has at most this many bytes; each is made only where those before it were too long."""
    size = 0
    for made in pages:
        size = len(made.encode())
        if size <= most:
            return made.encode()
    raise ValueError(f"a text of {size:,} bytes exceeds {most:,}")


def draw(document: AuditResult, lang: str, edition: str) -> bytes:
    """The report of a document that holds no more than this edition may show."""
    say = Speaker(lang)
    return within((report(document, say, edition, caps) for caps in CAPS), MOST_BYTES)
