"""A paper of blocks as one HTML file, in the style of the report: no script, nothing loaded, the same bytes for the same paper."""

from __future__ import annotations

import base64
import hashlib

from reports.blocks import Paper
from reports.html import TEMPLATES, style
from reports.words import Look, Speaker


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
