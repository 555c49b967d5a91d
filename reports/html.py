"""The report as one HTML file: no script, nothing loaded, the same bytes for the same document."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path

from audit.result import AuditResult
from reports.charts import DARK
from reports.content import CAPS, CUT_CHARTS, CUT_TABLES, Caps, content
from reports.disclose import public
from reports.formats import file_name
from reports.speaker import Speaker
from reports.words import COLOURS

TEMPLATES = Path(__file__).parent / "templates"
MOST_BYTES = 5_000_000
APPENDIX = "appendix-html"


def style() -> str:
    """The style sheet with verdict colours and the charts' colours for dark pages."""
    rules = (TEMPLATES / "report.css").read_text("utf-8")
    light = "".join(f"--{name}:{a};" for name, (a, _) in COLOURS.items())
    dim = "".join(f"--{name}:{b};" for name, (_, b) in COLOURS.items())
    recolour = "".join(f'svg [fill="{a}"]{{fill:{b}}}svg [stroke="{a}"]{{stroke:{b}}}' for a, b in DARK.items())
    return f":root{{{light}}}\n{rules}\n@media screen and (prefers-color-scheme:dark){{:root{{{dim}}}{recolour}}}\n"


def page(document: AuditResult, lang: str, edition: str, caps: Caps, rest: str = APPENDIX) -> str:
    """The page within these caps; `rest` is the format of the file that it names for what it leaves out."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    say, css = Speaker(lang), style()
    digest = base64.b64encode(hashlib.sha256(css.encode()).digest()).decode()
    env = Environment(loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return env.get_template("report.html").render(
        t=say.t,
        lang="zh-Hans" if lang == "zh" else "en",
        css=css,
        style_hash=digest,
        edition_id=edition,
        cut_charts=CUT_CHARTS,
        cut_tables=CUT_TABLES,
        **vars(content(document, say, edition, caps, file_name(rest, lang, edition))),
    )


def render_html(document: AuditResult, lang: str = "en", edition: str = "internal") -> str:
    """The whole report in English ("en") or Chinese ("zh"), for inside ("internal") or for everybody ("public"); at most 5 MB."""
    if edition not in ("internal", "public"):
        raise ValueError(f"edition is internal or public, got {edition!r}")
    return draw(public(document) if edition == "public" else document, lang, edition).decode()


def draw(document: AuditResult, lang: str, edition: str) -> bytes:
    """The report of a document that holds no more than this edition may show."""
    return fitted(document, lang, edition)[0]


def fitted(document: AuditResult, lang: str, edition: str, paper: str = "") -> tuple[bytes, Caps]:
    """The report, and how much of the document it holds; an appendix holds the rest. A page has no `paper`."""
    text = ""
    for caps in CAPS:
        text = page(document, lang, edition, caps)
        if len(text.encode()) <= MOST_BYTES:
            return text.encode(), caps
    raise ValueError(f"a report of {len(text.encode()):,} bytes exceeds {MOST_BYTES:,}")
