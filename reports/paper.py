"""A paper of blocks as one HTML file, as PDF or as Markdown, in the style of the report: no script, nothing loaded, the same bytes for the same paper."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

from reports.blocks import Block, Drawing, Heading, Items, Note, Paper, Paragraph, Runs, Table
from reports.html import TEMPLATES, style
from reports.marked import Page
from reports.speaker import Speaker
from reports.typeset import inked, plain, typeset
from reports.words import Look


def html(paper: Paper) -> str:
    """The paper as a page that opens offline."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    css = style() + (TEMPLATES / "paper.css").read_text("utf-8")
    env = Environment(loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    env.tests["look"] = lambda cell: isinstance(cell, Look)
    return env.get_template("paper.html").render(
        t=Speaker(paper.lang).t,
        lang="zh-Hans" if paper.lang == "zh" else "en",
        css=css,
        style_hash=base64.b64encode(hashlib.sha256(css.encode()).digest()).decode(),
        paper=paper,
    )


def told(runs: Runs) -> str:
    """The runs of a text as one."""
    return inked("".join(run.text for run in runs))


def printed(block: Block, say: Speaker) -> dict[str, Any]:
    """A block as its rule in `paper.typ` takes it."""
    shown: dict[str, Any] = {"kind": block.kind}
    if isinstance(block, Heading):
        return shown | {"level": block.level, "text": inked(block.text.text)}
    if isinstance(block, Items):
        return shown | {"ordered": block.ordered, "items": [told(item) for item in block.items]}
    if isinstance(block, Table):
        rows = [[plain(cell, say) if isinstance(cell, Look) else told(cell) for cell in row] for row in block.rows]
        return shown | {"rows": rows, "heads": plain(block.heads, say), "numeric": block.numeric, "caption": told(block.caption)}
    if isinstance(block, Drawing):
        return shown | {"svg": block.svg, "alt": block.alt, "title": inked(block.title), "subtitle": inked(block.subtitle)}
    shown["runs"] = told(block.runs)
    return shown | ({"alert": block.alert} if isinstance(block, Note) else {"lead": plain(block.lead, say), "look": plain(block.look, say)})


def pdf(paper: Paper, size: str = "a4") -> bytes:
    """The paper for print, on "a4" or "letter"."""
    say = Speaker(paper.lang)
    data = {"band": plain(paper.band, say), "blocks": [printed(block, say) for block in paper.blocks]}
    return typeset(
        "paper.typ", data, say, title=paper.title, date=paper.date, paper=size, keywords=["witnessmark", *(paper.about or (paper.lang,))]
    )


def markdown(paper: Paper) -> str:
    """The paper as Markdown: every text stays text; a picture is its words."""
    say, page = Speaker(paper.lang), Page()

    def said(content: Runs | Look) -> str:
        return f"{content.sign} {say.t(content.word)}" if isinstance(content, Look) else "".join(run.text for run in content)

    page.paragraph(" · ".join(paper.band))
    for block in paper.blocks:
        match block:
            case Heading(level, text, _):
                page.heading(level, text.text)
            case Paragraph(runs, lead, look):
                page.paragraph(said(look) if look else "", lead.text if lead else "", said(runs))
            case Note(runs, _):
                page.note(said(runs))
            case Items(items, _):
                page.items([said(item) for item in items])
            case Table(rows, heads, numeric, caption):
                page.paragraph(said(caption))
                width = max((len(row) for row in rows), default=0)
                page.table([head.text for head in heads] or [""] * width, [[said(cell) for cell in row] for row in rows], numeric)
            case Drawing(_, alt, title, subtitle, _, _):
                page.paragraph(title, subtitle)
                page.note(alt)
    return str(page)
